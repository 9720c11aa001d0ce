//! What a grant promises, each promise under everything that can go wrong: whole clusters in the
//! simulation. The numbers are those of the table in `docs/permissions.md`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::granting::{self, Granted, PICTURE, ack_of, redeem_at_last, redeem_of, refusal};
use distri::{
    Config,
    testing::{Chaos, Cluster, Sim, assert_eventually, simulate},
};
use distri_services::permissions::{Deed, GrantState, LedgerError, Look, PermissionsClient, Step};

/// Longer than any storm.
const PATIENCE: Duration = Duration::from_secs(120);

async fn cloud(sim: &Sim, nodes: usize) -> Cluster {
    sim.cluster(nodes).linked_services().start().await
}

async fn ledger(cluster: &Cluster) -> PermissionsClient {
    PermissionsClient::new(cluster.client().await)
}

/// 64 clients at once, each with a look of its own, on a grant of 1 to 5 views.
async fn many_who_look(sim: Sim, nodes: usize) {
    const TRIES: usize = 64;
    let cluster = cloud(&sim, nodes).await;
    let mut dice = sim.dice();
    let views = 1 + dice.below(5);
    let ledgers = [
        ledger(&cluster).await,
        ledger(&cluster).await,
        ledger(&cluster).await,
        ledger(&cluster).await,
    ];
    let granted = Granted::make(&ledgers[0], sim.seed(), u32::try_from(views).unwrap());
    let granted = Arc::new(granted.await.unwrap());
    let released = Arc::new(Mutex::new(BTreeMap::new()));
    let at_work = Arc::new(AtomicUsize::new(TRIES));

    let storm = cluster.chaos(Chaos::default().deeds(5));
    for nr in 0..TRIES {
        let (ledger, granted) = (ledgers[nr % ledgers.len()].clone(), granted.clone());
        let (released, at_work) = (released.clone(), at_work.clone());
        let pause = Duration::from_millis(dice.below(2000) as u64);
        sim.spawn(async move {
            tokio::time::sleep(pause).await;
            let mut look = granted.look(1000 + nr as u64);
            look.saved();
            match redeem_at_last(&ledger, &redeem_of(&look)).await {
                Ok(answer) => {
                    look.released(&answer, granted.is_cloud()).unwrap();
                    assert_eq!(granted.show(&look), PICTURE);
                    let before = released.lock().unwrap().insert(answer.receipt.view, nr);
                    assert_eq!(before, None, "two looks have one view");
                }
                Err(refused) => assert_eq!(
                    refused,
                    LedgerError::Exhausted {
                        views: u32::try_from(views).unwrap()
                    }
                ),
            }
            at_work.fetch_sub(1, Ordering::Relaxed);
        });
    }
    storm.pass().await;

    assert_eventually!(at_work.load(Ordering::Relaxed) == 0, PATIENCE);
    let numbers: Vec<u32> = released.lock().unwrap().keys().copied().collect();
    let all: Vec<u32> = (1..=u32::try_from(views).unwrap()).collect();
    assert_eq!(numbers, all);
    let client = cluster.client().await;
    let status = granted.status(&client).await.unwrap();
    assert_eq!(status.used as usize, views);
    let audit = granted.audit(&client).await.unwrap();
    let redeemed = |deed: &Deed| matches!(deed, Deed::Redeemed { .. });
    let count = audit.iter().filter(|dated| redeemed(&dated.entry.deed));
    assert_eq!(count.count(), views);
}

#[test]
fn promise_3_at_most_n_views_are_released_by_three_nodes_in_a_storm() {
    simulate(1..=100, async |sim| many_who_look(sim, 3).await);
}

#[test]
fn promise_3_at_most_n_views_are_released_by_five_nodes_in_a_storm() {
    simulate(1..=20, async |sim| many_who_look(sim, 5).await);
}

