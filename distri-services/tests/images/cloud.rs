//! The cloud's part of sharing, on simulated clusters: users, catalogue, letters.

use std::time::Duration;

use distri::{
    Client, Code,
    identity::Identity,
    signed::{RecordError, Signed},
    testing::{Cluster, Sim, simulate},
};
use distri_services::{
    images::{
        cloud::{
            ImageCatalog, ImageCatalogClient, ImageInbox, ImageInboxClient, ImageUsers,
            ImageUsersClient, PAIR_MAX, Search, ShareRefusal,
        },
        media::{Format, Preview},
        record::{
            Entry, Handle, LetterId, Message, Offer, Request, SealedLetter, User, Visibility,
        },
    },
    permissions::{ImageId, Randomness, RequestId, SealingSecret},
};

/// A user with one device.
struct Someone {
    key: Identity,
    secret: SealingSecret,
    client: Client,
    handle: Handle,
}

impl Someone {
    async fn new(cluster: &Cluster, n: u8, handle: &str) -> Self {
        Self {
            key: Identity::from_seed(&[n; 32]),
            secret: SealingSecret::random(&mut Randomness::from_seed([n; 32].into())),
            client: cluster.stranger().await,
            handle: Handle::new(handle).unwrap(),
        }
    }

    async fn registered(cluster: &Cluster, n: u8, handle: &str) -> Self {
        let someone = Self::new(cluster, n, handle).await;
        someone.users().register(someone.record(1)).await.unwrap();
        someone
    }

    fn user(&self) -> User {
        User {
            handle: self.handle.clone(),
            devices: vec![self.client.key()],
            sealing: self.secret.public(),
        }
    }

    fn record(&self, seq: u64) -> Signed<User> {
        Signed::sign(&self.key, seq, self.user()).unwrap()
    }

    fn users(&self) -> ImageUsersClient {
        ImageUsersClient::new(self.client.clone())
    }

    fn catalog(&self) -> ImageCatalogClient {
        ImageCatalogClient::new(self.client.clone())
    }

    fn inbox(&self) -> ImageInboxClient {
        ImageInboxClient::new(self.client.clone())
    }

    fn offer(&self, seq: u64, image: u8, title: &str) -> Signed<Entry> {
        let offer = (!title.is_empty()).then(|| Offer {
            title: title.into(),
            format: Format::Png,
            width: 10,
            height: 10,
            bytes: 1024,
            preview: Preview::None,
            visibility: Visibility::Public,
        });
        let image = ImageId::from_array([image; 16]);
        Signed::sign(&self.key, seq, Entry { image, offer }).unwrap()
    }

    fn letter(&self, to: &Self, n: u8) -> SealedLetter {
        let request = Request {
            request: RequestId::from_array([n; 16]),
            image: ImageId::from_array([1; 16]),
            views: 2,
            note: String::new(),
            viewer: Identity::from_seed(&[n; 32]).public(),
            sealing: self.secret.public(),
        };
        SealedLetter::seal(
            LetterId::from_array([n; 16]),
            &self.key,
            to.key.public(),
            &to.secret.public(),
            Message::Request(request),
            &mut Randomness::from_seed([n; 32].into()),
        )
        .unwrap()
    }
}

async fn cloud(sim: &Sim) -> Cluster {
    sim.cluster(3)
        .service(ImageUsers::default)
        .service(ImageCatalog::default)
        .service(ImageInbox::default)
        .start()
        .await
}

fn refusal(result: distri::Result<()>) -> ShareRefusal {
    let error = result.unwrap_err();
    error.details().unwrap_or_else(|| panic!("{error:?}"))
}

