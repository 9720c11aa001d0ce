//! Records and letters: only their author can have written them, whatever arrives.

use distri::{
    id::PublicKey,
    identity::Identity,
    signed::{Signable, Signed},
};
use distri_services::{
    images::{
        delivery::{DeliveryRefusal, Fetch},
        media::{Format, Preview},
        record::{
            Approval, Decision, Entry, Handle, LETTER_MAX, Letter, LetterError, LetterId, Manifest,
            Message, Offer, Rekeyed, Request, SealedLetter, User, Verdict, Visibility,
        },
    },
    permissions::{
        Draft, GrantId, ImageId, ManifestHash, Parties, Randomness, RequestId, SealingKey,
        SealingSecret,
    },
};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

fn identity(n: u8) -> Identity {
    Identity::from_seed(&[n; 32])
}

fn randomness(n: u8) -> Randomness {
    Randomness::from_seed([n; 32].into())
}

fn secret(n: u8) -> SealingSecret {
    SealingSecret::random(&mut randomness(n))
}

fn user() -> User {
    User {
        handle: Handle::new("Anna").unwrap(),
        devices: vec![identity(10).public(), identity(11).public()],
        sealing: secret(1).public(),
    }
}

fn entry() -> Entry {
    let png = b"\x89PNG\r\n\x1a\n and so on".to_vec();
    Entry {
        image: ImageId::from_array([3; 16]),
        offer: Some(Offer {
            title: "A cat".into(),
            format: Format::Jpeg,
            width: 640,
            height: 480,
            bytes: Offer::about(70_000),
            preview: Preview::Blur(png),
            visibility: Visibility::Public,
        }),
    }
}

fn request() -> Message {
    Message::Request(Request {
        request: RequestId::from_array([4; 16]),
        image: ImageId::from_array([3; 16]),
        views: 3,
        note: "please".into(),
        viewer: identity(12).public(),
        sealing: secret(2).public(),
    })
}

/// One of each kind.
fn messages() -> Vec<Message> {
    let request_id = RequestId::from_array([4; 16]);
    let parties = Parties {
        image: ImageId::from_array([3; 16]),
        request: request_id,
        owner: identity(13).public(),
        viewer: identity(12).public(),
        viewer_sealing: secret(2).public(),
        not_before_ms: 0,
    };
    let sealed = Draft::new(parties, &mut randomness(7))
        .unwrap()
        .seal(b"a picture")
        .unwrap();
    let (core, secrets) = sealed.granted(b"a file", ManifestHash::from_array([5; 32]));
    let cloud = (1, secret(3).public());
    let envelope = secrets
        .split(&core, 0, cloud, &mut randomness(8))
        .unwrap()
        .envelope;
    let approval = Approval {
        core,
        envelope: envelope.clone(),
        views: 3,
        expires_ms: 1_800_000_000_000,
    };
    let decision = |verdict| {
        Message::Decision(Decision {
            request: request_id,
            verdict,
        })
    };
    vec![
        request(),
        decision(Verdict::Rejected { why: "no".into() }),
        decision(Verdict::Approved(Box::new(approval))),
        Message::Rekeyed(Rekeyed {
            request: request_id,
            envelope,
        }),
    ]
}

fn letter() -> SealedLetter {
    let (id, to) = (LetterId::from_array([5; 16]), identity(1).public());
    let key = secret(1).public();
    SealedLetter::seal(id, &identity(2), to, &key, request(), &mut randomness(9)).unwrap()
}

#[test]
fn row_1_only_its_owner_signs_a_record_and_weak_keys_sign_none() {
    let (anna, eve) = (identity(1), identity(2));
    let record = Signed::sign(&anna, 1, user()).unwrap();
    let by_eve = Signed::sign(&eve, 1, user()).unwrap();
    let weak = PublicKey::from_bytes([0; 32]);
    let text = serde_json::to_string(&record).unwrap();
    let as_weak = text.replace(&anna.public().to_string(), &weak.to_string());
    let as_weak: Signed<User> = serde_json::from_str(&as_weak).unwrap();
    let other_handle: Signed<User> = serde_json::from_str(&text.replace("Anna", "Anne")).unwrap();

    assert!(User::of(&record, anna.public()).is_ok());
    assert!(User::of(&by_eve, anna.public()).is_err());
    assert!(User::of(&as_weak, weak).is_err());
    assert!(User::of(&other_handle, anna.public()).is_err());
}

