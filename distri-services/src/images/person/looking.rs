//! How a view is spent: by an explicit act, once for one look, whatever is interrupted.
//!
//! Before anything is asked of the ledger, all that can be checked without it is checked: the file is
//! here and whole, what is hidden in it is found. Then the look is written to disk, then the view is
//! redeemed, then shown, then closed. Whoever is interrupted finds the look on disk and goes on with
//! the same view.

use distri::{Code, Error, Result};
use zeroize::Zeroizing;

use super::{
    Person, PersonError, PersonEvent, State,
    asking::viewer_of,
    giving::{final_refusal, unopenable},
    is_away,
    kept::{Asked, KeptLook, Known},
    letters::randomness,
    profile::Shelf,
};
use crate::{
    images::{
        disk,
        media::{MediaError, Picture},
        record::Approval,
    },
    permissions::{
        GrantState, LedgerError, Look, Opened, RequestId, SealingSecret, Shown, Step, open_content,
    },
    stego::{Key, Settings},
};

/// What comes of looking.
#[derive(Debug)]
pub enum View {
    /// The picture, to be shown and forgotten.
    Shown(Seen),
    /// Nothing is left to see but the cover, and why.
    Over {
        /// [`State::Exhausted`], [`State::Expired`] or [`State::Revoked`].
        state: State,
        /// The cover, an image file.
        cover: Vec<u8>,
    },
}

/// A picture that is being looked at.
#[derive(Debug)]
pub struct Seen {
    /// The pixels.
    pub picture: Picture,
    /// The image file, pixels and nothing else; wiped when dropped.
    pub file: Zeroizing<Vec<u8>>,
    /// Which view it is, from 1.
    pub view: u32,
    /// Of so many.
    pub of: u32,
}

impl Person {
    /// Looks: spends a view, if there is one. The same `attempt` again, within a quarter of an hour
    /// and before its view is closed, gives the same view; after that it is refused. So does any
    /// attempt after one that was interrupted before the picture was here.
    ///
    /// # Errors
    /// [`PersonError::NotDelivered`], [`PersonError::NotApproved`], [`PersonError::Unopenable`]: no
    /// view was spent. If the ledger cannot be reached, its error: whether a view was spent is not
    /// known, and looking again spends no other.
    pub async fn view(&self, request: RequestId, attempt: &str) -> Result<View> {
        let _gate = self.inner.gate.lock().await?;
        match self.view_now(request, attempt).await {
            Err(error) if is_stale(&error) => {
                // The owner has given new keys, which are in a letter that was not read yet.
                self.read_letters().await?;
                self.view_now(request, attempt).await
            }
            viewed => viewed,
        }
    }

