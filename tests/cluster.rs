//! Clusters from the command line: made, joined, listed, survived and left by real processes.
#![cfg(all(feature = "cli", feature = "node"))]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use distri::{Client, directory::Json};
use support::{Program, cluster::Member, eventually};

mod support;

const DISTRI: &str = env!("CARGO_BIN_EXE_distri");

fn three() -> [Member; 3] {
    let one = Member::found(DISTRI, "one");
    let two = Member::join(&one, "two");
    let three = Member::join(&one, "three");
    one.eventually_roles(&["leader", "voter", "voter"]);
    [one, two, three]
}

fn put(member: &Member, id: &str) {
    let value = format!("{{\"by\":\"{}\"}}", member.name);
    member
        .program
        .ok(&["directory", "put", "books", id, &value]);
}

/// Eight who write without a pause, each one document after the other, from a thread of their own.
struct Writers {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: JoinHandle<Vec<String>>,
}

impl Writers {
    fn start(nodes: &[String]) -> Self {
        let nodes: Vec<_> = nodes.iter().map(|node| node.parse().unwrap()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let thread = std::thread::spawn({
            let (stop, written) = (stop.clone(), written.clone());
            move || {
                runtime.block_on(async {
                    let client = Client::builder().nodes(nodes).connect().await.unwrap();
                    let mut writers = tokio::task::JoinSet::new();
                    for writer in 0..8 {
                        let books = client.directory().collection::<Json>("books");
                        let (stop, written) = (stop.clone(), written.clone());
                        writers.spawn(async move {
                            let value = Json::from(serde_json::json!({ "by": writer }));
                            let mut failures = Vec::new();
                            for turn in 0.. {
                                if stop.load(Ordering::Relaxed) {
                                    break;
                                }
                                let id = format!("{writer}-{turn}");
                                match books.insert(&id, &value).await {
                                    Ok(_) => _ = written.fetch_add(1, Ordering::Relaxed),
                                    Err(error) => failures.push(format!("{id}: {error}")),
                                }
                            }
                            failures
                        });
                    }
                    writers.join_all().await.concat()
                })
            }
        });
        Self {
            stop,
            written,
            thread,
        }
    }

    /// Waits until a hundred more documents have been written.
    #[track_caller]
    fn go_on(&self) {
        let before = self.written.load(Ordering::Relaxed);
        eventually("writes go on", || {
            (self.written.load(Ordering::Relaxed) > before + 100).then_some(())
        });
    }

    /// How many documents were written, and what failed.
    fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.thread.join().unwrap();
        (self.written.load(Ordering::Relaxed), failures)
    }
}

/// Waits until the nodes have these roles, in any order, however far behind they are.
#[track_caller]
fn eventually_voters(member: &Member, voters: usize) {
    eventually(&format!("{voters} voters"), || {
        let nodes = member.nodes();
        let votes = |node: &&serde_json::Value| node["role"] == "leader" || node["role"] == "voter";
        (nodes.len() == voters && nodes.iter().filter(votes).count() == voters).then_some(())
    });
}

#[test]
fn a_cluster_grows_to_five_voters_and_shrinks_to_three_without_a_failed_write() {
    let one = Member::found(DISTRI, "one");
    let open = ["--read", "public", "--write", "public"];
    let create = [&["directory", "collections", "create", "books"], &open[..]].concat();
    one.program.ok(&create);
    let writers = Writers::start(&[one.endpoint()]);
    writers.go_on();
    let mut others = Vec::new();
    for name in ["two", "three", "four", "five"] {
        others.push(Member::join(&one, name));
        writers.go_on();
        let count = others.len() + 1;
        if count % 2 == 1 {
            eventually_voters(&one, count);
            writers.go_on();
        }
    }

    for (left, name) in [(4, "four"), (3, "one")] {
        let by = &others[0];
        by.program.ok(&["remove", name]);
        writers.go_on();
        eventually("one node less", || (by.nodes().len() == left).then_some(()));
    }
    eventually_voters(&others[0], 3);
    writers.go_on();

    let (written, failures) = writers.stop();
    assert_eq!(failures, Vec::<String>::new(), "of {written}");
    let count = others[0]
        .program
        .ok(&["directory", "find", "books", "--count"]);
    assert_eq!(count, written.to_string());
}