#[test]
fn what_no_honest_program_signs_is_refused_though_it_is_signed() {
    let anna = identity(1);
    let user_with = |change: &dyn Fn(&mut User)| {
        let mut user = user();
        change(&mut user);
        User::of(&Signed::sign(&anna, 1, user).unwrap(), anna.public()).is_ok()
    };
    let entry_with = |change: &dyn Fn(&mut Offer)| {
        let mut entry = entry();
        change(entry.offer.as_mut().unwrap());
        Entry::of(&Signed::sign(&anna, 1, entry).unwrap(), anna.public()).is_ok()
    };

    assert!(user_with(&|_| {}) && entry_with(&|_| {}));
    assert!(!user_with(&|user| user.devices.clear()));
    assert!(!user_with(
        &|user| user.devices = vec![PublicKey::from_bytes([0; 32])]
    ));
    assert!(!user_with(
        &|user| user.devices = (20..29).map(|n| identity(n).public()).collect()
    ));
    assert!(!user_with(
        &|user| user.devices = vec![identity(5).public(); 2]
    ));
    assert!(!user_with(
        &|user| user.sealing = SealingKey::from_array([0; 32])
    ));
    assert!(!entry_with(&|offer| offer.title = "red \x1b[31m".into()));
    assert!(!entry_with(&|offer| offer.title = "x".repeat(121)));
    assert!(!entry_with(&|offer| offer.title.clear()));
    assert!(!entry_with(&|offer| offer.width = 9000));
    assert!(!entry_with(
        &|offer| offer.preview = Preview::Thumbnail(vec![0; 20_000])
    ));
}

#[test]
fn a_letter_is_read_by_whom_it_is_for_and_by_nobody_else() {
    let sealed = letter();
    let (anna, bob) = (identity(1).public(), identity(2).public());

    let opened = sealed.open(anna, &secret(1)).unwrap();

    assert_eq!((opened.from, &opened.message), (bob, &request()));
    assert!(matches!(
        sealed.open(anna, &secret(3)),
        Err(LetterError::Closed { .. })
    ));
    assert!(matches!(
        sealed.open(bob, &secret(1)),
        Err(LetterError::Misdirected { .. })
    ));
    assert!(sealed.sealed.len() < 1000);
    let renamed = SealedLetter {
        id: LetterId::from_array([6; 16]),
        ..sealed.clone()
    };
    let readdressed = SealedLetter { to: bob, ..sealed };
    assert!(renamed.open(anna, &secret(1)).is_err());
    assert!(readdressed.open(bob, &secret(1)).is_err());
}

#[test]
fn notes_that_a_terminal_would_obey_are_not_read() {
    let why = Verdict::Rejected {
        why: "no\x1b]0;gotcha\x07".into(),
    };
    let message = Message::Decision(Decision {
        request: RequestId::from_array([4; 16]),
        verdict: why,
    });
    let (id, to) = (LetterId::from_array([5; 16]), identity(1).public());

    let sealed = SealedLetter::seal(
        id,
        &identity(2),
        to,
        &secret(1).public(),
        message,
        &mut randomness(9),
    );

    assert!(sealed.is_err());
}

