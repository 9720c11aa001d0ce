//! The service `distri-peers`, as a node serves it: it takes records that are good and newer.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use super::{
    Presence, limits,
    protocol::{ANNOUNCE, Announcement, LEAVE, Leave, PEERS, SEEN, Seen, collections, descriptor},
};
use crate::{
    config::PeerAccess,
    directory::{
        Actor, Command, Condition, Document, Filter, Json, Operation, Query, Refusal, Server, Sort,
        Transaction,
    },
    error::{Code, Error, Result},
    id::PublicKey,
    service::{Caller, Context, Reply, Request, Role, Service, ServiceDescriptor},
    signed::{RecordError, Signed},
    world,
};

/// How often a change is tried again when others change the same meanwhile.
const TRIES: u32 = 16;

/// How old what is remembered of a peer may be while it is there. Shorter tells more exactly since
/// when it has been away, and costs a write each time.
const SEEN_WITHIN: Duration = Duration::from_secs(600);

/// How many peers are remembered for each that may be there.
const SEEN_PER_PEER: u64 = 4;

/// The service.
pub(crate) struct PeersService {
    pub(crate) server: Server,
    /// Who may be a peer.
    pub(crate) access: PeerAccess,
    /// How many may be there at once.
    pub(crate) peers_max: u32,
}

/// What the directory has of a peer.
struct Held {
    now: Option<(Document, Signed<Presence>)>,
    seen: Option<(Document, Seen)>,
}

