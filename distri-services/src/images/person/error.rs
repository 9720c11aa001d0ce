//! What goes wrong on this side.

use distri::{Code, ServiceError, id::PublicKey};

use crate::permissions::{GrantState, RequestId};

/// What goes wrong on a person's own side. What others refuse keeps its own type.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PersonError {
    /// Join a cloud first.
    #[error("this profile has joined no cloud yet")]
    NotJoined,
    /// There is no such user.
    #[error("there is no user {who}")]
    NoUser {
        /// The handle or key.
        who: String,
    },
    /// There is no such image in the catalogue, or it is offered no longer.
    #[error("{image} is not offered")]
    NotOffered {
        /// The image.
        image: String,
    },
    /// There is no such request or grant in this profile.
    #[error("there is no request or grant {request} here")]
    NoRequest {
        /// Its id.
        request: RequestId,
    },
    /// The request was answered before, and otherwise.
    #[error("the request {request} was answered before")]
    Answered {
        /// Its id.
        request: RequestId,
    },
    /// The request was not approved, or not yet.
    #[error("the request {request} is not approved{}", why.as_ref().map_or(String::new(), |why| format!(": {why}")))]
    NotApproved {
        /// Its id.
        request: RequestId,
        /// Why it was rejected, if it was.
        why: Option<String>,
    },
    /// The stego image is not here yet, or is damaged. Fetch it. No view was spent.
    #[error("the image of {request} is not here yet; no view was spent")]
    NotDelivered {
        /// Its id.
        request: RequestId,
    },
    /// The owner has granted it with keys, or an image, that do not fit together. No view was spent.
    #[error("the grant of {request} cannot be opened: {what}")]
    Unopenable {
        /// Its id.
        request: RequestId,
        /// What does not fit.
        what: String,
    },
    /// A view was released, its picture never shown here, and the time to ask for it again is over:
    /// the view is lost.
    #[error("a view of {request} was begun before and can no longer be finished")]
    ViewLost {
        /// Its id.
        request: RequestId,
    },
    /// The view that is asked for again was looked at and closed.
    #[error("this view of {request} was looked at and is closed")]
    ViewClosed {
        /// Its id.
        request: RequestId,
    },
    /// The grant is over for good: it was withdrawn.
    #[error("the grant {request} is over: {}", match state { GrantState::Revoked => "revoked", _ => "ended" })]
    Over {
        /// Its id.
        request: RequestId,
        /// How it stands.
        state: GrantState,
    },
    /// A node told a record that is older than one known, or not signed by whose it is. The one known
    /// before is kept.
    #[error("a node told something false of {of}: {what}")]
    Lie {
        /// Of whose record.
        of: PublicKey,
        /// What was told.
        what: String,
    },
    /// The audit that was told cannot be what happened.
    #[error("the audit of {request} is false: {what}")]
    FalseAudit {
        /// Its id.
        request: RequestId,
        /// What is wrong.
        what: String,
    },
    /// Something in the profile was damaged. It was left as it is.
    #[error("`{what}` in the profile cannot be read")]
    Damaged {
        /// What.
        what: String,
    },
}

impl ServiceError for PersonError {
    fn code(&self) -> Code {
        match self {
            Self::NoUser { .. } | Self::NotOffered { .. } | Self::NoRequest { .. } => {
                Code::NotFound
            }
            Self::NotJoined
            | Self::Answered { .. }
            | Self::NotApproved { .. }
            | Self::NotDelivered { .. }
            | Self::Over { .. }
            | Self::ViewClosed { .. } => Code::FailedPrecondition,
            Self::Unopenable { .. }
            | Self::ViewLost { .. }
            | Self::Lie { .. }
            | Self::FalseAudit { .. }
            | Self::Damaged { .. } => Code::DataLoss,
        }
    }
}
