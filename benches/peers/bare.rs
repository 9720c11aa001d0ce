//! Bytes that are only moved: over the library's own streams, over our links without calls, over sockets.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use distri::{
    identity::Identity,
    transport::{Address, Endpoint, Transport, tcp::Tcp},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{LOOPBACK, quic_on_loopback};

const ALPN: &[u8] = b"bench";

/// Bytes that are read or written at once.
const BUFFER: usize = 256 * 1024;

/// One stream between two endpoints of the library, without anything of ours.
pub(crate) async fn quic(file: &[u8]) -> Duration {
    let endpoint = || async {
        iroh::Endpoint::builder(iroh::endpoint::presets::Minimal)
            .relay_mode(iroh::RelayMode::Disabled)
            .clear_ip_transports()
            .bind_addr(LOOPBACK)
            .expect("an address")
            .alpns(vec![ALPN.to_vec()])
            .bind()
            .await
            .expect("an endpoint")
    };
    let (from, to) = (endpoint().await, endpoint().await);
    let places = to.bound_sockets().into_iter().map(iroh::TransportAddr::Ip);
    let place = iroh::EndpointAddr::from_parts(to.id(), places);
    let size = file.len();
    let accept = tokio::spawn({
        let to = to.clone();
        async move {
            let incoming = to.accept().await.expect("a caller");
            let taken = incoming.accept().expect("it is taken");
            let connection = taken.await.expect("it is a peer");
            let (mut back, mut bytes) = connection.accept_bi().await.expect("a stream");
            receive(&mut bytes, size).await;
            back.write_all(b"!").await.expect("it is there");
            connection.closed().await;
        }
    });
    let connection = from.connect(place, ALPN).await.expect("a connection");
    let (mut bytes, mut back) = connection.open_bi().await.expect("a stream");
    let took = send(&mut bytes, &mut back, file).await;
    connection.close(0_u32.into(), b"done");
    accept.await.expect("the other end is well");
    from.close().await;
    to.close().await;
    took
}

/// A link of ours over QUIC, without calls.
pub(crate) async fn link_over_quic(file: &[u8]) -> Duration {
    link(file, |identity| Arc::new(quic_on_loopback(identity))).await
}

/// A link of ours over TCP with TLS, without calls.
pub(crate) async fn link_over_tcp(file: &[u8]) -> Duration {
    link(file, |identity| Arc::new(Tcp::new(identity))).await
}

async fn link(file: &[u8], transport: impl Fn(Identity) -> Arc<dyn Transport>) -> Duration {
    let (from, to) = (
        transport(Identity::generate()),
        transport(Identity::generate()),
    );
    let listener = to
        .listen(&Address::new(LOOPBACK))
        .await
        .expect("it listens");
    let endpoint = Endpoint {
        key: to.key(),
        address: listener.address(),
    };
    let (dialed, accepted) = tokio::join!(from.dial(&endpoint), listener.accept());
    let dialed = dialed.expect("it dials");
    let mut accepted = accepted.expect("it accepts");
    let size = file.len();
    let accept = tokio::spawn(async move {
        receive(&mut accepted.bytes, size).await;
        accepted.bytes.write_all(b"!").await.expect("it is there");
        accepted.bytes.flush().await.expect("it is there");
        accepted
    });
    let (mut back, mut bytes) = tokio::io::split(dialed.bytes);
    let took = send(&mut bytes, &mut back, file).await;
    drop(accept.await.expect("the other end is well"));
    took
}

/// Bytes over a bare socket.
pub(crate) async fn tcp(file: &[u8]) -> Duration {
    let (mut bytes, accepted) = connected().await;
    let size = file.len();
    let accept = tokio::spawn(async move {
        let (mut read, mut back) = accepted.into_split();
        receive(&mut read, size).await;
        back.write_all(b"!").await.expect("it is there");
    });
    let (mut back, mut bytes) = bytes.split();
    let took = send(&mut bytes, &mut back, file).await;
    accept.await.expect("the other end is well");
    took
}

/// A file over a bare socket, to a file that is synced: what `scp` would do without its ciphers.
pub(crate) async fn tcp_file(source: &Path, target: &Path, size: usize) -> Duration {
    let (bytes, accepted) = connected().await;
    let plain = |stream: tokio::net::TcpStream| {
        let stream = stream.into_std().expect("it is a socket");
        stream.set_nonblocking(false).expect("it may block");
        stream
    };
    let (mut to, mut from) = (plain(bytes), plain(accepted));
    let (source, target) = (source.to_owned(), target.to_owned());
    let began = Instant::now();
    let sending = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut file = std::fs::File::open(source).expect("it is there");
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = file.read(&mut buffer).expect("it is read");
            if read == 0 {
                break;
            }
            to.write_all(&buffer[..read]).expect("it is read");
        }
        to.read_exact(&mut [0]).expect("it is answered");
    });
    let receiving = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut file = std::fs::File::create(&target).expect("it is made");
        let mut buffer = vec![0; BUFFER];
        let mut got = 0;
        while got < size {
            let read = from.read(&mut buffer).expect("it is sent");
            assert_ne!(read, 0, "ended after {got} bytes");
            file.write_all(&buffer[..read]).expect("it is written");
            got += read;
        }
        file.sync_all().expect("it is synced");
        from.write_all(b"!").expect("it is there");
        target
    });
    sending.await.expect("this end is well");
    let took = began.elapsed();
    let target = receiving.await.expect("the other end is well");
    std::fs::remove_file(target).expect("it is removed");
    took
}

async fn connected() -> (tokio::net::TcpStream, tokio::net::TcpStream) {
    let listener = tokio::net::TcpListener::bind(LOOPBACK)
        .await
        .expect("a socket");
    let to = listener.local_addr().expect("an address");
    let dials = tokio::net::TcpStream::connect(to);
    let (dialed, accepted) = tokio::join!(dials, listener.accept());
    (dialed.expect("it dials"), accepted.expect("it accepts").0)
}

/// Sends all of `file` and waits until it is said to have arrived.
async fn send(
    bytes: &mut (impl AsyncWrite + Unpin),
    back: &mut (impl AsyncRead + Unpin),
    file: &[u8],
) -> Duration {
    let began = Instant::now();
    bytes.write_all(file).await.expect("it is read");
    bytes.flush().await.expect("it is read");
    back.read_exact(&mut [0]).await.expect("it is answered");
    began.elapsed()
}

async fn receive(bytes: &mut (impl AsyncRead + Unpin), size: usize) {
    let mut buffer = vec![0; BUFFER];
    let mut got = 0;
    while got < size {
        let read = bytes.read(&mut buffer).await.expect("it is sent");
        assert_ne!(read, 0, "ended after {got} bytes");
        got += read;
    }
}
