//! People who share pictures, with everything real but links, disks of nodes and time.

use std::{future::Future, task::Poll};

use crate::sharing::{self, Someone, World, picture};
use distri::{Code, testing::simulate};
use distri_services::{
    images::{
        cloud::Search,
        media::{Picture, PreviewKind},
        person::{Answer, Draft, GrantSide, PersonError, State, Terms, View},
        record::Visibility,
    },
    permissions::RequestId,
};

/// The state in which `someone` sees the request.
async fn state(someone: &Someone, request: RequestId) -> State {
    let grants = someone.person.grants().await.unwrap();
    grants
        .iter()
        .find(|grant| grant.request == request)
        .unwrap()
        .state
}

pub(crate) fn shown(view: View) -> (u32, u32) {
    match view {
        View::Shown(seen) => {
            assert_eq!(
                seen.picture.to_rgba8(),
                Picture::decode(&picture()).unwrap().to_rgba8()
            );
            (seen.view, seen.of)
        }
        View::Over { state, .. } => panic!("over: {state:?}"),
    }
}

fn over(view: View) -> State {
    match view {
        View::Over { state, cover } => {
            assert!(Picture::decode(&cover).is_ok());
            state
        }
        View::Shown(_) => panic!("a picture was shown"),
    }
}

#[test]
fn a_picture_is_shared_looked_at_used_up_extended_and_taken_back() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;

        let image = anna.publishes("A cat").await;
        let gallery = bob.person.catalog(Search::default()).await.unwrap();
        assert_eq!(gallery.entries.len(), 1);
        assert_eq!(gallery.entries[0].owner.handle.as_str(), "anna");
        let owner = anna.person.key();
        let request = bob.person.request(owner, image, 3, "may I?").await.unwrap();
        assert_eq!(state(&bob, request).await, State::Requested);

        anna.person.settle().await.unwrap();
        let inbox = anna.person.inbox().await.unwrap();
        assert_eq!(
            (inbox.len(), inbox[0].views, inbox[0].note.as_str()),
            (1, 3, "may I?")
        );
        let looking = bob.person.view(request, "a").await.unwrap_err();
        assert!(matches!(
            looking.details(),
            Some(PersonError::NotApproved { .. })
        ));
        anna.approves(request, 2).await;
        let again = anna
            .person
            .decide(request, Answer::Reject { why: "no".into() })
            .await;
        assert!(matches!(
            again.unwrap_err().details(),
            Some(PersonError::Answered { .. })
        ));

        bob.person.settle().await.unwrap();
        assert_eq!(state(&bob, request).await, State::Approved);
        let early = bob.person.view(request, "a").await.unwrap_err();
        assert!(matches!(
            early.details(),
            Some(PersonError::NotDelivered { .. })
        ));
        let mut last = None;
        bob.person
            .fetch(request, &mut |progress| last = Some(progress))
            .await
            .unwrap();
        let last = last.unwrap();
        assert_eq!((last.done, last.arrived), (last.of, last.of));
        assert_eq!(state(&bob, request).await, State::Active);

        assert_eq!(shown(bob.person.view(request, "a").await.unwrap()), (1, 2));
        assert_eq!(
            shown(bob.person.view(request, "a").await.unwrap()),
            (1, 2),
            "the same look"
        );
        bob.person.looked(request).await.unwrap();
        assert_eq!(shown(bob.person.view(request, "b").await.unwrap()), (2, 2));
        assert_eq!(
            over(bob.person.view(request, "c").await.unwrap()),
            State::Exhausted
        );
        assert_eq!(state(&anna, request).await, State::Exhausted);

        // Nothing is transferred again.
        anna.person.extend(request, anna.terms(3)).await.unwrap();
        assert_eq!(shown(bob.person.view(request, "d").await.unwrap()), (3, 3));
        bob.person.looked(request).await.unwrap();
        anna.person.extend(request, anna.terms(9)).await.unwrap();
        anna.person.revoke(request).await.unwrap();
        assert_eq!(
            over(bob.person.view(request, "e").await.unwrap()),
            State::Revoked
        );
        assert_eq!(state(&bob, request).await, State::Revoked);
        let late = anna
            .person
            .extend(request, anna.terms(10))
            .await
            .unwrap_err();
        assert!(matches!(late.details(), Some(PersonError::Over { .. })));

        let looks = |audit: Vec<distri_services::images::person::Audited>| {
            audit
                .iter()
                .filter(|entry| entry.what.starts_with("looked"))
                .count()
        };
        assert_eq!(looks(anna.person.audit(request).await.unwrap()), 3);
        assert_eq!(looks(bob.person.audit(request).await.unwrap()), 3);
        let given = anna.person.grants().await.unwrap();
        assert_eq!((given[0].side, given[0].used), (GrantSide::Owner, 3));
    });
}

