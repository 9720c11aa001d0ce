//! One link of the network: two pipes, and what each end may do.
//!
//! A machine: it gets the time and the delays from its caller and says until when to wait. Bytes
//! travel in order; a pipe holds a bounded number of them, counted from the write to the read. What
//! is under way when a direction is blocked stays so, and arrives some time after it is unblocked,
//! as if sent again. Nothing is lost but by a cut.

#![warn(
    clippy::disallowed_methods,
    reason = "a machine, though inside a driver"
)]

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// How much of a second's worth a slow reader gets at once; smaller is smoother and takes more steps.
const SLICES: u64 = 100;

/// One of the two ends: the one that dialed, or the one that accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Dialed,
    Accepted,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Dialed, Self::Accepted];

    pub(super) fn other(self) -> Self {
        match self {
            Self::Dialed => Self::Accepted,
            Self::Accepted => Self::Dialed,
        }
    }
}

/// Both directions of a link.
#[derive(Debug)]
pub(super) struct Link {
    /// By the side that writes.
    pipes: [Pipe; 2],
    cut: bool,
}

/// What came of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// That many bytes were taken.
    Took(usize),
    /// The other end has shut down its writing.
    End,
    /// The link was cut, or the other end dropped.
    Reset,
    /// Nothing yet: try again then, or when woken.
    Wait(Option<Instant>),
}

/// What came of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// That many bytes were taken.
    Took(usize),
    /// The link was cut, this end has shut down, or the other end is known to be gone.
    Broken,
    /// No room yet: try again then, or when woken.
    Wait(Option<Instant>),
}

impl Link {
    pub(super) fn new(capacity: usize, now: Instant) -> Self {
        Self {
            pipes: [Pipe::new(capacity, now), Pipe::new(capacity, now)],
            cut: false,
        }
    }

    pub(super) fn write(
        &mut self,
        side: Side,
        now: Instant,
        delay: impl FnOnce() -> Duration,
        bytes: &[u8],
    ) -> Write {
        let gone = self.pipes[side.other() as usize].writer_gone(now);
        let pipe = &mut self.pipes[side as usize];
        if self.cut || pipe.end.is_some() || gone == Some(Arrival::Now) {
            return Write::Broken;
        }
        if bytes.is_empty() {
            return Write::Took(0);
        }
        match pipe.push(now, delay, bytes) {
            0 => Write::Wait(gone.and_then(Arrival::later)),
            taken => Write::Took(taken),
        }
    }

    /// Reads for `side`, which takes at most `rate` bytes a second if there is one.
    pub(super) fn read(
        &mut self,
        side: Side,
        now: Instant,
        rate: Option<u64>,
        buf: &mut [u8],
    ) -> Read {
        let unheard = self.pipes[side as usize].blocked;
        let pipe = &mut self.pipes[side.other() as usize];
        if self.cut {
            return Read::Reset;
        }
        if buf.is_empty() {
            return Read::Took(0);
        }
        pipe.pull(now, rate, unheard, buf)
    }

    /// Ends what `side` writes; the other end sees it after all bytes.
    pub(super) fn shut_down(&mut self, side: Side, now: Instant, delay: Duration) {
        self.pipes[side as usize].finish(now, delay, Finish::ShutDown);
    }

    /// Drops the end of `side`, with both halves. Says whether the other end is gone too.
    pub(super) fn drop_end(&mut self, side: Side, now: Instant, delay: Duration) -> bool {
        self.pipes[side as usize].finish(now, delay, Finish::Gone);
        self.pipes[side.other() as usize].gone.is_some()
    }

    /// Cuts the link for both ends at once; what is under way is lost.
    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    /// Stops what `side` sends, from now on.
    pub(super) fn block(&mut self, side: Side, now: Instant) {
        let pipe = &mut self.pipes[side as usize];
        pipe.settle(now);
        pipe.blocked = true;
    }

    /// Lets what `side` sends through again; what was held up arrives after `delay`.
    pub(super) fn unblock(&mut self, side: Side, now: Instant, delay: Duration) {
        // What `side` has read meanwhile could not be confirmed to the other until now.
        self.pipes[side.other() as usize].unconfirmed = 0;
        self.pipes[side as usize].resume(now + delay);
    }
}

