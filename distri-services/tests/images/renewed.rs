//! What becomes of grants when the secret of the cluster is renewed: the cloud's halves were sealed to it.

use distri::testing::simulate;
use distri_services::images::person::PersonError;

use crate::{
    person::shown,
    sharing::{Someone, World},
};

#[test]
fn a_grant_from_before_the_secret_was_renewed_is_looked_at_and_given_new_keys() {
    simulate(1..=3, async |sim| {
        let world = World::new(&sim).await;
        let (anna, bob) = (world.someone("anna").await, world.someone("bob").await);
        let image = anna.publishes("A cat").await;
        let request = bob
            .person
            .request(anna.person.key(), image, 3, "")
            .await
            .unwrap();
        anna.person.settle().await.unwrap();
        anna.approves(request, 3).await;
        bob.person.settle().await.unwrap();
        bob.fetched(request).await;
        let older = async |someone: &Someone| someone.person.older_keys().await.unwrap();
        assert_eq!(older(&anna).await, []);

        world.renews_its_secret().await;

        assert_eq!(shown(bob.person.view(request, "a").await.unwrap()), (1, 3));
        bob.person.looked(request).await.unwrap();
        assert_eq!(older(&anna).await, [request]);

        anna.person.rekey(request).await.unwrap();

        assert_eq!(older(&anna).await, []);
        // The terms are as they were, and nothing is transferred again.
        assert_eq!(shown(bob.person.view(request, "b").await.unwrap()), (2, 3));
        bob.person.looked(request).await.unwrap();
        assert_eq!(shown(bob.person.view(request, "c").await.unwrap()), (3, 3));
        bob.person.looked(request).await.unwrap();
        let audit = anna.person.audit(request).await.unwrap();
        let given = |what: &str| audit.iter().filter(|entry| entry.what == what).count();
        assert_eq!(given("gave new keys, for 3 views"), 1);

        // The cloud has no half of it any more, so there is nothing that anybody could know.
        let over = anna.person.rekey(request).await.unwrap_err();
        assert!(
            matches!(over.details(), Some(PersonError::Over { .. })),
            "{over}"
        );
        world.renews_its_secret().await;
        assert_eq!(older(&anna).await, []);
    });
}

#[test]
fn new_keys_that_were_begun_while_the_cloud_was_away_are_given_when_it_is_back() {
    simulate(1..=2, async |sim| {
        let world = World::new(&sim).await;
        let (anna, bob) = (world.someone("anna").await, world.someone("bob").await);
        let image = anna.publishes("A cat").await;
        let request = bob
            .person
            .request(anna.person.key(), image, 3, "")
            .await
            .unwrap();
        anna.person.settle().await.unwrap();
        anna.approves(request, 3).await;
        bob.person.settle().await.unwrap();
        bob.fetched(request).await;

        let begun = anna.person.rekey(request);
        let cut = async {
            // Somewhere in the middle of it.
            sim.sleep(std::time::Duration::from_micros(500 * sim.seed()))
                .await;
            world.cloud_off();
        };
        let (_, ()) = tokio::join!(begun, cut);
        world.cloud_on().await;
        anna.settled().await;
        bob.settled().await;

        assert_eq!(shown(bob.person.view(request, "a").await.unwrap()), (1, 3));
        assert_eq!(shown(bob.person.view(request, "a").await.unwrap()), (1, 3));
    });
}
