//! The history of a grant: what owners and viewers are told of it is what happened, or is refused.

use distri_services::permissions::{
    AuditError, AuditPage, ChainHash, Dated, Deed, Entry, GrantStatus, Head, LedgerError,
    verify_audit,
};
use serde::{Serialize, de::DeserializeOwned};

use super::*;

/// What happened, as the ledger would write it down.
fn written(whole: &Whole, deeds: Vec<Deed>) -> (Vec<Dated>, Head) {
    let mut head = Head {
        index: 0,
        hash: ChainHash::from_array([0; 32]),
    };
    let (mut entries, mut previous_ms) = (Vec::new(), 0);
    for deed in deeds {
        let entry = Entry {
            grant: whole.core.grant,
            index: head.index + 1,
            previous: head.hash,
            previous_ms,
            deed,
        };
        head = entry.head();
        previous_ms += 1000;
        entries.push(Dated {
            entry,
            at_ms: previous_ms,
            cursor: head.index * 7,
        });
    }
    (entries, head)
}

fn granted(whole: &Whole, views: u32) -> Deed {
    let op = Grant {
        core: whole.core.clone(),
        seq: 1,
        epoch: 0,
        views,
        expires_ms: 1_800_000_000_000,
        share: whole.split.share.hash(),
    };
    Deed::Granted(Box::new(sign(op, &whole.owner)))
}

fn viewed(whole: &Whole, seed: u8, view: u32, of: u32) -> Deed {
    let mut look = whole.look(seed);
    look.saved();
    let redeem = redeem_of(&look);
    Deed::Redeemed { redeem, view, of }
}

fn acknowledged(whole: &Whole, seed: u8) -> Deed {
    Deed::Acknowledged(whole.look(seed).ack().clone())
}

fn views_set(whole: &Whole, seq: u64, views: u32) -> Deed {
    let op = SetViews {
        grant: whole.core.grant,
        core: whole.core.hash(),
        seq,
        views,
        expires_ms: 1_800_000_000_000,
    };
    Deed::ViewsSet(sign(op, &whole.owner))
}

fn revoked(whole: &Whole, seq: u64) -> Deed {
    let op = Revoke {
        grant: whole.core.grant,
        core: whole.core.hash(),
        seq,
    };
    Deed::Revoked(sign(op, &whole.owner))
}

fn rekeyed(whole: &Whole, seq: u64, epoch: u32, views: u32) -> Deed {
    let op = Rekey {
        grant: whole.core.grant,
        core: whole.core.hash(),
        seq,
        epoch,
        views,
        expires_ms: 1_800_000_000_000,
        share: whole.split.share.hash(),
    };
    Deed::Rekeyed(sign(op, &whole.owner))
}

/// A whole life: used up, given more, used up and ended, given new halves, withdrawn.
fn life(whole: &Whole) -> Vec<Deed> {
    vec![
        granted(whole, 2),
        viewed(whole, 21, 1, 2),
        acknowledged(whole, 21),
        viewed(whole, 22, 2, 2),
        views_set(whole, 2, 3),
        viewed(whole, 23, 3, 3),
        Deed::Exhausted,
        rekeyed(whole, 5, 1, 4),
        revoked(whole, 6),
    ]
}

/// The same, the deeds of each part having taken effect together.
fn written_together(whole: &Whole, parts: Vec<Vec<Deed>>) -> (Vec<Dated>, Head) {
    let counts: Vec<usize> = parts.iter().map(Vec::len).collect();
    let (mut entries, _) = written(whole, parts.into_iter().flatten().collect());
    let ends = counts.iter().scan(0, |end, count| {
        *end += count;
        Some(*end)
    });
    let (mut first, mut at_ms) = (0, 0);
    let mut previous = ChainHash::from_array([0; 32]);
    for end in ends {
        for nr in first..end {
            let entry = &mut entries[nr];
            entry.entry.previous = previous;
            entry.entry.previous_ms = if nr == first { at_ms } else { 0 };
            entry.at_ms = at_ms + 1000;
            previous = entry.entry.head().hash;
        }
        (first, at_ms) = (end, at_ms + 1000);
    }
    let head = entries.last().unwrap().entry.head();
    (entries, head)
}

#[test]
fn views_that_were_released_together_are_believed_and_at_one_time_only() {
    let whole = Whole::new();
    let view = |seed, view| viewed(&whole, seed, view, 9);
    let parts = vec![
        vec![granted(&whole, 9)],
        vec![view(21, 1), view(22, 2), view(23, 3)],
        vec![view(24, 4)],
        vec![view(25, 5), view(26, 6)],
    ];
    let (entries, head) = written_together(&whole, parts);
    assert_eq!(verify_audit(&whole.core, &entries, &head), Ok(()));

    // Any of the three at another time, of which the chain would say nothing; the first one's is bound to
    // what came before, the last one's to what came after.
    for nr in 1..4 {
        for at_ms in [entries[nr].at_ms - 1, entries[nr].at_ms + 1] {
            let mut moved = entries.clone();
            moved[nr].at_ms = at_ms;
            let broken = verify_audit(&whole.core, &moved, &head).unwrap_err();
            assert!(matches!(broken, AuditError::Broken { .. }), "{broken}");
        }
    }
    // All three at another time.
    let mut moved = entries.clone();
    for dated in &mut moved[1..4] {
        dated.at_ms += 1;
    }
    let broken = verify_audit(&whole.core, &moved, &head).unwrap_err();
    assert_eq!(broken, AuditError::Broken { index: 5 });
    // A first entry has none before it.
    let mut first = entries.clone();
    first.remove(0);
    let broken = verify_audit(&whole.core, &first, &head).unwrap_err();
    assert_eq!(broken, AuditError::Broken { index: 1 });
}

