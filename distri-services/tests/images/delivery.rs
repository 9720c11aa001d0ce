//! A stego image goes from peer to peer, over the in-memory network.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use distri::{
    Blob, Client, Code, Config, Context, Node, Result,
    identity::Identity,
    signed::Signed,
    transport::{Address, memory::Network},
};
use distri_services::{
    images::{
        delivery::{
            DeliveryRefusal, Fetch, ImageDelivery, ImageDeliveryClient, Over, Parcel, Progress,
            Shelf, TransferError, receive,
        },
        record::{CHUNK, Manifest},
    },
    permissions::{
        FileHash, GrantCore, GrantId, ImageId, KeyCommitment, Randomness, RequestId, SealingSecret,
        Suite,
    },
};

/// What lies on the owner's disk.
#[derive(Clone)]
struct Table {
    grant: GrantId,
    parcel: Arc<Mutex<Parcel>>,
}

impl Shelf for Table {
    fn parcel(&self, grant: GrantId) -> Result<Option<Parcel>> {
        let parcel = self.parcel.lock().unwrap().clone();
        Ok((grant == self.grant).then_some(parcel))
    }
}

/// One grant: the file at the owner's, and the viewer.
struct Case {
    network: Network,
    node: Node,
    viewer: Identity,
    core: GrantCore,
    table: Table,
    folder: tempfile::TempDir,
    file: Vec<u8>,
}

fn identity(n: u8) -> Identity {
    Identity::from_seed(&[n; 32])
}

impl Case {
    async fn new(length: usize) -> Self {
        let mut file = vec![0; length];
        Randomness::from_seed([7; 32].into()).fill(&mut file);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("theirs.png");
        std::fs::write(&path, &file).unwrap();
        let (viewer, manifest) = (identity(5), Manifest::of(&file).unwrap());
        let core = GrantCore {
            suite: Suite::One,
            grant: GrantId::from_array([1; 16]),
            image: ImageId::from_array([2; 16]),
            request: RequestId::from_array([3; 16]),
            owner: identity(4).public(),
            viewer: viewer.public(),
            viewer_sealing: SealingSecret::random(&mut Randomness::from_seed([8; 32].into()))
                .public(),
            not_before_ms: 0,
            file: FileHash::of(&file),
            file_length: file.len() as u64,
            manifest: manifest.hash(),
            key_commitment: KeyCommitment::from_array([0; 32]),
        };
        let parcel = Parcel {
            viewer: viewer.public(),
            file: path,
            manifest,
            over: None,
        };
        let table = Table {
            grant: core.grant,
            parcel: Arc::new(Mutex::new(parcel)),
        };
        let network = Network::new(1);
        let node = served(&network, ImageDelivery::new(table.clone())).await;
        Self {
            network,
            node,
            viewer,
            core,
            table,
            folder,
            file,
        }
    }

    async fn client(&self, n: u8) -> Client {
        Client::builder()
            .transport(Arc::new(self.network.transport(identity(n))))
            .nodes([self.node.endpoint()])
            .connect()
            .await
            .unwrap()
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("mine.png")
    }

    fn part(&self) -> Vec<u8> {
        std::fs::read(self.target().with_extension("part")).unwrap_or_default()
    }

    /// Fetches as `viewer` over `client`; gives how many bytes arrived.
    async fn fetch(&self, client: &Client, viewer: &Identity) -> (Result<(), TransferError>, u64) {
        let delivery = ImageDeliveryClient::new(client.clone());
        let (target, mut arrived) = (self.target(), 0);
        let mut report = |progress: Progress| arrived = progress.arrived;
        let device = client.key();
        let done = receive(&delivery, device, &self.core, viewer, &target, &mut report).await;
        (done, arrived)
    }
}

async fn served(network: &Network, service: impl distri::service::Service) -> Node {
    let mut config = Config::default();
    config.node.listen = Address::new("memory:0");
    Node::builder()
        .config(config)
        .transport(Arc::new(network.transport(identity(1))))
        .identity(identity(1))
        .without_registry()
        .service(service)
        .start()
        .await
        .unwrap()
}

