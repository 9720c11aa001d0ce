//! Looking once, so that a crash costs nothing: what the viewer's program does, step by step.
//!
//! What is needed to go on is written to disk before anything is asked of the cloud. Whoever finds it
//! there after a crash goes on with the same view: asked again, the ledger counts it once.
//!
//! ```text
//! begin ─ Save ─ Redeem ─ Show ─ Acknowledge ─ Forget ─ Done
//!              ↑resume                          ↑
//!              └── refused for good ────────────┘
//! ```
//!
//! This says what to do next; doing it is the caller's.

use std::fmt;

use distri::{id::PublicKey, identity::Identity};
use zeroize::Zeroizing;

use super::{
    bytes::{GrantHash, GrantId, RedeemId, Signature},
    canonical::{Canonical, Malformed, Reader},
    error::SealError,
    operations::{Ack, Redeem, Signed, sign},
    randomness::Randomness,
    receipt::Released,
    sealing::SealingSecret,
    split::{CloudHalf, secret_of},
};

/// One look at an image, from the wish to the end.
pub struct Look {
    pending: Pending,
    state: State,
}

enum State {
    Unsaved,
    Saved,
    Released(CloudHalf, Shown),
    Shown,
    Over,
    Forgotten,
}

/// What to do next.
#[derive(Debug)]
pub enum Step<'a> {
    /// Write this to disk, for the owner's eyes alone, and make sure it stays there; then
    /// [`Look::saved`].
    Save(Zeroizing<Vec<u8>>),
    /// Send this to the ledger, at any node, as often as it takes; then [`Look::released`] or
    /// [`Look::refused`].
    Redeem(&'a Signed<Redeem>),
    /// Show the image that opens with this half; then [`Look::shown`].
    Show(&'a CloudHalf, Shown),
    /// Send this to the ledger; then [`Look::acknowledged`]. Losing it costs nothing.
    Acknowledge(&'a Signed<Ack>),
    /// Remove from disk what was saved; then [`Look::forgotten`].
    Forget,
    /// Nothing.
    Done,
}

/// Which view it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// From 1.
    pub view: u32,
    /// Of so many.
    pub of: u32,
}

impl Look {
    /// A look about to begin.
    #[must_use]
    pub fn begin(
        grant: GrantId,
        core: GrantHash,
        epoch: u32,
        viewer: &Identity,
        randomness: &mut Randomness,
    ) -> Self {
        let secret = SealingSecret::random(randomness);
        let redeem = RedeemId::from_array(randomness.id());
        let epk = secret.public();
        let ack = Ack {
            grant,
            core,
            redeem,
        };
        let redeem = Redeem {
            grant,
            core,
            epoch,
            redeem,
            epk,
        };
        Self {
            pending: Pending {
                redeem: sign(redeem, viewer),
                ack: sign(ack, viewer),
                secret,
            },
            state: State::Unsaved,
        }
    }

    /// A look that was begun before, from what was saved of it.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are something else. They are of no use; remove them.
    pub fn resume(saved: &[u8]) -> Result<Self, Malformed> {
        Ok(Self {
            pending: Pending::from_bytes(saved)?,
            state: State::Saved,
        })
    }

    /// What to do next.
    #[must_use]
    pub fn step(&self) -> Step<'_> {
        match &self.state {
            State::Unsaved => Step::Save(Zeroizing::new(self.pending.to_bytes())),
            State::Saved => Step::Redeem(&self.pending.redeem),
            State::Released(half, shown) => Step::Show(half, *shown),
            State::Shown => Step::Acknowledge(&self.pending.ack),
            State::Over => Step::Forget,
            State::Forgotten => Step::Done,
        }
    }

    /// The grant that is looked at.
    #[must_use]
    pub fn grant(&self) -> GrantId {
        self.pending.redeem.body.grant
    }

    /// What closes the view, whenever it was shown.
    #[must_use]
    pub fn ack(&self) -> &Signed<Ack> {
        &self.pending.ack
    }

    /// It is on disk, for good.
    pub fn saved(&mut self) {
        if matches!(self.state, State::Unsaved) {
            self.state = State::Saved;
        }
    }

    /// The ledger released a view.
    ///
    /// # Errors
    /// As [`Released::open`]: a node answered what was not asked. The look stays as it was; ask
    /// another node.
    pub fn released(
        &mut self,
        released: &Released,
        is_node: impl FnOnce(PublicKey) -> bool,
    ) -> Result<(), SealError> {
        if !matches!(self.state, State::Saved) {
            return Ok(());
        }
        let Pending { redeem, secret, .. } = &self.pending;
        let half = released.open(&redeem.body, secret, is_node)?;
        let (view, of) = (released.receipt.view, released.receipt.of);
        self.state = State::Released(half, Shown { view, of });
        Ok(())
    }

    /// The ledger refused, and will always refuse this view.
    pub fn refused(&mut self) {
        if matches!(self.state, State::Saved) {
            self.state = State::Over;
        }
    }

    /// It was shown, or could not be.
    pub fn shown(&mut self) {
        if matches!(self.state, State::Released(..)) {
            self.state = State::Shown;
        }
    }

    /// The ledger knows, or need not.
    pub fn acknowledged(&mut self) {
        if matches!(self.state, State::Shown) {
            self.state = State::Over;
        }
    }

    /// It is gone from disk.
    pub fn forgotten(&mut self) {
        if matches!(self.state, State::Over) {
            self.state = State::Forgotten;
        }
    }
}

/// What is written to disk.
struct Pending {
    redeem: Signed<Redeem>,
    ack: Signed<Ack>,
    secret: SealingSecret,
}

impl Canonical for Pending {
    const LENGTH_MAX: usize = 1 + Redeem::LENGTH_MAX + 64 + 64 + 32;
    const NAME: &'static str = "pending view";

    fn write(&self, to: &mut Vec<u8>) {
        to.push(1);
        self.redeem.body.write(to);
        self.redeem.signature.write(to);
        self.ack.signature.write(to);
        to.extend_from_slice(self.secret.seed().as_slice());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.first("version")?;
        let body = Redeem::read(from)?;
        let signature = Signature::read(from)?;
        let ack = Signed {
            body: Ack {
                grant: body.grant,
                core: body.core,
                redeem: body.redeem,
            },
            signature: Signature::read(from)?,
        };
        let seed = from.slice(32)?;
        let seed = secret_of(seed).ok_or_else(|| from.malformed("32 bytes"))?;
        let secret = SealingSecret::from_seed(seed);
        if secret.public() != body.epk {
            return Err(from.malformed("a secret that belongs to its key"));
        }
        Ok(Self {
            redeem: Signed { body, signature },
            ack,
            secret,
        })
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unsaved => "unsaved",
            State::Saved => "saved",
            State::Released(..) => "released",
            State::Shown => "shown",
            State::Over => "over",
            State::Forgotten => "forgotten",
        };
        f.debug_struct("Look")
            .field("redeem", &self.pending.redeem.body)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
