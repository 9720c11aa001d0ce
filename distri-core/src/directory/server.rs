//! The service `distri-directory`, as a node serves it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Events,
    command::{Actor, Command, Outcome, Proposal, Verdict},
    protocol::{
        Answers, COLLECTIONS, COUNT, Collections, Count, FIND, Find, GET, Get, Nothing, PROPOSE,
        Proposals, READ_INDEX, WATCH, WRITE, Watch, Write, Written, descriptor,
    },
    reads::{self, Reads},
    replica::Replica,
    writes::Writes,
};
use crate::{
    client::Client,
    consensus::Group,
    directory::{CollectionInfo, Document, Page, Session},
    error::{Code, Error, Result},
    fence::Fences,
    message::Stream,
    service::{Caller, Context, Health, Reply, Request, Role, Service, ServiceDescriptor},
};

/// Bytes of events that are told at once.
const EVENTS_BYTES: usize = 256 * 1024;

/// The directory of a node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    group: Group,
    replica: Arc<Replica>,
    writes: Writes,
    reads: Reads,
    /// Numbers the commands of callers that did not.
    session: Session,
}

impl Server {
    pub(crate) fn new(group: Group, replica: Arc<Replica>) -> Self {
        let inner = Inner {
            group,
            replica,
            writes: Writes::default(),
            reads: Reads::default(),
            session: Session::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.inner.replica
    }

    /// Carries commands into the log. Runs until dropped.
    pub(crate) async fn run_writes(self, client: Client) {
        let Inner {
            group,
            replica,
            writes,
            ..
        } = &*self.inner;
        writes.run(group.clone(), client, replica.clone()).await;
    }

    /// Asks the leader how far it is, for those who read. Runs until dropped.
    pub(crate) async fn run_reads(self, client: Client) {
        let Inner { group, reads, .. } = &*self.inner;
        reads.run(group.clone(), client).await;
    }

    /// Puts a command of this node itself into the log.
    pub(crate) async fn command(&self, command: Command) -> Result<Outcome> {
        let nothing = Fences::default();
        self.write(Actor::Node, None, command, &nothing).await
    }

    async fn write(
        &self,
        actor: Actor,
        request: Option<super::RequestId>,
        command: Command,
        fences: &Fences,
    ) -> Result<Outcome> {
        command.check()?;
        let opened = request.is_none().then(|| self.inner.session.begin());
        let proposal = Proposal {
            request: request.or(opened.as_ref().map(super::client::Opened::id)),
            actor,
            command,
        };
        let broken = |error| Error::internal("a command cannot be encoded", error);
        let proposal = proposal.encode(fences).map_err(broken)?;
        let answers = self.inner.writes.submit(vec![proposal.into()]).await?;
        let answer = answers.first().map(Bytes::as_ref).unwrap_or_default();
        let verdict: Verdict = postcard::from_bytes(answer).map_err(|error| {
            Error::new(Code::Incompatible, "the leader's answer does not decode").with_source(error)
        })?;
        Ok(verdict?)
    }

    /// Waits until this node has all that was acknowledged before, unless `local` will do.
    pub(crate) async fn ready(&self, local: bool) -> Result<()> {
        if local {
            return Ok(());
        }
        self.inner.reads.linearize().await
    }

    async fn get(&self, actor: &Actor, get: Get) -> Result<Option<Document>> {
        self.ready(get.local).await?;
        let found = self
            .replica()
            .read(|state| state.get(actor, &get.collection, &get.id))?;
        Ok(found)
    }

    async fn find(&self, actor: &Actor, find: Find) -> Result<Page> {
        self.ready(find.local).await?;
        let view = self
            .replica()
            .read(|state| state.view(&find.query.collection))?;
        Ok(view.find(actor, &find.query)?)
    }

    async fn count(&self, actor: &Actor, count: Count) -> Result<u64> {
        self.ready(count.local).await?;
        let view = self.replica().read(|state| state.view(&count.collection))?;
        Ok(view.count(actor, &count.filter)?)
    }

    /// The collections; those of the directory itself only for nodes.
    fn collections(&self, actor: &Actor) -> Vec<CollectionInfo> {
        self.replica().read(|state| {
            state
                .collections()
                .filter(|(spec, _)| *actor == Actor::Node || !spec.name.starts_with('_'))
                .map(|(spec, documents)| CollectionInfo {
                    spec: spec.clone(),
                    documents: documents as u64,
                })
                .collect()
        })
    }

    /// Changes, as they are made, for whoever reads the stream. A reader that falls behind holds
    /// nothing: it reads from the history that is kept for all, and is refused when that has gone.
    async fn watch(&self, actor: Actor, watch: Watch) -> Result<Stream<Events>> {
        let Watch {
            collection,
            filter,
            after,
        } = watch;
        let replica = self.replica().clone();
        let after = match after {
            Some(after) => after,
            None => {
                self.ready(false).await?;
                replica.read(|state| state.revision())
            }
        };
        let look = {
            let replica = replica.clone();
            let collection = collection.clone();
            move |after| {
                replica.read(|state| {
                    state.events_after(&actor, &collection, after, filter.as_ref(), EVENTS_BYTES)
                })
            }
        };
        // Refused now rather than in the stream, if it is refused.
        let first = look(after)?;
        let changes = replica.subscribe(&collection);
        let start = (first.revision, Some(first), changes, look);
        let group = self.inner.group.clone();
        let events = futures_util::stream::unfold(Some(start), move |state| {
            let group = group.clone();
            async move {
                let (mut seen, first, mut changes, look) = state?;
                if let Some(first) = first {
                    return Some((Ok(first), Some((seen, None, changes, look))));
                }
                loop {
                    changes.borrow_and_update();
                    match look(seen) {
                        Ok(events) if events.events.is_empty() => {
                            // It looks at a bounded number of changes at once.
                            let looked_at_all = events.revision >= *changes.borrow();
                            seen = events.revision;
                            if !looked_at_all {
                                continue;
                            }
                        }
                        Ok(events) => {
                            let seen = events.revision;
                            return Some((Ok(events), Some((seen, None, changes, look))));
                        }
                        Err(refusal) => return Some((Err(refusal.into()), None)),
                    }
                    tokio::select! {
                        biased;
                        changed = changes.changed() => changed.ok()?,
                        // The node is stopping; the watch goes on at another.
                        () = group.leaving() => return None,
                    }
                }
            }
        });
        Ok(Stream::new(events))
    }

    async fn propose(&self, proposals: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let Inner { group, writes, .. } = &*self.inner;
        if group.leader() != Some(group.number()) {
            return Err(Error::new(Code::Unavailable, "this node does not lead"));
        }
        writes.submit(proposals).await
    }

    fn leader_key(&self) -> Option<crate::id::PublicKey> {
        let group = &self.inner.group;
        group
            .leader()
            .and_then(|leader| group.member(leader))
            .map(|member| member.key)
    }
}

fn actor(caller: &Caller) -> Actor {
    match caller.role {
        Role::Node => Actor::Node,
        Role::Known | Role::Stranger => Actor::Client {
            key: caller.key,
            known: caller.role == Role::Known,
            roles: caller.roles.clone(),
        },
    }
}

/// The service, as the node hosts it.
pub(crate) struct DirectoryService(pub(crate) Server);

#[async_trait]
impl Service for DirectoryService {
    fn descriptor(&self) -> &'static ServiceDescriptor {
        descriptor()
    }

