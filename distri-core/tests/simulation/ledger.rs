//! Clients that insert what is one of a kind and add to counters, and remember what they were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use distri::{
    Client, Code, Error,
    directory::{Collection, CollectionSpec, Document, Filter, Refusal, Who},
    testing::{Cluster, Dice, assert_eventually},
};
use serde_json::{Value, json};

const ENTRIES: &str = "entries";
const COUNTERS: &str = "counters";

/// What all clients together were told. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    told: Arc<Mutex<Told>>,
    /// Clients begin nothing more.
    closed: Arc<AtomicBool>,
    /// Clients that have not yet heard of it.
    at_work: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Told {
    acknowledged: BTreeMap<String, u64>,
    possible: BTreeSet<String>,
    added: u64,
    perhaps_added: u64,
}

/// Whether a request that failed may have been carried out.
fn may_be_done(error: &Error) -> bool {
    match (error.details(), error.code()) {
        (Some(Refusal::Forgotten { .. }), _) => true,
        (Some(refusal), _) => panic!("something new was refused: {refusal}"),
        (None, Code::Unavailable | Code::Busy) => false,
        (None, Code::DeadlineExceeded | Code::UnknownOutcome | Code::Cancelled) => true,
        (None, code) => panic!("a client was told {code}: {}", distri::error::chain(error)),
    }
}

impl Ledger {
    /// Makes what the clients need, and lets so many work until the scenario ends.
    pub(crate) async fn open(cluster: &Cluster, clients: usize) -> Self {
        let ledger = Self::default();
        for name in [ENTRIES, COUNTERS] {
            let spec = CollectionSpec::new(name);
            cluster
                .collection(spec.read(Who::Public).write(Who::Public))
                .await;
        }
        let counters = counters(&cluster.client().await);
        counters.put("sum", &json!({ "n": 0 })).await.unwrap();
        for number in 0..clients {
            let (client, dice) = (cluster.client().await, cluster.sim().dice());
            ledger.at_work.fetch_add(1, Ordering::Relaxed);
            let work = ledger.clone().work(number, client, dice);
            cluster.sim().spawn(work);
        }
        ledger
    }

    async fn work(self, number: usize, client: Client, mut dice: Dice) {
        for nr in 0.. {
            if self.closed.load(Ordering::Relaxed) {
                break;
            }
            let patience = Duration::from_millis(200 + dice.below(2000) as u64);
            let directory = client.directory().timeout(patience);
            if dice.percent(60) {
                let id = format!("{number}-{nr}");
                let entries = directory.collection::<Value>(ENTRIES);
                let inserted = entries.insert(id.as_str(), &json!({ "by": number })).await;
                self.inserted(id, inserted);
            } else {
                let added = directory.collection::<Value>(COUNTERS);
                self.added(added.add("sum", "n", 1, ..).await);
            }
            tokio::time::sleep(Duration::from_millis(dice.below(60) as u64)).await;
        }
        self.at_work.fetch_sub(1, Ordering::Relaxed);
    }

    fn inserted(&self, id: String, inserted: Result<u64, Error>) {
        let mut told = self.told.lock().unwrap();
        match inserted {
            Ok(revision) => drop(told.acknowledged.insert(id, revision)),
            Err(error) if may_be_done(&error) => drop(told.possible.insert(id)),
            Err(_) => {}
        }
    }

    fn added(&self, added: Result<Document<Value>, Error>) {
        let mut told = self.told.lock().unwrap();
        match added {
            Ok(_) => told.added += 1,
            Err(error) if may_be_done(&error) => told.perhaps_added += 1,
            Err(_) => {}
        }
    }

    /// # Panics
    /// If something that was acknowledged is missing, or something is there that was refused.
    pub(crate) async fn must_add_up(&self, cluster: &Cluster) {
        let within = Duration::from_secs(30);
        self.closed.store(true, Ordering::Relaxed);
        assert_eventually!(self.at_work.load(Ordering::Relaxed) == 0, within);
        let client = cluster.client().await;
        let sum = counters(&client);
        assert_eventually!(sum.get("sum").await.is_ok(), within);
        let sum = sum.get("sum").await.unwrap().unwrap().value["n"].as_u64();
        let entries: Collection<Value> = client.directory().collection(ENTRIES);
        let entries = entries
            .find(Filter::All)
            .limit(1000)
            .all(100_000)
            .await
            .unwrap();
        let found: BTreeMap<_, _> = entries
            .into_iter()
            .map(|entry| (entry.id, entry.revision))
            .collect();

        let told = self.told.lock().unwrap();
        for (id, revision) in &told.acknowledged {
            assert_eq!(found.get(id), Some(revision), "`{id}` was acknowledged");
        }
        for id in found.keys() {
            let explained = told.acknowledged.contains_key(id) || told.possible.contains(id);
            assert!(
                explained,
                "`{id}` is there and was refused, or never asked for"
            );
        }
        let possible = told.added..=told.added + told.perhaps_added;
        assert!(
            possible.contains(&sum.unwrap()),
            "{sum:?} is not of {possible:?}"
        );
    }

    /// How many entries were acknowledged.
    pub(crate) fn size(&self) -> usize {
        self.told.lock().unwrap().acknowledged.len()
    }
}

fn counters(client: &Client) -> Collection<Value> {
    client.directory().collection(COUNTERS)
}
