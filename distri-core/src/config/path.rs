//! Paths in configurations: a relative one in a file is taken from that file's folder.
//!
//! From the environment or a flag it is taken from the current folder, as a shell would.
//!
//! ```
//! # extern crate distri_core as distri;
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     #[serde(with = "distri::config::path")]
//!     covers: std::path::PathBuf,
//! }
//! ```

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{
    Deserializer, Serializer,
    de::{self, Visitor},
};

/// The name by which a field asks the configuration reader for a path instead of a text.
pub(super) const MARK: &str = "$distri::config::path";

/// Reads a path.
///
/// # Errors
/// If the value is no text, or empty.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    deserializer.deserialize_newtype_struct(MARK, PathVisitor)
}

/// Writes a path.
///
/// # Errors
/// What the serializer fails with.
pub fn serialize<S: Serializer>(value: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.display())
}

struct PathVisitor;

impl<'de> Visitor<'de> for PathVisitor {
    type Value = PathBuf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PathBuf, E> {
        if text.is_empty() {
            return Err(E::invalid_value(de::Unexpected::Str(text), &self));
        }
        Ok(PathBuf::from(text))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<PathBuf, D::Error> {
        inner.deserialize_str(self)
    }
}

/// The same for fields that may be left out.
pub mod option {
    use std::{fmt, path::PathBuf};

    use serde::{
        Deserializer, Serializer,
        de::{self, Visitor},
    };

    /// Reads a path, or none.
    ///
    /// # Errors
    /// As [`super::deserialize`].
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        deserializer.deserialize_option(OptionVisitor)
    }

    /// Writes a path, or none.
    ///
    /// # Errors
    /// What the serializer fails with.
    pub fn serialize<S: Serializer>(
        value: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(path) => super::serialize(path, serializer),
            None => serializer.serialize_none(),
        }
    }

    struct OptionVisitor;

    impl<'de> Visitor<'de> for OptionVisitor {
        type Value = Option<PathBuf>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a path")
        }

        fn visit_none<E: de::Error>(self) -> Result<Option<PathBuf>, E> {
            Ok(None)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<PathBuf>, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Option<PathBuf>, D::Error> {
            super::deserialize(inner).map(Some)
        }
    }
}
