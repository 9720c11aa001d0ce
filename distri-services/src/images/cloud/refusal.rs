//! Why the cloud does not keep something.

use distri::id::PublicKey;

/// Why the cloud does not keep something. Nothing was changed.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareRefusal {
    /// Somebody else has it. Choose another.
    #[error("the handle {handle} is taken")]
    HandleTaken {
        /// The handle.
        handle: String,
    },
    /// Handles are for good, so that nobody is taken for somebody who left.
    #[error("the user is called {is} and cannot be called {wanted}")]
    HandleFixed {
        /// As they are called.
        is: String,
        /// As they wanted to be.
        wanted: String,
    },
    /// The record is not the next one: read the one that stands, and sign again.
    #[error("record {expected} was expected, this is {found}")]
    Gap {
        /// The number of the next record.
        expected: u64,
        /// The number of this one.
        found: u64,
    },
    /// A device is added by a call that it makes itself: so nobody lists another's.
    #[error("device {device} is new and does not make this call itself")]
    NotFromDevice {
        /// The device.
        device: PublicKey,
    },
    /// A device belongs to one user.
    #[error("device {device} belongs to another user")]
    DeviceTaken {
        /// The device.
        device: PublicKey,
    },
    /// Register first.
    #[error("{device} is no device of a registered user")]
    NotRegistered {
        /// Who calls.
        device: PublicKey,
    },
    /// There is no such user.
    #[error("there is no user {user}")]
    NoUser {
        /// The key.
        user: PublicKey,
    },
    /// The owner offers as much as one may. Nothing that is withdrawn makes room.
    #[error("{owner} has {limit} entries in the catalogue, and no more are kept")]
    CatalogFull {
        /// The owner.
        owner: PublicKey,
        /// The bound.
        limit: u64,
    },
    /// The recipient has to read first.
    #[error("{to} has {limit} letters waiting, and no more are kept")]
    InboxFull {
        /// The recipient.
        to: PublicKey,
        /// The bound.
        limit: u64,
    },
    /// The recipient has to read first what this sender has written.
    #[error("{to} has {limit} letters of this sender waiting, and no more are kept")]
    PairFull {
        /// The recipient.
        to: PublicKey,
        /// The bound.
        limit: u64,
    },
    /// Another letter has the id.
    #[error("another letter has the id {id}")]
    LetterExists {
        /// The id.
        id: String,
    },
    /// Others changed the same thing again and again. Try again.
    #[error("others change the same record all the time")]
    Contended,
}

impl distri::ServiceError for ShareRefusal {
    fn code(&self) -> distri::Code {
        use distri::Code;
        match self {
            Self::HandleTaken { .. } | Self::DeviceTaken { .. } | Self::LetterExists { .. } => {
                Code::AlreadyExists
            }
            Self::HandleFixed { .. } | Self::Gap { .. } => Code::FailedPrecondition,
            Self::NotFromDevice { .. } | Self::NotRegistered { .. } => Code::Denied,
            Self::NoUser { .. } => Code::NotFound,
            Self::CatalogFull { .. } => Code::TooLarge,
            // Those who wait may try again.
            Self::InboxFull { .. } | Self::PairFull { .. } | Self::Contended => Code::Busy,
        }
    }
}
