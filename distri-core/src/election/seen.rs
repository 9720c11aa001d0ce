//! The latest fence of each election that came with a call.
//!
//! A node whose copy of the directory lags, or that keeps none, refuses by this what is older than
//! what it has served already. A machine.

use std::collections::BTreeMap;

use crate::{directory::Refusal, fence::Fence};

/// Elections whose latest fence is remembered. Those that were won longest ago are forgotten first;
/// then only the directory tells.
const REMEMBERED: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct SeenFences {
    latest: BTreeMap<String, u64>,
}

impl SeenFences {
    /// Is none of these older than what was seen?
    pub(crate) fn check(&self, fences: &[Fence]) -> Result<(), Refusal> {
        let outdated = fences.iter().find_map(|fence| {
            let latest = *self.latest.get(&fence.election)?;
            (latest > fence.number).then_some((fence, latest))
        });
        match outdated {
            None => Ok(()),
            Some((fence, latest)) => Err(Refusal::Fenced {
                election: fence.election.clone(),
                held: Some(latest),
                asked: fence.number,
            }),
        }
    }

    /// These came with a call of a node.
    pub(crate) fn note(&mut self, fences: &[Fence]) {
        for fence in fences {
            let latest = self.latest.entry(fence.election.clone()).or_default();
            *latest = fence.number.max(*latest);
        }
        while self.latest.len() > REMEMBERED {
            let oldest = self.latest.iter().min_by_key(|(_, number)| **number);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else {
                return;
            };
            self.latest.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_what_was_seen_is_refused() {
        let mut seen = SeenFences::default();
        seen.note(&[Fence::new("a", 5)]);
        seen.note(&[Fence::new("a", 4)]);

        assert_eq!(
            seen.check(&[Fence::new("a", 5), Fence::new("b", 1)]),
            Ok(())
        );
        assert_eq!(
            seen.check(&[Fence::new("a", 4)]),
            Err(Refusal::Fenced {
                election: "a".into(),
                held: Some(5),
                asked: 4
            })
        );
    }

    #[test]
    fn what_was_won_longest_ago_is_forgotten_first() {
        let mut seen = SeenFences::default();
        for number in 0..=REMEMBERED as u64 {
            seen.note(&[Fence::new(format!("{number}"), number + 1)]);
        }

        assert_eq!(seen.latest.len(), REMEMBERED);
        assert!(!seen.latest.contains_key("0"));
    }
}
