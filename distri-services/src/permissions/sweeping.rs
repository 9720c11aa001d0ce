//! The end of grants: the cloud's half is deleted, asked or not.

use distri::{NodeHandle, Result, directory::Filter};

use super::{
    bytes::GrantId,
    ledger::Kept,
    service::{PAGE, Permissions},
    store::{GRANTS, Held, Missed, Store},
};

impl Permissions {
    /// Deletes the share of a grant that is over. An error if it is not.
    pub(crate) async fn end(&self, store: &Store, grant: &Held) -> Result<(), Missed> {
        match grant.value.end(grant.updated_ms) {
            Some(change) => self.commit(store, Some(grant), &change).await,
            None => Ok(()),
        }
    }

    /// Deletes the shares of grants that are over, for as long as this node leads.
    pub(crate) async fn sweep(self, node: NodeHandle) {
        loop {
            tokio::time::sleep(self.sweeps_every()).await;
            if node.leader() != Some(node.key()) {
                continue;
            }
            let store = self.store_at(node.directory());
            for (holds, sort) in [
                ("share", "expires_ms"),
                ("spent", "expires_ms"),
                ("spent", "@updated"),
            ] {
                // What fails now is looked for again next time.
                self.sweep_by(&store, holds, sort).await.ok();
            }
        }
    }

    /// Ends grants in the order in which they end, up to the first that is not over: the directory's
    /// clock says which.
    async fn sweep_by(&self, store: &Store, holds: &str, sort: &str) -> Result<()> {
        let filter = Filter::eq("holds", holds);
        loop {
            let page = store.find::<Kept<GrantId>>(GRANTS, filter.clone(), sort, PAGE);
            let page = page.await?;
            if page.documents.is_empty() {
                return Ok(());
            }
            for grant in page.documents {
                let grant = store.held(grant).await?;
                match self.end(store, &grant).await {
                    Ok(()) | Err(Missed::Raced | Missed::Seen(_)) => {}
                    Err(Missed::Failed(error)) => return Err(error),
                    Err(Missed::Early | Missed::Late | Missed::Quota) => return Ok(()),
                }
            }
        }
    }
}
