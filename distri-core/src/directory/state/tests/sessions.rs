//! A repeated command takes effect once.

use super::support::*;
use crate::{
    directory::{CallWrites, Refusal, RequestId, limits},
    wire::frame::OnceHead,
};

fn request(session: u128, serial: u64, acknowledged: u64) -> RequestId {
    RequestId {
        session,
        serial,
        acknowledged,
    }
}

#[test]
fn a_repeated_request_gets_the_verdict_of_the_first_time() {
    let mut directory = Directory::of_things();
    directory.run(transact([put("a", "{}")])).unwrap();
    let add = || transact([add("a", "n", "6")]);

    let first = directory.request(request(7, 1, 0), add());
    let again = directory.request(request(7, 1, 0), add());
    let refused = directory.request(request(7, 2, 0), add());
    directory.run(transact([put("a", "{}")])).unwrap();
    let refused_again = directory.request(request(7, 2, 0), add());

    assert_eq!(first, again);
    assert_eq!(first.unwrap().documents[0].value, json(r#"{"n":6}"#));
    assert!(matches!(refused, Err(Refusal::Bounds { .. })));
    assert_eq!(refused, refused_again);
    assert_eq!(directory.value("a").unwrap(), "{}");
}

#[test]
fn sessions_do_not_know_each_others_requests() {
    let mut directory = Directory::of_things();

    directory
        .request(request(1, 1, 0), transact([put("a", "1")]))
        .unwrap();
    directory
        .request(request(2, 1, 0), transact([put("a", "2")]))
        .unwrap();

    assert_eq!(directory.value("a").unwrap(), "2");
}

#[test]
fn what_was_acknowledged_cannot_be_asked_again() {
    let mut directory = Directory::of_things();
    directory
        .request(request(7, 1, 0), transact([put("a", "1")]))
        .unwrap();
    directory
        .request(request(7, 3, 2), transact([put("b", "1")]))
        .unwrap();

    let forgotten = directory.request(request(7, 1, 0), transact([put("a", "2")]));
    let late = directory.request(request(7, 2, 2), transact([put("c", "1")]));

    assert_eq!(forgotten, Err(Refusal::Forgotten { serial: 1 }));
    assert_eq!(late, Ok(at(4)));
    assert_eq!(directory.value("a").unwrap(), "1");
}

#[test]
fn a_run_that_writes_something_else_under_a_number_is_refused() {
    let mut directory = Directory::of_things();
    let writes = || {
        let once = OnceHead {
            session: 5,
            number: 3,
            acknowledged: 3,
        };
        CallWrites::of(key(1), &once)
    };
    let (first, second, third) = (writes(), writes(), writes());
    let one = directory.request(first.next().unwrap(), transact([put("a", "1")]));
    let two = directory.request(first.next().unwrap(), transact([put("b", "1")]));

    let one_again = directory.request(second.next().unwrap(), transact([put("a", "1")]));
    let differs = directory.request(second.next().unwrap(), transact([put("b", "2")]));
    let mut restored = directory.restored();
    let one_restored = restored.request(third.next().unwrap(), transact([put("a", "1")]));
    let still_differs = restored.request(third.next().unwrap(), transact([put("c", "1")]));

    assert_eq!((&one_again, &one_restored), (&one, &one));
    assert_eq!(differs, Err(Refusal::Differs { write: 2 }));
    assert_eq!(still_differs, differs);
    assert_eq!(directory.value("b").unwrap(), "1");
    assert!(two.is_ok());
}

#[test]
fn a_session_silent_for_too_long_is_forgotten() {
    let mut directory = Directory::of_things();
    let silence = u64::try_from(limits::SESSION.as_millis()).unwrap();
    directory
        .request(request(7, 1, 0), transact([put("a", "1")]))
        .unwrap();

    directory.wait(silence - 1);
    let remembered = directory.request(request(7, 1, 0), transact([put("a", "2")]));
    directory.wait(silence);
    let anew = directory.request(request(7, 1, 0), transact([put("a", "3")]));

    assert_eq!(remembered, Ok(at(2)));
    assert_eq!(anew, Ok(at(3)));
}

#[test]
fn replies_and_sessions_are_bounded_and_the_oldest_go_first() {
    let mut directory = Directory::of_things();
    let replies = limits::SESSION_REPLIES as u64;

    for serial in 1..=replies + 1 {
        directory
            .request(request(7, serial, 0), transact([]))
            .unwrap();
    }
    let gone = directory.request(request(7, 1, 0), transact([]));
    let kept = directory.request(request(7, 2, 0), transact([]));
    assert_eq!(gone, Err(Refusal::Forgotten { serial: 1 }));
    assert_eq!(kept, Ok(at(1)));

    let sessions = limits::SESSIONS as u128;
    for session in 100..100 + sessions {
        directory.now_ms += u64::from(session % 100 == 0);
        directory
            .request(request(session, 1, 0), transact([]))
            .unwrap();
    }
    directory.run(transact([put("a", "1")])).unwrap();
    let oldest = directory.request(request(7, 2, 0), transact([]));
    let latest = directory.request(request(99 + sessions, 1, 0), transact([]));
    assert_eq!(
        oldest,
        Ok(at(2)),
        "the session of the first requests was forgotten"
    );
    assert_eq!(latest, Ok(at(1)), "a later one was not");
}
