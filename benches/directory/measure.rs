//! What is measured, the same for both.

use std::{
    future::Future,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};

use super::cluster::{Cluster, memory, on_disk, processor, terminate};

/// How long each rate is measured.
const SPAN: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_millis(500);

/// Documents of the bulk part.
const BULK: usize = 100_000;

/// The leader is killed so often.
const TRIALS: usize = 20;

/// The leader is asked to end so often.
const HAND_OVERS: usize = 5;

/// How often something is looked for that is awaited.
const GLANCE: Duration = Duration::from_millis(5);

/// Names and values, in the order measured.
#[derive(Default)]
pub(crate) struct Figures(pub(crate) Vec<(String, f64)>);

impl Figures {
    fn add(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        eprintln!("  {name:<58} {value:>12.2}");
        self.0.push((name, value));
    }
}

fn folder(name: &str) -> PathBuf {
    // Beside the program: on a disk, which the system's temporary folder may not be.
    let me = std::env::current_exe().expect("a path");
    me.parent().expect("a folder").join("directory-bench").join(name)
}

/// Measures the parts that are wanted: idle, put, get, watch, failover, bulk.
pub(crate) async fn run<C: Cluster>(name: &str, wanted: &impl Fn(&str) -> bool) -> Figures {
    let mut figures = Figures::default();
    let folder = folder(name);
    let mut cluster = C::start(folder.clone()).await;
    if wanted("idle") {
        idle(&cluster, &mut figures).await;
    }
    if wanted("put") {
        puts(&cluster, &mut figures).await;
    }
    if wanted("get") {
        gets(&cluster, &mut figures).await;
    }
    if wanted("watch") {
        watches(&cluster, &mut figures).await;
    }
    if wanted("failover") {
        kills(&mut cluster, &mut figures).await;
        hand_overs(&mut cluster, &mut figures).await;
    }
    if wanted("bulk") {
        bulk(&mut cluster, &folder, &mut figures).await;
    }
    figures
}

fn all_processor(cluster: &impl Cluster) -> f64 {
    (0..3).map(|node| processor(cluster.process(node))).sum()
}

fn most_memory(cluster: &impl Cluster) -> f64 {
    let each = (0..3).map(|node| memory(cluster.process(node)));
    each.fold(0.0, f64::max)
}

/// Nothing is asked, the clients' connections stand.
async fn idle(cluster: &impl Cluster, figures: &mut Figures) {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, began) = (all_processor(cluster), Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let used = all_processor(cluster) - before;
    let share = used / began.elapsed().as_secs_f64() * 100.0;
    figures.add("idle, all three nodes, % of a core", share);
    figures.add("idle, memory of the largest node, MiB", most_memory(cluster));
}

async fn puts<C: Cluster>(cluster: &C, figures: &mut Figures) {
    for writers in [1, 64, 256, 1024] {
        let used = all_processor(cluster);
        let figure = load(writers, |writer| {
            let client = cluster.client(writer);
            move |turn| {
                let client = client.clone();
                async move { C::put(&client, format!("k{writer}-{}", turn % 64)).await }
            }
        })
        .await;
        let used = all_processor(cluster) - used;
        figure.into_figures("put", writers, used, figures);
    }
}

async fn gets<C: Cluster>(cluster: &C, figures: &mut Figures) {
    C::put(&cluster.client(0), "read".to_owned()).await;
    // Local reads may be a little old: every node is to have it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (name, local) in [("get linearizable", false), ("get local", true)] {
        for readers in [1, 64] {
            let used = all_processor(cluster);
            let figure = load(readers, |reader| {
                let client = cluster.client(reader);
                move |_| {
                    let client = client.clone();
                    async move { assert!(C::get(&client, "read", local).await, "a read") }
                }
            })
            .await;
            let used = all_processor(cluster) - used;
            figure.into_figures(name, readers, used, figures);
        }
    }
}

