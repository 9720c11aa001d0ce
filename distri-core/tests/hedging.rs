//! A call that takes long is asked of a second node too: who answers, who is cancelled, how often.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world"
)]

extern crate distri_core as distri;

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use distri::{Blob, Client, Code, Context, Result, Stream, id::PublicKey};
use support::{Cloud, eventually};

/// Answers at once, or never.
struct Clerk {
    is_frozen: bool,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    begun: AtomicU64,
    cancelled: AtomicU64,
}

impl Counts {
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    fn cancelled(&self) -> u64 {
        self.cancelled.load(Ordering::SeqCst)
    }
}

/// Counts a call that ends without an answer.
struct Unanswered(Arc<Counts>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::SeqCst);
    }
}

#[distri::service(register = false)]
impl Clerk {
    #[method(idempotent)]
    async fn ask(&self, cx: &Context) -> Result<PublicKey> {
        self.answer().await;
        Ok(cx.node().key())
    }

    #[method(idempotent)]
    async fn weigh(&self, parcel: Blob) -> Result<Option<u64>> {
        self.answer().await;
        Ok(parcel.len())
    }

    #[method(idempotent)]
    async fn list(&self) -> Result<Stream<u32>> {
        self.answer().await;
        Ok(Stream::channel(1).1)
    }

    #[method(idempotent, hedge = "30ms")]
    async fn inquire(&self, cx: &Context) -> Result<PublicKey> {
        self.answer().await;
        Ok(cx.node().key())
    }

    async fn order(&self) -> Result<()> {
        self.answer().await;
        Ok(())
    }
}

impl Clerk {
    async fn answer(&self) {
        self.counts.begun.fetch_add(1, Ordering::SeqCst);
        if self.is_frozen {
            let _unanswered = Unanswered(self.counts.clone());
            std::future::pending::<()>().await;
        }
    }
}

/// Three nodes, the first of which never answers, and a client.
struct Office {
    _cloud: Cloud,
    client: Client,
    clerk: ClerkClient,
    frozen: PublicKey,
    counts: Vec<Arc<Counts>>,
}

async fn office() -> Office {
    let counts: Vec<Arc<Counts>> = (0..3).map(|_| Arc::default()).collect();
    let cloud = Cloud::of(3, |place, node| {
        node.service(Clerk {
            is_frozen: place == 0,
            counts: counts[place].clone(),
        })
    })
    .await;
    let client = cloud.client().await;
    Office {
        clerk: ClerkClient::new(&client),
        frozen: cloud.nodes[0].key(),
        client,
        _cloud: cloud,
        counts,
    }
}

impl Office {
    /// Calls of `method` of which a second node was asked.
    fn hedges(&self, method: &str) -> u64 {
        let stats = self.client.stats();
        let of_method = stats.iter().find(|stats| stats.method == method);
        of_method.map_or(0, |stats| stats.hedges)
    }

    /// Calls that came to the nodes which answer.
    fn answered(&self) -> u64 {
        self.counts[1].begun() + self.counts[2].begun()
    }
}

const AFTER: Duration = Duration::from_millis(30);

/// Within which only a call ends that meets a node which answers.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn calls_that_meet_a_frozen_node_are_answered_by_another_and_cancelled_there() {
    let office = office().await;

    for _ in 0..10 {
        let call = office.clerk.ask().prefer(office.frozen).hedge(AFTER);
        assert_ne!(call.await.unwrap(), office.frozen);
    }

    let frozen = &office.counts[0];
    eventually("what hangs is cancelled", || async {
        frozen.cancelled() == 10
    })
    .await;
    assert_eq!(frozen.begun(), 10);
    assert_eq!((office.answered(), office.hedges("ask")), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_method_that_says_hedge_is_answered_by_another_node_than_the_frozen_one() {
    let office = office().await;

    for _ in 0..10 {
        let call = office.clerk.inquire().prefer(office.frozen);
        assert_ne!(call.timeout(SOON).await.unwrap(), office.frozen);
    }

    assert_eq!(office.counts[0].begun(), 10);
    assert_eq!((office.answered(), office.hedges("inquire")), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_says_of_hedging_holds_before_what_the_method_says() {
    let office = office().await;
    let inquire = || {
        let call = office.clerk.inquire().prefer(office.frozen);
        call.timeout(SOON)
    };

    let never = inquire().without_hedge().await.unwrap_err();
    let too_late = inquire().hedge(SOON * 2).await.unwrap_err();
    let in_time = inquire().hedge(SOON / 2).await.unwrap();

    for error in [never, too_late] {
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    }
    assert_ne!(in_time, office.frozen);
    assert_eq!((office.counts[0].begun(), office.answered()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_answered_in_time_are_made_once() {
    let office = office().await;
    let quick = office._cloud.nodes[1].key();

    for _ in 0..50 {
        let call = office.clerk.ask().prefer(quick).hedge(AFTER);
        assert_eq!(call.await.unwrap(), quick);
    }

    assert_eq!((office.answered(), office.hedges("ask")), (50, 0));
    assert_eq!(office.counts[0].begun(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_hedged_than_the_budget_has() {
    let office = office().await;
    let mut helped = 0;

    for _ in 0..60 {
        let call = office.clerk.ask().prefer(office.frozen).hedge(AFTER);
        match call.timeout(SOON).await {
            Ok(_) => helped += 1,
            Err(error) => assert_eq!(error.code(), Code::DeadlineExceeded, "{error}"),
        }
    }

    // Ten that were saved, and a tenth.
    assert!((10..=16).contains(&helped), "{helped}");
    assert_eq!((office.answered(), office.hedges("ask")), (helped, helped));
    assert_eq!(office.counts[0].begun(), 60);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_an_effect_is_refused_before_it_is_asked_once() {
    let office = office().await;

    let refused = office.clerk.order().hedge(AFTER).await.unwrap_err();

    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("`clerk.order`"), "{refused}");
    assert_eq!(office.counts.iter().map(|c| c.begun()).sum::<u64>(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_streams_in_either_direction_is_asked_once() {
    let office = office().await;
    // Too large to travel with the other arguments.
    let parcel = Blob::from(Bytes::from(vec![7; 1 << 20]));

    let weighed = office.clerk.weigh(parcel).prefer(office.frozen);
    let weighed = weighed.hedge(AFTER).timeout(SOON).await.unwrap_err();
    let listed = office.clerk.list().prefer(office.frozen);
    let listed = listed.hedge(AFTER).timeout(SOON).await.unwrap_err();

    for error in [weighed, listed] {
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    }
    assert_eq!((office.counts[0].begun(), office.answered()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_for_one_node_goes_to_no_other() {
    let office = office().await;

    let call = office.clerk.ask().to(office.frozen).hedge(AFTER);
    let error = call.timeout(SOON).await.unwrap_err();

    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert_eq!((office.counts[0].begun(), office.answered()), (1, 0));
}
