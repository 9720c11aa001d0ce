//! What goes on by itself: granted images come, and a person hears of the cloud that it was lost.

use std::future::Future;

use crate::sharing::{Someone, World};
use distri::testing::simulate;
use distri_services::{
    images::person::{Person, PersonEvent, State, Told},
    permissions::RequestId,
};

/// Does `work` while `goes_on`, which never ends, goes on.
async fn meanwhile<T>(goes_on: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    tokio::select! {
        () = goes_on => panic!("it ended"),
        done = work => done,
    }
}

/// The events after `cursor` up to and with the first that is `wanted`.
async fn until(
    person: &Person,
    mut cursor: u64,
    wanted: impl Fn(&PersonEvent) -> bool,
) -> Vec<PersonEvent> {
    let mut all = Vec::new();
    loop {
        let Told::Events {
            cursor: last,
            events,
        } = person.log().after(cursor).await
        else {
            panic!("events are forgotten");
        };
        cursor = last;
        all.extend(events);
        if all.iter().any(&wanted) {
            return all;
        }
    }
}

async fn granted(anna: &Someone, bob: &Someone) -> RequestId {
    let image = anna.publishes("A cat").await;
    let owner = anna.person.key();
    let request = bob.person.request(owner, image, 2, "").await.unwrap();
    anna.person.settle().await.unwrap();
    anna.approves(request, 2).await;
    bob.person.settle().await.unwrap();
    request
}

async fn state(someone: &Someone, request: RequestId) -> State {
    let grants = someone.person.known_grants().await.unwrap();
    let grant = grants.iter().find(|grant| grant.request == request);
    grant.unwrap().state
}

#[test]
fn what_is_granted_comes_by_itself_also_from_an_owner_who_was_away() {
    simulate(1..=3, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let key = anna.person.key();
        world
            .cluster
            .eventually("anna is here", async || {
                bob.person.is_here(key).await.unwrap().then_some(())
            })
            .await;
        let first = granted(&anna, &bob).await;
        let folder = anna.gone().await;
        assert!(!bob.person.is_here(key).await.unwrap(), "she said goodbye");

        let cursor = bob.person.log().cursor();
        let delivered = |told: &PersonEvent| matches!(told, PersonEvent::Delivered { .. });
        let (anna, second) = meanwhile(bob.person.fetch_all(), async {
            // Nobody is there to deliver it.
            tokio::time::sleep(std::time::Duration::from_secs(20)).await;
            assert_eq!(state(&bob, first).await, State::Approved);
            let anna = world.started(folder).await;
            let events = until(&bob.person, cursor, delivered).await;
            let begins = PersonEvent::Delivering { request: first };
            let ends = PersonEvent::Delivered { request: first };
            let place = |event| events.iter().position(|told| *told == event).unwrap();
            assert!(place(begins) < place(ends), "{events:?}");
            assert_eq!(state(&bob, first).await, State::Active);

            // One that is granted later comes too.
            let cursor = bob.person.log().cursor();
            let second = granted(&anna, &bob).await;
            until(&bob.person, cursor, delivered).await;
            (anna, second)
        })
        .await;

        assert_eq!(state(&bob, second).await, State::Active);
        let grants = bob.person.grants().await.unwrap();
        assert!(grants.iter().all(|grant| grant.delivery.is_none()));
        anna.gone().await;
    });
}

#[test]
fn what_was_taken_back_before_it_came_is_not_asked_for_for_ever() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let request = granted(&anna, &bob).await;
        anna.person.revoke(request).await.unwrap();
        assert_eq!(state(&bob, request).await, State::Approved);

        let cursor = bob.person.log().cursor();
        let changed = |told: &PersonEvent| matches!(told, PersonEvent::Changed { .. });
        meanwhile(bob.person.fetch_all(), until(&bob.person, cursor, changed)).await;

        assert_eq!(state(&bob, request).await, State::Revoked);
    });
}

#[test]
fn a_person_is_told_that_the_cloud_is_lost_and_that_it_is_back() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let bob = world.someone("bob").await;
        assert!(bob.person.is_online());

        let cursor = bob.person.log().cursor();
        meanwhile(bob.person.follow(), async {
            world.cloud_off();
            until(&bob.person, cursor, |told| *told == PersonEvent::CloudLost).await;
            assert!(!bob.person.is_online());
            world.cloud_on().await;
            until(&bob.person, cursor, |told| *told == PersonEvent::CloudBack).await;
        })
        .await;

        assert!(bob.person.is_online());
    });
}
