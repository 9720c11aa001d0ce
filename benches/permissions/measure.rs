//! Redemptions beside plain writes of the directory, on the same three nodes, one after the other.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use distri::{
    Client, Config, Context, Node, Result,
    config::Loader,
    directory::{CollectionSpec, Json, Transaction, Who},
    transport::Address,
};
use distri_services::permissions::{PermissionsClient, Redeem, Released, Signed};

use crate::granting::{Granted, redeem_of};

/// Calls in flight.
const WRITERS: usize = 64;

/// How long each part is measured.
const PART: Duration = Duration::from_secs(3);

/// Passes redemptions on to the ledger of the node that owns the grant: what `placement = key` would
/// make of it.
#[derive(Default)]
pub(crate) struct ByKey;

#[distri::service(name = "permissions-by-key", register = false)]
impl ByKey {
    /// As `permissions.redeem`.
    #[method(idempotent, placement = key(grant))]
    async fn redeem(&self, cx: &Context, grant: String, op: Signed<Redeem>) -> Result<Released> {
        let _ = grant;
        let here = cx.node().key();
        PermissionsClient::new(cx).redeem(op).to(here).await
    }
}

/// What was measured of one load.
struct Figures {
    rate: f64,
    median: Duration,
    p99: Duration,
    /// For each call, proposals to the log that the nodes made for it.
    proposals: f64,
    /// For each call, reads of documents.
    reads: f64,
    /// For each call, microseconds of CPU of the process: nodes and client.
    cpu: f64,
}

/// What the nodes have done together so far.
#[derive(Clone, Copy, Default)]
struct Done {
    proposals: u64,
    reads: u64,
    cpu_ms: u64,
}

impl Done {
    async fn of(nodes: &[Node]) -> Self {
        let mut done = Self::default();
        for node in nodes {
            let stats = node.client().node_stats(Some(node.key())).await;
            let stats = stats.expect("statistics");
            let made = |method| {
                let by_node = stats.made.iter();
                let counted = by_node
                    .filter(|made| made.service == "distri-directory" && made.method == method);
                counted.map(|made| made.calls()).sum::<u64>()
            };
            done.proposals += made("write");
            done.reads += made("get");
            // They share one process.
            done.cpu_ms = stats.process.map_or(0, |process| process.cpu_ms);
        }
        done
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (median, p99) = (ms(self.median), ms(self.p99));
        let Self {
            rate,
            proposals,
            reads,
            cpu,
            ..
        } = self;
        write!(
            f,
            "{rate:>10.0} {median:>10.2} {p99:>10.2} {proposals:>10.2} {reads:>10.2} {cpu:>10.0}"
        )
    }
}

/// Has so many call in a row, for as long as a part lasts or there is something to do.
async fn load<F, G>(nodes: &[Node], writers: usize, call: F) -> Figures
where
    F: Fn(usize) -> G + Clone + Send + 'static,
    G: Future<Output = bool> + Send,
{
    let before = Done::of(nodes).await;
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let call = call.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < PART {
                let at = Instant::now();
                if !call(writer).await {
                    break;
                }
                times.push(at.elapsed());
            }
            (times, Instant::now())
        });
    }
    let done = tasks.join_all().await;
    let after = Done::of(nodes).await;
    let ended = done.iter().map(|(_, at)| *at).max().unwrap_or(begun);
    let mut times: Vec<Duration> = done.into_iter().flat_map(|(times, _)| times).collect();
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let each = |before: u64, after: u64| (after - before) as f64 / times.len() as f64;
    Figures {
        rate: times.len() as f64 / (ended - begun).as_secs_f64(),
        median: at(0.5),
        p99: at(0.99),
        proposals: each(before.proposals, after.proposals),
        reads: each(before.reads, after.reads),
        cpu: each(before.cpu_ms, after.cpu_ms) * 1e3,
    }
}

fn config(folder: &Path) -> Config {
    let file = folder.join("distri.toml");
    std::fs::create_dir_all(folder).expect("a folder");
    let text = "[services.permissions]\nrate = 1000000\nburst = 1000000\n";
    std::fs::write(&file, text).expect("a file");
    let mut config: Config = Loader::default()
        .file(&file)
        .load()
        .expect("a configuration");
    config.node.identity = folder.join("node.key");
    config.node.listen = Address::new("127.0.0.1:0");
    config.directory.path = Some(folder.join("data"));
    config
}

/// Signed redemptions, made beforehand: the viewer's part of the work is not measured.
fn prepared(
    grants: &[Granted],
    each: usize,
    seed: u64,
) -> Arc<Vec<Mutex<VecDeque<Signed<Redeem>>>>> {
    let prepare = |(nr, granted): (usize, &Granted)| {
        let all = (0..each).map(|view| {
            let mut look = granted.look(seed + ((nr as u64) << 32) + view as u64);
            look.saved();
            redeem_of(&look)
        });
        Mutex::new(all.collect())
    };
    Arc::new(grants.iter().enumerate().map(prepare).collect())
}