async fn watches<C: Cluster>(cluster: &C, figures: &mut Figures) {
    for watchers in [1, 1000] {
        let (told, mut times) = unbounded_channel();
        let mut watches = Vec::new();
        for watcher in 0..watchers {
            watches.push(C::watch(&cluster.client(watcher), told.clone()).await);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let client = cluster.client(0);
        let delays = watch_delays(watchers, &mut times, async || {
            C::put(&client, "watched".to_owned()).await;
        })
        .await;
        let at = percentiles(delays);
        figures.add(format!("watch, {watchers} watchers, p50 ms"), at(0.5));
        figures.add(format!("watch, {watchers} watchers, p99 ms"), at(0.99));
    }
}

/// From the start of each write until each watcher has been told of it.
async fn watch_delays(
    watchers: usize,
    times: &mut UnboundedReceiver<Instant>,
    write: impl AsyncFn(),
) -> Vec<Duration> {
    let mut delays = Vec::new();
    for _ in 0..60 {
        let began = Instant::now();
        write().await;
        for _ in 0..watchers {
            let told = times.recv().await.expect("a watcher");
            delays.push(told.saturating_duration_since(began));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    delays
}

/// From the end of the leader's process (SIGKILL) to the next acknowledged write.
async fn kills<C: Cluster>(cluster: &mut C, figures: &mut Figures) {
    let mut times = Vec::new();
    for _ in 0..TRIALS {
        let leader = cluster.leader().await;
        let mut writer = cluster.writer(leader).await;
        let started = Instant::now();
        cluster.kill(leader);
        C::write(&mut writer).await;
        times.push(started.elapsed());
        drop(writer);
        cluster.restart(leader);
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.reconnect().await;
    }
    times.sort_unstable();
    let seconds = |time: Duration| time.as_secs_f64();
    figures.add("leader killed, first write, median s", seconds(times[TRIALS / 2]));
    figures.add("leader killed, first write, max s", seconds(times[TRIALS - 1]));
}

/// The longest time between two acknowledged writes while the leader ends as it was asked to
/// (SIGTERM).
async fn hand_overs<C: Cluster>(cluster: &mut C, figures: &mut Figures) {
    let mut gaps = Vec::new();
    for _ in 0..HAND_OVERS {
        let leader = cluster.leader().await;
        let mut writer = cluster.writer(leader).await;
        let stop = Arc::new(AtomicBool::new(false));
        let writing = tokio::spawn({
            let stop = stop.clone();
            async move {
                let (mut longest, mut last) = (Duration::ZERO, Instant::now());
                while !stop.load(Ordering::Relaxed) {
                    C::write(&mut writer).await;
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
                longest
            }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        terminate(cluster.process(leader));
        cluster.ended(leader).await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        stop.store(true, Ordering::Relaxed);
        gaps.push(writing.await.expect("a writer"));
        cluster.restart(leader);
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.reconnect().await;
    }
    gaps.sort_unstable();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    figures.add("leader asked to end, longest gap, median ms", millis(gaps[HAND_OVERS / 2]));
    figures.add("leader asked to end, longest gap, max ms", millis(gaps[HAND_OVERS - 1]));
}

async fn bulk<C: Cluster>(cluster: &mut C, folder: &std::path::Path, figures: &mut Figures) {
    let began = Instant::now();
    fill::<C>(cluster).await;
    let last = format!("bulk-{}", BULK - 1);
    figures.add("100,000 documents by 64 writers, s", began.elapsed().as_secs_f64());
    figures.add("100,000 documents, memory of the largest node, MiB", most_memory(cluster));
    let victim = (cluster.leader().await + 1) % 3;
    let own = folder.join((victim + 1).to_string());
    figures.add("100,000 documents, on disk a node, MiB", on_disk(&own));

    cluster.kill(victim);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    cluster.restart(victim);
    first_read(cluster, victim, &last).await;
    figures.add("node killed, from start to first linearizable read, s", started.elapsed().as_secs_f64());
    figures.add("the same, memory, MiB", memory(cluster.process(victim)));

    for node in 0..3 {
        cluster.kill(node);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    for node in 0..3 {
        cluster.restart(node);
    }
    first_read(cluster, 0, &last).await;
    figures.add("all killed, from start to first linearizable read, s", started.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(2)).await;

    cluster.admit().await;
    let started = Instant::now();
    cluster.join();
    first_read(cluster, 3, &last).await;
    figures.add("empty node joined, first linearizable read, s", started.elapsed().as_secs_f64());
    // It is gone, and the three are left with what they had.
    cluster.kill(3);
}

/// Waits until one node alone answers a linearizable read with what was written last.
async fn first_read<C: Cluster>(cluster: &C, node: usize, id: &str) {
    loop {
        if let Some(client) = cluster.connect(node).await {
            let read = C::get(&client, id, false);
            if let Ok(true) = tokio::time::timeout(Duration::from_secs(5), read).await {
                return;
            }
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// What a load of many clients came to.
struct Load {
    rate: f64,
    /// All that were done, also before and after the span.
    count: usize,
    times: Vec<Duration>,
}

impl Load {
    fn into_figures(self, what: &str, clients: usize, used: f64, figures: &mut Figures) {
        figures.add(format!("{what}, {clients} at once, per s"), self.rate);
        let processor = used / self.count as f64 * 1e6;
        figures.add(format!("{what}, {clients} at once, nodes' processor µs"), processor);
        let at = percentiles(self.times);
        figures.add(format!("{what}, {clients} at once, p50 ms"), at(0.5));
        figures.add(format!("{what}, {clients} at once, p99 ms"), at(0.99));
    }
}

/// Gives the time in ms below which a share of the times lies.
fn percentiles(mut times: Vec<Duration>) -> impl Fn(f64) -> f64 {
    times.sort_unstable();
    move |share| {
        let index = (times.len() as f64 * share) as usize;
        times[index.min(times.len() - 1)].as_secs_f64() * 1e3
    }
}

/// Lets `clients` do the same again and again, each one thing at a time.
async fn load<C, F>(clients: usize, mut client: impl FnMut(usize) -> C) -> Load
where
    C: Fn(usize) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let mut tasks = JoinSet::new();
    let start = Instant::now() + WARM_UP;
    let end = start + SPAN;
    for index in 0..clients {
        let one = client(index);
        tasks.spawn(async move {
            let mut times = Vec::new();
            for turn in 0.. {
                let began = Instant::now();
                if began >= end {
                    return (turn, times);
                }
                one(turn).await;
                if began >= start {
                    times.push(began.elapsed());
                }
            }
            unreachable!("turns do not end")
        });
    }
    let (mut count, mut times) = (0, Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (turns, more) = done.expect("a client");
        count += turns;
        times.extend(more);
    }
    Load {
        rate: times.len() as f64 / SPAN.as_secs_f64(),
        count,
        times,
    }
}

/// Writes the documents `bulk-0` to `bulk-99999` with 64 at once.
async fn fill<C: Cluster>(cluster: &C) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for index in 0..64 {
        let (client, next) = (cluster.client(index), next.clone());
        tasks.spawn(async move {
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id >= BULK {
                    return;
                }
                C::put(&client, format!("bulk-{id}")).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a writer");
    }
}
