//! What strangers may send to a listening port, and answer on a dialed one: none of it stops the
//! node, keeps out a genuine caller, or fills memory or the log.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start tasks and read clocks"
)]
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the report, in its helpers too"
)]

use std::{
    future::Future,
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use distri_core::{
    id::PublicKey,
    identity::Identity,
    transport::{
        Address, ByteLink, Endpoint, Listener, Transport, TransportError,
        tcp::{Tcp, TcpLimits},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

#[path = "transport_bad_input/log.rs"]
mod log;
#[path = "transport_bad_input/stranger.rs"]
mod stranger;

use log::Log;
use stranger::{Signs, Stranger, spki};

const PATIENCE: Duration = Duration::from_secs(20);

/// A listening node with short limits, and the one genuine caller.
struct Node {
    listener: Box<dyn Listener>,
    to: Endpoint,
    caller: Tcp,
}

impl Node {
    async fn start() -> Self {
        Self::within(limits(|_| ())).await
    }

    async fn within(limits: TcpLimits) -> Self {
        let tcp = Tcp::with_limits(Identity::generate(), limits);
        let listener = tcp.listen(&Address::new("127.0.0.1:0")).await.unwrap();
        let to = Endpoint {
            key: tcp.key(),
            address: listener.address(),
        };
        Self {
            listener,
            to,
            caller: Tcp::new(Identity::generate()),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.to.address.as_str()).await.unwrap()
    }

    /// The genuine caller is served, and by the very next link: no stranger became one.
    async fn serves_only_the_genuine(&self) -> (ByteLink, ByteLink) {
        let both = async { tokio::join!(self.caller.dial(&self.to), self.listener.accept()) };
        let (dialed, accepted) = timeout(PATIENCE, both)
            .await
            .expect("a genuine caller is served");
        let (mut dialed, mut accepted) = (dialed.unwrap(), accepted.unwrap());
        assert_eq!(accepted.peer, self.caller.key());
        dialed.bytes.write_all(b"hello").await.unwrap();
        dialed.bytes.flush().await.unwrap();
        let mut heard = [0; 5];
        accepted.bytes.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        (dialed, accepted)
    }
}

fn limits(change: impl FnOnce(&mut TcpLimits)) -> TcpLimits {
    let mut limits = TcpLimits::default();
    limits.handshake_time = Duration::from_secs(2);
    change(&mut limits);
    limits
}

/// All that comes until the other end closes, however it does.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut heard))
        .await
        .expect("is closed");
    heard
}

#[tokio::test]
async fn bytes_that_are_no_tls_are_turned_away() {
    let node = Node::start().await;
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let endless_record = [&[0x16, 3, 1, 0xff, 0xff][..], &[1; 70_000]].concat();
    let endless_hello = [
        &[0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..],
        &[0; 16_380],
    ]
    .concat();

    for bytes in [
        &noise[..],
        &noise[..3],
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        &[0; 4096],
        &[0xff; 4096],
        &endless_record,
        &endless_hello,
        &[0x15, 3, 3, 0, 2, 2, 40],
        &[0x17, 3, 3, 0, 1, 0],
        &[0x14, 3, 3, 0, 1, 1],
    ] {
        let mut stream = node.connect().await;
        let _ = stream.write_all(bytes).await;
        until_closed(&mut stream).await;
    }

    node.serves_only_the_genuine().await;
}

#[tokio::test]
async fn a_caller_that_speaks_only_tls_1_2_is_told_so() {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0); // no session
    hello.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f]); // two suites of TLS 1.2
    hello.extend([1, 0]); // no compression
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 29][..],  // groups: X25519
        &[0, 13, 0, 6, 0, 4, 8, 7, 4, 3], // signatures: Ed25519, ECDSA
        &[0, 11, 0, 2, 1, 0],             // points: uncompressed
        &[
            0, 16, 0, 11, 0, 9, 8, b'd', b'i', b's', b't', b'r', b'i', b'/', b'1',
        ],
    ]
    .concat();
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut record = vec![0x16, 3, 1];
    record.extend((hello.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);
    let node = Node::start().await;

    let mut stream = node.connect().await;
    stream.write_all(&record).await.unwrap();
    let answer = until_closed(&mut stream).await;

    const FATAL_PROTOCOL_VERSION: [u8; 2] = [2, 70];
    assert_eq!(
        (answer[0], &answer[5..]),
        (0x15, &FATAL_PROTOCOL_VERSION[..]),
        "{answer:?}"
    );
    node.serves_only_the_genuine().await;
}

