//! A person who shares pictures: what a program does on their behalf.
//!
//! [`Person`] stands between a [`Profile`] (a folder with the person's keys and all that is known of
//! images, requests and grants) and the cloud. Everything that changes something is written to the
//! profile first and then done, so a program that is killed goes on where it was when it is started
//! again ([`Person::settle`]): no request is answered twice, no view is spent twice for one look.
//! What cannot be done because the cloud is away is done when it is back.
//!
//! A request and the grant that answers it have one id, that of the request; by it both sides call
//! them. Files in a profile are named by ids alone, whatever others call their pictures.
//!
//! `profile` is the folder, `kept` what is in it, `gate` lets one change it at a time; `gallery` is what is
//! offered, `letters` how people write to each other, `asking` the viewer's side, `giving` and `changing` the
//! owner's, `looking` how a view is spent, `shelf` what is delivered, `fetching` how it comes, `events` what
//! happened, `following` what becomes of grants.

mod asking;
mod changing;
mod error;
mod events;
mod fetching;
mod following;
mod gallery;
mod gate;
mod giving;
mod kept;
mod letters;
mod looking;
mod profile;
mod shelf;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use distri::{
    Client, Result,
    client::NodeState,
    id::PublicKey,
    signed::{Latest, Signed},
};

use self::gate::Gate;
pub use self::{
    asking::{Grant, GrantSide, State},
    error::PersonError,
    events::{EventLog, PersonEvent, Told},
    gallery::{CatalogEntry, Draft, Gallery},
    giving::{Answer, Audited, Terms, Waiting},
    looking::{Seen, View},
    profile::Profile,
    shelf::ProfileShelf,
};

use super::{
    cloud::{ImageCatalogClient, ImageInboxClient, ImageUsersClient},
    disk, now_ms,
    record::{Handle, User},
};
use crate::permissions::{Ask, PermissionsClient, Signed as Operation, sign};

/// A person, in a cloud. Cheap to clone.
#[derive(Clone)]
pub struct Person {
    inner: Arc<Inner>,
}

struct Inner {
    profile: Profile,
    client: Client,
    /// One change of the profile at a time.
    gate: Gate,
    /// The newest number of each entry of the catalogue that was seen since the program was started,
    /// so that an older one is noticed.
    entries: Mutex<BTreeMap<String, u64>>,
    events: EventLog,
    transfers: fetching::Transfers,
    following: following::Following,
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Their key, which nobody else has.
    pub key: PublicKey,
    /// What they call themselves.
    pub handle: Handle,
}

impl Person {
    /// The person of `profile`, over `client`, whose key must be that of [`Profile::device`].
    pub fn new(profile: Profile, client: impl Into<Client>) -> Self {
        Self {
            inner: Arc::new(Inner {
                gate: profile.gate(),
                profile,
                client: client.into(),
                entries: Mutex::default(),
                events: EventLog::new(),
                transfers: fetching::Transfers::default(),
                following: following::Following::default(),
            }),
        }
    }

