//! How fast a file goes from one peer to another: the library's bare QUIC stream, our link over it, a blob
//! from a service over that link, and the same over TCP; on loopback, in one process, in one run.
//!
//! ```text
//! cargo bench --manifest-path benches/Cargo.toml --no-default-features --features peers --bench peers
//! … --bench peers -- 64 9     # MiB a transfer, rounds
//! ```
//!
//! The ways take turns within each round; the table shows the median over rounds, and the least and the
//! greatest.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use distri::{
    Blob, Client, Config, Node, Result,
    identity::Identity,
    peer::{Peer, RemotePeer},
    transport::{
        Address, Endpoint, Transport,
        iroh::{Iroh, IrohOptions},
        tcp::Tcp,
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: usize = 1024 * 1024;
const LOOPBACK: &str = "127.0.0.1:0";
const ALPN: &[u8] = b"bench";

/// Hands out files.
struct Files(Bytes);

#[distri::service(register = false)]
impl Files {
    /// The file.
    async fn fetch(&self) -> Result<Blob> {
        Ok(Blob::from(self.0.clone()))
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        // Cargo adds it.
        .filter(|argument| argument != "--bench")
        .map(|argument| argument.parse().expect("MIB ROUNDS, two numbers"))
        .collect();
    let mib = numbers.first().copied().unwrap_or(64);
    let rounds = numbers.get(1).copied().unwrap_or(5).max(1);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(mib, rounds));
}

async fn run(mib: usize, rounds: usize) {
    let file = Bytes::from(vec![7; mib * MIB]);
    let cloud = node().await;
    let over_quic = Way::start(&cloud, &file, true).await;
    let over_tcp = Way::start(&cloud, &file, false).await;
    let mut rows: [(&str, Vec<f64>); 5] = [
        ("bare stream of the library, QUIC", Vec::new()),
        ("link, QUIC", Vec::new()),
        ("blob of a service, QUIC", Vec::new()),
        ("link, TCP and TLS", Vec::new()),
        ("blob of a service, TCP and TLS", Vec::new()),
    ];
    for _ in 0..rounds {
        let took = [
            bare(&file).await,
            link(&file, |identity| Arc::new(on_loopback(identity))).await,
            over_quic.fetch(file.len()).await,
            link(&file, |identity| Arc::new(Tcp::new(identity))).await,
            over_tcp.fetch(file.len()).await,
        ];
        for (row, took) in rows.iter_mut().zip(took) {
            row.1.push(mib as f64 / took.as_secs_f64());
        }
    }
    println!("| {mib} MiB, {rounds} rounds | MiB/s | least | greatest |\n|---|---|---|---|");
    for (name, mut rates) in rows {
        rates.sort_by(f64::total_cmp);
        let (least, greatest) = (rates[0], rates[rates.len() - 1]);
        let median = rates[rates.len() / 2];
        println!("| {name} | {median:.0} | {least:.0} | {greatest:.0} |");
    }
}

async fn node() -> Node {
    let mut config = Config::default();
    config.node.listen = Address::new(LOOPBACK);
    Node::builder()
        .config(config)
        .identity(Identity::generate())
        .without_registry()
        .found()
        .start()
        .await
        .expect("a node starts")
}

fn on_loopback(identity: Identity) -> Iroh {
    let mut options = IrohOptions::default();
    options.bind = LOOPBACK.parse().expect("an address");
    Iroh::with_options(identity, options)
}

/// A peer with the file, and a program that fetches it.
struct Way {
    remote: RemotePeer,
    _peer: Peer,
}

impl Way {
    async fn start(cloud: &Node, file: &Bytes, quic: bool) -> Self {
        let mut config = Config::default();
        config.cloud.nodes = vec![cloud.endpoint()];
        if quic {
            // Nobody can dial a wildcard, so nothing but QUIC is told.
            config.peer.listen = Address::new("0.0.0.0:0");
            config.peer.iroh = Some(Address::new(LOOPBACK));
        }
        let peer = Peer::builder()
            .config(config)
            .identity(Identity::generate())
            .without_registry()
            .service(Files(file.clone()))
            .start()
            .await
            .expect("a peer starts");
        peer.wait_announced().await.expect("the cloud takes it");
        let identity = Identity::generate();
        let client = Client::builder()
            .identity(identity.clone())
            .peers_over(Arc::new(on_loopback(identity)))
            .nodes([cloud.endpoint()])
            .connect()
            .await
            .expect("the cloud is there");
        let remote = client.peer(peer.key());
        let way = Self {
            remote,
            _peer: peer,
        };
        // The link is made, and windows are open.
        way.fetch(file.len()).await;
        way
    }

    async fn fetch(&self, size: usize) -> Duration {
        let began = Instant::now();
        let mut blob = FilesClient::new(&self.remote)
            .fetch()
            .await
            .expect("the peer answers");
        let mut got = 0;
        while let Some(chunk) = blob.next_chunk().await.expect("the blob is whole") {
            got += chunk.len();
        }
        assert_eq!(got, size);
        began.elapsed()
    }
}

/// One stream between two endpoints of the library, without anything of ours.
async fn bare(file: &Bytes) -> Duration {
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
            let connection = incoming
                .accept()
                .expect("is taken")
                .await
                .expect("is a peer");
            let (mut back, mut bytes) = connection.accept_bi().await.expect("a stream");
            receive(&mut bytes, size).await;
            back.write_all(b"!").await.expect("is there");
            connection.closed().await;
        }
    });
    let connection = from.connect(place, ALPN).await.expect("a connection");
    let (mut bytes, mut back) = connection.open_bi().await.expect("a stream");
    let began = Instant::now();
    bytes.write_all(file).await.expect("is read");
    back.read_exact(&mut [0]).await.expect("is answered");
    let took = began.elapsed();
    connection.close(0_u32.into(), b"done");
    let _ = accept.await;
    from.close().await;
    to.close().await;
    took
}

/// A link of a transport, without calls.
async fn link(file: &Bytes, transport: impl Fn(Identity) -> Arc<dyn Transport>) -> Duration {
    let (from, to) = (
        transport(Identity::generate()),
        transport(Identity::generate()),
    );
    let listener = to.listen(&Address::new(LOOPBACK)).await.expect("listens");
    let endpoint = Endpoint {
        key: to.key(),
        address: listener.address(),
    };
    let (dialed, accepted) = tokio::join!(from.dial(&endpoint), listener.accept());
    let (mut dialed, mut accepted) = (dialed.expect("dials"), accepted.expect("accepts"));
    let size = file.len();
    let accept = tokio::spawn(async move {
        receive(&mut accepted.bytes, size).await;
        accepted.bytes.write_all(b"!").await.expect("is there");
        accepted.bytes.flush().await.expect("is there");
        accepted
    });
    let began = Instant::now();
    dialed.bytes.write_all(file).await.expect("is read");
    dialed.bytes.flush().await.expect("is read");
    dialed
        .bytes
        .read_exact(&mut [0])
        .await
        .expect("is answered");
    let took = began.elapsed();
    drop(accept.await);
    took
}

async fn receive(bytes: &mut (impl tokio::io::AsyncRead + Unpin), size: usize) {
    let mut buffer = vec![0; 256 * 1024];
    let mut got = 0;
    while got < size {
        let read = bytes.read(&mut buffer).await.expect("is sent");
        assert_ne!(read, 0, "ended after {got} bytes");
        got += read;
    }
}
