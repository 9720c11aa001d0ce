//! Instructions a call, counted by valgrind: a figure that a busy machine does not disturb.
//!
//! Each way is run twice with different numbers of calls; the difference leaves out starting and
//! stopping.

use std::{hint::black_box, process::Command};

use bytes::Bytes;
use distri::Result;

use super::{
    bare::{self, Handler},
    over_distri::{self, Echo, EchoClient},
    system::Connection,
};

const CALLS: [u32; 2] = [1_000, 5_000];

/// How the method is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The method awaited, boxed once.
    Direct,
    /// By the client of the node that hosts it, in this process.
    Local,
    /// Over a link, so many in flight; both ends are counted.
    Link(u32),
    /// Over a link of bare frames; both ends are counted.
    Bare(u32),
}

impl Way {
    const ALL: [Self; 6] = [
        Self::Direct,
        Self::Local,
        Self::Link(1),
        Self::Link(64),
        Self::Bare(1),
        Self::Bare(64),
    ];

    fn name(self) -> String {
        match self {
            Self::Direct => "direct".to_owned(),
            Self::Local => "local".to_owned(),
            Self::Link(in_flight) => format!("link-{in_flight}"),
            Self::Bare(in_flight) => format!("bare-{in_flight}"),
        }
    }
}

/// Runs every way under valgrind and prints what a call costs.
pub(crate) fn count() {
    println!("{:12}{:>24}", "", "instructions a call");
    for way in Way::ALL {
        let [few, many] = CALLS.map(|calls| collect(way, calls));
        let per_call = (many - few) as f64 / f64::from(CALLS[1] - CALLS[0]);
        println!("{:12}{per_call:>24.0}", way.name());
    }
}

fn collect(way: Way, calls: u32) -> i64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["loop", &way.name(), &calls.to_string()])
        .output()
        .expect("valgrind is installed");
    let talk = String::from_utf8_lossy(&output.stderr);
    let line = talk.lines().find(|line| line.contains("Collected"));
    line.and_then(|line| line.split_whitespace().last()?.parse().ok())
        .unwrap_or_else(|| panic!("valgrind counted nothing: {talk}"))
}

/// What is counted: `calls` calls in one thread.
pub(crate) fn calls(way: &str, calls: u32) {
    let way = Way::ALL.into_iter().find(|one| one.name() == way);
    let way = way.expect("direct, local, link-1, link-64, bare-1 or bare-64");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match way {
            Way::Direct => direct(calls).await,
            Way::Local => {
                let node = over_distri::start().await;
                repeat(Local(EchoClient::new(&node)), calls, 1).await;
            }
            Way::Link(in_flight) => {
                let (target, _node) = over_distri::serve().await;
                let large = over_distri::Large::Inside;
                let client = over_distri::connect(&target, over_distri::transport(), large).await;
                repeat(client, calls, in_flight).await;
            }
            Way::Bare(in_flight) => {
                let (target, serve) = bare::serve(Handler::Task).await;
                tokio::spawn(serve);
                repeat(bare::connect(&target).await, calls, in_flight).await;
            }
        }
    });
}

async fn direct(calls: u32) {
    let echo = black_box(Echo);
    let payload = Bytes::from(vec![7; 64]);
    for _ in 0..calls {
        let call: std::pin::Pin<Box<dyn Future<Output = Result<Bytes>> + Send>> =
            Box::pin(echo.echo(payload.clone()));
        assert_eq!(black_box(call).await.expect("a reply").len(), 64);
    }
}

#[derive(Clone)]
struct Local(EchoClient);

impl Connection for Local {
    async fn echo(&mut self, payload: Bytes) -> usize {
        self.0.echo(payload).await.expect("a reply").len()
    }

    async fn stream(&mut self) -> usize {
        unreachable!("only small calls are counted")
    }
}

async fn repeat<C: Connection>(connection: C, calls: u32, in_flight: u32) {
    let payload = Bytes::from(vec![7; 64]);
    let callers: Vec<_> = (0..in_flight)
        .map(|_| {
            let (mut connection, payload) = (connection.clone(), payload.clone());
            tokio::spawn(async move {
                for _ in 0..calls / in_flight {
                    assert_eq!(connection.echo(payload.clone()).await, 64);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("every call succeeds");
    }
}
