//! What strangers can do to a port that speaks HTTP: nothing that lasts.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive servers as a program does, and may panic"
)]

extern crate distri_core as distri;

#[path = "http/browser.rs"]
mod browser;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use distri::{
    http::{Body, BodyError, Limits, Request, Response, Server, Site, bind},
    transport::Address,
};
use proptest::{prelude::any, strategy::Strategy, test_runner::TestRunner};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use browser::{Answer, ask, get, in_time, until_closed};

/// Bounds that a test need not wait long for, though a slow machine keeps within them what it should.
const LIMITS: Limits = Limits {
    connections: 8,
    head: 4096,
    head_time: Duration::from_millis(500),
    stall: Duration::from_millis(500),
    requests: 3,
    life: Duration::from_secs(60),
};

/// Large enough that no buffers of sockets hold it.
const LARGE: usize = 64 << 20;

/// Answers at a few paths, and tells when a piecewise answer is given up.
struct Trial {
    gone: mpsc::UnboundedSender<()>,
}

impl Site for Trial {
    async fn answer(&self, request: Request) -> Response {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/") => Response::text(200, "hello\n").with("x-trial", "yes"),
            ("GET", "/large") => Response::text(200, vec![b'x'; LARGE]),
            ("GET", "/pieces") => {
                let (send, receive) = mpsc::channel(1);
                let gone = self.gone.clone();
                tokio::spawn(async move {
                    let _ = send.send(Bytes::from_static(b"piece\n")).await;
                    send.closed().await;
                    let _ = gone.send(());
                });
                Response::new(200).body("text/plain", Body::Pieces(receive))
            }
            ("POST", "/length") => match request.body(1000).await {
                Ok(body) => Response::text(200, body.len().to_string()),
                Err(BodyError::TooLarge { max }) => Response::text(413, max.to_string()),
                Err(BodyError::Stalled { .. }) => Response::text(408, "stalled"),
                Err(_) => Response::text(400, "broken"),
            },
            _ => Response::text(404, "nothing here\n"),
        }
    }
}

struct Running {
    server: Server,
    gone: mpsc::UnboundedReceiver<()>,
}

impl Running {
    async fn with(limits: Limits) -> Self {
        let listener = bind(&Address::new("127.0.0.1:0")).await.unwrap();
        let (send, gone) = mpsc::unbounded_channel();
        let server = Server::start(listener, limits, Arc::new(Trial { gone: send })).unwrap();
        Self { server, gone }
    }

