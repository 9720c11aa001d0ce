//! What is told of the members of a cloud.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{id::PublicKey, transport::Address};

/// Services whose load is told; the busiest ones.
const LOADS_MAX: usize = 32;

/// Hundredths of a core by which the CPU must differ to be told. Less would be told again and again
/// by nodes that do nothing.
const CPU_STEP: u16 = 10;

/// A member of a cloud, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Member {
    /// Its key.
    pub key: PublicKey,
    /// Its name; empty until it has been heard of.
    pub name: String,
    /// Where it is dialled, once it has said.
    #[schemars(with = "Option<String>")]
    pub address: Option<Address>,
    /// The program that it runs, for people; empty until it has been heard of.
    pub program: String,
    /// Whether it is there.
    pub state: MemberState,
    /// For how many milliseconds it has been so.
    pub state_ms: u64,
    /// It finishes its calls and takes no new ones.
    pub draining: bool,
    /// How busy it was when it last said so.
    pub load: MemberLoad,
    /// The services that it offers.
    pub services: Vec<MemberService>,
}

/// Whether a member is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MemberState {
    /// It answers.
    Alive,
    /// It has not answered, and may yet say that it is there.
    Suspect,
    /// It does not answer.
    Down,
    /// It has stopped in an orderly way.
    Left,
    /// It has not been heard of yet.
    Unknown,
}

/// A service that a node offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct MemberService {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// A hash over the schemas of all its methods: where it differs between nodes, their calls use
    /// the self-describing codec.
    pub schema: u64,
    /// It can serve now.
    pub serving: bool,
}

/// How busy a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct MemberLoad {
    /// Calls being served.
    pub in_flight: u32,
    /// Calls being served by each service that serves any: its place among the services, and how
    /// many. At most the 32 busiest.
    pub services: Vec<(u16, u32)>,
    /// Hundredths of one core that its process used in the last seconds, where its system tells.
    /// Nodes that share a process do not tell.
    #[serde(default)]
    pub cpu_percent: Option<u16>,
}

impl MemberLoad {
    /// `services` are the calls in flight of each service in its place.
    pub(crate) fn new(
        in_flight: u32,
        services: impl Iterator<Item = u32>,
        cpu_percent: Option<u16>,
    ) -> Self {
        let mut services: Vec<(u16, u32)> = (0..=u16::MAX)
            .zip(services)
            .filter(|(_, in_flight)| *in_flight > 0)
            .collect();
        services.sort_by_key(|(place, in_flight)| (std::cmp::Reverse(*in_flight), *place));
        services.truncate(LOADS_MAX);
        Self {
            in_flight,
            services,
            cpu_percent,
        }
    }

    /// True if the other tells nothing that would change where calls go: not twice as many calls,
    /// nor half as many, nor the first or the last; not a tenth of a core more or less, where that
    /// is a half more or less as well.
    pub(super) fn is_much_like(&self, other: &Self) -> bool {
        let (a, b) = (self.in_flight, other.in_flight);
        let calls = (a == 0) == (b == 0) && a <= b.saturating_mul(2) && b <= a.saturating_mul(2);
        let cpu = match (self.cpu_percent, other.cpu_percent) {
            (Some(a), Some(b)) => a.abs_diff(b) < CPU_STEP.max(a.min(b) / 2),
            (a, b) => a.is_some() == b.is_some(),
        };
        calls && cpu
    }
}
