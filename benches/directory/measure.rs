//! What is measured, the same for both.

use std::{
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use distri::directory::Json;
use etcd_client::{GetOptions, WatchOptions};
use tokio::task::JoinSet;

use super::{
    cluster::{Process, memory, token},
    over_distri::Distri,
    over_etcd::Etcd,
};

/// How long each rate is measured.
const SPAN: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_millis(500);

/// Documents of the bulk part.
const BULK: usize = 100_000;

#[derive(Clone, Copy)]
pub(crate) enum System {
    Distri,
    Etcd,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Distri => "distri",
            Self::Etcd => "etcd",
        }
    }

    pub(crate) fn available() -> Vec<Self> {
        let mut systems = vec![Self::Distri];
        if Etcd::binary().is_some() {
            systems.push(Self::Etcd);
        }
        systems
    }
}

/// Names and values, in the order measured.
#[derive(Default)]
pub(crate) struct Figures(pub(crate) Vec<(String, f64)>);

impl Figures {
    fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }
}

fn folder(name: &str) -> PathBuf {
    // Beside the program: on a disk, which the system's temporary folder may not be.
    let me = std::env::current_exe().expect("a path");
    me.parent()
        .expect("a folder")
        .join("directory-bench")
        .join(name)
}

pub(crate) async fn run(system: System, wanted: &impl Fn(&str) -> bool) -> Figures {
    let mut figures = Figures::default();
    match system {
        System::Distri => distri(&mut figures, wanted).await,
        System::Etcd => etcd(&mut figures, wanted).await,
    }
    figures
}

async fn distri(figures: &mut Figures, wanted: &impl Fn(&str) -> bool) {
    let mut cluster = Distri::start(folder("distri")).await;
    let value = Distri::value();
    if wanted("put") {
        for writers in [1, 64, 256, 1024] {
            let figure = load(writers, |writer| {
                let collection = cluster.collection(writer);
                let value = value.clone();
                move |turn| {
                    let (collection, value) = (collection.clone(), value.clone());
                    async move {
                        let id = format!("k{writer}-{}", turn % 64);
                        collection.put(id, &value).await.expect("a write");
                    }
                }
            })
            .await;
            figure.into_figures("put", writers, figures);
        }
    }
    if wanted("get") {
        cluster
            .collection(0)
            .put("read", &value)
            .await
            .expect("a write");
        for (name, local) in [("get linearizable", false), ("get local", true)] {
            for readers in [1, 64] {
                let figure = load(readers, |reader| {
                    let collection = cluster.collection(reader);
                    let collection = if local {
                        collection.local()
                    } else {
                        collection
                    };
                    move |_| {
                        let collection = collection.clone();
                        async move {
                            collection.get("read").await.expect("a read");
                        }
                    }
                })
                .await;
                figure.into_figures(name, readers, figures);
            }
        }
    }
    if wanted("watch") {
        for watchers in [1, 1000] {
            let (told, mut times) = tokio::sync::mpsc::unbounded_channel();
            let mut tasks = JoinSet::new();
            for watcher in 0..watchers {
                let collection = cluster.collection(watcher);
                let mut watch = collection.watch().await.expect("a watch");
                let told = told.clone();
                tasks.spawn(async move {
                    while let Ok(events) = watch.next().await {
                        for _ in events.events {
                            let _ = told.send(Instant::now());
                        }
                    }
                });
            }
            let collection = cluster.collection(0);
            let delays = watch_delays(watchers, &mut times, async || {
                collection.put("watched", &value).await.expect("a write");
            })
            .await;
            delays_into(&delays, "watch", watchers, figures);
        }
    }
    if wanted("failover") {
        let mut times = Vec::new();
        for _ in 0..10 {
            let leader = cluster.leader().await;
            let started = Instant::now();
            cluster.nodes[leader].kill();
            cluster
                .collection(1)
                .put("after", &value)
                .await
                .expect("a write");
            times.push(started.elapsed().as_secs_f64());
            let own = cluster.folder.join((leader + 1).to_string());
            cluster.nodes[leader] = Process::start(&own, &["resume"]);
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.connect(64).await;
        }
        times.sort_by(f64::total_cmp);
        figures.add(
            "leader killed, first write, median s",
            times[times.len() / 2],
        );
        figures.add("leader killed, first write, max s", times[times.len() - 1]);
    }
    if wanted("bulk") {
        fill(|writer| {
            let (collection, value) = (cluster.collection(writer), value.clone());
            move |id| {
                let (collection, value) = (collection.clone(), value.clone());
                async move {
                    collection.put(id, &value).await.expect("a write");
                }
            }
        })
        .await;
        assert!(cluster.count().await >= BULK as u64);
        figures.add(
            "memory of a node, 100,000 documents, MiB",
            cluster.nodes[1].memory(),
        );
        let victim = (cluster.leader().await + 1) % 3;
        cluster.nodes[victim].kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        let own = cluster.folder.join((victim + 1).to_string());
        cluster.nodes[victim] = Process::start(&own, &["resume"]);
        let client = distri::Client::builder()
            .nodes([cluster.nodes[victim].endpoint.clone()])
            .connect()
            .await
            .expect("a client");
        let read = client.directory().collection::<Json>("bench");
        read.get("bulk-99999")
            .await
            .expect("a read")
            .expect("a document");
        figures.add(
            "node restarted, first linearizable read, s",
            started.elapsed().as_secs_f64(),
        );
        let token = token(&cluster.folder.join("1"));
        let started = Instant::now();
        let fourth = Process::start(&cluster.folder.join("4"), &["join", &token]);
        let client = distri::Client::builder()
            .nodes([fourth.endpoint.clone()])
            .connect()
            .await
            .expect("a client");
        let read = client.directory().collection::<Json>("bench");
        while !matches!(read.get("bulk-99999").await, Ok(Some(_))) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        figures.add(
            "empty node joined, first linearizable read, s",
            started.elapsed().as_secs_f64(),
        );
    }
}