    async fn view_now(&self, request: RequestId, attempt: &str) -> Result<View> {
        let profile = &self.inner.profile;
        let (asked, approval) = self.granted(request).await?;
        if asked.closed.as_deref() == Some(attempt) {
            return Err(PersonError::ViewClosed { request }.into());
        }
        let content = self.found(request, &approval).await?;

        let mut resumed = profile.load::<KeptLook>(Shelf::Looks, &request).await?;
        if let Some(kept) = &resumed
            && kept.shown
            && kept.attempt != attempt
        {
            self.close_look(kept).await?;
            resumed = None;
        }
        let was_begun = resumed.is_some();
        let was_shown = resumed.as_ref().is_some_and(|kept| kept.shown);
        let mut look = match resumed {
            Some(kept) => Look::resume(&kept.look).map_err(|_| damaged(request))?,
            None => self.begin(&asked, &approval)?,
        };
        if let Step::Save(bytes) = look.step() {
            let kept = KeptLook {
                request,
                attempt: attempt.to_owned(),
                shown: false,
                look: bytes.to_vec(),
            };
            profile.save(Shelf::Looks, &request, &kept).await?;
            look.saved();
        }
        if let Err(refusal) = self.redeem(&mut look).await? {
            profile.forget(Shelf::Looks, &request).await?;
            return self.refused(asked, refusal, was_begun, was_shown).await;
        }

        let Step::Show(half, shown) = look.step() else {
            return Err(damaged(request));
        };
        let (half, shown) = (half.clone(), shown);
        let seen = disk(move || content.open(&half, shown)).await?;
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                // It will open no better next time; the view is closed.
                profile.forget(Shelf::Looks, &request).await?;
                return Err(error);
            }
        };
        if let Some(mut kept) = profile.load::<KeptLook>(Shelf::Looks, &request).await? {
            kept.shown = true;
            attempt.clone_into(&mut kept.attempt);
            profile.save(Shelf::Looks, &request, &kept).await?;
        }
        let event = PersonEvent::Looked {
            request,
            view: shown.view,
            of: shown.of,
        };
        self.inner.events.tell(event);
        Ok(View::Shown(seen))
    }

    /// The picture was looked at: closes the view, so that nobody can ask for it again. Without this it
    /// closes with the next attempt, the next [`Person::settle`], or by itself after a quarter of an
    /// hour.
    ///
    /// # Errors
    /// As any call; it is closed later then.
    pub async fn looked(&self, request: RequestId) -> Result<()> {
        let _gate = self.inner.gate.lock().await?;
        let kept = self
            .inner
            .profile
            .load::<KeptLook>(Shelf::Looks, &request)
            .await?;
        match kept {
            Some(kept) if kept.shown => self.close_look(&kept).await,
            _ => Ok(()),
        }
    }

    /// Closes all views that were looked at.
    pub(super) async fn close_looks(&self) -> Result<()> {
        let all: Vec<KeptLook> = self.inner.profile.all(Shelf::Looks).await?;
        for kept in all.iter().filter(|kept| kept.shown) {
            self.close_look(kept).await?;
        }
        Ok(())
    }

    async fn close_look(&self, kept: &KeptLook) -> Result<()> {
        let look = Look::resume(&kept.look).map_err(|_| damaged(kept.request))?;
        match self.ledger().ack(look.ack().clone()).await {
            Err(error) if final_refusal(&error).is_none() => return Err(error),
            // What the ledger will never take needs not be told again.
            Ok(()) | Err(_) => {}
        }
        let mut asked = self.asked(kept.request).await?;
        asked.closed = Some(kept.attempt.clone());
        self.inner
            .profile
            .save(Shelf::Asked, &kept.request, &asked)
            .await?;
        self.inner.profile.forget(Shelf::Looks, &kept.request).await
    }

    fn begin(&self, asked: &Asked, approval: &Approval) -> Result<Look> {
        let core = &approval.core;
        let viewer = viewer_of(asked)?;
        let epoch = approval.envelope.epoch;
        Ok(Look::begin(
            core.grant,
            core.hash(),
            epoch,
            &viewer,
            &mut randomness()?,
        ))
    }

    /// Asks the ledger for the view. The inner error is one that it will never take back.
    async fn redeem(&self, look: &mut Look) -> Result<std::result::Result<(), LedgerError>> {
        let keys = self.ledger().cloud().await?;
        let Step::Redeem(op) = look.step() else {
            return Ok(Ok(()));
        };
        let op = op.clone();
        match self.ledger().redeem(op).await {
            Ok(released) => {
                let mut keys = keys;
                if released.node != keys.receipts {
                    // The grant was made before the cluster's secret was renewed.
                    keys = self.ledger().cloud_of(released.cloud_epoch).await?;
                }
                let is_cloud = |key| key == keys.receipts;
                look.released(&released, is_cloud).map_err(|error| {
                    let message = "a node released something else than was asked for";
                    Error::new(Code::DataLoss, message).with_source(error)
                })?;
                Ok(Ok(()))
            }
            Err(error) => match final_refusal(&error) {
                Some(refusal) => Ok(Err(refusal)),
                None => Err(error),
            },
        }
    }

    /// What a refusal means: the true reason, and the cover.
    async fn refused(
        &self,
        mut asked: Asked,
        refusal: LedgerError,
        was_begun: bool,
        was_shown: bool,
    ) -> Result<View> {
        let request = asked.request;
        let (state, known) = match &refusal {
            LedgerError::Exhausted { .. } => (State::Exhausted, GrantState::Exhausted),
            LedgerError::Expired { .. } => (State::Expired, GrantState::Expired),
            LedgerError::Revoked { .. } => (State::Revoked, GrantState::Revoked),
            LedgerError::Closed { .. } if was_shown => {
                return Err(PersonError::ViewClosed { request }.into());
            }
            LedgerError::Closed { .. } if was_begun => {
                return Err(PersonError::ViewLost { request }.into());
            }
            LedgerError::ShareGone { .. } => {
                // Deleted because the grant ended; the ledger knows how.
                match self.ended(&asked).await? {
                    Some(ended) => ended,
                    None => return Err(refusal.into()),
                }
            }
            _ => return Err(refusal.into()),
        };
        if let Some(before) = &mut asked.known {
            before.state = known;
            self.inner
                .profile
                .save(Shelf::Asked, &request, &asked)
                .await?;
        }
        let cover = self.cover(request).await?;
        Ok(View::Over { state, cover })
    }

    async fn ended(&self, asked: &Asked) -> Result<Option<(State, GrantState)>> {
        let (_, approval) = self.granted(asked.request).await?;
        let viewer = viewer_of(asked)?;
        let status = self
            .ledger()
            .status(self.ask(approval.core.grant, &viewer))
            .await?;
        Ok(match Known::from(&status).state {
            GrantState::Exhausted => Some((State::Exhausted, GrantState::Exhausted)),
            GrantState::Expired => Some((State::Expired, GrantState::Expired)),
            GrantState::Revoked => Some((State::Revoked, GrantState::Revoked)),
            GrantState::Active => None,
        })
    }

    /// What is hidden in the stego image, found before a view is spent.
    async fn found(&self, request: RequestId, approval: &Approval) -> Result<Content> {
        let profile = &self.inner.profile;
        let file = profile
            .read_file(profile.stego(approval.core.grant))
            .await?;
        let file = file.ok_or(PersonError::NotDelivered { request })?;
        let (approval, secret) = (approval.clone(), profile.sealing().clone());
        disk(move || Content::find(request, approval, &secret, &file)).await?
    }
}