#[tokio::test]
async fn a_genuine_key_that_speaks_another_protocol_above_tls_is_turned_away() {
    let node = Node::start().await;

    for protocols in [
        vec![],
        vec!["h2"],
        vec!["distri/2", "http/1.1"],
        vec!["distri/"],
    ] {
        let mut stranger = Stranger::genuine();
        stranger.protocols = protocols;
        stranger.is_turned_away_by(&node.to.address).await;
    }

    node.serves_only_the_genuine().await;
}

#[tokio::test]
async fn a_certificate_in_place_of_a_raw_key_is_turned_away() {
    let node = Node::start().await;
    let mut stranger = Stranger::genuine();
    stranger.raw = false;

    stranger.is_turned_away_by(&node.to.address).await;

    node.serves_only_the_genuine().await;
}

#[tokio::test]
async fn a_key_that_is_not_ones_own_is_turned_away() {
    let node = Node::start().await;
    let mut stranger = Stranger::genuine();
    stranger.shown = spki(node.caller.key());

    stranger.is_turned_away_by(&node.to.address).await;

    node.serves_only_the_genuine().await;
}

#[tokio::test]
async fn a_key_under_which_anyone_can_sign_is_turned_away() {
    let node = Node::start().await;
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut stranger = Stranger::genuine();
    stranger.shown = spki(PublicKey::from_bytes(neutral));
    stranger.signs = Signs::Forged;

    stranger.is_turned_away_by(&node.to.address).await;

    node.serves_only_the_genuine().await;
}

#[tokio::test]
async fn malformed_several_and_missing_keys_are_turned_away() {
    let node = Node::start().await;
    let good = Stranger::genuine();
    let key = good.shown.clone();

    let longer = [key.as_slice(), &[0]].concat();
    for shown in [longer, key[..43].to_vec(), vec![0; 44], vec![0x30; 60_000]] {
        Stranger {
            shown,
            ..good.clone()
        }
        .is_turned_away_by(&node.to.address)
        .await;
    }
    Stranger {
        copies: 2,
        ..good.clone()
    }
    .is_turned_away_by(&node.to.address)
    .await;
    Stranger { copies: 0, ..good }
        .is_turned_away_by(&node.to.address)
        .await;

    node.serves_only_the_genuine().await;
}

#[tokio::test]
async fn a_stranger_that_does_all_right_is_a_link() {
    // Else the tests above would pass for the wrong reason.
    let node = Node::start().await;
    let stranger = Stranger::genuine();

    let (dialed, accepted) = tokio::join!(stranger.dial(&node.to.address), node.listener.accept());

    dialed.unwrap();
    assert_eq!(accepted.unwrap().peer, stranger.identity.public());
}

#[tokio::test]
async fn a_half_open_handshake_is_closed_in_time() {
    let node = Node::start().await;
    let start = Instant::now();

    let mut begun = node.connect().await;
    begun.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
    let mut silent = node.connect().await;
    tokio::join!(until_closed(&mut begun), until_closed(&mut silent));

    assert!(
        start.elapsed() >= Duration::from_millis(450),
        "{:?}",
        start.elapsed()
    );
    node.serves_only_the_genuine().await;
}

