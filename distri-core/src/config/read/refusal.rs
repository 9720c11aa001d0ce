//! What types refuse, in the words of serde, and where; turned into a [`Problem`] at the end.

use std::fmt;

use serde::de::{self, Unexpected};

use super::{
    super::{Complaint, Problem, Source, explain::is_secret, nearest::nearest},
    Key,
};

/// What a type refused, and as soon as it is known, where.
#[derive(Debug)]
pub(super) struct ReadError {
    refusal: Refusal,
    place: Option<(String, Option<Source>)>,
}

#[derive(Debug)]
enum Refusal {
    Value {
        found: String,
        expected: String,
    },
    UnknownField {
        name: String,
        known: &'static [&'static str],
    },
    MissingField {
        name: &'static str,
    },
    Other(String),
}

impl ReadError {
    fn new(refusal: Refusal) -> Self {
        Self {
            refusal,
            place: None,
        }
    }

    /// Adds where it happened, unless a place further inside is known already.
    pub(super) fn at(mut self, key: &Key<'_>, source: Option<Source>) -> Self {
        self.place.get_or_insert_with(|| (key.to_string(), source));
        self
    }

    /// What it means to an operator; `root` is where the run began.
    pub(super) fn into_problem(self, root: &Key<'_>) -> Problem {
        let (key, source) = self.place.unwrap_or_else(|| (root.to_string(), None));
        let secret = is_secret(&key);
        match self.refusal {
            Refusal::Value { found, expected } => {
                let found = if secret {
                    "a value that does not fit".to_owned()
                } else {
                    found
                };
                Problem {
                    key,
                    source,
                    complaint: Complaint::Invalid { found, expected },
                }
            }
            Refusal::Other(_) if secret => {
                let message = "the value does not fit (it is not shown)".to_owned();
                Problem {
                    key,
                    source,
                    complaint: Complaint::Refused { message },
                }
            }
            Refusal::Other(message) => Problem {
                key,
                source,
                complaint: Complaint::Refused { message },
            },
            Refusal::UnknownField { name, known } => {
                let prefix = key.strip_suffix(&name).unwrap_or_default();
                let nearest =
                    nearest(&name, known.iter().copied()).map(|name| format!("{prefix}{name}"));
                let known = known.iter().map(|name| (*name).to_owned()).collect();
                Problem {
                    key,
                    source,
                    complaint: Complaint::Unknown { nearest, known },
                }
            }
            Refusal::MissingField { name } => {
                let key = if key.is_empty() {
                    name.to_owned()
                } else {
                    format!("{key}.{name}")
                };
                Problem {
                    key,
                    source: None,
                    complaint: Complaint::Missing,
                }
            }
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refusal {
            Refusal::Value { found, expected } => write!(f, "found {found}, expected {expected}"),
            Refusal::UnknownField { name, .. } => write!(f, "no such key: {name}"),
            Refusal::MissingField { name } => write!(f, "{name} is required and not set"),
            Refusal::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Refusal::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Refusal::Value {
            found: show(found),
            expected: expected.to_string(),
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Refusal::Value {
            found: show(found),
            expected: expected.to_string(),
        })
    }

    fn invalid_length(len: usize, expected: &dyn de::Expected) -> Self {
        Self::new(Refusal::Value {
            found: format!("{len} items"),
            expected: expected.to_string(),
        })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let quoted: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
        let expected = match quoted.split_last() {
            None => "nothing".to_owned(),
            Some((only, [])) => only.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
        };
        Self::new(Refusal::Value {
            found: show(Unexpected::Str(variant)),
            expected,
        })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Refusal::UnknownField {
            name: field.to_owned(),
            known: expected,
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Refusal::MissingField { name: field })
    }
}

/// A value as an operator would write it.
fn show(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => {
            let short: String = text.chars().take(120).collect();
            format!("\"{short}\"")
        }
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        other => other.to_string(),
    }
}
