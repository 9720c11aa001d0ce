//! The calls that this end of a link has made: their ids, their deadlines, and how they end.
//!
//! A part of the multiplexer, and as pure.

use std::mem;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{Event, message::Assembly};
use crate::{
    error::{Code, Error},
    rpc::outgoing::Outgoing,
    wire::{FrameError, Kind},
};

/// Calls made here that the other end has not answered, or whose id somebody still holds.
#[derive(Debug, Default)]
pub(super) struct MadeCalls {
    /// By id.
    made: Vec<Option<Made>>,
    /// Free places in `made`.
    free: Vec<u32>,
    /// No call has a deadline before this.
    earliest_deadline: Option<Instant>,
    /// A call may have been made since the last were moved that may be made elsewhere.
    any_may_move: bool,
}

#[derive(Debug)]
struct Made {
    deadline: Option<Instant>,
    /// Nobody waits any more; the id is kept until the reply comes.
    abandoned: bool,
    /// Nobody holds the id any more.
    released: bool,
    /// It may be made elsewhere.
    may_move: bool,
    /// Position in the link's bytes at which the request ends.
    written_at: u64,
    partial: BytesMut,
}

/// A reply that has come whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// Nobody waits for it.
    pub(super) abandoned: bool,
}

impl MadeCalls {
    /// An id for a call that [begins](Self::begin) next.
    pub(super) fn next_id(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.made.push(None);
            self.made.len() as u32 - 1
        })
    }

    /// A call begins, whose request ends at `written_at` in the link's bytes.
    pub(super) fn begin(&mut self, id: u32, deadline: Option<Instant>, written_at: u64) {
        self.made[id as usize] = Some(Made {
            deadline,
            abandoned: false,
            released: false,
            may_move: false,
            written_at,
            partial: BytesMut::new(),
        });
        if let Some(deadline) = deadline
            && self
                .earliest_deadline
                .is_none_or(|earliest| deadline < earliest)
        {
            self.earliest_deadline = Some(deadline);
        }
    }

    /// Takes in a frame of a reply; gives the reply when that was its last.
    pub(super) fn receive_reply(
        &mut self,
        id: u32,
        more: bool,
        body: Bytes,
        assembly: &mut Assembly,
    ) -> Result<Option<Answer>, FrameError> {
        let Some(made) = self.made.get_mut(id as usize).and_then(Option::as_mut) else {
            return Err(FrameError::Violation("a reply to no call"));
        };
        let Some(body) = assembly.add(&mut made.partial, more, body)? else {
            return Ok(None);
        };
        let (abandoned, released) = (made.abandoned, made.released);
        self.made[id as usize] = None;
        if released {
            self.free.push(id);
        }
        Ok(Some(Answer { body, abandoned }))
    }

    /// True if somebody waits for the reply.
    pub(super) fn is_wanted(&self, id: u32) -> bool {
        let made = self.made.get(id as usize).and_then(Option::as_ref);
        made.is_some_and(|made| !made.abandoned)
    }

    /// Gives up a call. Its place stays taken until the other end has answered.
    pub(super) fn abandon(&mut self, id: u32, out: &mut Outgoing) {
        if let Some(Some(made)) = self.made.get_mut(id as usize)
            && !made.abandoned
        {
            made.abandoned = true;
            made.deadline = None;
            out.signal(Kind::Cancel, id);
        }
    }

    /// Whoever made a call has no further use for its id. It can be used again once the other end
    /// has answered too.
    pub(super) fn release(&mut self, id: u32) {
        match self.made.get_mut(id as usize) {
            Some(Some(made)) => made.released = true,
            Some(None) => self.free.push(id),
            // The link has ended.
            None => {}
        }
    }

    /// The call may be made elsewhere.
    pub(super) fn may_move(&mut self, id: u32) {
        if let Some(Some(made)) = self.made.get_mut(id as usize) {
            made.may_move = true;
            self.any_may_move = true;
        }
    }

    /// True if there may be calls that may be made elsewhere.
    pub(super) fn any_may_move(&self) -> bool {
        self.any_may_move
    }

    /// Ends the calls that may be made elsewhere.
    pub(super) fn move_away(&mut self, why: &str, out: &mut Outgoing, events: &mut Vec<Event>) {
        self.any_may_move = false;
        for id in 0..self.made.len() {
            let made = self.made[id].as_ref();
            if made.is_some_and(|made| made.may_move && !made.abandoned) {
                self.abandon(id as u32, out);
                events.push(Event::Replied {
                    id: id as u32,
                    reply: Err(Error::new(Code::UnknownOutcome, why)),
                });
            }
        }
    }

    /// Calls that are not yet answered.
    pub(super) fn in_flight(&self) -> usize {
        self.made.len() - self.free.len()
    }

    /// No call has a deadline before this.
    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        self.earliest_deadline
    }

    /// Ends the calls whose deadline has passed, and says how many.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        out: &mut Outgoing,
        events: &mut Vec<Event>,
    ) -> u32 {
        if self.earliest_deadline.is_none_or(|earliest| earliest > now) {
            return 0;
        }
        let mut ended = 0;
        let mut earliest = None;
        for id in 0..self.made.len() {
            let Some(deadline) = self.made[id].as_ref().and_then(|made| made.deadline) else {
                continue;
            };
            if deadline <= now {
                self.abandon(id as u32, out);
                let error = Error::new(Code::DeadlineExceeded, "no reply came before the deadline");
                events.push(Event::Replied {
                    id: id as u32,
                    reply: Err(error),
                });
                ended += 1;
            } else if earliest.is_none_or(|earliest| deadline < earliest) {
                earliest = Some(deadline);
            }
        }
        self.earliest_deadline = earliest;
        ended
    }

    /// How each call ends when the link breaks; see [`super::Mux::fail_all`].
    pub(super) fn fail_all(&mut self, written: u64, why: &str) -> Vec<(u32, Error)> {
        self.free.clear();
        mem::take(&mut self.made)
            .into_iter()
            .enumerate()
            .filter_map(|(id, made)| Some((id as u32, made.filter(|made| !made.abandoned)?)))
            .map(|(id, made)| {
                let error = if made.written_at > written {
                    Error::new(
                        Code::Unavailable,
                        format!("the link broke before the call left: {why}"),
                    )
                } else {
                    Error::new(
                        Code::UnknownOutcome,
                        format!("the link broke before the reply came: {why}"),
                    )
                };
                (id, error)
            })
            .collect()
    }
}