async fn etcd(figures: &mut Figures, wanted: &impl Fn(&str) -> bool) {
    let mut cluster = Etcd::start(folder("etcd")).await;
    let value = "x".repeat(256);
    if wanted("put") {
        for writers in [1, 64, 256, 1024] {
            let figure = load(writers, |writer| {
                let (client, value) = (cluster.one(writer), value.clone());
                move |turn| {
                    let (mut client, value) = (client.clone(), value.clone());
                    async move {
                        let id = format!("k{writer}-{}", turn % 64);
                        client.put(id, value, None).await.expect("a write");
                    }
                }
            })
            .await;
            figure.into_figures("put", writers, figures);
        }
    }
    if wanted("get") {
        cluster
            .one(0)
            .put("read", value.clone(), None)
            .await
            .expect("a write");
        for (name, local) in [("get linearizable", false), ("get local", true)] {
            for readers in [1, 64] {
                let figure = load(readers, |reader| {
                    let client = cluster.one(reader);
                    move |_| {
                        let mut client = client.clone();
                        let options = local.then(|| GetOptions::new().with_serializable());
                        async move {
                            client.get("read", options).await.expect("a read");
                        }
                    }
                })
                .await;
                figure.into_figures(name, readers, figures);
            }
        }
    }
    if wanted("watch") {
        for watchers in [1, 1000] {
            let (told, mut times) = tokio::sync::mpsc::unbounded_channel();
            let mut tasks = JoinSet::new();
            for watcher in 0..watchers {
                let mut client = cluster.one(watcher);
                let options = None::<WatchOptions>;
                let mut stream = client.watch("watched", options).await.expect("a watch");
                let told = told.clone();
                tasks.spawn(async move {
                    while let Ok(Some(answer)) = stream.message().await {
                        for _ in answer.events() {
                            let _ = told.send(Instant::now());
                        }
                    }
                });
            }
            let client = cluster.one(0);
            let delays = watch_delays(watchers, &mut times, async || {
                let mut client = client.clone();
                client
                    .put("watched", value.clone(), None)
                    .await
                    .expect("a write");
            })
            .await;
            delays_into(&delays, "watch", watchers, figures);
        }
    }
    if wanted("failover") {
        let mut times = Vec::new();
        for _ in 0..10 {
            let leader = cluster.leader().await;
            let mut others = Vec::new();
            for number in (0..3_u16).filter(|number| usize::from(*number) != leader) {
                others.push(Etcd::client(number + 1).await);
            }
            let started = Instant::now();
            cluster.kill(leader);
            'wait: loop {
                for client in &mut others {
                    let wait = Duration::from_millis(100);
                    let put = client.put("after", value.clone(), None);
                    if matches!(tokio::time::timeout(wait, put).await, Ok(Ok(_))) {
                        break 'wait;
                    }
                }
            }
            times.push(started.elapsed().as_secs_f64());
            cluster.restart(leader);
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        times.sort_by(f64::total_cmp);
        figures.add(
            "leader killed, first write, median s",
            times[times.len() / 2],
        );
        figures.add("leader killed, first write, max s", times[times.len() - 1]);
    }
    if wanted("bulk") {
        fill(|writer| {
            let (client, value) = (cluster.one(writer), value.clone());
            move |id| {
                let (mut client, value) = (client.clone(), value.clone());
                async move {
                    client.put(id, value, None).await.expect("a write");
                }
            }
        })
        .await;
        figures.add(
            "memory of a node, 100,000 documents, MiB",
            memory(cluster.nodes[1].id()),
        );
        let victim = (cluster.leader().await + 1) % 3;
        cluster.kill(victim);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        cluster.restart(victim);
        let number = u16::try_from(victim + 1).expect("three nodes");
        loop {
            let mut client = Etcd::client(number).await;
            let wait = Duration::from_millis(500);
            if let Ok(Ok(found)) = tokio::time::timeout(wait, client.get("bulk-99999", None)).await
                && found.count() == 1
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        figures.add(
            "node restarted, first linearizable read, s",
            started.elapsed().as_secs_f64(),
        );
    }
}

/// What a load of many clients came to.
struct Load {
    rate: f64,
    times: Vec<Duration>,
}

impl Load {
    fn into_figures(mut self, what: &str, clients: usize, figures: &mut Figures) {
        self.times.sort_unstable();
        let at = |share: f64| {
            let index = (self.times.len() as f64 * share) as usize;
            self.times[index.min(self.times.len() - 1)].as_secs_f64() * 1e3
        };
        figures.add(format!("{what}, {clients} at once, per s"), self.rate);
        figures.add(format!("{what}, {clients} at once, p50 ms"), at(0.5));
        figures.add(format!("{what}, {clients} at once, p99 ms"), at(0.99));
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
                    break;
                }
                one(turn).await;
                if began >= start {
                    times.push(began.elapsed());
                }
            }
            times
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.expect("a client"));
    }
    Load {
        rate: times.len() as f64 / SPAN.as_secs_f64(),
        times,
    }
}

