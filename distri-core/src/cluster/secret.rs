//! The secret of a cluster: 32 random bytes that all its members know, and that is never in its
//! directory, its log or its snapshots.
//!
//! Services derive from it what only the cloud may open ([`NodeHandle::secret`]). It comes in *epochs*:
//! a new one is made when a member is removed, or when an operator asks, and old ones stay known, so
//! that what was sealed before still opens. The directory says which secret each epoch has, by a
//! *mark* (a hash of it), so that members agree without telling it.
//!
//! Here is what a node knows of it; `vault` is where that is kept, `custodian` how nodes come to
//! agree, and how one that lacks an epoch asks the others.
//!
//! [`NodeHandle::secret`]: crate::NodeHandle::secret

use std::{
    collections::BTreeMap,
    fmt,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use data_encoding::BASE32_NOPAD;
use ring::{digest, hkdf};
use zeroize::Zeroizing;

use super::protocol::Handed;
use crate::{identity::IdentityError, watch, world};

mod vault;

pub(crate) use vault::Vault;

/// Epochs that are kept. What was sealed under one that is older does not open any more.
const EPOCHS_MAX: usize = 64;

/// Bytes that a service derived from the cluster's secret: the same on every node of the cluster, and
/// known to nobody else. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct NodeSecret {
    epoch: u32,
    bytes: Zeroizing<[u8; 32]>,
}

impl NodeSecret {
    /// Of which epoch it is. Keep it with what you seal, and ask for the same with
    /// [`NodeHandle::secret_of`](crate::NodeHandle::secret_of) to open it.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The bytes.
    pub fn bytes(&self) -> &Zeroizing<[u8; 32]> {
        &self.bytes
    }
}

impl fmt::Debug for NodeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeSecret")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Handed {
    fn random(epoch: u32) -> Self {
        let mut secret = [0; 32];
        world::secret(&mut secret);
        Self { epoch, secret }
    }

    /// What tells this secret from others without telling it.
    pub(crate) fn mark(&self, cluster: &str) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"distri/cluster-secret/v1/mark\0");
        hash.update(&(cluster.len() as u64).to_be_bytes());
        hash.update(cluster.as_bytes());
        hash.update(&self.epoch.to_be_bytes());
        hash.update(&self.secret);
        BASE32_NOPAD
            .encode(&hash.finish().as_ref()[..20])
            .to_ascii_lowercase()
    }

    fn derive(&self, label: &str) -> NodeSecret {
        let mut bytes = Zeroizing::new([0; 32]);
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"distri/cluster-secret/v1");
        let info = [&self.epoch.to_be_bytes(), label.as_bytes()];
        salt.extract(&self.secret)
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(bytes.as_mut_slice()))
            .expect("HKDF-SHA256 gives 32 bytes");
        NodeSecret {
            epoch: self.epoch,
            bytes,
        }
    }
}

/// What a node knows of its cluster's secret.
#[derive(Debug)]
pub(crate) struct Secrets {
    cluster: String,
    vault: Vault,
    known: RwLock<Known>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// Held here. Of one epoch there may be several: members that made one at once agree on one of
    /// them by its mark.
    held: Vec<Handed>,
    /// What the directory says, by epoch.
    agreed: BTreeMap<u32, String>,
}

impl Secrets {
    /// What `vault` has for this cluster.
    ///
    /// # Errors
    /// As reading a key file. A vault with another cluster's secret is [`IdentityError::Damaged`].
    pub(crate) fn open(vault: Vault, cluster: String) -> Result<Self, IdentityError> {
        let held = vault.read(&cluster)?;
        Ok(Self {
            cluster,
            vault,
            known: RwLock::new(Known {
                held,
                agreed: BTreeMap::new(),
            }),
            changed: watch::Sender::new(()),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A secret for `epoch`, which is kept before it is given: the one that was made before, if there
    /// is one.
    pub(crate) fn make(&self, epoch: u32) -> Result<(Handed, String), IdentityError> {
        let made = self
            .read()
            .held
            .iter()
            .find(|held| held.epoch == epoch)
            .cloned();
        let handed = match made {
            Some(handed) => handed,
            None => {
                let handed = Handed::random(epoch);
                self.hold(handed.clone())?;
                handed
            }
        };
        let mark = handed.mark(&self.cluster);
        Ok((handed, mark))
    }

    /// Keeps a secret, for good.
    pub(crate) fn hold(&self, handed: Handed) -> Result<(), IdentityError> {
        {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known.held.contains(&handed) {
                return Ok(());
            }
            let mut held = known.held.clone();
            held.push(handed);
            held.sort_by_key(|held| held.epoch);
            // Of an epoch that is agreed on, only the secret that was agreed on is of use.
            held.retain(|held| {
                let agreed = known.agreed.get(&held.epoch);
                agreed.is_none_or(|mark| *mark == held.mark(&self.cluster))
            });
            let surplus = held.len().saturating_sub(EPOCHS_MAX);
            held.drain(..surplus);
            self.vault.write(&self.cluster, &held)?;
            known.held = held;
        }
        self.changed.send_replace(());
        Ok(())
    }

    /// Learns what the directory says.
    pub(crate) fn agree(&self, agreed: BTreeMap<u32, String>) {
        {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known.agreed == agreed {
                return;
            }
            known.agreed = agreed;
        }
        self.changed.send_replace(());
    }

    /// Epochs that the directory knows and this node does not.
    pub(crate) fn missing(&self) -> Vec<(u32, String)> {
        let known = self.read();
        known
            .agreed
            .iter()
            .rev()
            .take(EPOCHS_MAX)
            .filter(|(epoch, mark)| self.with_mark(&known, **epoch, mark).is_none())
            .map(|(epoch, mark)| (*epoch, mark.clone()))
            .collect()
    }

    fn with_mark<'a>(&self, known: &'a Known, epoch: u32, mark: &str) -> Option<&'a Handed> {
        known
            .held
            .iter()
            .find(|held| held.epoch == epoch && held.mark(&self.cluster) == mark)
    }

    /// The secret with this mark, for another member.
    pub(crate) fn hand(&self, epoch: u32, mark: &str) -> Option<Handed> {
        let known = self.read();
        self.with_mark(&known, epoch, mark).cloned()
    }

    /// All that are agreed on, for a new member.
    pub(crate) fn hand_all(&self) -> Vec<Handed> {
        let known = self.read();
        known
            .agreed
            .iter()
            .filter_map(|(epoch, mark)| self.with_mark(&known, *epoch, mark).cloned())
            .collect()
    }

    /// True if `handed` is the secret with this mark.
    pub(crate) fn is(&self, handed: &Handed, epoch: u32, mark: &str) -> bool {
        handed.epoch == epoch && handed.mark(&self.cluster) == mark
    }

    /// Derives from the newest epoch that is agreed on and held here, or from `epoch`.
    pub(crate) fn derive(&self, epoch: Option<u32>, label: &str) -> Option<NodeSecret> {
        let known = self.read();
        let agreed = known.agreed.iter().rev();
        let held = agreed
            .filter(|(agreed, _)| epoch.is_none_or(|epoch| epoch == **agreed))
            .find_map(|(epoch, mark)| self.with_mark(&known, *epoch, mark))?;
        Some(held.derive(label))
    }

    /// Told of whatever changes here.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(vault: &Vault) -> Secrets {
        Secrets::open(vault.clone(), "a-cluster".to_owned()).unwrap()
    }

