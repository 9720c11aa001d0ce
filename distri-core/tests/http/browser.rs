//! The other end of HTTP, as little as tests need.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long a test waits for what must come to be.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Reads what came on a connection that is closed. `None` if that is no answer.
    fn of(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Self {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        let mut pairs = lines.filter_map(|line| line.split_once(": "));
        let found = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }
}

/// Waits, but not for ever.
pub(crate) async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

/// Reads what comes until the other end closes.
pub(crate) async fn until_closed(socket: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    // However it closes.
    let _ = in_time("an end of the connection", socket.read_to_end(&mut read)).await;
    read
}

/// Sends `request` and waits for the answer.
pub(crate) async fn ask(to: SocketAddr, request: &str) -> Answer {
    try_ask(to, request).await.expect("there is an answer")
}

pub(crate) async fn get(from: SocketAddr, path: &str) -> Answer {
    try_get(from, path).await.expect("there is an answer")
}

/// The same; `None` if the connection is closed without one.
pub(crate) async fn try_get(from: SocketAddr, path: &str) -> Option<Answer> {
    try_ask(
        from,
        &format!("GET {path} HTTP/1.1\r\nhost: {from}\r\nconnection: close\r\n\r\n"),
    )
    .await
}

async fn try_ask(to: SocketAddr, request: &str) -> Option<Answer> {
    let mut socket = TcpStream::connect(to).await.ok()?;
    socket.write_all(request.as_bytes()).await.ok()?;
    Answer::of(&until_closed(&mut socket).await)
}
