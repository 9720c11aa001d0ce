//! [`Near`]: the peers that are heard of on the local network, as one program knows them.
//!
//! [`Neighbours`], a machine, decides what of it is believed and how much is kept: records are signed
//! by their peers as in the directory, and whoever else is on the network can at most repeat old ones
//! or say that a peer has gone. `lan` listens and tells; those who follow a peer look here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

use super::Presence;
#[cfg(any(feature = "lan", test))]
use crate::{
    error::Error,
    signed::{RecordError, Taken},
};
use crate::{
    id::PublicKey,
    signed::{Latest, Signed},
};

/// Peers that are kept besides those that somebody holds. More lets a hostile network take more
/// memory and time, about 2 KiB for each.
#[cfg(any(feature = "lan", test))]
pub(super) const NEIGHBOURS_MAX: usize = 256;

/// How long it takes until those who are there have been heard, mostly.
const SETTLING: std::time::Duration = std::time::Duration::from_secs(2);

/// The peers heard of, shared by those who listen and those who look.
#[derive(Debug)]
pub(crate) struct Near {
    neighbours: Mutex<Neighbours>,
    /// Woken when something is heard.
    pub(super) changed: Notify,
    since: Instant,
}

impl Near {
    /// Nothing heard yet. `me`: whose records are of no interest.
    #[cfg(any(feature = "lan", test))]
    pub(crate) fn new(me: PublicKey, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            neighbours: Mutex::new(Neighbours::new(me)),
            changed: Notify::new(),
            since: now,
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Neighbours> {
        self.neighbours
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// True if a peer that is there may not have been heard yet.
    pub(super) fn is_settling(&self, now: Instant) -> bool {
        now < self.since + SETTLING
    }

    /// The records of the peers that are there.
    pub(super) fn records(&self) -> Vec<Signed<Presence>> {
        self.lock().records()
    }

    /// Keeps room for `key` until the guard is dropped.
    pub(super) fn want(self: &Arc<Self>, key: PublicKey) -> Wanted {
        *self.lock().wanted.entry(key).or_default() += 1;
        Wanted {
            near: self.clone(),
            key,
        }
    }
}

/// Room that is kept for a peer.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) near: Arc<Near>,
    pub(super) key: PublicKey,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.near.lock().unwant(self.key);
    }
}

/// What is believed of what is heard.
#[derive(Debug)]
pub(super) struct Neighbours {
    me: PublicKey,
    known: BTreeMap<PublicKey, Neighbour>,
    /// Whose record each announcement carries. No more of them than peers.
    carriers: BTreeMap<String, PublicKey>,
    /// Peers that somebody holds, and how many do: what comes of them is always kept.
    wanted: BTreeMap<PublicKey, usize>,
}

#[derive(Debug)]
struct Neighbour {
    latest: Latest<Presence>,
    /// The announcement that carries the record; `None` when it has ended, and the peer with it.
    carrier: Option<String>,
}

/// Why an announcement is not kept.
#[cfg(any(feature = "lan", test))]
#[derive(Debug, thiserror::Error)]
pub(super) enum Unheard {
    /// The record is not to be believed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It exceeds a bound.
    #[error(transparent)]
    Unfit(Error),
    /// There are too many peers.
    #[error("{NEIGHBOURS_MAX} peers are known on this network already, the bound")]
    Full,
}

impl Neighbours {
    #[cfg(any(feature = "lan", test))]
    fn new(me: PublicKey) -> Self {
        Self {
            me,
            known: BTreeMap::new(),
            carriers: BTreeMap::new(),
            wanted: BTreeMap::new(),
        }
    }

    /// The announcement `carrier` carries `record`. True if that is news.
    ///
    /// # Errors
    /// Why it is not kept: everything stays as it was.
    #[cfg(any(feature = "lan", test))]
    pub(super) fn heard(
        &mut self,
        carrier: &str,
        record: Signed<Presence>,
    ) -> Result<bool, Unheard> {
        let key = record.key();
        if key == self.me
            || self.carriers.get(carrier) == Some(&key) && self.of(key) == Some(&record)
        {
            return Ok(false);
        }
        // What costs least is looked at first: a signature takes a thousand times as long.
        record.unchecked().check().map_err(Unheard::Unfit)?;
        let is_known = self.known.contains_key(&key);
        let strangers = self.known.len();
        if !is_known && !self.wanted.contains_key(&key) && strangers >= NEIGHBOURS_MAX {
            return Err(Unheard::Full);
        }
        let taken = match self.known.get_mut(&key) {
            Some(known) => known.latest.take(record)?,
            None => {
                let mut latest = Latest::new(key);
                let taken = latest.take(record)?;
                self.known.insert(
                    key,
                    Neighbour {
                        latest,
                        carrier: None,
                    },
                );
                taken
            }
        };
        let Some(known) = self.known.get(&key) else {
            return Ok(false);
        };
        let is_back = known.carrier.is_none();
        // A copy of what is known changes nothing, or whoever copies could say that the peer has gone.
        if !is_back && taken == Taken::Known {
            return Ok(false);
        }
        if self.carriers.get(carrier).is_some_and(|of| *of != key) {
            self.lost(carrier);
        }
        self.carriers.insert(carrier.to_owned(), key);
        if let Some(known) = self.known.get_mut(&key)
            && let Some(former) = known.carrier.replace(carrier.to_owned())
            && former != carrier
        {
            self.carriers.remove(&former);
        }
        Ok(true)
    }