    fn agreed(of: &[(u32, &str)]) -> BTreeMap<u32, String> {
        of.iter().map(|(e, m)| (*e, (*m).to_owned())).collect()
    }

    #[test]
    fn what_is_derived_differs_by_label_and_epoch_and_is_the_same_for_all_members() {
        let (one, other) = (secrets(&Vault::memory()), secrets(&Vault::memory()));
        let (first, mark) = one.make(1).unwrap();
        let (second, later) = one.make(2).unwrap();
        for node in [&one, &other] {
            node.hold(first.clone()).unwrap();
            node.hold(second.clone()).unwrap();
            node.agree(agreed(&[(1, &mark), (2, &later)]));
        }

        let derived = |node: &Secrets, epoch, label| *node.derive(epoch, label).unwrap().bytes;

        assert_eq!(derived(&one, None, "a"), derived(&other, Some(2), "a"));
        assert_ne!(derived(&one, Some(1), "a"), derived(&one, Some(2), "a"));
        assert_ne!(derived(&one, None, "a"), derived(&one, None, "b"));
        assert_eq!(one.derive(None, "a").unwrap().epoch(), 2);
        assert!(one.derive(Some(3), "a").is_none());
    }

    #[test]
    fn a_secret_counts_once_the_directory_says_so() {
        let node = secrets(&Vault::memory());
        let (_, mark) = node.make(1).unwrap();

        assert!(node.derive(None, "a").is_none());
        assert!(node.hand_all().is_empty());
        node.agree(agreed(&[(1, &mark)]));

        assert!(node.derive(None, "a").is_some());
        assert_eq!(node.hand_all().len(), 1);
        assert!(node.missing().is_empty());
    }

    #[test]
    fn a_secret_that_was_not_agreed_on_is_missing_and_given_up_when_the_other_comes() {
        let (one, other) = (secrets(&Vault::memory()), secrets(&Vault::memory()));
        let (theirs, mark) = other.make(1).unwrap();
        one.make(1).unwrap();
        one.agree(agreed(&[(1, &mark)]));

        assert_eq!(one.missing(), [(1, mark.clone())]);
        assert!(one.hand(1, &mark).is_none());
        assert!(one.is(&theirs, 1, &mark));
        one.hold(theirs).unwrap();

        assert!(one.missing().is_empty());
        assert_eq!(one.read().held.len(), 1);
    }

    #[test]
    fn what_was_made_is_found_again_after_a_crash() {
        let vault = Vault::memory();
        let (made, mark) = secrets(&vault).make(3).unwrap();

        let again = secrets(&vault);

        assert_eq!(again.make(3).unwrap(), (made, mark));
    }

    #[test]
    fn only_so_many_epochs_are_kept_the_newest() {
        let node = secrets(&Vault::memory());
        for epoch in 1..=u32::try_from(EPOCHS_MAX).unwrap() + 3 {
            node.make(epoch).unwrap();
        }

        let held: Vec<u32> = node.read().held.iter().map(|held| held.epoch).collect();

        assert_eq!((held.len(), held[0]), (EPOCHS_MAX, 4));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let node = secrets(&Vault::memory());
        let (handed, mark) = node.make(1).unwrap();
        node.agree(agreed(&[(1, &mark)]));
        let derived = node.derive(None, "a").unwrap();

        let printed = format!("{node:?} {handed:?} {derived:?}");

        for bytes in [&handed.secret, &*derived.bytes] {
            let list = format!("{}, {}, {}", bytes[0], bytes[1], bytes[2]);
            let text = BASE32_NOPAD.encode(bytes).to_ascii_lowercase();
            assert!(
                !printed.contains(&list) && !printed.contains(&text),
                "{printed}"
            );
        }
    }
}