#[test]
fn row_1_only_you_write_your_records_and_none_is_rolled_back() {
    simulate(1..=1, async |sim| {
        let cluster = cloud(&sim).await;
        let anna = Someone::registered(&cluster, 1, "Anna").await;
        let eve = Someone::registered(&cluster, 2, "Eve").await;
        let key = anna.key.public();

        // Eve signs for Anna; then Anna's own record with another body.
        let text = serde_json::to_string(&eve.record(2)).unwrap();
        let forged = text.replace(&eve.key.public().to_string(), &key.to_string());
        let forged: Signed<User> = serde_json::from_str(&forged).unwrap();
        let error = eve.users().register(forged).await.unwrap_err();
        assert!(
            matches!(error.details(), Some(RecordError::Forged { .. })),
            "{error:?}"
        );
        for seq in [0, 3, u64::MAX] {
            let error = anna.users().register(anna.record(seq)).await.unwrap_err();
            assert_eq!(error.code(), Code::FailedPrecondition, "{seq}");
        }
        anna.users().register(anna.record(2)).await.unwrap();
        let old = anna.users().register(anna.record(1)).await.unwrap_err();
        assert!(matches!(
            old.details(),
            Some(RecordError::Older { held: 2, .. })
        ));
        anna.users().register(anna.record(2)).await.unwrap();

        let kept = eve.users().user(key).await.unwrap().unwrap();
        assert_eq!(kept, anna.record(2));

        let catalog = anna.catalog();
        catalog.publish(anna.offer(1, 1, "A cat")).await.unwrap();
        assert!(catalog.publish(anna.offer(1, 1, "A dog")).await.is_err());
        assert!(catalog.publish(anna.offer(3, 1, "A dog")).await.is_err());
        catalog.publish(anna.offer(2, 1, "")).await.unwrap();
        assert!(
            catalog.publish(anna.offer(1, 1, "A cat")).await.is_err(),
            "an old offer"
        );
        let image = ImageId::from_array([1; 16]);
        let kept = eve.catalog().entry(key, image).await.unwrap().unwrap();
        assert_eq!(kept, anna.offer(2, 1, ""));
    });
}

#[test]
fn a_handle_has_one_owner_whoever_is_first_and_however_it_is_written() {
    simulate(1..=3, async |sim| {
        let cluster = cloud(&sim).await;
        let mut all = Vec::new();
        for (n, handle) in ["anna", "Anna", "ANNA", "aNNa"].into_iter().enumerate() {
            all.push(Someone::new(&cluster, n as u8 + 1, handle).await);
        }

        let tries: Vec<_> = all
            .iter()
            .map(|someone| {
                let call = someone.users().register(someone.record(1));
                sim.spawn(call.into_future())
            })
            .collect();
        let mut won = 0;
        for attempt in tries {
            match attempt.await.unwrap() {
                Ok(()) => won += 1,
                Err(error) => assert!(matches!(
                    error.details(),
                    Some(ShareRefusal::HandleTaken { .. })
                )),
            }
        }

        assert_eq!(won, 1);
        let named = all[0].users().named(Handle::new("ANna").unwrap()).await;
        assert!(named.unwrap().is_some());
    });
}

#[test]
fn a_device_registers_itself_and_belongs_to_one_user() {
    simulate(1..=1, async |sim| {
        let cluster = cloud(&sim).await;
        let anna = Someone::registered(&cluster, 1, "anna").await;
        let mut eve = Someone::new(&cluster, 2, "eve").await;

        // Eve lists Anna's device; then comes with Anna's device under her own key.
        let mut user = eve.user();
        user.devices = vec![anna.client.key()];
        let stolen = Signed::sign(&eve.key, 1, user.clone()).unwrap();
        let not_hers = refusal(eve.users().register(stolen.clone()).await);
        let not_free = refusal(anna.users().register(stolen).await);
        assert!(matches!(not_hers, ShareRefusal::NotFromDevice { .. }));
        assert!(matches!(not_free, ShareRefusal::DeviceTaken { .. }));

        // A second device, and the first one dropped, is free for another.
        eve.users().register(eve.record(1)).await.unwrap();
        let first = eve.client.clone();
        eve.client = cluster.stranger().await;
        eve.users().register(eve.record(2)).await.unwrap();
        let bob = Someone {
            client: first,
            ..Someone::new(&cluster, 3, "bob").await
        };
        bob.users().register(bob.record(1)).await.unwrap();
        let renamed = Someone {
            handle: Handle::new("robert").unwrap(),
            ..bob
        };
        let fixed = refusal(renamed.users().register(renamed.record(2)).await);
        assert!(matches!(fixed, ShareRefusal::HandleFixed { .. }));
    });
}

