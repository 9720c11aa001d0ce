//! One case on one system: how the load is made, and what is noted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    ITEM, ITEMS,
    process::{Server, cpu_time},
    system::{Connection, System, Work},
};

/// Of so many calls in flight and more, every eighth is timed: reading the clock twice costs as
/// much as the cheapest system's call.
const SAMPLED_FROM: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Case {
    /// Unary echo of 64 bytes, so many in flight on one link.
    Small(usize),
    /// Unary echo of 1 MiB.
    Large(usize),
    /// A stream from the server.
    Stream,
    /// From nothing to the first reply.
    SetUp,
}

impl Case {
    pub(crate) const ALL: [Self; 7] = [
        Self::Small(1),
        Self::Small(64),
        Self::Small(1024),
        Self::Large(1),
        Self::Large(16),
        Self::Stream,
        Self::SetUp,
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Small(in_flight) => format!("echo-64B-{in_flight}"),
            Self::Large(in_flight) => format!("echo-1MiB-{in_flight}"),
            Self::Stream => format!("stream-{}KiB-{ITEMS}", ITEM / 1024),
            Self::SetUp => "set-up".to_owned(),
        }
    }

    pub(crate) fn applies_to(self, system: System) -> bool {
        match system {
            System::Tarpc => self != Self::Stream,
            // Only large bytes travel otherwise.
            System::DistriInside => matches!(self, Self::Large(_) | Self::Stream),
            _ => true,
        }
    }

    fn size(self) -> usize {
        match self {
            Self::Small(_) | Self::SetUp => 64,
            Self::Large(_) => 1 << 20,
            Self::Stream => ITEM,
        }
    }
}

/// What one measurement found.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Outcome {
    pub(crate) calls: u64,
    pub(crate) calls_per_second: f64,
    pub(crate) mib_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Set-up only: until the client says that it is connected.
    pub(crate) connected_p50_us: f64,
    pub(crate) server_cpu_us_per_call: f64,
    pub(crate) client_cpu_us_per_call: f64,
}

/// How long measurements take.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) set_ups: usize,
}

/// Runs `case` once on `system`, with a new link.
pub(crate) async fn measure(system: System, server: &Server, case: Case, span: Span) -> Outcome {
    let measurement = Measurement {
        server: server.id(),
        case,
        span,
    };
    system.with(&server.target, measurement).await
}

struct Measurement {
    server: u32,
    case: Case,
    span: Span,
}

impl Work for Measurement {
    type Output = Outcome;

    async fn run<C: Connection>(self, connect: impl AsyncFn() -> C) -> Outcome {
        let Self { server, case, span } = self;
        if case == Case::SetUp {
            return self.set_up(connect).await;
        }
        let connection = connect().await;
        self.load(&connection, span.warm_up).await;
        let before = (cpu_time(server), cpu_time(std::process::id()));
        let start = Instant::now();
        let mut times = self.load(&connection, span.measured).await;
        let seconds = start.elapsed().as_secs_f64();
        let calls = times.calls as f64;
        let per_call = |before, process| {
            let spent: Duration = cpu_time(process) - before;
            spent.as_secs_f64() * 1e6 / calls
        };
        // An item of a stream counts as a call.
        let bytes = calls * case.size() as f64;
        Outcome {
            calls: times.calls,
            calls_per_second: calls / seconds,
            mib_per_second: bytes / seconds / f64::from(1 << 20),
            p50_us: percentile(&mut times.nanos, 0.50),
            p99_us: percentile(&mut times.nanos, 0.99),
            connected_p50_us: 0.0,
            server_cpu_us_per_call: per_call(before.0, server),
            client_cpu_us_per_call: per_call(before.1, std::process::id()),
        }
    }
}

#[derive(Default)]
struct Times {
    calls: u64,
    nanos: Vec<u32>,
}

impl Measurement {
    async fn load<C: Connection>(&self, connection: &C, span: Duration) -> Times {
        let (in_flight, size) = match self.case {
            Case::Small(in_flight) | Case::Large(in_flight) => (in_flight, self.case.size()),
            Case::Stream => return stream(connection.clone()).await,
            Case::SetUp => unreachable!("it makes no load"),
        };
        let payload = Bytes::from(vec![7; size]);
        let stop = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..in_flight)
            .map(|_| {
                let caller = Caller {
                    connection: connection.clone(),
                    payload: payload.clone(),
                    stop: stop.clone(),
                };
                let large = matches!(self.case, Case::Large(_));
                let sampled = if in_flight < SAMPLED_FROM { 1 } else { 8 };
                tokio::spawn(caller.run(large, sampled))
            })
            .collect();
        tokio::time::sleep(span).await;
        stop.store(true, Ordering::Relaxed);
        let mut all = Times::default();
        for caller in callers {
            let times = caller.await.expect("every call succeeds");
            all.calls += times.calls;
            all.nanos.extend(times.nanos);
        }
        all
    }

    async fn set_up<C: Connection>(&self, connect: impl AsyncFn() -> C) -> Outcome {
        let before = (cpu_time(self.server), cpu_time(std::process::id()));
        let begun = Instant::now();
        let (mut connected, mut replied) = (Vec::new(), Vec::new());
        let payload = Bytes::from(vec![7; self.case.size()]);
        for _ in 0..self.span.set_ups {
            let start = Instant::now();
            let mut connection = connect().await;
            connected.push(nanos(start));
            assert_eq!(connection.echo(payload.clone()).await, payload.len());
            replied.push(nanos(start));
        }
        let count = self.span.set_ups as f64;
        let per_call = |before, process| {
            let spent: Duration = cpu_time(process) - before;
            spent.as_secs_f64() * 1e6 / count
        };
        Outcome {
            calls: self.span.set_ups as u64,
            calls_per_second: count / begun.elapsed().as_secs_f64(),
            mib_per_second: 0.0,
            p50_us: percentile(&mut replied, 0.50),
            p99_us: percentile(&mut replied, 0.99),
            connected_p50_us: percentile(&mut connected, 0.50),
            server_cpu_us_per_call: per_call(before.0, self.server),
            client_cpu_us_per_call: per_call(before.1, std::process::id()),
        }
    }
}

struct Caller<C> {
    connection: C,
    payload: Bytes,
    stop: Arc<AtomicBool>,
}

impl<C: Connection> Caller<C> {
    async fn run(mut self, large: bool, sampled: u64) -> Times {
        let mut times = Times::default();
        while !self.stop.load(Ordering::Relaxed) {
            let start = (times.calls % sampled == 0).then(Instant::now);
            let payload = self.payload.clone();
            let len = if large {
                self.connection.echo_large(payload).await
            } else {
                self.connection.echo(payload).await
            };
            assert_eq!(len, self.payload.len());
            times.nanos.extend(start.map(nanos));
            times.calls += 1;
        }
        times
    }
}

/// In a task of its own, as the callers of [`Measurement::load`] are.
async fn stream<C: Connection>(mut connection: C) -> Times {
    let bytes = tokio::spawn(async move { connection.stream().await });
    assert_eq!(bytes.await.expect("the stream ends well"), ITEM * ITEMS);
    Times {
        calls: ITEMS as u64,
        nanos: Vec::new(),
    }
}

fn nanos(since: Instant) -> u32 {
    since.elapsed().as_nanos().try_into().unwrap_or(u32::MAX)
}

/// In microseconds.
fn percentile(nanos: &mut [u32], share: f64) -> f64 {
    if nanos.is_empty() {
        return 0.0;
    }
    nanos.sort_unstable();
    let place = ((nanos.len() - 1) as f64 * share).round() as usize;
    f64::from(nanos[place]) / 1e3
}