/// One direction of a link.
#[derive(Debug)]
struct Pipe {
    capacity: usize,
    bytes: VecDeque<u8>,
    /// How many of `bytes`, from the front, are at the reader.
    arrived: usize,
    /// The rest of `bytes`, by the time at which they arrive, which never falls.
    flights: VecDeque<Flight>,
    /// Bytes that were read, but the writer cannot know it yet: their room is not free.
    unconfirmed: usize,
    /// How the bytes end, and when that arrives.
    end: Option<(Finish, Instant)>,
    /// When the reader can know that the writer's whole end is gone.
    gone: Option<Instant>,
    blocked: bool,
    /// A slow reader may read again then.
    next_read: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    arrives: Instant,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finish {
    /// The writer said that nothing follows.
    ShutDown,
    /// The writer's end was dropped, without a word unless it had shut down.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Now,
    Later(Instant),
    /// Not before the direction is unblocked.
    Blocked,
}

impl Arrival {
    fn later(self) -> Option<Instant> {
        match self {
            Self::Later(at) => Some(at),
            Self::Now | Self::Blocked => None,
        }
    }
}

impl Pipe {
    fn new(capacity: usize, now: Instant) -> Self {
        Self {
            capacity: capacity.max(1),
            bytes: VecDeque::new(),
            arrived: 0,
            flights: VecDeque::new(),
            unconfirmed: 0,
            end: None,
            gone: None,
            blocked: false,
            next_read: now,
        }
    }

    /// Takes what there is room for. Asks for a delay only if there is, so that numbers are not
    /// drawn by mere attempts.
    fn push(&mut self, now: Instant, delay: impl FnOnce() -> Duration, bytes: &[u8]) -> usize {
        let room = self
            .capacity
            .saturating_sub(self.bytes.len() + self.unconfirmed);
        let taken = bytes.len().min(room);
        if taken > 0 {
            self.bytes.extend(&bytes[..taken]);
            let arrives = self.next_arrival(now + delay());
            match self.flights.back_mut() {
                Some(last) if last.arrives == arrives => last.bytes += taken,
                _ => self.flights.push_back(Flight {
                    arrives,
                    bytes: taken,
                }),
            }
        }
        taken
    }

    fn pull(&mut self, now: Instant, rate: Option<u64>, unheard: bool, buf: &mut [u8]) -> Read {
        self.settle(now);
        if self.arrived == 0 {
            return self.nothing_to_pull(now);
        }
        let mut taken = self.arrived.min(buf.len());
        if let Some(rate) = rate.map(|rate| rate.max(1)) {
            if now < self.next_read {
                return Read::Wait(Some(self.next_read));
            }
            taken = taken.min((rate / SLICES).max(1) as usize);
            self.next_read = now + Duration::from_secs_f64(taken as f64 / rate as f64);
        }
        for (to, from) in buf.iter_mut().zip(self.bytes.drain(..taken)) {
            *to = from;
        }
        self.arrived -= taken;
        if unheard {
            self.unconfirmed += taken;
        }
        Read::Took(taken)
    }

    fn nothing_to_pull(&self, now: Instant) -> Read {
        if let Some(flight) = self.flights.front() {
            return Read::Wait(self.arrival(flight.arrives, now).later());
        }
        let Some((finish, at)) = self.end else {
            return Read::Wait(None);
        };
        match (self.arrival(at, now), finish) {
            (Arrival::Now, Finish::ShutDown) => Read::End,
            (Arrival::Now, Finish::Gone) => Read::Reset,
            (not_yet, _) => Read::Wait(not_yet.later()),
        }
    }

    fn finish(&mut self, now: Instant, delay: Duration, finish: Finish) {
        let at = self.next_arrival(now + delay);
        self.end.get_or_insert((finish, at));
        if finish == Finish::Gone {
            self.gone.get_or_insert(at);
        }
    }

    fn writer_gone(&self, now: Instant) -> Option<Arrival> {
        self.gone.map(|at| self.arrival(at, now))
    }

    fn arrival(&self, at: Instant, now: Instant) -> Arrival {
        match (self.blocked, at <= now) {
            (true, _) => Arrival::Blocked,
            (false, true) => Arrival::Now,
            (false, false) => Arrival::Later(at),
        }
    }

    /// Nothing overtakes: what is sent later arrives no earlier.
    fn next_arrival(&self, earliest: Instant) -> Instant {
        let last = self.flights.back().map(|flight| flight.arrives);
        let end = self.end.map(|(_, at)| at);
        last.max(end).map_or(earliest, |last| last.max(earliest))
    }

