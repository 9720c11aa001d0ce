//! Two multiplexers, and a wire between them that the test holds in its hand.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::wire::frame::HEADER_LEN;

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where these tests get an instant"
)]
fn epoch() -> Instant {
    Instant::now()
}

fn small() -> Limits {
    Limits {
        calls: 4,
        message_max: 200_000,
        channels: 3,
        channel_window: 1000,
        link_window: 1500,
        unwritten: 400_000,
        ..Limits::default()
    }
}

fn hello(limits: &Limits) -> Hello {
    Hello {
        is_node: true,
        life: 0,
        link: 0,
        name: String::new(),
        program: String::new(),
        address: None,
        calls_max: limits.calls,
        message_max: limits.message_max,
        channel_window: limits.channel_window,
        link_window: limits.link_window,
        services: Vec::new(),
        status: Status::default(),
    }
}

/// Two ends that have said hello.
struct Pair {
    now: Instant,
    a: Mux,
    b: Mux,
}

impl Pair {
    fn new() -> Self {
        Self::with(small())
    }

    fn with(limits: Limits) -> Self {
        let now = epoch();
        let ours = hello(&limits);
        let mut pair = Self {
            now,
            a: Mux::new(now, limits.clone(), &ours),
            b: Mux::new(now, limits, &ours),
        };
        assert!(matches!(pair.carry_to_b().as_slice(), [Event::Hello(_)]));
        assert!(matches!(pair.carry_to_a().as_slice(), [Event::Hello(_)]));
        pair
    }

    /// Carries what A has written to B.
    fn carry_to_b(&mut self) -> Vec<Event> {
        carry(self.now, &mut self.a, &mut self.b).unwrap()
    }

    fn carry_to_a(&mut self) -> Vec<Event> {
        carry(self.now, &mut self.b, &mut self.a).unwrap()
    }

    fn call(&mut self, body: &[u8], attachments: u16) -> (u32, Channels) {
        self.a
            .call(None, head(), &Bytes::copy_from_slice(body), attachments)
            .unwrap()
    }
}

fn carry(now: Instant, from: &mut Mux, to: &mut Mux) -> Result<Vec<Event>, Broken> {
    let mut bytes = written(from);
    let mut events = Vec::new();
    while let Some(frame) = Frame::take(&mut bytes)? {
        to.receive(now, frame, &mut events)?;
    }
    assert!(bytes.is_empty(), "only whole frames are written");
    Ok(events)
}

fn written(mux: &mut Mux) -> BytesMut {
    let mut pieces = VecDeque::new();
    mux.out.drain_into(&mut pieces);
    pieces.iter().fold(BytesMut::new(), |mut all, piece| {
        all.extend_from_slice(piece);
        all
    })
}

fn head() -> RequestHead {
    RequestHead {
        method: 7,
        timeout_ms: 0,
        codec: 0,
        trace: None,
        call_id: None,
        former: None,
        once: None,
        channels: Channels::default(),
        fences: crate::fence::Fences::default(),
    }
}

/// The violation with which `mux` answers a frame.
fn violation(mux: &mut Mux, now: Instant, kind: Kind, id: u32, body: &[u8]) -> Broken {
    let header = crate::wire::Header {
        len: body.len(),
        kind,
        more: false,
        id,
    };
    let frame = Frame {
        header,
        body: Bytes::copy_from_slice(body),
    };
    mux.receive(now, frame, &mut Vec::new()).unwrap_err()
}

