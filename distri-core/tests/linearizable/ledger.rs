//! Bookkeeping under faults: what was acknowledged is there once, what was refused is not, and who
//! watches is told of each change once and in order.

use std::collections::{BTreeMap, BTreeSet};

use distri::{
    Client,
    directory::{
        Collection, CollectionSpec, Document, Event, Operation, Refusal, Transaction, Watch, Who,
    },
};
use serde_json::{Value, json};

use crate::{
    directory_support::{Cluster, eventually},
    history::Failure,
    replicas,
    siege::{Siege, Stop, Visitor},
};

/// Documents, each inserted once.
const ENTRIES: &str = "entries";
/// `sum` counts additions, `pairs` the entries that were inserted together with an addition to it.
const COUNTERS: &str = "counters";
const END: &str = "end";
const INSIDE: usize = 2;
const OUTSIDE: usize = 3;
const DEEDS: usize = 14;

/// One run.
pub(crate) async fn run(seed: u64, nodes: usize) {
    let mut cluster = Cluster::of(nodes, seed).await;
    cluster.all_vote().await;
    let from = create(&cluster).await;
    let watcher = cluster.new_client().await;
    let watching = tokio::spawn(follow(watch(&watcher, from).await));
    let mut siege = Siege::new(seed, DEEDS);
    siege.may_cut_off(&watcher);
    siege.visitors(&cluster, INSIDE, OUTSIDE).await;

    let clerk = |visitor| Clerk {
        visitor,
        books: Books::default(),
    };
    let told = siege
        .run(&mut cluster, |visitor, stop| clerk(visitor).work(stop))
        .await;
    let mut books = Books::default();
    told.into_iter().for_each(|one| books.add(one));
    books.insert(END, insert_the_last(&cluster).await);

    let entries = all(&cluster, ENTRIES).await;
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
    books.must_match_counters(&all(&cluster, COUNTERS).await, &entries);
    replicas::must_agree(&cluster, &[ENTRIES, COUNTERS]).await;
    let told = watching.await.unwrap();
    must_tell_all_once(&told, &entries);
    // Also to those who come late, on whichever node.
    for index in 0..cluster.size() {
        let late = watch(&cluster.node(index).client(), from).await;
        must_tell_all_once(&follow(late).await, &entries);
    }
}

/// Makes what the run needs, and gives the revision after which it all happens.
async fn create(cluster: &Cluster) -> u64 {
    let directory = cluster.node(0).handle().directory();
    for name in [ENTRIES, COUNTERS] {
        let spec = CollectionSpec::new(name)
            .read(Who::Public)
            .write(Who::Public);
        directory.create(spec).await.unwrap();
    }
    let counters = directory.collection::<Value>(COUNTERS);
    counters.insert("sum", &json!({ "n": 0 })).await.unwrap();
    counters.insert("pairs", &json!({ "n": 0 })).await.unwrap()
}

async fn insert_the_last(cluster: &Cluster) -> u64 {
    let entries = collection(&cluster.node(0).client(), ENTRIES);
    eventually("an insert after the faults", || async {
        match entries.insert(END, &json!({ "value": 0 })).await {
            Ok(revision) => Some(revision),
            Err(error) => match error.details() {
                Some(Refusal::Exists { revision, .. }) => Some(revision),
                _ => None,
            },
        }
    })
    .await
}

fn collection(client: &Client, name: &str) -> Collection<Value> {
    client.directory().collection(name)
}

async fn all(cluster: &Cluster, name: &str) -> Vec<Document<Value>> {
    let collection = collection(&cluster.node(0).client(), name);
    let find = collection.find(distri::directory::Filter::All);
    find.limit(1000).all(100_000).await.unwrap()
}

/// What came of it, as one client was told, or all of them together.
#[derive(Default)]
struct Books {
    /// The revision of each entry that was acknowledged.
    acknowledged: BTreeMap<String, u64>,
    /// Entries that may be there.
    possible: BTreeSet<String>,
    /// Entries that were inserted together with an addition to `pairs`, if they were.
    pairs: BTreeSet<String>,
    additions: u64,
    possible_additions: u64,
}

impl Books {
    fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.possible.extend(other.possible);
        self.pairs.extend(other.pairs);
        self.additions += other.additions;
        self.possible_additions += other.possible_additions;
    }

    fn insert(&mut self, id: &str, revision: u64) {
        self.acknowledged.insert(id.to_owned(), revision);
    }

    fn must_match_entries(&self, entries: &[Document<Value>]) {
        let mut found = BTreeMap::new();
        for entry in entries {
            let twice = found.insert(entry.id.clone(), entry.revision);
            assert_eq!(twice, None, "`{}` is there twice", entry.id);
            assert!(
                self.acknowledged.contains_key(&entry.id) || self.possible.contains(&entry.id),
                "`{}` is there although it was refused",
                entry.id
            );
            // Whoever tried to insert it again, with another value, was refused.
            assert_eq!(entry.value["value"], 0, "`{}` was inserted again", entry.id);
            assert_eq!(entry.revision, entry.created_revision, "`{}`", entry.id);
        }
        for (id, revision) in &self.acknowledged {
            assert_eq!(found.get(id), Some(revision), "`{id}` was acknowledged");
        }
    }

    fn must_match_counters(&self, counters: &[Document<Value>], entries: &[Document<Value>]) {
        let n = |id: &str| {
            let counter = counters.iter().find(|counter| counter.id == id);
            counter.unwrap().value["n"].as_u64().unwrap()
        };
        let most = self.additions + self.possible_additions;
        assert!(
            (self.additions..=most).contains(&n("sum")),
            "{} additions were acknowledged and {} may have been made, the sum is {}",
            self.additions,
            self.possible_additions,
            n("sum")
        );
        let pairs = entries
            .iter()
            .filter(|entry| self.pairs.contains(&entry.id));
        assert_eq!(n("pairs"), pairs.count() as u64, "transactions are whole");
    }
}

