//! What a data folder says about the cluster that it belongs to.

use std::{io, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    consensus::NodeNumber,
    id::PublicKey,
    storage::{Disk, StorageError},
    transport::Endpoint,
};

const FILE: &str = "cluster.json";
const FILE_NEW: &str = "cluster.json.new";
const FORMAT: u32 = 1;
/// More than this no such file has.
const SIZE_MAX: u64 = 1 << 20;

/// The file `cluster.json` of a data folder. Written once, when the folder is made; a folder
/// without it belongs to no cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Folder {
    format: u32,
    /// The cluster's id.
    pub(crate) cluster: String,
    /// This node's number in it.
    pub(crate) number: NodeNumber,
    /// This node's key: a folder serves no other.
    pub(crate) key: PublicKey,
    /// This node founded the cluster.
    pub(crate) founder: bool,
    /// The key that the founder lists as `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<PublicKey>,
    /// Nodes as they were when this one joined; the directory knows how they are.
    #[serde(default)]
    pub(crate) nodes: Vec<Endpoint>,
}

impl Folder {
    /// A folder of the first node of a new cluster.
    pub(crate) fn founding(cluster: String, key: PublicKey, admin: Option<PublicKey>) -> Self {
        Self {
            format: FORMAT,
            cluster,
            number: 1,
            key,
            founder: true,
            admin,
            nodes: Vec::new(),
        }
    }

    /// A folder of a node that joined.
    pub(crate) fn joined(
        cluster: String,
        number: NodeNumber,
        key: PublicKey,
        nodes: Vec<Endpoint>,
    ) -> Self {
        Self {
            format: FORMAT,
            cluster,
            number,
            key,
            founder: false,
            admin: None,
            nodes,
        }
    }

    /// Reads the file, if there is one.
    pub(crate) fn read(disk: &Arc<dyn Disk>) -> Result<Option<Self>, StorageError> {
        let io = |what| StorageError::io(what, FILE);
        let names = disk.names().map_err(io("look for"))?;
        if !names.iter().any(|name| name == FILE) {
            return Ok(None);
        }
        let file = disk.open(FILE).map_err(io("open"))?;
        let length = file.length().map_err(io("read"))?;
        if length > SIZE_MAX {
            return Err(StorageError::corrupt(FILE, SIZE_MAX, "it is too long"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_at(0, &mut bytes).map_err(io("read"))?;
        let folder: Self = serde_json::from_slice(&bytes)
            .map_err(|error| io("read")(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        if folder.format > FORMAT {
            return Err(StorageError::Version {
                file: FILE.to_owned(),
                found: folder.format,
                supported: FORMAT,
            });
        }
        Ok(Some(folder))
    }

    /// Writes the file, durably and whole or not at all.
    pub(crate) fn write(&self, disk: &Arc<dyn Disk>) -> Result<(), StorageError> {
        let io = |what| StorageError::io(what, FILE);
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| io("write")(io::Error::other(error)))?;
        bytes.push(b'\n');
        let file = disk.create(FILE_NEW).map_err(io("create"))?;
        file.set_length(0).map_err(io("write"))?;
        file.write_at(0, &bytes).map_err(io("write"))?;
        file.sync().map_err(io("sync"))?;
        disk.rename(FILE_NEW, FILE).map_err(io("rename"))?;
        disk.sync().map_err(io("sync"))
    }
}
