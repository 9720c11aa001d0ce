//! What services have of the secret that the members of a cluster share.

use std::time::Duration;

use super::NodeHandle;
use crate::{
    cluster::NodeSecret,
    error::{Code, Error, Result},
};

/// How long a service waits for a secret that its node does not have yet.
const PATIENCE: Duration = Duration::from_secs(10);

impl NodeHandle {
    /// True if the node keeps a directory, as a member of a cluster or alone. A service that needs one
    /// and is linked into nodes without can say so ([`Health`](crate::service::Health)).
    pub fn keeps_directory(&self) -> bool {
        self.shared.secrets.get().is_some()
    }

    /// 32 bytes that every node of the cluster derives alike for `label`, and nobody else can: a key
    /// for what only the cloud may open. They are of the newest epoch of the cluster's secret; keep
    /// [`NodeSecret::epoch`] with what you seal. The secret itself is in no directory, log or snapshot.
    ///
    /// Choose a label that nobody else has, such as `my-service/tokens/v1`: services of one node are
    /// not kept from each other.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] on a node that keeps no directory; [`Code::Unavailable`] if no
    /// member that answers has the secret, after ten seconds.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn secret(&self, label: &str) -> Result<NodeSecret> {
        self.derive(None, label).await
    }

    /// As [`NodeHandle::secret`], of an earlier epoch, or of one that another node knew first.
    ///
    /// # Errors
    /// As [`NodeHandle::secret`].
    pub async fn secret_of(&self, epoch: u32, label: &str) -> Result<NodeSecret> {
        self.derive(Some(epoch), label).await
    }

    async fn derive(&self, epoch: Option<u32>, label: &str) -> Result<NodeSecret> {
        let Some(secrets) = self.shared.secrets.get() else {
            let message = "this node belongs to no cluster, so it shares no secret with others: \
                           make one with `init`, or join one";
            return Err(Error::new(Code::FailedPrecondition, message));
        };
        let mut changes = secrets.changes();
        let known = async {
            loop {
                changes.borrow_and_update();
                if let Some(secret) = secrets.derive(epoch, label) {
                    return Some(secret);
                }
                if changes.changed().await.is_err() {
                    return None;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, known).await {
            Ok(Some(secret)) => Ok(secret),
            Ok(None) | Err(_) => {
                let which = epoch.map_or_else(String::new, |epoch| format!(" of epoch {epoch}"));
                let message = format!(
                    "the cluster's secret{which} is not known here: no other member that answers \
                     has it. Start one that does, or have an admin renew it"
                );
                Err(Error::new(Code::Unavailable, message))
            }
        }
    }
}