impl PeersService {
    async fn announce(&self, caller: &Caller, asks: Announcement) -> Result<()> {
        let record = asks.record;
        record.check_by(caller.key)?.check()?;
        let lease = Duration::from_millis(asks.lease_ms);
        if !limits::LEASE.contains(&lease) {
            return Err(Error::invalid_argument(format!(
                "a lease of {lease:?} was asked for, expected {:?} to {:?}",
                limits::LEASE.start(),
                limits::LEASE.end()
            )));
        }
        self.admit(caller)?;
        for _ in 0..TRIES {
            self.server.ready(false).await?;
            let held = self.held(caller.key)?;
            let again = match &held.now {
                Some((document, known)) if *known == record => document.lease,
                Some(_) | None => None,
            };
            let done = match again {
                Some(lease) => self.renew(lease, &held, &record).await,
                None => self.replace(held, &record, lease).await,
            };
            match done {
                Ok(()) => return Ok(()),
                Err(error) if is_conflict(&error) => {}
                Err(error) if matches!(error.details(), Some(Refusal::NoCollection { .. })) => {
                    for spec in collections() {
                        self.server.command(Command::CreateCollection(spec)).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            Code::Busy,
            "others keep changing the records of this peer",
        ))
    }

    /// Refuses those who may not be peers.
    fn admit(&self, caller: &Caller) -> Result<()> {
        match (self.access, caller.role) {
            (PeerAccess::Open, _) | (PeerAccess::Listed, Role::Node | Role::Known) => Ok(()),
            (PeerAccess::Listed, Role::Stranger) => Err(Error::new(
                Code::Denied,
                format!(
                    "key {} may not be a peer here: `access.peers` is `listed`, and it is in no list",
                    caller.key
                ),
            )),
        }
    }

    /// The record is known: its lease begins anew.
    async fn renew(&self, lease: u64, held: &Held, record: &Signed<Presence>) -> Result<()> {
        self.server.command(Command::KeepLease { lease }).await?;
        let now = world::unix_ms();
        let is_old = held.seen.as_ref().is_none_or(|(_, seen)| {
            u128::from(now.saturating_sub(seen.at_ms)) > SEEN_WITHIN.as_millis()
        });
        if is_old {
            let id = record.key().to_string();
            let transaction = Transaction::new().put(SEEN, id, json(&seen(record, now))?);
            self.server.command(Command::Transact(transaction)).await?;
        }
        Ok(())
    }

    /// The record is another than the one known: it takes its place if it is newer.
    async fn replace(&self, held: Held, record: &Signed<Presence>, lease: Duration) -> Result<()> {
        let (key, seq) = (record.key(), record.seq());
        let known = held.now.as_ref().map(|(_, known)| known.seq());
        let known = known.max(held.seen.as_ref().map(|(_, seen)| seen.seq));
        if let Some(held) = known.filter(|known| seq <= *known) {
            let found = seq;
            return Err(RecordError::Older { key, held, found }.into());
        }
        let id = key.to_string();
        let unchanged = |collection: &str, revision: Option<u64>| match revision {
            Some(revision) => Condition::Revision {
                collection: collection.to_owned(),
                id: id.clone(),
                revision,
            },
            None => Condition::Missing {
                collection: collection.to_owned(),
                id: id.clone(),
            },
        };
        let of = |document: &Document| document.revision;
        let mut transaction = Transaction::new()
            .require(unchanged(PEERS, held.now.as_ref().map(|(doc, _)| of(doc))))
            .require(unchanged(SEEN, held.seen.as_ref().map(|(doc, _)| of(doc))));
        if held.now.is_none() {
            self.check_room()?;
        }
        if held.seen.is_none()
            && let Some(oldest) = self.to_forget()
        {
            transaction = transaction.delete(SEEN, oldest);
        }
        let ttl_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let granted = self.server.command(Command::GrantLease { ttl_ms }).await?;
        let broken = || Error::new(Code::Internal, "a lease was granted without a number");
        let lease = granted.lease.ok_or_else(broken)?;
        let transaction = transaction
            .then(Operation::Put {
                collection: PEERS.to_owned(),
                id: id.clone(),
                value: json(record)?,
                lease: Some(lease),
            })
            .put(SEEN, id.clone(), json(&seen(record, world::unix_ms()))?);
        let written = self.server.command(Command::Transact(transaction)).await;
        // Whichever lease has no document now is of no use; one that has ended already, neither.
        let useless = match &written {
            Ok(_) => held.now.and_then(|(document, _)| document.lease),
            Err(_) => Some(lease),
        };
        if let Some(lease) = useless {
            let _ = self.server.command(Command::EndLease { lease }).await;
        }
        written.map(|_| tracing::debug!(peer = %key.short(), seq, "a peer is there"))
    }

    async fn leave(&self, key: PublicKey, asks: &Leave) -> Result<()> {
        for _ in 0..TRIES {
            self.server.ready(false).await?;
            let held = self.held(key)?;
            let Some((document, record)) = held.now else {
                return Ok(());
            };
            // A late farewell of an earlier life is not for this one.
            if record.unchecked().boot != asks.boot {
                return Ok(());
            }
            let id = key.to_string();
            let transaction = Transaction::new()
                .require(Condition::Revision {
                    collection: PEERS.to_owned(),
                    id: id.clone(),
                    revision: document.revision,
                })
                .delete(PEERS, id.clone())
                .put(SEEN, id, json(&seen(&record, world::unix_ms()))?);
            match self.server.command(Command::Transact(transaction)).await {
                Ok(_) => {
                    if let Some(lease) = document.lease {
                        let _ = self.server.command(Command::EndLease { lease }).await;
                    }
                    return Ok(());
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            Code::Busy,
            "others keep changing the records of this peer",
        ))
    }

    fn held(&self, key: PublicKey) -> Result<Held> {
        let id = key.to_string();
        Ok(Held {
            now: self.document(PEERS, &id)?,
            seen: self.document(SEEN, &id)?,
        })
    }

    fn document<T: DeserializeOwned>(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Option<(Document, T)>> {
        let replica = self.server.replica();
        match replica.read(|state| state.get(&Actor::Node, collection, id)) {
            Ok(Some(document)) => {
                let value = document.value.to().map_err(|error| {
                    let message = format!("`{collection}/{id}` was not written by `distri-peers`");
                    Error::new(Code::Incompatible, message).with_source(error)
                })?;
                Ok(Some((document, value)))
            }
            Ok(None) | Err(Refusal::NoCollection { .. }) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Refuses one more peer than there may be.
    fn check_room(&self) -> Result<()> {
        let (peers, bound) = (self.count(PEERS), u64::from(self.peers_max));
        if peers >= bound {
            let message = format!("{peers} peers are here already, the bound is {bound}");
            return Err(Error::new(Code::Busy, message));
        }
        Ok(())
    }

    /// The peer that has been away longest, if no more can be remembered.
    fn to_forget(&self) -> Option<String> {
        if self.count(SEEN) < u64::from(self.peers_max) * SEEN_PER_PEER {
            return None;
        }
        let mut query = Query::new(SEEN);
        query.sort.push(Sort {
            field: "at_ms".into(),
            descending: false,
        });
        query.limit = 1;
        let view = self.server.replica().read(|state| state.view(SEEN)).ok()?;
        let page = view.find(&Actor::Node, &query).ok()?;
        page.documents.into_iter().next().map(|oldest| oldest.id)
    }

    fn count(&self, collection: &str) -> u64 {
        let view = self.server.replica().read(|state| state.view(collection));
        let count = view.and_then(|view| view.count(&Actor::Node, &Filter::All));
        count.unwrap_or(0)
    }
}

fn seen(record: &Signed<Presence>, at_ms: u64) -> Seen {
    Seen {
        name: record.unchecked().name.clone(),
        seq: record.seq(),
        at_ms,
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Json> {
    Json::of(value).map_err(|error| Error::internal("a record cannot be written as JSON", error))
}

/// True if another attempt may go better: somebody else was faster, or a lease has just ended.
fn is_conflict(error: &Error) -> bool {
    matches!(
        error.details(),
        Some(
            Refusal::Revision { .. }
                | Refusal::Condition { .. }
                | Refusal::Exists { .. }
                | Refusal::Missing { .. }
                | Refusal::NoLease { .. }
        )
    )
}

#[async_trait]
impl Service for PeersService {
    fn descriptor(&self) -> &'static ServiceDescriptor {
        descriptor()
    }

    async fn call(self: Arc<Self>, cx: Context, mut request: Request) -> Result<Reply> {
        match request.method() {
            ANNOUNCE => {
                let asks: Announcement = request.arguments()?;
                self.announce(cx.caller(), asks).await?;
                request.reply(&())
            }
            LEAVE => {
                let asks: Leave = request.arguments()?;
                self.leave(cx.caller().key, &asks).await?;
                request.reply(&())
            }
            _ => Err(request.unknown_method()),
        }
    }
}
