//! People at their terminals: a node, homes in folders, and each verb typed as a process of its own.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};

mod support;

use support::{DEADLINE, Finished, finish, program};

/// A node, and the folder in which everybody works.
struct Town {
    folder: TempDir,
    endpoint: String,
    _node: Child,
    /// Held open, as a supervisor would.
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// Somebody with a home.
struct Somebody<'a> {
    town: &'a Town,
    home: PathBuf,
}

/// A `watch` that runs.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Town {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut node = program(
            folder.path(),
            ["node", "--listen", "127.0.0.1:0", "--log", "warn"],
        )
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        let mut stdout = BufReader::new(node.stdout.take().unwrap()).lines();
        let line = timeout(DEADLINE, stdout.next_line())
            .await
            .expect("starts in time");
        let endpoint = line.unwrap().expect("a node says where it is");
        fs::write(folder.path().join("cat.png"), picture()).unwrap();
        Self {
            folder,
            endpoint,
            _node: node,
            _stdout: stdout,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn stranger(&self, name: &str) -> Somebody<'_> {
        Somebody {
            town: self,
            home: self.path(name),
        }
    }

    /// Somebody who has joined.
    async fn person(&self, name: &str) -> Somebody<'_> {
        let person = self.stranger(name);
        let joined = person
            .json(&["join", "--node", &self.endpoint, "--as", name])
            .await;
        assert_eq!(joined["handle"], name);
        person
    }
}

