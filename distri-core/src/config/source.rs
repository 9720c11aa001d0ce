//! Where a value came from.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use figment::{
    Metadata,
    value::{Tag, Value},
};

/// Where a value of a configuration came from.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A line of a file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1, where it could be told.
        line: Option<u32>,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A flag of the command line.
    Flag {
        /// As it was written, `--listen`.
        flag: String,
    },
    /// The program itself.
    Program,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
            Self::Program => f.write_str("the program"),
        }
    }
}

impl Source {
    /// True if values from here are texts, whatever type is wanted of them.
    fn is_text(&self) -> bool {
        match self {
            Self::Environment { .. } | Self::Flag { .. } => true,
            Self::Default | Self::File { .. } | Self::Program => false,
        }
    }

    const ENVIRONMENT: &'static str = "environment";
    const FLAG: &'static str = "flag";
    const PROGRAM: &'static str = "program";

    /// How figment is told of this source.
    pub(super) fn metadata(&self) -> Metadata {
        match self {
            Self::Default => Metadata::default(),
            Self::File { path, .. } => Metadata::from("file", path.as_path()),
            Self::Environment { variable } => Metadata::from(Self::ENVIRONMENT, variable.as_str()),
            Self::Flag { flag } => Metadata::from(Self::FLAG, flag.as_str()),
            Self::Program => Metadata::named(Self::PROGRAM),
        }
    }

    /// What figment was told.
    pub(super) fn of_metadata(metadata: &Metadata) -> Self {
        match (metadata.name.as_ref(), &metadata.source) {
            (_, Some(figment::Source::File(path))) => Self::File {
                path: path.clone(),
                line: None,
            },
            (Self::ENVIRONMENT, Some(figment::Source::Custom(variable))) => Self::Environment {
                variable: variable.clone(),
            },
            (Self::FLAG, Some(figment::Source::Custom(flag))) => Self::Flag { flag: flag.clone() },
            (Self::PROGRAM, _) => Self::Program,
            _ => Self::Default,
        }
    }
}

/// The sources of the values of one configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    layers: BTreeMap<Tag, Source>,
    /// By file and key.
    lines: BTreeMap<(PathBuf, String), u32>,
}

impl Sources {
    /// Adds the layer that figment calls `tag`.
    pub(super) fn add_layer(&mut self, tag: Tag, source: Source) {
        self.layers.insert(tag, source);
    }

    /// Adds the lines on which a file has its keys.
    pub(super) fn add_lines(&mut self, path: &Path, lines: BTreeMap<String, u32>) {
        self.lines.extend(
            lines
                .into_iter()
                .map(|(key, line)| ((path.to_owned(), key), line)),
        );
    }

    /// Where `value`, which stands at `key`, came from.
    pub(super) fn of(&self, value: &Value, key: &str) -> Source {
        let tag = value.tag();
        if tag.is_default() {
            return Source::Program;
        }
        match self.layers.get(&tag) {
            Some(Source::File { path, .. }) => {
                let line = self.lines.get(&(path.clone(), key.to_owned())).copied();
                Source::File {
                    path: path.clone(),
                    line,
                }
            }
            Some(source) => source.clone(),
            None => Source::Default,
        }
    }

    /// True if `value` is a text that stands for a value of any type.
    pub(super) fn is_text(&self, value: &Value) -> bool {
        self.layers.get(&value.tag()).is_some_and(Source::is_text)
    }

    /// The folder from which relative paths in `value` are taken, if it is not the current one.
    pub(super) fn folder(&self, value: &Value) -> Option<&Path> {
        match self.layers.get(&value.tag())? {
            Source::File { path, .. } => path.parent(),
            Source::Default
            | Source::Environment { .. }
            | Source::Flag { .. }
            | Source::Program => None,
        }
    }
}