    fn settle(&mut self, now: Instant) {
        while !self.blocked
            && let Some(flight) = self.flights.front()
            && flight.arrives <= now
        {
            self.arrived += flight.bytes;
            self.flights.pop_front();
        }
    }

    fn resume(&mut self, at: Instant) {
        self.blocked = false;
        for flight in &mut self.flights {
            flight.arrives = flight.arrives.max(at);
        }
        if let Some((_, end)) = &mut self.end {
            *end = at.max(*end);
        }
        if let Some(gone) = &mut self.gone {
            *gone = at.max(*gone);
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where these tests get an instant"
)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Side::{Accepted, Dialed},
        *,
    };

    const NONE: Duration = Duration::ZERO;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn link(capacity: usize) -> (Link, Instant) {
        let start = Instant::now();
        (Link::new(capacity, start), start)
    }

    fn read(link: &mut Link, side: Side, now: Instant) -> Result<Vec<u8>, Read> {
        let mut buf = [0; 64];
        match link.read(side, now, None, &mut buf) {
            Read::Took(taken) => Ok(buf[..taken].to_vec()),
            other => Err(other),
        }
    }

    #[test]
    fn bytes_arrive_after_their_delay_and_never_overtake() {
        let (mut link, start) = link(64);
        link.write(Dialed, start, || ms(20), b"slow");
        link.write(Dialed, start, || ms(5), b"fast");

        assert_eq!(
            read(&mut link, Accepted, start + ms(19)),
            Err(Read::Wait(Some(start + ms(20))))
        );
        assert_eq!(
            read(&mut link, Accepted, start + ms(20)),
            Ok(b"slowfast".to_vec())
        );
        assert_eq!(
            read(&mut link, Dialed, start + ms(20)),
            Err(Read::Wait(None))
        );
    }

    #[test]
    fn a_writer_waits_until_what_it_wrote_is_read() {
        let (mut link, start) = link(4);

        assert_eq!(
            link.write(Dialed, start, || NONE, b"123456"),
            Write::Took(4)
        );
        assert_eq!(link.write(Dialed, start, || NONE, b"56"), Write::Wait(None));
        assert_eq!(read(&mut link, Accepted, start), Ok(b"1234".to_vec()));
        assert_eq!(link.write(Dialed, start, || NONE, b"56"), Write::Took(2));
    }

    #[test]
    fn an_end_is_seen_after_all_bytes_and_the_other_direction_lives_on() {
        let (mut link, start) = link(64);
        link.write(Dialed, start, || ms(9), b"last");
        link.shut_down(Dialed, start, ms(1));

        assert_eq!(
            read(&mut link, Accepted, start + ms(9)),
            Ok(b"last".to_vec())
        );
        assert_eq!(read(&mut link, Accepted, start + ms(9)), Err(Read::End));
        assert_eq!(link.write(Dialed, start, || NONE, b"more"), Write::Broken);
        assert_eq!(
            link.write(Accepted, start, || NONE, b"back"),
            Write::Took(4)
        );
        assert_eq!(read(&mut link, Dialed, start), Ok(b"back".to_vec()));
    }

    #[test]
    fn a_dropped_end_is_a_reset_to_reader_and_writer_once_that_is_known() {
        let (mut link, start) = link(4);
        link.write(Accepted, start, || NONE, b"full");

        assert!(!link.drop_end(Dialed, start, ms(5)));

        assert_eq!(
            link.write(Accepted, start, || NONE, b"x"),
            Write::Wait(Some(start + ms(5)))
        );
        assert_eq!(
            read(&mut link, Accepted, start),
            Err(Read::Wait(Some(start + ms(5))))
        );
        assert_eq!(read(&mut link, Accepted, start + ms(5)), Err(Read::Reset));
        assert_eq!(
            link.write(Accepted, start + ms(5), || NONE, b"x"),
            Write::Broken
        );
        assert!(link.drop_end(Accepted, start + ms(5), NONE));
    }

    #[test]
    fn an_end_dropped_after_it_shut_down_ends_well() {
        let (mut link, start) = link(64);
        link.shut_down(Dialed, start, NONE);
        link.drop_end(Dialed, start, NONE);

        assert_eq!(read(&mut link, Accepted, start), Err(Read::End));
        assert_eq!(link.write(Accepted, start, || NONE, b"x"), Write::Broken);
    }

