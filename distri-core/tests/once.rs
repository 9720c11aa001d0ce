//! Methods whose effects are writes to the directory: each takes effect once, also when the node that
//! served the call is gone.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world"
)]

extern crate distri_core as distri;

use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use distri::{
    Client, Code, Context, Result,
    directory::{CollectionSpec, Refusal},
};

use tokio::sync::watch;

mod directory_support;
use directory_support::{Cluster, eventually};

#[distri::message]
struct Account {
    money: i64,
    booked: u64,
}

/// How often each booking was served, by its name.
static RUNS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

fn runs() -> MutexGuard<'static, BTreeMap<String, u32>> {
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a run, and tells which it is.
fn run(name: &str) -> u32 {
    let mut runs = runs();
    let count = runs.entry(name.to_owned()).or_default();
    *count += 1;
    *count
}

fn runs_of(name: &str) -> u32 {
    runs().get(name).copied().unwrap_or(0)
}

/// Lets the first run of `pay_unstoppably` go on.
static GO_ON: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// What became of the last write of that run: by what it was refused, if it was.
static LATE: LazyLock<watch::Sender<Option<Option<Refusal>>>> =
    LazyLock::new(|| watch::Sender::new(None));

#[derive(Default)]
struct Bank;

#[distri::service(register = false, collections = Self::collections)]
impl Bank {
    /// Pays in, and notes that it did; hangs before its reply the first time it is served.
    #[method(once)]
    async fn pay(&self, cx: &Context, name: String, amount: i64, hang: bool) -> Result<i64> {
        let accounts = cx.directory().collection::<Account>("accounts");
        let account = accounts.add(name.clone(), "money", amount, ..).await?;
        accounts.add(name.clone(), "booked", 1, ..).await?;
        if run(&name) == 1 && hang {
            std::future::pending::<()>().await;
        }
        Ok(account.value.money)
    }

    /// The same without `once`.
    async fn pay_plainly(&self, cx: &Context, name: String, amount: i64) -> Result<i64> {
        self.pay(cx, name, amount, true).await
    }

