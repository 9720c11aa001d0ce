//! What is told of a node as a whole.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MethodStats;

/// What a node has done since it started, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct NodeStats {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The version of distri it runs.
    pub program: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Calls being served.
    pub in_flight: u32,
    /// It takes no new calls.
    pub draining: bool,
    /// Services that cannot serve now.
    pub not_serving: Vec<String>,
    /// What its process costs, where the system tells.
    pub process: Option<ProcessStats>,
    /// Its links.
    pub links: LinkStats,
    /// Milliseconds by which its own timer was late, the worst of the last ten to twenty seconds:
    /// how long what is ready waits for a thread.
    pub loop_lag_ms: u64,
    /// What it takes the members of its cloud for.
    pub members: MemberCounts,
    /// Its part in the directory, if it keeps one.
    pub directory: Option<DirectoryStats>,
    /// The calls that it served, by service and then in the order written.
    pub served: Vec<MethodStats>,
    /// The calls that it made itself, to other nodes and its own services, by service and method.
    pub made: Vec<MethodStats>,
}

/// What a process costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Milliseconds of CPU time, user and system, of all its threads since it started.
    pub cpu_ms: u64,
    /// Hundredths of one core that it used in the last seconds; 200 are two whole cores.
    pub cpu_percent: u16,
    /// Bytes of memory that are resident.
    pub resident: u64,
}

/// The links of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct LinkStats {
    /// That stand now, in either direction.
    pub open: u32,
    /// That came in, since it started.
    pub accepted: u64,
    /// That came in and were turned away.
    pub refused: u64,
    /// That were closed for what came over them.
    pub faulty: u64,
    /// Bytes of frames that came over all of them, before encryption.
    pub bytes_in: u64,
    /// Bytes of frames that went over all of them, before encryption.
    pub bytes_out: u64,
}

/// What a node takes the members of its cloud for, itself among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct MemberCounts {
    /// They answer.
    pub alive: u32,
    /// They have not answered, and may yet.
    pub suspect: u32,
    /// They do not answer.
    pub down: u32,
    /// They have stopped in an orderly way.
    pub left: u32,
    /// They have not been heard of yet.
    pub unknown: u32,
}

/// A node's part in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct DirectoryStats {
    /// The term.
    pub term: u64,
    /// The key of the node that leads, as far as it knows.
    pub leader: Option<String>,
    /// It leads itself.
    pub leads: bool,
    /// The last entry of its log.
    pub last_index: u64,
    /// The last entry that it has applied. What lies between the two is its lag.
    pub applied_index: u64,
    /// Documents in all collections.
    pub documents: u64,
    /// Bytes of those documents with their ids.
    pub bytes: u64,
    /// Why its part has ended, if it has.
    pub stopped: Option<String>,
}

impl DirectoryStats {
    /// Entries of its own log that it has not applied yet.
    pub fn lag(&self) -> u64 {
        self.last_index.saturating_sub(self.applied_index)
    }
}