#[test]
fn a_call_and_its_reply_cross() {
    let mut pair = Pair::new();
    let (id, _) = pair.call(b"arguments", 0);

    let events = pair.carry_to_b();
    let [
        Event::Request {
            id: served, body, ..
        },
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!(&body[..], b"arguments");
    pair.b
        .reply(*served, Ok((&Bytes::from_static(b"result"), 0)))
        .unwrap();

    let events = pair.carry_to_a();
    let [
        Event::Replied {
            id: replied,
            reply: Ok((body, _)),
        },
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!((*replied, &body[..]), (id, &b"result"[..]));
}

#[test]
fn a_long_message_crosses_in_several_frames() {
    let mut pair = Pair::new();
    let long: Vec<u8> = (0..190_000).map(|i| i as u8).collect();
    pair.call(&long, 0);

    let events = pair.carry_to_b();

    let [Event::Request { body, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(body[..] == long[..]);
}

#[test]
fn a_call_over_the_other_ends_bound_is_not_sent() {
    let mut pair = Pair::new();

    let refused = pair.a.call(None, head(), &Bytes::from(vec![0; 200_001]), 0);

    assert_eq!(refused, Err(CannotCall::TooLarge { max: 200_000 }));
}

#[test]
fn no_more_calls_are_in_flight_than_the_other_end_takes() {
    let mut pair = Pair::new();
    (0..4).for_each(|_| {
        pair.call(b"", 0);
    });

    let refused = pair.a.call(None, head(), &Bytes::new(), 0);

    assert_eq!(refused, Err(CannotCall::Full));
}

#[test]
fn an_id_is_used_again_only_when_answered_and_let_go() {
    let mut pair = Pair::new();
    let (first, _) = pair.call(b"", 0);
    pair.carry_to_b();

    pair.b.reply(first, Ok((&Bytes::new(), 0))).unwrap();
    pair.carry_to_a();
    let (second, _) = pair.call(b"", 0);
    assert_ne!(second, first, "its holder has not let go");

    pair.a.release(first);
    let (third, _) = pair.call(b"", 0);
    assert_eq!(third, first);
}

#[test]
fn an_abandoned_call_keeps_its_id_until_the_other_end_has_answered() {
    let mut pair = Pair::new();
    let (id, _) = pair.call(b"", 0);
    pair.a.abandon(id);
    pair.a.release(id);
    let (other, _) = pair.call(b"", 0);
    assert_ne!(other, id);

    let events = pair.carry_to_b();
    assert!(matches!(events[1], Event::Cancelled { id: cancelled } if cancelled == id));
    pair.b
        .reply(id, Err(Error::new(Code::Cancelled, "gone")))
        .unwrap_err();

    assert!(pair.carry_to_a().is_empty(), "nobody waits for the reply");
    assert_eq!(pair.call(b"", 0).0, id);
}

#[test]
fn a_call_whose_deadline_passes_is_told_and_cancelled() {
    let mut pair = Pair::new();
    let deadline = pair.now + Duration::from_millis(100);
    let (id, _) = pair
        .a
        .call(Some(deadline), head(), &Bytes::new(), 0)
        .unwrap();
    pair.carry_to_b();
    assert_eq!(pair.a.next_wakeup(), deadline);

    let mut events = Vec::new();
    pair.a.tick(deadline, &mut events).unwrap();

    let [
        Event::Replied {
            id: ended,
            reply: Err(error),
        },
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!((*ended, error.code()), (id, Code::DeadlineExceeded));
    assert!(matches!(
        pair.carry_to_b().as_slice(),
        [Event::Cancelled { .. }]
    ));
}

#[test]
fn a_link_on_which_a_call_waits_is_doubted_when_nothing_comes() {
    let mut pair = Pair::new();
    let (id, _) = pair.call(b"x", 0);
    pair.a.may_move(id);
    let start = pair.now;
    let mut events = Vec::new();

    pair.a.tick(start + PROBE, &mut events).unwrap();
    assert!(events.is_empty());
    pair.a.tick(start + PROBE * 2, &mut events).unwrap();
    assert!(matches!(
        events[..],
        [Event::Doubted(Doubt {
            silent: true,
            unanswered: true
        })]
    ));
    events.clear();
    pair.a.tick(start + MOVE, &mut events).unwrap();

    let [
        Event::Replied {
            id: moved,
            reply: Err(error),
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*moved, error.code()), (id, Code::UnknownOutcome));
}

#[test]
fn a_call_that_may_not_be_made_elsewhere_waits_on() {
    let mut pair = Pair::new();
    pair.call(b"x", 0);
    let mut events = Vec::new();

    for tenth in 1..100 {
        pair.a
            .tick(pair.now + Duration::from_millis(100 * tenth), &mut events)
            .unwrap();
    }

    assert!(matches!(events[..], [Event::Doubted(_)]), "{events:?}");
}

#[test]
fn a_link_is_trusted_again_when_something_comes() {
    let mut pair = Pair::new();
    pair.call(b"x", 0);
    pair.now += PROBE;
    pair.a.tick(pair.now, &mut Vec::new()).unwrap();
    pair.now += PROBE;
    pair.a.tick(pair.now, &mut Vec::new()).unwrap();
    pair.carry_to_b();

    let events = pair.carry_to_a();

    let doubt = Doubt {
        silent: false,
        unanswered: true,
    };
    assert!(
        matches!(events[..], [Event::Doubted(told)] if told == doubt),
        "{events:?}"
    );
}

#[test]
fn a_link_on_which_no_call_waits_is_not_doubted() {
    let mut pair = Pair::new();
    let mut events = Vec::new();

    for tenth in 1..100 {
        pair.a
            .tick(pair.now + Duration::from_millis(100 * tenth), &mut events)
            .unwrap();
    }

    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn a_silent_link_is_probed_and_then_given_up() {
    let mut pair = Pair::new();
    let interval = Limits::default().keep_alive;
    let mut events = Vec::new();

    pair.a.tick(pair.now + interval, &mut events).unwrap();
    assert_eq!(written(&mut pair.a)[3], Kind::Ping as u8);

    let error = pair
        .a
        .tick(pair.now + interval * 3, &mut events)
        .unwrap_err();
    assert!(matches!(error, Broken::Silent(_)));
}

#[test]
fn a_link_that_may_lead_elsewhere_is_given_up_when_calls_miss_their_deadline_and_nothing_comes() {
    let second = Duration::from_secs(1);
    for (answers, leads_elsewhere, calls, is_given_up) in [
        (false, true, 2, true),
        (false, true, 1, false),
        (false, false, 2, false),
        // The other end lives, and is slow.
        (true, true, 2, false),
    ] {
        let mut pair = Pair::new();
        if leads_elsewhere {
            pair.a.leads_elsewhere();
        }
        let mut outcome = Ok(());
        for _ in 0..calls {
            pair.a.asked(pair.now);
            let deadline = pair.now + second;
            pair.a
                .call(Some(deadline), head(), &Bytes::new(), 0)
                .unwrap();
            for _ in 0..21 {
                pair.now += second / 20;
                let ticked = pair.a.tick(pair.now, &mut Vec::new());
                outcome = outcome.and(ticked);
                if answers {
                    pair.carry_to_b();
                    pair.carry_to_a();
                }
            }
        }
        assert_eq!(
            matches!(outcome, Err(Broken::Missed(2))),
            is_given_up,
            "{answers} {leads_elsewhere} {calls}: {outcome:?}"
        );
        assert!(is_given_up || outcome.is_ok(), "{outcome:?}");
    }
}

#[test]
fn an_answered_probe_keeps_the_link() {
    let mut pair = Pair::new();
    let interval = Limits::default().keep_alive;
    pair.a.tick(pair.now + interval, &mut Vec::new()).unwrap();
    pair.now += interval;

    pair.carry_to_b();
    pair.carry_to_a();

    pair.a
        .tick(pair.now + interval * 2, &mut Vec::new())
        .unwrap();
}

#[test]
fn a_channel_carries_messages_until_its_end() {
    let mut pair = Pair::new();
    let (_, channels) = pair.call(b"", 1);
    let id = channels.first;
    pair.carry_to_b();

    assert_eq!(pair.a.send(id, &Bytes::from_static(b"one"), 0).0, Sent::Yes);
    pair.a.end(id, Some(Error::not_found("no more")));
    pair.carry_to_b();

    let received = pair.b.take(id).unwrap().unwrap().unwrap();
    assert_eq!(&received.body[..], b"one");
    let error = pair.b.take(id).unwrap().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(pair.b.take(id).unwrap().is_none());
}

#[test]
fn a_sender_waits_for_credit_and_goes_on_when_the_reader_has_read() {
    let mut pair = Pair::new();
    let (_, channels) = pair.call(b"", 1);
    let id = channels.first;
    pair.carry_to_b();
    let message = Bytes::from(vec![1; 400]);
    let mut sent = 0;
    while pair.a.send(id, &message, 0).0 == Sent::Yes {
        sent += 1;
    }
    assert_eq!(
        sent, 3,
        "1,000 bytes of credit allow two and the one that crosses zero"
    );
    pair.carry_to_b();

    while let Some(Some(Ok(_))) = pair.b.take(id) {}
    let events = pair.carry_to_a();

    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Writable { channel } if *channel == id))
    );
    assert_eq!(pair.a.send(id, &message, 0).0, Sent::Yes);
}

#[test]
fn channels_share_the_credit_of_the_link() {
    let mut pair = Pair::new();
    let (_, channels) = pair.call(b"", 2);
    let [one, two] = [channels.first, channels.first + 1];
    pair.carry_to_b();
    let message = Bytes::from(vec![1; 950]);
    assert_eq!(pair.a.send(one, &message, 0).0, Sent::Yes);
    assert_eq!(pair.a.send(two, &message, 0).0, Sent::Yes);

    assert_eq!(pair.a.send(one, &Bytes::new(), 0).0, Sent::NotNow);
    pair.carry_to_b();
    while let Some(Some(Ok(_))) = pair.b.take(two) {}
    let events = pair.carry_to_a();

    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::AllWritable)),
        "{events:?}"
    );
}

