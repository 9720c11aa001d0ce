//! How errors are told: once each, with the remedy where it is known, and as an exit code.

use std::{error::Error as StdError, fmt, io, process::ExitCode};

#[cfg(feature = "node")]
use distri_core::node::StartError;
use distri_core::{Code, Error, config::ConfigError, identity::IdentityError};

use super::Global;

/// What a command returns to the shell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Exit {
    /// 0: it was done.
    Done,
    /// 1: it failed.
    Failed,
    /// 2: the command line, the arguments or the configuration cannot be used. Nothing was done.
    Usage,
    /// 3: no node could serve it; nothing was done. A later try may succeed.
    Unreachable,
    /// 4: no answer in time, or the link broke in the middle: the effect may have happened.
    Unknown,
    /// 130: interrupted before it was done.
    Interrupted,
}

impl Exit {
    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Unknown => 4,
            Self::Interrupted => 130,
        }
    }

    fn of(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::UnknownService | Code::UnknownMethod => Self::Usage,
            Code::Busy | Code::Unavailable => Self::Unreachable,
            Code::DeadlineExceeded | Code::UnknownOutcome => Self::Unknown,
            // The others, and codes of newer versions: it failed.
            _ => Self::Failed,
        }
    }
}

/// Why a command did not do what it was asked.
///
/// Errors of distri turn into one with `?`. Programs with commands of their own make others with
/// [`Failure::new`].
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    /// None where there is nothing to tell, as with a closed pipe.
    error: Option<Box<dyn StdError + Send + Sync>>,
    remedy: Option<String>,
    /// Where in the input it was met.
    place: Option<String>,
    /// Which node said so is of interest.
    names_node: bool,
}

impl Failure {
    /// A failure with its cause.
    pub fn new(exit: Exit, error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            exit,
            error: Some(error.into()),
            remedy: None,
            place: None,
            names_node: true,
        }
    }

    /// A command line that cannot be used.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message.into())
    }

    /// An end with nothing to tell.
    pub(super) const fn silent(exit: Exit) -> Self {
        Self {
            exit,
            error: None,
            remedy: None,
            place: None,
            names_node: true,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Says where in the input it was met.
    #[must_use]
    pub(super) fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Leaves out which node said so, where all would say the same.
    #[must_use]
    pub(super) fn of_all_nodes(mut self) -> Self {
        self.names_node = false;
        self
    }

    /// What it returns to the shell.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells it on stderr.
    pub(super) fn tell(&self, global: &Global) -> ExitCode {
        if let Some(error) = &self.error {
            let text = if global.json {
                self.json(&**error)
            } else {
                self.to_string()
            };
            // Where nobody listens on stderr there is nobody to tell that.
            let _ = io::Write::write_all(&mut io::stderr(), format!("{text}\n").as_bytes());
        }
        ExitCode::from(self.exit.number())
    }

    fn json(&self, error: &(dyn StdError + Send + Sync + 'static)) -> String {
        let call = error.downcast_ref::<Error>();
        let details = call.and_then(Error::details_json).map(|(kind, json)| {
            let value = serde_json::from_str(json).unwrap_or(serde_json::Value::Null);
            serde_json::json!({ "kind": kind, "value": value })
        });
        serde_json::json!({
            "error": {
                "message": error.to_string(),
                "causes": causes(error),
                "code": call.map(|call| call.code().name()),
                "node": call.and_then(Error::node).map(|node| node.to_string()),
                "details": details,
                "remedy": self.remedy,
                "place": self.place,
            }
        })
        .to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = &self.error else {
            return f.write_str("stopped");
        };
        f.write_str("error: ")?;
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{error}")?;
        for cause in causes(&**error) {
            write!(f, "\n  caused by: {cause}")?;
        }
        let node = error.downcast_ref::<Error>().and_then(Error::node);
        if let Some(node) = node.filter(|_| self.names_node) {
            write!(f, "\n  at node {}", node.short())?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  {remedy}")?;
        }
        Ok(())
    }
}

/// The chain below `error`, without links that only repeat the one above.
fn causes(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut told = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !told.contains(&text) {
            causes.push(text.clone());
            told = text;
        }
        next = cause.source();
    }
    causes
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let remedy = match error.code() {
            Code::DeadlineExceeded => Some("`--timeout 2m` waits longer".to_owned()),
            Code::UnknownService => Some(format!(
                "`{} services --remote` lists what the cloud offers",
                program()
            )),
            Code::Unavailable => Some(format!(
                "is the node running? `{0} node` starts one, `--node KEY@HOST:PORT` names another",
                program()
            )),
            _ => error.retry_after().map(|wait| {
                let wait = distri_core::config::duration::format(wait);
                format!("try again after {wait}")
            }),
        };
        Self {
            exit: Exit::of(error.code()),
            error: Some(error.into()),
            remedy,
            place: None,
            names_node: true,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

#[cfg(feature = "node")]
impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        use distri_core::transport::TransportError;

        let in_use = match &error {
            StartError::Listen(TransportError::Bind { source, .. }) => {
                source.kind() == io::ErrorKind::AddrInUse
            }
            _ => false,
        };
        let exit = match &error {
            StartError::Identity(_)
            | StartError::Registry(_)
            | StartError::Config(_)
            | StartError::NoCluster { .. }
            | StartError::InCluster { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        let remedy = match &error {
            StartError::NoCluster { .. } => Some(format!(
                "`{0} init` makes a cluster here, `{0} join TOKEN` joins one",
                program()
            )),
            StartError::Admin(_) => Some(
                "`admin.listen` says where: set it to another address, with port 0 for a free port"
                    .to_owned(),
            ),
            StartError::Join(cause) => match cause.code() {
                Code::Unavailable => Some(format!(
                    "are the nodes up that it names? If so, `{} token`, where one of them is, \
                     prints another",
                    program()
                )),
                Code::FailedPrecondition => Some(format!(
                    "`{} token`, where a node of the cluster is, prints another",
                    program()
                )),
                _ => None,
            },
            _ => None,
        };
        let failure = Self::new(exit, error);
        if let Some(remedy) = remedy {
            return failure.with_remedy(remedy);
        }
        if in_use {
            return failure.with_remedy(
                "another program listens there: `--listen HOST:PORT` takes another address, port 0 \
                 a free one",
            );
        }
        failure
    }
}

/// The program as it was called, for commands to type next.
pub(super) fn program() -> String {
    std::env::args_os().next().map_or_else(
        || "distri".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
