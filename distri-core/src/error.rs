//! What a call, or anything else a user of distri asked for, can fail with.
//!
//! [`Error`] is the one type that crosses links: a [`Code`] that programs branch on, a message that
//! people read, and, where an author gave them, typed details. Errors of single layers
//! ([`crate::transport::TransportError`] and others) are small enums of their own and become an
//! `Error` where a call meets them.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::id::PublicKey;

/// `Result` with distri's [`Error`] unless another is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it was; the part of an [`Error`] that programs branch on.
///
/// The numbers are the wire form and never change meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
#[non_exhaustive]
pub enum Code {
    /// The service failed in a way of its own; its details say how. No other code fits.
    Failed = 1,
    /// The arguments do not decode, or the service refuses their values. Correct them.
    InvalidArgument = 2,
    /// What the call is about does not exist.
    NotFound = 3,
    /// What the call would create exists already.
    AlreadyExists = 4,
    /// The state does not allow it now; nothing was changed.
    FailedPrecondition = 5,
    /// The caller's key may not do this.
    Denied = 6,
    /// A bound on concurrent work, memory or rate is reached; nothing was done. Try again later,
    /// after [`Error::retry_after`] where it is given.
    Busy = 7,
    /// Too large for a stated bound; the message names it.
    TooLarge = 8,
    /// The deadline passed before a reply came: the effect may have happened or not.
    DeadlineExceeded = 9,
    /// The caller gave up, or the node stopped the call.
    Cancelled = 10,
    /// No node that offers the service.
    UnknownService = 11,
    /// The service has no such method.
    UnknownMethod = 12,
    /// The two programs hold versions of the method that do not fit; the message names the field.
    Incompatible = 13,
    /// The node cannot be reached, or is draining; nothing was done. Another node may serve.
    Unavailable = 14,
    /// The link ended before the reply came: the effect may have happened or not.
    UnknownOutcome = 15,
    /// A fault of the service or of distri; details are in the log of the node that served.
    Internal = 16,
    /// Stored or transferred bytes are damaged.
    DataLoss = 17,
    /// Not offered by this version or configuration.
    Unsupported = 18,
}

impl Code {
    /// The code of a wire number; unknown numbers, from newer programs, read as [`Code::Failed`].
    pub const fn from_number(number: u8) -> Self {
        match number {
            2 => Self::InvalidArgument,
            3 => Self::NotFound,
            4 => Self::AlreadyExists,
            5 => Self::FailedPrecondition,
            6 => Self::Denied,
            7 => Self::Busy,
            8 => Self::TooLarge,
            9 => Self::DeadlineExceeded,
            10 => Self::Cancelled,
            11 => Self::UnknownService,
            12 => Self::UnknownMethod,
            13 => Self::Incompatible,
            14 => Self::Unavailable,
            15 => Self::UnknownOutcome,
            16 => Self::Internal,
            17 => Self::DataLoss,
            18 => Self::Unsupported,
            _ => Self::Failed,
        }
    }

    /// The wire number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code's name as logs, JSON and the command line show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::InvalidArgument => "invalid-argument",
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::FailedPrecondition => "failed-precondition",
            Self::Denied => "denied",
            Self::Busy => "busy",
            Self::TooLarge => "too-large",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::Cancelled => "cancelled",
            Self::UnknownService => "unknown-service",
            Self::UnknownMethod => "unknown-method",
            Self::Incompatible => "incompatible",
            Self::Unavailable => "unavailable",
            Self::UnknownOutcome => "unknown-outcome",
            Self::Internal => "internal",
            Self::DataLoss => "data-loss",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An author's own error, which travels typed: `?` turns it into an [`Error`], and the caller gets
/// it back with [`Error::details`].
///
/// ```
/// # extern crate distri_core as distri;
/// #[distri::message]
/// #[derive(Debug, PartialEq, thiserror::Error)]
/// enum Refusal {
///     #[error("the cover holds {holds} bytes, the payload has {needs}")]
///     CoverTooSmall { needs: u64, holds: u64 },
/// }
///
/// impl distri::ServiceError for Refusal {
///     fn code(&self) -> distri::Code {
///         distri::Code::FailedPrecondition
///     }
/// }
///
/// let error = distri::Error::from(Refusal::CoverTooSmall { needs: 9, holds: 3 });
/// assert_eq!(error.to_string(), "the cover holds 3 bytes, the payload has 9");
/// assert_eq!(error.details(), Some(Refusal::CoverTooSmall { needs: 9, holds: 3 }));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error that a service can return",
    note = "implement `distri::ServiceError` for it (it needs `Error`, `Serialize` and `Deserialize`), or map it with `distri::Error::new`"
)]
pub trait ServiceError:
    std::error::Error + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// What kind of failure this is to a caller that does not know the type.
    fn code(&self) -> Code {
        Code::Failed
    }

    /// The name under which the details travel; the type's own name unless told otherwise.
    fn kind() -> &'static str {
        let name = std::any::type_name::<Self>();
        name.rsplit("::").next().unwrap_or(name)
    }
}

/// A failure as the caller of a service sees it.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    message: String,
    details: Option<Details>,
    retry_after: Option<Duration>,
    node: Option<PublicKey>,
    /// Stays on this side of the link.
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// An author's error in its wire form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) kind: String,
    /// JSON, so that callers without the type can show it.
    pub(crate) json: String,
}