#[test]
fn a_stopped_channel_takes_nothing_more_and_gives_its_credit_back() {
    let mut pair = Pair::new();
    let (_, channels) = pair.call(b"", 1);
    let id = channels.first;
    pair.carry_to_b();
    assert_eq!(pair.a.send(id, &Bytes::from(vec![1; 900]), 0).0, Sent::Yes);
    pair.carry_to_b();

    pair.b.stop(id);
    pair.carry_to_a();

    assert_eq!(pair.a.send(id, &Bytes::new(), 0).0, Sent::Stopped);
    assert_eq!(pair.a.channels.link_credit, 1500);
}

#[test]
fn a_message_under_way_to_a_stopped_channel_is_no_violation() {
    let mut pair = Pair::new();
    let (_, channels) = pair.call(b"", 1);
    pair.carry_to_b();
    pair.b.stop(channels.first);

    assert_eq!(
        pair.a
            .send(channels.first, &Bytes::from_static(b"late"), 0)
            .0,
        Sent::Yes
    );

    assert!(pair.carry_to_b().is_empty());
}

#[test]
fn frames_that_break_the_protocol_end_the_link() {
    let now = epoch();
    let limits = small();
    let fresh = || Mux::new(now, limits.clone(), &hello(&limits));
    let error = violation(&mut fresh(), now, Kind::Request, 0, &[0; 20]);
    assert!(error.to_string().contains("hello first"), "{error}");

    let cases: [(Kind, u32, &[u8], &str); 7] = [
        (Kind::Hello, 0, b"", "hello twice"),
        (Kind::Reply, 3, &[0], "a reply to no call"),
        (Kind::Request, 0, &[0; 5], "head is not whole"),
        (Kind::Data, 9, &[0], "never opened"),
        (Kind::Credit, 0, &[1], "not four bytes"),
        (Kind::Progress, 0, &[1], "too short"),
        (Kind::Status, 0, &[0xff; 3], "does not decode"),
    ];
    for (kind, id, body, expected) in cases {
        let error = violation(&mut Pair::new().b, now, kind, id, body);
        assert!(error.to_string().contains(expected), "{kind:?}: {error}");
    }
}

