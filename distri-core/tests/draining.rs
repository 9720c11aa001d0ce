//! Nodes of a cluster that stop in an orderly way: in which order what ends, and what callers see of it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world"
)]

extern crate distri_core as distri;

use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use distri::{
    Client, Code, Context, Result, client::NodeState, directory::CollectionSpec, id::PublicKey,
};
use tokio::sync::watch;

mod directory_support;
use directory_support::{Cluster, eventually};

/// A bell for which calls wait, by its name: each test has its own.
#[derive(Clone)]
struct Bell {
    waiting: Arc<AtomicU32>,
    rung: watch::Sender<bool>,
}

static BELLS: Mutex<BTreeMap<String, Bell>> = Mutex::new(BTreeMap::new());

fn bell(name: &str) -> Bell {
    let mut bells = BELLS.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || Bell {
        waiting: Arc::default(),
        rung: watch::Sender::new(false),
    };
    bells.entry(name.to_owned()).or_insert_with(new).clone()
}

impl Bell {
    async fn heard(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.rung.subscribe().wait_for(|rung| *rung).await.unwrap();
    }

    fn ring(&self) {
        self.rung.send_replace(true);
    }

    async fn is_waited_for(&self) {
        eventually("a call waits for the bell", || async {
            (self.waiting.load(Ordering::SeqCst) > 0).then_some(())
        })
        .await;
    }
}

#[distri::message]
struct Shelf {
    books: u64,
}

#[derive(Default)]
struct Office;

#[distri::service(register = false, collections = Self::collections)]
impl Office {
    /// Who serves.
    #[method(idempotent)]
    async fn place(&self, cx: &Context) -> Result<PublicKey> {
        Ok(cx.node().key())
    }

    /// Who leads.
    #[method(idempotent, placement = leader)]
    async fn led(&self, cx: &Context) -> Result<PublicKey> {
        Ok(cx.node().key())
    }

    /// Who owns the user.
    #[method(idempotent, placement = key(user))]
    async fn owned(&self, cx: &Context, user: u32) -> Result<PublicKey> {
        let _ = user;
        Ok(cx.node().key())
    }

    /// Puts a book into the shelf.
    #[method(once)]
    async fn shelve(&self, cx: &Context, shelf: String) -> Result<u64> {
        let shelves = cx.directory().collection::<Shelf>("shelves");
        let shelf = shelves.add(shelf, "books", 1, ..).await?;
        Ok(shelf.value.books)
    }

    /// Answers when the bell has rung.
    async fn wait(&self, bell_name: String) -> Result<()> {
        bell(&bell_name).heard().await;
        Ok(())
    }

    /// The same, and only the leader.
    #[method(placement = leader)]
    async fn wait_led(&self, bell_name: String) -> Result<()> {
        self.wait(bell_name).await
    }
}

impl Office {
    fn collections(&self) -> Vec<CollectionSpec> {
        vec![CollectionSpec::new("shelves")]
    }
}

/// Three nodes, and a client that is linked to each.
async fn offices(seed: u64) -> (Cluster, Client) {
    let cluster = Cluster::hosting(3, seed, |node| node.service(Office)).await;
    cluster.all_vote().await;
    let client = cluster.new_client().await;
    let wait = Duration::from_secs(30);
    client.wait_for_nodes(3, wait).await.unwrap();
    (cluster, client)
}

fn index_of(cluster: &Cluster, key: PublicKey) -> usize {
    (0..3).find(|index| cluster.key(*index) == key).unwrap()
}

/// Restarts whoever leads the service until that is who leads the directory.
async fn leader_of_all(cluster: &mut Cluster, office: &OfficeClient) -> usize {
    for _ in 0..20 {
        let leads = index_of(cluster, office.led().await.unwrap());
        if cluster.leader().await == leads {
            return leads;
        }
        cluster.stop(leads).await;
        cluster.restart(leads).await;
    }
    panic!("never does one node lead both");
}

fn state(client: &Client, node: PublicKey) -> NodeState {
    let nodes = client.nodes();
    nodes.iter().find(|known| known.key == node).unwrap().state
}

