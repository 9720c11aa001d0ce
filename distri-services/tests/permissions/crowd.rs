//! Many who look at one grant at once: views are released together, and each is as if it had been alone.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use distri::{
    Client,
    testing::{Cluster, Sim, assert_eventually, simulate},
};
use distri_services::permissions::{
    Dated, Deed, LedgerError, PermissionsClient, Redeem, Released, Signed,
};

use crate::granting::{Granted, ack_of, redeem_at_last, redeem_of};

const PATIENCE: Duration = Duration::from_secs(120);

/// Views asked for at once.
const CROWD: u32 = 64;

struct Crowd {
    cluster: Cluster,
    client: Client,
    ledger: PermissionsClient,
    granted: Arc<Granted>,
}

impl Crowd {
    async fn of(sim: &Sim, views: u32) -> Self {
        let cluster = sim.cluster(3).linked_services().start().await;
        let client = cluster.client().await;
        let ledger = PermissionsClient::new(client.clone());
        let granted = Granted::make(&ledger, sim.seed(), views).await.unwrap();
        Self {
            cluster,
            client,
            ledger,
            granted: Arc::new(granted),
        }
    }

    fn redeem(&self, nr: u32) -> Signed<Redeem> {
        let mut look = self.granted.look(u64::from(nr));
        look.saved();
        redeem_of(&look)
    }

    /// All at once, each at the node of its number.
    async fn all_at_once(
        &self,
        sim: &Sim,
        redeems: Vec<Signed<Redeem>>,
    ) -> Vec<Result<Released, LedgerError>> {
        let count = redeems.len();
        let done = Arc::new(Mutex::new(Vec::new()));
        for (nr, redeem) in redeems.into_iter().enumerate() {
            let (ledger, done) = (self.ledger.clone(), done.clone());
            let node = self.cluster.key(nr % 3);
            sim.spawn(async move {
                let first = ledger
                    .redeem(redeem.clone())
                    .to(node)
                    .timeout(Duration::from_secs(5));
                let answer = match first.await {
                    Ok(released) => Ok(released),
                    Err(_) => redeem_at_last(&ledger, &redeem).await,
                };
                done.lock().unwrap().push((nr, answer));
            });
        }
        assert_eventually!(done.lock().unwrap().len() == count, PATIENCE);
        let mut all = std::mem::take(&mut *done.lock().unwrap());
        all.sort_by_key(|(nr, _)| *nr);
        all.into_iter().map(|(_, answer)| answer).collect()
    }

    /// How many writes of the directory the audit took.
    async fn revisions(&self) -> usize {
        let directory = self.cluster.node(0).handle().directory();
        let audit = directory.collection::<serde_json::Value>("permissions-audit");
        let found = audit.find(distri::directory::Filter::All).all(10_000);
        let found = found.await.unwrap();
        let revisions: BTreeSet<u64> = found.iter().map(|entry| entry.revision).collect();
        revisions.len()
    }
}

#[test]
fn a_crowd_at_one_grant_is_released_in_few_writes_and_each_has_a_view_of_its_own() {
    simulate(1..=20, async |sim| {
        let crowd = Crowd::of(&sim, CROWD).await;
        let redeems: Vec<_> = (0..CROWD).map(|nr| crowd.redeem(nr)).collect();

        let answers = crowd.all_at_once(&sim, redeems.clone()).await;

        let views: BTreeSet<u32> = answers
            .iter()
            .map(|answer| answer.as_ref().unwrap().receipt.view)
            .collect();
        assert_eq!(views, (1..=CROWD).collect());
        // The chain is whole, with one entry for each and its place as the receipt says.
        let audit = crowd.granted.audit(&crowd.client).await.unwrap();
        assert_eq!(audit.len() as u32, CROWD + 1);
        for (redeem, answer) in redeems.iter().zip(&answers) {
            let receipt = &answer.as_ref().unwrap().receipt;
            let entry = &audit[usize::try_from(receipt.index).unwrap() - 1].entry;
            let Deed::Redeemed {
                redeem: written,
                view,
                of,
            } = &entry.deed
            else {
                panic!("{entry:?}");
            };
            assert_eq!((written, *view, *of), (redeem, receipt.view, CROWD));
        }
        let writes = crowd.revisions().await;
        assert!(writes <= CROWD as usize / 2, "{writes} writes");
        // Asked for again, at any node, each is the same to the last bit.
        let again = crowd
            .all_at_once(&sim, redeems.into_iter().rev().collect())
            .await;
        let again: Vec<_> = again.into_iter().rev().collect();
        assert_eq!(again, answers);
        let status = crowd.granted.status(&crowd.client).await.unwrap();
        assert_eq!(status.used, CROWD);
    });
}

