//! The service `distri-cluster`, as a node serves it, and the joining node's side of it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    custodian::{not_kept, recorded},
    protocol::{
        ClusterInfo, HOLD, Handed, HoldArguments, JOIN, JoinArguments, MEMBERS as WHO_BELONGS,
        MembersArguments, NODES, NodeInfo, NodeRole, REMOVE, RENEW_SECRET, RemoveArguments, SECRET,
        SecretArguments, TOKEN, Ticket, TokenArguments, descriptor,
    },
    records::{
        CLUSTER, ClusterRecord, MEMBERS, MemberRecord, ROLES, RolesRecord, SECRETS, SecretsRecord,
        THE_CLUSTER, TOKENS, TokenRecord,
    },
    roster::all,
    secret::Secrets,
    token::JoinToken,
    touch,
};
use crate::{
    client::{Client, NodeState},
    consensus::Group,
    directory::{Actor, Condition, Document, Json, Refusal, Server, Transaction},
    directory::{Command, Operation},
    error::{Code, Error, Result},
    id::PublicKey,
    identity::new_seed,
    service::{Context, Reply, Request, Service, ServiceDescriptor},
    transport::{Endpoint, Transport},
    world,
};

/// How long a token may be valid.
const VALID_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often a change of the member list is tried again when others change it meanwhile.
const TRIES: u32 = 32;

/// How long a new token may take to be known to the nodes that its holder asks.
const ADMITTED_WITHIN: Duration = Duration::from_secs(3);

/// How long a token is waited for while the founder still makes the cluster.
const MADE_WITHIN: Duration = Duration::from_secs(10);

/// The pause before they are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Nodes named in a token. More would make it longer, fewer would find nobody more often.
const NODES_IN_TOKEN: usize = 2;

/// The service.
pub(crate) struct ClusterService {
    pub(crate) server: Server,
    pub(crate) group: Group,
    pub(crate) client: Client,
    pub(crate) secrets: Arc<Secrets>,
}

