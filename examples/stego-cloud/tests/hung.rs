//! Nodes that hang: stopped where they stand, with their links open, while clients have photographs
//! hidden and write to the directory. No call fails, nothing acknowledged is lost, and a node that
//! goes on is one of the cloud again.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    collections::BTreeMap,
    io::Cursor,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use distri::{Blob, Client, Error, directory::Filter, id::PublicKey, transport::Endpoint};
use distri_services::stego::{HideOptions, Key, StegoClient};
use image::{ImageFormat, Rgb, RgbImage};
use tokio::{runtime::Runtime, task::JoinHandle};

#[path = "../../../tests/support/mod.rs"]
mod processes;

use processes::{cluster::Member, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-stego-cloud");
const NAMES: [&str; 3] = ["one", "two", "three"];

/// Clients that hide photographs, and as many that write to the directory.
const CLIENTS: usize = 3;

/// Pieces of work of each kind that must be done between one step and the next.
const STEP: u64 = 30;

#[test]
fn a_hung_node_costs_no_call_and_no_document_and_is_back_when_it_goes_on() {
    let one = Member::found(PROGRAM, NAMES[0]);
    let joined = |name| Member::new(PROGRAM, name).joins_by("join-node", &one);
    let (two, three) = (joined(NAMES[1]), joined(NAMES[2]));
    let cloud = [one, two, three];
    cloud[0].eventually_roles(&["leader", "voter", "voter"]);
    let open = ["--read", "public", "--write", "public"];
    let create = ["directory", "collections", "create", "notes"];
    cloud[0].program.ok(&[&create[..], &open].concat());
    let work = Work::start(&cloud);
    work.must_go_on("all is well");

    let leader = leader(&cloud);
    let follower = (leader + 1) % cloud.len();
    for (whom, hung) in [("a follower", follower), ("the leader", leader)] {
        let other = &cloud[(hung + 1) % cloud.len()];
        cloud[hung].hang();
        work.must_go_on(&format!("{whom} hangs and nobody knows yet"));
        eventually_state(other, NAMES[hung], "down");
        work.must_go_on(&format!("{whom} hangs"));

        cloud[hung].go_on();
        eventually_state(other, NAMES[hung], "alive");
        cloud[hung].eventually_roles(&["leader", "voter", "voter"]);
        // It has work again, not only a name in a list.
        work.must_be_served_by(&cloud[hung]);
        work.must_go_on(&format!("{whom} is back"));
    }

    let written = work.must_end_well();
    let count = cloud[0]
        .program
        .ok(&["directory", "find", "notes", "--count"]);
    assert_eq!(count, written.to_string(), "every note is there, once");
}

/// The place of the node that leads.
fn leader(cloud: &[Member]) -> usize {
    let nodes = cloud[0].nodes();
    let leader = nodes.iter().find(|node| node["role"] == "leader").unwrap();
    let name = leader["name"].as_str().unwrap();
    NAMES.iter().position(|one| *one == name).unwrap()
}

/// Waits until `by` lists the node `name` in this state.
#[track_caller]
fn eventually_state(by: &Member, name: &str, state: &str) {
    let began = Instant::now();
    let own = by.endpoint();
    eventually(&format!("{name} {state}"), || {
        let status = by.program.run(&["status", "--json", "--node", &own]);
        let members = (status.exit == 0).then(|| status.json())?;
        let one = members.as_array()?.iter().find(|one| one["name"] == name)?;
        (one["state"] == state).then_some(())
    });
    println!(
        "{name} {state} after {:.1} s",
        began.elapsed().as_secs_f64()
    );
}

type Served = Arc<Mutex<BTreeMap<PublicKey, u64>>>;

/// Clients at work.
struct Work {
    runtime: Runtime,
    stop: Arc<AtomicBool>,
    hidden: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    /// How many photographs each node has hidden.
    served: Served,
    clients: Vec<JoinHandle<Result<(), String>>>,
}

impl Work {
    fn start(cloud: &[Member]) -> Self {
        let runtime = Runtime::new().unwrap();
        let mut work = Self {
            stop: Arc::default(),
            hidden: Arc::default(),
            written: Arc::default(),
            served: Arc::default(),
            clients: Vec::new(),
            runtime,
        };
        let nodes: Vec<Endpoint> = cloud
            .iter()
            .map(|m| m.endpoint().parse().unwrap())
            .collect();
        for number in 0..2 * CLIENTS {
            let client = Client::builder().nodes(nodes.clone()).connect();
            let client = work.runtime.block_on(client).unwrap();
            let stop = work.stop.clone();
            work.clients.push(if number < CLIENTS {
                let (hidden, served) = (work.hidden.clone(), work.served.clone());
                work.runtime.spawn(hide(client, stop, hidden, served))
            } else {
                let written = work.written.clone();
                work.runtime.spawn(write(client, number, stop, written))
            });
        }
        work
    }

    fn done(&self) -> [u64; 2] {
        [&self.hidden, &self.written].map(|count| count.load(Ordering::Relaxed))
    }

    /// Waits until more has been hidden and written, or a client has failed.
    #[track_caller]
    fn must_go_on(&self, meanwhile: &str) {
        let (began, before) = (Instant::now(), self.done());
        eventually(&format!("work goes on while {meanwhile}"), || {
            // The clients are at work in this very process.
            std::thread::sleep(Duration::from_millis(20));
            let done = self.done();
            let all = (0..2).all(|at| done[at] >= before[at] + STEP);
            let failed = self.clients.iter().any(JoinHandle::is_finished);
            (all || failed).then_some(())
        });
        let took = began.elapsed().as_secs_f64();
        println!("{meanwhile}: {STEP} of each within {took:.1} s");
    }

    /// Waits until this node has hidden one more photograph.
    #[track_caller]
    fn must_be_served_by(&self, member: &Member) {
        let endpoint: Endpoint = member.endpoint().parse().unwrap();
        let served = || self.served.lock().unwrap().get(&endpoint.key).copied();
        let before = served();
        eventually("it serves calls again", || {
            std::thread::sleep(Duration::from_millis(20));
            (served() > before).then_some(())
        });
    }

    /// How many notes were written.
    ///
    /// # Panics
    /// If a call failed.
    #[track_caller]
    fn must_end_well(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self
            .clients
            .into_iter()
            .map(|client| self.runtime.block_on(client).unwrap());
        let failures: Vec<String> = ended.filter_map(Result::err).collect();
        assert_eq!(failures, Vec::<String>::new());
        self.written.load(Ordering::Relaxed)
    }
}

/// Has a photograph hidden and revealed again and again.
async fn hide(
    client: Client,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    served: Served,
) -> Result<(), String> {
    let stego = StegoClient::new(&client);
    let (cover, payload) = (cover(), Bytes::from_static(b"meet at six"));
    let key = Key::random().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let (cover, secret) = (Blob::from(cover.clone()), Blob::from(payload.clone()));
        let hide = stego.hide(cover, secret, key.clone(), HideOptions::default());
        let (hidden, node) = hide.served().await.map_err(|error| told("hide", &error))?;
        *served.lock().unwrap().entry(node).or_default() += 1;
        let revealed = stego.reveal(hidden.image, key.clone()).await;
        let revealed = revealed.map_err(|error| told("reveal", &error))?;
        let found = revealed.payload.bytes(1024).await;
        assert_eq!(found.map_err(|error| told("payload", &error))?, payload);
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Inserts one note after the other.
async fn write(
    client: Client,
    number: usize,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) -> Result<(), String> {
    let notes = client.directory().collection::<u64>("notes");
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("{number}-{turn}");
        notes
            .insert(&id, &turn)
            .await
            .map_err(|error| told(&id, &error))?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    let mine = notes
        .count(Filter::prefix("@id", format!("{number}-")))
        .await;
    mine.map(drop).map_err(|error| told("count", &error))
}

fn told(what: &str, error: &Error) -> String {
    format!("{what}: {}: {}", error.code(), distri::error::chain(error))
}

/// A picture small enough that what comes of it is inside the reply: a node that hangs takes back
/// either all of it or nothing.
fn cover() -> Bytes {
    let noise = |x: u32, y: u32| {
        let bits = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
        Rgb([(bits >> 24) as u8, (bits >> 16) as u8, (bits >> 8) as u8])
    };
    let mut file = Cursor::new(Vec::new());
    let picture = RgbImage::from_fn(48, 48, noise);
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner().into()
}
