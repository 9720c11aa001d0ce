//! Two peers as programs have them: one delivers an image, or hands out a blob; the other fetches it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use distri::{
    Blob, Client, Config, Node, Result,
    identity::Identity,
    peer::{Peer, RemotePeer},
    transport::Address,
};
use distri_services::{
    images::{
        delivery::{ImageDelivery, ImageDeliveryClient, Parcel, Shelf, receive},
        record::{CHUNK, Manifest},
    },
    permissions::{
        FileHash, GrantCore, GrantId, ImageId, KeyCommitment, Randomness, RequestId, SealingSecret,
        Suite,
    },
};

use crate::{LOOPBACK, quic_on_loopback};

/// Hands out bytes from memory.
struct Files(Bytes);

#[distri::service(name = "files", register = false)]
impl Files {
    /// The file.
    async fn fetch(&self) -> Result<Blob> {
        Ok(Blob::from(self.0.clone()))
    }
}

/// One image that was granted.
struct Table(GrantId, Parcel);

impl Shelf for Table {
    fn parcel(&self, grant: GrantId) -> Result<Option<Parcel>> {
        Ok((grant == self.0).then(|| self.1.clone()))
    }
}

/// A node by which peers find each other.
pub(crate) async fn node() -> Node {
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

/// A peer with the file, and a program that fetches it.
pub(crate) struct Way {
    client: Client,
    remote: RemotePeer,
    viewer: Identity,
    core: GrantCore,
    _peer: Peer,
}

impl Way {
    pub(crate) async fn start(cloud: &Node, file: &Bytes, source: &Path, quic: bool) -> Self {
        let viewer = Identity::generate();
        let manifest = Manifest::of(file).expect("it can be delivered");
        let core = core(&viewer, file, &manifest);
        let parcel = Parcel {
            viewer: viewer.public(),
            file: source.to_owned(),
            manifest,
            over: None,
        };
        let mut config = Config::default();
        config.cloud.nodes = vec![cloud.endpoint()];
        config.peer.listen = Address::new(LOOPBACK);
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
            .service(ImageDelivery::new(Table(core.grant, parcel)))
            .start()
            .await
            .expect("a peer starts");
        peer.wait_announced().await.expect("the cloud takes it");
        let identity = Identity::generate();
        let mut builder = Client::builder()
            .identity(identity.clone())
            .nodes([cloud.endpoint()]);
        if quic {
            builder = builder.peers_over(Arc::new(quic_on_loopback(identity)));
        }
        let client = builder.connect().await.expect("the cloud is there");
        let way = Self {
            remote: client.peer(peer.key()),
            client,
            viewer,
            core,
            _peer: peer,
        };
        // The link is made, and windows are open.
        way.blob(file.len()).await;
        way
    }

    /// The bytes, as a service gives them.
    pub(crate) async fn blob(&self, size: usize) -> Duration {
        let began = Instant::now();
        let called = FilesClient::new(&self.remote).fetch().await;
        let mut blob = called.expect("the peer answers");
        let mut got = 0;
        while let Some(chunk) = blob.next_chunk().await.expect("the blob is whole") {
            got += chunk.len();
        }
        assert_eq!(got, size);
        began.elapsed()
    }

    /// The image, piece by piece, each checked, to a file that is whole and synced.
    pub(crate) async fn deliver(&self, target: &Path) -> Duration {
        let delivery = ImageDeliveryClient::new(&self.remote);
        let (device, mut arrived) = (self.client.key(), 0);
        let began = Instant::now();
        receive(
            &delivery,
            device,
            &self.core,
            &self.viewer,
            target,
            &mut |progress| arrived = progress.arrived,
        )
        .await
        .expect("it is delivered");
        let took = began.elapsed();
        assert_eq!(arrived, self.core.file_length);
        std::fs::remove_file(target).expect("it is removed");
        took
    }
}

/// What a delivery hashes, by itself: each piece, and the whole.
pub(crate) fn hashes(file: &[u8]) -> Duration {
    let began = Instant::now();
    for piece in file.chunks(CHUNK) {
        std::hint::black_box(FileHash::of(piece));
    }
    std::hint::black_box(FileHash::of(file));
    began.elapsed()
}

fn core(viewer: &Identity, file: &[u8], manifest: &Manifest) -> GrantCore {
    let sealing = SealingSecret::random(&mut Randomness::from_seed([8; 32].into()));
    GrantCore {
        suite: Suite::One,
        grant: GrantId::from_array([1; 16]),
        image: ImageId::from_array([2; 16]),
        request: RequestId::from_array([3; 16]),
        owner: Identity::generate().public(),
        viewer: viewer.public(),
        viewer_sealing: sealing.public(),
        not_before_ms: 0,
        file: FileHash::of(file),
        file_length: file.len() as u64,
        manifest: manifest.hash(),
        key_commitment: KeyCommitment::from_array([0; 32]),
    }
}
