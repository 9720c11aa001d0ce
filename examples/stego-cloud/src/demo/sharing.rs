//! The first half of the story: a photograph is offered, asked for, granted and delivered.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use distri::cli::{Exit, Failure};
use distri_services::{
    images::{
        cloud::Search,
        delivery::Progress,
        media::{self, PreviewKind},
        person::{Answer, CatalogEntry, Draft, PersonEvent, Terms},
        record::Visibility,
    },
    permissions::RequestId,
};

use super::{Story, cast::event, failed, wrong};
use crate::{photographs, show};

/// What Alice calls her photograph.
const TITLE: &str = "Cat on the garden wall";

/// What Bob writes to her.
pub(super) const NOTE: &str = "It is for the club's letter, for nobody else.";

/// How long a grant lasts.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Longer than it takes to find somebody again who is elsewhere now.
const FOUND: Duration = Duration::from_secs(30);

impl Story {
    /// Alice offers the cat: what leaves her computer is what she saw beforehand.
    pub(super) async fn publish(&mut self) -> Result<(), Failure> {
        let photograph = photographs::with_place();
        self.folder.leave("photograph.jpg", &photograph)?;
        let carried = media::carried(&photograph);

        let began = Instant::now();
        let draft = Draft::new(
            &photograph,
            "photograph.jpg",
            Some(TITLE),
            PreviewKind::Blur,
            Visibility::Public,
        )?;
        self.published = draft.file().to_vec();
        let offer = draft.offer.clone();
        self.cast.alice.person()?.publish(draft).await?;
        let took = began.elapsed();

        let media::Preview::Blur(preview) = &offer.preview else {
            return Err(wrong("another preview was made than was asked for"));
        };
        self.folder.leave("preview.png", preview)?;
        if carried.is_empty() || !media::carried(&self.published).is_empty() {
            return Err(wrong("the file carries something besides pixels"));
        }
        self.tell.step("Alice offers a photograph", took)?;
        self.tell.line(&format!(
            "“{}”, {}, {}; others see a blur of {}.",
            offer.title,
            offer.format,
            show::size(offer.width, offer.height),
            show::bytes(preview.len() as u64),
        ))?;
        self.tell
            .proves("The place and the camera that were in the file are in nothing that leaves.")
    }

    /// Bob finds it.
    pub(super) async fn find(&mut self) -> Result<CatalogEntry, Failure> {
        let began = Instant::now();
        let gallery = self.cast.bob.person()?.catalog(Search::default()).await?;
        let took = began.elapsed();

        let [entry] = gallery.entries.as_slice() else {
            return Err(wrong("the catalogue does not have one photograph"));
        };
        if entry.owner.key != self.cast.alice.person()?.key() || !gallery.lies.is_empty() {
            return Err(wrong("the photograph is not Alice's"));
        }
        self.tell.step("Bob finds it in the catalogue", took)?;
        self.tell.line(&format!(
            "“{}” of {}, whose key is {}…",
            entry.offer.title,
            entry.owner.handle,
            entry.owner.key.short(),
        ))?;
        self.tell
            .proves("Alice's signature holds: no node can offer something in her name.")?;
        Ok(entry.clone())
    }

    /// Bob asks for three views; his letter arrives while Alice is there.
    pub(super) async fn request(&mut self, found: &CatalogEntry) -> Result<RequestId, Failure> {
        let alice = self.cast.alice.person()?;
        let cursor = alice.log().cursor();
        let began = Instant::now();
        let bob = self.cast.bob.person()?;
        let asked = bob.request(found.owner.key, found.image, 3, NOTE).await?;
        let requested = |told: &PersonEvent| match told {
            PersonEvent::Requested { request } if *request == asked => Some(()),
            _ => None,
        };
        event(alice.log(), cursor, "Bob's request", requested).await?;
        let took = began.elapsed();
        self.way.step("the request reaches Alice", took);

        let waiting = alice.inbox().await?;
        let [waiting] = waiting.as_slice() else {
            return Err(wrong("Alice's inbox does not have one request"));
        };
        if (waiting.views, waiting.note.as_str()) != (3, NOTE) {
            return Err(wrong("Alice reads another request than Bob wrote"));
        }
        self.cloud_lacks(NOTE.as_bytes())?;
        self.tell.step("Bob asks for 3 views", took)?;
        self.tell.line(&format!("“{NOTE}”"))?;
        self.tell
            .proves("The letter is sealed: no file of any node has its words.")?;
        Ok(asked)
    }

    /// Alice allows fewer, and hides the photograph in another.
    pub(super) async fn approve(&mut self, request: RequestId) -> Result<(), Failure> {
        let cover = photographs::cover();
        self.folder.leave("cover.png", &cover.bytes)?;
        let bob = self.cast.bob.person()?;
        let cursor = bob.log().cursor();
        let began = Instant::now();
        let answer = Answer::Approve {
            terms: Terms {
                views: 2,
                expires_ms: in_a_week(),
            },
            cover: Some(cover.bytes.to_vec()),
        };
        let alice = self.cast.alice.person()?;
        alice.decide(request, answer).await?;
        let decided = began.elapsed();
        let answered = |told: &PersonEvent| match told {
            PersonEvent::Decided { request: about } if *about == request => Some(()),
            _ => None,
        };
        event(bob.log(), cursor, "Alice's answer", answered).await?;
        let took = began.elapsed();
        self.way.step(
            "Alice's program seals it, hides it, tells the cloud",
            decided,
        );
        self.way.step("the answer reaches Bob", took - decided);

        self.delivered = alice.cover(request).await?;
        self.folder.leave("delivered.png", &self.delivered)?;
        let difference = Difference::between(&cover.bytes, &self.delivered)?;
        self.tell.step("Alice allows 2, for a week", took)?;
        self.tell.line(&format!(
            "Encrypted, and hidden in a photograph of coffee: {} of {} colour",
            show::count(difference.changed),
            show::count(difference.all),
        ))?;
        self.tell.line("values differ, each by 1.")?;
        self.cloud_lacks_the_picture()?;
        self.tell
            .proves("The cloud has half of the key, Bob the other, and no node has the picture.")
    }

