//! [`Gate`]: who may link to a peer, and who has.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: the tasks that accept links and follow each until it closes"
)]

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use crate::{
    client::client_hello,
    config::{AccessConfig, ClientAccess, Config, Limits},
    id::PublicKey,
    node::{
        HostsNothing,
        host::{Host, HostFor},
        repeats::Repeats,
    },
    rpc::{Link, Serve},
    service::{Caller, Role},
    stats::Traffic,
    transport::{ByteLink, Listener},
    wire::{Hello, Status},
    world,
};

/// How often replies that are kept too long are let go.
const TEND: Duration = Duration::from_secs(1);

/// Who may come in, and who has.
pub(super) struct Gate {
    access: AccessConfig,
    pub(super) limits: Limits,
    name: String,
    host: Arc<OnceLock<Weak<Host>>>,
    repeats: Arc<Repeats>,
    traffic: Arc<Traffic>,
    links: Mutex<Vec<Link>>,
}

impl Gate {
    pub(super) fn new(
        config: &Config,
        name: &str,
        host: Arc<OnceLock<Weak<Host>>>,
        traffic: Arc<Traffic>,
    ) -> Arc<Self> {
        Arc::new(Self {
            access: config.access.clone(),
            limits: config.limits.clone(),
            name: name.to_owned(),
            host,
            repeats: Repeats::new(&config.limits),
            traffic,
            links: Mutex::default(),
        })
    }

    /// The links that came in and stand.
    pub(super) fn links(&self) -> Vec<Link> {
        self.lock().clone()
    }

    /// Closes them now.
    pub(super) fn close(&self, why: &str) {
        let links: Vec<_> = self.lock().drain(..).collect();
        links.iter().for_each(|link| link.close(why));
        self.repeats.close();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a key is to this peer. Nodes of the cloud are strangers like others, unless listed: a peer
    /// takes no work from them.
    fn caller(&self, key: PublicKey) -> Caller {
        let roles = self.access.roles_of(key);
        let is_known = !roles.is_empty() || self.access.keys.contains(&key);
        let role = if is_known {
            Role::Known
        } else {
            Role::Stranger
        };
        Caller { key, role, roles }
    }

    fn hello(&self) -> Hello {
        let host = self.host.get().and_then(Weak::upgrade);
        Hello {
            is_node: false,
            life: self.repeats.life(),
            link: self.repeats.number(),
            name: self.name.clone(),
            services: host.as_ref().map(|host| host.offers()).unwrap_or_default(),
            status: Status::default(),
            ..client_hello(&self.limits)
        }
    }

    /// Lets a link in, or tells the other end why not.
    fn admit(self: Arc<Self>, bytes: ByteLink) {
        let caller = self.caller(bytes.peer);
        let refusal = match (caller.role, self.access.clients) {
            (Role::Stranger, ClientAccess::Listed) => {
                Some(format!("key {} is not admitted here", bytes.peer))
            }
            (Role::Node | Role::Known | Role::Stranger, _) => {
                (self.lock().len() >= self.limits.links as usize).then(|| {
                    format!(
                        "this peer keeps {} links already, its bound",
                        self.limits.links
                    )
                })
            }
        };
        let serve: Arc<dyn Serve> = match &refusal {
            Some(_) => Arc::new(HostsNothing),
            None => Arc::new(HostFor {
                host: self.host.clone(),
                repeats: self.repeats.clone(),
                caller: Arc::new(caller),
            }),
        };
        let (limits, traffic) = (self.limits.clone(), self.traffic.clone());
        let link = Link::start(bytes, false, &self.hello(), limits, serve, traffic);
        if let Some(why) = refusal {
            tracing::debug!(peer = %link.peer(), why, "link refused");
            link.close(&why);
            return;
        }
        self.lock().push(link.clone());
        world::spawn(meet(Arc::downgrade(&self), link));
    }
}

/// Accepts links until the listener closes.
pub(super) async fn accept(listener: Arc<dyn Listener>, gate: Arc<Gate>) {
    loop {
        match listener.accept().await {
            Ok(bytes) => gate.clone().admit(bytes),
            Err(error) => {
                tracing::info!(
                    error = crate::error::chain(&error),
                    "no more links are accepted"
                );
                return;
            }
        }
    }
}

/// Follows a link that came in until it closes.
async fn meet(gate: Weak<Gate>, link: Link) {
    let hello = gate.upgrade().map(|gate| gate.limits.hello);
    let waits = tokio::time::timeout(hello.unwrap_or_default(), link.hello());
    if waits.await.is_err() {
        link.close("no hello in time");
    }
    link.closed().await;
    if let Some(gate) = gate.upgrade() {
        gate.lock().retain(|held| !held.is_same(&link));
    }
}

/// Lets go of replies that nobody has asked for again.
pub(super) async fn tend(gate: Weak<Gate>) {
    while let Some(gate) = gate.upgrade() {
        gate.repeats.expire();
        drop(gate);
        world::pause(TEND).await;
    }
}
