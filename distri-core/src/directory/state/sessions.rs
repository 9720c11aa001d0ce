//! Who asked what already: a repeated command takes effect once.
//!
//! A session that was silent for [`limits::SESSION`] is forgotten, and with it what it was told:
//! its client must not repeat a command for so long.

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::directory::{Outcome, Refusal, RequestId, Verdict, limits, once};

#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    by_id: OrdMap<u128, Session>,
    /// When each was heard last, and its id.
    by_age: OrdSet<(u64, u128)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Replies below this serial are gone.
    acknowledged: u64,
    heard_ms: u64,
    /// By rising serial.
    replies: Vec<(u64, Reply)>,
}

/// A verdict, small where it says little.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reply {
    /// Done, at this revision.
    At(u64),
    Full(Box<Verdict>),
    /// To a command with this digest.
    To(u64, Box<Self>),
}

impl Sessions {
    /// Notes a request. `Some`: it was answered before, and so.
    ///
    /// `digest` is that of the command, where another might come under the same number.
    pub(super) fn begin(
        &mut self,
        request: &RequestId,
        digest: Option<u64>,
        time_ms: u64,
    ) -> Option<Verdict> {
        let session = self.heard(request.session, time_ms);
        session.acknowledge(request.acknowledged);
        if request.serial < session.acknowledged {
            return Some(Err(Refusal::Forgotten {
                serial: request.serial,
            }));
        }
        let at = session.position(request.serial).ok()?;
        let reply = &session.replies[at].1;
        if let (Some(digest), Reply::To(before, _)) = (digest, reply)
            && *before != digest
        {
            return Some(Err(Refusal::Differs {
                write: once::place(request),
            }));
        }
        Some(reply.verdict())
    }

    /// Remembers what a request came to.
    pub(super) fn remember(&mut self, request: &RequestId, digest: Option<u64>, verdict: &Verdict) {
        let Some(session) = self.by_id.get_mut(&request.session) else {
            return;
        };
        if let Err(at) = session.position(request.serial) {
            let mut reply = Reply::of(verdict);
            if let Some(digest) = digest {
                reply = Reply::To(digest, Box::new(reply));
            }
            session.replies.insert(at, (request.serial, reply));
        }
        if session.replies.len() > limits::SESSION_REPLIES {
            session.acknowledge(session.replies[0].0 + 1);
        }
    }

    /// Forgets sessions that were silent for too long.
    pub(super) fn advance(&mut self, time_ms: u64) {
        let kept = u64::try_from(limits::SESSION.as_millis()).unwrap_or(u64::MAX);
        while let Some((heard_ms, id)) = self.by_age.get_min().copied() {
            if heard_ms.saturating_add(kept) > time_ms {
                break;
            }
            self.by_age.remove(&(heard_ms, id));
            self.by_id.remove(&id);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Sessions after this one, in the order of their ids.
    pub(super) fn after(&self, id: Option<u128>) -> impl Iterator<Item = (&u128, &Session)> {
        let from = id.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.by_id.range((from, std::ops::Bound::Unbounded))
    }

    /// Takes a session from a snapshot.
    pub(super) fn restore(&mut self, id: u128, session: Session) {
        self.by_age.insert((session.heard_ms, id));
        self.by_id.insert(id, session);
    }

    /// The session, heard now, made if there is none.
    fn heard(&mut self, id: u128, time_ms: u64) -> &mut Session {
        match self.by_id.get(&id).map(|session| session.heard_ms) {
            Some(before) if before == time_ms => {}
            before => {
                if let Some(before) = before {
                    self.by_age.remove(&(before, id));
                } else if self.by_id.len() >= limits::SESSIONS
                    && let Some((_, oldest)) = self.by_age.remove_min()
                {
                    self.by_id.remove(&oldest);
                }
                self.by_age.insert((time_ms, id));
            }
        }
        let session = self.by_id.entry(id).or_insert_with(|| Session {
            acknowledged: 0,
            heard_ms: time_ms,
            replies: Vec::new(),
        });
        session.heard_ms = time_ms;
        session
    }
}

impl Session {
    fn acknowledge(&mut self, below: u64) {
        if below > self.acknowledged {
            self.acknowledged = below;
            let gone = self.replies.partition_point(|(serial, _)| *serial < below);
            self.replies.drain(..gone);
        }
    }

    fn position(&self, serial: u64) -> Result<usize, usize> {
        // Serials rise, so it mostly belongs at the end.
        match self.replies.last() {
            Some((last, _)) if *last >= serial => self
                .replies
                .binary_search_by_key(&serial, |(serial, _)| *serial),
            _ => Err(self.replies.len()),
        }
    }
}

impl Reply {
    fn of(verdict: &Verdict) -> Self {
        match verdict {
            Ok(outcome) if *outcome == Outcome::at(outcome.revision) => Self::At(outcome.revision),
            verdict => Self::Full(Box::new(verdict.clone())),
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Self::At(revision) => Ok(Outcome::at(*revision)),
            Self::Full(verdict) => verdict.as_ref().clone(),
            Self::To(_, reply) => reply.verdict(),
        }
    }
}