impl ClusterService {
    fn document<T: serde::de::DeserializeOwned>(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Option<(Document, T)>> {
        let found = self
            .server
            .replica()
            .read(|state| state.get(&Actor::Node, collection, id));
        let document = match found {
            Ok(Some(document)) => document,
            // A node that has just joined does not have the collections yet.
            Ok(None) | Err(Refusal::NoCollection { .. }) => return Ok(None),
            Err(refusal) => return Err(refusal.into()),
        };
        let value = document.value.to().map_err(|error| {
            Error::new(
                Code::Incompatible,
                format!("`{collection}/{id}` was written by a newer version"),
            )
            .with_source(error)
        })?;
        Ok(Some((document, value)))
    }

    fn members(&self) -> Vec<(u64, MemberRecord)> {
        let mut members: Vec<(u64, MemberRecord)> = all(self.server.replica(), MEMBERS)
            .into_iter()
            .filter_map(|(id, member)| Some((id.parse().ok()?, member)))
            .collect();
        members.sort_by_key(|(number, _)| *number);
        members
    }

    fn cluster(&self) -> Result<(Document, ClusterRecord)> {
        self.document(CLUSTER, THE_CLUSTER)?
            .ok_or_else(|| Error::new(Code::Unavailable, "the cluster is still being founded"))
    }

    async fn join(&self, token: PublicKey, asks: JoinArguments) -> Result<Ticket> {
        if asks.key.is_weak() {
            return Err(Error::invalid_argument("the node's key is a weak one"));
        }
        for _ in 0..TRIES {
            self.server.ready(false).await?;
            let (cluster_document, cluster) = self.cluster()?;
            let (token_document, record) = self
                .document::<TokenRecord>(TOKENS, &token.to_string())?
                .ok_or_else(|| Error::new(Code::FailedPrecondition, "the token has expired"))?;
            let members = self.members();
            let known = members.iter().find(|(_, member)| member.key == asks.key);
            let ticket = |number| Ticket {
                cluster: cluster.id.clone(),
                number,
                nodes: members
                    .iter()
                    .map(|(_, member)| member.endpoint())
                    .collect(),
                secrets: self.secrets.hand_all(),
            };
            match (record.used_by, known) {
                (Some(by), Some((number, _))) if by == asks.key => return Ok(ticket(*number)),
                (Some(_), _) => {
                    return Err(Error::new(
                        Code::FailedPrecondition,
                        "the token has been used",
                    ));
                }
                (None, Some((number, _))) => {
                    let message =
                        format!("the node is a member already, number {number}; remove it first");
                    return Err(Error::new(Code::AlreadyExists, message));
                }
                (None, None) => {}
            }
            if record.expires_ms <= world::unix_ms() {
                return Err(Error::new(
                    Code::FailedPrecondition,
                    "the token has expired",
                ));
            }
            let number = cluster.last_number + 1;
            let (key, admin) = (asks.key, asks.admin);
            let member = MemberRecord {
                key,
                name: asks.name.clone(),
                address: asks.address.clone(),
                leaving: false,
            };
            let used = TokenRecord {
                used_by: Some(key),
                ..record
            };
            let next = ClusterRecord {
                last_number: number,
                ..cluster.clone()
            };
            let mut transaction = Transaction::new()
                .then(replace(CLUSTER, &cluster_document, &next)?)
                .then(replace(TOKENS, &token_document, &used)?)
                .insert(MEMBERS, number.to_string(), json(&member)?);
            if let Some(admin) = admin {
                let roles = RolesRecord {
                    roles: vec![super::protocol::ADMIN.to_owned()],
                };
                transaction = transaction.put(ROLES, admin.to_string(), json(&roles)?);
            }
            match self.server.command(Command::Transact(transaction)).await {
                Ok(_) => {
                    tracing::info!(number, key = %key, name = asks.name, "a node joined");
                    return Ok(ticket(number));
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(too_busy())
    }

    /// Waits until the cluster is made, which its founder does as soon as it leads, and this node has
    /// all that was acknowledged before.
    async fn made(&self) -> Result<()> {
        let until = world::now() + MADE_WITHIN;
        loop {
            self.server.ready(false).await?;
            let replica = self.server.replica();
            let cluster = replica.read(|state| state.get(&Actor::Node, CLUSTER, THE_CLUSTER));
            if matches!(cluster, Ok(Some(_))) {
                return Ok(());
            }
            if world::now() >= until {
                let message = "the cluster is not made yet: its first node has only just started";
                return Err(Error::new(Code::Unavailable, message));
            }
            world::pause(ASK_AGAIN).await;
        }
    }

    async fn token(&self, asks: TokenArguments) -> Result<String> {
        let valid = Duration::from_millis(asks.valid_ms);
        if valid.is_zero() || valid > VALID_MAX {
            return Err(Error::invalid_argument(format!(
                "a token cannot be valid for {valid:?}: expected more than nothing and at most 30 days"
            )));
        }
        self.made().await?;
        let me = self.client.key();
        let members = self.members();
        // This node first: it knows of the token before anyone else does. It is in the log's
        // membership before it is in the list of members.
        let own = self.group.member(self.group.number());
        let mut nodes: Vec<Endpoint> = own
            .map(|own| Endpoint {
                key: own.key,
                address: own.address,
            })
            .into_iter()
            .chain(
                members
                    .iter()
                    .filter(|(_, member)| member.key != me)
                    .map(|(_, member)| member.endpoint()),
            )
            .collect();
        nodes.truncate(NODES_IN_TOKEN);
        let token = JoinToken::new(new_seed(), nodes);
        let record = TokenRecord {
            expires_ms: world::unix_ms().saturating_add(asks.valid_ms),
            used_by: None,
        };
        let id = token.identity().public().to_string();
        let transaction = Transaction::new().insert(TOKENS, id, json(&record)?);
        self.server.command(Command::Transact(transaction)).await?;
        // So that the holder is admitted here at once.
        self.server.ready(false).await?;
        Ok(token.reveal())
    }

    async fn nodes(&self) -> Result<ClusterInfo> {
        if let Some(leader) = self.group.leader()
            && leader != self.group.number()
            && let Some(member) = self.group.member(leader)
        {
            // Only the leader knows how far the others are.
            let asked = self
                .client
                .call(descriptor(), NODES, ())
                .to(member.key)
                .timeout(Duration::from_secs(2))
                .await;
            if asked.is_ok() {
                return asked;
            }
        }
        let view = self.group.view();
        let linked = self.client.nodes();
        let nodes = self
            .members()
            .into_iter()
            .map(|(number, member)| {
                let at = view.members.get(&number);
                let role = match at {
                    None => NodeRole::Joining,
                    Some(_) if view.leader == Some(number) => NodeRole::Leader,
                    Some(at) if at.votes => NodeRole::Voter,
                    Some(_) => NodeRole::Learner,
                };
                let lag = if view.leads && number == self.group.number() {
                    Some(0)
                } else {
                    at.and_then(|at| at.matched)
                        .map(|matched| view.last_index.saturating_sub(matched))
                };
                NodeInfo {
                    number,
                    key: member.key,
                    name: member.name,
                    address: member.address,
                    role,
                    lag,
                    linked: member.key == self.client.key()
                        || linked
                            .iter()
                            .any(|node| node.key == member.key && node.state == NodeState::Ready),
                }
            })
            .collect();
        Ok(ClusterInfo {
            cluster: self.cluster()?.1.id,
            term: view.term,
            nodes,
            secret_epoch: recorded(&self.server)?.map_or(0, |(_, record)| record.last()),
        })
    }

    async fn remove(&self, asks: RemoveArguments) -> Result<()> {
        let number = asks.number;
        for _ in 0..TRIES {
            self.server.ready(false).await?;
            let (cluster_document, cluster) = self.cluster()?;
            let members = self.members();
            let Some((_, member)) = members.iter().find(|(member, _)| *member == number) else {
                let message = format!("the cluster has no node {number}");
                return Err(Error::new(Code::NotFound, message));
            };
            if member.leaving {
                return Ok(());
            }
            if members.iter().filter(|(_, member)| !member.leaving).count() == 1 {
                return Err(Error::new(
                    Code::FailedPrecondition,
                    "the last node of a cluster cannot be removed",
                ));
            }
            // Replacing the cluster's own record as it was makes two removals at once conflict.
            let member = MemberRecord {
                leaving: true,
                ..member.clone()
            };
            let mut transaction = Transaction::new()
                .then(replace(CLUSTER, &cluster_document, &cluster)?)
                .put(MEMBERS, number.to_string(), json(&member)?);
            // Whoever is removed knows the secrets so far, and none to come.
            if let Some(renewed) = renewed(&self.server)? {
                transaction = transaction.then(renewed);
            }
            match self.server.command(Command::Transact(transaction)).await {
                Ok(_) => {
                    tracing::info!(number, "a node is being removed");
                    return Ok(());
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(too_busy())
    }

    /// The secret with this mark, for a member that is to stay one.
    fn secret(&self, caller: PublicKey, asks: &SecretArguments) -> Option<Handed> {
        let members = self.members();
        let stays = members
            .iter()
            .any(|(_, member)| member.key == caller && !member.leaving);
        stays
            .then(|| self.secrets.hand(asks.epoch, &asks.mark))
            .flatten()
    }

    async fn renew_secret(&self) -> Result<()> {
        for _ in 0..TRIES {
            self.server.ready(false).await?;
            let Some(renewed) = renewed(&self.server)? else {
                return Err(Error::new(
                    Code::FailedPrecondition,
                    "the cluster's first secret is still being made",
                ));
            };
            let transaction = Transaction::new().then(renewed);
            match self.server.command(Command::Transact(transaction)).await {
                Ok(_) => return Ok(()),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(too_busy())
    }
}

/// Has another epoch of the secret made, if there is one so far.
fn renewed(server: &Server) -> Result<Option<Operation>> {
    let Some((document, record)) = recorded(server)? else {
        return Ok(None);
    };
    let due = record.last() + 1;
    let next = SecretsRecord { due, ..record };
    debug_assert_eq!(document.id, SECRETS);
    Ok(Some(replace(CLUSTER, &document, &next)?))
}

fn replace<T: serde::Serialize>(
    collection: &str,
    document: &Document,
    value: &T,
) -> Result<Operation> {
    Ok(Operation::Replace {
        collection: collection.to_owned(),
        id: document.id.clone(),
        revision: document.revision,
        value: json(value)?,
    })
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<Json> {
    Json::of(value).map_err(|error| Error::internal("a record cannot be written as JSON", error))
}

fn is_conflict(error: &Error) -> bool {
    matches!(
        error.details(),
        Some(Refusal::Revision { .. } | Refusal::Condition { .. } | Refusal::Exists { .. })
    )
}

fn too_busy() -> Error {
    Error::new(Code::Busy, "others change the list of members all the time")
}

#[async_trait]
impl Service for ClusterService {
    fn descriptor(&self) -> &'static ServiceDescriptor {
        descriptor()
    }

    async fn call(self: Arc<Self>, cx: Context, mut request: Request) -> Result<Reply> {
        match request.method() {
            JOIN => {
                let arguments = request.arguments()?;
                let ticket = self.join(cx.caller().key, arguments).await?;
                request.reply(&ticket)
            }
            TOKEN => {
                let arguments = request.arguments()?;
                let token = self.token(arguments).await?;
                request.reply(&token)
            }
            NODES => {
                let info = self.nodes().await?;
                request.reply(&info)
            }
            REMOVE => {
                let arguments = request.arguments()?;
                self.remove(arguments).await?;
                request.reply(&())
            }
            WHO_BELONGS => {
                let arguments: MembersArguments = request.arguments()?;
                request.reply(&touch::answer(self.server.replica(), &arguments))
            }
            SECRET => {
                let arguments = request.arguments()?;
                let secret = self.secret(cx.caller().key, &arguments);
                request.reply(&secret)
            }
            HOLD => {
                let HoldArguments { handed } = request.arguments()?;
                self.secrets.hold(handed).map_err(not_kept)?;
                request.reply(&())
            }
            RENEW_SECRET => {
                self.renew_secret().await?;
                request.reply(&())
            }
            _ => Err(request.unknown_method()),
        }
    }
}

/// Joins the cluster that `token` is for, over a transport that proves the token.
///
/// # Errors
/// [`Code::FailedPrecondition`] if the token has expired or been used, [`Code::Unavailable`] if no
/// node of the cluster can be reached or admits it.
pub(crate) async fn redeem(
    token: &JoinToken,
    transport: Arc<dyn Transport>,
    asks: JoinArguments,
) -> Result<Ticket> {
    let until = world::now() + ADMITTED_WITHIN;
    loop {
        let error = match ask_to_join(token, transport.clone(), asks.clone()).await {
            Ok(ticket) => return Ok(ticket),
            Err(error) => error,
        };
        // A node that has not heard of the token yet takes its holder for a stranger.
        let too_early = matches!(error.code(), Code::Denied | Code::Unavailable);
        if !too_early || world::now() >= until {
            let message = match error.code() {
                Code::Denied | Code::Unavailable => format!(
                    "no node of the cluster admits the token, which may have expired: {}",
                    error.message()
                ),
                _ => return Err(error),
            };
            return Err(Error::new(Code::Unavailable, message));
        }
        world::pause(ASK_AGAIN).await;
    }
}

async fn ask_to_join(
    token: &JoinToken,
    transport: Arc<dyn Transport>,
    asks: JoinArguments,
) -> Result<Ticket> {
    let client = Client::builder()
        .transport(transport)
        .nodes(token.nodes().iter().cloned())
        .connect()
        .await?;
    client
        .call(descriptor(), JOIN, asks)
        .timeout(Duration::from_secs(30))
        .await
}

/// The tokens that are over at `now_ms`, for the steward.
pub(super) fn expired_tokens(server: &Server, now_ms: u64) -> Vec<String> {
    all::<TokenRecord>(server.replica(), TOKENS)
        .into_iter()
        .filter(|(_, token)| token.expires_ms <= now_ms)
        .map(|(id, _)| id)
        .collect()
}

/// A condition that holds while there is no such document.
pub(super) fn missing(collection: &str, id: &str) -> Condition {
    Condition::Missing {
        collection: collection.to_owned(),
        id: id.to_owned(),
    }
}
