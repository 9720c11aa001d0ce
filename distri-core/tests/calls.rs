//! Calls as authors and callers see them: the four shapes, errors, deadlines, cancellation, bounds.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use distri::{Blob, Code, Context, Result, ServiceError, Stream};
use support::{Cloud, eventually};

#[distri::message]
#[derive(Debug, PartialEq, thiserror::Error)]
enum Refusal {
    #[error("only {left} left")]
    Few { left: u32 },
}

impl ServiceError for Refusal {
    fn code(&self) -> Code {
        Code::FailedPrecondition
    }
}

#[derive(Default, Clone)]
struct Lab {
    begun: Arc<AtomicU32>,
    dropped: Arc<AtomicU32>,
    produced: Arc<AtomicU32>,
}

/// Counts when a call's future is dropped.
struct CountsDrop(Arc<AtomicU32>);

impl Drop for CountsDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A service that does what the tests ask.
#[distri::service(register = false)]
impl Lab {
    /// Adds.
    #[method(idempotent)]
    async fn add(&self, a: u32, b: u32) -> Result<u32> {
        Ok(a + b)
    }

    /// Fails in the author's own way.
    async fn take(&self, wanted: u32) -> Result<u32, Refusal> {
        if wanted > 2 {
            Err(Refusal::Few { left: 2 })
        } else {
            Ok(wanted)
        }
    }

    async fn panic(&self) -> Result<()> {
        panic!("as asked")
    }

    async fn panic_later(&self) -> Result<()> {
        tokio::task::yield_now().await;
        panic!("as asked")
    }

    /// Never answers.
    #[method(concurrency = 2)]
    async fn hang(&self) -> Result<()> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _guard = CountsDrop(self.dropped.clone());
        std::future::pending().await
    }

    /// Calls `hang` on any node through the node's own client.
    async fn hang_elsewhere(&self, cx: &Context, hops: u32) -> Result<()> {
        let client = LabClient::new(cx);
        if hops == 0 {
            client.hang().await
        } else {
            client.hang_elsewhere(hops - 1).await
        }
    }

    /// Milliseconds left to the call that it makes.
    async fn left_at_next_hop(&self, cx: &Context, further: bool) -> Result<u64> {
        if further {
            return LabClient::new(cx).left_at_next_hop(false).await;
        }
        Ok(cx
            .remaining()
            .map_or(u64::MAX, |left| left.as_millis() as u64))
    }

    async fn trace(&self, cx: &Context, further: bool) -> Result<Vec<String>> {
        let mut traces = vec![cx.trace().to_string()];
        if further {
            traces.extend(LabClient::new(cx).trace(false).await?);
        }
        Ok(traces)
    }

    async fn reverse(&self, blob: Blob) -> Result<Blob> {
        let mut bytes = blob.bytes(64 << 20).await?.to_vec();
        bytes.reverse();
        Ok(Blob::from(bytes))
    }

    /// Numbers without end.
    async fn numbers(&self) -> Result<Stream<Vec<u8>>> {
        let produced = self.produced.clone();
        Ok(Stream::from_items((0_u32..).map(move |_| {
            produced.fetch_add(1, Ordering::SeqCst);
            vec![7; 10_000]
        })))
    }

    async fn sum(&self, mut numbers: Stream<u64>) -> Result<u64> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number?;
        }
        Ok(sum)
    }

    async fn doubled(&self, mut numbers: Stream<u64>) -> Result<Stream<u64>> {
        let (sender, doubled) = Stream::channel(4);
        tokio::spawn(async move {
            while let Some(Ok(number)) = numbers.next().await {
                if sender.send(number * 2).await.is_err() {
                    return;
                }
            }
        });
        Ok(doubled)
    }

    async fn fails_midway(&self) -> Result<Stream<u32>> {
        let (sender, stream) = Stream::channel(4);
        tokio::spawn(async move {
            let _ = sender.send(1).await;
            let _ = sender.fail(Refusal::Few { left: 0 }).await;
        });
        Ok(stream)
    }

    async fn works(&self, cx: &Context) -> Result<u32> {
        cx.progress(0.5, "half way");
        cx.blocking(|| 6 * 7).await
    }

    #[method(access = role("admin"))]
    async fn admin_only(&self) -> Result<()> {
        Ok(())
    }

    #[method(access = node)]
    async fn nodes_only(&self) -> Result<()> {
        Ok(())
    }

    /// Reaches `nodes_only` from a node.
    async fn through_a_node(&self, cx: &Context) -> Result<()> {
        LabClient::new(cx).nodes_only().await
    }
}

