//! Whether a leadership stands under which something is to be done.

use super::State;
use crate::{directory::Refusal, fence::Fence};

/// The elections that are held: one document each, under a lease of the holder's node. Its fence is
/// the revision at which it was inserted.
pub(crate) const ELECTIONS: &str = "_elections";

impl State {
    /// Do all of these stand?
    ///
    /// # Errors
    /// [`Refusal::Fenced`] for the first that does not.
    pub(crate) fn check_fences(&self, fences: &[Fence]) -> Result<(), Refusal> {
        fences.iter().try_for_each(|fence| self.check_fence(fence))
    }

    /// Are any of these known to be outdated? A fence that was given out later than this state knows
    /// of is not.
    ///
    /// # Errors
    /// [`Refusal::Fenced`] for the first that is.
    pub(crate) fn check_known_fences(&self, fences: &[Fence]) -> Result<(), Refusal> {
        let mut known = fences.iter().filter(|fence| fence.number <= self.revision);
        known.try_for_each(|fence| self.check_fence(fence))
    }

    fn check_fence(&self, fence: &Fence) -> Result<(), Refusal> {
        let elections = self.collections.get(ELECTIONS);
        let record = elections.and_then(|collection| collection.get(&fence.election));
        let held = record.map(|record| record.created_revision);
        if held == Some(fence.number) {
            return Ok(());
        }
        Err(Refusal::Fenced {
            election: fence.election.clone(),
            held,
            asked: fence.number,
        })
    }
}