    /// Writes something else each time it is served.
    #[method(once)]
    async fn pay_at_random(&self, cx: &Context, name: String) -> Result<()> {
        let accounts = cx.directory().collection::<Account>("accounts");
        let run = run(&name);
        accounts.add(name, "money", i64::from(run), ..).await?;
        if run == 1 {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// Pays in as a run that nobody can stop; the first notes it when it is told to go on, and says what
    /// came of that.
    #[method(once)]
    async fn pay_unstoppably(&self, cx: &Context, name: String, amount: i64) -> Result<i64> {
        let cx = cx.clone();
        let run = async move {
            let accounts = cx.directory().collection::<Account>("accounts");
            let account = accounts.add(name.clone(), "money", amount, ..).await?;
            let is_first = run(&name) == 1;
            if is_first {
                GO_ON.subscribe().wait_for(|go_on| *go_on).await.unwrap();
            }
            let noted = accounts.add(name, "booked", 1, ..).await;
            if is_first {
                LATE.send_replace(Some(noted.as_ref().err().and_then(distri::Error::details)));
            }
            noted.map(|_| account.value.money)
        };
        tokio::spawn(run).await.unwrap()
    }

    /// Is refused, and says so.
    #[method(once)]
    async fn overdraw(&self, cx: &Context, name: String) -> Result<()> {
        let accounts = cx.directory().collection::<Account>("accounts");
        let refused = accounts.add(name.clone(), "money", -1000, 0..).await;
        if run(&name) == 1 {
            // Meanwhile there is money; the first verdict stands.
            let unnumbered = cx.node().directory().collection::<Account>("accounts");
            unnumbered.add(name, "money", 5000, ..).await?;
            std::future::pending::<()>().await;
        }
        refused.map(drop)
    }
}

impl Bank {
    fn collections(&self) -> Vec<CollectionSpec> {
        vec![CollectionSpec::new("accounts")]
    }
}

/// Three nodes, a client that is none of them, and an account.
async fn bank(seed: u64, account: &str) -> (Cluster, BankClient) {
    let (cluster, client) = open(seed, account).await;
    (cluster, BankClient::new(client))
}

async fn open(seed: u64, account: &str) -> (Cluster, Client) {
    let cluster = Cluster::hosting(3, seed, |node| node.service(Bank)).await;
    cluster.all_vote().await;
    let client = cluster.new_client().await;
    let wait = Duration::from_secs(30);
    client.wait_for_nodes(3, wait).await.unwrap();
    let accounts = cluster.node(0).handle().directory().collection("accounts");
    let empty = Account {
        money: 0,
        booked: 0,
    };
    accounts.insert(account, &empty).await.unwrap();
    (cluster, client)
}

async fn account(cluster: &Cluster, index: usize, name: &str) -> Account {
    let directory = cluster.node(index).handle().directory();
    let account = directory.collection::<Account>("accounts").get(name).await;
    account.unwrap().unwrap().value
}

/// Waits until the call has had its effects, kills the node that served it, and names another.
async fn kill_the_server(cluster: &mut Cluster, server: usize, name: &str) -> usize {
    eventually("the call hangs before its reply", || async {
        (runs_of(name) == 1).then_some(())
    })
    .await;
    cluster.kill(server);
    (server + 1) % 3
}

#[tokio::test]
async fn a_node_killed_after_the_effect_and_before_the_reply_leaves_one_effect() {
    for (seed, kill_leader) in [(1, true), (2, false)] {
        let name = format!("killed-{seed}");
        let (mut cluster, bank) = bank(seed, &name).await;
        let leader = cluster.leader().await;
        let server = if kill_leader {
            leader
        } else {
            (leader + 1) % 3
        };
        let to = cluster.key(server);
        let call = tokio::spawn(bank.pay(name.clone(), 10, true).prefer(to).into_future());

        let other = kill_the_server(&mut cluster, server, &name).await;

        assert_eq!(call.await.unwrap().unwrap(), 10);
        assert_eq!(runs_of(&name), 2);
        let account = account(&cluster, other, &name).await;
        assert_eq!((account.money, account.booked), (10, 1));
    }
}

#[tokio::test]
async fn without_once_the_outcome_is_unknown_and_the_call_is_not_served_again() {
    let (mut cluster, bank) = bank(3, "plain").await;
    let server = (cluster.leader().await + 1) % 3;
    let to = cluster.key(server);
    let call = tokio::spawn(
        bank.pay_plainly("plain".into(), 10)
            .prefer(to)
            .into_future(),
    );

    let other = kill_the_server(&mut cluster, server, "plain").await;

    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome, "{error}");
    assert_eq!(account(&cluster, other, "plain").await.money, 10);
    assert_eq!(runs_of("plain"), 1);
}

#[tokio::test]
async fn a_second_run_that_writes_something_else_is_told_so() {
    let (mut cluster, bank) = bank(4, "random").await;
    let server = (cluster.leader().await + 1) % 3;
    let to = cluster.key(server);
    let call = tokio::spawn(bank.pay_at_random("random".into()).prefer(to).into_future());

    let other = kill_the_server(&mut cluster, server, "random").await;

    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.details(), Some(Refusal::Differs { write: 1 }));
    assert_eq!(account(&cluster, other, "random").await.money, 1);
}

