//! Clients at work on a cloud, each with links of its own, who keep a record of what they are told;
//! and at the end, whether the record can be true.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use distri::{Client, id::PublicKey, transport::Endpoint};
use tokio::{runtime::Runtime, task::JoinHandle};

use crate::{
    acts::{self, Actor, Registers},
    clerk::{self, Books, COUNTERS, Clerk, END, ENTRIES},
    cloud::Cloud,
    dice::Dice,
    held,
    support::{self, PATIENCE},
};

/// Clients that do what they like with a few documents.
const ACTORS: usize = 5;
/// Clients that insert, add and keep books.
const CLERKS: usize = 3;

/// Clients at work.
pub(crate) struct Siege {
    runtime: Runtime,
    /// Who asks on behalf of the trial itself.
    herald: Client,
    keys: Vec<PublicKey>,
    stop: Arc<AtomicBool>,
    registers: Registers,
    actors: Vec<JoinHandle<()>>,
    clerks: Vec<JoinHandle<Books>>,
}

impl Siege {
    /// Sets clients to work on `cloud`. Their links are made and kept by the threads of `runtime`.
    pub(crate) fn of(cloud: &Cloud, seed: u64, runtime: Runtime) -> Self {
        cloud.create(&acts::spec().name);
        clerk::specs()
            .iter()
            .for_each(|spec| cloud.create(&spec.name));
        let endpoints = cloud.endpoints.clone();
        let herald = on(&runtime, client(endpoints.clone()));
        on(&runtime, {
            let directory = herald.directory();
            async move { clerk::begin(&directory).await }
        });
        let mut siege = Self {
            runtime,
            herald,
            keys: cloud.keys(),
            stop: Arc::default(),
            registers: Registers::default(),
            actors: Vec::new(),
            clerks: Vec::new(),
        };
        for number in 0..ACTORS + CLERKS {
            let worker = Worker {
                client: on(&siege.runtime, client(endpoints.clone())),
                dice: Dice::of(seed, number as u64),
                stop: siege.stop.clone(),
            };
            // When it does something is rolled by other dice than what.
            let dice = Dice::of(seed, 100 + number as u64);
            if number < ACTORS {
                let actor = siege.registers.client(number, dice);
                siege.actors.push(siege.runtime.spawn(worker.act(actor)));
            } else {
                let clerk = Clerk::new(number, dice);
                siege.clerks.push(siege.runtime.spawn(worker.keep(clerk)));
            }
        }
        siege
    }

    /// The node that led when a write went through just now.
    pub(crate) fn leader(&self) -> Option<PublicKey> {
        /// Longer than an election takes in most cases.
        const WAIT: Duration = Duration::from_secs(2);
        let directory = self.herald.directory().timeout(WAIT);
        on(&self.runtime, async move {
            let counters = directory.collection::<serde_json::Value>(COUNTERS);
            counters.put("leader", &serde_json::json!({})).await.ok()?;
            directory.leader()
        })
    }

    /// How much has been acknowledged so far.
    pub(crate) fn known(&self) -> usize {
        self.registers.history.size().1
    }

    /// Waits until so many more answers have come, and says how long that took.
    #[track_caller]
    pub(crate) fn must_go_on(&self, answers: usize, meanwhile: &str) {
        let (began, before) = (Instant::now(), self.known());
        support::eventually(&format!("work goes on while {meanwhile}"), || {
            // The clients are at work in this very process.
            std::thread::sleep(Duration::from_millis(20));
            (self.known() >= before + answers).then_some(())
        });
        let took = began.elapsed().as_secs_f64();
        println!("{meanwhile}: {answers} answers within {took:.1} s");
    }

    /// Lets the clients finish, and checks what they were told against each other and against what
    /// the nodes hold. All nodes must be well.
    ///
    /// # Panics
    /// If something acknowledged is lost, done twice or out of order, or nodes differ.
    pub(crate) fn lift(self) {
        self.stop.store(true, Ordering::Relaxed);
        let Self {
            runtime,
            herald,
            keys,
            registers,
            actors,
            clerks,
            ..
        } = self;
        on(&runtime, async move {
            for actor in actors {
                actor.await.unwrap();
            }
            let mut books = Books::default();
            for clerk in clerks {
                books.add(clerk.await.unwrap());
            }
            let directory = herald.directory();
            eventually("a write after the faults", || {
                registers.write_last(&directory)
            })
            .await;
            let last = eventually("an insert after the faults", || {
                clerk::insert_the_last(&directory)
            });
            books.insert(END, last.await);
            registers.read_last(&directory).await;
            let entries = clerk::all(&directory, ENTRIES).await.unwrap();
            let counters = clerk::all(&directory, COUNTERS).await.unwrap();

            let (all, known) = registers.history.size();
            println!(
                "{all} operations, {known} of known outcome; {} entries, {} acknowledged",
                entries.len(),
                books.acknowledged.len()
            );
            assert!(
                known > 100 && books.acknowledged.len() > 20,
                "too little was done to prove anything"
            );
            registers.history.must_be_linearizable();
            books.must_match_entries(&entries);
            books.must_match_counters(&counters, &entries);
            for collection in [acts::COLLECTION, ENTRIES, COUNTERS] {
                eventually("all nodes hold the same", || {
                    held::agreed(&herald, &keys, collection)
                })
                .await;
            }
        });
    }
}

/// When a client works.
struct Worker {
    client: Client,
    dice: Dice,
    stop: Arc<AtomicBool>,
}

impl Worker {
    async fn act(mut self, mut actor: Actor) {
        while !self.stop.load(Ordering::Relaxed) {
            let patience = self.patience();
            actor.act(&self.client.directory(), patience).await;
            self.pause().await;
        }
    }

    async fn keep(mut self, mut clerk: Clerk) -> Books {
        while !self.stop.load(Ordering::Relaxed) {
            let patience = self.patience();
            clerk.act(&self.client.directory(), patience).await;
            self.pause().await;
        }
        clerk.books
    }

    /// Some do not wait for the next leader.
    fn patience(&mut self) -> Duration {
        if self.dice.percent(20) {
            self.dice.millis(50..=400)
        } else {
            self.dice.millis(1000..=4000)
        }
    }

    async fn pause(&mut self) {
        let pause = self.dice.millis(0..=60);
        tokio::time::sleep(pause).await;
    }
}

async fn client(nodes: Vec<Endpoint>) -> Client {
    Client::builder().nodes(nodes).connect().await.unwrap()
}

/// Runs `future` on a thread of `runtime`, where alone sockets are to be opened.
fn on<T: Send + 'static>(runtime: &Runtime, future: impl Future<Output = T> + Send + 'static) -> T {
    match runtime.block_on(runtime.spawn(future)) {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Waits until `condition` gives something.
async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        // Between two questions to nodes that have other things to do.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
