//! Grants that several nodes change at a time. The directory decides between nodes, and whoever is slower
//! has written in vain; so for a while all changes of such a grant are made at the node that leads, where
//! they wait for each other.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use distri::{Context, id::PublicKey, service::Role};
use tokio::time::Instant;

use super::bytes::GrantId;

/// How long a grant counts as contended after a change of it came too late here. Longer: more that could be
/// done here is done by the leader. Shorter: more changes come too late.
const FOR: Duration = Duration::from_secs(1);

/// Grants that are remembered; some 100 bytes each.
const GRANTS_MAX: usize = 1024;

/// How long the leader may take. It may have gone; then what it was asked is asked again, here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Contended(Mutex<BTreeMap<GrantId, Instant>>);

impl Contended {
    /// A change of `grant` came too late here.
    pub(crate) fn add(&self, now: Instant, grant: GrantId) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= GRANTS_MAX && !until.contains_key(&grant) {
            until.retain(|_, until| now < *until);
            if until.len() >= GRANTS_MAX {
                // They are in no order that means anything, so it is any.
                until.pop_first();
            }
        }
        until.insert(grant, now + FOR);
    }

    fn contains(&self, now: Instant, grant: GrantId) -> bool {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match until.get(&grant) {
            Some(over) if now < *over => true,
            Some(_) => {
                until.remove(&grant);
                false
            }
            None => false,
        }
    }

    /// The node that is to make a change of `grant` instead of this one. What a node passes on is not
    /// passed on again.
    pub(crate) fn elsewhere(&self, cx: &Context, grant: GrantId) -> Option<PublicKey> {
        if cx.caller().role == Role::Node || !self.contains(Instant::now(), grant) {
            return None;
        }
        let here = cx.node();
        here.leader().filter(|leader| *leader != here.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_contended_for_a_while_and_few_are_remembered() {
        let contended = Contended::default();
        let now = Instant::now();
        let grant = |nr: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(nr as u64).to_be_bytes());
            GrantId::from_array(id)
        };

        for nr in 0..GRANTS_MAX + 10 {
            contended.add(now, grant(nr));
        }

        assert_eq!(contended.0.lock().unwrap().len(), GRANTS_MAX);
        assert!(contended.contains(now, grant(GRANTS_MAX + 9)));
        assert!(!contended.contains(now + FOR, grant(GRANTS_MAX + 9)));
        assert!(
            !contended.contains(now, grant(GRANTS_MAX + 9)),
            "it was forgotten"
        );
        contended.add(now + FOR, grant(0));
        assert_eq!(contended.0.lock().unwrap().len(), GRANTS_MAX);
        contended.add(now + FOR, grant(1));
        assert_eq!(contended.0.lock().unwrap().len(), 2);
    }
}