/// Of the replies to each look some are lost, on their way or with the link.
async fn lost_replies(sim: Sim) {
    let cluster = cloud(&sim, 3).await;
    let mut dice = sim.dice();
    let ledger = ledger(&cluster).await;
    let granted = Granted::make(&ledger, sim.seed(), 3).await.unwrap();

    for nr in 1..=3 {
        let mut look = granted.look(nr);
        look.saved();
        let redeem = redeem_of(&look);
        let mut answers = Vec::new();
        // Of four replies up to three are lost: on their way, or with the link.
        for _ in 0..4 {
            let node = dice.below(3);
            if dice.percent(40) {
                let cut = Duration::from_micros(dice.below(4000) as u64);
                let cluster = cluster.clone();
                drop(sim.spawn(async move {
                    tokio::time::sleep(cut).await;
                    cluster.cut(node);
                }));
            }
            let asked = ledger
                .redeem(redeem.clone())
                .to(cluster.key(node))
                .timeout(Duration::from_secs(3));
            match asked.await {
                Ok(answer) => answers.push(answer),
                Err(error) => assert_eq!(error.details::<LedgerError>(), None, "{error}"),
            }
        }
        answers.push(redeem_at_last(&ledger, &redeem).await.unwrap());

        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(u64::from(answers[0].receipt.view), nr);
        let client = cluster.client().await;
        assert_eq!(u64::from(granted.status(&client).await.unwrap().used), nr);
    }
}

#[test]
fn promise_4_a_lost_reply_costs_nothing() {
    simulate(1..=100, lost_replies);
}

/// A viewer's machine: what is on its disk survives, what is in memory does not.
struct Machine<'a> {
    granted: &'a Granted,
    ledger: &'a PermissionsClient,
    disk: Option<Vec<u8>>,
    shown: u32,
    seed: u64,
}

impl Machine<'_> {
    /// Looks once; crashes when so many steps are done, of which one may have been carried out
    /// without the program knowing. True if it came to the end.
    async fn run(&mut self, steps: usize, half_done: bool) -> bool {
        let mut look = match &self.disk {
            Some(saved) => Look::resume(saved).unwrap(),
            None => {
                self.seed += 1;
                self.granted.look(self.seed)
            }
        };
        for done in 0.. {
            let crashes = done == steps;
            if crashes && !half_done {
                return false;
            }
            match look.step() {
                Step::Save(bytes) => {
                    self.disk = Some(bytes.to_vec());
                    if !crashes {
                        look.saved();
                    }
                }
                Step::Redeem(redeem) => match redeem_at_last(self.ledger, redeem).await {
                    _ if crashes => {}
                    Ok(released) => look.released(&released, self.granted.is_cloud()).unwrap(),
                    Err(LedgerError::Closed { .. }) => look.refused(),
                    Err(refused) => panic!("{refused}"),
                },
                Step::Show(..) => {
                    assert_eq!(self.granted.show(&look), PICTURE);
                    self.shown += 1;
                    if !crashes {
                        look.shown();
                    }
                }
                Step::Acknowledge(ack) => {
                    let acked = self.ledger.ack(ack.clone()).await;
                    if !crashes && acked.is_ok() {
                        look.acknowledged();
                    }
                }
                Step::Forget => {
                    self.disk = None;
                    if !crashes {
                        look.forgotten();
                    }
                }
                Step::Done => return true,
            }
            if crashes {
                return false;
            }
        }
        unreachable!("a look ends");
    }
}

