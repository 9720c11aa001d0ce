//! Clients that insert and add and keep books of what they were told, and whether the directory in
//! the end is what the books say: what was acknowledged is there once, what was refused is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use distri::{
    Result,
    directory::{
        Collection, CollectionSpec, Directory, Document, Filter, Operation, Refusal, Transaction,
        Who,
    },
};
use serde_json::{Value, json};

use crate::{dice::Dice, history::Failure};

/// Documents, each inserted once.
pub(crate) const ENTRIES: &str = "entries";
/// `sum` counts additions, `pairs` the entries that were inserted together with an addition to it.
pub(crate) const COUNTERS: &str = "counters";
/// The entry that is inserted last.
pub(crate) const END: &str = "end";

/// The collections as they must be made.
pub(crate) fn specs() -> [CollectionSpec; 2] {
    [ENTRIES, COUNTERS].map(|name| {
        CollectionSpec::new(name)
            .read(Who::Public)
            .write(Who::Public)
    })
}

/// Puts what clerks begin with into the collections, and gives the revision after which the rest
/// happens.
pub(crate) async fn begin(directory: &Directory) -> u64 {
    let counters = directory.collection::<Value>(COUNTERS);
    counters.insert("sum", &json!({ "n": 0 })).await.unwrap();
    counters.insert("pairs", &json!({ "n": 0 })).await.unwrap()
}

/// Inserts the last entry when all is well again; `None` if that fails, so that it is tried again.
pub(crate) async fn insert_the_last(directory: &Directory) -> Option<u64> {
    let entries = directory.collection::<Value>(ENTRIES);
    match entries.insert(END, &json!({ "value": 0 })).await {
        Ok(revision) => Some(revision),
        Err(error) => match error.details() {
            Some(Refusal::Exists { revision, .. }) => Some(revision),
            _ => None,
        },
    }
}

/// All documents of a collection.
pub(crate) async fn all(directory: &Directory, name: &str) -> Result<Vec<Document<Value>>> {
    let collection = directory.collection::<Value>(name);
    collection.find(Filter::All).limit(1000).all(100_000).await
}

/// What came of it, as one client was told, or all of them together.
#[derive(Default)]
pub(crate) struct Books {
    /// The revision of each entry that was acknowledged.
    pub(crate) acknowledged: BTreeMap<String, u64>,
    /// Entries that may be there.
    possible: BTreeSet<String>,
    /// Entries that were inserted together with an addition to `pairs`, if they were.
    pairs: BTreeSet<String>,
    additions: u64,
    possible_additions: u64,
}

impl Books {
    pub(crate) fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.possible.extend(other.possible);
        self.pairs.extend(other.pairs);
        self.additions += other.additions;
        self.possible_additions += other.possible_additions;
    }

    pub(crate) fn insert(&mut self, id: &str, revision: u64) {
        self.acknowledged.insert(id.to_owned(), revision);
    }

    pub(crate) fn must_match_entries(&self, entries: &[Document<Value>]) {
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

    pub(crate) fn must_match_counters(
        &self,
        counters: &[Document<Value>],
        entries: &[Document<Value>],
    ) {
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
pub(crate) struct Clerk {
    number: usize,
    dice: Dice,
    nr: u32,
    pub(crate) books: Books,
}

impl Clerk {
    pub(crate) fn new(number: usize, dice: Dice) -> Self {
        Self {
            number,
            dice,
            nr: 0,
            books: Books::default(),
        }
    }

    /// Does one thing, with `patience`.
    pub(crate) async fn act(&mut self, directory: &Directory, patience: Duration) {
        let directory = directory.timeout(patience);
        self.nr += 1;
        match self.dice.below(100) {
            0..35 => self.insert(&directory.collection(ENTRIES)).await,
            35..50 => self.insert_again(&directory.collection(ENTRIES)).await,
            50..75 => self.insert_pair(&directory).await,
            75..95 => self.count(&directory.collection(COUNTERS)).await,
            _ => self.count_too_far(&directory.collection(COUNTERS)).await,
        }
    }

    async fn insert(&mut self, entries: &Collection<Value>) {
        let id = format!("c{}-{}", self.number, self.nr);
        match entries.insert(id.as_str(), &json!({ "value": 0 })).await {
            Ok(revision) => self.books.insert(&id, revision),
            Err(error) => self.note_failure(id, Failure::of(&error)),
        }
    }

    /// Tries to insert what is there: a refusal must leave it as it is.
    async fn insert_again(&mut self, entries: &Collection<Value>) {
        let ids: Vec<_> = self.books.acknowledged.keys().collect();
        let Some(&id) = self.dice.pick(&ids) else {
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
    async fn insert_pair(&mut self, directory: &Directory) {
        let id = format!("p{}-{}", self.number, self.nr);
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