fn refusal(error: TransferError) -> DeliveryRefusal {
    let TransferError::Peer(error) = error else {
        panic!("{error:?}");
    };
    error.details().unwrap_or_else(|| panic!("{error:?}"))
}

#[tokio::test]
async fn row_9_only_the_grantee_fetches_and_only_what_was_granted() {
    let case = Case::new(CHUNK + 1000).await;
    let (bob, eve) = (case.client(20).await, case.client(21).await);
    let not_granted = DeliveryRefusal::NotGranted {
        grant: case.core.grant,
    };

    // A stranger signs; the grantee's signature comes over another link; another grant.
    let by_eve = case.fetch(&eve, &identity(6)).await.0.unwrap_err();
    assert_eq!(refusal(by_eve), not_granted);
    let fetch = Fetch {
        grant: case.core.grant,
        device: bob.key(),
    };
    let stolen = Signed::sign(&case.viewer, 0, fetch).unwrap();
    let delivery = ImageDeliveryClient::new(eve.clone());
    for error in [
        delivery.manifest(stolen.clone()).await.unwrap_err(),
        delivery.pieces(stolen, 0).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.code(), error.details()),
            (Code::Denied, Some(not_granted.clone()))
        );
    }
    let other = Fetch {
        grant: GrantId::from_array([9; 16]),
        device: bob.key(),
    };
    let other = Signed::sign(&case.viewer, 0, other).unwrap();
    let delivery = ImageDeliveryClient::new(bob.clone());
    assert_eq!(
        delivery.manifest(other).await.unwrap_err().code(),
        Code::Denied
    );

    let revoked = DeliveryRefusal::Over {
        grant: case.core.grant,
        over: Over::Revoked,
    };
    case.table.parcel.lock().unwrap().over = Some(Over::Revoked);
    assert_eq!(
        refusal(case.fetch(&bob, &case.viewer).await.0.unwrap_err()),
        revoked
    );
    assert!(!case.target().exists());

    case.table.parcel.lock().unwrap().over = None;
    case.fetch(&bob, &case.viewer).await.0.unwrap();
    assert_eq!(std::fs::read(case.target()).unwrap(), case.file);
}

#[tokio::test]
async fn row_9_a_transfer_resumes_after_any_cut_and_fetches_nothing_twice() {
    let case = Case::new(12 * CHUNK + 777).await;
    let bob = case.client(20).await;
    let delivery = ImageDeliveryClient::new(bob.clone());
    let (mut all, mut cuts) = (0, 0);

    // The receiver dies after a piece, ten times, and once with half a piece on its disk.
    for wanted in 1..=10u64 {
        let (stop, mut stopped) = tokio::sync::mpsc::unbounded_channel();
        let target = case.target();
        let mut arrived = 0;
        {
            let mut report = |progress: Progress| {
                arrived = progress.arrived;
                if progress.done >= wanted * CHUNK as u64 {
                    stop.send(()).unwrap();
                }
            };
            let fetch = receive(
                &delivery,
                bob.key(),
                &case.core,
                &case.viewer,
                &target,
                &mut report,
            );
            tokio::select! {
                biased;
                _ = stopped.recv() => cuts += 1,
                done = fetch => panic!("{done:?} after {wanted}"),
            }
        }
        all += arrived;
        assert!(!target.exists(), "no name before it is whole");
        if wanted == 5 {
            let torn = [case.part(), vec![1; 5000]].concat();
            std::fs::write(target.with_extension("part"), torn).unwrap();
        }
    }
    let (done, arrived) = case.fetch(&bob, &case.viewer).await;
    done.unwrap();
    all += arrived;

    assert_eq!(cuts, 10);
    assert_eq!(std::fs::read(case.target()).unwrap(), case.file);
    assert!(all <= case.file.len() as u64 + cuts * CHUNK as u64, "{all}");
    let (again, arrived) = case.fetch(&bob, &case.viewer).await;
    assert_eq!(
        (again.is_ok(), arrived),
        (true, 0),
        "what is whole is not fetched"
    );
}