    /// A node whose disk has failed steps aside: calls go to others.
    fn health(&self) -> Health {
        if self.0.inner.group.is_running() {
            Health::Serving
        } else {
            Health::NotServing
        }
    }

    async fn call(self: Arc<Self>, cx: Context, mut request: Request) -> Result<Reply> {
        let server = &self.0;
        let actor = actor(cx.caller());
        match request.method() {
            WRITE => {
                let Write {
                    request: id,
                    command,
                } = request.arguments()?;
                let outcome = server
                    .write(actor, id, command, cx.inherited_fences())
                    .await?;
                let leader = server.leader_key();
                request.reply(&Written { outcome, leader })
            }
            GET => {
                let found = server.get(&actor, request.arguments()?).await?;
                request.reply(&found)
            }
            FIND => {
                let page = server.find(&actor, request.arguments()?).await?;
                request.reply(&page)
            }
            COUNT => {
                let count = server.count(&actor, request.arguments()?).await?;
                request.reply(&count)
            }
            COLLECTIONS => {
                let Collections { local } = request.arguments()?;
                server.ready(local).await?;
                request.reply(&server.collections(&actor))
            }
            WATCH => {
                let stream = server.watch(actor, request.arguments()?).await?;
                request.reply(&stream)
            }
            PROPOSE => {
                let Proposals { proposals } = request.arguments()?;
                let answers = server.propose(proposals).await?;
                request.reply(&Answers { answers })
            }
            READ_INDEX => {
                let Nothing {} = request.arguments()?;
                let index = reads::index_here(&server.inner.group).await?;
                request.reply(&index)
            }
            _ => Err(request.unknown_method()),
        }
    }
}
