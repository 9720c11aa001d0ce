//! The viewer's side: asking for views, and fetching what was granted. And how all grants stand, for
//! both sides.

use distri::{Result, id::PublicKey, identity::Identity};

use super::{
    Person, PersonError, PersonEvent, Who, is_away,
    kept::{Asked, Given, Known, Outcome, Reply, Seed},
    letters::{letter_id, randomness},
    now_ms,
    profile::Shelf,
};
use crate::{
    images::{
        delivery::{ImageDeliveryClient, Progress, receive},
        media::{NOTE_MAX, clean_text},
        record::{Approval, Message, Request},
    },
    permissions::{GrantState, ImageId, RequestId},
};

/// A request, or the grant that came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Its id.
    pub request: RequestId,
    /// Which side of it the person is on.
    pub side: GrantSide,
    /// The image.
    pub image: ImageId,
    /// What that is called.
    pub title: String,
    /// The other side.
    pub other: Who,
    /// How it stands.
    pub state: State,
    /// How often was asked for.
    pub asked: u32,
    /// How often is granted.
    pub views: u32,
    /// How often was looked, as far as is known.
    pub used: u32,
    /// Until when, if there is a grant; milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Why it was rejected.
    pub why: Option<String>,
    /// How far the image is, while [`Person::fetch_all`] fetches it.
    pub delivery: Option<Progress>,
}

/// Which side of a grant somebody is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantSide {
    /// Others let the person see.
    Viewer,
    /// The person lets others see.
    Owner,
}

/// How a request or grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was asked for.
    Requested,
    /// It was rejected.
    Rejected,
    /// It was granted, and the image is not here yet.
    Approved,
    /// There are views left.
    Active,
    /// All views are used.
    Exhausted,
    /// Its time is over.
    Expired,
    /// Its owner took it back.
    Revoked,
}

impl Person {
    /// Asks the owner of an image for views. Kept in the profile first; the letter goes out when the
    /// cloud is there.
    ///
    /// # Errors
    /// [`PersonError::NotJoined`], [`PersonError::NotOffered`], [`PersonError::Lie`].
    pub async fn request(
        &self,
        owner: PublicKey,
        image: ImageId,
        views: u32,
        note: &str,
    ) -> Result<RequestId> {
        let _gate = self.inner.gate.lock().await?;
        self.me().await?;
        let title = match self.offered(owner, image).await {
            Ok(entry) => entry.offer.title,
            // It may be offered; its owner will say.
            Err(error) if is_away(&error) => "(seen later)".to_owned(),
            Err(error) => return Err(error),
        };
        let mut randomness = randomness()?;
        let request = RequestId::from_array(randomness.id());
        let asked = Asked {
            request,
            owner,
            image,
            title,
            views,
            note: clean_text(note, NOTE_MAX),
            posted: false,
            at_ms: now_ms(),
            viewer: Seed::new(&randomness.secret()),
            outcome: Outcome::Waiting,
            known: None,
            heard: None,
            delivered: false,
            closed: None,
        };
        // Refused here what its owner would not read.
        self.letter_of(&asked)?;
        self.inner
            .profile
            .save(Shelf::Asked, &request, &asked)
            .await?;
        match self.post_requests().await {
            Ok(()) => {}
            Err(error) if is_away(&error) => return Ok(request),
            Err(error) => return Err(error),
        }
        match self.flush().await {
            Err(error) if !is_away(&error) => Err(error),
            _ => Ok(request),
        }
    }

    fn letter_of(&self, asked: &Asked) -> Result<Message> {
        let viewer = viewer_of(asked)?;
        let request = Request {
            request: asked.request,
            image: asked.image,
            views: asked.views,
            note: asked.note.clone(),
            viewer: viewer.public(),
            sealing: self.inner.profile.sealing().public(),
        };
        let message = Message::Request(request);
        message.check()?;
        Ok(message)
    }

    /// Puts the letters of requests into the outbox that are in none yet.
    pub(super) async fn post_requests(&self) -> Result<()> {
        let profile = &self.inner.profile;
        let all: Vec<Asked> = profile.all(Shelf::Asked).await?;
        for mut asked in all.into_iter().filter(|asked| !asked.posted) {
            let message = self.letter_of(&asked)?;
            let id = letter_id("request", asked.request, 0);
            self.post(id, asked.owner, message).await?;
            asked.posted = true;
            profile.save(Shelf::Asked, &asked.request, &asked).await?;
        }
        Ok(())
    }

