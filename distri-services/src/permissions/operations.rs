//! What is signed, and by whom: the owner's changes of a grant, the viewer's views of it.
//!
//! Whatever an operation is, its signature is over a hash with a tag of that operation, so none passes
//! for another; and all name the grant by its hash, so none passes for another grant's.

use distri::{id::PublicKey, identity};

use super::{
    bytes::{GrantHash, GrantId, RedeemId, SealingKey, ShareHash, Signature},
    canonical::{Canonical, Malformed, Reader},
    error::SealError,
    grant::GrantCore,
    hash::{self, hash},
};

/// Something that is signed.
pub trait Operation: Canonical {
    /// What tells its signatures from those of others.
    const TAG: &'static str;

    /// What is signed.
    fn digest(&self) -> [u8; 32] {
        hash(Self::TAG, &[&self.to_bytes()])
    }
}

/// An operation with the signature of whose it is.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    /// What was signed.
    pub body: T,
    /// The signature.
    pub signature: Signature,
}

/// Signs `body`.
pub fn sign<T: Operation>(body: T, key: &identity::Identity) -> Signed<T> {
    let signature = Signature::from_array(*key.sign(&body.digest()).as_bytes());
    Signed { body, signature }
}

impl<T: Operation> Signed<T> {
    /// What was signed, if it was by `key`, strictly: keys and nonces of small order are refused, as
    /// is every second spelling of a key or signature.
    ///
    /// # Errors
    /// [`SealError::WeakKey`], [`SealError::Signature`].
    pub fn verify(&self, key: PublicKey) -> Result<&T, SealError> {
        verify(T::NAME, key, &self.body.digest(), &self.signature)?;
        Ok(&self.body)
    }
}

pub(crate) fn verify(
    what: &'static str,
    key: PublicKey,
    digest: &[u8; 32],
    signature: &Signature,
) -> Result<(), SealError> {
    if key.is_weak() {
        return Err(SealError::WeakKey {
            whose: "signer's",
            key,
        });
    }
    let failed = SealError::Signature { what, by: key };
    let bytes = signature.as_array();
    let mut nonce = [0; 32];
    nonce.copy_from_slice(&bytes[..32]);
    // A signature whose nonce is a point of small order fits more than one message.
    if PublicKey::from_bytes(nonce).is_weak() {
        return Err(failed);
    }
    key.verify(digest, &identity::Signature::from_bytes(*bytes))
        .map_err(|_| failed)
}

/// The owner makes a grant.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What stays as it is.
    pub core: GrantCore,
    /// Rises with each operation of the owner on this grant.
    pub seq: u64,
    /// Which halves of the key.
    pub epoch: u32,
    /// How often the viewer may look.
    pub views: u32,
    /// From then on no view is released; milliseconds since 1970, by the directory's clock.
    pub expires_ms: u64,
    /// The cloud's half, which goes beside.
    pub share: ShareHash,
}

/// The owner changes how often, and until when.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetViews {
    /// The grant.
    pub grant: GrantId,
    /// The hash of its core.
    pub core: GrantHash,
    /// Rises with each operation of the owner on this grant.
    pub seq: u64,
    /// How often the viewer may look, views that were released before included.
    pub views: u32,
    /// From then on no view is released; milliseconds since 1970, by the directory's clock.
    pub expires_ms: u64,
}

/// The owner withdraws a grant, for good.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// The grant.
    pub grant: GrantId,
    /// The hash of its core.
    pub core: GrantHash,
    /// Rises with each operation of the owner on this grant.
    pub seq: u64,
}

/// The owner gives new halves of the key, so that a grant that is used up or over goes on. The stego
/// image stays as it is.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekey {
    /// The grant.
    pub grant: GrantId,
    /// The hash of its core.
    pub core: GrantHash,
    /// Rises with each operation of the owner on this grant.
    pub seq: u64,
    /// Which halves: one more than before.
    pub epoch: u32,
    /// How often the viewer may look, views that were released before included.
    pub views: u32,
    /// From then on no view is released; milliseconds since 1970, by the directory's clock.
    pub expires_ms: u64,
    /// The cloud's half, which goes beside.
    pub share: ShareHash,
}