fn name_of_leader(member: &Member) -> String {
    eventually("a leader", || {
        let nodes = member.nodes();
        let leader = nodes.iter().find(|node| node["role"] == "leader")?;
        (leader["state"] == "ready").then(|| leader["name"].as_str().unwrap().to_owned())
    })
}

#[test]
fn writes_go_on_without_the_leader_which_then_comes_back() {
    let mut members = three();
    let [one, ..] = &members;
    one.program
        .ok(&["directory", "collections", "create", "books"]);
    for member in &members {
        put(member, member.name);
    }
    let leader = name_of_leader(&members[0]);
    let leader = members
        .iter()
        .position(|member| member.name == leader)
        .unwrap();

    members[leader].kill();

    let others = members
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != leader);
    for (index, member) in others {
        put(member, &format!("without-{index}"));
    }
    let left = &members[(leader + 1) % 3];
    let table = left.program.ok(&["nodes"]);
    let row = table
        .lines()
        .find(|line| line.split_whitespace().nth(1) == Some(members[leader].name))
        .unwrap();
    assert!(row.contains("down"), "{table}");
    assert_eq!(table.matches("ready").count(), 2, "{table}");

    members[leader].start();

    members[leader].eventually_roles(&["leader", "voter", "voter"]);
    // From its own disk and log, not from another node.
    let own = members[leader].endpoint();
    let count = [
        "directory",
        "find",
        "books",
        "--count",
        "--local",
        "--node",
        &own,
    ];
    eventually("all documents at the node that was away", || {
        (members[leader].program.ok(&count) == "5").then_some(())
    });
}

#[test]
fn a_node_that_is_removed_ends_and_the_others_go_on() {
    let [one, two, mut three] = three();
    one.program
        .ok(&["directory", "collections", "create", "books"]);
    let leader = name_of_leader(&one);
    assert_eq!(leader, "one", "nobody was gone, so the founder leads");

    let removed = two.program.ok(&["remove", "three"]);

    assert!(removed.starts_with("removed node 3 (three, "), "{removed}");
    let (exit, stderr) = three.ended();
    assert_eq!(exit, 1, "{stderr}");
    assert!(stderr.contains("has been removed"), "{stderr}");
    assert!(stderr.contains("join TOKEN"), "{stderr}");
    one.eventually_roles(&["leader", "learner"]);
    put(&one, "after");
    put(&two, "after-too");
}

#[test]
fn a_node_out_of_few_is_removed_only_if_the_others_can_go_on() {
    let [one, two, mut three] = three();
    three.kill();
    let is_down = |member: &Member| {
        let nodes = member.nodes();
        nodes.iter().any(|node| node["state"] == "down")
    };
    eventually("the death of a node is noticed", || {
        is_down(&one).then_some(())
    });

    let needed = one.program.run(&["remove", "two"]);
    one.program.ok(&["remove", "three"]);
    one.eventually_roles(&["leader", "learner"]);
    let only_voter = two.program.run(&["remove", "1"]);

    needed.failed(1, "down: 3 (three, ");
    only_voter.failed(1, "the only one that votes");
}

#[test]
fn a_node_is_named_by_number_name_or_key_and_never_guessed() {
    let one = Member::found(DISTRI, "twin");
    let mut two = Member::join(&one, "twin");
    one.eventually_roles(&["leader", "learner"]);
    let key = two.program.ok(&["id"]);

    let nobody = one.program.run(&["remove", "twim"]);
    let both = one.program.run(&["remove", "twin"]);
    let by_key = one.program.run(&["remove", "--json", &key[..20]]);

    nobody.failed(2, "did you mean `twin`?");
    assert_eq!(both.exit, 2, "{}", both.stderr);
    assert!(
        both.stderr.contains("any of 2 nodes") && both.stderr.contains(&key[..8]),
        "{}",
        both.stderr
    );
    assert_eq!(by_key.json()["removed"]["number"], 2, "{}", by_key.stderr);
    two.kill();
}