/// Measures everything, and prints it.
///
/// # Panics
/// If anything fails.
pub(crate) async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = |name: &str| config(&folder.path().join(name));
    let node = |name| Node::builder().config(home(name)).service(ByKey);
    let one = node("one").found().start().await.expect("a node");
    let mut nodes = vec![one.clone()];
    for name in ["two", "three"] {
        let valid = Duration::from_secs(600);
        let token = one.client().join_token(valid).await.expect("a token");
        nodes.push(node(name).join(token).start().await.expect("a node"));
    }
    let connect = || {
        Client::builder()
            .nodes(nodes.iter().map(Node::endpoint))
            .connect()
    };
    let client = connect().await.expect("a client");
    let ledger = PermissionsClient::new(client.clone());
    let spec = CollectionSpec::new("bench").write(Who::Public);
    one.handle()
        .directory()
        .create(spec)
        .await
        .expect("a collection");

    println!(
        "{:<44} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "64 in flight", "a second", "p50, ms", "p99, ms", "proposals", "reads", "CPU, us"
    );
    let show = |what: &str, figures: &Figures| println!("{what:<44} {figures}");
    let value = Json::from(serde_json::json!({ "text": "x".repeat(245) }));
    let nr = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let next = move || nr.fetch_add(1, std::sync::atomic::Ordering::Relaxed);

    let puts = {
        let (client, value, next) = (client.clone(), value.clone(), next.clone());
        load(&nodes, WRITERS, move |_| {
            let bench = client.directory().collection::<Json>("bench");
            let (value, id) = (value.clone(), next().to_string());
            async move { bench.put(id, &value).await.is_ok() }
        })
        .await
    };
    show("directory: put, 256 bytes", &puts);
    let transactions = {
        let (client, value) = (client.clone(), value.clone());
        load(&nodes, WRITERS, move |_| {
            let (directory, id) = (client.directory(), next());
            let mut transaction = Transaction::new();
            for part in 0..3 {
                transaction = transaction.put("bench", format!("{id}-{part}"), value.clone());
            }
            async move { directory.transaction(transaction).await.is_ok() }
        })
        .await
    };
    show("directory: transaction of three puts", &transactions);

    let mut grants = Vec::new();
    for seed in 0..WRITERS as u64 {
        grants.push(
            Granted::make(&ledger, seed, 100_000)
                .await
                .expect("a grant"),
        );
    }
    let many = prepared(&grants, 200, 1 << 40);
    let redeemed = {
        let ledger = ledger.clone();
        load(&nodes, WRITERS, move |writer| {
            let op = many[writer].lock().expect("a queue").pop_front();
            let ledger = ledger.clone();
            async move {
                match op {
                    Some(op) => ledger.redeem(op).await.is_ok(),
                    None => false,
                }
            }
        })
        .await
    };
    show("redeem, each of a grant of its own", &redeemed);
    let alone = prepared(&grants[..1], 2000, 1 << 41);
    let one_grant = {
        let ledger = ledger.clone();
        load(&nodes, WRITERS, move |_| {
            let op = alone[0].lock().expect("a queue").pop_front();
            let ledger = ledger.clone();
            async move {
                match op {
                    Some(op) => ledger.redeem(op).await.is_ok(),
                    None => false,
                }
            }
        })
        .await
    };
    show("redeem, all of one grant, at any node", &one_grant);
    let alone = prepared(&grants[1..2], 2000, 1 << 42);
    let id = grants[1].id().to_string();
    let by_key = {
        let ledger = ByKeyClient::new(client.clone());
        load(&nodes, WRITERS, move |_| {
            let op = alone[0].lock().expect("a queue").pop_front();
            let (ledger, id) = (ledger.clone(), id.clone());
            async move {
                match op {
                    Some(op) => ledger.redeem(id, op).await.is_ok(),
                    None => false,
                }
            }
        })
        .await
    };
    show("redeem, all of one grant, at its owner", &by_key);
    let single = prepared(&grants[2..3], 2000, 1 << 43);
    let one_by_one = load(&nodes, 1, move |_| {
        let op = single[0].lock().expect("a queue").pop_front();
        let ledger = ledger.clone();
        async move {
            match op {
                Some(op) => ledger.redeem(op).await.is_ok(),
                None => false,
            }
        }
    })
    .await;
    show("redeem, one after the other", &one_by_one);
    println!(
        "redeems of own grants per put: {:.2}",
        redeemed.rate / puts.rate
    );
    println!(
        "redeems of own grants per transaction: {:.2}",
        redeemed.rate / transactions.rate
    );
    for node in nodes {
        node.shutdown().await;
    }
}