    /// The announcement has ended. True if a peer has gone with it.
    #[cfg(any(feature = "lan", test))]
    pub(super) fn lost(&mut self, carrier: &str) -> bool {
        let Some(key) = self.carriers.remove(carrier) else {
            return false;
        };
        if let Some(known) = self.known.get_mut(&key) {
            known.carrier = None;
        }
        self.forget_if_unwanted(key);
        true
    }

    /// Nothing is heard any more.
    #[cfg(any(feature = "lan", test))]
    pub(super) fn clear(&mut self) {
        let carriers: Vec<String> = self.carriers.keys().cloned().collect();
        for carrier in carriers {
            self.lost(&carrier);
        }
    }

    /// The newest record of the peer, if it is there.
    pub(super) fn of(&self, key: PublicKey) -> Option<&Signed<Presence>> {
        let known = self.known.get(&key)?;
        known.carrier.as_ref()?;
        known.latest.record()
    }

    fn records(&self) -> Vec<Signed<Presence>> {
        let there = self.known.keys().filter_map(|key| self.of(*key));
        there.cloned().collect()
    }

    fn unwant(&mut self, key: PublicKey) {
        if let Some(count) = self.wanted.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.wanted.remove(&key);
            }
        }
        self.forget_if_unwanted(key);
    }

    /// What was known of a peer that is gone is kept for those who hold it only.
    fn forget_if_unwanted(&mut self, key: PublicKey) {
        let is_gone = self
            .known
            .get(&key)
            .is_some_and(|known| known.carrier.is_none());
        if is_gone && !self.wanted.contains_key(&key) {
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::Identity,
        peer::{Boot, PeerAddress},
        transport::Address,
    };

    fn identity(n: u32) -> Identity {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&n.to_le_bytes());
        Identity::from_seed(&seed)
    }

    fn record(n: u32, seq: u64) -> Signed<Presence> {
        let presence = Presence {
            name: "alice".into(),
            addresses: vec![PeerAddress::new("tcp", Address::new(format!("h:{seq}")))],
            boot: Boot::new(),
        };
        Signed::sign(&identity(n), seq, presence).unwrap()
    }

    fn neighbours() -> Neighbours {
        Neighbours::new(identity(0).public())
    }

    #[test]
    fn a_peer_is_there_from_its_announcement_to_its_end() {
        let mut near = neighbours();
        let key = identity(1).public();

        assert!(near.heard("a", record(1, 1)).unwrap());
        assert_eq!(near.of(key).unwrap().seq(), 1);
        assert!(near.heard("a", record(1, 2)).unwrap());
        assert_eq!(near.of(key).unwrap().seq(), 2);
        assert!(near.lost("a"));

        assert_eq!(near.of(key), None);
        assert!(near.known.is_empty() && near.carriers.is_empty());
        assert!(!near.lost("a"));
    }

    #[test]
    fn what_is_not_signed_by_its_peer_or_is_older_changes_nothing() {
        let mut near = neighbours();
        let key = identity(1).public();
        let good = record(1, 5);
        near.heard("a", good.clone()).unwrap();
        let mut forged = serde_json::to_value(record(1, 9)).unwrap();
        forged["body"]["addresses"][0]["address"] = "h:666".into();
        let forged: Signed<Presence> = serde_json::from_value(forged).unwrap();
        let mut unfit = good.unchecked().clone();
        unfit.name = "x".repeat(100);
        let unfit = Signed::sign(&identity(1), 10, unfit).unwrap();

        for lie in [forged.clone(), record(1, 4), unfit] {
            assert!(near.heard("a", lie.clone()).is_err());
            assert!(near.heard("mallory", lie).is_err());
            assert_eq!(near.of(key), Some(&good));
        }
        assert!(neighbours().heard("a", forged).is_err());
        // A copy under another name cannot take the peer away with it.
        assert!(!near.heard("mallory", good.clone()).unwrap());
        assert!(!near.lost("mallory"));
        assert_eq!(near.of(key), Some(&good));
        // One's own records are no neighbour's.
        assert!(!near.heard("me", record(0, 1)).unwrap());
        assert_eq!(near.records(), [good]);
    }

    #[test]
    fn one_announcement_is_of_one_peer() {
        let mut near = neighbours();
        near.heard("a", record(1, 1)).unwrap();

        near.heard("a", record(2, 1)).unwrap();

        assert_eq!(near.of(identity(1).public()), None);
        assert!(near.of(identity(2).public()).is_some());
        assert_eq!(near.carriers.len(), 1);
    }

    #[test]
    fn a_crowd_is_bounded_and_keeps_nobody_out_who_is_looked_for() {
        let near = Near::new(identity(0).public(), crate::world::now());
        let last = u32::try_from(NEIGHBOURS_MAX).unwrap() + 1;
        let wanted = near.want(identity(last).public());
        for n in 1..last {
            assert!(near.lock().heard(&n.to_string(), record(n, 1)).unwrap());
        }

        let refused = near.lock().heard("more", record(last + 1, 1));
        assert!(matches!(refused, Err(Unheard::Full)), "{refused:?}");
        assert!(near.lock().heard("wanted", record(last, 1)).unwrap());
        assert_eq!(near.records().len(), NEIGHBOURS_MAX + 1);

        // While it is held, an old record stays old; then it is forgotten.
        near.lock().lost("wanted");
        assert!(near.lock().heard("wanted", record(last, 0)).is_err());
        near.lock().clear();
        assert_eq!(near.lock().known.len(), 1);
        drop(wanted);
        assert!(near.lock().known.is_empty());
    }
}
