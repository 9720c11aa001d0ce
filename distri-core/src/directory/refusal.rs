//! Why the directory refuses.

use serde::{Deserialize, Serialize};

use crate::error::{Code, ServiceError};

/// Why a command or search was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// Create the collection first.
    #[error("there is no collection `{name}`")]
    NoCollection {
        /// Its name.
        name: String,
    },
    /// An insert met a document with its id.
    #[error("`{collection}/{id}` exists already, at revision {revision}")]
    Exists {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The revision at which the document stands.
        revision: u64,
    },
    /// There is no such document.
    #[error("there is no `{collection}/{id}`")]
    Missing {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
    },
    /// Somebody else changed the document in between: read it again.
    #[error("`{collection}/{id}` is at revision {actual}, not {expected}")]
    Revision {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The revision that was asked for.
        expected: u64,
        /// The revision at which it stands.
        actual: u64,
    },
    /// A condition of a transaction does not hold.
    #[error("condition {index} does not hold: {what}")]
    Condition {
        /// Which one, from 0.
        index: u32,
        /// What it says.
        what: String,
    },
    /// An addition would leave its bounds.
    #[error("`{field}` of `{collection}/{id}` is {value}; adding {by} would leave {bounds}")]
    Bounds {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The field.
        field: String,
        /// What it holds, as JSON.
        value: String,
        /// What would be added, as JSON.
        by: String,
        /// The bounds, as `0..=10`.
        bounds: String,
    },
    /// The command, filter, schema or document is wrong in itself.
    #[error("{what}")]
    Invalid {
        /// What is wrong and what was expected.
        what: String,
    },
    /// A document does not meet its collection's schema.
    #[error("`{collection}/{id}` does not meet the schema at `{path}`: {problem}")]
    Schema {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// Where in the document, as a JSON pointer (RFC 6901).
        path: String,
        /// What was expected there.
        problem: String,
    },
    /// Another document has these values in a unique index.
    #[error("`{collection}/{id}` has the same {fields} as `{other}`, which must be one of a kind")]
    NotUnique {
        /// The collection.
        collection: String,
        /// The id of the document refused.
        id: String,
        /// The fields of the index.
        fields: String,
        /// The id of the document that has the values.
        other: String,
    },
    /// The caller may not do this.
    #[error("{who} may not {verb} `{collection}`: it is open to {open_to}")]
    Denied {
        /// Whose key.
        who: String,
        /// `read`, `write`, `administer`.
        verb: String,
        /// The collection.
        collection: String,
        /// Who may.
        open_to: String,
    },
    /// More than a bound allows; [`super::limits`] lists them.
    #[error("{what} has {size}, more than {bound}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        size: u64,
        /// The bound.
        bound: u64,
    },
    /// The lease has ended or never was.
    #[error("there is no lease {lease}")]
    NoLease {
        /// Its number.
        lease: u64,
    },
    /// The events after `after` are no longer kept: read the collection again and watch from the
    /// revision of what was read.
    #[error(
        "events after revision {after} are kept no longer, the oldest kept are after {oldest}; read again and watch from there"
    )]
    Compacted {
        /// From where events were asked for.
        after: u64,
        /// From where they are kept.
        oldest: u64,
    },
    /// The cursor belongs to another search, or is none.
    #[error("the cursor does not belong to this search")]
    Cursor,
    /// The reply to this request is not remembered any more; the request is too old to be repeated
    /// safely.
    #[error("request {serial} is too old to be repeated")]
    Forgotten {
        /// Its number in its session.
        serial: u64,
    },
    /// It was asked for under a leadership that is over: somebody else holds the election, or may.
    #[error("{}", fenced(election, *held, *asked))]
    Fenced {
        /// The election.
        election: String,
        /// The number of the fence that stands now, if there is one.
        held: Option<u64>,
        /// The number of the fence that came with the request.
        asked: u64,
    },
    /// The call was served before, here or on another node, and made another write in this place. A
    /// method with `once` makes the same writes in the same order each time, whatever it reads.
    #[error("the call was served before, and its write {write} was another one then")]
    Differs {
        /// Which of the call's writes, from 1.
        write: u64,
    },
}

fn fenced(election: &str, held: Option<u64>, asked: u64) -> String {
    match held {
        Some(held) if held == asked => format!("`{election}` does not own this key any more"),
        Some(held) => format!("the fence {asked} of `{election}` is outdated by {held}"),
        None => format!("the fence {asked} of `{election}` is outdated"),
    }
}

impl ServiceError for Refusal {
    fn code(&self) -> Code {
        match self {
            Self::NoCollection { .. } | Self::Missing { .. } | Self::NoLease { .. } => {
                Code::NotFound
            }
            Self::Exists { .. } | Self::NotUnique { .. } => Code::AlreadyExists,
            Self::Revision { .. }
            | Self::Condition { .. }
            | Self::Bounds { .. }
            | Self::Compacted { .. }
            | Self::Forgotten { .. }
            | Self::Differs { .. }
            | Self::Fenced { .. } => Code::FailedPrecondition,
            Self::Invalid { .. } | Self::Schema { .. } | Self::Cursor => Code::InvalidArgument,
            Self::Denied { .. } => Code::Denied,
            Self::TooLarge { .. } => Code::TooLarge,
        }
    }
}
