//! Whether the nodes of a cluster hold the same, and all that was acknowledged.

use std::sync::Arc;

use super::{Cluster, LOOK, PATIENCE};
use crate::{
    Node,
    cluster::NodeRole,
    directory::{Replica, State},
    world,
};

impl Cluster {
    /// Waits until all nodes run, hold the same documents, and have all that was acknowledged.
    ///
    /// # Panics
    /// If that does not come to be.
    pub async fn must_agree(&self) {
        let until = world::now() + PATIENCE;
        while let Err(why) = self.agree() {
            assert!(world::now() < until, "after {PATIENCE:?}, {why}");
            world::pause(LOOK).await;
        }
    }

    /// Waits until as many vote as may.
    pub async fn all_vote(&self) {
        self.eventually("enough voters", || async {
            let members = self.members().len();
            let node = self.try_node(self.leader_now()?)?;
            let voters_max = 5;
            let wanted = (members - (members + 1) % 2).min(voters_max);
            let info = node.client().cluster().await.ok()?;
            let voters = info
                .nodes
                .iter()
                .filter(|node| matches!(node.role, NodeRole::Leader | NodeRole::Voter))
                .count();
            (voters == wanted && info.nodes.len() == members).then_some(())
        })
        .await;
    }

    /// Whether all nodes run, hold the same, and have what was acknowledged; why not.
    fn agree(&self) -> Result<(), String> {
        let nodes: Vec<_> = {
            let seats = self.seats();
            let members = seats.iter().filter(|seat| !seat.removed);
            members.map(|seat| seat.node().cloned()).collect()
        };
        let replicas: Option<Vec<_>> = nodes
            .iter()
            .map(|node| node.as_ref().and_then(Node::replica))
            .collect();
        let replicas = replicas.ok_or_else(|| format!("only {:?} run", self.up()))?;
        let revision = |of: &Arc<Replica>| of.read(State::revision);
        let revisions: Vec<_> = replicas.iter().map(revision).collect();
        let acknowledged = self.sim().shared.invariants.acknowledged(self.shared.nr);
        if revisions.iter().any(|revision| *revision < acknowledged) {
            return Err(format!(
                "revision {acknowledged} was acknowledged, and the nodes are at {revisions:?}"
            ));
        }
        if revisions.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("the nodes are at revisions {revisions:?}"));
        }
        let print = |of: &Arc<Replica>| of.read(State::fingerprint);
        let prints: Vec<_> = replicas.iter().map(print).collect();
        if prints.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!(
                "the nodes differ at revision {}, of which all are",
                revisions[0]
            ));
        }
        Ok(())
    }
}