    /// The person's key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.inner.profile.user().public()
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.inner.profile
    }

    /// What happened.
    #[must_use]
    pub fn log(&self) -> &EventLog {
        &self.inner.events
    }

    /// True while a node of the cloud is linked.
    #[must_use]
    pub fn is_online(&self) -> bool {
        let nodes = self.inner.client.nodes();
        nodes.iter().any(|node| node.state == NodeState::Ready)
    }

    /// True if a program of the user `key` runs now, as far as the cloud knows.
    ///
    /// # Errors
    /// [`PersonError::NoUser`]; as any call.
    pub async fn is_here(&self, key: PublicKey) -> Result<bool> {
        let user = match self.inner.profile.known_user(key).await? {
            Some(known) => known.unchecked().clone(),
            None => self.user(key).await?,
        };
        for device in user.devices {
            if self.inner.client.present(device).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Registers the person as `handle`, or anew with this device, if the profile's record does not
    /// stand in the cloud yet.
    ///
    /// # Errors
    /// [`ShareRefusal`](super::cloud::ShareRefusal); as any call.
    pub async fn join(&self, handle: &Handle) -> Result<Who> {
        let _gate = self.inner.gate.lock().await?;
        let (key, device) = (self.key(), self.inner.profile.device().public());
        let users = self.users();
        let held = users.user(key).await?;
        let (mut user, seq) = match &held {
            None => {
                let user = User {
                    handle: handle.clone(),
                    devices: Vec::new(),
                    sealing: self.inner.profile.sealing().public(),
                };
                (user, 0)
            }
            Some(held) => (User::of(held, key)?.clone(), held.seq()),
        };
        user.handle = handle.clone();
        let is_so =
            user.devices.contains(&device) && user.sealing == self.inner.profile.sealing().public();
        if !user.devices.contains(&device) {
            user.devices.push(device);
        }
        user.sealing = self.inner.profile.sealing().public();
        let stands = held.as_ref().is_some_and(|held| *held.unchecked() == user);
        if !stands || !is_so {
            let record = Signed::sign(self.inner.profile.user(), seq + 1, user)?;
            users.register(record).await?;
        }
        self.inner.profile.save_handle(handle).await?;
        Ok(Who {
            key,
            handle: handle.clone(),
        })
    }

    /// Who this is.
    ///
    /// # Errors
    /// [`PersonError::NotJoined`].
    pub async fn me(&self) -> Result<Who> {
        let handle = self.inner.profile.handle().await?;
        let handle = handle.ok_or(PersonError::NotJoined)?;
        Ok(Who {
            key: self.key(),
            handle,
        })
    }

    /// The newest record of the user `key`, from the cloud; from the profile where the cloud cannot
    /// be reached.
    ///
    /// # Errors
    /// [`PersonError::Lie`] if a node tells something old or forged; the record known before is kept.
    /// [`PersonError::NoUser`].
    pub async fn user(&self, key: PublicKey) -> Result<User> {
        let known = self.inner.profile.known_user(key).await?;
        let told = match self.users().user(key).await {
            Ok(told) => told,
            Err(error) if known.is_some() && is_away(&error) => None,
            Err(error) => return Err(error),
        };
        let mut latest = Latest::new(key);
        if let Some(known) = known {
            // The profile's own, checked when it was kept.
            latest.take(known)?;
        }
        if let Some(told) = told {
            let lie = |what: String| PersonError::Lie { of: key, what };
            told.unchecked()
                .check()
                .map_err(|unfit| lie(unfit.to_string()))?;
            let is_new = latest.take(told.clone());
            if is_new.map_err(|error| lie(error.to_string()))? == distri::signed::Taken::New {
                self.inner.profile.keep_user(told).await?;
            }
        }
        let user = latest.body().cloned();
        user.ok_or_else(|| {
            PersonError::NoUser {
                who: key.to_string(),
            }
            .into()
        })
    }

    /// The user who is called `handle`.
    ///
    /// # Errors
    /// [`PersonError::NoUser`], [`PersonError::Lie`].
    pub async fn named(&self, handle: &Handle) -> Result<Who> {
        let told = self.users().named(handle.clone()).await?;
        let no_user = || PersonError::NoUser {
            who: handle.to_string(),
        };
        let key = told.ok_or_else(no_user)?.key();
        let user = self.user(key).await?;
        if user.handle.folded() != handle.folded() {
            let what = format!("the user who is called {} for {handle}", user.handle);
            return Err(PersonError::Lie { of: key, what }.into());
        }
        Ok(Who {
            key,
            handle: user.handle,
        })
    }

    /// Goes on with all that was begun and is not done: sends letters, carries out decisions, reads
    /// what others have written, closes views that were looked at.
    ///
    /// # Errors
    /// What could not be done now, if it was because the cloud is away; it is tried again next time.
    pub async fn settle(&self) -> Result<()> {
        let _gate = self.inner.gate.lock().await?;
        self.settle_now().await
    }

    async fn settle_now(&self) -> Result<()> {
        self.resume_answers().await?;
        self.flush().await?;
        self.read_letters().await?;
        self.close_looks().await
    }

    fn users(&self) -> ImageUsersClient {
        ImageUsersClient::new(self.inner.client.clone())
    }

    fn catalog_client(&self) -> ImageCatalogClient {
        ImageCatalogClient::new(self.inner.client.clone())
    }

    fn inbox_client(&self) -> ImageInboxClient {
        ImageInboxClient::new(self.inner.client.clone())
    }

    fn ledger(&self) -> PermissionsClient {
        PermissionsClient::new(self.inner.client.clone())
    }

    /// The question how a grant stands, as its owner or viewer.
    fn ask(
        &self,
        grant: crate::permissions::GrantId,
        key: &distri::identity::Identity,
    ) -> Operation<Ask> {
        let ask = Ask {
            grant,
            reader: key.public(),
            link: self.inner.client.key(),
        };
        sign(ask, key)
    }

    /// Notes that the entry `id` was seen with the number `seq`; the number that was seen before, if
    /// it is higher.
    fn seen_entry(&self, id: String, seq: u64) -> Option<u64> {
        let mut entries = self
            .inner
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let seen = entries.entry(id).or_insert(seq);
        if *seen > seq {
            return Some(*seen);
        }
        *seen = seq;
        None
    }
}

/// True if the cloud could not be reached, so that asking later may succeed.
fn is_away(error: &distri::Error) -> bool {
    use distri::Code;
    error.is_retryable() || error.is_unknown_outcome() || error.code() == Code::UnknownService
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Person").field(&self.key()).finish()
    }
}