/// A record that was changed on its way is refused, or is what it was.
fn holds<T>(record: &Signed<T>, places: &[(prop::sample::Index, u8)])
where
    T: Signable + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let mut compact = postcard::to_stdvec(record).unwrap();
    let mut text = serde_json::to_vec(record).unwrap();
    for (place, byte) in places {
        let at = place.index(compact.len());
        compact[at] = *byte;
        let at = place.index(text.len());
        text[at] = *byte;
    }
    let decoded = [
        postcard::from_bytes::<Signed<T>>(&compact).ok(),
        serde_json::from_slice::<Signed<T>>(&text).ok(),
    ];
    for changed in decoded.into_iter().flatten() {
        if changed.check_by(record.key()).is_ok() {
            assert_eq!(
                (changed.unchecked(), changed.seq()),
                (record.unchecked(), record.seq())
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_bytes_panic_a_decoder(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(record) = postcard::from_bytes::<Signed<User>>(&bytes) {
            prop_assert!(record.check().is_err());
        }
        if let Ok(record) = postcard::from_bytes::<Signed<Entry>>(&bytes) {
            prop_assert!(record.check().is_err());
        }
        if let Ok(manifest) = postcard::from_bytes::<Manifest>(&bytes) {
            let _ = manifest.check();
            let _ = (manifest.hash(), manifest.count(), manifest.chunk_length(u32::MAX));
        }
        let (id, to) = (LetterId::from_array([5; 16]), identity(1).public());
        let letter = SealedLetter { id, to, sealed: bytes.clone() };
        prop_assert!(letter.open(to, &secret(1)).is_err());
        let _ = serde_json::from_slice::<SealedLetter>(&bytes);
    }

    #[test]
    fn changed_records_are_refused(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        holds(&Signed::sign(&identity(1), 7, user()).unwrap(), &places);
        holds(&Signed::sign(&identity(1), 7, entry()).unwrap(), &places);
    }

    #[test]
    fn whatever_a_sender_puts_into_a_letter_is_one_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..900),
        which in 0..4_usize,
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        if let Ok(letter) = postcard::from_bytes::<Signed<Letter>>(&bytes) {
            prop_assert!(letter.check().is_err());
        }
        // Whoever signs it themselves may say what they like.
        for message in [postcard::from_bytes::<Message>(&bytes).ok(), serde_json::from_slice(&bytes).ok()]
            .into_iter()
            .flatten()
        {
            let _ = message.check();
        }
        let message = messages().swap_remove(which);
        let mut compact = postcard::to_stdvec(&message).unwrap();
        for (place, byte) in &places {
            let at = place.index(compact.len());
            compact[at] = *byte;
        }
        if let Ok(changed) = postcard::from_bytes::<Message>(&compact) {
            let _ = changed.check();
        }
        let letter = Letter { to: identity(1).public(), message };
        holds(&Signed::sign(&identity(2), 0, letter).unwrap(), &places);
    }

    #[test]
    fn no_bytes_panic_a_decoder_of_delivery(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(fetch) = postcard::from_bytes::<Signed<Fetch>>(&bytes) {
            prop_assert!(fetch.check().is_err());
        }
        let _ = serde_json::from_slice::<Signed<Fetch>>(&bytes);
        let _ = serde_json::from_slice::<DeliveryRefusal>(&bytes);
        let _ = serde_json::from_slice::<Manifest>(&bytes);
    }

    #[test]
    fn a_changed_manifest_is_another_or_refused(
        length in 0..3_000_000_usize,
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let manifest = Manifest::of(&vec![7; length]).unwrap();
        let mut bytes = postcard::to_stdvec(&manifest).unwrap();
        let at = place.index(bytes.len());
        bytes[at] = byte;

        if let Ok(changed) = postcard::from_bytes::<Manifest>(&bytes)
            && changed.check().is_ok()
        {
            prop_assert_eq!(changed == manifest, changed.hash() == manifest.hash());
        }
    }

    #[test]
    fn a_request_to_fetch_is_its_signers_alone(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let fetch = Fetch { grant: GrantId::from_array([6; 16]), device: identity(3).public() };
        holds(&Signed::sign(&identity(12), 0, fetch).unwrap(), &places);
    }

    #[test]
    fn a_letter_changed_in_any_bit_does_not_open(place in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut letter = letter();
        let at = place.index(letter.sealed.len());
        letter.sealed[at] ^= 1 << bit;

        prop_assert!(letter.open(identity(1).public(), &secret(1)).is_err());
    }

    #[test]
    fn any_note_that_is_cleaned_can_be_sent(note in ".{0,300}", views in 1..1_000_000u32) {
        let Message::Request(mut request) = request() else { unreachable!() };
        request.note = distri_services::images::media::clean_text(&note, 280);
        request.views = views;
        let (id, to) = (LetterId::from_array([5; 16]), identity(1).public());

        let message = Message::Request(request);
        let sealed = SealedLetter::seal(
            id, &identity(2), to, &secret(1).public(), message.clone(), &mut randomness(9),
        ).unwrap();

        prop_assert!(sealed.sealed.len() <= LETTER_MAX);
        prop_assert_eq!(sealed.open(to, &secret(1)).unwrap().message, message);
    }
}