#[test]
fn a_message_without_credit_ends_the_link() {
    let mut pair = Pair::new();
    let (_, channels) = pair.call(b"", 1);
    let id = channels.first;
    pair.carry_to_b();
    let body = vec![0; 1200];
    let header = crate::wire::Header {
        len: body.len(),
        kind: Kind::Data,
        more: false,
        id,
    };
    let frame = Frame {
        header,
        body: body.into(),
    };
    pair.b.receive(pair.now, frame, &mut Vec::new()).unwrap();

    let error = violation(&mut pair.b, pair.now, Kind::Data, id, &[0; 10]);

    assert!(error.to_string().contains("beyond the credit"), "{error}");
}

#[test]
fn more_calls_than_announced_end_the_link() {
    let mut pair = Pair::new();
    let mut body = BytesMut::new();
    head().put(&mut body);

    let error = violation(&mut pair.b, pair.now, Kind::Request, 4, &body);

    assert!(error.to_string().contains("beyond the calls"), "{error}");
}

#[test]
fn a_call_id_that_is_in_use_ends_the_link() {
    let mut pair = Pair::new();
    let (id, _) = pair.call(b"", 0);
    pair.carry_to_b();
    let mut body = BytesMut::new();
    head().put(&mut body);

    let error = violation(&mut pair.b, pair.now, Kind::Request, id, &body);

    assert!(error.to_string().contains("in use already"), "{error}");
}

#[test]
fn requests_that_together_are_too_large_are_refused_as_busy() {
    let mut limits = small();
    limits.calls = 100;
    limits.unwritten = 100_000_000;
    let mut pair = Pair::with(limits);
    let large = vec![0; 190_000];
    let mut served = 0;
    for _ in 0..8 {
        pair.call(&large, 0);
        served += pair.carry_to_b().len();
    }

    let refused = pair.carry_to_a();

    assert_eq!(served, 4, "four messages of the largest size are held");
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|event| matches!(
        event,
        Event::Replied { reply: Err(error), .. } if error.code() == Code::Busy
    )));
}

