//! The local page: a person's own program serves it to that person's own browser, and to nobody else.
//!
//! [`Ui::open`] listens on 127.0.0.1 and gives links, each good for one browser, once. What the page
//! shows and does is up to a [`Person`], a trait, so the page knows neither peers nor clouds;
//! [`InCloud`] is a person who has both.
//!
//! `guard` decides who is let in; `api` turns requests into calls of the person; `events` is the
//! stream by which the page learns what changed; `files` are the page's own. The HTTP itself, with its
//! bounds, is [`distri::http`].
//!
//! Other programs on this machine, other pages in the same browser and other machines are strangers.
//! Why each check is there is said in `guard`.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use distri::{
    http::{self, Limits, Request, Response, Server, Site},
    transport::{Address, TransportError},
};

mod api;
mod events;
mod files;
mod guard;
mod in_cloud;
pub mod person;
mod query;

pub use in_cloud::InCloud;
pub use person::Person;

use guard::{Asked, Guard};

/// What a browser may take. A page with its stream of events needs a handful of connections, each
/// of which is kept for a while; publishing a large photograph takes as long as its disk does.
const LIMITS: Limits = Limits {
    connections: 64,
    head: 16 << 10,
    head_time: Duration::from_secs(15),
    stall: Duration::from_secs(30),
    requests: 10_000,
    life: Duration::from_secs(3600),
};

/// A page that is served to one person.
///
/// Dropping it closes it.
pub struct Ui {
    server: Server,
    guard: Arc<Guard>,
}

impl Ui {
    /// Serves the page of `person` at `port` of 127.0.0.1; 0 picks a free one.
    ///
    /// # Errors
    /// [`TransportError::Bind`] if the port is taken.
    pub async fn open(person: Arc<impl Person>, port: u16) -> Result<Self, TransportError> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = http::bind(&Address::from(at)).await?;
        let failed = |source| TransportError::Bind {
            address: at.into(),
            source: Arc::new(source),
        };
        let port = listener.local_addr().map_err(failed)?.port();
        let guard = Arc::new(Guard::new(port));
        let desk = Desk {
            guard: guard.clone(),
            api: api::Api::new(person),
        };
        let server = Server::start(listener, LIMITS, Arc::new(desk))?;
        Ok(Self { server, guard })
    }

    /// Where it is served.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// A new link. The first browser that opens it within ten minutes may use the page until the
    /// program ends; whoever opens it later may not. Whoever sees it can be first: show it to the
    /// person and write it nowhere.
    pub fn link(&self) -> String {
        format!("http://{}/#token={}", self.address(), self.guard.token())
    }
}

impl fmt::Debug for Ui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ui")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

/// Where requests arrive.
struct Desk<P> {
    guard: Arc<Guard>,
    api: api::Api<P>,
}

impl<P: Person> Site for Desk<P> {
    async fn answer(&self, request: Request) -> Response {
        let answer = match self.guard.look(&Asked::of(&request)) {
            Err(stranger) => Response::text(403, format!("{stranger}\n")),
            Ok(()) => self.route(request).await,
        };
        files::secured(answer)
    }
}

impl<P: Person> Desk<P> {
    async fn route(&self, request: Request) -> Response {
        if request.path() == "/api/session" {
            return self.begin(request).await;
        }
        let Some(path) = request.path().strip_prefix("/api/").map(str::to_owned) else {
            return files::answer(&request);
        };
        match self.guard.admit(&Asked::of(&request)) {
            Err(stranger) => Response::text(403, format!("{stranger}\n")),
            Ok(()) => self.api.answer(&path, request).await,
        }
    }

    /// Lets a browser in that has the token of a link.
    async fn begin(&self, request: Request) -> Response {
        if request.method() != "POST" {
            return Response::text(405, "only POST\n").with("allow", "POST");
        }
        let Ok(token) = request.body(guard::TOKEN_MAX).await else {
            return Response::text(403, "this is no token\n");
        };
        match self.guard.begin(&token) {
            Err(stranger) => Response::text(403, format!("{stranger}\n")),
            Ok(session) => Response::text(200, session.key).with("set-cookie", session.cookie),
        }
    }
}
