//! [`Fence`]: the number that tells the work of who holds an election from that of who held it.
//!
//! Plain data. Who gives fences out is [`crate::election`]; they ride on calls (`wire::frame`), and
//! the directory's state checks them (`directory::state`).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};

/// Longest name of an election, in bytes.
pub(crate) const NAME_MAX: usize = 200;

/// Fences that one call carries at most. A call made under a leadership by a service that is led
/// itself carries two; more than a handful is a chain of services that each lead something.
pub(crate) const FENCES_MAX: usize = 8;

/// The number of a won election, which rises with each time it is won.
///
/// Calls and directory writes made under it are refused once somebody else may have won since.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fence {
    pub(crate) election: String,
    pub(crate) number: u64,
    /// The key for whose owner the fence stands, where it is not an election's but a placement's.
    pub(crate) key: Option<u64>,
}

impl Fence {
    pub(crate) fn new(election: impl Into<String>, number: u64) -> Self {
        Self {
            election: election.into(),
            number,
            key: None,
        }
    }

    /// Which election was won.
    pub fn election(&self) -> &str {
        &self.election
    }

    /// The directory's revision at which it was won.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of `{}`", self.number, self.election)
    }
}

/// The fences under which something is done. Cheap to clone; most calls have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fences(Option<Arc<[Fence]>>);

impl Fences {
    /// These and `fence`, instead of another one of the same election.
    pub(crate) fn with(&self, fence: Fence) -> Self {
        let others = self.iter().filter(|held| {
            held.election != fence.election || (held.key.is_some() && held.key != fence.key)
        });
        let mut all: Vec<_> = others.cloned().collect();
        all.push(fence);
        Self::from(all)
    }

    /// May a call carry these?
    pub(crate) fn check(&self) -> Result<()> {
        let what = match self.as_slice() {
            fences if fences.len() > FENCES_MAX => {
                format!(
                    "under {} leaderships, at most {FENCES_MAX} are carried",
                    fences.len()
                )
            }
            fences => match fences.iter().find(|fence| fence.election.len() > NAME_MAX) {
                Some(_) => format!("under an election whose name has more than {NAME_MAX} bytes"),
                None => return Ok(()),
            },
        };
        Err(Error::new(
            Code::FailedPrecondition,
            format!("a call {what}"),
        ))
    }

    pub(crate) fn as_slice(&self) -> &[Fence] {
        self.0.as_deref().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Fence> {
        self.as_slice().iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

impl From<Vec<Fence>> for Fences {
    fn from(fences: Vec<Fence>) -> Self {
        Self((!fences.is_empty()).then(|| fences.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_fence_of_an_election_takes_the_place_of_an_earlier_one() {
        let fences = Fences::default()
            .with(Fence::new("a", 1))
            .with(Fence::new("b", 2))
            .with(Fence::new("a", 3));

        assert_eq!(fences.as_slice(), [Fence::new("b", 2), Fence::new("a", 3)]);
    }
}
