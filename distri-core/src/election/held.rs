//! Elections as programs use them.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Fence,
    lease::Grant,
    records,
    seat::{Claim, Elections, Ticket, stopping},
};
use crate::{
    directory::{ELECTIONS, Refusal},
    error::{Code, Error, Result},
    fence,
    id::PublicKey,
    node::NodeHandle,
    watch, world,
};

/// How long a campaign waits before it looks again although nothing has changed here: this node's copy
/// of the directory may lag behind.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// An election by name. [`NodeHandle::election`] makes one; cheap to clone.
///
/// ```no_run
/// # extern crate distri_core as distri;
/// # async fn report() {}
/// # async fn example(node: &distri::NodeHandle) -> distri::Result<()> {
/// let election = node.election("nightly-report")?;
/// let leadership = election.campaign().await?;
/// let client = node.client().under(&leadership);
/// // What is written and called through `client` is refused once another node has won.
/// tokio::select! {
///     () = report() => leadership.resign().await?,
///     () = leadership.lost() => {}
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Election {
    elections: Elections,
    name: String,
}

/// Who holds an election.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The node's key.
    pub key: PublicKey,
    /// The node's name, for people.
    pub name: String,
    /// The fence of what it won.
    pub fence: Fence,
}

/// A held election. Dropping it gives it up, a moment later; [`Leadership::resign`] waits until others
/// can win.
pub struct Leadership {
    fence: Fence,
    grant: Arc<Grant>,
    ticket: Ticket,
}

/// Follows who holds an election, as this node learns of it.
pub struct Observer {
    elections: Elections,
    name: String,
    changes: watch::Receiver<u64>,
    told: Option<Holder>,
}

impl NodeHandle {
    /// The election `name`, of which at most one campaign in the whole cloud holds at any time.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] where the node keeps no directory; [`Code::InvalidArgument`] for
    /// a name that is empty, longer than 200 bytes, has control characters or begins with `service/`,
    /// as those do by which services are led.
    pub fn election(&self, name: impl Into<String>) -> Result<Election> {
        let name = name.into();
        let problem = if name.is_empty() || name.len() > fence::NAME_MAX {
            "expected 1 to 200 bytes"
        } else if name.chars().any(char::is_control) {
            "it has control characters"
        } else if name.starts_with(records::OF_SERVICES) {
            "names of services' elections begin so"
        } else {
            return Election::of(self, name);
        };
        let message = format!("{name:?} cannot name an election: {problem}");
        Err(Error::invalid_argument(message))
    }
}

impl Election {
    /// The election `name`, whatever it is called.
    pub(crate) fn of(node: &NodeHandle, name: String) -> Result<Self> {
        let elections = node.elections().cloned().ok_or_else(|| {
            let message = "elections need a directory, and this node keeps none: set \
                           `directory.path` and make a cluster with `init`";
            Error::new(Code::FailedPrecondition, message)
        })?;
        Ok(Self { elections, name })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True if `key` is this node's.
    pub(crate) fn is_own(&self, key: &PublicKey) -> bool {
        self.elections.key() == *key
    }

    /// Who holds it, as this node has heard.
    pub fn holder(&self) -> Option<Holder> {
        records::find(self.elections.replica(), &self.name).map(Holder::from)
    }

    /// Follows who holds it.
    pub fn observe(&self) -> Observer {
        Observer {
            elections: self.elections.clone(),
            name: self.name.clone(),
            changes: self.elections.replica().subscribe(ELECTIONS),
            told: self.holder(),
        }
    }

    /// Waits until it is won. Two campaigns of one node are rivals like those of two nodes.
    ///
    /// # Errors
    /// [`Code::Unavailable`] when the node stops. While the directory cannot be reached, it waits.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws; should it have been won just then, it is given up.
    pub async fn campaign(&self) -> Result<Leadership> {
        let ticket = self.elections.ticket();
        let won = tokio::select! {
            biased;
            won = self.win(&ticket) => won?,
            () = self.elections.closed() => return Err(stopping()),
        };
        let (fence, grant) = won;
        ticket.won(&fence);
        tracing::debug!(election = self.name, fence = fence.number(), "election won");
        Ok(Leadership {
            fence,
            grant,
            ticket,
        })
    }

    async fn win(&self, ticket: &Ticket) -> Result<(Fence, Arc<Grant>)> {
        let replica = self.elections.replica();
        let mut changes = replica.subscribe(ELECTIONS);
        loop {
            changes.borrow_and_update();
            match records::find(replica, &self.name) {
                Some(document) => {
                    // A claim whose outcome was not known, or has come sooner than its reply.
                    if let Some(grant) = ticket.has(&document) {
                        let fence = Fence::new(document.id, document.created_revision);
                        return Ok((fence, grant));
                    }
                    ticket.stand_back();
                    changes.changed().await.map_err(|_| stopping())?;
                    continue;
                }
                None => match ticket.claim(&self.name).await {
                    Ok(Claim::Won(fence, grant)) if grant.is_held(world::now()) => {
                        return Ok((fence, grant));
                    }
                    Ok(Claim::Won(..) | Claim::Lost) => {}
                    Err(error) if error.details::<Refusal>().is_some() => return Err(error),
                    Err(error) => {
                        tracing::debug!(election = self.name, %error, "cannot be claimed yet");
                    }
                },
            }
            // The document that the claim met may not be here yet.
            tokio::select! {
                biased;
                changed = changes.changed() => changed.map_err(|_| stopping())?,
                () = world::pause(LOOK_AGAIN) => {}
            }
        }
    }
}

impl Leadership {
    /// Which election was won.
    pub fn election(&self) -> &str {
        self.fence.election()
    }

    /// Its number, to be carried along: see [`crate::Client::under`] and
    /// [`crate::directory::Directory::under`].
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// True while certainly nobody else holds the election. False a little before somebody else can
    /// win, and for ever from then on.
    pub fn is_held(&self) -> bool {
        !self.ticket.over().is() && self.grant.is_held(world::now())
    }

    /// Waits until it is lost: the directory could not be reached for too long, or the node stops.
    /// What is done under it has to end now.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn lost(&self) {
        tokio::select! {
            biased;
            () = self.grant.lost() => {}
            () = self.ticket.over().wait() => {}
        }
    }

    /// Gives it up: others can win as soon as this returns. One that is lost already is no error.
    ///
    /// # Errors
    /// The directory could not be reached. The node goes on trying; at the latest it ends with the
    /// node's lease.
    ///
    /// # Cancel safety
    /// It is given up in any case.
    pub async fn resign(self) -> Result<()> {
        self.ticket.give_up(self.fence).await
    }
}

impl Observer {
    /// Who holds the election, as this node has heard.
    pub fn holder(&self) -> Option<Holder> {
        records::find(self.elections.replica(), &self.name).map(Holder::from)
    }

    /// Waits until it is held by another than was last told, or by the same anew, or by nobody, and
    /// tells which. Holders that came and went in between are left out.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Holder> {
        loop {
            self.changes.borrow_and_update();
            let now = self.holder();
            if now != self.told {
                self.told.clone_from(&now);
                return now;
            }
            if self.changes.changed().await.is_err() {
                // The node has stopped.
                return std::future::pending().await;
            }
        }
    }
}

impl From<&Leadership> for Fence {
    fn from(leadership: &Leadership) -> Self {
        leadership.fence.clone()
    }
}

impl fmt::Debug for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Election({})", self.name)
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("fence", &self.fence)
            .field("is_held", &self.is_held())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observer({})", self.name)
    }
}
