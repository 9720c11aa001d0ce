//! Nodes campaign, hold, resign and write under what they hold, while things go wrong.
//!
//! Two invariants: at no instant do two leaderships say that they are held (looked at every few
//! milliseconds), and what was written under the fences has them in rising order.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use distri::{NodeHandle, directory::CollectionSpec, election::Leadership};
use serde_json::{Value, json};

use crate::{
    dice::Dice,
    directory_support::{Cluster, eventually},
};

/// How often it is looked who holds.
const LOOK: Duration = Duration::from_millis(3);

/// What goes wrong in one run.
const DEEDS: usize = 15;

/// All leaderships that were ever won and are not dropped.
type Won = Arc<Mutex<Vec<(usize, Weak<Leadership>)>>>;

pub(crate) async fn run(seed: u64, nodes: usize) {
    let mut cluster = Cluster::of(nodes, seed).await;
    cluster.all_vote().await;
    let directory = cluster.client().directory();
    directory.create(CollectionSpec::new("log")).await.unwrap();
    let won = Won::default();
    let watching = tokio::spawn(watch(won.clone()));
    for index in 0..nodes {
        work(&cluster, index, &won);
    }
    let mut dice = Dice::of(seed, 0x656c_6563);
    let mut deeds = Vec::new();
    for _ in 0..DEEDS {
        let pause = dice.millis(100..=3500);
        tokio::time::sleep(pause).await;
        let deed = deed(&mut dice, &mut cluster, &won).await;
        println!("after {pause:?}: {deed}");
        deeds.push(deed);
    }
    cluster.network.heal();
    cluster.network.delay(Duration::ZERO..=Duration::ZERO);
    for index in cluster.down() {
        cluster.restart(index).await;
        work(&cluster, index, &won);
    }
    let before = rounds(&cluster).await;
    eventually("somebody holds again", || async {
        (rounds(&cluster).await > before + 2).then_some(())
    })
    .await;
    check_order(&cluster).await;
    watching.abort();
    if let Err(error) = watching.await {
        assert!(error.is_cancelled(), "{error}");
    }
}

/// How many entries the log has.
async fn rounds(cluster: &Cluster) -> u64 {
    let index = cluster.up().next().unwrap();
    let log = cluster
        .node(index)
        .handle()
        .directory()
        .collection::<Value>("log");
    log.count(distri::directory::Filter::All).await.unwrap_or(0)
}

/// Lets a node campaign, and write under what it has won, again and again while it runs.
fn work(cluster: &Cluster, index: usize, won: &Won) {
    let node = cluster.node(index).handle().clone();
    let dice = Dice::of(cluster.network.seed(), index as u64);
    tokio::spawn(campaign(node, index, dice, won.clone()));
}

async fn campaign(node: NodeHandle, index: usize, mut dice: Dice, won: Won) {
    let election = node.election("job").unwrap();
    // Ends with the node.
    while let Ok(leadership) = election.campaign().await {
        let leadership = Arc::new(leadership);
        won.lock()
            .unwrap()
            .push((index, Arc::downgrade(&leadership)));
        let hold = dice.millis(50..=9000);
        let work = write(&node, &leadership);
        tokio::select! {
            () = leadership.lost() => {
                if leadership.is_held() {
                    // Found by whoever watches.
                    won.lock().unwrap().push((usize::MAX, Arc::downgrade(&leadership)));
                    return;
                }
            }
            () = work => {}
            () = tokio::time::sleep(hold) => {}
        }
        if dice.percent(50)
            && let Ok(leadership) = Arc::try_unwrap(leadership)
        {
            let _ = tokio::time::timeout(dice.millis(1..=2000), leadership.resign()).await;
        }
    }
}

/// Writes under the fence until that is refused.
async fn write(node: &NodeHandle, leadership: &Leadership) {
    let log = node
        .directory()
        .under(leadership)
        .collection::<Value>("log");
    let fence = leadership.fence().number();
    for _ in 0.. {
        let made = log.insert_new(&json!({"fence": fence})).await;
        if made.is_err_and(|error| error.details::<distri::directory::Refusal>().is_some()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Looks all the time whether two hold at once.
async fn watch(won: Won) {
    loop {
        {
            let mut won = won.lock().unwrap();
            won.retain(|(_, leadership)| leadership.strong_count() > 0);
            let held: Vec<_> = won
                .iter()
                .filter_map(|(index, leadership)| Some((*index, leadership.upgrade()?)))
                .filter(|(_, leadership)| leadership.is_held())
                .collect();
            assert!(held.len() <= 1, "held at once, or though lost: {held:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What was written stands in the order of the fences.
async fn check_order(cluster: &Cluster) {
    let index = cluster.up().next().unwrap();
    let log = cluster
        .node(index)
        .handle()
        .directory()
        .collection::<Value>("log");
    let all = log.find(distri::directory::Filter::All).sort("@revision");
    let documents = all.limit(1000).all(1_000_000).await.unwrap();
    let fences: Vec<_> = documents
        .iter()
        .map(|d| d.value["fence"].as_u64().unwrap())
        .collect();
    assert!(fences.is_sorted(), "{fences:?}");
    let holders = {
        let mut fences = fences.clone();
        fences.dedup();
        fences.len()
    };
    println!("{} entries by {holders} holders", fences.len());
    assert!(holders > 1, "too few to prove anything: {holders}");
}

async fn deed(dice: &mut Dice, cluster: &mut Cluster, won: &Won) -> String {
    let down = cluster.down();
    if dice.percent(100 * down.len() as u64 / cluster.size() as u64) {
        let index = *dice.pick(&down).unwrap();
        cluster.restart(index).await;
        work(cluster, index, won);
        return format!("restart {index}");
    }
    let up: Vec<_> = cluster.up().collect();
    let holder = {
        let won = won.lock().unwrap();
        let held = won.iter().filter_map(|(i, l)| l.upgrade().map(|l| (*i, l)));
        held.filter(|(_, l)| l.is_held()).map(|(i, _)| i).next()
    };
    let any = *dice.pick(&up).unwrap();
    match (dice.below(12), holder) {
        (0 | 1, Some(holder)) => {
            cluster.kill(holder);
            format!("kill the holder {holder}")
        }
        (2, _) => {
            cluster.kill(any);
            format!("kill {any}")
        }
        (3, _) => {
            cluster.stop(any).await;
            format!("stop {any} in order")
        }
        (4..=6, Some(holder)) => cut_off(dice, cluster, holder),
        (7 | 8, _) => cut_off(dice, cluster, any),
        (9, _) => {
            let most = [1, 20, 150, 600][dice.below(4)];
            cluster
                .network
                .delay(Duration::ZERO..=Duration::from_millis(most));
            format!("delays of up to {most} ms")
        }
        _ => {
            cluster.network.heal();
            "heal".to_owned()
        }
    }
}

/// Cuts a node off, one way or both.
fn cut_off(dice: &mut Dice, cluster: &Cluster, index: usize) -> String {
    let one = [cluster.key(index)];
    let others: Vec<_> = (0..cluster.size())
        .filter(|&i| i != index)
        .map(|i| cluster.key(i))
        .collect();
    match dice.below(3) {
        0 => cluster.network.partition_one_way(one, others),
        1 => cluster.network.partition_one_way(others, one),
        _ => cluster.network.partition(one, others),
    }
    format!("cut off {index}")
}