impl Error {
    /// An error with a code and a message (lower case, no full stop, names and values in it).
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            details: None,
            retry_after: None,
            node: None,
            source: None,
        }))
    }

    /// [`Code::InvalidArgument`] with `message`.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// [`Code::NotFound`] with `message`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// [`Code::Internal`]: the cause is logged where it happened, the caller sees only `message`.
    pub fn internal(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::new(Code::Internal, message).with_source(source)
    }

    /// Adds the local cause. It is shown and logged here and does not cross the link.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds how long the caller should wait before trying again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// What kind of failure it was.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What happened, for people; the same text that `Display` gives.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The author's own error, if this is one of type `E`.
    pub fn details<E: ServiceError>(&self) -> Option<E> {
        let details = self.0.details.as_ref()?;
        if details.kind != E::kind() {
            return None;
        }
        serde_json::from_str(&details.json).ok()
    }

    /// The author's own error as its type name and JSON, for callers without the type.
    pub fn details_json(&self) -> Option<(&str, &str)> {
        self.0
            .details
            .as_ref()
            .map(|d| (d.kind.as_str(), d.json.as_str()))
    }

    /// How long to wait before trying again, where the node said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The node that answered with this error; `None` if it arose here.
    pub fn node(&self) -> Option<PublicKey> {
        self.0.node
    }

    /// True if the effect may have happened although no reply came.
    pub fn is_unknown_outcome(&self) -> bool {
        matches!(self.0.code, Code::UnknownOutcome | Code::DeadlineExceeded)
    }

    /// True if the call certainly had no effect and another node, or a later try, may serve it.
    pub fn is_retryable(&self) -> bool {
        match self.0.code {
            Code::Busy | Code::Unavailable => true,
            Code::Failed
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Denied
            | Code::TooLarge
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::UnknownService
            | Code::UnknownMethod
            | Code::Incompatible
            | Code::UnknownOutcome
            | Code::Internal
            | Code::DataLoss
            | Code::Unsupported => false,
        }
    }

    #[must_use]
    pub(crate) fn at_node(mut self, node: PublicKey) -> Self {
        self.0.node.get_or_insert(node);
        self
    }

    pub(crate) fn into_wire(self) -> WireError {
        WireError {
            code: self.0.code.number(),
            message: self.0.message,
            details: self.0.details,
            retry_after_ms: self
                .0
                .retry_after
                .map(|wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)),
        }
    }

    pub(crate) fn from_wire(wire: WireError) -> Self {
        let mut error = Self::new(Code::from_number(wire.code), wire.message);
        error.0.details = wire.details;
        error.0.retry_after = wire
            .retry_after_ms
            .map(|ms| Duration::from_millis(ms.into()));
        error
    }

    /// The error once more, without its local cause: one failure that several waiters are told of.
    pub(crate) fn repeat(&self) -> Self {
        let mut error = Self::new(self.0.code, self.0.message.clone());
        error.0.details = self.0.details.clone();
        error.0.retry_after = self.0.retry_after;
        error.0.node = self.0.node;
        error
    }
}

/// An [`Error`] as it crosses a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireError {
    code: u8,
    message: String,
    details: Option<Details>,
    retry_after_ms: Option<u32>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug
            .field("code", &self.0.code)
            .field("message", &self.0.message);
        if let Some(details) = &self.0.details {
            debug.field("details", details);
        }
        if let Some(node) = &self.0.node {
            debug.field("node", node);
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl<E: ServiceError> From<E> for Error {
    fn from(error: E) -> Self {
        let mut converted = Self::new(error.code(), error.to_string());
        converted.0.details = serde_json::to_string(&error).ok().map(|json| Details {
            kind: E::kind().to_owned(),
            json,
        });
        converted
    }
}

impl From<std::io::Error> for Error {
    /// The caller learns that input or output failed; what and where stays in this node's log.
    fn from(error: std::io::Error) -> Self {
        Self::internal("input or output failed", error)
    }
}

/// An error with its causes in one line, for logs and for the end of a command.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
    enum Refusal {
        #[error("only {left} left")]
        Few { left: u32 },
    }

    impl ServiceError for Refusal {
        fn code(&self) -> Code {
            Code::FailedPrecondition
        }
    }

    #[test]
    fn an_authors_error_comes_back_typed_after_the_wire() {
        let sent = Error::from(Refusal::Few { left: 2 });

        let received = Error::from_wire(sent.into_wire());

        assert_eq!(received.code(), Code::FailedPrecondition);
        assert_eq!(received.message(), "only 2 left");
        assert_eq!(received.details(), Some(Refusal::Few { left: 2 }));
    }

    #[test]
    fn a_local_cause_does_not_cross_the_link() {
        let error = Error::from(std::io::Error::other("/secret/path is gone"));

        let wire = format!("{:?}", error.into_wire());

        assert!(!wire.contains("secret"), "{wire}");
    }

    #[test]
    fn every_code_survives_its_number() {
        for number in 1..=18 {
            assert_eq!(Code::from_number(number).number(), number);
        }
        assert_eq!(Code::from_number(200), Code::Failed);
    }
}
