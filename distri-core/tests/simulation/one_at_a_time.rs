//! What only one may do at a time: services that keep to it in storms, and broken ones that are found.

use std::{future::IntoFuture, time::Duration};

use distri::{
    Context, NodeHandle, Result,
    election::Election,
    membership::MemberState,
    testing::{Acting, Chaos, Cluster, Invariant, Sim, assert_eventually, simulate},
};

use crate::watched::failure;

const SOON: Duration = Duration::from_secs(20);

/// Works on a report whenever this node holds the election for it.
async fn report(node: NodeHandle, notices_loss: bool) {
    let election = node.election("report").unwrap();
    while let Ok(leadership) = election.campaign().await {
        let acting = Acting::holder(leadership.fence());
        let work = tokio::time::sleep(Duration::from_secs(20));
        if notices_loss {
            tokio::select! {
                biased;
                () = leadership.lost() => {}
                () = work => {}
            }
        } else {
            work.await;
        }
        drop(acting);
    }
}

/// A service whose nodes agree among themselves on who serves which user.
struct Shelf;

#[distri::service(register = false, placement = key(user))]
impl Shelf {
    /// Serves a user for a while.
    #[method(idempotent)]
    async fn touch(&self, user: u32, millis: u64) -> Result<()> {
        let _ = user;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(())
    }
}

/// The same by hand, and wrong: each node goes by whom it sees.
struct HomeMade;

#[distri::service(register = false)]
impl HomeMade {
    /// Serves a user for a while. False if another node is to do it.
    #[method(idempotent)]
    async fn touch(&self, cx: &Context, user: u32, millis: u64) -> Result<bool> {
        let mut there = cx.node().members();
        there.retain(|member| member.state == MemberState::Alive);
        let owner = there.get(user as usize % there.len().max(1));
        if owner.is_none_or(|owner| owner.key != cx.node().key()) {
            return Ok(false);
        }
        let _acting = Acting::owner("shelf", user);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(true)
    }
}

/// The sole service of a cloud: each of its calls is served by the node that leads it.
struct Registrar;

#[distri::service(register = false, placement = leader)]
impl Registrar {
    /// Serves for a while.
    #[method(idempotent)]
    async fn enter(&self, millis: u64) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(())
    }
}

async fn reporting(sim: &Sim, notices_loss: bool) -> Cluster {
    let cluster = sim.cluster(3).start().await;
    for index in 0..3 {
        let node = cluster.node(index).handle().clone();
        cluster
            .node(index)
            .handle()
            .spawn(report(node, notices_loss));
    }
    cluster
}

/// The node that holds the election for the report, as another one sees it.
fn holder(cluster: &Cluster) -> Option<usize> {
    let elections = (0..3).filter_map(|index| cluster.node(index).handle().election("report").ok());
    let holder = elections
        .filter_map(|election: Election| election.holder())
        .next()?;
    (0..3).find(|index| cluster.key(*index) == holder.key)
}

async fn cut_off(sim: &Sim, cluster: &Cluster) {
    assert_eventually!(holder(cluster).is_some(), SOON);
    cluster.isolate(holder(cluster).unwrap());
    sim.sleep(Duration::from_secs(15)).await;
    cluster.heal();
    sim.sleep(Duration::from_secs(5)).await;
}

#[test]
fn a_holder_that_goes_on_when_it_has_lost_is_found() {
    let failure = failure(async |sim| {
        let cluster = reporting(&sim, false).await;
        cluster.watch(Invariant::OneHolder);
        cut_off(&sim, &cluster).await;
    });

    assert!(
        failure.starts_with("`an election has one holder at a time` does not hold"),
        "{failure}"
    );
    assert!(
        failure.contains("still as the holder of `report`"),
        "{failure}"
    );
}

#[test]
fn a_holder_that_notices_its_loss_is_in_order() {
    simulate([7], async |sim| {
        let cluster = reporting(&sim, true).await;
        cluster.watch(Invariant::OneHolder);
        cut_off(&sim, &cluster).await;
        // One that hangs cannot let go, and does so when it goes on.
        assert_eventually!(holder(&cluster).is_some(), SOON);
        let hung = holder(&cluster).unwrap();
        cluster.hang(hung);
        sim.sleep(Duration::from_secs(15)).await;
        cluster.resume(hung);
        sim.sleep(Duration::from_secs(5)).await;
    });
}

#[test]
fn an_owner_by_what_each_node_sees_is_found() {
    let failure = failure(async |sim| {
        let cluster = sim.cluster(3).service(|| HomeMade).start().await;
        cluster.watch(Invariant::OneOwner);
        let shelf = HomeMadeClient::new(cluster.client().await);
        cluster.partition([0], [1, 2]);
        // Both sides take the others for dead after a while.
        for _ in 0..20 {
            sim.sleep(Duration::from_secs(1)).await;
            for (index, user) in (0..3).flat_map(|index| (0..6).map(move |user| (index, user))) {
                let call = shelf.touch(user, 500).to(cluster.key(index));
                sim.spawn(call.into_future());
            }
        }
    });

    assert!(
        failure.starts_with("`a key has one owner at a time` does not hold"),
        "{failure}"
    );
    assert!(failure.contains("of `shelf`"), "{failure}");
}

#[test]
fn what_is_not_switched_on_is_not_watched() {
    simulate([7], async |sim| {
        let cluster = reporting(&sim, false).await;
        cluster.watch(Invariant::OneOwner);
        cut_off(&sim, &cluster).await;
    });
}

/// Elections, leaders and owners at work while anything goes wrong.
pub(crate) async fn at_work(sim: Sim, deeds: usize) {
    let cluster = sim
        .cluster(3)
        .service(|| Shelf)
        .service(|| Registrar)
        .start()
        .await;
    cluster.watch(Invariant::OneHolder);
    cluster.watch(Invariant::OneOwner);
    for index in 0..3 {
        let node = cluster.node(index).handle().clone();
        cluster.node(index).handle().spawn(report(node, true));
    }
    for _ in 0..3 {
        let client = cluster.client().await;
        let mut dice = sim.dice();
        sim.spawn(async move {
            let shelf = ShelfClient::new(client.clone());
            let registrar = RegistrarClient::new(client);
            let patience = Duration::from_secs(1);
            loop {
                let user = dice.below(5) as u32;
                let millis = dice.below(300) as u64;
                // Some fail now.
                let _ = shelf.touch(user, millis).timeout(patience).await;
                let _ = registrar.enter(millis).timeout(patience).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    let chaos = Chaos {
        members: 4,
        ..Chaos::default()
    };
    cluster.chaos(chaos.deeds(deeds)).pass().await;
}