#[test]
fn the_catalogue_is_read_in_pages_searched_and_followed() {
    simulate(1..=1, async |sim| {
        let cluster = cloud(&sim).await;
        let anna = Someone::registered(&cluster, 1, "anna").await;
        let bob = Someone::registered(&cluster, 2, "bob").await;
        let eve = Someone::new(&cluster, 3, "eve").await;
        for n in 0..7 {
            let title = format!("Cat {n}");
            anna.catalog()
                .publish(anna.offer(1, n, &title))
                .await
                .unwrap();
        }
        bob.catalog()
            .publish(bob.offer(1, 9, "A Dog"))
            .await
            .unwrap();
        anna.catalog().publish(anna.offer(2, 3, "")).await.unwrap();
        let stranger = refusal(eve.catalog().publish(eve.offer(1, 1, "x")).await);
        assert!(matches!(stranger, ShareRefusal::NoUser { .. }));

        let mut titles = Vec::new();
        let mut search = Search {
            limit: 3,
            ..Search::default()
        };
        loop {
            let page = eve.catalog().search(search.clone()).await.unwrap();
            assert!(page.entries.len() <= 3);
            for record in &page.entries {
                let entry = Entry::of(record, record.key()).unwrap();
                titles.push(entry.offer.clone().unwrap().title);
            }
            match page.cursor {
                Some(cursor) => search.cursor = Some(cursor),
                None => break,
            }
        }
        titles.sort();
        let expected = [
            "A Dog", "Cat 0", "Cat 1", "Cat 2", "Cat 4", "Cat 5", "Cat 6",
        ];
        assert_eq!(titles, expected);

        let count = async |search| eve.catalog().search(search).await.unwrap().entries.len();
        let owner = Some(bob.key.public());
        assert_eq!(
            count(Search {
                owner,
                ..Search::default()
            })
            .await,
            1
        );
        let text = Some("cat".into());
        assert_eq!(
            count(Search {
                text,
                ..Search::default()
            })
            .await,
            6
        );

        // Whoever was away hears what was changed meanwhile, then what is changed.
        let all = eve.catalog().search(Search::default()).await.unwrap();
        anna.catalog()
            .publish(anna.offer(2, 0, "Kitten"))
            .await
            .unwrap();
        let mut changes = eve.catalog().changes(Some(all.revision)).await.unwrap();
        let missed = changes.next().await.unwrap().unwrap();
        assert_eq!(missed.record, anna.offer(2, 0, "Kitten"));
        bob.catalog().publish(bob.offer(2, 9, "")).await.unwrap();
        let told = changes.next().await.unwrap().unwrap();
        assert_eq!(told.record, bob.offer(2, 9, ""));
        assert!(told.revision > missed.revision && missed.revision > all.revision);
    });
}

#[test]
fn letters_wait_arrive_in_order_and_are_gone_when_read() {
    simulate(1..=1, async |sim| {
        let cluster = cloud(&sim).await;
        let anna = Someone::registered(&cluster, 1, "anna").await;
        let bob = Someone::registered(&cluster, 2, "bob").await;
        let eve = Someone::registered(&cluster, 3, "eve").await;
        for n in [5, 3, 8] {
            anna.inbox().send(anna.letter(&bob, n), None).await.unwrap();
            anna.inbox().send(anna.letter(&bob, n), None).await.unwrap();
        }
        let other = SealedLetter {
            sealed: vec![1],
            ..anna.letter(&bob, 5)
        };
        let exists = refusal(anna.inbox().send(other, None).await);
        assert!(matches!(exists, ShareRefusal::LetterExists { .. }));
        assert!(eve.inbox().receive(None).await.unwrap().letters.is_empty());

        let got = bob.inbox().receive(None).await.unwrap();
        let ids: Vec<_> = got
            .letters
            .iter()
            .map(|arrived| arrived.letter.id)
            .collect();
        assert_eq!(ids, [5, 3, 8].map(|n| LetterId::from_array([n; 16])));
        let opened = got.letters[0]
            .letter
            .open(bob.key.public(), &bob.secret)
            .unwrap();
        assert_eq!(opened.from, anna.key.public());
        let after = bob
            .inbox()
            .receive(Some(got.letters[0].cursor))
            .await
            .unwrap();
        assert_eq!(after.letters.len(), 2);

        eve.inbox().acknowledge(ids.clone()).await.unwrap();
        assert_eq!(bob.inbox().receive(None).await.unwrap().letters.len(), 3);
        bob.inbox().acknowledge(ids.clone()).await.unwrap();
        bob.inbox().acknowledge(ids).await.unwrap();
        assert!(bob.inbox().receive(None).await.unwrap().letters.is_empty());
    });
}