#[tokio::test]
async fn row_9_any_flipped_bit_is_found_within_its_piece() {
    let case = Case::new(3 * CHUNK + 50).await;
    let bob = case.client(20).await;
    let theirs = case.table.parcel.lock().unwrap().file.clone();
    let places = [
        0,
        1,
        CHUNK - 1,
        CHUNK,
        2 * CHUNK + 777,
        3 * CHUNK,
        3 * CHUNK + 49,
    ];

    for place in places {
        let mut damaged = case.file.clone();
        damaged[place] ^= 1 << (place % 8);
        std::fs::write(&theirs, damaged).unwrap();
        let _ = std::fs::remove_file(case.target().with_extension("part"));

        let error = case.fetch(&bob, &case.viewer).await.0.unwrap_err();

        let piece = place / CHUNK;
        assert!(
            matches!(error, TransferError::Damaged { index } if index as usize == piece),
            "{error:?}"
        );
        assert_eq!(
            case.part(),
            case.file[..piece * CHUNK],
            "it never touched the file"
        );
        assert!(!case.target().exists());
    }
    std::fs::write(&theirs, &case.file).unwrap();
    case.fetch(&bob, &case.viewer).await.0.unwrap();
    assert_eq!(std::fs::read(case.target()).unwrap(), case.file);
}

#[tokio::test]
async fn a_file_of_which_all_pieces_are_right_and_which_was_not_granted_gets_no_name() {
    let mut case = Case::new(CHUNK + 10).await;
    let bob = case.client(20).await;
    case.core.file = FileHash::of(b"another file");

    let error = case.fetch(&bob, &case.viewer).await.0.unwrap_err();

    assert!(matches!(error, TransferError::OtherFile(_)), "{error:?}");
    assert!(!case.target().exists());
    assert!(case.part().is_empty(), "nothing of it can be gone on with");
}

/// An owner's peer that says what it likes.
struct Liar {
    manifest: Manifest,
    file: Vec<u8>,
}

#[distri::service(name = "image-delivery", register = false)]
impl Liar {
    /// Some pieces.
    #[method(idempotent)]
    async fn manifest(&self, _cx: &Context, _fetch: Signed<Fetch>) -> Result<Manifest> {
        Ok(self.manifest.clone())
    }

    /// Some file.
    #[method(idempotent)]
    async fn pieces(&self, _cx: &Context, _fetch: Signed<Fetch>, _from: u32) -> Result<Blob> {
        Ok(Blob::from(self.file.clone()))
    }
}

#[tokio::test]
async fn an_owner_who_sends_something_else_is_found_out() {
    let case = Case::new(CHUNK + 10).await;
    let other = vec![3; case.file.len()];
    let good = Manifest::of(&case.file).unwrap();
    let liars = [
        Liar {
            manifest: Manifest::of(&other).unwrap(),
            file: other,
        },
        Liar {
            manifest: good.clone(),
            file: case.file[..CHUNK + 5].to_vec(),
        },
        Liar {
            manifest: good,
            file: Vec::new(),
        },
    ];
    let mut errors = Vec::new();
    for liar in liars {
        let network = Network::new(2);
        let node = served(&network, liar).await;
        let client = Client::builder()
            .transport(Arc::new(network.transport(identity(20))))
            .nodes([node.endpoint()])
            .connect()
            .await
            .unwrap();
        let (done, _) = case.fetch(&client, &case.viewer).await;
        errors.push(done.unwrap_err());
        assert!(!Path::new(&case.target()).exists());
    }

    assert!(matches!(errors[0], TransferError::Manifest), "{errors:?}");
    assert!(
        matches!(errors[1], TransferError::Cut { index: 1 }),
        "{errors:?}"
    );
    // The first piece is there from the attempt before, so the next one is missing.
    assert!(
        matches!(errors[2], TransferError::Cut { index: 1 }),
        "{errors:?}"
    );
}