#[test]
fn an_end_that_does_not_read_is_refused_and_then_parted_from() {
    let mut limits = small();
    limits.calls = 10_000;
    limits.unwritten = 1000;
    let mut pair = Pair::with(limits);
    let mut body = BytesMut::new();
    head().put(&mut body);
    let result = Bytes::from(vec![0; 300]);
    let mut parted = None;
    for id in 0..200 {
        let header = crate::wire::Header {
            len: body.len(),
            kind: Kind::Request,
            more: false,
            id,
        };
        let frame = Frame {
            header,
            body: body.clone().freeze(),
        };
        if let Err(error) = pair.b.receive(pair.now, frame, &mut Vec::new()) {
            parted = Some((id, error));
            break;
        }
        // The driver answers overfull links with a short refusal.
        if pair.b.overfull() {
            let _ = pair.b.reply(id, Err(Error::new(Code::Busy, "busy")));
        } else {
            pair.b.reply(id, Ok((&result, 0))).unwrap();
        }
    }

    let (id, error) = parted.expect("it is parted from");

    assert!(matches!(error, Broken::DoesNotRead(_)), "{error}");
    assert!(id > 10, "small refusals go out first");
}

#[test]
fn when_the_link_breaks_only_calls_that_left_have_an_unknown_outcome() {
    let mut pair = Pair::new();
    let (left, _) = pair.call(b"one", 0);
    let written =
        written(&mut pair.a).len() as u64 + (HEADER_LEN + hello(&small()).encode().len()) as u64;
    let (stayed, _) = pair.call(b"two", 0);

    let failed = pair.a.fail_all(written, "cut");

    let code = |id| {
        failed
            .iter()
            .find(|(failed, _)| *failed == id)
            .unwrap()
            .1
            .code()
    };
    assert_eq!(code(left), Code::UnknownOutcome);
    assert_eq!(code(stayed), Code::Unavailable);
}

#[test]
fn ends_that_part_close_when_nothing_is_under_way() {
    let mut pair = Pair::new();
    let (id, _) = pair.call(b"", 0);
    pair.carry_to_b();

    pair.b.go_away();
    pair.carry_to_a();
    assert_eq!(
        pair.a.call(None, head(), &Bytes::new(), 0),
        Err(CannotCall::Parting)
    );
    assert!(!pair.a.may_close() && !pair.b.may_close());
    pair.b.reply(id, Ok((&Bytes::new(), 0))).unwrap();
    pair.carry_to_a();
    pair.a.release(id);

    assert!(pair.a.may_close() && pair.b.may_close());
}

proptest! {
    /// Whatever the frames are, they are taken in or refused; nothing panics and little is kept.
    #[test]
    fn any_frames_are_taken_in_or_refused(
        frames in prop::collection::vec(
            (1_u8..=14, any::<bool>(), 0_u32..6, prop::collection::vec(any::<u8>(), 0..60)),
            0..60,
        ),
    ) {
        let mut pair = Pair::new();
        pair.call(b"", 1);
        pair.carry_to_b();
        let mut events = Vec::new();
        for (kind, more, id, body) in frames {
            let mut bytes = BytesMut::new();
            let kind = kind | if more { 0x80 } else { 0 };
            bytes.extend_from_slice(&[body.len() as u8, 0, 0, kind]);
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&body);
            let Ok(Some(frame)) = Frame::take(&mut bytes) else { break };
            if pair.b.receive(pair.now, frame, &mut events).is_err() {
                break;
            }
            for event in events.drain(..) {
                if let Event::Request { id, .. } = event {
                    let _ = pair.b.reply(id, Ok((&Bytes::from_static(b"r"), 1)));
                }
            }
        }
        prop_assert!(pair.b.assembly.held < 4000);
    }

    /// Calls with messages of any length, answered in any order, come back with their own results.
    #[test]
    fn replies_meet_their_calls(
        lengths in prop::collection::vec(0_usize..150_000, 1..4),
        order in any::<prop::sample::Index>(),
    ) {
        let mut limits = small();
        limits.unwritten = 10_000_000;
        let mut pair = Pair::with(limits);
        let mut made = Vec::new();
        for (n, len) in lengths.iter().enumerate() {
            made.push((pair.call(&vec![n as u8; *len], 0).0, n as u8, *len));
        }
        let mut requests = pair.carry_to_b();
        let first = order.index(requests.len());
        requests.rotate_left(first);
        for request in requests {
            let Event::Request { id, body, .. } = request else { panic!("{request:?}") };
            pair.b.reply(id, Ok((&body, 0))).unwrap();
        }

        for event in pair.carry_to_a() {
            let Event::Replied { id, reply: Ok((body, _)) } = event else { panic!("{event:?}") };
            let (_, fill, len) = made.iter().find(|(call, ..)| *call == id).unwrap();
            prop_assert_eq!(body.len(), *len);
            prop_assert!(body.iter().all(|byte| byte == fill));
        }
    }
}