    #[test]
    fn a_cut_resets_both_ends_and_loses_what_is_under_way() {
        let (mut link, start) = link(64);
        link.write(Dialed, start, || NONE, b"lost");

        link.cut();

        for side in Side::BOTH {
            assert_eq!(read(&mut link, side, start), Err(Read::Reset));
            assert_eq!(link.write(side, start, || NONE, b"x"), Write::Broken);
        }
    }

    #[test]
    fn a_blocked_direction_keeps_what_is_under_way_until_it_is_unblocked() {
        let (mut link, start) = link(64);
        link.write(Dialed, start, || NONE, b"there");
        link.write(Dialed, start, || ms(5), b"late");
        link.block(Dialed, start);
        link.write(Dialed, start, || NONE, b"held");
        link.write(Accepted, start, || NONE, b"back");
        let later = start + ms(1000);

        assert_eq!(read(&mut link, Accepted, later), Ok(b"there".to_vec()));
        assert_eq!(read(&mut link, Accepted, later), Err(Read::Wait(None)));
        assert_eq!(read(&mut link, Dialed, later), Ok(b"back".to_vec()));

        link.unblock(Dialed, later, ms(3));
        assert_eq!(
            read(&mut link, Accepted, later),
            Err(Read::Wait(Some(later + ms(3))))
        );
        assert_eq!(
            read(&mut link, Accepted, later + ms(3)),
            Ok(b"lateheld".to_vec())
        );
    }

    #[test]
    fn ends_and_drops_do_not_pass_a_blocked_direction() {
        let (mut link, start) = link(64);
        link.block(Dialed, start);
        link.drop_end(Dialed, start, NONE);
        let later = start + ms(1000);

        assert_eq!(read(&mut link, Accepted, later), Err(Read::Wait(None)));
        assert_eq!(
            link.write(Accepted, later, || NONE, b"into the void"),
            Write::Took(13)
        );
        link.unblock(Dialed, later, NONE);
        assert_eq!(read(&mut link, Accepted, later), Err(Read::Reset));
    }

    #[test]
    fn a_writer_that_hears_no_confirmation_stalls_though_its_bytes_arrive() {
        let (mut link, start) = link(4);
        link.block(Accepted, start);
        link.write(Dialed, start, || NONE, b"1234");

        assert_eq!(read(&mut link, Accepted, start), Ok(b"1234".to_vec()));
        assert_eq!(link.write(Dialed, start, || NONE, b"5"), Write::Wait(None));

        link.unblock(Accepted, start, NONE);
        assert_eq!(link.write(Dialed, start, || NONE, b"5"), Write::Took(1));
    }

    #[test]
    fn a_slow_reader_gets_its_bytes_a_second() {
        let (mut link, start) = link(1000);
        link.write(Dialed, start, || NONE, &[7; 1000]);
        let (mut now, mut got) = (start, 0);

        while now < start + Duration::from_secs(1) {
            match link.read(Accepted, now, Some(500), &mut [0; 64]) {
                Read::Took(taken) => got += taken,
                Read::Wait(Some(until)) => now = until,
                other => panic!("{other:?}"),
            }
        }

        assert_eq!(got, 500);
    }

    proptest! {
        #[test]
        fn whatever_happens_bytes_arrive_in_order_and_whole(
            steps in prop::collection::vec((0u8..5, 1usize..40, 0u64..30), 1..200)
        ) {
            let (mut link, start) = link(50);
            let (mut now, mut sent, mut got) = (start, Vec::<u8>::new(), Vec::<u8>::new());
            for (what, amount, delay) in steps {
                match what {
                    0 => {
                        let bytes: Vec<u8> = (0..amount).map(|i| (sent.len() + i) as u8).collect();
                        if let Write::Took(taken) = link.write(Dialed, now, || ms(delay), &bytes) {
                            sent.extend(&bytes[..taken]);
                        }
                    }
                    1 => got.extend(read(&mut link, Accepted, now).unwrap_or_default()),
                    2 => now += ms(delay),
                    3 => link.block(Dialed, now),
                    _ => link.unblock(Dialed, now, ms(delay)),
                }
                prop_assert!(sent.len() - got.len() <= 50);
            }

            link.unblock(Dialed, now, NONE);
            while let Ok(bytes) = read(&mut link, Accepted, now + ms(10_000)) {
                got.extend(bytes);
            }
            prop_assert_eq!(got, sent);
        }
    }
}
