//! Results that stream: what was partly read is never continued elsewhere, but may be asked for anew.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests drive nodes as a program does, and may panic"
)]

extern crate distri_core as distri;

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use distri::{Code, Error, Result, Stream, client::Whole};
use support::{Cloud, identity};

/// Gives numbers; the first time, the link breaks in the middle.
#[derive(Clone)]
struct Numbers {
    asked: Arc<AtomicU32>,
    cut: Arc<dyn Fn() + Send + Sync>,
}

#[distri::service(register = false)]
impl Numbers {
    #[method(idempotent)]
    async fn up_to(&self, last: u32) -> Result<Stream<u32>> {
        let breaks = self.asked.fetch_add(1, Ordering::SeqCst) == 0;
        let (sender, numbers) = Stream::channel(1);
        let cut = self.cut.clone();
        tokio::spawn(async move {
            for number in 1..=last {
                if breaks && number == 3 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    cut();
                }
                if sender.send(number).await.is_err() {
                    return;
                }
            }
        });
        Ok(numbers)
    }
}

async fn numbers() -> (Cloud, NumbersClient, Numbers) {
    let network = distri::transport::memory::Network::new(7);
    let numbers = Numbers {
        asked: Arc::default(),
        cut: Arc::new({
            let network = network.clone();
            move || network.cut(identity(200).public(), identity(0).public())
        }),
    };
    let cloud = Cloud::on(network, 1, |_, node| node.service(numbers.clone())).await;
    let client = NumbersClient::new(cloud.client().await);
    (cloud, client, numbers)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_not_continued() {
    let (_cloud, client, numbers) = numbers().await;

    let mut stream = client.up_to(5).await.unwrap();
    let mut read = Vec::new();
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(number) => read.push(number),
            Err(error) => break error,
        }
    };

    assert_eq!(read, [1, 2]);
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_eq!(numbers.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_whole_is_done_again_when_its_stream_breaks() {
    let (_cloud, client, numbers) = numbers().await;

    let whole = Whole::within(Duration::from_secs(60));
    let read = whole.run(|left| {
        let client = client.clone();
        async move {
            let mut stream = client.up_to(5).timeout(left).await?;
            let mut read = Vec::new();
            while let Some(number) = stream.next().await {
                read.push(number?);
            }
            Ok(read)
        }
    });

    assert_eq!(read.await.unwrap(), [1, 2, 3, 4, 5]);
    assert_eq!(numbers.asked.load(Ordering::SeqCst), 2);
}

/// Work that fails with these, one after the other; how often it was begun.
async fn failing(patience: Duration, codes: &[Code]) -> (Result<()>, usize) {
    let left = Mutex::new(codes.iter().copied());
    let begun = AtomicU32::new(0);
    let result = Whole::within(patience)
        .run(|_| {
            begun.fetch_add(1, Ordering::SeqCst);
            let next = left.lock().unwrap().next();
            async move {
                match next {
                    Some(code) => Err(Error::new(code, "as asked")),
                    None => Ok(()),
                }
            }
        })
        .await;
    (result, begun.load(Ordering::SeqCst) as usize)
}

#[tokio::test(start_paused = true)]
async fn what_another_try_does_not_mend_is_told_at_once() {
    let minute = Duration::from_secs(60);

    let (result, begun) = failing(minute, &[Code::Busy, Code::InvalidArgument]).await;

    assert_eq!(result.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(begun, 2);
}

#[tokio::test(start_paused = true)]
async fn nodes_that_go_away_again_and_again_are_given_up() {
    let minute = Duration::from_secs(60);

    let (result, begun) = failing(minute, &[Code::UnknownOutcome; 100]).await;

    assert_eq!(result.unwrap_err().code(), Code::UnknownOutcome);
    assert_eq!(begun, 6);
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_busy_are_tried_until_the_time_is_over() {
    let start = tokio::time::Instant::now();

    let (result, begun) = failing(Duration::from_secs(5), &[Code::Busy; 10_000]).await;

    assert_eq!(result.unwrap_err().code(), Code::Busy);
    assert!(begun > 6, "{begun}");
    assert!(start.elapsed() <= Duration::from_secs(5));
}
