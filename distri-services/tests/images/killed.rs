//! Row 5 with a real program: it looks at a picture, over TCP and on a real disk, and is killed
//! (`kill -9`) somewhere between asking and the end.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use distri::{Client, Config, Node, peer::Peer, transport::Address};
use distri_services::{
    images::{
        delivery::ImageDelivery,
        media::PreviewKind,
        person::{Answer, Draft, Person, PersonError, Profile, ProfileShelf, Terms, View},
        record::{Handle, Visibility},
    },
    permissions::RequestId,
};

use crate::sharing::picture;

/// By which the program below knows that it is to look, and at what.
const TASK: &str = "DISTRI_TEST_VIEWER";

/// Longer than anything here takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks that are killed.
const KILLS: u32 = 24;

/// The program that is killed. It looks once, says what it saw, closes the view, and says so.
#[test]
#[ignore = "is the program that `row_5_a_viewing_program_that_is_killed…` starts and kills"]
fn a_program_that_looks() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let [folder, node, request, attempt] = task.split('|').collect::<Vec<_>>()[..] else {
        panic!("{task}");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let profile = Profile::open(folder).await.unwrap();
        let client = Client::builder()
            .identity(profile.device().clone())
            .nodes([node.parse().unwrap()])
            .connect()
            .await
            .unwrap();
        let person = Person::new(profile, client);
        let request: RequestId = request.parse().unwrap();
        person.me().await.unwrap();
        // From here on it may be killed.
        say("ready");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        match person.view(request, attempt).await {
            Ok(View::Shown(seen)) => say(&format!("shown {} of {}", seen.view, seen.of)),
            Ok(View::Over { state, .. }) => panic!("over: {state:?}"),
            Err(error) if matches!(error.details(), Some(PersonError::ViewClosed { .. })) => {
                say("closed before");
            }
            Err(error) => panic!("{}", distri::error::chain(&error)),
        }
        person.looked(request).await.unwrap();
        say("done");
    });
}

/// Says a line that no other line of a test program looks like.
fn say(what: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\nviewer: {what}").unwrap();
    stdout.flush().unwrap();
}

/// The program, from the other side.
struct Viewer {
    child: Child,
    stdin: ChildStdin,
    said: mpsc::Receiver<String>,
}

impl Viewer {
    fn start(folder: &Path, node: &str, request: RequestId, attempt: &str) -> Self {
        let task = format!("{}|{node}|{request}|{attempt}", folder.display());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "killed::a_program_that_looks",
                "--ignored",
                "--nocapture",
            ])
            .env(TASK, task)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || tell(stdout, &sender));
        Self { child, stdin, said }
    }

    /// Waits until it says something.
    fn says(&self) -> String {
        let said = self.said.recv_timeout(PATIENCE);
        said.expect("the program says something before it ends")
    }

    /// Lets it look.
    fn goes(&mut self) {
        writeln!(self.stdin, "go").unwrap();
    }

    /// Kills it, as the system would at a power cut but for the disk.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn ends(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

fn tell(stdout: ChildStdout, sender: &mpsc::Sender<String>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Some(said) = line.strip_prefix("viewer: ")
            && sender.send(said.to_owned()).is_err()
        {
            return;
        }
    }
}

/// A cloud of one node, Anna with her peer, and a profile of Bob's with one of her pictures.
struct Scene {
    node: Node,
    anna: Person,
    peer: Peer,
    folder: PathBuf,
    request: RequestId,
    _home: tempfile::TempDir,
}

impl Scene {
    async fn set(views: u32) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.node.identity = home.path().join("node.key");
        config.node.listen = Address::new("127.0.0.1:0");
        config.directory.path = Some(home.path().join("data"));
        let node = Node::builder()
            .config(config)
            .found()
            .start()
            .await
            .unwrap();

        let profile = Profile::open(home.path().join("anna")).await.unwrap();
        let peer = started(&node, &profile).await;
        let anna = Person::new(profile, peer.client().clone());
        anna.join(&Handle::new("anna").unwrap()).await.unwrap();
        let draft = Draft::new(
            &picture(),
            "x.png",
            Some("A cat"),
            PreviewKind::None,
            Visibility::Public,
        );
        let image = anna.publish(draft.unwrap()).await.unwrap();

        let folder = home.path().join("bob");
        let profile = Profile::open(&folder).await.unwrap();
        let his_peer = started(&node, &profile).await;
        let bob = Person::new(profile, his_peer.client().clone());
        bob.join(&Handle::new("bob").unwrap()).await.unwrap();
        let request = bob.request(anna.key(), image, views, "").await.unwrap();
        anna.settle().await.unwrap();
        let terms = Terms {
            views,
            expires_ms: u64::MAX,
        };
        let answer = Answer::Approve { terms, cover: None };
        anna.decide(request, answer).await.unwrap();
        bob.settle().await.unwrap();
        bob.fetch(request, &mut |_| {}).await.unwrap();
        his_peer.shutdown().await;
        drop(bob);
        Self {
            node,
            anna,
            peer,
            folder,
            request,
            _home: home,
        }
    }

    fn viewer(&self, attempt: &str) -> Viewer {
        let node = self.node.endpoint().to_string();
        let viewer = Viewer::start(&self.folder, &node, self.request, attempt);
        assert_eq!(viewer.says(), "ready");
        viewer
    }

    async fn used(&self) -> u32 {
        self.anna.grants().await.unwrap()[0].used
    }
}

async fn started(node: &Node, profile: &Profile) -> Peer {
    let mut config = Config::default();
    config.peer.name = Some("peer".into());
    config.peer.listen = Address::new("127.0.0.1:0");
    config.cloud.nodes = vec![node.endpoint()];
    Peer::builder()
        .config(config)
        .identity(profile.device().clone())
        .without_registry()
        .service(ImageDelivery::new(ProfileShelf::new(profile.clone())))
        .start()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_5_a_viewing_program_that_is_killed_at_any_moment_spends_one_view_for_one_look() {
    // More than are used: with the last of all closed, nothing would be left but the cover.
    let views = KILLS + 8;
    let scene = Scene::set(views).await;

    // Once to the end, which tells how long a look takes on this machine now.
    let whole = tokio::task::block_in_place(|| {
        let mut viewer = scene.viewer("first");
        let begun = Instant::now();
        viewer.goes();
        assert_eq!(viewer.says(), format!("shown 1 of {views}"));
        assert_eq!(viewer.says(), "done");
        viewer.ends();
        begun.elapsed()
    });
    assert_eq!(scene.used().await, 1);

    for kill in 1..=KILLS {
        let attempt = kill.to_string();
        // Spread over the look, and a little longer.
        let pause = whole * kill / (KILLS - 4);
        tokio::task::block_in_place(|| {
            let mut viewer = scene.viewer(&attempt);
            viewer.goes();
            // How far it has come by then is up to the machine: that is what is tried.
            std::thread::sleep(pause);
            viewer.kill();
            // Started again, it goes on with the same look, or knows that it was over.
            let mut viewer = scene.viewer(&attempt);
            viewer.goes();
            let said = viewer.says();
            let shown = format!("shown {} of {views}", kill + 1);
            assert!(
                said == shown || said == "closed before",
                "killed after {pause:?}: {said}"
            );
            assert_eq!(viewer.says(), "done");
            viewer.ends();
        });
        assert_eq!(scene.used().await, kill + 1, "killed after {pause:?}");
    }
    scene.peer.shutdown().await;
    scene.node.shutdown().await;
}