#[tokio::test]
async fn dialing_what_never_answers_times_out_and_what_is_no_tls_fails() {
    let caller = Tcp::new(Identity::generate());
    let hasty = Tcp::with_limits(
        Identity::generate(),
        limits(|limits| limits.dial_time = Duration::from_millis(500)),
    );
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = |listener: &TcpListener| Endpoint {
        key: Identity::generate().public(),
        address: listener.local_addr().unwrap().into(),
    };

    let start = Instant::now();
    let unanswered = hasty.dial(&to(&mute)).await.unwrap_err();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert!(
        matches!(unanswered, TransportError::TimedOut { .. }),
        "{unanswered:?}"
    );

    for answer in [
        &b""[..],
        b"220 mail ready\r\n",
        &[0x15, 3, 3, 0, 2, 2, 40],
        &[0; 70_000],
    ] {
        let to = to(&rude);
        let serve = async {
            let (mut stream, _) = rude.accept().await.unwrap();
            let _ = stream.write_all(answer).await;
        };
        let (dialed, ()) = tokio::join!(caller.dial(&to), serve);
        let error = dialed.unwrap_err();
        assert!(
            matches!(error, TransportError::Handshake { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_or_without_the_protocol_is_no_link() {
    let caller = Tcp::new(Identity::generate());
    let genuine = Stranger::genuine();
    let certified = Stranger {
        raw: false,
        ..genuine.clone()
    };
    let other = Stranger {
        protocols: vec!["h2"],
        ..genuine.clone()
    };
    let silent = Stranger {
        protocols: vec![],
        ..genuine.clone()
    };
    let impostor = Stranger {
        shown: spki(Identity::generate().public()),
        ..genuine.clone()
    };

    for (stranger, is_link) in [
        (genuine, true),
        (certified, false),
        (other, false),
        (silent, false),
        (impostor, false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // The shown key: an impostor is dialed as the one it pretends to be.
        let key = PublicKey::from_bytes(stranger.shown[12..].try_into().unwrap());
        let to = Endpoint {
            key,
            address: listener.local_addr().unwrap().into(),
        };

        let (dialed, _served) = tokio::join!(caller.dial(&to), stranger.serve(&listener));

        match dialed {
            Ok(link) => assert!(is_link && link.peer == key),
            Err(error) => {
                assert!(
                    !is_link && matches!(error, TransportError::Handshake { .. }),
                    "{error:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_byte_changed_on_the_way_ends_the_link() {
    let node = Node::start().await;
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = Endpoint {
        address: way.local_addr().unwrap().into(),
        ..node.to.clone()
    };
    let (dialed, accepted, (mut from, mut to)) = tokio::join!(
        node.caller.dial(&through),
        node.listener.accept(),
        relay_handshake(&way, node.connect())
    );
    let (mut dialed, mut accepted) = (dialed.unwrap(), accepted.unwrap());

    dialed.bytes.write_all(b"pay Bob 1").await.unwrap();
    dialed.bytes.flush().await.unwrap();
    let mut record = vec![0; 1024];
    let size = from.read(&mut record).await.unwrap();
    record[size / 2] ^= 1;
    to.write_all(&record[..size]).await.unwrap();

    let error = timeout(PATIENCE, accepted.bytes.read(&mut [0; 64]))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
}

/// Passes a handshake from one end to the other and back, then stops passing.
async fn relay_handshake(
    way: &TcpListener,
    connect: impl Future<Output = TcpStream>,
) -> (TcpStream, TcpStream) {
    let (mut from, _) = way.accept().await.unwrap();
    let mut to = connect.await;
    let mut buf = vec![0; 16_384];
    // Hello; the server's flight; the client's flight.
    let size = from.read(&mut buf).await.unwrap();
    to.write_all(&buf[..size]).await.unwrap();
    let size = to.read(&mut buf).await.unwrap();
    from.write_all(&buf[..size]).await.unwrap();
    let size = from.read(&mut buf).await.unwrap();
    to.write_all(&buf[..size]).await.unwrap();
    (from, to)
}

#[tokio::test]
async fn connections_that_send_nothing_keep_nobody_out_and_are_bounded() {
    const SILENT: usize = 800;
    const PLACES: usize = 50;
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let node = Node::within(limits(|limits| {
        limits.handshakes = PLACES;
        limits.handshake_time = PATIENCE;
    }))
    .await;

    let mut silent = Vec::new();
    for nr in 0..SILENT {
        silent.push(node.connect().await);
        if nr % 200 == 0 {
            node.serves_only_the_genuine().await;
        }
    }
    let start = Instant::now();
    node.serves_only_the_genuine().await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );

    // One more caller pushes out one more, so all but the last places are closed.
    let closed = async {
        for stream in &mut silent[..SILENT - PLACES] {
            until_closed(stream).await;
        }
    };
    closed.await;
    let last = silent.last_mut().unwrap();
    assert!(
        timeout(Duration::from_millis(50), last.read(&mut [0]))
            .await
            .is_err(),
        "is still open"
    );
    assert_eq!(
        log.lines(),
        1,
        "hundreds of evictions are one line in the log"
    );
}

#[tokio::test]
async fn a_caller_who_has_begun_to_speak_outlasts_those_who_have_not() {
    let node = Node::within(limits(|limits| {
        limits.handshakes = 10;
        limits.handshake_time = PATIENCE;
    }))
    .await;
    let mut begun = node.connect().await;
    begun.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
    node.serves_only_the_genuine().await;

    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(node.connect().await);
    }
    until_closed(&mut silent[80]).await;

    let read = timeout(Duration::from_millis(50), begun.read_u8()).await;
    assert!(read.is_err(), "it was closed: {read:?}");
}

#[tokio::test]
async fn a_flood_of_failed_handshakes_is_one_line_in_the_log() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let node = Node::start().await;

    for _ in 0..100 {
        let mut stream = node.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        until_closed(&mut stream).await;
    }

    node.serves_only_the_genuine().await;
    assert_eq!(log.lines(), 1);
}

#[tokio::test]
async fn finished_links_that_nobody_takes_are_bounded_and_end_in_time() {
    let node = Node::within(limits(|limits| limits.handshakes = 10)).await;
    let mut dialed = Vec::new();

    for _ in 0..200 {
        dialed.push(node.caller.dial(&node.to).await);
    }

    // Some are queued, a few hold a place; the rest were closed, since nobody accepts.
    let mut open = 0;
    for link in dialed.iter_mut().flatten() {
        let read = link.bytes.read_u8();
        open += usize::from(timeout(Duration::from_millis(20), read).await.is_err());
    }
    assert!((1..=80).contains(&open), "{open} links are open");
}

/// Runs itself again as a process that may open few files.
#[cfg(unix)]
#[test]
fn a_node_without_descriptors_pauses_and_then_serves_again() {
    const NAME: &str = "a_node_without_descriptors_pauses_and_then_serves_again";
    if std::env::var_os("FEW_DESCRIPTORS").is_none() {
        let ended = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .arg(NAME)
            .env("FEW_DESCRIPTORS", "1")
            .output()
            .unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stdout)
        );
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(log.clone());
        let node = Node::within(limits(|limits| limits.handshake_time = PATIENCE)).await;

        // Both ends are in this process; the last few connections find no descriptor for the
        // accepting end.
        let mut silent = Vec::new();
        while let Ok(stream) = TcpStream::connect(node.to.address.as_str()).await {
            silent.push(stream);
        }
        let turns = log.turns.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let turns = log.turns.load(Ordering::Relaxed) - turns;

        drop(silent);
        node.serves_only_the_genuine().await;
        assert!(turns < 100, "{turns} attempts in 300 ms is a hot loop");
        assert!((1..=2).contains(&log.lines()), "{} lines", log.lines());
    });
}
