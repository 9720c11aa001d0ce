//! What people say in public and to each other: who they are, what they offer, what they ask for and
//! what they answer.
//!
//! Records are signed by the user whose they are ([`distri::signed`]); the cloud checks them before
//! it keeps them, and readers check them again. Letters are sealed to their recipient besides, so
//! that the cloud carries what it cannot read. Each kind has bounds, and says whether it keeps them
//! before anything is done with it.
//!
//! Pure: no clock, no disk, no network.

mod entry;
mod handle;
mod letter;
mod manifest;
mod user;

pub use self::{
    entry::{Entry, Offer, Visibility},
    handle::{HANDLE_MAX, Handle, InvalidHandle},
    letter::{
        Approval, Decision, LETTER_MAX, Letter, LetterError, LetterId, Message, OpenLetter,
        Rekeyed, Request, SealedLetter, VIEWS_MAX, Verdict,
    },
    manifest::{CHUNK, Manifest},
    user::{DEVICES_MAX, User},
};

/// A record that is signed and yet not one that is kept: what is wrong in it.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct Unfit {
    /// Which part.
    pub what: String,
    /// What is wrong and what was expected.
    pub problem: String,
}

impl Unfit {
    pub(crate) fn new(what: &str, problem: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            problem: problem.into(),
        }
    }
}

impl distri::ServiceError for Unfit {
    fn code(&self) -> distri::Code {
        distri::Code::InvalidArgument
    }
}
