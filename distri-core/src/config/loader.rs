//! Puts the layers of a configuration together.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Tag, Value},
};

use super::{
    Complaint, Config, ConfigError, Problem, Sections, Source, Sources, check, error::variable,
    explain, file, nearest::nearest, read, read::Key,
};

/// Gathers a [`Config`]: defaults, then files, then the environment, then flags; what comes later
/// wins, and lists are replaced, not joined. The order of the calls does not matter, except among
/// files and among flags.
#[derive(Clone, Default)]
pub struct Loader {
    files: Vec<(PathBuf, Presence)>,
    variables: Vec<(OsString, OsString)>,
    flags: Vec<Flag>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

#[derive(Clone)]
struct Flag {
    flag: String,
    key: String,
    text: String,
}

/// The prefix of environment variables that are settings.
const PREFIX: &str = "DISTRI_";

/// The variable that names the configuration file, for programs to read.
const FILE_VARIABLE: &str = "DISTRI_CONFIG";

impl Loader {
    /// Adds a file, which must exist.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push((path.into(), Presence::Required));
        self
    }

    /// Adds a file if there is one.
    #[must_use]
    pub fn optional_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push((path.into(), Presence::Optional));
        self
    }

    /// Adds the `DISTRI_…` variables of this process's environment: `DISTRI_NODE__LISTEN` sets
    /// `node.listen`, lists are separated by commas, and names of services and roles are written
    /// with `_` for `-`.
    ///
    /// A variable with a double underscore that sets nothing known is refused, and so is one that
    /// misses only the second underscore; other `DISTRI_…` variables are somebody else's.
    #[must_use]
    pub fn env(self) -> Self {
        self.env_from(std::env::vars_os())
    }

    /// The same with variables from elsewhere.
    #[must_use]
    pub fn env_from<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let ours = |name: &OsString| name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
        self.variables
            .extend(variables.filter(|(name, _)| ours(name) && name != FILE_VARIABLE));
        self
    }

    /// Sets `key` to `text` for the command line's `flag` (`--listen`, as messages name it). Lists
    /// are separated by commas.
    #[must_use]
    pub fn flag(
        mut self,
        flag: impl Into<String>,
        key: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        self.flags.push(Flag {
            flag: flag.into(),
            key: key.into(),
            text: text.into(),
        });
        self
    }

    /// Reads all layers and checks the result.
    ///
    /// # Errors
    /// See [`ConfigError`]; unknown keys are all reported at once.
    pub fn load(self) -> Result<Config, ConfigError> {
        let mut layers = Layers::default();
        layers.add(Source::Default, default_values());
        for (path, presence) in &self.files {
            layers.add_file(path, *presence)?;
        }
        for (name, value) in &self.variables {
            layers.add_variable(name, value);
        }
        for Flag { flag, key, text } in &self.flags {
            layers.add_text(Source::Flag { flag: flag.clone() }, key, text);
        }
        layers.finish()
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: values may be secrets.
        f.debug_struct("Loader")
            .field(
                "files",
                &self.files.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            )
            .field(
                "variables",
                &self
                    .variables
                    .iter()
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>(),
            )
            .field(
                "flags",
                &self.flags.iter().map(|flag| &flag.flag).collect::<Vec<_>>(),
            )
            .finish()
    }
}

/// The layers so far, merged.
#[derive(Default)]
struct Layers {
    figment: Figment,
    sources: Sources,
    problems: Vec<Problem>,
}

impl Layers {
    fn add(&mut self, source: Source, values: Dict) {
        let layer = Layer { source, values };
        self.figment = std::mem::take(&mut self.figment).merge(layer);
    }

    fn add_file(&mut self, path: &Path, presence: Presence) -> Result<(), ConfigError> {
        let found = match file::read(path) {
            Err(ConfigError::Unreadable { source, .. })
                if presence == Presence::Optional && source.kind() == io::ErrorKind::NotFound =>
            {
                return Ok(());
            }
            other => other?,
        };
        self.sources.add_lines(path, found.lines);
        self.add(
            Source::File {
                path: path.to_owned(),
                line: None,
            },
            found.values,
        );
        Ok(())
    }

    fn add_variable(&mut self, name: &OsString, value: &OsString) {
        let name = name.to_string_lossy();
        let source = Source::Environment {
            variable: name.clone().into_owned(),
        };
        let Some(key) = key_of_variable(&name) else {
            if let Some(meant) = misspelt_variable(&name) {
                let message = format!("sets nothing; did you mean {meant}, with two underscores?");
                self.problems.push(Problem {
                    key: name.into_owned(),
                    source: None,
                    complaint: Complaint::Refused { message },
                });
            }
            return;
        };
        match value.to_str() {
            Some(text) => self.add_text(source, &key, text),
            None => self.problems.push(Problem {
                key,
                source: Some(source),
                complaint: Complaint::Invalid {
                    found: "bytes that are no text".to_owned(),
                    expected: "UTF-8".to_owned(),
                },
            }),
        }
    }

    fn add_text(&mut self, source: Source, key: &str, text: &str) {
        let leaf = Value::from(text.to_owned());
        let nested = key.rsplit('.').fold(leaf, |inner, name| {
            Value::from(Dict::from([(name.to_owned(), inner)]))
        });
        self.add(source, nested.into_dict().unwrap_or_default());
    }

