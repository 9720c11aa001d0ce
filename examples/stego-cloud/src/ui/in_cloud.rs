//! [`InCloud`]: a person in a cloud, as the page sees them.
//!
//! The work is that of [`distri_services::images::person`]; here it gets the form of the page: its ids,
//! its words, its pictures. `forms` turns one form into the other, `search` finds offers by title and by
//! owner, `words` says what happened.

use std::collections::{HashMap, hash_map};

use distri::{Code, Error, Result};
use distri_services::images::person::{
    self, Answer as Decided, Draft as Drafted, GrantSide, PersonError, State as Standing, Terms,
};
use tokio::task::JoinSet;

mod forms;
mod search;
mod words;

use super::person::{
    Answer, Ask, CatalogPage, CatalogQuery, Decision, Draft, Entry, Events, Extension, Grants, Id,
    Me, Offer, Person, Picture, Publication, View, Waiting,
};
use crate::home::Home;
use forms::{Named, image_of, named, request_of};

/// A person in a cloud.
///
/// While it is there it follows the cloud and fetches what is granted; dropping it ends that.
#[derive(Debug)]
pub struct InCloud {
    person: person::Person,
    /// Where the pictures are in which others are hidden.
    home: Home,
    /// Begins the cursors of this run: the numbers of events begin anew with each.
    run: String,
    _at_work: JoinSet<()>,
}

impl InCloud {
    /// `person`, who lives in `home`. Letters are read and pictures fetched from now on.
    ///
    /// # Errors
    /// If the system has no random bytes.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(person: person::Person, home: Home) -> Result<Self> {
        let mut run = [0; 8];
        getrandom::fill(&mut run)
            .map_err(|error| Error::internal("the system has no random bytes", error))?;
        let mut at_work = JoinSet::new();
        let (follows, fetches) = (person.clone(), person.clone());
        at_work.spawn(async move { follows.follow().await });
        at_work.spawn(async move { fetches.fetch_all().await });
        Ok(Self {
            person,
            home,
            run: data_encoding::HEXLOWER.encode(&run),
            _at_work: at_work,
        })
    }

    fn offer(&self, entry: person::CatalogEntry, asked: &Stands, here: bool) -> Result<Offer> {
        let mine = entry.owner.key == self.person.key();
        let image = Named {
            owner: entry.owner.key,
            image: entry.image,
        };
        let shown = entry.offer;
        Ok(Offer {
            image: named(image)?,
            title: shown.title,
            mine,
            owner_online: mine || here,
            owner: forms::who(entry.owner),
            preview: forms::preview(shown.preview.kind()),
            format: shown.format.to_string(),
            width: shown.width,
            height: shown.height,
            bytes: shown.bytes,
            state: asked.get(&image).copied().map(forms::state),
        })
    }

    /// How the person stands with the images that they asked for.
    async fn stands(&self) -> Result<Stands> {
        let mut stands = HashMap::new();
        // The latest first.
        for grant in self.person.known_grants().await? {
            if grant.side == GrantSide::Viewer {
                let image = Named {
                    owner: grant.other.key,
                    image: grant.image,
                };
                stands.entry(image).or_insert(grant.state);
            }
        }
        Ok(stands)
    }

    /// One of the pictures in the home's folder `covers`, another each time; without them a landscape is
    /// drawn.
    async fn cover_to_hide_in(&self) -> Result<Option<Vec<u8>>> {
        let home = self.home.clone();
        let picked = tokio::task::spawn_blocking(move || {
            home.cover().map_err(|failure| {
                let told = failure.to_string();
                let told = told.strip_prefix("error: ").unwrap_or(&told);
                Error::new(Code::FailedPrecondition, told)
            })
        });
        picked
            .await
            .map_err(|error| Error::internal("a cover could not be picked", error))?
    }

    async fn draft(&self, draft: Draft) -> Result<Drafted> {
        let drafted = tokio::task::spawn_blocking(move || {
            let title = Some(draft.title.as_str());
            let preview = forms::preview_kind(draft.preview);
            let visibility = forms::listed(draft.visibility);
            Drafted::new(&draft.file, "", title, preview, visibility)
        });
        drafted
            .await
            .map_err(|error| Error::internal("a picture could not be read", error))?
    }
}

type Stands = HashMap<Named, Standing>;

impl Person for InCloud {
    async fn me(&self) -> Result<Me> {
        Ok(Me {
            who: forms::who(self.person.me().await?),
            online: self.person.is_online(),
        })
    }

