//! The cloud's part: who is there, what is offered, and letters between people.
//!
//! Three services on the directory. Each checks what it is told before it keeps it: signatures,
//! numbers that rise by one, bounds. What they answer carries the signatures along, so that readers
//! need not believe them ([`crate::images::record`]). None of them sees an image, nor what a letter
//! says.
//!
//! Only nodes touch the collections. Everything else passes through here.

mod catalog;
mod inbox;
mod refusal;
mod users;

use std::time::SystemTime;

use distri::{
    Context,
    directory::{CollectionSpec, Who},
    id::PublicKey,
};
use serde::Deserialize;

pub use self::{
    catalog::{CatalogPage, Changed, ENTRIES_MAX, ImageCatalog, ImageCatalogClient, Search},
    inbox::{Arrived, ImageInbox, ImageInboxClient, KEPT, PAIR_MAX, RECIPIENT_MAX, Received},
    refusal::ShareRefusal,
    users::{ImageUsers, ImageUsersClient},
};

/// What can be set of these services.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

/// Collections that only nodes touch; none on a node that is `idle`.
fn only_nodes<const N: usize>(idle: bool, of: [CollectionSpec; N]) -> Vec<CollectionSpec> {
    if idle {
        return Vec::new();
    }
    of.map(|spec| spec.read(Who::Node).write(Who::Node)).into()
}

/// How often a change is tried again that others were faster with.
const TRIES: u32 = 16;

/// Items that wait between a subscription and a slow reader.
const WAITING: usize = 16;

/// The time as the node has it, in milliseconds since 1970. Only what may be wrong by minutes hangs
/// on it: the order of the catalogue, the end of letters after a month.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// The user one of whose devices makes the call.
async fn caller(cx: &Context) -> distri::Result<PublicKey> {
    let device = cx.caller().key;
    users::of_device(&cx.directory(), device)
        .await?
        .ok_or_else(|| ShareRefusal::NotRegistered { device }.into())
}