#[test]
fn an_admin_renews_the_secret_that_the_nodes_share_and_is_told_when_it_is_in_use() {
    let [one, two, three] = three();

    let renewed = two.program.ok(&["renew-secret"]);
    let again = one.program.run(&["renew-secret", "--json"]);
    let stranger = Program::new(DISTRI);
    let refused = stranger.run(&["renew-secret", "--node", &one.endpoint()]);

    let in_use = "epoch 2 of the cluster's secret is in use, epoch 1 was before";
    assert_eq!(renewed, in_use);
    assert_eq!(again.exit, 0, "{}", again.stderr);
    assert_eq!(
        (&again.json()["before"], &again.json()["epoch"]),
        (&2.into(), &3.into())
    );
    refused.failed(1, "which has no role `admin`");
    drop(three);
}

#[test]
fn a_token_admits_one_node_once_and_only_in_time() {
    let one = Member::found(DISTRI, "one");
    let token = one.program.run(&["token", "--valid", "10m"]);
    let late = one.program.ok(&["token", "--valid", "1ms"]);
    let join = |token: &str| {
        let member = Member::new(DISTRI, "other");
        let arguments = ["join", token, "--listen", &member.address];
        let joined = member.program.run(&arguments);
        assert!(
            joined.exit == 0 || !member.program.path("distri.toml").exists(),
            "a node that may not join has no configuration that says so"
        );
        joined
    };

    let first = join(&token.text());
    let second = join(&token.text());
    let expired = join(&late);
    let garbage = join("distri-join-gezdgnbv");

    assert_eq!(token.text().lines().count(), 1, "{}", token.text());
    assert!(token.stderr.contains("a secret"), "{}", token.stderr);
    assert!(token.stderr.contains("(in 10m)"), "{}", token.stderr);
    assert_eq!(first.exit, 0, "{}", first.stderr);
    assert!(first.text().ends_with("node"), "{}", first.text());
    second.failed(1, "has been used");
    expired.failed(1, "expired");
    garbage.failed(2, "not a join token");
    assert!(!garbage.stderr.contains("gezdgnbv"), "{}", garbage.stderr);
}

#[test]
fn only_admins_make_tokens() {
    let one = Member::found(DISTRI, "one");
    let stranger = Program::new(DISTRI);

    let refused = stranger.run(&["token", "--node", &one.endpoint()]);

    refused.failed(1, "no role `admin`");
    assert!(refused.stdout.is_empty());
}

#[test]
fn a_folder_is_of_one_cluster_and_stays_so() {
    let program = Program::new(DISTRI);
    let made = program.run(&["init", "--name", "first"]);
    let config = std::fs::read_to_string(program.path("distri.toml")).unwrap();

    let again = program.run(&["init"]);

    made.failed(0, "only nodes on this machine");
    assert_eq!(program.run(&["config", "check"]).exit, 0, "{config}");
    again.failed(2, "has a cluster already");
    let after = std::fs::read_to_string(program.path("distri.toml")).unwrap();
    assert_eq!(config, after);
}

#[test]
fn an_address_that_others_cannot_dial_is_refused_with_what_to_give_instead() {
    let one = Member::found(DISTRI, "one");
    let token = one.program.ok(&["token"]);
    let program = Program::new(DISTRI);

    let any_port = program.run(&["init", "--listen", "127.0.0.1:0"]);
    let wildcard = program.run(&["join", &token, "--listen", "0.0.0.0:4600"]);
    let taken = program.run(&["join", &token, "--listen", &one.address]);

    any_port.failed(2, "a fixed port");
    wildcard.failed(2, "--advertise HOST:4600");
    taken.failed(2, "gives this node another");
    let left = std::fs::read_dir(program.folder.path()).unwrap().count();
    assert_eq!(left, 0, "nothing was made");
}

#[test]
fn a_node_whose_folder_is_of_no_cluster_says_how_to_make_one() {
    let program = Program::new(DISTRI);
    program.write("distri.toml", "[directory]\npath = \"data\"\n");

    let refused = program.run(&["node", "--listen", "127.0.0.1:0"]);

    refused.failed(2, "init` makes a cluster here");
}