#[test]
fn an_inbox_has_bounds_for_each_sender_and_makes_room_again() {
    simulate(1..=1, async |sim| {
        let cluster = cloud(&sim).await;
        let anna = Someone::registered(&cluster, 1, "anna").await;
        let bob = Someone::registered(&cluster, 2, "bob").await;
        let eve = Someone::registered(&cluster, 3, "eve").await;
        let stranger = Someone::new(&cluster, 4, "zoe").await;
        let send = async |from: &Someone, n: u8, keep: Option<u64>| {
            from.inbox().send(from.letter(&bob, n), keep).await
        };

        let unknown = refusal(send(&stranger, 1, None).await);
        assert!(matches!(unknown, ShareRefusal::NotRegistered { .. }));
        let nobody = refusal(anna.inbox().send(anna.letter(&stranger, 1), None).await);
        assert!(matches!(nobody, ShareRefusal::NoUser { .. }));
        let sends: Vec<_> = (0..2 * PAIR_MAX as u8)
            .map(|n| {
                let call = anna.inbox().send(anna.letter(&bob, n), None);
                sim.spawn(call.timeout(Duration::from_secs(60)).into_future())
            })
            .collect();
        let mut kept = 0;
        for sent in sends {
            kept += u64::from(sent.await.unwrap().is_ok());
        }
        assert_eq!(kept, PAIR_MAX, "all at once, and no more than the bound");
        send(&eve, 200, None).await.unwrap();

        let got = bob.inbox().receive(None).await.unwrap();
        assert_eq!(got.letters.len() as u64, PAIR_MAX + 1);
        bob.inbox()
            .acknowledge(vec![got.letters[0].letter.id])
            .await
            .unwrap();
        send(&anna, 100, None).await.unwrap();
    });
}

#[test]
fn letters_past_their_end_are_not_told_and_make_room() {
    simulate(1..=1, async |sim| {
        let cluster = cloud(&sim).await;
        let anna = Someone::registered(&cluster, 1, "anna").await;
        let bob = Someone::registered(&cluster, 2, "bob").await;
        for n in 0..PAIR_MAX as u8 {
            anna.inbox()
                .send(anna.letter(&bob, n), Some(0))
                .await
                .unwrap();
        }
        assert!(bob.inbox().receive(None).await.unwrap().letters.is_empty());
        for n in 100..100 + PAIR_MAX as u8 {
            anna.inbox().send(anna.letter(&bob, n), None).await.unwrap();
        }
        let waiting = bob.inbox().receive(None).await.unwrap();
        assert_eq!(waiting.letters.len() as u64, PAIR_MAX);
    });
}

#[test]
fn who_follows_an_inbox_misses_nothing_when_a_node_dies() {
    simulate(1..=3, async |sim| {
        let cluster = cloud(&sim).await;
        let anna = Someone::registered(&cluster, 1, "anna").await;
        let bob = Someone::registered(&cluster, 2, "bob").await;

        let inbox = bob.inbox();
        let follower = sim.spawn(async move {
            let (mut cursor, mut got) = (None, Vec::new());
            while got.len() < 9 {
                let Ok(mut letters) = inbox.follow(cursor).await else {
                    continue;
                };
                while let Some(Ok(arrived)) = letters.next().await {
                    cursor = Some(arrived.cursor);
                    got.push(arrived.letter.id);
                    if got.len() == 9 {
                        break;
                    }
                }
            }
            got
        });
        for n in 0..9 {
            let call = anna.inbox().send(anna.letter(&bob, n), None);
            call.timeout(Duration::from_secs(120)).await.unwrap();
            if n % 3 == 2 {
                let victim = usize::from(n / 3) % 3;
                cluster.kill(victim);
                sim.sleep(Duration::from_secs(5)).await;
                cluster.restart(victim).await;
            }
        }

        let expected: Vec<_> = (0..9).map(|n| LetterId::from_array([n; 16])).collect();
        assert_eq!(follower.await.unwrap(), expected);
    });
}
