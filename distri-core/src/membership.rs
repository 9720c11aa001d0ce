//! Membership: who is here, alive, suspect or down, at which address, offering which services at
//! which load.
//!
//! Who *belongs* to a cloud is the directory's word (or, without one, the configuration's). Who is
//! *there* is gossip's (SWIM: Das, Gupta and Motivala 2002), over the cloud's own links: every half
//! second each node asks another whether it is there; one that does not answer, not even to three
//! others that ask in its place, is suspect, is told so, and down unless it says otherwise within one
//! and a half seconds (a quarter longer for each tenfold of nodes). News travels with these questions,
//! so that it costs next to nothing and reaches all in a number of rounds that grows with the logarithm
//! of their number.
//!
//! Each node is the sole writer of what is said of it: where it is, what it offers, how busy it is.
//! What was lost on the way is found when nodes compare what they know, every half minute.

#[cfg(feature = "node")]
mod driver;
#[cfg(feature = "node")]
mod entry;
#[cfg(feature = "node")]
mod gossip;
mod protocol;
#[cfg(feature = "node")]
mod swim;
#[cfg(feature = "node")]
mod table;
#[cfg(all(test, feature = "node"))]
mod tests;
mod view;

#[cfg(feature = "node")]
pub(crate) use driver::Membership;
#[cfg(feature = "node")]
pub(crate) use entry::About;
pub use view::{Member, MemberLoad, MemberService, MemberState};