#[tokio::test(start_paused = true)]
async fn readiness_goes_before_leadership_and_leadership_before_the_calls_and_the_links_go_last() {
    let (mut cluster, client) = offices(1).await;
    let office = OfficeClient::new(&client);
    let index = leader_of_all(&mut cluster, &office).await;
    let leads = cluster.key(index);
    let stopped = cluster.node(index).clone();
    let election = stopped.handle().election("job").unwrap();
    let job = election.campaign().await.unwrap();
    let (led_bell, plain_bell) = (bell("order, led"), bell("order, plain"));
    let led = tokio::spawn(office.wait_led("order, led".into()).into_future());
    let plain = office.wait("order, plain".into()).to(leads);
    let plain = tokio::spawn(plain.into_future());
    led_bell.is_waited_for().await;
    plain_bell.is_waited_for().await;

    let stopping = tokio::spawn(async move { stopped.shutdown().await });

    // Readiness: nobody sends calls there, while it leads as before.
    eventually("the client is told", || async {
        (state(&client, leads) == NodeState::Draining).then_some(())
    })
    .await;
    assert!(job.is_held());
    assert_eq!(cluster.node(index).handle().leader(), Some(leads));
    for _ in 0..20 {
        assert_ne!(office.place().await.unwrap(), leads);
    }

    // Leadership, as soon as the calls under it have ended, while others are still served.
    assert!(!led.is_finished());
    led_bell.ring();
    led.await.unwrap().unwrap();
    job.lost().await;
    assert_ne!(office.led().await.unwrap(), leads);
    eventually("another node leads the directory", || async {
        let leader = cluster.node((index + 1) % 3).handle().leader()?;
        (leader != leads).then_some(())
    })
    .await;

    // Calls, over links that stand.
    assert!(!plain.is_finished() && !stopping.is_finished());
    assert_eq!(state(&client, leads), NodeState::Draining);
    plain_bell.ring();
    plain.await.unwrap().unwrap();

    // Links.
    stopping.await.unwrap();
    eventually("the link has ended", || async {
        (state(&client, leads) == NodeState::Down).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_never_end_keep_a_node_neither_from_handing_over_nor_from_stopping() {
    let (mut cluster, client) = offices(2).await;
    let office = OfficeClient::new(&client);
    let leads = office.led().await.unwrap();
    let index = index_of(&cluster, leads);
    let day = Duration::from_secs(24 * 3600);
    let never = bell("never");
    let led = office.wait_led("never".into()).timeout(day);
    let led = tokio::spawn(led.into_future());
    let own = OfficeClient::new(cluster.node(index));
    let own = tokio::spawn(own.wait("never".into()).timeout(day).into_future());
    eventually("both are served", || async {
        (never.waiting.load(Ordering::SeqCst) == 2).then_some(())
    })
    .await;

    let stop = tokio::time::timeout(Duration::from_secs(3600), cluster.stop(index));
    stop.await.expect("the node stops all the same");

    assert_ne!(office.led().await.unwrap(), leads);
    let error = led.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome, "{error}");
    own.abort();
}

#[tokio::test(start_paused = true)]
async fn no_call_fails_while_the_nodes_of_a_cluster_are_restarted_one_after_the_other() {
    let (mut cluster, client) = offices(3).await;
    let shelves = cluster.node(0).handle().directory();
    let shelves = shelves.collection::<Shelf>("shelves");
    shelves.insert("all", &Shelf { books: 0 }).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let calls: Vec<Arc<AtomicU32>> = (0..4).map(|_| Arc::default()).collect();
    let callers: Vec<_> = (0..16_u32)
        .map(|caller| {
            let (office, stop) = (OfficeClient::new(&client), stop.clone());
            let kind = caller % 4;
            let made = calls[kind as usize].clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    match kind {
                        0 => office.place().await.map(drop),
                        1 => office.led().await.map(drop),
                        2 => office.owned(caller).await.map(drop),
                        _ => office.shelve("all".into()).await.map(drop),
                    }
                    .unwrap_or_else(|error| panic!("a call of kind {kind} failed: {error:?}"));
                    made.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    let all_go_on = async || {
        let before: Vec<_> = calls
            .iter()
            .map(|made| made.load(Ordering::SeqCst))
            .collect();
        eventually("calls of each kind go on", || async {
            let mut now = calls
                .iter()
                .map(|made| made.load(Ordering::SeqCst))
                .zip(&before);
            now.all(|(now, before)| now > before + 20).then_some(())
        })
        .await;
    };
    all_go_on().await;

    for index in 0..3 {
        cluster.stop(index).await;
        all_go_on().await;
        cluster.restart(index).await;
        client
            .wait_for_nodes(3, Duration::from_secs(30))
            .await
            .unwrap();
        all_go_on().await;
    }

    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
    let shelves = cluster.node(1).handle().directory();
    let shelf = shelves.collection::<Shelf>("shelves").get("all").await;
    let shelved = calls[3].load(Ordering::SeqCst);
    assert_eq!(shelf.unwrap().unwrap().value.books, u64::from(shelved));
}
