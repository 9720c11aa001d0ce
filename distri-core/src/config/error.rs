//! What is wrong with a configuration, said so that it can be mended without reading the manual.

use std::{fmt, io, path::PathBuf};

use super::Source;
use crate::error::{Code, Error};

/// Why a configuration was refused. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file is not there or cannot be opened. Correct the path, or make the file readable.
    #[error("could not read the configuration `{}`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not TOML. Correct the line.
    #[error("{}:{line}: not TOML: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: u32,
        /// What is wrong with it. The line is not quoted: it may hold a secret.
        message: String,
    },
    /// Some settings cannot be used. Correct each.
    #[error("{}", lines(problems))]
    Invalid {
        /// What is wrong, at least one.
        problems: Vec<Problem>,
    },
}

/// What is wrong with one setting.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// Which setting, `node.listen`.
    pub key: String,
    /// Where its value came from; `None` if it has none.
    pub source: Option<Source>,
    /// What is wrong.
    pub complaint: Complaint,
}

/// What can be wrong with a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Complaint {
    /// Nobody reads a key of this name.
    Unknown {
        /// The known key that was probably meant.
        nearest: Option<String>,
        /// Known keys in the same place, if there is no near one.
        known: Vec<String>,
    },
    /// It must be set, and is not.
    Missing,
    /// It has a value that does not fit.
    Invalid {
        /// What was found.
        found: String,
        /// What would fit.
        expected: String,
    },
    /// It has a value that its reader refuses in words of its own.
    Refused {
        /// The reader's words.
        message: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            source,
            complaint,
        } = self;
        match source {
            Some(source) => write!(f, "{key} ({source}): ")?,
            None => write!(f, "{key}: ")?,
        }
        match complaint {
            Complaint::Unknown {
                nearest: Some(nearest),
                ..
            } => {
                write!(f, "no such key; did you mean `{nearest}`?")
            }
            Complaint::Unknown {
                nearest: None,
                known,
            } if known.is_empty() => f.write_str("no such key; nothing is configurable here"),
            Complaint::Unknown {
                nearest: None,
                known,
            } => {
                write!(f, "no such key; known here: {}", known.join(", "))
            }
            Complaint::Missing => {
                let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
                write!(
                    f,
                    "required and not set: write `{name} = …` under [{table}], or set {}",
                    variable(key)
                )
            }
            Complaint::Invalid { found, expected } => {
                write!(f, "found {found}, expected {expected}")
            }
            Complaint::Refused { message } => f.write_str(message),
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    match problems {
        [problem] => problem.to_string(),
        problems => {
            let lines: String = problems
                .iter()
                .map(|problem| format!("\n  {problem}"))
                .collect();
            format!("{} settings cannot be used:{lines}", problems.len())
        }
    }
}

/// The environment variable that sets `key`.
pub(super) fn variable(key: &str) -> String {
    format!(
        "DISTRI_{}",
        key.replace('.', "__")
            .replace('-', "_")
            .to_ascii_uppercase()
    )
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let message = error.to_string();
        let converted = Self::new(Code::FailedPrecondition, message);
        match error {
            ConfigError::Unreadable { source, .. } => converted.with_source(source),
            ConfigError::Syntax { .. } | ConfigError::Invalid { .. } => converted,
        }
    }
}