/// A viewer whose machine crashes at every point of a look, and then at random ones.
async fn crashing_viewer(sim: Sim) {
    let cluster = cloud(&sim, 3).await;
    let ledger = ledger(&cluster).await;
    let client = cluster.client().await;
    let granted = Granted::make(&ledger, sim.seed(), 100).await.unwrap();
    let mut machine = Machine {
        granted: &granted,
        ledger: &ledger,
        disk: None,
        shown: 0,
        seed: sim.seed() << 16,
    };
    let (mut looks, mut dice) = (0, sim.dice());

    // Every point of a crash, with and without the step done; then some twice in a row.
    for steps in 0..6 {
        for half_done in [false, true] {
            let before = machine.shown;
            let ended = machine.run(steps, half_done).await;
            assert!(!ended || steps >= 5, "{steps}");
            while machine.disk.is_some() && dice.percent(40) {
                machine.run(dice.below(5), dice.percent(50)).await;
            }
            if machine.disk.is_some() || machine.shown == before {
                assert!(machine.run(usize::MAX, false).await);
            }
            looks += 1;

            assert!(machine.shown > before, "a look was lost");
            let used = granted.status(&client).await.unwrap().used;
            assert_eq!(
                used, looks,
                "after a crash at {steps}, half done {half_done}"
            );
        }
    }
}

#[test]
fn promise_5_a_crash_of_the_viewer_between_any_two_steps_costs_nothing() {
    simulate(1..=100, crashing_viewer);
}

#[test]
#[ignore = "takes minutes: what is counted, with hundreds of seeds more"]
fn hundreds_of_seeds() {
    simulate(1001..=1600, async |sim| many_who_look(sim, 3).await);
    simulate(1001..=1300, async |sim| many_who_look(sim, 5).await);
    simulate(1001..=1600, lost_replies);
    simulate(1001..=1400, crashing_viewer);
}

#[test]
fn promise_6_copies_of_a_viewers_machine_and_old_backups_change_no_count() {
    simulate(1..=5, async |sim| {
        let cluster = cloud(&sim, 3).await;
        let ledger = ledger(&cluster).await;
        let client = cluster.client().await;
        let granted = Granted::make(&ledger, sim.seed(), 3).await.unwrap();
        let mut look = granted.look(1);
        let Step::Save(backup) = look.step() else {
            panic!();
        };
        look.saved();
        let first = redeem_at_last(&ledger, &redeem_of(&look)).await.unwrap();

        // The whole profile on another machine, over another link.
        let elsewhere = PermissionsClient::new(cluster.stranger().await);
        let copy = Look::resume(&backup).unwrap();
        let again = redeem_at_last(&elsewhere, &redeem_of(&copy)).await.unwrap();
        assert_eq!(again, first);
        assert_eq!(granted.status(&client).await.unwrap().used, 1);

        // Looked, and then an old backup restored.
        look.released(&first, granted.is_cloud()).unwrap();
        look.shown();
        ledger.ack(ack_of(&look)).await.unwrap();
        let restored = Look::resume(&backup).unwrap();
        let refused = redeem_at_last(&elsewhere, &redeem_of(&restored)).await;
        let redeem = redeem_of(&restored).body.redeem;
        assert_eq!(refused.unwrap_err(), LedgerError::Closed { redeem });
        assert_eq!(granted.status(&client).await.unwrap().used, 1);

        // Somebody else with all of it but the viewer's key.
        let mut forged = redeem_of_saved(&granted, 2);
        forged.signature = redeem_of(&restored).signature;
        let refused = redeem_at_last(&elsewhere, &forged).await.unwrap_err();
        assert!(
            matches!(refused, LedgerError::NotSigned { .. }),
            "{refused}"
        );
    });
}