impl Somebody<'_> {
    fn command(&self, words: &[&str]) -> tokio::process::Command {
        let mut command = program(self.town.folder.path(), []);
        command.args(words).env("STEGO_HOME", &self.home);
        command
    }

    async fn types(&self, words: &[&str]) -> Finished {
        finish(self.command(words)).await
    }

    /// What a command that succeeds says to programs: one line of JSON.
    async fn json(&self, words: &[&str]) -> Value {
        let mut command = self.command(words);
        command.arg("--json");
        let said = finish(command).await;
        assert_eq!(said.stdout.lines().count(), 1, "{words:?}: {said:?}");
        said.json()
    }

    /// What a command says that fails with this exit code.
    async fn fails(&self, code: i32, words: &[&str]) -> String {
        let said = self.types(words).await;
        assert_eq!(said.code, Some(code), "{words:?}: {said:?}");
        assert!(said.stderr.starts_with("error: "), "{words:?}: {said:?}");
        said.stderr
    }

    async fn watches(&self) -> Watch {
        let mut command = self.command(&["watch", "--json"]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut watch = Watch { child, lines };
        watch.until("online").await;
        watch
    }

    /// The one grant that is called so.
    async fn grant(&self, side: &str, name: &str) -> Value {
        let grants = self.json(&["grants"]).await;
        let all = grants[side].as_array().unwrap();
        let found: Vec<_> = all.iter().filter(|grant| grant["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name} in {grants}");
        found[0].clone()
    }
}

impl Watch {
    /// Waits until it tells of such an event.
    async fn until(&mut self, event: &str) -> Value {
        loop {
            let line = timeout(DEADLINE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{event} is told in time"));
            let line = line.unwrap().expect("it runs");
            let told: Value = serde_json::from_str(&line).unwrap();
            if told["event"] == event {
                return told;
            }
        }
    }

    /// Ends as in a power cut.
    async fn dies(mut self) {
        self.child.start_kill().unwrap();
        timeout(DEADLINE, self.child.wait())
            .await
            .expect("dies")
            .unwrap();
    }
}

/// A small picture, unlike any cover that is drawn.
fn picture() -> Vec<u8> {
    let picture = RgbImage::from_fn(60, 40, |x, y| {
        Rgb([(x * 4) as u8, (y * 6) as u8, (x * y) as u8])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

fn pixels(path: &Path) -> RgbImage {
    image::load_from_memory(&fs::read(path).unwrap())
        .unwrap()
        .to_rgb8()
}

fn is_the_picture(path: &Path) -> bool {
    pixels(path) == image::load_from_memory(&picture()).unwrap().to_rgb8()
}

#[tokio::test]
async fn people_share_a_picture_from_the_offer_to_the_audit() {
    let town = Town::start().await;
    let (anna, bob) = (town.person("anna").await, town.person("bob").await);

    // The owner offers it; the viewer finds it and asks.
    let published = anna
        .json(&["publish", "cat.png", "--title", "A cat", "--yes"])
        .await;
    assert_eq!(published["name"], "anna/a-cat");
    assert_eq!(published["public"]["width"], 60);
    let offered = bob.json(&["ls", "cat"]).await;
    let cat = &offered["images"][0];
    assert_eq!(
        (&cat["name"], &cat["mine"]),
        (&"anna/a-cat".into(), &false.into())
    );
    assert_eq!(
        bob.json(&["ls", "dog"]).await["images"],
        Value::Array(vec![])
    );
    let words = [
        "request",
        "anna/a-cat",
        "--views",
        "3",
        "--note",
        "may I?\u{1b}[2J",
    ];
    let request = bob.json(&words).await["request"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(bob.grant("mine", "anna/a-cat").await["state"], "requested");
    let early = bob
        .fails(1, &["view", "a-cat", "-o", "x.png", "--yes"])
        .await;
    assert!(early.contains("anna has not answered yet"), "{early}");

    // Fewer views than were asked for, for a week.
    let inbox = anna.json(&["inbox"]).await;
    let waiting = &inbox["requests"][0];
    assert_eq!(
        (&waiting["name"], &waiting["views"]),
        (&"bob/a-cat".into(), &3.into())
    );
    assert_eq!(waiting["note"], "may I?");
    let words = ["approve", &request[..8], "--views", "2", "--expires", "7d"];
    let approved = anna.json(&words).await;
    assert_eq!(
        (&approved["views"], &approved["left"]),
        (&2.into(), &2.into())
    );
    let answered = anna.fails(1, &["approve", "bob/a-cat"]).await;
    assert!(answered.contains("was answered"), "{answered}");
    assert_eq!(bob.grant("mine", "anna/a-cat").await["state"], "approved");

    // It comes from the owner's program, which runs; others of hers go on beside it.
    let watch = anna.watches().await;
    let nobody = bob.fails(2, &["view", "anna/a-cat", "-o", "one.png"]).await;
    assert!(
        nobody.contains("uses view 1 of 2") && nobody.contains("--yes"),
        "{nobody}"
    );
    let seen = bob
        .json(&["view", "anna/a-cat", "-o", "one.png", "--yes"])
        .await;
    assert_eq!(
        (&seen["view"], &seen["of"], &seen["left"]),
        (&1.into(), &2.into(), &1.into())
    );
    assert!(is_the_picture(&town.path("one.png")));
    assert_eq!(anna.grant("given", "bob/a-cat").await["used"], 1);
    watch.dies().await;

    // Looking needs nothing of the owner any more, and ends with the cover.
    let seen = bob
        .types(&["view", "anna/a-cat", "-o", "two.png", "--yes"])
        .await;
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(
        seen.stdout.starts_with("view 2 of 2: A cat by anna"),
        "{seen:?}"
    );
    assert!(is_the_picture(&town.path("two.png")));
    let over = bob
        .fails(1, &["view", "anna/a-cat", "-o", "three.png", "--yes"])
        .await;
    assert!(
        over.contains("all 2 views are used") && over.contains("three.png"),
        "{over}"
    );
    let cover = pixels(&town.path("three.png"));
    assert!(
        cover.width() > 60,
        "the cover is no thumbnail of the picture"
    );

    // More of it, with nothing transferred again; then no more.
    let extended = anna.json(&["extend", "bob/a-cat", "--views", "+2"]).await;
    assert_eq!(
        (&extended["views"], &extended["left"]),
        (&4.into(), &2.into())
    );
    // New keys: nothing is transferred again either.
    let rekeyed = anna.json(&["rekey", "bob/a-cat"]).await;
    assert_eq!(rekeyed["grants"][0]["left"], 2, "{rekeyed}");
    let older = anna.json(&["rekey", "--older"]).await;
    assert_eq!(older["grants"].as_array().map(Vec::len), Some(0), "{older}");
    anna.fails(2, &["rekey"]).await;
    let seen = bob
        .json(&["view", "anna/a-cat", "-o", "four.png", "--yes"])
        .await;
    assert_eq!((&seen["view"], &seen["of"]), (&3.into(), &4.into()));
    assert!(
        anna.fails(2, &["revoke", "bob/a-cat"])
            .await
            .contains("--yes")
    );
    let revoked = anna.json(&["revoke", "bob/a-cat", "--yes"]).await;
    assert_eq!(
        (&revoked["state"], &revoked["left"]),
        (&"revoked".into(), &0.into())
    );
    let over = bob
        .fails(1, &["view", "anna/a-cat", "-o", "four.png", "--yes"])
        .await;
    assert!(over.contains("anna took the grant back"), "{over}");
    assert!(
        is_the_picture(&town.path("four.png")),
        "what was seen is not replaced"
    );

    // Both see the same history.
    for (who, name) in [(&anna, "bob/a-cat"), (&bob, "anna/a-cat")] {
        let audit = who.json(&["audit", name]).await;
        let entries = audit["entries"].as_array().unwrap();
        let looks = entries.iter().filter(|entry| {
            entry["what"].as_str().unwrap().starts_with("looked") && entry["who"] == "bob"
        });
        assert_eq!(looks.count(), 3, "{audit}");
        let last = entries.last().unwrap();
        assert_eq!(
            (&last["who"], &last["what"]),
            (&"anna".into(), &"revoked the grant".into())
        );
    }
}

#[tokio::test]
async fn a_watch_that_was_killed_goes_on_where_it_was() {
    let town = Town::start().await;
    let (anna, bob) = (town.person("anna").await, town.person("bob").await);
    anna.json(&["publish", "cat.png", "--yes"]).await;
    let mut watch = anna.watches().await;
    let mut other = bob.watches().await;

    bob.json(&["request", "anna/cat", "--views", "2"]).await;
    let told = watch.until("requested").await;
    assert_eq!(
        (&told["name"], &told["views"]),
        (&"bob/cat".into(), &2.into())
    );
    assert!(
        anna.fails(1, &["watch"])
            .await
            .contains("another program is online")
    );
    watch.dies().await;
    // Answered while no program of hers runs; bob's keeps asking for it.
    anna.json(&["approve", "bob/cat"]).await;
    let told = other.until("decided").await;
    assert_eq!(
        (&told["state"], &told["views"]),
        (&"approved".into(), &2.into())
    );

    let mut watch = anna.watches().await;
    assert_eq!(other.until("delivered").await["state"], "active");
    let seen = bob.json(&["view", "cat", "-o", "cat-1.png", "--yes"]).await;
    assert_eq!((&seen["view"], &seen["of"]), (&1.into(), &2.into()));
    assert!(is_the_picture(&town.path("cat-1.png")));
    let told = watch.until("viewed").await;
    assert_eq!(
        (&told["name"], &told["view"]),
        (&"bob/cat".into(), &1.into())
    );

    bob.json(&["request", "anna/cat"]).await;
    watch.until("requested").await;
    let said = anna
        .types(&["reject", "bob/cat", "--why", "once is enough"])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = other.until("decided").await;
    assert_eq!(
        (&told["state"], &told["why"]),
        (&"rejected".into(), &"once is enough".into())
    );

    // What another program of hers grants, the one that runs hears of too.
    bob.json(&["request", "anna/cat"]).await;
    let asked = watch.until("requested").await;
    let asked = asked["request"].as_str().unwrap();
    anna.json(&["approve", asked]).await;
    other.until("delivered").await;
    bob.json(&["view", asked, "-o", "cat-2.png", "--yes"]).await;
    let told = watch.until("viewed").await;
    assert_eq!((&told["grant"], &told["view"]), (&asked.into(), &1.into()));
}

#[tokio::test]
async fn what_nobody_is_called_is_refused_with_what_there_is() {
    let town = Town::start().await;
    let (anna, bob) = (town.person("anna").await, town.person("bob").await);
    let carl = town.stranger("carl");
    assert!(carl.fails(2, &["ls"]).await.contains("nobody lives in"));
    assert!(carl.fails(2, &["join"]).await.contains("--as HANDLE"));
    let taken = ["join", "--node", &town.endpoint, "--as", "ANNA"];
    let taken = carl.fails(1, &taken).await;
    assert!(taken.contains("taken") && taken.contains("--as"), "{taken}");

    // Nothing is published unless somebody agrees to what is shown.
    let shown = anna
        .types(&["publish", "cat.png", "--preview", "thumbnail"])
        .await;
    assert_eq!(shown.code, Some(2), "{shown:?}");
    assert!(
        shown.stdout.contains("This becomes public, for everybody"),
        "{shown:?}"
    );
    let dry = anna.json(&["publish", "cat.png", "--dry-run"]).await;
    assert_eq!(
        (&dry["published"], &dry["public"]["preview"]),
        (&false.into(), &"blur".into())
    );
    assert_eq!(bob.json(&["ls"]).await["images"], Value::Array(vec![]));

    for title in ["A cat", "A cat", "A dog"] {
        anna.json(&["publish", "cat.png", "--title", title, "--yes"])
            .await;
    }
    let hidden = anna
        .json(&["publish", "cat.png", "--unlisted", "--yes"])
        .await;
    let page = bob.json(&["ls", "--owner", "Anna", "--limit", "2"]).await;
    assert_eq!(page["images"].as_array().unwrap().len(), 2);
    let rest = [
        "ls",
        "--owner",
        "anna",
        "--after",
        page["next"].as_str().unwrap(),
    ];
    let rest = bob.json(&rest).await;
    assert_eq!(rest["images"].as_array().unwrap().len(), 1);
    assert_eq!(
        anna.json(&["ls", "--mine"]).await["images"]
            .as_array()
            .unwrap()
            .len(),
        4
    );

    let several = bob.fails(2, &["request", "anna/a-cat"]).await;
    assert!(
        several.contains("any of 2 pictures") && several.contains("anna/a-cat ("),
        "{several}"
    );
    let unknown = bob.fails(2, &["request", "anna/a-horse"]).await;
    assert!(unknown.contains("no picture `anna/a-horse`"), "{unknown}");
    assert!(unknown.contains("anna/a-dog ("), "{unknown}");
    assert!(
        bob.fails(1, &["request", "dora/a-cat"])
            .await
            .contains("no user dora")
    );
    assert!(
        bob.fails(2, &["request", "a-cat"])
            .await
            .contains("USER/IMAGE")
    );
    assert!(
        bob.fails(2, &["view", "nothing", "-o", "x.png"])
            .await
            .contains("no grant")
    );
    assert!(
        bob.fails(1, &["view", "x", "-o", "no/such/x.png"])
            .await
            .contains("no/such")
    );
    assert!(!town.path("x.png").exists());

    let by_id = format!("anna/{}", hidden["image"].as_str().unwrap());
    bob.json(&["request", &by_id]).await;
    assert_eq!(anna.json(&["unpublish", "a-dog"]).await["published"], false);
    assert!(
        bob.fails(2, &["request", "anna/a-dog"])
            .await
            .contains("no picture")
    );
}

#[tokio::test]
async fn whoever_joins_where_a_node_lives_joins_its_cloud_and_keeps_it() {
    let town = Town::start().await;
    let emil = town.stranger("emil");
    let unnamed = emil.fails(2, &["join", "--as", "emil"]).await;
    assert!(unnamed.contains("no cloud is named"), "{unnamed}");
    let config = format!("[cloud]\nnodes = [\"{}\"]\n", town.endpoint);
    fs::write(town.path("distri.toml"), config).unwrap();

    let joined = emil
        .json(&["join", "--as", "emil", "--listen", "127.0.0.1:0"])
        .await;
    fs::remove_file(town.path("distri.toml")).unwrap();

    assert_eq!(emil.json(&["join"]).await, joined);
    assert_eq!(emil.json(&["whoami"]).await, joined);
}

#[tokio::test]
async fn doctor_says_what_is_wrong_and_what_to_do() {
    let town = Town::start().await;
    let anna = town.stranger("anna");
    assert!(
        anna.types(&["doctor"])
            .await
            .stdout
            .contains("`join TOKEN --as HANDLE`")
    );
    let anna = town.person("anna").await;
    let health = |report: &Value, check: &str| {
        let checks = report["checks"].as_array().unwrap();
        let found = checks.iter().find(|one| one["check"] == check);
        found
            .map(|one| one["health"].as_str().unwrap().to_owned())
            .unwrap_or_default()
    };

    let report = anna.json(&["doctor"]).await;
    assert_eq!(report["healthy"], true, "{report}");
    assert_eq!(health(&report, "registered"), "good");
    assert_eq!(health(&report, "presence"), "middling", "{report}");
    let mut watch = anna.watches().await;
    // Its home is in use, and its peer is reached.
    let known = async {
        loop {
            let report = anna.json(&["doctor"]).await;
            if health(&report, "peer") == "good" {
                return;
            }
        }
    };
    timeout(DEADLINE, known)
        .await
        .expect("the peer is reached in time");
    watch.child.start_kill().unwrap();

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = anna.home.join("profile").join("user.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let said = anna.types(&["doctor"]).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(
            said.stdout.contains("BAD  keys") && said.stdout.contains("chmod"),
            "{said:?}"
        );
    }

    let shell = finish(program(
        town.folder.path(),
        ["completions", "bash", "--name", "stego"],
    ))
    .await;
    assert_eq!(shell.code, Some(0), "{shell:?}");
    assert!(shell.stdout.contains("approve") && shell.stdout.contains("join-node"));
}
