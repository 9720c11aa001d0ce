//! Clients that do what they like with a few documents, and remember what they were told.

use distri::{
    Client, Result,
    directory::Directory,
    testing::{Cluster, Sim},
};

use crate::{
    acts::{self, Actor, COLLECTION, Entry, KEYS, Registers},
    dice::Dice,
    siege::{Siege, Stop, Visitor},
};

/// Clients that come and go with a node, and clients that are none.
const INSIDE: usize = 3;
const OUTSIDE: usize = 3;
const DEEDS: usize = 14;

/// One run.
pub(crate) async fn run(sim: Sim, nodes: usize) {
    let (cluster, seed) = (sim.cluster(nodes).start().await, sim.seed());
    create(&cluster.node(0).handle().directory()).await;
    let registers = Registers::default();
    let mut siege = Siege::new(&cluster, DEEDS);
    siege.visitors(INSIDE, OUTSIDE).await;

    siege
        .run(|visitor, stop| {
            // Whom it visits and when is rolled by other dice than what it does there.
            let dice = Dice::of(seed, 100 + visitor.number as u64);
            let client = registers.client(visitor.number, dice);
            work(visitor, client, stop)
        })
        .await;
    read_all(&cluster, &registers).await;

    let (all, known) = registers.history.size();
    println!("{all} operations, {known} of known outcome");
    assert!(known > 100, "too little was done to prove anything");
    registers.history.must_be_linearizable();
    cluster.must_agree().await;
}

/// Makes the collection.
pub(crate) async fn create(directory: &Directory) {
    directory.create(acts::spec()).await.unwrap();
}

/// Writes one document.
pub(crate) async fn put(client: Client, value: u64) -> Result<u64> {
    let collection = client.directory().collection::<Entry>(COLLECTION);
    collection.put(KEYS[0], &Entry { value }).await
}

/// Reads what [`put`] wrote.
pub(crate) async fn get(client: Client) -> Option<u64> {
    let collection = client.directory().collection::<Entry>(COLLECTION);
    let found = collection.get(KEYS[0]).await.unwrap();
    found.map(|document| document.value.value)
}

/// Once a write is through again, each node reads each document.
async fn read_all(cluster: &Cluster, registers: &Registers) {
    let on = |index: usize| cluster.node(index).client().directory();
    cluster
        .eventually("a write after the faults", || async {
            registers.write_last(&on(0)).await
        })
        .await;
    for index in 0..cluster.size() {
        registers.read_last(&on(index)).await;
    }
}

async fn work(mut visitor: Visitor, mut actor: Actor, stop: Stop) {
    while !stop.is_set() {
        if let Some(client) = visitor.client() {
            let patience = visitor.patience();
            actor.act(&client.directory(), patience).await;
        }
        visitor.pause().await;
    }
}
