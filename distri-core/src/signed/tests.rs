use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::message::Codec;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Note {
    text: String,
    marks: BTreeMap<String, i64>,
    of: Option<PublicKey>,
}

impl Signable for Note {
    const TAG: &'static str = "test/note/v1";
}

/// The same fields under another tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Order {
    text: String,
    marks: BTreeMap<String, i64>,
    of: Option<PublicKey>,
}

impl Signable for Order {
    const TAG: &'static str = "test/order/v1";
}

fn note(text: &str) -> Note {
    Note {
        text: text.into(),
        marks: [("a".into(), 1), ("b".into(), -2)].into(),
        of: Some(PublicKey::from_bytes([3; 32])),
    }
}

fn author() -> Identity {
    Identity::from_seed(&[7; 32])
}

fn json(record: &Signed<Note>) -> serde_json::Value {
    serde_json::to_value(record).unwrap()
}

#[test]
fn a_record_survives_every_codec() {
    let record = Signed::sign(&author(), 5, note("hello")).unwrap();

    let compact = postcard::to_stdvec(&record).unwrap();
    let named = rmp_serde::to_vec_named(&record).unwrap();
    let text = serde_json::to_string(&record).unwrap();

    let arrived: [Signed<Note>; 3] = [
        postcard::from_bytes(&compact).unwrap(),
        rmp_serde::from_slice(&named).unwrap(),
        serde_json::from_str(&text).unwrap(),
    ];
    for arrived in arrived {
        assert_eq!(arrived.check_by(author().public()), Ok(&note("hello")));
        assert_eq!(arrived.seq(), 5);
    }
    // And as the argument of a call, in the codecs of calls.
    for codec in [Codec::Compact, Codec::MESSAGE_PACK, Codec::JSON] {
        let message = crate::message::Message::encode(codec, &record).unwrap();
        let arrived: Signed<Note> = message.decode(codec).unwrap();
        assert_eq!(arrived, record);
    }
}

#[test]
fn whatever_is_changed_is_noticed() {
    let record = Signed::sign(&author(), 5, note("hello")).unwrap();
    let other = Identity::from_seed(&[8; 32]).public();
    let changes = [
        ("/seq", serde_json::json!(6)),
        ("/key", serde_json::json!(other)),
        ("/body/text", serde_json::json!("hallo")),
        ("/body/marks/a", serde_json::json!(2)),
        ("/body/of", serde_json::json!(null)),
    ];
    for (place, value) in changes {
        let mut changed = json(&record);
        *changed.pointer_mut(place).unwrap() = value;
        let changed: Signed<Note> = serde_json::from_value(changed).unwrap();

        let error = changed.check().unwrap_err();

        assert!(
            matches!(error, RecordError::Forged { .. }),
            "{place}: {error}"
        );
    }
}

#[test]
fn a_record_of_one_kind_is_none_of_another() {
    let record = Signed::sign(&author(), 5, note("hello")).unwrap();

    let other: Signed<Order> = serde_json::from_value(json(&record)).unwrap();

    assert!(matches!(other.check(), Err(RecordError::Forged { .. })));
}

#[test]
fn a_record_under_a_weak_key_is_refused_whatever_its_signature() {
    let record = Signed::sign(&author(), 5, note("hello")).unwrap();
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = PublicKey::from_bytes(neutral);
    let mut forged = json(&record);
    forged["key"] = serde_json::json!(weak);
    // R neutral, s = 0: what holds under the neutral key for every message.
    let mut signature = [0; 64];
    signature[0] = 1;
    forged["signature"] = serde_json::json!(Signature::from_bytes(signature));
    let forged: Signed<Note> = serde_json::from_value(forged).unwrap();

    assert_eq!(forged.check(), Err(RecordError::WeakKey { key: weak }));
}

#[test]
fn the_latest_record_goes_forward_only() {
    let (alice, mallory) = (author(), Identity::from_seed(&[9; 32]));
    let key = alice.public();
    let record = |author: &Identity, seq, text| Signed::sign(author, seq, note(text)).unwrap();
    let mut latest = Latest::new(key);

    assert_eq!(latest.take(record(&alice, 5, "five")), Ok(Taken::New));
    assert_eq!(latest.take(record(&alice, 5, "five")), Ok(Taken::Known));
    let refused = [
        (
            record(&alice, 4, "four"),
            RecordError::Older {
                key,
                held: 5,
                found: 4,
            },
        ),
        (
            record(&alice, 5, "another"),
            RecordError::Differs { key, seq: 5 },
        ),
        (
            record(&mallory, 6, "six"),
            RecordError::WrongKey {
                expected: key,
                found: mallory.public(),
            },
        ),
    ];
    for (record, error) in refused {
        assert_eq!(latest.take(record), Err(error));
        assert_eq!(latest.body(), Some(&note("five")));
    }
    assert_eq!(latest.take(record(&alice, 9, "nine")), Ok(Taken::New));
    assert_eq!(latest.record().map(Signed::seq), Some(9));
}

#[test]
fn a_type_that_does_not_come_back_alike_is_not_signed() {
    #[derive(Serialize, Deserialize)]
    struct Lossy {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        maybe: Option<u32>,
        sure: u32,
    }
    impl Signable for Lossy {
        const TAG: &'static str = "test/lossy/v1";
    }

    let body = Lossy {
        maybe: None,
        sure: 1,
    };
    let error = Signed::sign(&author(), 1, body).err().unwrap();

    assert!(error.message().contains("cannot be signed"), "{error}");
}

#[test]
fn errors_travel_typed() {
    let key = author().public();
    let refused = RecordError::Older {
        key,
        held: 5,
        found: 4,
    };

    let error = Error::from(refused.clone());

    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.details(), Some(refused));
}

proptest! {
    #[test]
    fn bytes_of_strangers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(record) = postcard::from_bytes::<Signed<Note>>(&bytes) {
            prop_assert!(record.check().is_err());
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed(bit in 0usize..8 * 150) {
        let record = Signed::sign(&author(), 5, note("hello")).unwrap();
        let mut bytes = postcard::to_stdvec(&record).unwrap();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(flipped) = postcard::from_bytes::<Signed<Note>>(&bytes) {
            prop_assert!(flipped == record || flipped.check_by(author().public()).is_err());
        }
    }
}