#[test]
fn what_happened_is_believed() {
    let whole = Whole::new();
    let (entries, head) = written(&whole, life(&whole));

    assert_eq!(verify_audit(&whole.core, &entries, &head), Ok(()));
    for length in 0..entries.len() {
        let told = &entries[..length];
        let missing = verify_audit(&whole.core, told, &head).unwrap_err();
        assert!(matches!(missing, AuditError::End { .. }), "{missing}");
    }
}

/// A ledger that breaks its rules can chain whatever it likes; it is noticed all the same.
#[test]
fn what_the_rules_do_not_allow_is_not_believed_though_it_is_signed_and_chained() {
    let whole = Whole::new();
    let told = |deeds: Vec<Deed>| {
        let last = deeds.len() as u64;
        let (entries, head) = written(&whole, deeds);
        let error = verify_audit(&whole.core, &entries, &head).unwrap_err();
        assert_eq!(error, AuditError::Impossible { index: last }, "{entries:?}");
    };
    let (first, view) = (granted(&whole, 2), viewed(&whole, 21, 1, 2));

    // Nothing is done with what is not granted, and nothing is granted twice.
    told(vec![view.clone()]);
    told(vec![first.clone(), first.clone()]);
    // A number left out, other bounds than the owner's, a view too many, one view told as two.
    told(vec![first.clone(), viewed(&whole, 21, 2, 2)]);
    told(vec![first.clone(), viewed(&whole, 21, 1, 3)]);
    told(vec![
        granted(&whole, 1),
        viewed(&whole, 21, 1, 1),
        viewed(&whole, 22, 2, 1),
    ]);
    told(vec![first.clone(), view.clone(), viewed(&whole, 21, 2, 2)]);
    // After it was withdrawn, or with halves that were replaced.
    told(vec![first.clone(), revoked(&whole, 2), view.clone()]);
    told(vec![first.clone(), rekeyed(&whole, 2, 1, 2), view.clone()]);
    // An older operation of the owner after a newer one, or the same again.
    told(vec![first.clone(), views_set(&whole, 1, 9)]);
    told(vec![
        first.clone(),
        views_set(&whole, 3, 9),
        revoked(&whole, 3),
    ]);
    told(vec![first.clone(), rekeyed(&whole, 2, 2, 9)]);
    // Ended while there were views left, or twice.
    told(vec![first.clone(), view, Deed::Exhausted]);
    told(vec![first.clone(), Deed::Expired, Deed::Expired]);
    told(vec![first.clone(), Deed::Expired, views_set(&whole, 2, 9)]);
    told(vec![first, acknowledged(&whole, 21)]);
}

fn never_panics<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = postcard::from_bytes::<T>(bytes) {
        // Whatever is read can be told again.
        serde_json::to_vec(&value).unwrap();
    }
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        postcard::to_stdvec(&value).unwrap();
    }
}

fn read_as_any_message(bytes: &[u8]) {
    never_panics::<Signed<Grant>>(bytes);
    never_panics::<Signed<SetViews>>(bytes);
    never_panics::<Signed<Revoke>>(bytes);
    never_panics::<Signed<Rekey>>(bytes);
    never_panics::<Signed<Redeem>>(bytes);
    never_panics::<Signed<Ack>>(bytes);
    never_panics::<Share>(bytes);
    never_panics::<Envelope>(bytes);
    never_panics::<Released>(bytes);
    never_panics::<GrantStatus>(bytes);
    never_panics::<AuditPage>(bytes);
    never_panics::<Dated>(bytes);
    never_panics::<LedgerError>(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_entry_left_out_doubled_or_moved_is_noticed(
        at in 0..9_usize,
        other in 0..9_usize,
    ) {
        let whole = Whole::new();
        let (entries, head) = written(&whole, life(&whole));
        let mut less = entries.clone();
        less.remove(at);
        let mut more = entries.clone();
        more.insert(other, entries[at].clone());
        let mut moved = entries.clone();
        moved.swap(at, other);

        prop_assert!(verify_audit(&whole.core, &less, &head).is_err());
        prop_assert!(verify_audit(&whole.core, &more, &head).is_err());
        prop_assert_eq!(verify_audit(&whole.core, &moved, &head).is_err(), at != other);
    }

    #[test]
    fn a_history_changed_anywhere_is_refused_or_the_same(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let whole = Whole::new();
        let (entries, head) = written(&whole, life(&whole));
        let mut bytes = postcard::to_stdvec(&entries).unwrap();
        for (place, byte) in places {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(changed) = postcard::from_bytes::<Vec<Dated>>(&bytes)
            && verify_audit(&whole.core, &changed, &head).is_ok()
        {
            let told = |entries: &[Dated]| -> Vec<Entry> {
                entries.iter().map(|dated| dated.entry.clone()).collect()
            };
            prop_assert_eq!(told(&changed), told(&entries));
            // Every time but the last is in the chain.
            for (a, b) in changed.iter().zip(&entries).take(entries.len() - 1) {
                prop_assert_eq!(a.at_ms, b.at_ms);
            }
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..900)) {
        read_as_any_message(&bytes);
    }

    #[test]
    fn any_change_of_a_message_is_one_or_an_error(
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        cut in any::<prop::sample::Index>(),
        which in 0..9_usize,
    ) {
        let whole = Whole::new();
        let (mut entries, head) = written(&whole, life(&whole));
        let page = AuditPage { entries: vec![entries.swap_remove(which)], head };
        for mut bytes in [postcard::to_stdvec(&page).unwrap(), serde_json::to_vec(&page).unwrap()] {
            read_as_any_message(&bytes[..cut.index(bytes.len())]);
            let at = at.index(bytes.len());
            bytes[at] = to;
            read_as_any_message(&bytes);
        }
    }
}
