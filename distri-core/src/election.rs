//! Elections: of all who campaign, at any time at most one holds.
//!
//! An election is a name, and who holds it is a document of the directory under a lease of the
//! holder's node. The first that inserts the document has won; when the lease runs out, or the
//! holder resigns, the document goes and the next may win. The revision at which it was inserted is
//! the [`Fence`]: it rises with each winner, rides on calls and writes made under the leadership, and
//! is refused once it is out of date.
//!
//! *Loss is known before another can win.* A holder counts its time from before it asked for the last
//! renewal, and a little less than the directory grants; the directory counts from when the renewal
//! reached its leader. So [`Leadership::is_held`] is false, and [`Leadership::lost`] over, before the
//! directory lets go, whatever happens to messages, nodes and leaders in between. A program that
//! stands still can still act a moment after; that is what the fence is for.
//!
//! - `held`: elections as programs use them.
//! - `lease`: the one lease that a node has for all it holds, renewed by one task.
//! - `records`: what stands in the directory.
//! - `seat`: what this node holds or campaigns for, and what it must clear away.
//! - `seen`: the latest fences that came with calls.

#[cfg(feature = "node")]
mod held;
#[cfg(feature = "node")]
mod lease;
#[cfg(feature = "node")]
mod records;
#[cfg(feature = "node")]
mod seat;
#[cfg(feature = "node")]
pub(crate) mod seen;

pub use crate::fence::Fence;
#[cfg(feature = "node")]
pub use held::{Election, Holder, Leadership, Observer};
#[cfg(feature = "node")]
pub(crate) use lease::Grant;
#[cfg(feature = "node")]
pub(crate) use records::OF_SERVICES;
#[cfg(feature = "node")]
pub(crate) use seat::Elections;
