//! Whether a leadership stands under which something is to be done.

use std::sync::Arc;

use super::{State, record::Record};
use crate::{
    directory::{Json, Refusal},
    fence::Fence,
    placement::ring::{self, HoldRecord},
};

/// The elections that are held: one document each, under a lease of the holder's node. Its fence is
/// the revision at which it was inserted.
pub(crate) const ELECTIONS: &str = "_elections";

/// The rings of the services whose keys have owners: the list of nodes, by the service's name.
pub(crate) const RINGS: &str = "_rings";

/// What each node holds of them: a [`HoldRecord`], under a lease of the node. Its fence is the revision at
/// which it was inserted.
pub(crate) const HOLDS: &str = "_holds";

impl State {
    /// Do all of these stand?
    ///
    /// # Errors
    /// [`Refusal::Fenced`] for the first that does not.
    pub(crate) fn check_fences(&self, fences: &[Fence]) -> Result<(), Refusal> {
        fences.iter().try_for_each(|fence| self.check_fence(fence))
    }

    /// Are any of these known to be outdated? A fence that was given out later than this state knows
    /// of is not, nor one for a key that the node may have got since.
    ///
    /// # Errors
    /// [`Refusal::Fenced`] for the first that is.
    pub(crate) fn check_known_fences(&self, fences: &[Fence]) -> Result<(), Refusal> {
        let mut known = fences.iter().filter(|fence| fence.number <= self.revision);
        known.try_for_each(|fence| self.check_held(fence).map(drop))
    }

    fn check_fence(&self, fence: &Fence) -> Result<(), Refusal> {
        let record = self.check_held(fence)?;
        match fence.key {
            Some(key) if !owns(&record.value, key) => Err(Refusal::Fenced {
                election: fence.election.clone(),
                held: Some(fence.number),
                asked: fence.number,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// The document by which the fence stands, whatever it says.
    fn check_held(&self, fence: &Fence) -> Result<&Arc<Record>, Refusal> {
        let collection = match fence.key {
            Some(_) => HOLDS,
            None => ELECTIONS,
        };
        let documents = self.collections.get(collection);
        let record = documents.and_then(|documents| documents.get(&fence.election));
        let held = record.map(|record| record.created_revision);
        if let Some(record) = record.filter(|_| held == Some(fence.number)) {
            return Ok(record);
        }
        Err(Refusal::Fenced {
            election: fence.election.clone(),
            held,
            asked: fence.number,
        })
    }
}

/// Does the node whose hold says this own the key?
fn owns(hold: &Json, key: u64) -> bool {
    let hold: Result<HoldRecord, _> = hold.to();
    hold.is_ok_and(|hold| ring::owner(&hold.members, key) == Some(hold.key))
}