#[test]
fn of_a_crowd_as_many_as_may_are_released_and_one_view_asked_for_often_is_one() {
    simulate(1..=20, async |sim| {
        let crowd = Crowd::of(&sim, 5).await;
        // Each view is asked for by four at once.
        let redeems = (0..CROWD).map(|nr| crowd.redeem(nr / 4)).collect();

        let answers = crowd.all_at_once(&sim, redeems).await;

        let mut released = BTreeSet::new();
        for same in answers.chunks(4) {
            assert!(same.iter().all(|answer| *answer == same[0]), "{same:?}");
            match &same[0] {
                Ok(answer) => assert!(released.insert(answer.receipt.view)),
                Err(refused) => assert_eq!(*refused, LedgerError::Exhausted { views: 5 }),
            }
        }
        assert_eq!(released, (1..=5).collect());
    });
}

#[test]
fn a_watch_that_breaks_amid_views_released_together_goes_on_and_misses_none() {
    simulate(1..=3, async |sim| {
        let crowd = Crowd::of(&sim, CROWD).await;
        let asks = vec![crowd.granted.ask(&crowd.client)];
        let watching = crowd.ledger.watch(asks.clone(), None).await.unwrap();
        let redeems = (0..CROWD).map(|nr| crowd.redeem(nr)).collect();
        crowd.all_at_once(&sim, redeems).await;
        let all = CROWD as usize + 1;
        let told = async |mut watch: distri::Stream<Dated>, count: usize| {
            let mut told = Vec::new();
            while told.len() < count {
                told.push(watch.next().await.unwrap().unwrap());
            }
            told
        };
        let index = |dated: &Dated| dated.entry.index;

        let live = told(watching, all).await;
        let later = crowd.ledger.watch(asks.clone(), None).await.unwrap();
        assert_eq!(told(later, all).await, live);
        let indexes: Vec<u64> = live.iter().map(index).collect();
        assert_eq!(indexes, (1..=all as u64).collect::<Vec<_>>());

        let mut told_again = 0;
        for after in 0..all - 1 {
            let cursor = Some(live[after].cursor);
            let mut watch = crowd.ledger.watch(asks.clone(), cursor).await.unwrap();
            let next = watch.next().await.unwrap().unwrap();
            assert!(index(&next) <= index(&live[after + 1]), "after {after}");
            if index(&next) <= index(&live[after]) {
                // Only what took effect together with it.
                assert_eq!(next.at_ms, live[after].at_ms);
                assert_eq!(cursor, Some(live[after + 1].cursor.min(next.cursor)));
                told_again += 1;
            }
        }
        assert!(told_again > 0, "no views were released together");
    });
}

#[test]
fn views_are_closed_while_others_look() {
    simulate(1..=5, async |sim| {
        let crowd = Crowd::of(&sim, CROWD).await;
        let done = Arc::new(Mutex::new(0));
        for nr in 0..CROWD {
            let (ledger, granted, done) =
                (crowd.ledger.clone(), crowd.granted.clone(), done.clone());
            sim.spawn(async move {
                let mut look = granted.look(u64::from(nr));
                look.saved();
                let answer = redeem_at_last(&ledger, &redeem_of(&look)).await.unwrap();
                look.released(&answer, granted.is_cloud()).unwrap();
                look.shown();
                while let Err(error) = ledger.ack(ack_of(&look)).await {
                    assert_eq!(error.details::<LedgerError>(), None, "{error}");
                }
                *done.lock().unwrap() += 1;
            });
        }

        assert_eventually!(*done.lock().unwrap() == CROWD, PATIENCE);

        let status = crowd.granted.status(&crowd.client).await.unwrap();
        assert_eq!((status.used, status.has_share), (CROWD, false));
        let audit = crowd.granted.audit(&crowd.client).await.unwrap();
        let closed = |dated: &&Dated| matches!(dated.entry.deed, Deed::Acknowledged(_));
        assert_eq!(audit.iter().filter(closed).count() as u32, CROWD);
    });
}