/// A client that inserts and adds, and keeps books.
struct Clerk {
    visitor: Visitor,
    books: Books,
}

impl Clerk {
    async fn work(mut self, stop: Stop) -> Books {
        for nr in 0.. {
            if stop.is_set() {
                break;
            }
            self.operate(nr).await;
            self.visitor.pause().await;
        }
        self.books
    }

    async fn operate(&mut self, nr: u32) {
        let Some(client) = self.visitor.client() else {
            return;
        };
        let patience = self.visitor.patience();
        let directory = client.directory().timeout(patience);
        match self.visitor.dice.below(100) {
            0..35 => self.insert(&directory.collection(ENTRIES), nr).await,
            35..50 => self.insert_again(&directory.collection(ENTRIES)).await,
            50..75 => self.insert_pair(&directory, nr).await,
            75..95 => self.count(&directory.collection(COUNTERS)).await,
            _ => self.count_too_far(&directory.collection(COUNTERS)).await,
        }
    }

    async fn insert(&mut self, entries: &Collection<Value>, nr: u32) {
        let id = format!("c{}-{nr}", self.visitor.number);
        match entries.insert(id.as_str(), &json!({ "value": 0 })).await {
            Ok(revision) => self.books.insert(&id, revision),
            Err(error) => self.note_failure(id, Failure::of(&error)),
        }
    }

    /// Tries to insert what is there: a refusal must leave it as it is.
    async fn insert_again(&mut self, entries: &Collection<Value>) {
        let ids: Vec<_> = self.books.acknowledged.keys().collect();
        let Some(&id) = self.visitor.dice.pick(&ids) else {
            return;
        };
        match entries.insert(id.as_str(), &json!({ "value": 1 })).await {
            Ok(_) => panic!("`{id}` was lost: it could be inserted again"),
            Err(error) => match Failure::of(&error) {
                Failure::Refused(Refusal::Exists { revision, .. }) => {
                    assert_eq!(Some(&revision), self.books.acknowledged.get(id));
                }
                Failure::Refused(other) => panic!("`{id}` was refused: {other}"),
                Failure::Nothing | Failure::Unknown => {}
            },
        }
    }

    /// Inserts and adds in one transaction.
    async fn insert_pair(&mut self, directory: &distri::directory::Directory, nr: u32) {
        let id = format!("p{}-{nr}", self.visitor.number);
        let transaction = Transaction::new()
            .insert(ENTRIES, id.as_str(), json!({ "value": 0 }))
            .then(Operation::Add {
                collection: COUNTERS.into(),
                id: "pairs".into(),
                field: "n".into(),
                by: json!(1).into(),
                min: None,
                max: None,
            });
        self.books.pairs.insert(id.clone());
        match directory.transaction(transaction).await {
            Ok(done) => self.books.insert(&id, done.revision),
            Err(error) => self.note_failure(id, Failure::of(&error)),
        }
    }

    fn note_failure(&mut self, id: String, failure: Failure) {
        match failure {
            Failure::Unknown => drop(self.books.possible.insert(id)),
            Failure::Nothing => {}
            Failure::Refused(refusal) => panic!("a new entry was refused: {refusal}"),
        }
    }

    async fn count(&mut self, counters: &Collection<Value>) {
        match counters.add("sum", "n", 1, ..).await {
            Ok(_) => self.books.additions += 1,
            Err(error) => match Failure::of(&error) {
                Failure::Unknown => self.books.possible_additions += 1,
                Failure::Nothing => {}
                Failure::Refused(refusal) => panic!("an addition was refused: {refusal}"),
            },
        }
    }

    /// An addition beyond its bound, which must not be made.
    async fn count_too_far(&mut self, counters: &Collection<Value>) {
        let error = counters.add("sum", "n", 1_000_000, ..=999_999).await;
        match Failure::of(&error.expect_err("the addition is beyond its bound")) {
            Failure::Refused(Refusal::Bounds { .. }) | Failure::Nothing | Failure::Unknown => {}
            Failure::Refused(other) => panic!("an addition was refused: {other}"),
        }
    }
}

/// Follows the entries from the beginning.
async fn watch(client: &Client, from: u64) -> Watch<Value> {
    let watch = collection(client, ENTRIES).watch().after(from);
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
