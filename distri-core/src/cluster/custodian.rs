//! Who sees to it that the members have the cluster's secret: asks others for what this node lacks,
//! and, where this node leads, makes a new epoch when one is due.
//!
//! A new secret is made known to a majority of the members before the directory says that it counts,
//! so that no single disk can lose it.

use std::{sync::Arc, time::Duration};

use super::{
    protocol::{HOLD, Handed, HoldArguments, SECRET, SecretArguments, descriptor},
    records::{CLUSTER, MEMBERS, MemberRecord, SECRETS, SecretsRecord, THE_CLUSTER},
    roster::all,
    secret::Secrets,
    service::json,
};
use crate::{
    client::Client,
    consensus::Group,
    directory::{Actor, Command, Document, Operation, Refusal, Server, Transaction},
    error::{Code, Error, Result},
    id::PublicKey,
};

/// How long it waits when nothing is to be done. It is woken by changes.
const IDLE: Duration = Duration::from_secs(30);

/// How long it waits when something is, and could not be done.
const BUSY: Duration = Duration::from_millis(500);

/// How long another member may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Sees to the cluster's secret.
pub(crate) struct Custodian {
    pub(crate) server: Server,
    pub(crate) group: Group,
    pub(crate) client: Client,
    pub(crate) secrets: Arc<Secrets>,
}

impl Custodian {
    /// Runs until dropped, or until the node's part in the cluster has ended.
    pub(crate) async fn run(self) {
        let mut changes = self.server.replica().subscribe(CLUSTER);
        while self.group.is_running() {
            changes.borrow_and_update();
            let wait = match self.turn().await {
                Ok(true) => IDLE,
                Ok(false) => BUSY,
                Err(error) => {
                    tracing::debug!(%error, "the cluster's secret cannot be seen to now");
                    BUSY
                }
            };
            let leads = self.group.view().leads;
            let leadership = self.group.leadership_changed(leads);
            let _ = tokio::time::timeout(wait, async {
                tokio::select! {
                    biased;
                    more = changes.changed() => more.is_ok(),
                    more = leadership => more,
                }
            })
            .await;
        }
    }

    /// Does what is to be done. True if it is.
    async fn turn(&self) -> Result<bool> {
        let recorded = recorded(&self.server)?;
        if let Some((_, record)) = &recorded {
            self.secrets.agree(record.agreed.clone());
        }
        let mut complete = true;
        for (epoch, mark) in self.secrets.missing() {
            if !self.ask_for(epoch, &mark).await? {
                tracing::debug!(epoch, "no member that answers has the secret of this epoch");
                complete = false;
            }
        }
        if !self.group.view().leads {
            return Ok(complete);
        }
        let founded = self
            .server
            .replica()
            .read(|state| state.get(&Actor::Node, CLUSTER, THE_CLUSTER));
        if !matches!(founded, Ok(Some(_))) {
            return Ok(complete);
        }
        let due = recorded.as_ref().map_or(1, |(_, record)| record.due);
        let last = recorded.as_ref().map_or(0, |(_, record)| record.last());
        if due <= last {
            return Ok(complete);
        }
        Ok(self.renew(recorded, due).await? && complete)
    }

    fn members(&self) -> Vec<PublicKey> {
        all::<MemberRecord>(self.server.replica(), MEMBERS)
            .into_iter()
            .filter(|(_, member)| !member.leaving)
            .map(|(_, member)| member.key)
            .collect()
    }

    /// Asks the other members for a secret. True if one had it.
    async fn ask_for(&self, epoch: u32, mark: &str) -> Result<bool> {
        let members = self.members();
        for member in members.into_iter().filter(|key| *key != self.client.key()) {
            let arguments = SecretArguments {
                epoch,
                mark: mark.to_owned(),
            };
            let asked: Result<Option<Handed>> = self
                .client
                .call(descriptor(), SECRET, arguments)
                .to(member)
                .timeout(ANSWER)
                .await;
            if let Ok(Some(handed)) = asked
                && self.secrets.is(&handed, epoch, mark)
            {
                self.secrets.hold(handed).map_err(not_kept)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes the secret of `epoch`. True if a majority has it and the directory says so.
    async fn renew(&self, recorded: Option<(Document, SecretsRecord)>, epoch: u32) -> Result<bool> {
        let (handed, mark) = self.secrets.make(epoch).map_err(not_kept)?;
        let members = self.members();
        let mut have = 0;
        for member in &members {
            if *member == self.client.key() {
                have += 1;
                continue;
            }
            let arguments = HoldArguments {
                handed: handed.clone(),
            };
            let held: Result<()> = self
                .client
                .call(descriptor(), HOLD, arguments)
                .to(*member)
                .timeout(ANSWER)
                .await;
            have += usize::from(held.is_ok());
        }
        if have <= members.len() / 2 {
            tracing::debug!(epoch, have, "too few members answer for a new secret");
            return Ok(false);
        }
        let mut record = recorded
            .as_ref()
            .map(|(_, record)| record.clone())
            .unwrap_or_default();
        record.due = record.due.max(epoch);
        record.agreed.insert(epoch, mark);
        let value = json(&record)?;
        let transaction = match recorded {
            None => Transaction::new().insert(CLUSTER, SECRETS, value),
            Some((document, _)) => Transaction::new().then(Operation::Replace {
                collection: CLUSTER.to_owned(),
                id: SECRETS.to_owned(),
                revision: document.revision,
                value,
            }),
        };
        self.server.command(Command::Transact(transaction)).await?;
        tracing::info!(epoch, "the cluster has a new secret");
        Ok(true)
    }
}

/// What the directory says of the secret, as this node has it.
pub(super) fn recorded(server: &Server) -> Result<Option<(Document, SecretsRecord)>> {
    let found = server
        .replica()
        .read(|state| state.get(&Actor::Node, CLUSTER, SECRETS));
    match found {
        Ok(Some(document)) => {
            let record = document.value.to().map_err(|error| {
                Error::new(
                    Code::Incompatible,
                    "what the directory says of the secret was written by a newer version",
                )
                .with_source(error)
            })?;
            Ok(Some((document, record)))
        }
        Ok(None) | Err(Refusal::NoCollection { .. }) => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

pub(super) fn not_kept(error: crate::identity::IdentityError) -> Error {
    Error::internal("the cluster's secret cannot be kept", error)
}