/// Writes the documents `bulk-0` to `bulk-99999` with 64 at once.
async fn fill<C, F>(mut client: impl FnMut(usize) -> C)
where
    C: Fn(String) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for index in 0..64 {
        let (one, next) = (client(index), next.clone());
        tasks.spawn(async move {
            loop {
                let id = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if id >= BULK {
                    break;
                }
                one(format!("bulk-{id}")).await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// From the start of each write until each watcher has been told of it.
async fn watch_delays(
    watchers: usize,
    times: &mut tokio::sync::mpsc::UnboundedReceiver<Instant>,
    write: impl AsyncFn(),
) -> Vec<Duration> {
    let mut delays = Vec::new();
    for _ in 0..30 {
        let began = Instant::now();
        write().await;
        for _ in 0..watchers {
            let told = times.recv().await.expect("a watcher");
            delays.push(told.saturating_duration_since(began));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    delays
}

fn delays_into(delays: &[Duration], what: &str, watchers: usize, figures: &mut Figures) {
    let mut delays = delays.to_vec();
    delays.sort_unstable();
    let at = |share: f64| {
        let index = (delays.len() as f64 * share) as usize;
        delays[index.min(delays.len() - 1)].as_secs_f64() * 1e3
    };
    figures.add(format!("{what}, {watchers} watchers, p50 ms"), at(0.5));
    figures.add(format!("{what}, {watchers} watchers, p99 ms"), at(0.99));
}