    /// It goes from her computer to his. Hers goes away in the middle of it, and comes back elsewhere.
    pub(super) async fn deliver(&mut self, request: RequestId) -> Result<(), Failure> {
        let bob = self.cast.bob.person()?.clone();
        let before = self.cast.alice.address();
        let began = Instant::now();

        let (tell, mut told) = tokio::sync::watch::channel(None);
        let mut note = |progress: Progress| {
            tell.send_replace(Some(progress));
        };
        let whole_pieces =
            |progress: &Option<Progress>| progress.is_some_and(|one| one.arrived > 0);
        let cut = {
            let mut fetching = pin!(bob.fetch(request, &mut note));
            tokio::select! {
                ended = &mut fetching => ended.err(),
                _ = told.wait_for(whole_pieces) => {
                    self.cast.alice.vanish();
                    fetching.await.err()
                }
            }
        };
        if cut.is_none() {
            return Err(wrong("the delivery was over before Alice was gone"));
        }
        let first = told.borrow().map_or(0, |progress| progress.done);

        self.cast.alice.come().await?;
        self.cast.alice.follow();
        self.cast.alice.is_known().await?;
        let back = Instant::now();
        let found = loop {
            match bob.fetch(request, &mut note).await {
                Ok(()) => break back.elapsed(),
                Err(error) if error.is_retryable() && back.elapsed() < FOUND => {
                    tokio::task::yield_now().await;
                }
                Err(error) => return Err(failed(error)),
            }
        };
        let took = began.elapsed();
        self.way
            .step("the image is delivered, Alice away in between", took);

        let last = told.borrow().ok_or_else(|| wrong("nothing was told"))?;
        if first + last.arrived != last.of || bob.cover(request).await? != self.delivered {
            return Err(wrong("what arrived is not what was sent, once"));
        }
        self.tell.step(
            "It goes from Alice's computer to Bob's, not through the cloud",
            took,
        )?;
        self.tell.line(&format!(
            "{} of {} are there when her lid is closed. She is back at",
            show::count(first),
            show::bytes(last.of),
        ))?;
        self.tell.line(&format!(
            "{} instead of {before}; the rest is there {} later.",
            self.cast.alice.address(),
            show::time(found),
        ))?;
        self.tell
            .proves("Nothing was sent twice; each piece was checked before it touched the file.")
    }

    /// Bob would like to see it again. That is how the page finds the two.
    pub(super) async fn ask_again(&mut self, found: &CatalogEntry) -> Result<(), Failure> {
        let alice = self.cast.alice.person()?;
        let cursor = alice.log().cursor();
        let began = Instant::now();
        let bob = self.cast.bob.person()?;
        let asked = bob
            .request(found.owner.key, found.image, 3, "One more time?")
            .await?;
        let requested = |told: &PersonEvent| match told {
            PersonEvent::Requested { request } if *request == asked => Some(()),
            _ => None,
        };
        event(alice.log(), cursor, "Bob's request", requested).await?;
        let covers = self.cast.alice.home.folder().join("covers");
        crate::files::make_folder(&covers)?;
        let cover = photographs::cover();
        crate::files::write(&covers.join(cover.name), &cover.bytes)?;
        self.tell.step(
            "Bob asks once more, and Alice has not answered",
            began.elapsed(),
        )?;
        self.tell
            .line("Answer him on her page: how to open it stands below.")
    }
}

pub(super) fn in_a_week() -> u64 {
    distri::cli::time::unix_ms_in(WEEK)
}

/// How far two pictures of one size are from each other.
struct Difference {
    changed: u64,
    all: u64,
}

impl Difference {
    /// Counts the colour values that differ. They may do so by one step.
    fn between(cover: &[u8], stego: &[u8]) -> Result<Self, Failure> {
        let decode = |file: &[u8]| {
            image::load_from_memory(file)
                .map(image::DynamicImage::into_rgb8)
                .map_err(|error| Failure::new(Exit::Failed, error))
        };
        let (cover, stego) = (decode(cover)?, decode(stego)?);
        if cover.dimensions() != stego.dimensions() {
            return Err(wrong("the cover has another size with the picture in it"));
        }
        let steps = cover.iter().zip(stego.iter()).map(|(a, b)| a.abs_diff(*b));
        if steps.clone().any(|step| step > 1) {
            return Err(wrong("a colour differs by more than one step"));
        }
        Ok(Self {
            changed: steps.clone().filter(|step| *step == 1).count() as u64,
            all: steps.count() as u64,
        })
    }
}
