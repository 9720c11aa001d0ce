//! A cloud of three processes is restarted one by one into a program whose service has another
//! schema, while clients of both versions call it without a pause. No call fails.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use distri::{Client, Error, id::PublicKey, transport::Endpoint};
use serde_json::Value;
use tokio::{runtime::Runtime, task::JoinHandle};

#[path = "../src/first/library.rs"]
mod first;
#[path = "../src/second/library.rs"]
mod second;
#[path = "../../../tests/support/mod.rs"]
mod support;

use support::{cluster::Member, eventually};

const FIRST: &str = env!("CARGO_BIN_EXE_library-1");
const SECOND: &str = env!("CARGO_BIN_EXE_library-2");

/// Clients of each version.
const CLIENTS: u32 = 3;

/// Calls that clients of each version must have made between two restarts.
const STEP: u64 = 60;

#[test]
fn a_rolling_upgrade_to_another_schema_fails_no_idempotent_call() {
    let one = Member::found(FIRST, "one");
    let mut cloud = vec![Member::join(&one, "two"), Member::join(&one, "three")];
    cloud.insert(0, one);
    cloud[0].eventually_roles(&["leader", "voter", "voter"]);
    let work = Work::start(&cloud);
    work.must_go_on();

    for (before, member) in cloud.iter_mut().enumerate() {
        member.stop();
        work.must_go_on();
        member.program.replace(SECOND);
        member.start();
        member.eventually_roles(&["leader", "voter", "voter"]);
        eventually_offers(member, before + 1);
        work.must_go_on();
    }

    let served = work.must_end_well();
    assert_eq!(served.len(), cloud.len(), "every node served");
    after_the_upgrade(&cloud);
}

/// Waits until this node's cloud has so many nodes with the second version.
#[track_caller]
fn eventually_offers(member: &Member, nodes: usize) {
    eventually("the second version is told by gossip", || {
        let members = member.program.run(&["status", "--json"]).json();
        let has_second = |member: &&Value| {
            let services = member["services"].as_array().unwrap();
            let mut libraries = services.iter().filter(|one| one["name"] == "library");
            libraries.any(|one| one["version"] == 2) && member["state"] == "alive"
        };
        let members = members.as_array().unwrap().iter();
        (members.filter(has_second).count() == nodes).then_some(())
    });
}

/// What the first version wrote is what the second one reads, with the defaults of what is new.
fn after_the_upgrade(cloud: &[Member]) {
    Runtime::new().unwrap().block_on(async {
        let client = connect(endpoints(cloud)).await;
        let library = second::LibraryClient::new(&client);

        let found = library.find("old-".into(), Some(2)).await.unwrap();
        assert_eq!((found.books.len(), found.more), (2, true));
        assert_eq!(found.books[0].language, second::Language::Unknown);
        let book = library.get("new-0".into()).await.unwrap().unwrap();
        assert_eq!(book.language, second::Language::Latin);
    });
}

/// Clients of both versions at work.
struct Work {
    runtime: Runtime,
    stop: Arc<AtomicBool>,
    /// Calls made by clients of the first and of the second version.
    calls: [Arc<AtomicU64>; 2],
    clients: Vec<JoinHandle<Result<BTreeSet<PublicKey>, String>>>,
}

impl Work {
    fn start(cloud: &[Member]) -> Self {
        let runtime = Runtime::new().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let calls: [Arc<AtomicU64>; 2] = Default::default();
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let worker = |version: usize| Worker {
                number,
                nodes: endpoints(cloud),
                stop: stop.clone(),
                calls: calls[version].clone(),
                served: BTreeSet::new(),
            };
            clients.push(runtime.spawn(worker(0).work_with_the_first()));
            clients.push(runtime.spawn(worker(1).work_with_the_second()));
        }
        Self {
            runtime,
            stop,
            calls,
            clients,
        }
    }

    /// Waits until clients of both versions have made more calls, or one of them has failed.
    #[track_caller]
    fn must_go_on(&self) {
        let now = || [0, 1].map(|at| self.calls[at].load(Ordering::Relaxed));
        let before = now();
        eventually("calls go on", || {
            let now = now();
            let all = (0..2).all(|at| now[at] >= before[at] + STEP);
            let failed = self.clients.iter().any(JoinHandle::is_finished);
            (all || failed).then_some(())
        });
    }

    /// The nodes that served.
    ///
    /// # Panics
    /// If a call failed.
    #[track_caller]
    fn must_end_well(self) -> BTreeSet<PublicKey> {
        self.stop.store(true, Ordering::Relaxed);
        let mut nodes = BTreeSet::new();
        for client in self.clients {
            match self.runtime.block_on(client).unwrap() {
                Ok(served) => nodes.extend(served),
                Err(failure) => panic!("{failure}"),
            }
        }
        let [first, second] = self.calls.map(|calls| calls.load(Ordering::Relaxed));
        println!("{first} calls of the first version, {second} of the second");
        nodes
    }
}

/// A client that puts a book, gets it, and looks for it, again and again.
struct Worker {
    number: u32,
    nodes: Vec<Endpoint>,
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    served: BTreeSet<PublicKey>,
}

impl Worker {
    async fn work_with_the_first(mut self) -> Result<BTreeSet<PublicKey>, String> {
        let client = connect(self.nodes.clone()).await;
        let library = first::LibraryClient::new(&client);
        let mark = format!("old-{}", self.number);
        for pages in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let book = first::Book {
                title: "De revolutionibus".into(),
                pages,
            };
            let put = library.put(mark.clone(), book.clone()).served().await;
            self.told("put", put)?;
            let got = library.get(mark.clone()).served().await;
            assert_eq!(self.told("get", got)?, Some(book.clone()));
            let found = library.find(mark.clone()).served().await;
            assert_eq!(self.told("find", found)?.books, [book]);
        }
        Ok(self.served)
    }

    async fn work_with_the_second(mut self) -> Result<BTreeSet<PublicKey>, String> {
        let client = connect(self.nodes.clone()).await;
        let library = second::LibraryClient::new(&client);
        let mark = format!("new-{}", self.number);
        for pages in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let book = second::Book {
                title: "Principia".into(),
                language: second::Language::Latin,
                pages,
            };
            let put = library.put(mark.clone(), book.clone()).served().await;
            self.told("put", put)?;
            let got = library.get(mark.clone()).served().await;
            let got = self.told("get", got)?.unwrap();
            // A node of the first version knows of no language.
            assert_eq!((got.title, got.pages), (book.title, book.pages));
            let found = library.find(mark.clone(), Some(5)).served().await;
            assert_eq!(self.told("find", found)?.books.len(), 1);
        }
        Ok(self.served)
    }

    fn told<T>(
        &mut self,
        method: &str,
        result: Result<(T, PublicKey), Error>,
    ) -> Result<T, String> {
        let (value, node) = result.map_err(|error| {
            let by = self.number;
            format!(
                "`{method}` by {by} failed: {}",
                distri::error::chain(&error)
            )
        })?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.served.insert(node);
        Ok(value)
    }
}

fn endpoints(cloud: &[Member]) -> Vec<Endpoint> {
    let endpoints = cloud.iter().map(|member| member.endpoint().parse());
    endpoints.map(Result::unwrap).collect()
}

async fn connect(nodes: Vec<Endpoint>) -> Client {
    Client::builder().nodes(nodes).connect().await.unwrap()
}
