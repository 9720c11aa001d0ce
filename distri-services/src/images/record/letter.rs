//! What people write to each other. The cloud carries it sealed and learns for whom it is.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use distri::{
    id::PublicKey,
    identity::Identity,
    signed::{RecordError, Signable, Signed},
};

use super::Unfit;
use crate::{
    images::media::{NOTE_MAX, clean_text},
    permissions::{Envelope, GrantCore, ImageId, Randomness, RequestId, SealingKey, SealingSecret},
};

/// Bytes of a sealed letter, at most.
pub const LETTER_MAX: usize = 8 * 1024;

/// Views of one grant, at most.
pub const VIEWS_MAX: u32 = 1_000_000;

/// What tells these seals from others.
const SEAL: &str = "distri/images/letter/v1/seal";

/// The id of a letter: 128 random bits. Sent again under it, it is the same letter.
#[distri::message]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(try_from = "String", into = "String")]
pub struct LetterId(#[schemars(with = "String")] [u8; 16]);

impl LetterId {
    /// Takes its bytes.
    #[must_use]
    pub const fn from_array(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LetterId({self})")
    }
}

impl FromStr for LetterId {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or_else(|| Unfit::new("the letter's id", "is not 32 characters 0-9 and a-f"))
    }
}

impl TryFrom<String> for LetterId {
    type Error = Unfit;

    fn try_from(text: String) -> Result<Self, Unfit> {
        text.parse()
    }
}

impl From<LetterId> for String {
    fn from(id: LetterId) -> Self {
        id.to_string()
    }
}

/// A letter as the cloud carries it.
#[distri::message]
#[derive(Clone, PartialEq, Eq)]
pub struct SealedLetter {
    /// Its id.
    pub id: LetterId,
    /// For whom it is.
    pub to: PublicKey,
    /// HPKE to the recipient's key for letters. In JSON, base64.
    #[serde(with = "crate::text")]
    #[schemars(with = "String")]
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SealedLetter({} to {}, {} bytes)",
            self.id,
            self.to.short(),
            self.sealed.len()
        )
    }
}

/// What a letter says, signed by its sender inside the seal.
///
/// It names its recipient, so that whoever gets one cannot pass it on as if it were for another.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// For whom it is.
    pub to: PublicKey,
    /// What it says.
    pub message: Message,
}

impl Signable for Letter {
    const TAG: &'static str = "distri/images/letter/v1";
}

/// What people say to each other.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A viewer asks an owner.
    Request(Request),
    /// An owner answers.
    Decision(Decision),
    /// An owner gives new halves of a key, so that a grant that had ended goes on.
    Rekeyed(Rekeyed),
}

/// A viewer asks to see an image.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub request: RequestId,
    /// The image.
    pub image: ImageId,
    /// How often.
    pub views: u32,
    /// A word to the owner.
    pub note: String,
    /// The key by which the viewer will redeem views of the grant, and of no other.
    pub viewer: PublicKey,
    /// The key to which the viewer's half is to be sealed.
    pub sealing: SealingKey,
}

/// An owner answers a request.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The request.
    pub request: RequestId,
    /// The answer.
    pub verdict: Verdict,
}

/// An owner's answer.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, perhaps less often than was asked.
    Approved(Box<Approval>),
    /// No.
    Rejected {
        /// Why, if the owner says.
        why: String,
    },
}

/// What was granted.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// What stays as it is.
    pub core: GrantCore,
    /// The viewer's half of the key.
    pub envelope: Envelope,
    /// How often.
    pub views: u32,
    /// Until when; milliseconds since 1970.
    pub expires_ms: u64,
}

/// New halves of a key.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// The request that the grant answers.
    pub request: RequestId,
    /// The viewer's half.
    pub envelope: Envelope,
}

/// A letter that was opened, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLetter {
    /// Its id.
    pub id: LetterId,
    /// Who signed it.
    pub from: PublicKey,
    /// What it says.
    pub message: Message,
}

/// Why a letter is put aside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LetterError {
    /// It is not sealed to this key, was changed, or holds something else.
    #[error("letter {id} does not open")]
    Closed {
        /// Its id.
        id: LetterId,
    },
    /// Its signature is not its sender's.
    #[error("letter {id} is not signed by its sender")]
    Forged {
        /// Its id.
        id: LetterId,
        /// What is wrong.
        source: RecordError,
    },
    /// It was written to somebody else.
    #[error("letter {id} was written to {to}")]
    Misdirected {
        /// Its id.
        id: LetterId,
        /// To whom.
        to: PublicKey,
    },
    /// It says what no honest program says.
    #[error("letter {id} is not one that is read")]
    Unfit {
        /// Its id.
        id: LetterId,
        /// What is wrong.
        source: Unfit,
    },
}