#[test]
fn row_12_at_zero_only_the_cover_shows_with_the_true_reason() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let image = anna.publishes("A cat").await;
        let cover = sharing::cover();
        let shared = async |views, expires_ms| {
            let request = bob
                .person
                .request(anna.person.key(), image, 1, "")
                .await
                .unwrap();
            anna.person.settle().await.unwrap();
            let terms = Terms { views, expires_ms };
            let cover = Some(cover.clone());
            anna.person
                .decide(request, Answer::Approve { terms, cover })
                .await
                .unwrap();
            bob.person.settle().await.unwrap();
            bob.person.fetch(request, &mut |_| {}).await.unwrap();
            request
        };
        let used_up = shared(1, u64::MAX).await;
        let revoked = shared(5, u64::MAX).await;
        shown(bob.person.view(used_up, "a").await.unwrap());
        anna.person.revoke(revoked).await.unwrap();

        for (request, why) in [(used_up, State::Exhausted), (revoked, State::Revoked)] {
            let View::Over { state, cover: seen } = bob.person.view(request, "z").await.unwrap()
            else {
                panic!("a picture was shown");
            };

            assert_eq!(state, why);
            assert_eq!(seen, bob.person.cover(request).await.unwrap());
            // What is shown is the cover, to within the one step by which it carries the message.
            let (seen, cover) = (
                Picture::decode(&seen).unwrap(),
                Picture::decode(&cover).unwrap(),
            );
            let steps = seen
                .to_rgba8()
                .iter()
                .zip(cover.to_rgba8())
                .map(|(a, b)| a.abs_diff(b))
                .max();
            assert_eq!(
                (seen.width(), seen.height(), steps),
                (cover.width(), cover.height(), Some(1))
            );
        }
    });
}

#[test]
fn row_5_a_viewer_that_dies_at_any_moment_spends_one_view_for_one_look() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let mut bob = world.someone("bob").await;
        let image = anna.publishes("A cat").await;
        let request = bob
            .person
            .request(anna.person.key(), image, 500, "")
            .await
            .unwrap();
        anna.person.settle().await.unwrap();
        anna.approves(request, 500).await;
        bob.person.settle().await.unwrap();
        bob.person.fetch(request, &mut |_| {}).await.unwrap();

        let mut looks = 0;
        let mut polls = 1;
        loop {
            let attempt = polls.to_string();
            // The program dies after so many steps of a look; it is started again and looks.
            let done = {
                let mut look = std::pin::pin!(bob.person.view(request, &attempt));
                let mut left = polls;
                std::future::poll_fn(|cx| {
                    left -= 1;
                    match look.as_mut().poll(cx) {
                        Poll::Ready(done) => Poll::Ready(Some(done.map(drop))),
                        Poll::Pending if left == 0 => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                })
                .await
            };
            bob = bob.restarted().await;
            looks += 1;
            assert_eq!(
                shown(bob.person.view(request, &attempt).await.unwrap()).0,
                looks,
                "{polls}"
            );
            bob.person.looked(request).await.unwrap();
            if let Some(done) = done {
                done.unwrap();
                break;
            }
            polls += 1;
        }
        assert!(polls > 5, "there are steps to die at");
        bob.person.looked(request).await.unwrap();
        let grants = anna.person.grants().await.unwrap();
        assert_eq!(grants[0].used, looks);
    });
}

#[test]
fn row_6_copies_and_backups_of_a_profile_give_no_views() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let image = anna.publishes("A cat").await;
        let request = bob
            .person
            .request(anna.person.key(), image, 2, "")
            .await
            .unwrap();
        anna.person.settle().await.unwrap();
        anna.approves(request, 2).await;
        bob.person.settle().await.unwrap();
        bob.person.fetch(request, &mut |_| {}).await.unwrap();

        let backup = bob.copied();
        let mut bob = bob.restarted().await;
        assert_eq!(shown(bob.person.view(request, "a").await.unwrap()), (1, 2));
        let folder = bob.gone().await;
        let copy = world.started(backup.clone()).await;
        assert_eq!(shown(copy.person.view(request, "b").await.unwrap()), (2, 2));
        assert_eq!(
            over(copy.person.view(request, "c").await.unwrap()),
            State::Exhausted
        );
        copy.gone().await;
        bob = world.started(folder).await;
        assert_eq!(
            over(bob.person.view(request, "d").await.unwrap()),
            State::Exhausted
        );
        let grants = anna.person.grants().await.unwrap();
        assert_eq!(grants[0].used, 2);
    });
}

