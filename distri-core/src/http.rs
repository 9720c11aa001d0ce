//! HTTP/1.1 on a local port, for what is not distri: browsers, probes, Prometheus.
//!
//! A [`Site`] answers [`Request`]s with [`Response`]s; a [`Server`] has the sockets and bounds what
//! callers can take: how many connections there are, how long a head may be and take, how many
//! requests a connection carries and how long it lives, how long a caller may neither send nor read.
//! Whoever exceeds a bound loses the connection and nothing else.
//!
//! It knows no path and judges no caller. There is no encryption and no proof of who calls: a site
//! that is more than public listens on this machine only and asks for a secret.
//!
//! `message` is what sites see, `server` owns the tasks, `stream` is a socket as hyper wants it. Only
//! these know hyper.

use std::{future::Future, time::Duration};

mod message;
mod server;
mod stream;

pub use message::{Body, BodyError, Request, Response};
pub use server::{Server, bind};

/// Answers requests.
pub trait Site: Send + Sync + 'static {
    /// Answers one. It is dropped when the caller leaves.
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// What callers of a [`Server`] can take at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; one more is closed at once. Each costs a file descriptor and up to some
    /// tens of KiB.
    pub connections: usize,
    /// Bytes of the head of a request: its first line and its headers. Longer ones are answered with
    /// 431 and closed.
    pub head: usize,
    /// How long the head of a request may take, from when the connection is open or the request
    /// before is answered. So it is also how long a connection may do nothing.
    pub head_time: Duration,
    /// How long a caller may send nothing of a body, or read nothing of an answer.
    pub stall: Duration,
    /// Requests on one connection; with the answer to the last it is closed.
    pub requests: u32,
    /// How long a connection takes requests. One whose answer is under way then has as long again as
    /// [`Limits::stall`] says.
    pub life: Duration,
}
