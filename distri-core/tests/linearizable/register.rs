//! Clients that do what they like with a few documents, and remember what they were told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use distri::{
    Client, Result,
    directory::{Collection, CollectionSpec, Document, Who},
};

use crate::{
    checker::{Action, Outcome},
    directory_support::{Cluster, eventually},
    history::{Failure, History},
    replicas,
    siege::{Siege, Stop, Visitor},
};

const COLLECTION: &str = "registers";
const KEYS: [&str; 4] = ["a", "b", "c", "d"];
/// Clients that come and go with a node, and clients that are none.
const INSIDE: usize = 3;
const OUTSIDE: usize = 3;
const DEEDS: usize = 14;

#[distri::message]
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    value: u64,
}

/// One run.
pub(crate) async fn run(seed: u64, nodes: usize) {
    let mut cluster = Cluster::of(nodes, seed).await;
    cluster.all_vote().await;
    create(&cluster).await;
    let history = History::default();
    let values = Arc::<AtomicU64>::default();
    let mut siege = Siege::new(seed, DEEDS);
    siege.visitors(&cluster, INSIDE, OUTSIDE).await;

    let worker = |visitor| Worker {
        visitor,
        history: history.clone(),
        values: values.clone(),
        known: [0; KEYS.len()],
    };
    siege
        .run(&mut cluster, |visitor, stop| worker(visitor).work(stop))
        .await;
    read_all(&cluster, &history, &values).await;

    let (all, known) = history.size();
    println!("{all} operations, {known} of known outcome");
    assert!(known > 100, "too little was done to prove anything");
    history.must_be_linearizable();
    replicas::must_agree(&cluster, &[COLLECTION]).await;
}

/// Makes the collection.
pub(crate) async fn create(cluster: &Cluster) {
    let spec = CollectionSpec::new(COLLECTION)
        .read(Who::Public)
        .write(Who::Public);
    let directory = cluster.node(0).handle().directory();
    directory.create(spec).await.unwrap();
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
async fn read_all(cluster: &Cluster, history: &History, values: &AtomicU64) {
    let on = |index: usize| {
        let directory = cluster.node(index).client().directory();
        directory.collection::<Entry>(COLLECTION)
    };
    eventually("a write after the faults", || async {
        let value = values.fetch_add(1, Ordering::Relaxed);
        let call = history.call(usize::MAX, KEYS[0], Action::Put(value));
        match on(0).put(KEYS[0], &Entry { value }).await {
            Ok(revision) => {
                history.end(call, Outcome::Written(revision));
                Some(())
            }
            Err(error) => {
                history.fail(call, Failure::of(&error));
                None
            }
        }
    })
    .await;
    for index in 0..cluster.size() {
        for key in KEYS {
            let call = history.call(usize::MAX, key, Action::Get);
            let found = on(index).get(key).await.unwrap();
            history.end(call, Outcome::Read(found.map(told)));
        }
    }
}

fn told(document: Document<Entry>) -> (u64, u64) {
    (document.value.value, document.revision)
}

/// A client that does one thing after the other.
struct Worker {
    visitor: Visitor,
    history: History,
    /// What is written is one of a kind.
    values: Arc<AtomicU64>,
    /// The last revision heard of each document.
    known: [u64; KEYS.len()],
}

impl Worker {
    async fn work(mut self, stop: Stop) {
        while !stop.is_set() {
            self.operate().await;
            self.visitor.pause().await;
        }
    }

    async fn operate(&mut self) {
        let Some(client) = self.visitor.client() else {
            return;
        };
        let place = self.visitor.dice.below(KEYS.len());
        let action = self.action(place);
        let patience = self.visitor.patience();
        let collection = client
            .directory()
            .timeout(patience)
            .collection::<Entry>(COLLECTION);
        let call = self.history.call(self.visitor.number, KEYS[place], action);
        // Some lose patience before they are told that it took too long.
        let within = if self.visitor.dice.percent(10) {
            patience / 4
        } else {
            Duration::MAX
        };
        let done = tokio::time::timeout(within, act(&collection, KEYS[place], action)).await;
        match done {
            Ok(Ok(outcome)) => {
                self.learn(place, outcome);
                self.history.end(call, outcome);
            }
            Ok(Err(error)) => self.history.fail(call, Failure::of(&error)),
            Err(_) => self.history.fail(call, Failure::Unknown),
        }
    }

    fn action(&mut self, place: usize) -> Action {
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        match self.visitor.dice.below(100) {
            0..35 => Action::Get,
            35..55 => Action::Put(value),
            55..75 => Action::Replace {
                expected: self.known[place],
                value,
            },
            75..88 => Action::Insert(value),
            _ => Action::Delete,
        }
    }

    fn learn(&mut self, place: usize, outcome: Outcome) {
        if let Outcome::Written(revision) | Outcome::Read(Some((_, revision))) = outcome {
            self.known[place] = revision;
        }
    }
}

async fn act(collection: &Collection<Entry>, key: &str, action: Action) -> Result<Outcome> {
    match action {
        Action::Insert(value) => collection.insert(key, &Entry { value }).await,
        Action::Put(value) => collection.put(key, &Entry { value }).await,
        Action::Replace { expected, value } => {
            collection.replace_if(key, expected, &Entry { value }).await
        }
        Action::Delete => collection.delete(key).await,
        Action::Get => {
            let found = collection.get(key).await?;
            return Ok(Outcome::Read(found.map(told)));
        }
    }
    .map(Outcome::Written)
}
