//! `[directory]`: where and how a node keeps the directory.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{path, size};
use crate::directory::{CollectionSpec, Field, IndexSpec, Json, Who};

/// `[directory]`: where and how the node keeps the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DirectoryConfig {
    /// The folder of the node's log and snapshots. Relative to the folder of the file that says so.
    /// `init` and `join` make it. Default: none; then a node that lists no others in `cloud.nodes`
    /// keeps a directory of its own in memory, which ends with it, and a node that does keeps none.
    #[serde(with = "path::option")]
    pub path: Option<PathBuf>,
    /// How many nodes vote at most; of an even number one follows without a vote. More survive the
    /// failure of more (of five, two), and make each write wait for more disks. Default 5.
    pub voters: u32,
    /// How soon a silent leader is replaced. Default `lan`.
    pub timing: Timing,
    /// How long an election that a node holds, or a service that it leads, stays its own when it falls
    /// silent; the others may take over then. Longer rides out longer failures of the directory's
    /// own leader (keep it several times as long as `timing` takes), shorter fails over sooner and
    /// makes each node that holds something write more often: three times in each. Default 4s.
    #[serde(with = "super::duration")]
    pub lease: Duration,
    /// A snapshot of the directory is made when its log has grown by so much since the last one, and
    /// by as much as that one has. Less: a restart reads less, a node that was away is sooner sent
    /// all instead of what it missed, and the whole directory is written more often. Default 16 MiB.
    #[serde(with = "size")]
    pub snapshot_after: u64,
    /// Collections that the nodes create at start, or make as they are declared here.
    pub collections: BTreeMap<String, CollectionConfig>,
}

/// How soon a silent leader is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Timing {
    /// After 450 to 600 ms: for nodes in one building, whose disks sync within 50 ms.
    #[default]
    Lan,
    /// After about 1.2 to 1.6 s: for nodes that share machines or are further apart.
    Cloud,
}

/// `[directory.collections.NAME]`: a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CollectionConfig {
    /// Secondary indexes, each a list of fields: `[["owner"], ["kind", "size"]]`. An index makes
    /// searches by its fields fast, and each write a little slower. Default: none.
    pub indexes: Vec<Vec<String>>,
    /// Secondary indexes in which no two documents may be equal. Default: none.
    pub unique: Vec<Vec<String>>,
    /// A file with the JSON Schema that documents must meet. Default: none.
    #[serde(with = "path::option")]
    pub schema: Option<PathBuf>,
    /// Who may read: `public`, `authenticated`, `owner`, `node` or a role. Default
    /// `authenticated`: keys that are listed in `access`.
    pub read: Option<String>,
    /// Who may insert, change and delete; as for `read`.
    pub write: Option<String>,
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        Self {
            path: None,
            voters: 5,
            timing: Timing::default(),
            lease: Duration::from_secs(4),
            snapshot_after: 16 << 20,
            collections: BTreeMap::new(),
        }
    }
}

impl CollectionConfig {
    /// The collection as it is declared to the directory.
    ///
    /// # Errors
    /// Why the schema's file cannot be used.
    pub(crate) fn spec(&self, name: &str) -> Result<CollectionSpec, String> {
        let index = |fields: &Vec<String>, unique| IndexSpec {
            fields: fields.iter().map(Field::from).collect(),
            unique,
        };
        let mut spec = CollectionSpec::new(name);
        spec.indexes = self
            .indexes
            .iter()
            .map(|fields| index(fields, false))
            .chain(self.unique.iter().map(|fields| index(fields, true)))
            .collect();
        if let Some(path) = &self.schema {
            let text = std::fs::read_to_string(path).map_err(|error| {
                format!("the schema {} cannot be read: {error}", path.display())
            })?;
            let schema: Json = text
                .parse()
                .map_err(|error| format!("the schema {} is {error}", path.display()))?;
            spec.schema = Some(schema);
        }
        spec.read = self.read.as_deref().map_or_else(Who::default, who);
        spec.write = self.write.as_deref().map_or_else(Who::default, who);
        Ok(spec)
    }
}

fn who(text: &str) -> Who {
    match text {
        "public" => Who::Public,
        "authenticated" => Who::Authenticated,
        "owner" => Who::Owner,
        "node" => Who::Node,
        role => Who::Role(role.to_owned()),
    }
}