/// What is hidden, sealed still.
struct Content {
    request: RequestId,
    approval: Approval,
    opened: Opened,
    ciphertext: Vec<u8>,
}

impl Content {
    fn find(
        request: RequestId,
        approval: Approval,
        secret: &SealingSecret,
        file: &[u8],
    ) -> Result<Self> {
        let core = &approval.core;
        let failed = |error: &dyn std::error::Error| unopenable(request, error);
        core.check_file(file)
            .map_err(|_| PersonError::NotDelivered { request })?;
        let opened = approval.envelope.open(&core.hash(), secret);
        let opened = opened.map_err(|error| failed(&error))?;
        let key = Key::from_bytes(*opened.hiding_key.place(&core.grant));
        let revealed = Settings::default().reveal(file, &key);
        let ciphertext = revealed.map_err(|error| failed(&error))?.payload;
        Ok(Self {
            request,
            approval,
            opened,
            ciphertext,
        })
    }

    fn open(&self, half: &crate::permissions::CloudHalf, shown: Shown) -> Result<Seen> {
        let core = &self.approval.core;
        let failed = |error: &dyn std::error::Error| unopenable(self.request, error);
        let key = self
            .opened
            .content_key(core, self.approval.envelope.epoch, half);
        let key = key.map_err(|error| failed(&error))?;
        let file = open_content(core, &key, &self.ciphertext).map_err(|error| failed(&error))?;
        let picture = Picture::decode(&file).map_err(|error: MediaError| failed(&error))?;
        Ok(Seen {
            picture,
            file,
            view: shown.view,
            of: shown.of,
        })
    }
}

/// True if newer keys than are known here are in use.
fn is_stale(error: &Error) -> bool {
    matches!(error.details(), Some(LedgerError::Epoch { is, asked }) if is > asked)
        && !is_away(error)
}

fn damaged(request: RequestId) -> Error {
    let what = format!("looks/{request}");
    PersonError::Damaged { what }.into()
}