#[test]
fn promise_7_revoking_holds_in_the_order_of_the_log() {
    simulate(1..=20, async |sim| {
        let cluster = cloud(&sim, 3).await;
        let ledgers = [ledger(&cluster).await, ledger(&cluster).await];
        let client = cluster.client().await;
        let granted = Arc::new(Granted::make(&ledgers[0], sim.seed(), 50).await.unwrap());
        let revoked = Arc::new(AtomicUsize::new(0));
        let at_work = Arc::new(AtomicUsize::new(20));
        let mut dice = sim.dice();

        for nr in 0..20 {
            let (ledger, granted) = (ledgers[1].clone(), granted.clone());
            let (revoked, at_work) = (revoked.clone(), at_work.clone());
            let pause = Duration::from_micros(dice.below(40_000) as u64);
            sim.spawn(async move {
                tokio::time::sleep(pause).await;
                let mut look = granted.look(nr);
                look.saved();
                let was_revoked = revoked.load(Ordering::SeqCst) == 1;
                match redeem_at_last(&ledger, &redeem_of(&look)).await {
                    Ok(_) => assert!(!was_revoked, "released after it was revoked"),
                    Err(refused) => {
                        assert!(matches!(refused, LedgerError::Revoked { .. }), "{refused}");
                    }
                }
                at_work.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let pause = Duration::from_micros(dice.below(40_000) as u64);
        tokio::time::sleep(pause).await;
        ledgers[0].revoke(granted.revoke(2)).await.unwrap();
        revoked.store(1, Ordering::SeqCst);
        assert_eventually!(at_work.load(Ordering::SeqCst) == 0, PATIENCE);

        let audit = granted.audit(&client).await.unwrap();
        let last = &audit.last().unwrap().entry.deed;
        assert!(matches!(last, Deed::Revoked(_)), "{last:?}");
        let status = granted.status(&client).await.unwrap();
        assert_eq!(status.state, GrantState::Revoked);
        assert!(!status.has_share, "the share is still there");
        // For good.
        let late = ledgers[0].set_views(granted.set_views(3, 100, granting::NEVER));
        let refused = refusal(&late.await.unwrap_err());
        assert!(matches!(refused, LedgerError::Revoked { .. }), "{refused}");
    });
}

#[test]
fn promise_7_extending_needs_no_second_transfer_not_even_after_exhaustion() {
    simulate(1..=5, async |sim| {
        let cluster = cloud(&sim, 3).await;
        let ledger = ledger(&cluster).await;
        let mut granted = Granted::make(&ledger, sim.seed(), 1).await.unwrap();
        let once = async |granted: &Granted, seed| {
            let mut look = granted.look(seed);
            look.saved();
            let released = redeem_at_last(&ledger, &redeem_of(&look)).await?;
            look.released(&released, granted.is_cloud()).unwrap();
            assert_eq!(granted.show(&look), PICTURE);
            look.shown();
            Ok::<_, LedgerError>(ack_of(&look))
        };

        // All used, the share still there, since the view may be asked for again: one operation.
        let ack = once(&granted, 1).await.unwrap();
        assert_eq!(
            once(&granted, 2).await.unwrap_err(),
            LedgerError::Exhausted { views: 1 }
        );
        ledger
            .set_views(granted.set_views(2, 2, granting::NEVER))
            .await
            .unwrap();
        ledger.ack(ack).await.unwrap();
        // Used up and acknowledged: the share is gone, and more views alone are no use.
        let ack = once(&granted, 3).await.unwrap();
        ledger.ack(ack).await.unwrap();
        let refused = ledger.set_views(granted.set_views(3, 3, granting::NEVER));
        assert_eq!(
            refusal(&refused.await.unwrap_err()),
            LedgerError::ShareGone { epoch: 0 }
        );
        // New halves, the same file and ciphertext.
        let (op, share) = granted.rekey(3, 3);
        let status = ledger.rekey(op, share).await.unwrap();
        assert_eq!((status.used, status.views, status.epoch), (2, 3, 1));
        once(&granted, 4).await.unwrap();
    });
}

#[test]
fn promise_12_the_ledger_tells_the_true_reason() {
    simulate(1..=3, async |sim| {
        let cluster = cloud(&sim, 3).await;
        let ledger = ledger(&cluster).await;
        let client = cluster.client().await;
        let try_once = async |granted: &Granted, seed| {
            let mut look = granted.look(seed);
            look.saved();
            redeem_at_last(&ledger, &redeem_of(&look)).await
        };
        let mut granted = Granted::make(&ledger, sim.seed(), 2).await.unwrap();
        let made_ms = granted.audit(&client).await.unwrap()[0].at_ms;

        // Not yet.
        let early_ms = made_ms + 3_600_000;
        let later = Granted::draft(&granted.cloud, 77, early_ms);
        let op = later.op(1, granting::NEVER);
        ledger.grant(op, later.share.clone()).await.unwrap();
        assert_eq!(
            try_once(&later, 1).await.unwrap_err(),
            LedgerError::NotYet { from_ms: early_ms }
        );
        // With halves that have been replaced.
        let old = granted.look(2);
        let (op, share) = granted.rekey(2, 2);
        ledger.rekey(op, share).await.unwrap();
        let mut old = old;
        old.saved();
        assert_eq!(
            redeem_at_last(&ledger, &redeem_of(&old)).await.unwrap_err(),
            LedgerError::Epoch { is: 1, asked: 0 }
        );
        // One id for two views.
        try_once(&granted, 3).await.unwrap();
        let mut twice = granted.look(3);
        twice.saved();
        let mut twice = redeem_of(&twice).body;
        twice.epk =
            distri_services::permissions::SealingSecret::random(&mut granting::randomness(99))
                .public();
        let redeem = twice.redeem;
        let twice = distri_services::permissions::sign(twice, &granted.viewer);
        assert_eq!(
            redeem_at_last(&ledger, &twice).await.unwrap_err(),
            LedgerError::Conflict { redeem }
        );
        // Used up.
        try_once(&granted, 4).await.unwrap();
        assert_eq!(
            try_once(&granted, 5).await.unwrap_err(),
            LedgerError::Exhausted { views: 2 }
        );
        // Over, by the directory's clock.
        let expires_ms = made_ms + 20_000;
        ledger
            .set_views(granted.set_views(3, 9, expires_ms))
            .await
            .unwrap();
        try_once(&granted, 6).await.unwrap();
        sim.sleep(Duration::from_secs(25)).await;
        assert_eq!(
            try_once(&granted, 7).await.unwrap_err(),
            LedgerError::Expired { at_ms: expires_ms }
        );
        let status = granted.status(&client).await.unwrap();
        assert_eq!(
            (status.state, status.has_share),
            (GrantState::Expired, false)
        );
        // An unknown one.
        let unknown = Granted::draft(&granted.cloud, 78, 0);
        assert_eq!(
            try_once(&unknown, 1).await.unwrap_err(),
            LedgerError::Unknown {
                grant: unknown.id()
            }
        );
        granted.audit(&client).await.unwrap();
    });
}

#[test]
fn a_grant_ends_by_the_clock_of_the_log_which_never_goes_back() {
    simulate(1..=10, async |sim| {
        let cluster = cloud(&sim, 3).await;
        let ledger = ledger(&cluster).await;
        let client = cluster.client().await;
        let granted = Granted::make(&ledger, sim.seed(), 50).await.unwrap();
        let made_ms = granted.audit(&client).await.unwrap()[0].at_ms;
        let expires_ms = made_ms + 3_600_000;
        let op = granted.set_views(2, 50, expires_ms);
        ledger.set_views(op).await.unwrap();
        let leader = cluster.leader().await;

        // A leader whose clock is a day ahead: the grant is over.
        cluster.set_clock_ahead(leader, Duration::from_secs(86_400));
        let mut look = granted.look(1);
        look.saved();
        let refused = redeem_at_last(&ledger, &redeem_of(&look))
            .await
            .unwrap_err();
        assert_eq!(refused, LedgerError::Expired { at_ms: expires_ms });
        // Put right, and another leader: it stays over.
        cluster.set_clock_ahead(leader, Duration::ZERO);
        cluster.kill(leader);
        cluster.restart(leader).await;
        let refused = redeem_at_last(&ledger, &redeem_of(&look))
            .await
            .unwrap_err();
        assert_eq!(refused, LedgerError::Expired { at_ms: expires_ms });
        granted.audit(&client).await.unwrap();
    });
}

#[test]
fn the_clouds_half_is_deleted_when_a_grant_is_over_though_nobody_asks() {
    simulate(1..=3, async |sim| {
        let cluster = cloud(&sim, 3).await;
        let ledger = ledger(&cluster).await;
        let client = cluster.client().await;
        let spent = Granted::make(&ledger, 1, 1).await.unwrap();
        let over = Granted::make(&ledger, 2, 9).await.unwrap();
        let made_ms = over.audit(&client).await.unwrap()[0].at_ms;
        let op = over.set_views(2, 9, made_ms + 10_000);
        ledger.set_views(op).await.unwrap();
        let mut look = spent.look(1);
        look.saved();
        redeem_at_last(&ledger, &redeem_of(&look)).await.unwrap();

        // The view was never acknowledged, so its half stays for a quarter of an hour.
        sim.sleep(Duration::from_secs(60)).await;
        assert!(!over.status(&client).await.unwrap().has_share);
        assert!(spent.status(&client).await.unwrap().has_share);
        sim.sleep(Duration::from_secs(15 * 60)).await;
        assert!(!spent.status(&client).await.unwrap().has_share);

        let deeds = |audit: Vec<distri_services::permissions::Dated>| {
            audit.last().unwrap().entry.deed.clone()
        };
        assert_eq!(deeds(over.audit(&client).await.unwrap()), Deed::Expired);
        assert_eq!(deeds(spent.audit(&client).await.unwrap()), Deed::Exhausted);
        let redeem = redeem_of(&look).body.redeem;
        let _ = redeem;
        let refused = redeem_at_last(&ledger, &redeem_of(&look))
            .await
            .unwrap_err();
        assert_eq!(refused, LedgerError::Exhausted { views: 1 });
    });
}

#[test]
fn an_owner_who_was_away_misses_no_view_and_has_the_proof_of_each() {
    simulate(1..=5, async |sim| {
        let cluster = cloud(&sim, 3).await;
        let ledger = ledger(&cluster).await;
        let client = cluster.client().await;
        let owner = PermissionsClient::new(client.clone());
        let granted = Granted::make(&ledger, sim.seed(), 3).await.unwrap();
        let view = async |seed| {
            let mut look = granted.look(seed);
            look.saved();
            redeem_at_last(&ledger, &redeem_of(&look)).await.unwrap();
        };
        let asks = vec![granted.ask(&client)];

        view(1).await;
        let mut watch = owner.watch(asks.clone(), None).await.unwrap();
        let mut told = Vec::new();
        for _ in 0..2 {
            told.push(watch.next().await.unwrap().unwrap());
        }
        view(2).await;
        told.push(watch.next().await.unwrap().unwrap());
        let cursor = told.last().unwrap().cursor;
        drop(watch);
        view(3).await;
        let mut watch = owner.watch(asks, Some(cursor)).await.unwrap();
        told.push(watch.next().await.unwrap().unwrap());

        let mut viewed = Vec::new();
        for dated in &told {
            if let Deed::Redeemed { redeem, view, of } = &dated.entry.deed {
                redeem.verify(granted.core.viewer).unwrap();
                viewed.push(format!("viewed: {view} of {of}"));
            }
        }
        assert_eq!(
            viewed,
            ["viewed: 1 of 3", "viewed: 2 of 3", "viewed: 3 of 3"]
        );
        assert_eq!(told.len(), 4);
    });
}

#[test]
fn what_is_not_signed_never_reaches_the_log_and_floods_are_refused() {
    simulate(1..=2, async |sim| {
        let cluster = sim
            .cluster(1)
            .linked_services()
            .config(|config: &mut Config, _| config.limits.rate = 0)
            .start()
            .await;
        let ledger = ledger(&cluster).await;
        let granted = Granted::make(&ledger, sim.seed(), 3).await.unwrap();
        let revision = async || {
            let directory = cluster.node(0).handle().directory();
            let audit = directory.collection::<serde_json::Value>("permissions-audit");
            let found = audit.find(distri::directory::Filter::All).await.unwrap();
            found.revision
        };
        let before = revision().await;

        let mut refused = 0;
        let mut flooded = None;
        for nr in 0..400 {
            let mut forged = redeem_of_saved(&granted, nr);
            forged.body.epk = distri_services::permissions::SealingSecret::random(
                &mut granting::randomness(nr + 5000),
            )
            .public();
            let error = ledger.redeem(forged).await.unwrap_err();
            match error.details::<LedgerError>() {
                Some(LedgerError::NotSigned { .. }) => refused += 1,
                None => {
                    flooded = Some(error);
                    break;
                }
                Some(other) => panic!("{other}"),
            }
        }
        let low = {
            let mut low = redeem_of_saved(&granted, 1).body;
            low.epk = distri_services::permissions::SealingKey::from_array([0; 32]);
            distri_services::permissions::sign(low, &granted.viewer)
        };
        sim.sleep(Duration::from_secs(10)).await;
        let low = refusal(&ledger.redeem(low).await.unwrap_err());

        assert_eq!(revision().await, before, "a forged request was logged");
        assert!(refused >= 200, "{refused}");
        let flooded = flooded.expect("four hundred in a row were let through");
        assert_eq!(flooded.code(), distri::Code::Busy);
        assert!(flooded.retry_after().is_some());
        assert!(matches!(low, LedgerError::LowOrder { .. }), "{low}");
    });
}

fn redeem_of_saved(
    granted: &Granted,
    seed: u64,
) -> distri_services::permissions::Signed<distri_services::permissions::Redeem> {
    let mut look = granted.look(seed);
    look.saved();
    redeem_of(&look)
}

#[test]
fn an_owners_operation_sent_twice_is_done_once_and_an_older_one_never() {
    simulate(1..=3, async |sim| {
        let cluster = cloud(&sim, 3).await;
        let ledger = ledger(&cluster).await;
        let client = cluster.client().await;
        let cloud = ledger.cloud().await.unwrap();
        let granted = Granted::draft(&cloud, sim.seed(), 0);
        let op = granted.op(3, granting::NEVER);
        for _ in 0..2 {
            ledger
                .grant(op.clone(), granted.share.clone())
                .await
                .unwrap();
        }
        let five = granted.set_views(3, 5, granting::NEVER);
        for _ in 0..2 {
            let status = ledger.set_views(five.clone()).await.unwrap();
            assert_eq!((status.views, status.seq), (5, 3));
        }
        let older = ledger.set_views(granted.set_views(2, 9, granting::NEVER));
        assert_eq!(
            refusal(&older.await.unwrap_err()),
            LedgerError::Seq { is: 3, asked: 2 }
        );
        let strange = ledger.set_views(distri_services::permissions::sign(
            granted.set_views(4, 9, granting::NEVER).body,
            &granted.viewer,
        ));
        let refused = refusal(&strange.await.unwrap_err());
        assert!(
            matches!(refused, LedgerError::NotSigned { .. }),
            "{refused}"
        );
        assert_eq!(granted.audit(&client).await.unwrap().len(), 2);

        // Another grant with its id, and a share that was not signed or is for another grant.
        let other = Granted::draft(&cloud, 99, 0);
        let mut taken = other.op(1, granting::NEVER).body;
        taken.core.grant = granted.id();
        let taken = distri_services::permissions::sign(taken, &other.owner);
        let refused = refusal(&ledger.grant(taken, other.share.clone()).await.unwrap_err());
        assert!(
            matches!(refused, LedgerError::ShareUnusable { .. }),
            "{refused}"
        );
        let mut swapped = other.op(1, granting::NEVER).body;
        swapped.share = granted.share.hash();
        let swapped = distri_services::permissions::sign(swapped, &other.owner);
        let refused = ledger.grant(swapped, granted.share.clone()).await;
        let refused = refusal(&refused.unwrap_err());
        assert!(
            matches!(refused, LedgerError::ShareUnusable { .. }),
            "{refused}"
        );
    });
}
