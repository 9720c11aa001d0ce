//! Every setting with its value and its source, for `config show`.

use std::{collections::BTreeMap, sync::Arc};

use figment::value::Value;
use serde_json::Value as Json;

use super::{Config, Sections, Source, Sources, read::Key};

/// One setting as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// Its key, `node.listen`.
    pub key: String,
    /// Its value; null if it has none. The values of keys that name secrets are replaced.
    pub value: Json,
    /// Where the value came from.
    pub source: Source,
}

/// What is shown in place of a secret.
const HIDDEN: &str = "(hidden)";

/// Words in a key of a service that tell a secret.
const SECRETS: [&str; 7] = [
    "secret",
    "password",
    "passphrase",
    "passwd",
    "token",
    "credential",
    "apikey",
];

/// True for a key whose value must not be shown: one of a service with a word like `token` in its
/// name. Keys of distri itself hold no secrets, and a `…_file` holds only a path.
pub(super) fn is_secret(key: &str) -> bool {
    let mut segments = key.split('.');
    if segments.next() != Some("services") {
        return false;
    }
    segments.skip(1).any(|segment| {
        let segment = segment.to_ascii_lowercase().replace(['_', '-'], "");
        let names_place = ["file", "path", "dir", "folder"]
            .iter()
            .any(|end| segment.ends_with(end));
        let names_secret = SECRETS.iter().any(|word| segment.contains(word))
            || segment.ends_with("privatekey")
            || segment.ends_with("secretkey");
        names_secret && !names_place
    })
}

/// The settings of a configuration nobody has changed.
pub(super) fn defaults() -> Arc<[Setting]> {
    own(&Sections::default())
        .map(|(key, value)| Setting {
            key,
            value,
            source: Source::Default,
        })
        .collect()
}

/// The settings as the layers gave them.
pub(super) fn loaded(sections: &Sections, merged: &Value, sources: &Sources) -> Arc<[Setting]> {
    own(sections)
        .map(|(key, value)| {
            let source = merged
                .find_ref(&key)
                .map_or(Source::Default, |found| sources.of(found, &key));
            Setting { key, value, source }
        })
        .collect()
}

/// The settings as they stand, with the sources of those that are as they were loaded.
pub(super) fn with_sources(config: &Config, loaded: &[Setting]) -> Vec<Setting> {
    let loaded: BTreeMap<&str, &Setting> = loaded
        .iter()
        .map(|setting| (setting.key.as_str(), setting))
        .collect();
    let mut settings: Vec<Setting> = own(&config.sections())
        .map(|(key, value)| {
            let source = match loaded.get(key.as_str()) {
                Some(setting) if setting.value == value => setting.source.clone(),
                _ => Source::Program,
            };
            Setting { key, value, source }
        })
        .collect();
    settings.sort_by(|a, b| a.key.cmp(&b.key));

    let root = Key::root();
    let services = root.child("services");
    for (name, table) in &config.services {
        settings.extend(flatten(table, &services.child(name), &config.sources));
    }
    settings
}

/// distri's own settings as key and value.
fn own(sections: &Sections) -> impl Iterator<Item = (String, Json)> + use<> {
    let mut leaves = Vec::new();
    // Sections are structs of texts, numbers and lists; all of that is JSON.
    let json = serde_json::to_value(sections).unwrap_or_default();
    json_leaves("", json, &mut leaves);
    leaves.into_iter()
}

fn json_leaves(prefix: &str, value: Json, leaves: &mut Vec<(String, Json)>) {
    match value {
        Json::Object(entries) => {
            for (name, value) in entries {
                let key = if prefix.is_empty() {
                    name
                } else {
                    format!("{prefix}.{name}")
                };
                json_leaves(&key, value, leaves);
            }
        }
        leaf
        @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_)) => {
            leaves.push((prefix.to_owned(), leaf));
        }
    }
}

/// The settings in a table as the layers gave it.
pub(super) fn flatten(value: &Value, key: &Key<'_>, sources: &Sources) -> Vec<Setting> {
    match value {
        Value::Dict(_, entries) => entries
            .iter()
            .flat_map(|(name, value)| flatten(value, &key.child(name), sources))
            .collect(),
        leaf => {
            let key = key.to_string();
            let value = if is_secret(&key) {
                Json::from(HIDDEN)
            } else {
                to_json(leaf)
            };
            vec![Setting {
                source: sources.of(leaf, &key),
                key,
                value,
            }]
        }
    }
}

fn to_json(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}
