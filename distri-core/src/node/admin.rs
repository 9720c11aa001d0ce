//! [`Admin`]: the port on which a node tells monitoring how it is.
//!
//! `/metrics` is what the node counts, as Prometheus reads it; `/healthz` says that the process lives
//! and its runtime turns; `/readyz` says whether the node takes calls, and if not, why. Nothing can be
//! changed here, and nobody is asked who calls. [`crate::http`] serves it within the bounds below;
//! [`readiness`] judges; the node's driver says in which [`Stage`] the node is.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it has a task and a timer turn once to see that they do"
)]

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::net::TcpListener;

use super::{NodeHandle, StartError, host::Host, vitals};
use crate::{
    cluster::Roster,
    http::{self, Body, Limits, Request, Response, Server, Site},
    membership::MemberState,
    transport::Address,
    world,
};

mod readiness;

use readiness::{Directory, Stage, Standing};

/// What callers can take. Probes and scrapers ask one thing a minute or a second; a connection for
/// each question is as good, and then none is ever idle. 64 leave room for those who are slow, and
/// cost a process with 1,024 descriptors little.
const LIMITS: Limits = Limits {
    connections: 64,
    head: 8 << 10,
    head_time: Duration::from_secs(5),
    stall: Duration::from_secs(5),
    requests: 1,
    life: Duration::from_secs(20),
};

/// The admin port of a node that has one.
#[derive(Debug)]
pub(super) struct Admin {
    server: Server,
    stage: Arc<Mutex<Stage>>,
}

/// What an admin port tells of.
pub(super) struct Subject {
    pub(super) node: NodeHandle,
    pub(super) host: Weak<Host>,
    /// Of a node that keeps a directory: whether it knows the cluster's members.
    pub(super) roster: Option<Arc<Roster>>,
}

/// Listens where the configuration says, if it says so.
pub(super) async fn bind(at: Option<&Address>) -> Result<Option<TcpListener>, StartError> {
    let Some(at) = at else { return Ok(None) };
    http::bind(at).await.map(Some).map_err(StartError::Admin)
}

impl Admin {
    /// Begins to tell of a node that is starting.
    pub(super) fn start(listener: TcpListener, subject: Subject) -> Result<Self, StartError> {
        let stage = Arc::new(Mutex::new(Stage::Starting));
        let pages = Pages {
            subject,
            stage: stage.clone(),
        };
        let server = Server::start(listener, LIMITS, Arc::new(pages));
        let server = server.map_err(StartError::Admin)?;
        let address = server.address();
        if address.ip().is_loopback() {
            tracing::info!(%address, "the admin port is open");
        } else {
            tracing::warn!(
                %address,
                "the admin port is open to other machines: it is neither encrypted nor authenticated"
            );
        }
        Ok(Self { server, stage })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The node takes calls from now on.
    pub(super) fn started(&self) {
        self.enter(Stage::Serving);
    }

    /// The node takes no new calls from now on, or very soon.
    pub(super) fn withdraw(&self) {
        self.enter(Stage::Draining);
    }

    /// Closes the port and all connections at once.
    pub(super) fn close(&self) {
        self.server.close();
    }

    fn enter(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}

struct Pages {
    subject: Subject,
    stage: Arc<Mutex<Stage>>,
}

impl Site for Pages {
    async fn answer(&self, request: Request) -> Response {
        let answer = match (request.method(), request.path()) {
            ("GET" | "HEAD", "/metrics") => self.metrics(),
            ("GET" | "HEAD", "/healthz") => self.health().await,
            ("GET" | "HEAD", "/readyz") => self.readiness(),
            (_, "/metrics" | "/healthz" | "/readyz") => {
                Response::text(405, "only GET and HEAD\n").with("allow", "GET, HEAD")
            }
            _ => Response::text(404, "here are /metrics, /healthz and /readyz\n"),
        };
        answer
            .with("cache-control", "no-store")
            .with("x-content-type-options", "nosniff")
    }
}

impl Pages {
    fn metrics(&self) -> Response {
        let Some(host) = self.subject.host.upgrade() else {
            return Response::text(503, "the node has stopped\n");
        };
        let text = vitals::stats(&self.subject.node, &host).to_prometheus();
        Response::new(200).body(
            "text/plain; version=0.0.4; charset=utf-8",
            Body::Whole(Bytes::from(text)),
        )
    }

    /// That an answer comes shows that sockets are served; it comes after a task that was started
    /// for it has waited for a timer, so these turn too.
    async fn health(&self) -> Response {
        match world::spawn(world::pause(Duration::from_millis(1))).await {
            Ok(()) => Response::text(200, "alive\n"),
            Err(_) => Response::text(503, "the runtime is stopping\n"),
        }
    }

    fn readiness(&self) -> Response {
        match self.standing().why_not_ready() {
            None => Response::text(200, "ready\n"),
            Some(why) => Response::text(503, format!("{why}\n")),
        }
    }

    fn standing(&self) -> Standing {
        let is_draining = self
            .subject
            .host
            .upgrade()
            .is_none_or(|host| host.is_draining());
        let stage = *self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        Standing {
            stage: if is_draining { Stage::Draining } else { stage },
            directory: self.directory(),
        }
    }

    fn directory(&self) -> Option<Directory> {
        let Subject { node, roster, .. } = &self.subject;
        let roster = roster.as_ref()?;
        let view = node.shared.group.get()?.view();
        let is_away = |state| matches!(state, MemberState::Down | MemberState::Left);
        let members = node.members().into_iter();
        let away: HashSet<_> = members
            .filter(|member| is_away(member.state))
            .map(|member| member.key)
            .collect();
        let voters = || view.members.values().filter(|member| member.votes);
        Some(Directory {
            stopped: view.stopped.is_some(),
            has_leader: view.leader.is_some(),
            voters: voters().count(),
            voters_away: voters()
                .filter(|voter| away.contains(&voter.member.key))
                .count(),
            members_known: roster.is_read(),
        })
    }
}