    fn finish(mut self) -> Result<Config, ConfigError> {
        let mut merged = self
            .figment
            .find_value("")
            .unwrap_or_else(|_| Value::from(Dict::new()));
        remember_sources(&merged, &self.figment, &mut self.sources);
        let services = self.take_services(&mut merged);

        let sections = read::read::<Sections>(&merged, &Key::root(), &self.sources);
        let sections = sections.unwrap_or_else(|problems| {
            self.problems.extend(problems.into_iter().map(look_further));
            Sections::default()
        });
        if self.problems.is_empty() {
            let source = |key: &str| {
                merged
                    .find_ref(key)
                    .map(|value| self.sources.of(value, key))
            };
            self.problems.extend(
                check::sections(&sections)
                    .into_iter()
                    .map(|(key, complaint)| Problem {
                        key: key.to_owned(),
                        source: source(key),
                        complaint,
                    }),
            );
        }
        if !self.problems.is_empty() {
            return Err(ConfigError::Invalid {
                problems: self.problems,
            });
        }

        let loaded = explain::loaded(&sections, &merged, &self.sources);
        let Sections {
            node,
            peer,
            cloud,
            access,
            limits,
            directory,
            admin,
            client,
            log,
        } = sections;
        let sources = self.sources.into();
        Ok(Config {
            node,
            peer,
            cloud,
            access,
            limits,
            directory,
            admin,
            client,
            log,
            services,
            sources,
            loaded,
        })
    }

    /// Takes `[services]` out, which the services read themselves.
    fn take_services(&mut self, merged: &mut Value) -> Dict {
        let Value::Dict(_, sections) = merged else {
            return Dict::new();
        };
        let expect_table = |key: &str, value: &Value, sources: &Sources| Problem {
            key: key.to_owned(),
            source: Some(sources.of(value, key)),
            complaint: Complaint::Invalid {
                found: "a single value".to_owned(),
                expected: "a table, as in [services.stego]".to_owned(),
            },
        };
        match sections.remove("services") {
            None => Dict::new(),
            Some(Value::Dict(_, services)) => {
                for (name, table) in &services {
                    if table.as_dict().is_none() {
                        let key = format!("services.{name}");
                        self.problems.push(expect_table(&key, table, &self.sources));
                    }
                }
                services
            }
            Some(other) => {
                self.problems
                    .push(expect_table("services", &other, &self.sources));
                Dict::new()
            }
        }
    }
}

/// One layer as figment takes it.
struct Layer {
    source: Source,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.source.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

fn default_values() -> Dict {
    Value::serialize(Sections::default())
        .ok()
        .and_then(Value::into_dict)
        .unwrap_or_default()
}

fn remember_sources(value: &Value, figment: &Figment, sources: &mut Sources) {
    fn tags(value: &Value, found: &mut BTreeSet<Tag>) {
        found.insert(value.tag());
        match value {
            Value::Dict(_, entries) => entries.values().for_each(|value| tags(value, found)),
            Value::Array(_, items) => items.iter().for_each(|value| tags(value, found)),
            Value::String(..)
            | Value::Char(..)
            | Value::Bool(..)
            | Value::Num(..)
            | Value::Empty(..) => {}
        }
    }

    let mut found = BTreeSet::new();
    tags(value, &mut found);
    for tag in found {
        if let Some(metadata) = figment.get_metadata(tag) {
            sources.add_layer(tag, Source::of_metadata(metadata));
        }
    }
}

/// `DISTRI_NODE__LISTEN` → `node.listen`; `None` for variables that are not settings.
fn key_of_variable(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    if !rest.contains("__") {
        return None;
    }
    let lower = rest.to_ascii_lowercase();
    let mut segments: Vec<String> = lower.split("__").map(str::to_owned).collect();
    // Names of services and roles are kebab-case, which a variable's name cannot be.
    match segments.as_mut_slice() {
        [section, name, ..] if section == "services" => *name = name.replace('_', "-"),
        [section, roles, name] if section == "access" && roles == "roles" => {
            *name = name.replace('_', "-");
        }
        _ => {}
    }
    Some(segments.join("."))
}

/// The variable that was probably meant by one without double underscore: a key with one
/// underscore, or a bare section. Others are not ours to judge: Kubernetes alone sets a dozen for a
/// service called `distri`.
fn misspelt_variable(name: &str) -> Option<String> {
    let bare = |text: &str| text.replace(['.', '_'], "").to_ascii_lowercase();
    let wanted = bare(name.strip_prefix(PREFIX)?);
    let is_meant = |key: &String| {
        bare(key) == wanted
            || key
                .split_once('.')
                .is_some_and(|(section, _)| section == wanted)
    };
    own_keys()
        .into_iter()
        .find(is_meant)
        .map(|key| variable(&key))
}

/// Where nothing near is known in the same section, another section may know the key.
fn look_further(mut problem: Problem) -> Problem {
    if let Complaint::Unknown {
        nearest: meant @ None,
        known,
    } = &mut problem.complaint
    {
        let name = problem.key.rsplit('.').next().unwrap_or_default();
        let keys = own_keys();
        let elsewhere = keys.iter().find(|key| key.rsplit('.').next() == Some(name));
        let sections = known.iter().map(String::as_str).chain(["services"]);
        let is_section = !problem.key.contains('.');
        *meant = elsewhere.cloned().or_else(|| {
            is_section
                .then(|| nearest(name, sections).map(str::to_owned))
                .flatten()
        });
        if is_section {
            known.push("services".to_owned());
        }
    }
    problem
}

fn own_keys() -> Vec<String> {
    explain::defaults()
        .iter()
        .map(|setting| setting.key.clone())
        .collect()
}