impl SealedLetter {
    /// Signs `message` as `from` and seals it to `to`, whose key for letters is `key`.
    ///
    /// # Errors
    /// [`Unfit`] if it is too long, or the key of low order.
    pub fn seal(
        id: LetterId,
        from: &Identity,
        to: PublicKey,
        key: &SealingKey,
        message: Message,
        randomness: &mut Randomness,
    ) -> Result<Self, Unfit> {
        message.check()?;
        let unfit = |problem: &str| Unfit::new("the letter", problem);
        // The number of a letter means nothing: there is no newest one.
        let letter = Signed::sign(from, 0, Letter { to, message })
            .map_err(|error| unfit(&error.to_string()))?;
        let plain = postcard::to_stdvec(&letter).map_err(|_| unfit("has no compact form"))?;
        let sealed = key
            .seal(SEAL, &bound(&id, to), &plain, randomness)
            .ok_or_else(|| unfit("would be sealed to a key of low order"))?;
        let letter = Self { id, to, sealed };
        letter.check()?;
        Ok(letter)
    }

    /// Refuses one that is too large.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn check(&self) -> Result<(), Unfit> {
        if self.sealed.len() > LETTER_MAX {
            let problem = format!("has {} bytes, more than {LETTER_MAX}", self.sealed.len());
            return Err(Unfit::new("the letter", problem));
        }
        Ok(())
    }

    /// Opens it as `me`, who has `secret`.
    ///
    /// # Errors
    /// [`LetterError`]: put it aside.
    pub fn open(&self, me: PublicKey, secret: &SealingSecret) -> Result<OpenLetter, LetterError> {
        let id = self.id;
        self.check()
            .map_err(|source| LetterError::Unfit { id, source })?;
        let plain = secret
            .open(SEAL, &bound(&id, self.to), &self.sealed)
            .ok_or(LetterError::Closed { id })?;
        let (letter, rest) = postcard::take_from_bytes::<Signed<Letter>>(&plain)
            .map_err(|_| LetterError::Closed { id })?;
        if !rest.is_empty() {
            return Err(LetterError::Closed { id });
        }
        let checked = letter.check();
        let Letter { to, message } =
            checked.map_err(|source| LetterError::Forged { id, source })?;
        if *to != me || self.to != me {
            return Err(LetterError::Misdirected { id, to: *to });
        }
        message
            .check()
            .map_err(|source| LetterError::Unfit { id, source })?;
        Ok(OpenLetter {
            id,
            from: letter.key(),
            message: message.clone(),
        })
    }
}

impl Message {
    /// Refuses what no honest program says.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn check(&self) -> Result<(), Unfit> {
        match self {
            Self::Request(request) => {
                check_views(request.views)?;
                check_note("the note", &request.note)?;
                check_keys(request.viewer, &request.sealing)
            }
            Self::Decision(Decision { verdict, .. }) => match verdict {
                Verdict::Approved(approval) => {
                    check_views(approval.views)?;
                    let unfit = |_| Unfit::new("the grant", "has weak keys");
                    approval.core.check().map_err(unfit)
                }
                Verdict::Rejected { why } => check_note("the reason", why),
            },
            Self::Rekeyed(_) => Ok(()),
        }
    }
}

fn check_views(views: u32) -> Result<(), Unfit> {
    if (1..=VIEWS_MAX).contains(&views) {
        return Ok(());
    }
    let problem = format!("are {views}: expected 1 to {VIEWS_MAX}");
    Err(Unfit::new("the views", problem))
}

fn check_note(what: &str, note: &str) -> Result<(), Unfit> {
    if clean_text(note, NOTE_MAX) == note {
        return Ok(());
    }
    let problem = format!("is not at most {NOTE_MAX} printable characters");
    Err(Unfit::new(what, problem))
}

fn check_keys(viewer: PublicKey, sealing: &SealingKey) -> Result<(), Unfit> {
    if viewer.is_weak() || sealing.check("viewer's").is_err() {
        return Err(Unfit::new("the request", "has weak keys"));
    }
    Ok(())
}

/// A seal is for one recipient under one id.
fn bound(id: &LetterId, to: PublicKey) -> [u8; 48] {
    let mut bound = [0; 48];
    bound[..16].copy_from_slice(&id.0);
    bound[16..].copy_from_slice(to.as_bytes());
    bound
}
