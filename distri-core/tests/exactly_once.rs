//! Calls that must not be repeated, over links that break: the effect happens once, and the caller
//! gets its reply, or is told that the outcome is not known.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use distri::{
    Blob, Client, Code, Result, ServiceError, config::Limits, transport::memory::Network,
};
use support::{Cloud, builder, endpoint, eventually, identity};
use tokio::sync::Notify;

#[distri::message]
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("no {0}")]
struct No(u32);

impl ServiceError for No {
    fn code(&self) -> Code {
        Code::FailedPrecondition
    }
}

/// What a test does within a call, after its effect.
type Then = Arc<dyn Fn(u32) + Send + Sync>;

/// Notes each effect.
#[derive(Clone)]
struct Ledger {
    effects: Arc<Mutex<BTreeMap<u32, u32>>>,
    then: Then,
    go_on: Arc<Notify>,
    dropped: Arc<AtomicU32>,
}

struct CountsDrop(Arc<AtomicU32>);

impl Drop for CountsDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Ledger {
    fn new(then: impl Fn(u32) + Send + Sync + 'static) -> Self {
        Self {
            effects: Arc::default(),
            then: Arc::new(then),
            go_on: Arc::default(),
            dropped: Arc::default(),
        }
    }

    fn effect(&self, token: u32) {
        *self.effects.lock().unwrap().entry(token).or_default() += 1;
        (self.then)(token);
    }

    fn effects(&self) -> BTreeMap<u32, u32> {
        self.effects.lock().unwrap().clone()
    }
}

#[distri::service(register = false)]
impl Ledger {
    /// Has its effect at once.
    async fn book(&self, token: u32) -> Result<u32> {
        self.effect(token);
        Ok(token * 2)
    }

    /// Has its effect, and replies when it may go on.
    async fn book_slowly(&self, token: u32) -> Result<u32> {
        let _guard = CountsDrop(self.dropped.clone());
        self.effect(token);
        self.go_on.notified().await;
        Ok(token * 2)
    }

    async fn refuse(&self, token: u32) -> Result<u32> {
        self.effect(token);
        Err(No(token).into())
    }

    async fn book_in_many_words(&self, token: u32, len: u32) -> Result<String> {
        self.effect(token);
        Ok("x".repeat(len as usize))
    }

    async fn book_with_picture(&self, token: u32) -> Result<Blob> {
        self.effect(token);
        Ok(Blob::from_chunks(None, futures_util::stream::empty()))
    }

    /// As `book_slowly`, one at a time.
    #[method(concurrency = 1)]
    async fn book_alone(&self, token: u32) -> Result<u32> {
        self.book_slowly(token).await
    }
}

const CLIENT: u8 = 200;

fn cut(network: &Network) {
    network.cut(identity(CLIENT).public(), identity(0).public());
}

/// One node, whose links to the client break after the effects that `when` chooses.
async fn breaking(limits: Limits, when: impl Fn(u32) -> bool + Send + Sync + 'static) -> Parts {
    let network = Network::new(7);
    let ledger = Ledger::new({
        let network = network.clone();
        move |token| {
            if when(token) {
                cut(&network);
            }
        }
    });
    let cloud = Cloud::limited(network, 1, limits, |_, node| node.service(ledger.clone())).await;
    let client = cloud.client().await;
    Parts {
        ledger,
        cloud,
        client: LedgerClient::new(client),
    }
}