    fn at(&self) -> SocketAddr {
        self.server.address()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at()).await.unwrap()
    }

    /// Asks until it is served: as soon as there is room.
    async fn get_when_there_is_room(&self) -> Answer {
        in_time("room for one more connection", async {
            loop {
                if let Some(answer) = browser::try_get(self.at(), "/").await {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

#[tokio::test]
async fn requests_are_answered_and_the_head_alone_where_that_is_asked() {
    let trial = Running::with(LIMITS).await;

    let whole = get(trial.at(), "/").await;
    let head = ask(
        trial.at(),
        "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;

    assert_eq!((whole.status, whole.body.as_str()), (200, "hello\n"));
    assert_eq!(whole.header("x-trial"), Some("yes"));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some("6"));
}

#[tokio::test]
async fn garbage_is_refused_and_harms_nobody() {
    let trial = Running::with(LIMITS).await;
    let handle = tokio::runtime::Handle::current();
    let at = trial.at();

    tokio::task::spawn_blocking(move || {
        let lines = proptest::collection::vec(any::<u8>(), 0..600);
        let http_like = proptest::string::string_regex(
            "(GET|POST|PUT) [ -~]{0,40}\r\n([ -~]{0,40}\r\n){0,5}\r\n",
        )
        .unwrap();
        let any_bytes = proptest::prop_oneof![lines, http_like.prop_map(String::into_bytes)];
        let mut runner = TestRunner::new(proptest::test_runner::Config::with_cases(200));
        let sent = runner.run(&any_bytes, |bytes| {
            handle.block_on(async {
                let mut socket = TcpStream::connect(at).await.unwrap();
                // The server may have closed it already.
                let _ = socket.write_all(&bytes).await;
                let _ = socket.shutdown().await;
                until_closed(&mut socket).await;
            });
            Ok(())
        });
        sent.unwrap();
    })
    .await
    .unwrap();

    assert_eq!(get(trial.at(), "/").await.status, 200);
}

#[tokio::test]
async fn an_endless_head_ends() {
    let trial = Running::with(LIMITS).await;
    let mut socket = trial.connect().await;

    socket.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let sent = in_time("an end of what is read", async {
        let mut sent = 0;
        while socket
            .write_all(b"x-more: and more of it\r\n")
            .await
            .is_ok()
        {
            sent += 24;
        }
        sent
    })
    .await;

    // What fits into the buffers of sockets, and no more.
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert_eq!(trial.get_when_there_is_room().await.status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_told_so() {
    let trial = Running::with(LIMITS).await;
    let long = "x".repeat(LIMITS.head);

    let answer = ask(
        trial.at(),
        &format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n"),
    )
    .await;

    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn who_says_nothing_or_says_it_slowly_is_closed() {
    let trial = Running::with(LIMITS).await;
    let mut silent = trial.connect().await;
    let mut slow = trial.connect().await;

    let slowly = async {
        for byte in b"GET / HTTP/1.1\r\nhost: x\r\n".iter().cycle() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if slow.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    };
    in_time("an end of patience with the slow one", slowly).await;
    until_closed(&mut silent).await;

    assert_eq!(get(trial.at(), "/").await.status, 200);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_there_is_room_again() {
    let limits = Limits {
        head_time: Duration::from_secs(60),
        ..LIMITS
    };
    let trial = Running::with(limits).await;
    let mut held = Vec::new();
    for _ in 0..LIMITS.connections {
        held.push(trial.connect().await);
    }

    let mut extra = trial.connect().await;
    assert_eq!(until_closed(&mut extra).await, b"");
    drop(held.pop());

    assert_eq!(trial.get_when_there_is_room().await.status, 200);
    for socket in &mut held {
        socket
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        assert!(until_closed(socket).await.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn thousands_of_connections_leave_nothing_behind() {
    let trial = Running::with(LIMITS).await;

    for _ in 0..20 {
        let mut crowd = Vec::new();
        for _ in 0..150 {
            // The kernel's queue may be full for a moment: then it is not one more connection.
            if let Ok(socket) = TcpStream::connect(trial.at()).await {
                crowd.push(socket);
            }
        }
        drop(crowd);
    }

    assert_eq!(trial.get_when_there_is_room().await.status, 200);
}

#[tokio::test]
async fn a_connection_carries_so_many_requests_and_no_more() {
    let trial = Running::with(LIMITS).await;
    let mut socket = trial.connect().await;

    let one = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    socket.write_all(one.repeat(10).as_bytes()).await.unwrap();
    let answers = String::from_utf8(until_closed(&mut socket).await).unwrap();

    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(answers.matches("connection: close").count(), 1);
}

#[tokio::test]
async fn who_does_not_read_an_answer_loses_the_connection() {
    let limits = Limits {
        connections: 1,
        ..LIMITS
    };
    let trial = Running::with(limits).await;
    let mut socket = trial.connect().await;

    socket
        .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).await.unwrap();

    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(trial.get_when_there_is_room().await.status, 200);
    let rest = until_closed(&mut socket).await;
    assert!(rest.len() < LARGE, "all was sent");
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound() {
    let trial = Running::with(LIMITS).await;
    let post = |length: usize, body: String| {
        let head = "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
        format!("{head}content-length: {length}\r\n\r\n{body}")
    };

    let fits = ask(trial.at(), &post(1000, "x".repeat(1000))).await;
    // Of this one nothing was sent, and nothing is waited for.
    let told = ask(trial.at(), &post(1001, String::new())).await;
    let stalls = ask(trial.at(), &post(1000, "x".repeat(999))).await;

    assert_eq!((fits.status, fits.body.as_str()), (200, "1000"));
    assert_eq!((told.status, told.body.as_str()), (413, "1000"));
    assert_eq!(stalls.status, 408);
}

#[tokio::test]
async fn a_body_that_does_not_tell_its_length_is_read_up_to_its_bound() {
    let trial = Running::with(LIMITS).await;
    let head = "POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("64\r\n{}\r\n", "x".repeat(100));

    let endless = ask(trial.at(), &format!("{head}{}", chunk.repeat(11))).await;
    let broken = ask(trial.at(), &format!("{head}nonsense\r\n")).await;

    assert_eq!(endless.status, 413);
    assert_eq!(broken.status, 400);
}

#[tokio::test]
async fn an_answer_in_pieces_ends_when_its_reader_leaves() {
    let mut trial = Running::with(LIMITS).await;
    let mut socket = trial.connect().await;

    socket
        .write_all(b"GET /pieces HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).await.unwrap();
    drop(socket);

    in_time("an end of the pieces", trial.gone.recv())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_connection_does_not_live_for_ever() {
    let limits = Limits {
        life: Duration::from_millis(100),
        ..LIMITS
    };
    let mut trial = Running::with(limits).await;
    let mut socket = trial.connect().await;

    socket
        .write_all(b"GET /pieces HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let read = until_closed(&mut socket).await;

    assert!(read.starts_with(b"HTTP/1.1 200"));
    in_time("an end of the pieces", trial.gone.recv())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_site_is_no_proxy() {
    let trial = Running::with(LIMITS).await;

    for line in [
        "GET http://elsewhere/ HTTP/1.1",
        "CONNECT elsewhere:80 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ] {
        let answer = ask(
            trial.at(),
            &format!("{line}\r\nhost: elsewhere\r\nconnection: close\r\n\r\n"),
        )
        .await;
        assert_eq!(answer.status, 400, "{line}");
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_no_connection() {
    let trial = Running::with(LIMITS).await;
    let mut socket = trial.connect().await;
    socket
        .write_all(b"GET /pieces HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).await.unwrap();

    drop(trial.server);

    until_closed(&mut socket).await;
}