/// The viewer asks for the cloud's half, for one view.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeem {
    /// The grant.
    pub grant: GrantId,
    /// The hash of its core.
    pub core: GrantHash,
    /// Which halves of the key.
    pub epoch: u32,
    /// Which view. Asked again, it is the same view and costs nothing.
    pub redeem: RedeemId,
    /// A fresh key, to which the half is sealed.
    pub epk: SealingKey,
}

/// The viewer has looked: the view is closed, and its half is not released again.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The grant.
    pub grant: GrantId,
    /// The hash of its core.
    pub core: GrantHash,
    /// Which view.
    pub redeem: RedeemId,
}

/// The owner or the viewer of a grant asks how it stands. Signed for one link, so that nobody else can
/// ask again.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The grant.
    pub grant: GrantId,
    /// The owner's or the viewer's key of it.
    pub reader: PublicKey,
    /// The key of the link over which it is asked.
    pub link: PublicKey,
}

/// The holder of a key asks which grants it is the owner's or the viewer's key of.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The key.
    pub reader: PublicKey,
    /// The key of the link over which it is asked.
    pub link: PublicKey,
}

/// Says how a struct is written down: its fields, in order.
macro_rules! canonical {
    ($name:ident, $what:literal, $tag:expr, $length:expr, { $($field:ident: $kind:ident),* $(,)? }) => {
        impl Canonical for $name {
            const LENGTH_MAX: usize = $length;
            const NAME: &'static str = $what;

            fn write(&self, to: &mut Vec<u8>) {
                $(canonical!(@write $kind, self.$field, to);)*
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self { $($field: canonical!(@read $kind, from)),* })
            }
        }

        impl Operation for $name {
            const TAG: &'static str = $tag;
        }
    };
    (@write number, $value:expr, $to:ident) => { $to.extend_from_slice(&$value.to_be_bytes()) };
    (@write key, $value:expr, $to:ident) => { $to.extend_from_slice($value.as_bytes()) };
    (@write value, $value:expr, $to:ident) => { $value.write($to) };
    (@read number, $from:ident) => { Number::take($from)? };
    (@read key, $from:ident) => { $from.key()? };
    (@read value, $from:ident) => { Canonical::read($from)? };
}
pub(crate) use canonical;

/// What a number of either width is read by.
pub(crate) trait Number: Sized {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

impl Number for u32 {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.u32()
    }
}

impl Number for u64 {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.u64()
    }
}

canonical!(Grant, "grant", hash::OP_GRANT,
    GrantCore::LENGTH_MAX + 8 + 4 + 4 + 8 + 32,
    { core: value, seq: number, epoch: number, views: number, expires_ms: number, share: value });

canonical!(SetViews, "change of views", hash::OP_SET_VIEWS, 16 + 32 + 8 + 4 + 8,
    { grant: value, core: value, seq: number, views: number, expires_ms: number });

canonical!(Revoke, "revocation", hash::OP_REVOKE, 16 + 32 + 8,
    { grant: value, core: value, seq: number });

canonical!(Rekey, "re-keying", hash::OP_REKEY, 16 + 32 + 8 + 4 + 4 + 8 + 32,
    { grant: value, core: value, seq: number, epoch: number, views: number, expires_ms: number,
      share: value });

canonical!(Redeem, "redemption", hash::OP_REDEEM, 16 + 32 + 4 + 16 + 32,
    { grant: value, core: value, epoch: number, redeem: value, epk: value });

canonical!(Ack, "acknowledgement", hash::OP_ACK, 16 + 32 + 16,
    { grant: value, core: value, redeem: value });

canonical!(Ask, "question", hash::OP_ASK, 16 + 32 + 32, { grant: value, reader: key, link: key });

canonical!(List, "question for grants", hash::OP_LIST, 32 + 32, { reader: key, link: key });