async fn one_node() -> (Cloud, LabClient, Lab) {
    let lab = Lab::default();
    let cloud = Cloud::of(1, |_, node| node.service(lab.clone())).await;
    let client = LabClient::new(cloud.client().await);
    (cloud, client, lab)
}

#[tokio::test]
async fn a_call_is_answered() {
    let (_cloud, lab, _) = one_node().await;

    assert_eq!(lab.add(2, 3).await.unwrap(), 5);
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_answered_each_with_its_own_result() {
    let (_cloud, lab, _) = one_node().await;
    let calls: Vec<_> = (0..1000)
        .map(|n| {
            let lab = lab.clone();
            tokio::spawn(async move { (n, lab.add(n, 1).await.unwrap()) })
        })
        .collect();

    for call in calls {
        let (n, sum) = call.await.unwrap();
        assert_eq!(sum, n + 1);
    }
}

#[tokio::test]
async fn an_authors_error_comes_back_typed() {
    let (_cloud, lab, _) = one_node().await;

    let error = lab.take(3).await.unwrap_err();

    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.details(), Some(Refusal::Few { left: 2 }));
    assert_eq!(error.message(), "only 2 left");
}

#[tokio::test]
async fn a_panic_fails_its_own_call_only() {
    let (_cloud, lab, _) = one_node().await;

    assert_eq!(lab.panic().await.unwrap_err().code(), Code::Internal);
    assert_eq!(lab.panic_later().await.unwrap_err().code(), Code::Internal);

    assert_eq!(lab.add(1, 1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_blob_goes_and_comes_whole() {
    let (_cloud, lab, _) = one_node().await;
    for size in [0, 1, 100_000, 20 << 20] {
        let bytes: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();

        let reversed = lab.reverse(Blob::from(bytes.clone())).await.unwrap();

        let mut reversed = reversed.bytes(64 << 20).await.unwrap().to_vec();
        reversed.reverse();
        assert!(
            reversed == bytes,
            "a blob of {size} bytes came back changed"
        );
    }
}

#[tokio::test]
async fn a_client_stream_arrives_in_whole() {
    let (_cloud, lab, _) = one_node().await;

    let sum = lab.sum(Stream::from_items(0..10_000)).await.unwrap();

    assert_eq!(sum, 9_999 * 10_000 / 2);
}

#[tokio::test]
async fn streams_flow_both_ways_at_once() {
    let (_cloud, lab, _) = one_node().await;
    let (sender, numbers) = Stream::channel(1);

    let mut doubled = lab.doubled(numbers).await.unwrap();

    for n in 0..100 {
        sender.send(n).await.unwrap();
        assert_eq!(doubled.next().await.unwrap().unwrap(), n * 2);
    }
    drop(sender);
    assert!(doubled.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_fails_gives_its_items_and_then_the_typed_error() {
    let (_cloud, lab, _) = one_node().await;

    let mut stream = lab.fails_midway().await.unwrap();

    assert_eq!(stream.next().await.unwrap().unwrap(), 1);
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.details(), Some(Refusal::Few { left: 0 }));
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_sender_goes_no_further_than_the_window_of_a_reader_that_does_not_read() {
    let (_cloud, lab, counts) = one_node().await;

    let mut numbers = lab.numbers().await.unwrap();
    numbers.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;

    let window = distri::Config::default().limits.channel_window;
    let produced = counts.produced.load(Ordering::SeqCst);
    assert!(
        produced * 10_000 < 2 * window,
        "{produced} items of 10,000 bytes were produced"
    );
}

#[tokio::test]
async fn dropping_a_stream_stops_its_sender() {
    let (_cloud, lab, counts) = one_node().await;
    let mut numbers = lab.numbers().await.unwrap();
    numbers.next().await.unwrap().unwrap();

    drop(numbers);

    let produced = || counts.produced.load(Ordering::SeqCst);
    let mut before = u32::MAX;
    eventually("the sender stops", || {
        let now = produced();
        let stopped = now == before;
        before = now;
        async move { stopped }
    })
    .await;
    assert_eq!(lab.add(1, 1).await.unwrap(), 2);
}

#[tokio::test]
async fn dropping_a_call_drops_it_at_the_node() {
    let (_cloud, lab, counts) = one_node().await;
    let call = tokio::spawn({
        let lab = lab.clone();
        async move { lab.hang().await }
    });
    eventually("the call begins", || async {
        counts.begun.load(Ordering::SeqCst) == 1
    })
    .await;

    call.abort();

    eventually("the call is dropped", || async {
        counts.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn dropping_a_call_drops_what_it_called_in_turn() {
    let lab = Lab::default();
    let cloud = Cloud::of(3, |_, node| node.service(lab.clone())).await;
    let client = LabClient::new(cloud.client().await);
    let call = tokio::spawn(async move { client.hang_elsewhere(3).await });
    eventually("the last hop begins", || async {
        lab.begun.load(Ordering::SeqCst) == 1
    })
    .await;

    call.abort();

    eventually("the last hop is dropped", || async {
        lab.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_call_at_both_ends() {
    let (_cloud, lab, counts) = one_node().await;

    let error = lab
        .hang()
        .timeout(Duration::from_millis(300))
        .await
        .unwrap_err();

    assert_eq!(error.code(), Code::DeadlineExceeded);
    eventually("the call is dropped", || async {
        counts.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_before_it_arrived_answers_no_other_call() {
    let lab = Lab::default();
    let cloud = Cloud::of(1, |_, node| node.service(lab.clone())).await;
    let client = cloud.client().await;
    let calls = LabClient::new(client.clone());
    // The call and the word that it is given up are held up, and arrive together.
    cloud
        .network
        .partition_one_way([client.key()], [cloud.nodes[0].key()]);
    let first = calls.hang().timeout(Duration::from_millis(300)).await;
    assert_eq!(first.unwrap_err().code(), Code::DeadlineExceeded);
    cloud.network.heal();

    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        let later = calls.hang().timeout(Duration::from_millis(900)).await;
        assert_eq!(later.unwrap_err().code(), Code::DeadlineExceeded);
    }

    assert!(
        began.elapsed() >= Duration::from_millis(2700),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        lab.begun.load(Ordering::SeqCst),
        3,
        "the first is not served"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_inherited_as_time_remaining() {
    let lab = Lab::default();
    let cloud = Cloud::of(2, |_, node| node.service(lab.clone())).await;
    let client = LabClient::new(cloud.client().await);

    let left = client
        .left_at_next_hop(true)
        .timeout(Duration::from_millis(1500))
        .await
        .unwrap();

    assert!((1000..=1500).contains(&left), "{left} ms were left");
}

#[tokio::test]
async fn a_trace_is_the_same_at_every_hop() {
    let lab = Lab::default();
    let cloud = Cloud::of(2, |_, node| node.service(lab.clone())).await;

    let traces = LabClient::new(cloud.client().await)
        .trace(true)
        .await
        .unwrap();

    assert_eq!(traces.len(), 2);
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0], "0".repeat(32));
}

#[tokio::test]
async fn calls_beyond_a_methods_bound_are_refused_at_once() {
    let (_cloud, lab, counts) = one_node().await;
    let hold = |lab: LabClient| tokio::spawn(async move { lab.hang().await });
    let (one, two) = (hold(lab.clone()), hold(lab.clone()));
    eventually("two calls are served", || async {
        counts.begun.load(Ordering::SeqCst) == 2
    })
    .await;

    let error = lab.hang().await.unwrap_err();

    assert_eq!(error.code(), Code::Busy);
    assert!(error.retry_after().is_some());
    one.abort();
    two.abort();
}

#[tokio::test]
async fn progress_reaches_the_caller() {
    let (_cloud, lab, _) = one_node().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();

    let result = lab
        .works()
        .on_progress(move |progress| tell.send(progress).unwrap())
        .await;

    assert_eq!(result.unwrap(), 42);
    let progress = told.recv().await.unwrap();
    assert_eq!(
        (progress.fraction, progress.note.as_str()),
        (0.5, "half way")
    );
}

#[tokio::test]
async fn a_method_for_a_role_refuses_others_and_says_for_whom_it_is() {
    let (_cloud, lab, _) = one_node().await;

    let error = lab.admin_only().await.unwrap_err();

    assert_eq!(error.code(), Code::Denied);
    assert!(error.message().contains("admin"), "{error}");
}

#[tokio::test]
async fn a_method_for_nodes_is_open_to_nodes_only() {
    let (_cloud, lab, _) = one_node().await;

    assert_eq!(lab.nodes_only().await.unwrap_err().code(), Code::Denied);
    lab.through_a_node().await.unwrap();
}

#[tokio::test]
async fn a_call_by_name_takes_and_gives_json() {
    let (cloud, _, _) = one_node().await;
    let client = cloud.client().await;

    let reply = client
        .call_json("lab", "add", serde_json::json!({"a": 1, "b": 2}))
        .await
        .unwrap();

    assert_eq!(reply.value, 3);
    assert_eq!(reply.node, cloud.nodes[0].key());
}

#[tokio::test]
async fn a_call_by_name_with_a_wrong_field_names_the_field() {
    let (cloud, _, _) = one_node().await;
    let client = cloud.client().await;

    let error = client
        .call_json("lab", "add", serde_json::json!({"a": 1, "b": "x"}))
        .await
        .unwrap_err();

    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("`b`"), "{error}");
}

#[tokio::test]
async fn an_unknown_service_is_told_with_those_that_there_are() {
    let (cloud, _, _) = one_node().await;
    let client = cloud.client().await;

    let unknown = client
        .call_json("laboratory", "add", serde_json::json!({}))
        .await
        .unwrap_err();
    let no_method = client
        .call_json("lab", "ad", serde_json::json!({}))
        .await
        .unwrap_err();

    assert_eq!(unknown.code(), Code::UnknownService);
    assert!(unknown.message().contains("lab"), "{unknown}");
    assert_eq!(no_method.code(), Code::UnknownMethod);
}

#[tokio::test]
async fn a_message_over_the_bound_is_refused_with_advice() {
    let (cloud, _, _) = one_node().await;
    let client = cloud.client().await;
    let text = "x".repeat(17 << 20);

    let error = client
        .call_json("lab", "add", serde_json::json!({ "a": text }))
        .await
        .unwrap_err();

    assert_eq!(error.code(), Code::TooLarge);
    assert!(error.message().contains("Blob"), "{error}");
}

#[tokio::test]
async fn nodes_describe_their_services() {
    let (cloud, _, _) = one_node().await;

    let services = cloud.client().await.describe().await.unwrap();

    let lab = services
        .iter()
        .find(|service| service.name == "lab")
        .unwrap();
    assert_eq!(lab.docs, "A service that does what the tests ask.");
    let add = lab
        .methods
        .iter()
        .find(|method| method.name == "add")
        .unwrap();
    assert_eq!(
        (add.docs.as_str(), add.shape.as_str(), add.idempotent),
        ("Adds.", "unary", true)
    );
    let sum = lab
        .methods
        .iter()
        .find(|method| method.name == "sum")
        .unwrap();
    assert_eq!(sum.shape, "client stream");
}

#[tokio::test]
async fn counts_tell_what_a_node_has_served() {
    let (cloud, lab, _) = one_node().await;
    lab.add(1, 2).await.unwrap();
    lab.take(3).await.unwrap_err();

    let status = cloud.client().await.status(None).await.unwrap();

    let of = |name: &str| {
        status
            .methods
            .iter()
            .find(|method| method.name == name)
            .unwrap()
    };
    assert_eq!((of("lab.add").served, of("lab.add").failed), (1, 0));
    assert_eq!((of("lab.take").served, of("lab.take").failed), (1, 1));
}

/// An older version of a service, and a newer one with a field more.
mod versions {
    use distri::Result;

    #[distri::message]
    #[derive(Debug, PartialEq)]
    pub(crate) struct OldSize {
        pub width: u32,
        pub height: u32,
    }

    #[distri::message]
    #[derive(Debug, PartialEq)]
    pub(crate) struct NewSize {
        pub height: u32,
        pub width: u32,
        #[serde(default)]
        pub depth: u32,
    }

    #[distri::message]
    #[derive(Debug, PartialEq)]
    pub(crate) struct OtherSize {
        pub radius: u32,
    }

    #[derive(Default)]
    pub(crate) struct Old;
    #[distri::service(name = "sizes", register = false)]
    impl Old {
        async fn area(&self, size: OldSize) -> Result<u32> {
            Ok(size.width * 1000 + size.height)
        }
    }

    pub(crate) struct New;
    #[distri::service(name = "sizes", register = false)]
    impl New {
        async fn area(&self, size: NewSize) -> Result<u32> {
            Ok(size.width * 1000 + size.height + size.depth)
        }
    }
    #[derive(Default)]
    pub(crate) struct Other;
    #[distri::service(name = "sizes", register = false)]
    impl Other {
        async fn area(&self, size: OtherSize) -> Result<u32> {
            Ok(size.radius)
        }
    }
}

#[tokio::test]
async fn programs_with_different_schemas_that_fit_understand_each_other() {
    let cloud = Cloud::of(1, |_, node| node.service(versions::New)).await;
    let old = versions::OldClient::new(cloud.client().await);

    let area = old
        .area(versions::OldSize {
            width: 640,
            height: 480,
        })
        .await
        .unwrap();

    assert_eq!(area, 640_480);
}

#[tokio::test]
async fn programs_whose_schemas_do_not_fit_get_an_error_that_names_the_field() {
    let cloud = Cloud::of(1, |_, node| node.service(versions::New)).await;
    let other = versions::OtherClient::new(cloud.client().await);

    let error = other
        .area(versions::OtherSize { radius: 1 })
        .await
        .unwrap_err();

    assert_eq!(error.code(), Code::Incompatible);
    assert!(error.message().contains("height"), "{error}");
}
