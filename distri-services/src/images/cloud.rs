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

use distri::{
    Context,
    directory::{CollectionSpec, Who},
    id::PublicKey,
};
use serde::Deserialize;

use super::now_ms;

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

/// The user one of whose devices makes the call.
async fn caller(cx: &Context) -> distri::Result<PublicKey> {
    let device = cx.caller().key;
    users::of_device(&cx.directory(), device)
        .await?
        .ok_or_else(|| ShareRefusal::NotRegistered { device }.into())
}