struct Parts {
    ledger: Ledger,
    cloud: Cloud,
    client: LedgerClient,
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_reply_is_lost_takes_effect_once_and_gets_its_reply() {
    let parts = breaking(Limits::default(), |token| token % 3 == 0).await;

    for token in 0..60 {
        assert_eq!(parts.client.book(token).await.unwrap(), token * 2);
    }

    assert!(parts.ledger.effects().values().all(|&count| count == 1));
    assert_eq!(parts.ledger.effects().len(), 60);
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_take_effect_once_each_while_links_break() {
    let parts = breaking(Limits::default(), |token| token % 50 == 0).await;

    let calls: Vec<_> = (0..500)
        .map(|token| {
            let client = parts.client.clone();
            tokio::spawn(async move { client.book(token).await.unwrap() })
        })
        .collect();

    for (token, call) in (0_u32..).zip(calls) {
        assert_eq!(call.await.unwrap(), token * 2);
    }
    assert!(parts.ledger.effects().values().all(|&count| count == 1));
    assert_eq!(parts.ledger.effects().len(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_joins_the_call_that_still_runs() {
    let parts = breaking(Limits::default(), |_| true).await;
    let call = tokio::spawn({
        let client = parts.client.clone();
        async move { client.book_slowly(4).await }
    });
    eventually("the call has its effect", || async {
        parts.ledger.effects().len() == 1
    })
    .await;
    // The repeat is there.
    tokio::time::sleep(Duration::from_secs(2)).await;

    parts.ledger.go_on.notify_waiters();

    assert_eq!(call.await.unwrap().unwrap(), 8);
    assert_eq!(parts.ledger.effects()[&4], 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_is_remembered_as_typed_as_it_was() {
    let parts = breaking(Limits::default(), |_| true).await;

    let error = parts.client.refuse(3).await.unwrap_err();

    assert_eq!(error.details::<No>(), Some(No(3)));
    assert_eq!(parts.ledger.effects()[&3], 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_by_name_takes_effect_once() {
    let parts = breaking(Limits::default(), |_| true).await;
    let client = parts.cloud.client().await;

    let arguments = serde_json::json!({"token": 6});
    let reply = client.call_json("ledger", "book", arguments).await.unwrap();

    assert_eq!(reply.value, 12);
    assert_eq!(parts.ledger.effects()[&6], 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_left_and_never_came_is_begun_by_its_repeat() {
    let parts = breaking(Limits::default(), |_| false).await;
    let (client, node) = (identity(CLIENT).public(), identity(0).public());
    parts.cloud.network.partition_one_way([client], [node]);
    let call = tokio::spawn({
        let client = parts.client.clone();
        async move { client.book(1).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;

    cut(&parts.cloud.network);
    parts.cloud.network.heal();

    assert_eq!(call.await.unwrap().unwrap(), 2);
    assert_eq!(parts.ledger.effects()[&1], 1);
}

/// The client finds the link broken before the node does; the call and its repeat arrive over two
/// links, in either order.
#[tokio::test(start_paused = true)]
async fn a_call_that_comes_late_over_a_link_given_up_takes_effect_once() {
    for seed in 0..15 {
        let network = Network::new(seed);
        let ledger = Ledger::new(|_| {});
        let cloud = Cloud::on(network, 1, |_, node| node.service(ledger.clone())).await;
        let mut impatient = Limits::default();
        impatient.keep_alive = Duration::from_millis(200);
        let client = Client::builder()
            .transport(cloud.transport(CLIENT))
            .limits(impatient)
            .nodes([cloud.nodes[0].endpoint()])
            .connect()
            .await
            .unwrap();
        let (here, there) = (client.key(), cloud.nodes[0].key());
        let delays = Duration::ZERO..=Duration::from_millis(200);
        cloud.network.delay(delays);
        let client = LedgerClient::new(client);
        cloud.network.partition([here], [there]);
        let calls: Vec<_> = (0..5)
            .map(|token| {
                let client = client.clone();
                tokio::spawn(async move { client.book(token).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(1500)).await;

        cloud.network.heal();

        for call in calls {
            call.await.unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let once = (0..5).map(|token| (token, 1)).collect();
        assert_eq!(ledger.effects(), once, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_not_kept_leaves_the_outcome_unknown() {
    let mut limits = Limits::default();
    limits.replies = 0;
    let parts = breaking(limits, |_| true).await;

    let error = parts.client.book(1).await.unwrap_err();

    assert_eq!(error.code(), Code::UnknownOutcome, "{error}");
    assert_eq!(parts.ledger.effects()[&1], 1);
}

#[tokio::test(start_paused = true)]
async fn a_reply_too_large_to_be_kept_leaves_the_outcome_unknown() {
    let parts = breaking(Limits::default(), |_| true).await;

    let small = parts.client.book_in_many_words(1, 60 << 10).await.unwrap();
    let large = parts.client.book_in_many_words(2, 70 << 10).await;

    assert_eq!(small.len(), 60 << 10);
    assert_eq!(large.unwrap_err().code(), Code::UnknownOutcome);
    assert_eq!(parts.ledger.effects(), BTreeMap::from([(1, 1), (2, 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_reply_with_a_blob_is_not_kept() {
    let parts = breaking(Limits::default(), |_| true).await;

    let error = parts.client.book_with_picture(1).await.unwrap_err();

    assert_eq!(error.code(), Code::UnknownOutcome);
    assert_eq!(parts.ledger.effects()[&1], 1);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_after_forgetting_is_not_served() {
    let mut limits = Limits::default();
    // The link stands anew within milliseconds.
    limits.replies_kept = Duration::ZERO;
    let parts = breaking(limits, |_| true).await;

    let error = parts.client.book(1).await.unwrap_err();

    assert_eq!(error.code(), Code::UnknownOutcome, "{error}");
    assert_eq!(parts.ledger.effects()[&1], 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_only_as_long_as_its_reply_would_be_kept() {
    let mut limits = Limits::default();
    limits.replies_kept = Duration::from_secs(5);
    let parts = breaking(limits, |_| false).await;
    let call = tokio::spawn({
        let client = parts.client.clone();
        async move { client.book_slowly(4).await }
    });
    eventually("the call has its effect", || async {
        parts.ledger.effects().len() == 1
    })
    .await;
    let (here, there) = (identity(CLIENT).public(), identity(0).public());
    parts.cloud.network.cut(here, there);
    parts.cloud.network.partition([here], [there]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(parts.ledger.dropped.load(Ordering::SeqCst), 0);

    eventually("it is stopped", || async {
        parts.ledger.dropped.load(Ordering::SeqCst) == 1
    })
    .await;

    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_began_a_new_life_is_not_asked_again() {
    let mut parts = breaking(Limits::default(), |_| false).await;
    let call = tokio::spawn({
        let client = parts.client.clone();
        async move { client.book_slowly(4).await }
    });
    eventually("the call has its effect", || async {
        parts.ledger.effects().len() == 1
    })
    .await;

    drop(parts.cloud.nodes.remove(0));
    eventually("the call ends with its node", || async {
        parts.ledger.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
    let again = builder(&parts.cloud.network, 0, &[endpoint(0)]);
    let _node = again.service(parts.ledger.clone()).start().await.unwrap();

    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome);
    assert!(error.message().contains("anew"), "{error}");
    assert_eq!(parts.ledger.effects()[&4], 1);
}

#[tokio::test(start_paused = true)]
async fn the_repeat_does_not_go_to_another_node() {
    let network = Network::new(7);
    let ledgers: Vec<_> = (0..3)
        .map(|_| {
            let network = network.clone();
            Ledger::new(move |_| {
                for place in 0..3 {
                    network.cut(identity(CLIENT).public(), identity(place).public());
                }
            })
        })
        .collect();
    let cloud = Cloud::on(network, 3, |place, node| {
        node.service(ledgers[place].clone())
    })
    .await;
    let client = LedgerClient::new(cloud.client().await);

    for token in 0..30 {
        client.book(token).await.unwrap();
    }

    let counts = ledgers.iter().flat_map(|ledger| ledger.effects());
    let mut all: Vec<_> = counts.collect();
    all.sort_unstable();
    let once: Vec<_> = (0..30).map(|token| (token, 1)).collect();
    assert_eq!(all, once);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_stops_the_call_at_once() {
    let parts = breaking(Limits::default(), |_| false).await;
    let call = tokio::spawn({
        let client = parts.client.clone();
        async move { client.book_slowly(4).await }
    });
    eventually("the call has its effect", || async {
        parts.ledger.effects().len() == 1
    })
    .await;

    call.abort();

    eventually("it is dropped", || async {
        parts.ledger.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_refused_where_it_would_be_repeated_goes_elsewhere() {
    let network = Network::new(7);
    let ledgers: Vec<_> = (0..2).map(|_| Ledger::new(|_| {})).collect();
    let cloud = Cloud::on(network, 2, |place, node| {
        node.service(ledgers[place].clone())
    })
    .await;
    let client = LedgerClient::new(cloud.client().await);
    let (here, first) = (identity(CLIENT).public(), cloud.nodes[0].key());
    cloud.network.partition_one_way([here], [first]);
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.book_alone(5).prefer(first).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let held = tokio::spawn({
        let other = LedgerClient::new(&cloud.nodes[1]);
        async move { other.book_alone(1).to(first).await }
    });
    eventually("the node is full", || async {
        ledgers[0].effects().len() == 1
    })
    .await;

    cloud.network.cut(here, first);
    cloud.network.heal();

    eventually("it is served elsewhere", || async {
        ledgers[1].effects().len() == 1
    })
    .await;
    ledgers[1].go_on.notify_waiters();
    assert_eq!(call.await.unwrap().unwrap(), 10);
    ledgers[0].go_on.notify_waiters();
    held.await.unwrap().unwrap();
    assert_eq!(ledgers[0].effects(), BTreeMap::from([(1, 1)]));
    assert_eq!(ledgers[1].effects(), BTreeMap::from([(5, 1)]));
}