    pub(super) async fn asked(&self, request: RequestId) -> Result<Asked> {
        let asked = self.inner.profile.load(Shelf::Asked, &request).await?;
        asked.ok_or_else(|| PersonError::NoRequest { request }.into())
    }

    /// What was granted for a request of the person.
    pub(super) async fn granted(&self, request: RequestId) -> Result<(Asked, Approval)> {
        let asked = self.asked(request).await?;
        match &asked.outcome {
            Outcome::Approved(approval) => {
                let approval = (**approval).clone();
                Ok((asked, approval))
            }
            Outcome::Rejected { why } => {
                let why = Some(why.clone());
                Err(PersonError::NotApproved { request, why }.into())
            }
            Outcome::Waiting => Err(PersonError::NotApproved { request, why: None }.into()),
        }
    }

    /// Fetches the stego image of a grant from its owner's peer, whichever of the owner's devices is
    /// there. What arrived before a cut or a restart is not fetched again.
    ///
    /// # Errors
    /// Why the last device did not deliver. [`PersonError::NotApproved`].
    pub async fn fetch(
        &self,
        request: RequestId,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<()> {
        let _only = self.inner.profile.fetching(&request).await?;
        let (asked, approval) = self.granted(request).await?;
        if asked.delivered {
            return Ok(());
        }
        let owner = self.user(asked.owner).await?;
        let mut last = None;
        for device in owner.devices {
            let peer = self.inner.client.peer(device);
            let delivery = ImageDeliveryClient::new(&peer);
            match self
                .fetch_from(&delivery, &asked, &approval, progress)
                .await
            {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        let nobody = || distri::Error::not_found("the owner has no device");
        Err(last.unwrap_or_else(nobody))
    }

    async fn fetch_from(
        &self,
        delivery: &ImageDeliveryClient,
        asked: &Asked,
        approval: &Approval,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<()> {
        let (profile, request) = (&self.inner.profile, asked.request);
        let target = profile.stego(approval.core.grant);
        let viewer = viewer_of(asked)?;
        let device = self.inner.client.key();
        receive(delivery, device, &approval.core, &viewer, &target, progress)
            .await
            .map_err(distri::Error::from)?;
        let _gate = self.inner.gate.lock().await?;
        let mut asked = self.asked(request).await?;
        asked.delivered = true;
        profile.save(Shelf::Asked, &request, &asked).await?;
        self.inner.events.tell(PersonEvent::Delivered { request });
        Ok(())
    }

    /// The picture in which the granted one is hidden: what everybody may see of it.
    ///
    /// # Errors
    /// [`PersonError::NotDelivered`], [`PersonError::NoRequest`], [`PersonError::NotApproved`].
    pub async fn cover(&self, request: RequestId) -> Result<Vec<u8>> {
        let profile = &self.inner.profile;
        let grant = match profile.load::<Given>(Shelf::Given, &request).await? {
            Some(Given {
                reply: Some(Reply::Approved(allowed)),
                ..
            }) => allowed.core().grant,
            Some(_) => return Err(PersonError::NotApproved { request, why: None }.into()),
            None => self.granted(request).await?.1.core.grant,
        };
        let file = profile.read_file(profile.stego(grant)).await?;
        file.ok_or_else(|| PersonError::NotDelivered { request }.into())
    }

    /// All requests and grants of both sides, the latest first, as the ledger says that they stand, or
    /// as it said last, where it cannot be reached.
    ///
    /// # Errors
    /// When the profile cannot be read.
    pub async fn grants(&self) -> Result<Vec<Grant>> {
        let _gate = self.inner.gate.lock().await?;
        self.all_grants(true).await
    }

    /// As [`Person::grants`], as it was known last: nobody is asked.
    ///
    /// # Errors
    /// When the profile cannot be read.
    pub async fn known_grants(&self) -> Result<Vec<Grant>> {
        self.all_grants(false).await
    }

    async fn all_grants(&self, mut ask: bool) -> Result<Vec<Grant>> {
        let profile = &self.inner.profile;
        let mut all = Vec::new();
        for mut asked in profile.all::<Asked>(Shelf::Asked).await? {
            if ask {
                ask = !self.refresh_asked(&mut asked).await?;
            }
            all.push((asked.at_ms, self.as_viewer(asked).await?));
        }
        for mut given in profile.all::<Given>(Shelf::Given).await? {
            if ask {
                ask = !self.refresh_given(&mut given).await?;
            }
            all.push((given.at_ms, self.as_owner(given).await?));
        }
        all.sort_by_key(|(at_ms, grant)| (std::cmp::Reverse(*at_ms), grant.request));
        Ok(all.into_iter().map(|(_, grant)| grant).collect())
    }

    /// Asks the ledger how the grant stands. True if it is away.
    async fn refresh_asked(&self, asked: &mut Asked) -> Result<bool> {
        let Outcome::Approved(approval) = &asked.outcome else {
            return Ok(false);
        };
        let viewer = viewer_of(asked)?;
        let status = self.ledger().status(self.ask(approval.core.grant, &viewer));
        match status.await {
            Ok(status) => {
                asked.known = Some(Known::from(&status));
                self.inner
                    .profile
                    .save(Shelf::Asked, &asked.request, asked)
                    .await?;
                Ok(false)
            }
            Err(error) => Ok(is_away(&error)),
        }
    }

    async fn refresh_given(&self, given: &mut Given) -> Result<bool> {
        if !matches!(&given.reply, Some(Reply::Approved(allowed)) if allowed.registered) {
            return Ok(false);
        }
        match self.status_of(given).await {
            Ok(status) => {
                if let Some(Reply::Approved(allowed)) = &mut given.reply {
                    allowed.known = Some(Known::from(&status));
                }
                self.inner
                    .profile
                    .save(Shelf::Given, &given.request.request, given)
                    .await?;
                Ok(false)
            }
            Err(error) => Ok(is_away(&error)),
        }
    }

    async fn as_viewer(&self, asked: Asked) -> Result<Grant> {
        let (mut views, mut expires_ms, mut why) = (0, None, None);
        let state = match &asked.outcome {
            Outcome::Waiting => State::Requested,
            Outcome::Rejected { why: said } => {
                why = Some(said.clone());
                State::Rejected
            }
            Outcome::Approved(approval) => {
                (views, expires_ms) = (approval.views, Some(approval.expires_ms));
                match state_of(asked.known) {
                    State::Active if !asked.delivered => State::Approved,
                    state => state,
                }
            }
        };
        if let Some(known) = asked.known {
            (views, expires_ms) = (known.views, Some(known.expires_ms));
        }
        Ok(Grant {
            request: asked.request,
            side: GrantSide::Viewer,
            image: asked.image,
            title: asked.title,
            other: self.who(asked.owner).await?,
            state,
            asked: asked.views,
            views,
            used: asked.known.map_or(0, |known| known.used),
            expires_ms,
            why,
            delivery: self.inner.transfers.progress(asked.request),
        })
    }

    async fn as_owner(&self, given: Given) -> Result<Grant> {
        let (mut views, mut used, mut expires_ms, mut why) = (0, 0, None, None);
        let state = match &given.reply {
            None => State::Requested,
            Some(Reply::Rejected { why: said, .. }) => {
                why = Some(said.clone());
                State::Rejected
            }
            Some(Reply::Approved(allowed)) => {
                (views, expires_ms) = (allowed.views, Some(allowed.expires_ms));
                if let Some(known) = allowed.known {
                    (views, used, expires_ms) = (known.views, known.used, Some(known.expires_ms));
                }
                if allowed.revoked {
                    State::Revoked
                } else {
                    state_of(allowed.known)
                }
            }
        };
        Ok(Grant {
            request: given.request.request,
            side: GrantSide::Owner,
            image: given.request.image,
            title: self.title_of(given.request.image).await?,
            other: self.who(given.from).await?,
            state,
            asked: given.request.views,
            views,
            used,
            expires_ms,
            why,
            delivery: None,
        })
    }
}

/// How a grant stands, as the ledger said, and by the clock here: the ledger ends a grant a little
/// after its time, and releases nothing from then on in any case.
pub(super) fn state_of(known: Option<Known>) -> State {
    let Some(known) = known else {
        return State::Active;
    };
    match known.state {
        GrantState::Active if known.expires_ms <= now_ms() => State::Expired,
        GrantState::Active => State::Active,
        GrantState::Exhausted => State::Exhausted,
        GrantState::Expired => State::Expired,
        GrantState::Revoked => State::Revoked,
    }
}

/// The viewer's key of a request.
pub(super) fn viewer_of(asked: &Asked) -> Result<Identity> {
    let what = || PersonError::Damaged {
        what: format!("asked/{}", asked.request),
    };
    Ok(asked.viewer.identity().ok_or_else(what)?)
}
