//! People and clouds that are away, and peers that are no longer where they were.

use std::time::Duration;

use crate::sharing::{Someone, World};
use distri::testing::{Sim, simulate};
use distri_services::{
    images::person::{State, View},
    permissions::{ImageId, RequestId},
};

/// What a moved peer may take to be found again.
const FOUND_WITHIN: Duration = Duration::from_secs(3);

/// Anna, who owns a picture, and Bob, who asks for it again and again.
struct Pair {
    anna: Someone,
    bob: Someone,
    image: ImageId,
    requests: usize,
}

impl Pair {
    /// Two who know each other: Bob has seen Anna once, and Anna has approved once, so that she knows
    /// the cloud's keys.
    async fn new(world: &World) -> Self {
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let image = anna.publishes("A cat").await;
        let mut pair = Self {
            anna,
            bob,
            image,
            requests: 0,
        };
        pair.grants(1).await;
        pair
    }

    /// Bob asks and Anna approves, with everybody there.
    async fn grants(&mut self, views: u32) -> RequestId {
        let owner = self.anna.person.key();
        let asked = self.bob.person.request(owner, self.image, views, "");
        let request = asked.await.unwrap();
        self.anna.settled().await;
        self.anna.approves(request, views).await;
        self.bob.settled().await;
        self.requests += 1;
        request
    }

    /// One request and its decision. While Bob asks, Anna (bit 0) and the cloud (bit 1) are there or
    /// not; while Anna decides, Bob (bit 2) and the cloud (bit 3). Whoever is away has no program that
    /// runs.
    async fn shares(self, world: &World, order: u64) -> Self {
        let Self {
            mut anna,
            mut bob,
            image,
            requests,
        } = self;
        let on = |bit: u64| order >> bit & 1 == 1;
        let owner = anna.person.key();
        let anna_away = if on(0) {
            Err(anna)
        } else {
            Ok(anna.gone().await)
        };
        if !on(1) {
            world.cloud_off();
        }
        let request = bob.person.request(owner, image, 2, "").await.unwrap();
        let _ = bob.person.settle().await;
        world.cloud_on().await;
        bob.settled().await;
        anna = match anna_away {
            Ok(folder) => world.started(folder).await,
            Err(there) => there,
        };
        anna.settled().await;

        let bob_away = if on(2) {
            Err(bob)
        } else {
            Ok(bob.gone().await)
        };
        if !on(3) {
            world.cloud_off();
        }
        let waiting: Vec<_> = anna.person.inbox().await.unwrap();
        assert_eq!(waiting.len(), 1);
        anna.approves(request, 2).await;
        let _ = anna.person.settle().await;
        world.cloud_on().await;
        anna.settled().await;
        bob = match bob_away {
            Ok(folder) => world.started(folder).await,
            Err(there) => there,
        };
        bob.settled().await;

        assert!(anna.person.inbox().await.unwrap().is_empty());
        let grants = bob.person.grants().await.unwrap();
        let grant = grants.iter().find(|grant| grant.request == request);
        assert_eq!(grant.unwrap().state, State::Approved);
        bob.fetched(request).await;
        let View::Shown(seen) = bob.person.view(request, "a").await.unwrap() else {
            panic!("nothing was shown");
        };
        assert_eq!((seen.view, seen.of), (1, 2));
        bob.person.looked(request).await.unwrap();
        Self {
            anna,
            bob,
            image,
            requests: requests + 1,
        }
    }

    /// Each request has one decision, and each letter was delivered, once.
    async fn is_whole(&self, world: &World) {
        for side in [&self.anna, &self.bob] {
            let grants = side.person.grants().await.unwrap();
            assert_eq!(grants.len(), self.requests, "each request has one decision");
        }
        assert_eq!(world.letters_left().await, 0, "a letter was not delivered");
    }
}

#[test]
fn row_10_works_whoever_is_away() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let mut pair = Pair::new(&world).await;
        for order in 0..16 {
            sim.note(format!("order {order:04b}"));
            pair = pair.shares(&world, order).await;
        }
        pair.is_whole(&world).await;
    });
}

/// Two orders in a row, drawn with the seed.
async fn any_order(sim: Sim) {
    let world = World::new(&sim).await;
    let mut dice = sim.dice();
    let mut pair = Pair::new(&world).await;
    for _ in 0..2 {
        let order = dice.below(16) as u64;
        sim.note(format!("order {order:04b}"));
        pair = pair.shares(&world, order).await;
    }
    pair.is_whole(&world).await;
}

#[test]
fn row_10_works_in_any_order_under_any_seed() {
    simulate(1..=100, any_order);
}

/// The owner's program ends, in an orderly way or not, and comes back at another address while the
/// viewer still holds the old link.
async fn moved_owner(sim: Sim) {
    let world = World::new(&sim).await;
    let mut dice = sim.dice();
    let mut pair = Pair::new(&world).await;
    let first = pair.grants(1).await;
    let second = pair.grants(1).await;
    pair.bob.fetched(first).await;

    let Pair { anna, bob, .. } = pair;
    let pause = Duration::from_millis(dice.below(5000) as u64);
    let anna = if dice.percent(50) {
        let folder = anna.gone().await;
        sim.sleep(pause).await;
        world.started(folder).await
    } else {
        sim.sleep(pause).await;
        anna.restarted().await
    };
    let begun = sim.elapsed();
    bob.fetched(second).await;

    let took = sim.elapsed() - begun;
    assert!(took <= FOUND_WITHIN, "found after {took:?}");
    anna.gone().await;
}

#[test]
fn row_11_an_owner_that_has_moved_is_found_again_in_time() {
    simulate(1..=100, moved_owner);
}

#[test]
#[ignore = "takes minutes: with hundreds of seeds more"]
fn hundreds_of_seeds() {
    simulate(1001..=1300, any_order);
    simulate(1001..=1300, moved_owner);
}
