//! Bookkeeping under faults: what was acknowledged is there once, what was refused is not, and who
//! watches is told of each change once and in order.

use distri::{
    Client,
    directory::{Document, Event, Watch},
    testing::Sim,
};
use serde_json::Value;

use crate::{
    clerk::{self, Books, COUNTERS, Clerk, END, ENTRIES},
    dice::Dice,
    siege::{Siege, Stop, Visitor},
};

const INSIDE: usize = 2;
const OUTSIDE: usize = 3;
const DEEDS: usize = 14;

/// One run.
pub(crate) async fn run(sim: Sim, nodes: usize) {
    let (cluster, seed) = (sim.cluster(nodes).start().await, sim.seed());
    let directory = cluster.node(0).handle().directory();
    for spec in clerk::specs() {
        directory.create(spec).await.unwrap();
    }
    let from = clerk::begin(&directory).await;
    // May be cut off as well.
    let watcher = cluster.client().await;
    let watching = sim.spawn(follow(watch(&watcher, from).await));
    let mut siege = Siege::new(&cluster, DEEDS);
    siege.visitors(INSIDE, OUTSIDE).await;

    let told = siege
        .run(|visitor, stop| {
            // Whom it visits and when is rolled by other dice than what it does there.
            let dice = Dice::of(seed, 100 + visitor.number as u64);
            work(Clerk::new(visitor.number, dice), visitor, stop)
        })
        .await;
    let mut books = Books::default();
    told.into_iter().for_each(|one| books.add(one));
    let directory = || cluster.node(0).client().directory();
    let last = cluster.eventually("an insert after the faults", || async {
        clerk::insert_the_last(&directory()).await
    });
    books.insert(END, last.await);

    let all = async |name| clerk::all(&directory(), name).await.unwrap();
    let entries = all(ENTRIES).await;
    println!(
        "{} entries, {} acknowledged",
        entries.len(),
        books.acknowledged.len()
    );
    assert!(
        books.acknowledged.len() > 50,
        "too little was done to prove anything"
    );
    books.must_match_entries(&entries);
    books.must_match_counters(&all(COUNTERS).await, &entries);
    cluster.must_agree().await;
    let told = watching.await.unwrap();
    must_tell_all_once(&told, &entries);
    // Also to those who come late, on whichever node.
    for index in 0..cluster.size() {
        let late = watch(&cluster.node(index).client(), from).await;
        must_tell_all_once(&follow(late).await, &entries);
    }
}

async fn work(mut clerk: Clerk, mut visitor: Visitor, stop: Stop) -> Books {
    while !stop.is_set() {
        if let Some(client) = visitor.client() {
            let patience = visitor.patience();
            clerk.act(&client.directory(), patience).await;
        }
        visitor.pause().await;
    }
    clerk.books
}

/// Follows the entries from the beginning.
async fn watch(client: &Client, from: u64) -> Watch<Value> {
    let watch = client.directory().collection(ENTRIES).watch().after(from);
    watch.await.unwrap()
}

/// Notes what is told until the last entry is.
async fn follow(mut watch: Watch<Value>) -> Vec<(String, u64)> {
    let mut told = Vec::new();
    loop {
        for event in watch.next().await.unwrap().events {
            match event {
                Event::Put(document) => told.push((document.id, document.revision)),
                other => panic!("nothing is deleted here: {other:?}"),
            }
        }
        if told.last().is_some_and(|(id, _)| id == END) {
            return told;
        }
    }
}

fn must_tell_all_once(told: &[(String, u64)], entries: &[Document<Value>]) {
    let mut there: Vec<_> = entries
        .iter()
        .map(|entry| (entry.id.clone(), entry.revision))
        .collect();
    there.sort_by_key(|(_, revision)| *revision);
    assert_eq!(told, there, "a watch tells every change once, in order");
}
