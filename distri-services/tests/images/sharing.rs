//! A cloud, and people with profiles and peers in it.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use distri::{
    Config,
    peer::Peer,
    testing::{Cluster, Sim},
    transport::{Address, Endpoint},
};
use distri_services::{
    images::{
        delivery::ImageDelivery,
        media::PreviewKind,
        person::{Answer, Draft, Person, Profile, ProfileShelf, Terms},
        record::{Handle, Visibility},
    },
    permissions::{ImageId, RequestId},
};
use image::{ImageFormat, Rgb, RgbImage};

/// A cloud of three nodes with all services, and a folder for profiles.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    nodes: Vec<Endpoint>,
    folder: Arc<tempfile::TempDir>,
}

/// A person with a profile, and a peer that delivers.
pub(crate) struct Someone {
    pub(crate) person: Person,
    pub(crate) folder: PathBuf,
    peer: Peer,
    world: Place,
}

/// What a person needs of the world to be started again.
#[derive(Clone)]
struct Place {
    cluster: Cluster,
    nodes: Vec<Endpoint>,
    _folder: Arc<tempfile::TempDir>,
}

/// The picture that is shared.
pub(crate) fn picture() -> Vec<u8> {
    file(&RgbImage::from_fn(60, 40, |x, y| {
        Rgb([(x * 4) as u8, (y * 6) as u8, (x * y) as u8])
    }))
}

/// A picture to hide it in.
pub(crate) fn cover() -> Vec<u8> {
    let mut grain = 1u32;
    file(&RgbImage::from_fn(400, 300, |x, y| {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let speck = (grain >> 28) as u8;
        Rgb([
            90 + speck + (x / 8) as u8,
            120 + speck,
            60 + speck + (y / 4) as u8,
        ])
    }))
}

fn file(picture: &RgbImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

impl World {
    pub(crate) async fn new(sim: &Sim) -> Self {
        let cluster = sim.cluster(3).linked_services().start().await;
        let nodes = (0..3).map(|n| cluster.node(n).endpoint()).collect();
        Self {
            cluster,
            nodes,
            folder: Arc::new(tempfile::tempdir().unwrap()),
        }
    }

    fn parts(&self) -> Place {
        Place {
            cluster: self.cluster.clone(),
            nodes: self.nodes.clone(),
            _folder: self.folder.clone(),
        }
    }

    /// Somebody who has joined.
    pub(crate) async fn someone(&self, handle: &str) -> Someone {
        let someone = self.started(self.folder.path().join(handle)).await;
        someone
            .person
            .join(&Handle::new(handle).unwrap())
            .await
            .unwrap();
        someone
    }

    /// Whoever has the profile in `folder`.
    pub(crate) async fn started(&self, folder: PathBuf) -> Someone {
        self.parts().started(folder).await
    }

    /// All nodes are killed.
    pub(crate) fn cloud_off(&self) {
        for node in self.cluster.up() {
            self.cluster.kill(node);
        }
    }

    pub(crate) async fn cloud_on(&self) {
        self.cluster.mend().await;
        self.cluster.all_vote().await;
    }

    /// A node has the cluster's secret renewed, until all nodes have the new one.
    pub(crate) async fn renews_its_secret(&self) {
        let epoch = async |node: usize| {
            let secret = self.cluster.node(node).handle().secret("test").await;
            secret.unwrap().epoch()
        };
        let before = epoch(0).await;
        let renewed = self.cluster.node(0).client().renew_secret().await;
        renewed.unwrap();
        self.cluster
            .eventually("all have the new secret", async || {
                for node in 0..3 {
                    if epoch(node).await <= before {
                        return None;
                    }
                }
                Some(())
            })
            .await;
    }

    /// Letters that nobody has read.
    pub(crate) async fn letters_left(&self) -> u64 {
        let directory = self.cluster.node(0).handle().directory();
        let letters = directory.collection::<serde_json::Value>("image-letters");
        letters.count(distri::directory::Filter::All).await.unwrap()
    }
}

impl Place {
    async fn started(&self, folder: PathBuf) -> Someone {
        // Whoever had it before is about to let go of it.
        let profile = self
            .cluster
            .eventually("the profile is free", async || {
                Profile::open(&folder).await.ok()
            })
            .await;
        let identity = profile.device().clone();
        let mut config = Config::default();
        config.peer.name = Some("peer".into());
        config.peer.listen = Address::new("memory:0");
        config.peer.lease = Duration::from_secs(10);
        config.cloud.nodes = self.nodes.clone();
        let peer = Peer::builder()
            .config(config)
            .transport(Arc::new(self.cluster.network().transport(identity.clone())))
            .identity(identity)
            .without_registry()
            .service(ImageDelivery::new(ProfileShelf::new(profile.clone())))
            .start()
            .await
            .unwrap();
        Someone {
            person: Person::new(profile, peer.client().clone()),
            folder,
            peer,
            world: self.clone(),
        }
    }
}

impl Someone {
    /// The program ends; the folder of its profile stays.
    pub(crate) async fn gone(self) -> PathBuf {
        self.peer.shutdown().await;
        self.folder
    }

    /// The program dies and is started again.
    pub(crate) async fn restarted(self) -> Self {
        let (world, folder) = (self.world.clone(), self.folder.clone());
        drop(self);
        world.started(folder).await
    }

    /// The same person, on another machine too.
    pub(crate) async fn with_another_device(self) -> Self {
        let folder = self.copied();
        std::fs::remove_file(folder.join("device.key")).unwrap();
        let (world, handle) = (self.world.clone(), self.person.me().await.unwrap().handle);
        let other = world.started(folder).await;
        other.person.join(&handle).await.unwrap();
        other
    }

    /// A copy of the profile, as it is now.
    pub(crate) fn copied(&self) -> PathBuf {
        let copy = self.folder.with_extension("copy");
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            std::fs::create_dir_all(copy.join(&folder)).unwrap();
            for entry in std::fs::read_dir(self.folder.join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let path = folder.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path);
                } else {
                    std::fs::copy(entry.path(), copy.join(path)).unwrap();
                }
            }
        }
        copy
    }

    /// The files of the profile.
    pub(crate) fn files(&self) -> Vec<String> {
        fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, files);
                } else {
                    let path = path.strip_prefix(root).unwrap();
                    files.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        let mut files = Vec::new();
        walk(&self.folder, &self.folder, &mut files);
        files
    }

    pub(crate) async fn publishes(&self, title: &str) -> ImageId {
        let draft = Draft::new(
            &picture(),
            "x.png",
            Some(title),
            PreviewKind::Blur,
            Visibility::Public,
        );
        self.person.publish(draft.unwrap()).await.unwrap()
    }

    pub(crate) fn terms(&self, views: u32) -> Terms {
        Terms {
            views,
            expires_ms: u64::MAX,
        }
    }

    pub(crate) async fn approves(&self, request: RequestId, views: u32) {
        let answer = Answer::Approve {
            terms: self.terms(views),
            cover: None,
        };
        self.person.decide(request, answer).await.unwrap();
    }

    /// Goes on until nothing is left to be done.
    pub(crate) async fn settled(&self) {
        self.world
            .cluster
            .eventually("all is settled", async || self.person.settle().await.ok())
            .await;
    }

    pub(crate) async fn fetched(&self, request: RequestId) {
        self.world
            .cluster
            .eventually("the image is here", async || {
                self.person.fetch(request, &mut |_| {}).await.ok()
            })
            .await;
    }
}
