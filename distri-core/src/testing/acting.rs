//! [`Invariant`]: what is watched when it is switched on; [`Acting`]: what code says that it does.

use std::fmt;

use crate::{
    fence::Fence,
    world::process::{Act, Part, act},
};

/// Something that must hold at every moment, of clusters that are told to watch it:
/// [`Cluster::watch`](super::Cluster::watch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Invariant {
    /// An election has one holder at a time, and work begins under rising fences only.
    ///
    /// Watched by itself: calls of services with `placement = leader`. Other work under an election
    /// says so with [`Acting::holder`].
    OneHolder,
    /// A key has one owner at a time.
    ///
    /// Watched by itself: calls of methods with `placement = key(…)`. Others that divide keys among
    /// nodes say so with [`Acting::owner`].
    OneOwner,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneHolder => "an election has one holder at a time",
            Self::OneOwner => "a key has one owner at a time",
        })
    }
}

/// That a node does what only one may do at a time, until this is dropped.
///
/// It is of the node whose code makes it, in a call that came over a link or in a task of
/// [`NodeHandle::spawn`](crate::NodeHandle::spawn). Outside of nodes, and in a cluster that does not
/// watch it, it does nothing.
///
/// ```
/// # extern crate distri_core as distri;
/// use distri::{NodeHandle, Result, testing::Acting};
///
/// async fn report_every_night(node: NodeHandle) -> Result<()> {
///     let leadership = node.election("nightly-report")?.campaign().await?;
///     let _acting = Acting::holder(leadership.fence());
///     tokio::select! {
///         biased;
///         () = leadership.lost() => {}
///         () = async { /* … */ } => {}
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "it lasts until this is dropped"]
pub struct Acting {
    _act: Option<Act>,
}

impl Acting {
    /// This node works as the holder of an election.
    pub fn holder(fence: &Fence) -> Self {
        let _act = act(|| Part::Holder {
            election: fence.election().to_owned(),
            fence: fence.number(),
        });
        Self { _act }
    }

    /// This node works on `key`, one of the keys of `of`, of which nodes divide the work.
    pub fn owner(of: impl Into<String>, key: impl fmt::Display) -> Self {
        let _act = act(|| Part::Owner {
            of: of.into(),
            key: key.to_string(),
        });
        Self { _act }
    }
}
