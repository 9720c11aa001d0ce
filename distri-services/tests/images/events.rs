//! What people hear of their grants while, and after, they were away.

use std::time::Duration;

use distri::testing::{Sim, simulate};
use distri_services::{
    images::person::{PersonEvent, State, Told, View},
    permissions::{GrantId, RequestId},
};
use serde_json::Value;

use crate::sharing::{Someone, World};

/// Longer than any of it lasts.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody's program, which follows the cloud.
struct Follower {
    someone: Someone,
    task: tokio::task::JoinHandle<()>,
    cursor: u64,
}

impl Follower {
    fn new(sim: &Sim, someone: Someone) -> Self {
        let person = someone.person.clone();
        let task = sim.spawn(async move { person.follow().await });
        Self {
            someone,
            task,
            cursor: 0,
        }
    }

    /// The program ends. Gives the folder of its profile.
    async fn gone(self) -> std::path::PathBuf {
        self.task.abort();
        self.task.await.ok();
        self.someone.gone().await
    }

    /// What is told of grants until `last` is.
    async fn hears(&mut self, last: impl Fn(&PersonEvent) -> bool) -> Vec<PersonEvent> {
        let mut heard = Vec::new();
        loop {
            let log = self.someone.person.log();
            let told = tokio::time::timeout(PATIENCE, log.after(self.cursor)).await;
            match told.unwrap_or_else(|_| panic!("only this was told: {heard:#?}")) {
                Told::Events { cursor, events } => {
                    self.cursor = cursor;
                    heard.extend(events.into_iter().filter(of_grants));
                }
                Told::Forgotten { .. } => panic!("so much cannot have happened"),
            }
            if heard.iter().any(&last) {
                return heard;
            }
        }
    }
}

fn of_grants(event: &PersonEvent) -> bool {
    matches!(
        event,
        PersonEvent::Viewed { .. }
            | PersonEvent::Changed { .. }
            | PersonEvent::Ended { .. }
            | PersonEvent::FalseAudit { .. }
            | PersonEvent::Failed { .. }
    )
}

/// In words.
fn said(events: &[PersonEvent]) -> Vec<String> {
    let said = |event: &PersonEvent| match event {
        PersonEvent::Viewed { view, of, .. } => format!("viewed: {view} of {of}"),
        PersonEvent::Changed { .. } => "changed".into(),
        PersonEvent::Ended { state, .. } => format!("{state:?}"),
        other => format!("{other:?}"),
    };
    events.iter().map(said).collect()
}

fn is_view(of: RequestId, number: u32) -> impl Fn(&PersonEvent) -> bool {
    move |event| matches!(event, PersonEvent::Viewed { request, view, .. } if *request == of && *view == number)
}

fn is_end(of: RequestId) -> impl Fn(&PersonEvent) -> bool {
    move |event| matches!(event, PersonEvent::Ended { request, .. } if *request == of)
}

/// Bob asks Anna, who allows it, and has the picture.
async fn shared(anna: &Someone, bob: &Someone, views: u32) -> RequestId {
    let image = anna.publishes("A cat").await;
    let owner = anna.person.key();
    let request = bob.person.request(owner, image, views, "").await.unwrap();
    anna.settled().await;
    anna.approves(request, views).await;
    bob.settled().await;
    bob.fetched(request).await;
    request
}

async fn looks(bob: &Someone, request: RequestId, attempt: &str) {
    let view = bob.person.view(request, attempt).await.unwrap();
    assert!(matches!(view, View::Shown(_)), "{view:?}");
    bob.person.looked(request).await.unwrap();
}

#[test]
fn the_owner_hears_of_each_view_once_with_its_proof_also_of_those_while_away() {
    simulate(1..=2, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let first = shared(&anna, &bob, 3).await;

        let mut anna = Follower::new(&sim, anna);
        looks(&bob, first, "a").await;
        let heard = anna.hears(is_view(first, 1)).await;
        assert_eq!(said(&heard), ["viewed: 1 of 3"]);
        let [PersonEvent::Viewed { proof, .. }] = &heard[..] else {
            panic!("{heard:?}");
        };
        let proofs = anna.someone.person.audit(first).await.unwrap();
        let signed = proof.signature.to_string();
        assert!(
            proofs
                .iter()
                .any(|entry| entry.proof == Some(signed.clone()))
        );

        // A grant that is made meanwhile is followed from its first view on.
        let second = shared(&anna.someone, &bob, 2).await;
        looks(&bob, second, "a").await;
        let heard = anna.hears(is_view(second, 1)).await;
        assert_eq!(said(&heard), ["viewed: 1 of 2"]);

        // What is viewed while nobody listens is told when she is back, and what was told is not.
        let folder = anna.gone().await;
        looks(&bob, first, "b").await;
        looks(&bob, second, "b").await;
        looks(&bob, first, "c").await;
        let mut anna = Follower::new(&sim, world.started(folder).await);
        let heard = anna.hears(is_end(first)).await;
        let expected = [
            "viewed: 2 of 3",
            "viewed: 2 of 2",
            "Exhausted",
            "viewed: 3 of 3",
            "Exhausted",
        ];
        assert_eq!(said(&heard), expected);
        anna.gone().await;
    });
}