#[test]
fn row_2_a_lying_node_is_noticed_and_the_last_good_record_kept() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let image = anna.publishes("A cat").await;
        let key = anna.person.key();
        let before = bob.person.user(key).await.unwrap();
        let directory = world.cluster.node(0).handle().directory();
        let users = directory.collection::<serde_json::Value>("image-users");
        let entries = directory.collection::<serde_json::Value>("image-entries");
        let old_user = users.get(key.to_string()).await.unwrap().unwrap().value;
        let entry_id = format!("{key}/{image}");
        let old_entry = entries.get(entry_id.as_str()).await.unwrap().unwrap().value;
        let lie = |error: distri::Error| matches!(error.details(), Some(PersonError::Lie { .. }));

        // Anna comes with another device, and both know; then a node tells the record from before.
        let anna = anna.with_another_device().await;
        let now = bob.person.user(key).await.unwrap();
        assert_ne!(now, before);
        let good_user = users.get(key.to_string()).await.unwrap().unwrap().value;
        users.put(key.to_string(), &old_user).await.unwrap();
        assert!(
            lie(bob.person.user(key).await.unwrap_err()),
            "an old record"
        );
        let text = old_user.to_string().replace("anna", "anne");
        let forged: serde_json::Value = serde_json::from_str(&text).unwrap();
        users.put(key.to_string(), &forged).await.unwrap();
        assert!(
            lie(bob.person.user(key).await.unwrap_err()),
            "a forged record"
        );
        users.delete(key.to_string()).await.unwrap();
        assert_eq!(
            bob.person.user(key).await.unwrap(),
            now,
            "the last good one is kept"
        );

        users.put(key.to_string(), &good_user).await.unwrap();
        anna.person.unpublish(image).await.unwrap();
        assert!(bob.person.offered(key, image).await.is_err());
        entries.put(entry_id.as_str(), &old_entry).await.unwrap();
        assert!(
            lie(bob.person.offered(key, image).await.unwrap_err()),
            "an old offer"
        );
        let gallery = bob.person.catalog(Search::default()).await.unwrap();
        assert_eq!((gallery.entries.len(), gallery.lies.len()), (0, 1));
    });
}

#[test]
fn row_13_names_never_become_paths() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        let bob = world.someone("bob").await;
        let before = bob.files();
        let names = [
            "../../../x.png".to_owned(),
            "C:\\CON.png".into(),
            "/dev/zero".into(),
            "a\0b\x1b[2J\u{202e}gnp.exe".into(),
            "x".repeat(4096),
        ];
        for name in names {
            let draft = Draft::new(
                &picture(),
                &name,
                Some(&name),
                PreviewKind::None,
                Visibility::Public,
            );
            let image = anna.person.publish(draft.unwrap()).await.unwrap();
            let request = bob
                .person
                .request(anna.person.key(), image, 1, &name)
                .await
                .unwrap();
            anna.person.settle().await.unwrap();
            anna.approves(request, 1).await;
            bob.person.settle().await.unwrap();
            bob.person.fetch(request, &mut |_| {}).await.unwrap();
            shown(bob.person.view(request, "a").await.unwrap());
            bob.person.looked(request).await.unwrap();
        }

        let new: Vec<_> = bob
            .files()
            .into_iter()
            .filter(|file| !before.contains(file))
            .collect();
        let fit = |name: &str, end: &str| {
            let stem = name.strip_suffix(end);
            stem.is_some_and(|stem| stem.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        };
        for path in &new {
            let parts: Vec<_> = path.split('/').collect();
            let is_fit = match parts[..] {
                ["files", name] => fit(name, ".png"),
                ["asked" | "users" | "looks" | "outbox", name] => fit(name, ".json"),
                ["cloud.json"] => true,
                _ => false,
            };
            assert!(is_fit, "{path}");
        }
        assert_eq!(
            new.iter().filter(|path| path.starts_with("files/")).count(),
            5
        );
        for device in ["/dev/zero", "/dev/null", "/"] {
            let read = Draft::of_file(device.into(), None, PreviewKind::None, Visibility::Public);
            assert_eq!(
                read.await.unwrap_err().code(),
                Code::FailedPrecondition,
                "{device}"
            );
        }
    });
}

#[test]
#[cfg(unix)]
fn a_profile_is_its_owners_alone_and_used_by_one_program() {
    use std::os::unix::fs::PermissionsExt;
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let anna = world.someone("anna").await;
        anna.publishes("A cat").await;

        for path in anna.files() {
            let mode = std::fs::metadata(anna.folder.join(&path))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o077, 0, "{path}");
        }
        let second = distri_services::images::person::Profile::open(&anna.folder).await;
        assert_eq!(second.unwrap_err().code(), Code::FailedPrecondition);
    });
}
