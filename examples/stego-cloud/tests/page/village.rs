//! A person without a cloud: what anna sees and does is kept in memory, and the others do what the test
//! says.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::HashMap,
    io::Cursor,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use distri::{Code, Error, Result};
use example_stego_cloud::ui::person::{
    Answer, Ask, CatalogPage, CatalogQuery, Decision, Draft, Entry, Event, Events, Extension,
    Grant, Grants, Id, Me, Offer, Person, Picture, PictureKind, Preview, Publication, State, Topic,
    View, Visibility, Waiting, Who,
};
use image::{DynamicImage, ImageFormat, imageops::FilterType};
use tokio::sync::Notify;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Anna's view of a few people.
#[derive(Default)]
pub(crate) struct Village {
    state: Mutex<Known>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    offers: Vec<Offer>,
    waiting: Vec<Waiting>,
    grants: Grants,
    /// Views that were spent, by their attempt.
    views: HashMap<Id, (u32, u32)>,
    audits: HashMap<Id, Vec<Entry>>,
    pictures: HashMap<Id, Photograph>,
    events: Vec<Event>,
    next: u32,
}

struct Photograph(DynamicImage);

impl std::fmt::Debug for Photograph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {}", self.0.width(), self.0.height())
    }
}

pub(crate) fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

pub(crate) fn who(handle: &str) -> Who {
    let key = handle
        .bytes()
        .cycle()
        .take(52)
        .map(|byte| char::from(b'a' + byte % 26));
    Who {
        handle: handle.to_owned(),
        key: key.collect(),
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

pub(crate) fn in_days(days: u32) -> u64 {
    now_ms() + u64::try_from((DAY * days).as_millis()).unwrap()
}

pub(crate) fn cat() -> DynamicImage {
    image::load_from_memory(include_bytes!("../../assets/cat.jpg")).unwrap()
}

pub(crate) fn coffee() -> DynamicImage {
    image::load_from_memory(include_bytes!("../../assets/coffee.png")).unwrap()
}

pub(crate) fn png(image: &DynamicImage) -> Picture {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).unwrap();
    Picture {
        kind: PictureKind::Png,
        bytes: file.into_inner().into(),
    }
}

impl Village {
    /// Nobody offers anything.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// A few people with pictures, requests and grants in every state.
    pub(crate) fn lively() -> Self {
        let village = Self::default();
        let (cat, coffee) = (cat(), coffee());
        village.offer(
            "ben",
            "Cat on the garden wall",
            Preview::Thumbnail,
            &cat,
            true,
        );
        village.offer("clara", "Morning coffee", Preview::Blur, &coffee, false);
        village.offer(
            "dmitri",
            "Harbour, before the storm",
            Preview::Blur,
            &coffee.huerotate(150),
            true,
        );
        village.offer(
            "ben",
            "Blueprint of the boathouse",
            Preview::None,
            &cat.grayscale(),
            true,
        );
        village.offer(
            "anna",
            "My cat, asleep",
            Preview::Thumbnail,
            &cat.fliph(),
            true,
        );
        let title =
            "A title that somebody made as long as they could, to see what the page does with it";
        village.offer(
            "eleonora-of-the-long-handle",
            title,
            Preview::Thumbnail,
            &coffee.huerotate(250),
            false,
        );
        village.ask(
            "ben",
            "My cat, asleep",
            3,
            "Hi anna, it is for the cover of the club's letter.\nBen",
        );
        village.ask("dmitri", "My cat, asleep", 10, "");
        for (title, owner, state, views, used) in [
            ("Cat on the garden wall", "ben", State::Active, 3, 1),
            ("Morning coffee", "clara", State::Delivering, 2, 0),
            ("Old bridge", "clara", State::Exhausted, 2, 2),
            ("The plan", "dmitri", State::Revoked, 5, 1),
            ("Letter", "ben", State::Rejected, 0, 0),
        ] {
            let grant = village.grant(title, owner, state, views, used);
            village.lock().grants.mine.push(grant);
        }
        for (viewer, state, views, used) in [
            ("clara", State::Active, 4, 2),
            ("ben", State::Expired, 1, 0),
        ] {
            let grant = village.grant("My cat, asleep", viewer, state, views, used);
            let looks = (1..=used).map(|number| Entry {
                at_ms: now_ms() - u64::from(used - number) * 3_600_000 * 30,
                who: who(viewer),
                what: format!("looked ({number} of {views})"),
                refused: false,
                proof: Some("9f2c".repeat(16)),
            });
            let mut entries: Vec<Entry> = looks.collect();
            if state == State::Expired {
                entries.push(Entry {
                    at_ms: now_ms(),
                    who: who(viewer),
                    what: "wanted to look: its time is over".to_owned(),
                    refused: true,
                    proof: None,
                });
            }
            let mut known = village.lock();
            known.audits.insert(grant.grant.clone(), entries);
            known.grants.given.push(grant);
        }
        village
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is known, to see whether it changed.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{:?}", self.lock())
    }

    fn number(&self) -> u32 {
        let mut known = self.lock();
        known.next += 1;
        known.next
    }

    fn tell(&self, topic: Topic, text: impl Into<String>) {
        let text = text.into();
        self.lock().events.push(Event { topic, text });
        self.changed.notify_waiters();
    }

    /// Somebody offers a picture.
    pub(crate) fn offer(
        &self,
        owner: &str,
        title: &str,
        preview: Preview,
        picture: &DynamicImage,
        online: bool,
    ) {
        let image = id(&format!("{owner}:{}", self.number()));
        let offer = Offer {
            image: image.clone(),
            title: title.to_owned(),
            owner: who(owner),
            mine: owner == "anna",
            owner_online: online,
            preview,
            format: "JPEG".to_owned(),
            width: picture.width() * 8,
            height: picture.height() * 8,
            bytes: 2_400_000,
            state: None,
        };
        let mut known = self.lock();
        known.pictures.insert(image, Photograph(picture.clone()));
        known.offers.push(offer);
        drop(known);
        self.tell(Topic::Catalog, "");
    }

    /// Somebody asks anna.
    pub(crate) fn ask(&self, from: &str, title: &str, views: u32, note: &str) {
        let request = id(&format!("request-{}", self.number()));
        let waiting = Waiting {
            request,
            from: who(from),
            image: id("anna:5"),
            title: title.to_owned(),
            views,
            note: note.to_owned(),
            at_ms: now_ms() - 7_200_000,
        };
        self.lock().waiting.push(waiting);
        self.tell(Topic::Inbox, format!("{from} asks for “{title}”."));
    }

    fn grant(&self, title: &str, other: &str, state: State, views: u32, used: u32) -> Grant {
        let number = self.number();
        Grant {
            grant: id(&format!("grant-{number}")),
            image: id(&format!("{other}:{number}")),
            title: title.to_owned(),
            other: who(other),
            state,
            asked: views.max(2),
            views,
            used,
            expires_ms: (views > 0).then(|| in_days(3)),
            why: (state == State::Rejected).then(|| "It is not mine to show.".to_owned()),
            delivered: (state == State::Delivering).then_some((1_500_000, 2_400_000)),
        }
    }

    /// The owner of what anna asked for last says yes, and it arrives.
    pub(crate) fn deliver(&self, views: u32) {
        let mut known = self.lock();
        let asked = known
            .grants
            .mine
            .iter_mut()
            .find(|grant| grant.state == State::Requested);
        let grant = asked.expect("anna has asked for something");
        grant.state = State::Active;
        grant.views = views;
        grant.expires_ms = Some(in_days(3));
        let text = format!("{} lets you look at “{}”.", grant.other.handle, grant.title);
        drop(known);
        self.tell(Topic::Grants, text);
    }
}

fn missing(what: &str) -> Error {
    Error::new(Code::NotFound, format!("there is no such {what}"))
}

impl Known {
    fn grant_mut(&mut self, id: &Id) -> Result<&mut Grant> {
        let all = self.grants.mine.iter_mut().chain(&mut self.grants.given);
        let mut found = all.filter(|grant| grant.grant == *id);
        found.next().ok_or_else(|| missing("grant"))
    }
}

fn publication(draft: &Draft) -> Result<(Publication, DynamicImage)> {
    let picture = image::load_from_memory(&draft.file).map_err(|_| {
        Error::new(
            Code::InvalidArgument,
            "the file is no JPEG, PNG or WebP picture",
        )
    })?;
    let has = |mark: &[u8]| draft.file.windows(mark.len()).any(|window| window == mark);
    let mut left_out = Vec::new();
    if has(b"Exif\0\0") {
        left_out.push("Where and when it was taken, and with which camera (EXIF)".to_owned());
        left_out.push("The small picture that the camera put into the file".to_owned());
    }
    let side = match draft.preview {
        Preview::None => 0,
        Preview::Blur => 12,
        Preview::Thumbnail => 240,
    };
    let preview = (side > 0).then(|| png(&picture.resize(side, side, FilterType::Triangle)));
    let told = Publication {
        image: None,
        title: draft.title.clone(),
        owner: who("anna"),
        format: "JPEG".to_owned(),
        width: picture.width(),
        height: picture.height(),
        bytes: (draft.file.len() as u64).next_multiple_of(1024),
        visibility: draft.visibility,
        preview: draft.preview,
        preview_picture: preview,
        left_out,
    };
    Ok((told, picture))
}

impl Person for Village {
    async fn me(&self) -> Result<Me> {
        Ok(Me {
            who: who("anna"),
            online: true,
        })
    }

    async fn catalog(&self, query: CatalogQuery) -> Result<CatalogPage> {
        let known = self.lock();
        let text = query.text.to_lowercase();
        let matches = |offer: &&Offer| {
            offer.title.to_lowercase().contains(&text) || offer.owner.handle.contains(&text)
        };
        let begin: usize = query
            .after
            .and_then(|after| after.parse().ok())
            .unwrap_or(0);
        let found: Vec<Offer> = known.offers.iter().filter(matches).cloned().collect();
        let end = begin + query.limit;
        Ok(CatalogPage {
            next: (found.len() > end).then(|| end.to_string()),
            offers: found.into_iter().skip(begin).take(query.limit).collect(),
        })
    }

    async fn preview(&self, image: Id) -> Result<Picture> {
        let known = self.lock();
        let offer = known.offers.iter().find(|offer| offer.image == image);
        let offer = offer.ok_or_else(|| missing("image"))?;
        let picture = &known.pictures[&image].0;
        match offer.preview {
            Preview::None => Err(missing("preview")),
            Preview::Blur => Ok(png(&picture.resize(12, 12, FilterType::Triangle))),
            Preview::Thumbnail => Ok(png(&picture.resize(360, 360, FilterType::Triangle))),
        }
    }

    async fn rehearse(&self, draft: Draft) -> Result<Publication> {
        Ok(publication(&draft)?.0)
    }

    async fn publish(&self, draft: Draft) -> Result<Publication> {
        let (mut told, picture) = publication(&draft)?;
        if draft.visibility == Visibility::Public {
            self.offer("anna", &draft.title, draft.preview, &picture, true);
        }
        told.image = Some(id("anna:new"));
        Ok(told)
    }

    async fn request(&self, ask: Ask) -> Result<()> {
        let mut known = self.lock();
        let offer = known
            .offers
            .iter_mut()
            .find(|offer| offer.image == ask.image);
        let offer = offer.ok_or_else(|| missing("image"))?;
        offer.state = Some(State::Requested);
        let (title, owner) = (offer.title.clone(), offer.owner.handle.clone());
        drop(known);
        let mut grant = self.grant(&title, &owner, State::Requested, 0, 0);
        grant.asked = ask.views;
        self.lock().grants.mine.insert(0, grant);
        self.tell(Topic::Grants, "");
        Ok(())
    }

    async fn inbox(&self) -> Result<Vec<Waiting>> {
        Ok(self.lock().waiting.clone())
    }

    async fn decide(&self, decision: Decision) -> Result<()> {
        let mut known = self.lock();
        let mut waiting = known.waiting.iter();
        let place = waiting.position(|waiting| waiting.request == decision.request);
        let waiting = known
            .waiting
            .remove(place.ok_or_else(|| missing("request"))?);
        drop(known);
        let mut grant = match decision.answer {
            Answer::Approve { views, expires_ms } => {
                let mut grant = self.grant(
                    &waiting.title,
                    &waiting.from.handle,
                    State::Active,
                    views,
                    0,
                );
                grant.expires_ms = Some(expires_ms);
                grant
            }
            Answer::Reject { why } => {
                let mut grant =
                    self.grant(&waiting.title, &waiting.from.handle, State::Rejected, 0, 0);
                grant.why = Some(why);
                grant
            }
        };
        grant.asked = waiting.views;
        self.lock().grants.given.insert(0, grant);
        self.tell(Topic::Grants, "");
        Ok(())
    }

    async fn grants(&self) -> Result<Grants> {
        Ok(self.lock().grants.clone())
    }

    async fn view(&self, grant: Id, attempt: Id) -> Result<View> {
        let mut known = self.lock();
        let spent = known.views.get(&attempt).copied();
        let granted = known.grant_mut(&grant)?;
        if spent.is_none() && granted.state != State::Active {
            return Ok(View::Over(granted.state));
        }
        let (number, of) = spent.unwrap_or((granted.used + 1, granted.views));
        if spent.is_none() {
            granted.used = number;
            if number == of {
                granted.state = State::Exhausted;
            }
            known.views.insert(attempt, (number, of));
        }
        drop(known);
        self.tell(Topic::Grants, "");
        Ok(View::Shown {
            picture: png(&cat()),
            number,
            of,
        })
    }

    async fn cover(&self, grant: Id) -> Result<Picture> {
        self.lock().grant_mut(&grant)?;
        Ok(png(&coffee()))
    }

    async fn extend(&self, terms: Extension) -> Result<()> {
        let mut known = self.lock();
        let grant = known.grant_mut(&terms.grant)?;
        if terms.views < grant.used {
            let message = format!("{} views are used already", grant.used);
            return Err(Error::new(Code::FailedPrecondition, message));
        }
        grant.views = terms.views;
        grant.expires_ms = Some(terms.expires_ms);
        grant.state = if terms.views > grant.used {
            State::Active
        } else {
            State::Exhausted
        };
        drop(known);
        self.tell(Topic::Grants, "");
        Ok(())
    }

    async fn revoke(&self, grant: Id) -> Result<()> {
        self.lock().grant_mut(&grant)?.state = State::Revoked;
        self.tell(Topic::Grants, "");
        Ok(())
    }

    async fn audit(&self, grant: Id) -> Result<Vec<Entry>> {
        let known = self.lock();
        Ok(known.audits.get(&grant).cloned().unwrap_or_default())
    }

    async fn events(&self, cursor: Option<String>) -> Result<Events> {
        loop {
            let changed = self.changed.notified();
            {
                let known = self.lock();
                let begin = match cursor.as_ref().map(|cursor| cursor.parse::<usize>()) {
                    None => known.events.len(),
                    Some(Ok(begin)) if begin <= known.events.len() => begin,
                    Some(_) => {
                        return Ok(Events {
                            cursor: known.events.len().to_string(),
                            events: vec![Event {
                                topic: Topic::All,
                                text: String::new(),
                            }],
                        });
                    }
                };
                if cursor.is_none() || begin < known.events.len() {
                    return Ok(Events {
                        cursor: known.events.len().to_string(),
                        events: known.events[begin..].to_vec(),
                    });
                }
            }
            changed.await;
        }
    }
}