#[test]
fn the_viewer_hears_that_the_owner_changed_or_withdrew_a_grant() {
    simulate(1..=2, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let request = shared(&anna, &bob, 1).await;
        let mut bob = Follower::new(&sim, bob);

        let more = anna.terms(2);
        anna.person.extend(request, more).await.unwrap();
        let is_change = |event: &PersonEvent| matches!(event, PersonEvent::Changed { .. });
        assert_eq!(said(&bob.hears(is_change).await), ["changed"]);
        for attempt in ["a", "b"] {
            looks(&bob.someone, request, attempt).await;
        }
        let heard = bob.hears(is_end(request)).await;
        let expected = ["viewed: 1 of 2", "viewed: 2 of 2", "Exhausted"];
        assert_eq!(said(&heard), expected);
        // New halves of the key, which come with a letter.
        let more = anna.terms(3);
        anna.person.extend(request, more).await.unwrap();
        assert_eq!(said(&bob.hears(is_change).await), ["changed"]);
        looks(&bob.someone, request, "c").await;
        let heard = bob.hears(is_end(request)).await;
        assert_eq!(said(&heard), ["viewed: 3 of 3", "Exhausted"]);

        // Withdrawn while he is away.
        let folder = bob.gone().await;
        anna.person.extend(request, anna.terms(9)).await.unwrap();
        anna.person.revoke(request).await.unwrap();
        let mut bob = Follower::new(&sim, world.started(folder).await);
        let revoked = |event: &PersonEvent| matches!(event, PersonEvent::Ended { state, .. } if *state == State::Revoked);
        let heard = bob.hears(revoked).await;
        assert!(said(&heard).contains(&"Revoked".to_owned()));
        bob.gone().await;
    });
}

#[test]
fn a_history_that_cannot_have_been_is_told_once_and_not_believed() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let lied_about = shared(&anna, &bob, 5).await;
        let other = shared(&anna, &bob, 5).await;
        looks(&bob, lied_about, "a").await;
        let directory = world.cluster.node(0).handle().directory();
        let audit = directory.collection::<Value>("permissions-audit");
        let entries = audit
            .find(distri::directory::Filter::All)
            .await
            .unwrap()
            .documents;
        let redeemed = entries
            .iter()
            .find(|entry| entry.value["deed"].get("redeemed").is_some())
            .expect("a view");
        let grant: GrantId = serde_json::from_value(redeemed.value["grant"].clone()).unwrap();
        // The cloud says that it was the second view.
        let mut false_entry = redeemed.value.clone();
        false_entry["deed"]["redeemed"]["view"] = 2.into();
        audit.put(redeemed.id.as_str(), &false_entry).await.unwrap();

        let mut anna = Follower::new(&sim, anna);
        looks(&bob, other, "a").await;
        let heard = anna.hears(is_view(other, 1)).await;
        let doubts = heard
            .iter()
            .filter(|event| matches!(event, PersonEvent::FalseAudit { request, .. } if *request == lied_about));
        assert_eq!(doubts.count(), 1, "of {grant}: {heard:?}");
        assert_eq!(heard.len(), 2, "{heard:?}");

        // Told right at last, it is believed.
        audit
            .put(redeemed.id.as_str(), &redeemed.value)
            .await
            .unwrap();
        let third = shared(&anna.someone, &bob, 1).await;
        looks(&bob, third, "a").await;
        let mut heard = anna.hears(is_view(lied_about, 1)).await;
        if !heard.iter().any(is_end(third)) {
            heard.extend(anna.hears(is_end(third)).await);
        }
        let false_ones = heard
            .iter()
            .filter(|event| matches!(event, PersonEvent::FalseAudit { .. }));
        assert_eq!(false_ones.count(), 0, "{heard:?}");
        anna.gone().await;
    });
}