    async fn catalog(&self, query: CatalogQuery) -> Result<CatalogPage> {
        let (entries, next) = search::page(&self.person, &query).await?;
        let stands = self.stands().await?;
        let mut here = HashMap::new();
        let mut offers = Vec::new();
        for entry in entries {
            let owner = entry.owner.key;
            let is_here = match here.entry(owner) {
                hash_map::Entry::Occupied(known) => *known.get(),
                // Whoever cannot be asked about is away.
                hash_map::Entry::Vacant(unknown) => {
                    *unknown.insert(self.person.is_here(owner).await.unwrap_or(false))
                }
            };
            offers.push(self.offer(entry, &stands, is_here)?);
        }
        Ok(CatalogPage { offers, next })
    }

    async fn preview(&self, image: Id) -> Result<Picture> {
        let Named { owner, image } = image_of(&image)?;
        let entry = self.person.offered(owner, image).await?;
        forms::previewed(&entry.offer.preview)
            .ok_or_else(|| Error::not_found("nothing of it may be seen beforehand"))
    }

    async fn rehearse(&self, draft: Draft) -> Result<Publication> {
        let me = self.person.me().await?;
        Ok(forms::publication(me, &self.draft(draft).await?))
    }

    async fn publish(&self, draft: Draft) -> Result<Publication> {
        let me = self.person.me().await?;
        let draft = self.draft(draft).await?;
        let mut told = forms::publication(me, &draft);
        let image = self.person.publish(draft).await?;
        let owner = self.person.key();
        told.image = Some(named(Named { owner, image })?);
        Ok(told)
    }

    async fn request(&self, ask: Ask) -> Result<()> {
        let Named { owner, image } = image_of(&ask.image)?;
        if owner == self.person.key() {
            let message = "it is yours: look at the file";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let asked = self.person.request(owner, image, ask.views, &ask.note);
        asked.await.map(|_| ())
    }

    async fn inbox(&self) -> Result<Vec<Waiting>> {
        let me = self.person.key();
        let waiting = self.person.inbox().await?;
        let waiting = waiting.into_iter();
        waiting.map(|waiting| forms::waiting(me, waiting)).collect()
    }

    async fn decide(&self, decision: Decision) -> Result<()> {
        let answer = match decision.answer {
            Answer::Approve { views, expires_ms } => Decided::Approve {
                terms: Terms { views, expires_ms },
                cover: self.cover_to_hide_in().await?,
            },
            Answer::Reject { why } => Decided::Reject { why },
        };
        let request = request_of(&decision.request)?;
        self.person.decide(request, answer).await
    }

    async fn grants(&self) -> Result<Grants> {
        let me = self.person.key();
        let mut grants = Grants::default();
        for grant in self.person.grants().await? {
            match grant.side {
                GrantSide::Viewer => grants.mine.push(forms::grant(me, grant)?),
                // What waits for the person's own answer is in the inbox.
                GrantSide::Owner if grant.state == Standing::Requested => {}
                GrantSide::Owner => grants.given.push(forms::grant(me, grant)?),
            }
        }
        Ok(grants)
    }

    async fn view(&self, grant: Id, attempt: Id) -> Result<View> {
        match self
            .person
            .view(request_of(&grant)?, attempt.as_str())
            .await?
        {
            person::View::Shown(seen) => Ok(View::Shown {
                picture: forms::file(&seen.file)?,
                number: seen.view,
                of: seen.of,
            }),
            person::View::Over { state, .. } => Ok(View::Over(forms::state(state))),
        }
    }

    async fn cover(&self, grant: Id) -> Result<Picture> {
        forms::file(&self.person.cover(request_of(&grant)?).await?)
    }

    async fn extend(&self, terms: Extension) -> Result<()> {
        let Extension {
            grant,
            views,
            expires_ms,
        } = terms;
        let terms = Terms { views, expires_ms };
        self.person.extend(request_of(&grant)?, terms).await
    }

    async fn revoke(&self, grant: Id) -> Result<()> {
        self.person.revoke(request_of(&grant)?).await
    }

    async fn audit(&self, grant: Id) -> Result<Vec<Entry>> {
        let request = request_of(&grant)?;
        let grants = self.person.known_grants().await?;
        let grant = grants.into_iter().find(|known| known.request == request);
        let grant = grant.ok_or(PersonError::NoRequest { request })?;
        let other = forms::who(grant.other);
        let me = forms::who(self.person.me().await?);
        let (owner, viewer) = match grant.side {
            GrantSide::Owner => (me, other),
            GrantSide::Viewer => (other, me),
        };
        let audited = self.person.audit(request).await?;
        Ok(audited
            .into_iter()
            .map(|entry| forms::entry(entry, &owner, &viewer))
            .collect())
    }

    async fn events(&self, cursor: Option<String>) -> Result<Events> {
        words::events(&self.person, &self.run, cursor).await
    }
}