#[tokio::test]
async fn a_second_run_meets_the_refusals_of_the_first() {
    let (mut cluster, bank) = bank(5, "poor").await;
    let server = (cluster.leader().await + 1) % 3;
    let to = cluster.key(server);
    let call = tokio::spawn(bank.overdraw("poor".into()).prefer(to).into_future());

    let other = kill_the_server(&mut cluster, server, "poor").await;

    let error = call.await.unwrap().unwrap_err();
    assert!(
        matches!(error.details(), Some(Refusal::Bounds { .. })),
        "{error}"
    );
    assert_eq!(account(&cluster, other, "poor").await.money, 5000);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_after_another_node_has_replied_adds_nothing() {
    let (cluster, client) = open(7, "late").await;
    let bank = BankClient::new(&client);
    let server = (cluster.leader().await + 1) % 3;
    let to = cluster.key(server);
    let call = bank.pay_unstoppably("late".into(), 10).prefer(to);
    let call = call.timeout(Duration::from_secs(240));
    let call = tokio::spawn(call.into_future());
    eventually("the first run has begun to pay", || async {
        (runs_of("late") == 1).then_some(())
    })
    .await;

    // Cut off, though alive.
    let others = (0..3).filter(|i| *i != server).map(|i| cluster.key(i));
    let others: Vec<_> = others.chain([client.key()]).collect();
    cluster.network.partition([to], others);
    assert_eq!(call.await.unwrap().unwrap(), 10);
    assert_eq!(runs_of("late"), 2);
    assert_eq!(*LATE.borrow(), None);
    // What follows tells the directory that this caller has all replies.
    bank.pay("late".into(), 1, false).await.unwrap();
    cluster.network.heal();
    GO_ON.send_replace(true);

    let mut late = LATE.subscribe();
    let late = late.wait_for(Option::is_some).await.unwrap().clone();
    assert!(
        matches!(late, Some(Some(Refusal::Forgotten { .. }))),
        "{late:?}"
    );
    let account = account(&cluster, server, "late").await;
    assert_eq!((account.money, account.booked), (11, 2));
}

/// A service of which an older program does not say `once`.
mod older {
    use distri::Result;

    #[derive(Default)]
    pub(super) struct Ledger;

    #[distri::service(name = "ledger", register = false)]
    impl Ledger {
        pub(super) async fn book(&self) -> Result<()> {
            Ok(())
        }
    }
}

mod newer {
    use distri::{Context, Result};

    #[derive(Default)]
    pub(super) struct Ledger;

    #[distri::service(name = "ledger", register = false)]
    impl Ledger {
        #[method(once)]
        pub(super) async fn book(&self, cx: &Context) -> Result<()> {
            let _ = cx;
            Ok(())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_would_not_know_the_writes_again_does_not_serve_the_call() {
    let cluster = Cluster::hosting(1, 8, |node| node.service(older::Ledger)).await;
    let client = cluster.new_client().await;
    older::LedgerClient::new(&client).book().await.unwrap();

    let refused = newer::LedgerClient::new(&client).book().await.unwrap_err();

    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(refused.message().contains("is not `once`"), "{refused}");
    let served = cluster.node(0).status();
    let book = served.methods.iter().find(|m| m.name == "ledger.book");
    assert_eq!(book.unwrap().served, 1);
}

#[tokio::test(start_paused = true)]
async fn calls_take_effect_once_each_while_links_break() {
    let (cluster, client) = open(6, "shaken").await;
    let stop = Arc::new(AtomicBool::new(false));
    let lost = Arc::new(AtomicU32::new(0));
    let callers: Vec<_> = (0..12)
        .map(|_| {
            let (bank, stop, lost) = (BankClient::new(&client), stop.clone(), lost.clone());
            tokio::spawn(async move {
                let mut paid = 0;
                while !stop.load(Ordering::SeqCst) {
                    let lost = lost.clone();
                    let call = bank.pay("shaken".into(), 1, false);
                    let call = call.on_retry(move |_, _| {
                        lost.fetch_add(1, Ordering::SeqCst);
                    });
                    call.await.unwrap();
                    paid += 1;
                }
                paid
            })
        })
        .collect();

    let all = Duration::from_secs(30);
    for round in 0..20 {
        eventually("calls go on", || async {
            (runs_of("shaken") > 50 * (round + 1)).then_some(())
        })
        .await;
        let to = cluster.key(round as usize % 3);
        cluster.network.cut(client.key(), to);
        client.wait_for_nodes(3, all).await.unwrap();
    }

    stop.store(true, Ordering::SeqCst);
    let mut paid = 0;
    for caller in callers {
        paid += caller.await.unwrap();
    }
    let account = account(&cluster, 0, "shaken").await;
    assert_eq!((account.money, account.booked), (paid, paid as u64));
    assert!(lost.load(Ordering::SeqCst) > 0, "it proves nothing");
}
