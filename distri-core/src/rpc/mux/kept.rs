//! What a caller gets again if its link breaks before it has a reply: the calls with an id that came
//! in over a link, and their replies, until it is certain that those have arrived.
//!
//! Nothing is said for that on the wire. A caller uses a call's place (its `id` in frames) again only
//! when it has had the reply, so a new call in the same place lets the former one be forgotten; and
//! whoever answers a ping has read everything that was written before. So a link keeps at most one
//! reply for each call that was in flight at once, and remembering costs a call next to nothing.
//!
//! A reply that there is no room for leaves a mark, so that its call is never taken for one that has
//! not come. A part of the multiplexer, and as pure.

use bytes::Bytes;

use crate::rpc::{CallId, KeptReply, Left};

/// The calls that came in with an id and were not yet forgotten, by place.
#[derive(Debug)]
pub(super) struct Kept {
    places: Vec<Option<Entry>>,
    /// Bytes of the replies kept.
    bytes: usize,
    bytes_max: usize,
    /// Where the search for room goes on.
    hand: usize,
    /// Rises with each reply.
    replies: u64,
    /// As it was when the other end was pinged last.
    at_ping: u64,
}

#[derive(Debug)]
struct Entry {
    call: CallId,
    state: State,
}

#[derive(Debug)]
enum State {
    Running,
    /// The reply, and which it was of the link's.
    Done(KeptReply, u64),
    /// The reply is not kept.
    Gone,
}

impl Kept {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            places: Vec::new(),
            bytes: 0,
            bytes_max,
            hand: 0,
            replies: 0,
            at_ping: 0,
        }
    }

    /// A call has come in `place`, so the reply that went there before has arrived.
    pub(super) fn begin(&mut self, place: usize, call: Option<CallId>) {
        if self.places.len() <= place {
            if call.is_none() {
                return;
            }
            self.places.resize_with(place + 1, || None);
        }
        let entry = call.map(|call| Entry {
            call,
            state: State::Running,
        });
        let before = std::mem::replace(&mut self.places[place], entry);
        self.bytes -= before.map_or(0, |entry| entry.state.len());
    }

    /// True if the call in `place` has an id.
    pub(super) fn has(&self, place: usize) -> bool {
        matches!(self.places.get(place), Some(Some(_)))
    }

    /// The call in `place` has ended with this reply, of which `None` cannot be kept.
    pub(super) fn done(&mut self, place: usize, reply: Option<(bool, &Bytes)>) {
        if !self.has(place) {
            return;
        }
        let reply = reply.filter(|(_, body)| self.make_room(body.len()));
        self.replies += 1;
        if let Some(Some(entry)) = self.places.get_mut(place) {
            entry.state = match reply {
                Some((failed, body)) => {
                    self.bytes += body.len();
                    let body = body.clone();
                    State::Done(KeptReply { failed, body }, self.replies)
                }
                None => State::Gone,
            };
        }
    }

    /// The call in `place` has been given up by its caller.
    pub(super) fn give_up(&mut self, place: usize) {
        if self.has(place) {
            self.begin(place, None);
        }
    }

    /// The other end is pinged.
    pub(super) fn pinged(&mut self) {
        self.at_ping = self.replies;
    }

    /// It answers: what was written before the ping has arrived.
    pub(super) fn ponged(&mut self) {
        for entry in &mut self.places {
            if let Some(Entry {
                state: State::Done(reply, number),
                ..
            }) = entry
                && *number <= self.at_ping
            {
                self.bytes -= reply.body.len();
                *entry = None;
            }
        }
    }

    /// Everything there is, with its place; nothing remains.
    pub(super) fn take(&mut self) -> Vec<(u32, CallId, Left)> {
        self.bytes = 0;
        let places = std::mem::take(&mut self.places).into_iter().enumerate();
        places
            .filter_map(|(place, entry)| {
                let Entry { call, state } = entry?;
                let left = match state {
                    State::Running => Left::Running,
                    State::Done(reply, _) => Left::Done(reply),
                    State::Gone => Left::Gone,
                };
                Some((place as u32, call, left))
            })
            .collect()
    }

    /// Forgets replies, of which most have long arrived, until there is room for `len` bytes more.
    fn make_room(&mut self, len: usize) -> bool {
        if len > self.bytes_max / 4 {
            // It would push out all others.
            return false;
        }
        while self.bytes + len > self.bytes_max {
            self.hand = (self.hand + 1) % self.places.len();
            if let Some(entry) = &mut self.places[self.hand] {
                let len = entry.state.len();
                if len > 0 {
                    self.bytes -= len;
                    entry.state = State::Gone;
                }
            }
        }
        true
    }
}

impl State {
    /// Bytes of the reply.
    fn len(&self) -> usize {
        match self {
            Self::Done(reply, _) => reply.body.len(),
            Self::Running | Self::Gone => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CallId = CallId([1; 16]);
    const B: CallId = CallId([2; 16]);

    fn done(len: usize) -> Left {
        let body = Bytes::from(vec![7; len]);
        Left::Done(KeptReply {
            failed: false,
            body,
        })
    }

    fn end(kept: &mut Kept, place: usize, len: usize) {
        kept.done(place, Some((false, &Bytes::from(vec![7; len]))));
    }

    #[test]
    fn a_reply_is_kept_until_its_place_is_used_again() {
        let mut kept = Kept::new(1000);

        kept.begin(3, Some(A));
        end(&mut kept, 3, 10);
        kept.begin(3, Some(B));

        assert_eq!(kept.take(), [(3, B, Left::Running)]);
        kept.begin(3, Some(A));
        end(&mut kept, 3, 10);
        assert_eq!(kept.take(), [(3, A, done(10))]);
    }

    #[test]
    fn a_call_without_an_id_lets_the_one_before_it_be_forgotten() {
        let mut kept = Kept::new(1000);
        kept.begin(0, Some(A));
        end(&mut kept, 0, 10);

        kept.begin(0, None);
        end(&mut kept, 0, 10);

        assert_eq!(kept.take(), []);
    }

    #[test]
    fn what_was_written_before_a_ping_has_arrived_when_its_answer_comes() {
        let mut kept = Kept::new(1000);
        kept.begin(0, Some(A));
        end(&mut kept, 0, 10);
        kept.begin(1, Some(B));
        kept.pinged();
        end(&mut kept, 1, 20);

        kept.ponged();

        assert_eq!(kept.bytes, 20);
        assert_eq!(kept.take(), [(1, B, done(20))]);
    }

    #[test]
    fn a_reply_without_room_leaves_a_mark() {
        let mut kept = Kept::new(100);
        kept.begin(0, Some(A));

        end(&mut kept, 0, 26);

        assert_eq!(kept.take(), [(0, A, Left::Gone)]);
    }

    #[test]
    fn what_is_kept_stays_within_its_bound_however_many_calls_come() {
        let mut kept = Kept::new(100);
        for place in 0..50 {
            kept.begin(place, Some(A));
            end(&mut kept, place, 20);
            assert!(kept.bytes <= 100);
        }

        let left = kept.take();

        assert_eq!(left.len(), 50);
        let whole = left.iter().filter(|(_, _, left)| *left == done(20));
        assert_eq!(whole.count(), 5);
    }
}
