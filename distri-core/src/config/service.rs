//! [`ServiceConfig`]: what `[services.NAME]` says, for the service to read.

use std::{fmt, sync::Arc};

use figment::value::{Dict, Value};
use serde::{Serialize, de::DeserializeOwned};

use super::{Complaint, ConfigError, Problem, Sources, explain, read, read::Key};
use crate::error::Result;

/// What `[services.NAME]` says; empty for a service that is not configured.
///
/// A service names an `init` function whose second argument is read from here:
///
/// ```
/// # extern crate distri_core as distri;
/// #[derive(serde::Deserialize)]
/// #[serde(default)]
/// struct Settings {
///     side_max: u32,
/// }
///
/// impl Default for Settings {
///     fn default() -> Self {
///         Self { side_max: 4096 }
///     }
/// }
///
/// let config = distri::Config::default();
/// let settings: Settings = config.service("thumbnails").read()?;
/// assert_eq!(settings.side_max, 4096);
/// # Ok::<(), distri::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ServiceConfig {
    name: String,
    table: Option<Value>,
    sources: Arc<Sources>,
}

impl ServiceConfig {
    pub(super) fn new(name: &str, table: Option<Value>, sources: Arc<Sources>) -> Self {
        Self {
            name: name.to_owned(),
            table,
            sources,
        }
    }

    /// A configuration written by the program, for tests and registration by hand.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if `table` does not serialize as a table.
    pub fn from_table(name: &str, table: &impl Serialize) -> Result<Self, ConfigError> {
        Ok(Self::new(
            name,
            Some(to_table(name, table)?),
            Arc::default(),
        ))
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True if nothing is configured.
    pub fn is_empty(&self) -> bool {
        self.table
            .as_ref()
            .and_then(Value::as_dict)
            .is_none_or(Dict::is_empty)
    }

    /// Reads the service's own type. Keys that it does not read are refused, whether or not it says
    /// `deny_unknown_fields`; texts from the environment and from flags become what it asks for.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`](crate::error::Code::FailedPrecondition), naming each key, where
    /// its value came from, and what was expected.
    pub fn read<C: DeserializeOwned>(&self) -> Result<C> {
        Ok(self.try_read()?)
    }

    /// [`ServiceConfig::read`] with the single problems told apart.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn try_read<C: DeserializeOwned>(&self) -> Result<C, ConfigError> {
        let empty = Value::from(Dict::new());
        let table = self.table.as_ref().unwrap_or(&empty);
        let root = Key::root();
        let services = root.child("services");
        read::read(table, &services.child(&self.name), &self.sources)
            .map_err(|problems| ConfigError::Invalid { problems })
    }

    /// Refuses any key: for services that read none.
    ///
    /// # Errors
    /// As [`ServiceConfig::read`].
    pub fn expect_empty(&self) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Nothing {}
        self.read::<Nothing>().map(|Nothing {}| ())
    }
}

impl fmt::Debug for ServiceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        if let Some(table) = &self.table {
            let root = Key::root();
            let services = root.child("services");
            for setting in explain::flatten(table, &services.child(&self.name), &self.sources) {
                map.entry(
                    &format_args!("{}", setting.key),
                    &format_args!("{}", setting.value),
                );
            }
        }
        map.finish()
    }
}

/// Turns what a program says into a table of the configuration.
pub(super) fn to_table(name: &str, table: &impl Serialize) -> Result<Value, ConfigError> {
    let refused = |found: String| ConfigError::Invalid {
        problems: vec![Problem {
            key: format!("services.{name}"),
            source: Some(super::Source::Program),
            complaint: Complaint::Invalid {
                found,
                expected: "a table".to_owned(),
            },
        }],
    };
    match Value::serialize(table) {
        Ok(value @ Value::Dict(..)) => Ok(value),
        // A struct without fields.
        Ok(Value::Empty(..)) => Ok(Value::from(Dict::new())),
        Ok(other) => Err(refused(other.to_actual().to_string())),
        Err(error) => Err(refused(format!("what does not serialize ({error})"))),
    }
}
