//! Members, tokens and granted roles as they stand in the directory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    directory::{CollectionSpec, Who},
    id::PublicKey,
    transport::{Address, Endpoint},
};

/// The nodes of the cluster; ids are their numbers.
pub(crate) const MEMBERS: &str = "_members";
/// Join tokens that have not expired; ids are their keys.
pub(crate) const TOKENS: &str = "_tokens";
/// Keys with roles, besides those in each node's configuration; ids are the keys.
pub(crate) const ROLES: &str = "_roles";
/// What the cluster knows of itself, in one document.
pub(crate) const CLUSTER: &str = "_cluster";
/// Its id.
pub(crate) const THE_CLUSTER: &str = "cluster";

/// The id of what is known of its secret, beside it.
pub(crate) const SECRETS: &str = "secrets";

/// Which secrets the cluster has, without telling them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretsRecord {
    /// The newest epoch that there should be.
    pub(crate) due: u32,
    /// The mark of each epoch's secret.
    pub(crate) agreed: BTreeMap<u32, String>,
}

impl SecretsRecord {
    /// The newest epoch that there is; 0 before the first.
    pub(crate) fn last(&self) -> u32 {
        self.agreed.keys().next_back().copied().unwrap_or(0)
    }
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    pub(crate) key: PublicKey,
    pub(crate) name: String,
    pub(crate) address: Address,
    /// It is being removed: its vote goes first, then its place in the log, then this record. Until
    /// then it is admitted, so that a majority that it is needed for can let it go.
    #[serde(default)]
    pub(crate) leaving: bool,
}

/// A token. It stays until it expires, so that whoever used it can ask again after a lost reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    /// Milliseconds since 1970, by the directory's clock.
    pub(crate) expires_ms: u64,
    /// The node that joined with it.
    pub(crate) used_by: Option<PublicKey>,
}

/// What a key may do on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RolesRecord {
    pub(crate) roles: Vec<String>,
}

/// What the cluster knows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterRecord {
    /// 128 random bits, so that a node never takes another cluster for its own.
    pub(crate) id: String,
    /// The greatest number that a node was given.
    pub(crate) last_number: u64,
}

impl MemberRecord {
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            key: self.key,
            address: self.address.clone(),
        }
    }
}

/// The directory's own collections.
pub(crate) fn collections() -> [CollectionSpec; 4] {
    let own = |name| CollectionSpec::new(name).read(Who::Node).write(Who::Node);
    [
        own(MEMBERS).unique(["key"]),
        own(TOKENS),
        own(ROLES),
        own(CLUSTER),
    ]
}
