//! The writes of a call that may be served more than once: each takes effect once.
//!
//! The caller numbers such calls, and says up to where it has all replies. Whoever serves one numbers
//! its writes, in the order in which they are made, within the call's number. So however often the
//! call is served, on whichever nodes, its first write is the same request to the directory, and so on.
//!
//! With the reply to such a write a digest of its command is remembered: a second run that writes
//! something else is told so, rather than given the verdict of what the first run wrote.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ring::digest;
use serde::Serialize;

use super::{command::RequestId, limits};
use crate::{
    error::{Code, Error, Result},
    id::PublicKey,
    wire::frame::OnceHead,
};

/// How many calls of a session may have been begun since the oldest that has not ended, that one
/// among them. More makes fewer sessions, and leaves fewer writes to each call.
pub(crate) const AHEAD: u64 = 32;

/// Writes that one call may make: as many as the directory remembers for each of [`AHEAD`] calls.
const WRITES: u64 = limits::SESSION_REPLIES as u64 / AHEAD;

/// The longest that such a call may take, with all its tries. From its first write to its last no
/// session may be forgotten for its silence; the other half is for clocks and for what comes late.
pub(crate) const LONGEST: Duration = Duration::from_secs(limits::SESSION.as_secs() / 2);

/// Marks the serial of a write that a call made.
const OF_A_CALL: u64 = 1 << 63;

/// The numbers of a call's writes.
#[derive(Debug)]
pub(crate) struct CallWrites {
    session: u128,
    first: u64,
    acknowledged: u64,
    made: AtomicU64,
}

impl CallWrites {
    /// The writes of the call `once` of `caller`: no other key can choose the same numbers.
    pub(crate) fn of(caller: PublicKey, once: &OnceHead) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"distri/once/v1");
        hash.update(caller.as_bytes());
        hash.update(&once.session.to_be_bytes());
        let hash = hash.finish();
        let bytes = std::array::from_fn(|place| hash.as_ref()[place]);
        let serial = |number: u64| OF_A_CALL | ((number % (OF_A_CALL / WRITES)) * WRITES);
        Self {
            session: u128::from_be_bytes(bytes),
            first: serial(once.number),
            acknowledged: serial(once.acknowledged),
            made: AtomicU64::new(0),
        }
    }

    /// The number of the next write.
    pub(crate) fn next(&self) -> Result<RequestId> {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        if made >= WRITES {
            let message = format!("a call with `once` makes at most {WRITES} writes");
            return Err(Error::new(Code::FailedPrecondition, message));
        }
        Ok(RequestId {
            session: self.session,
            serial: self.first + made,
            acknowledged: self.acknowledged,
        })
    }
}

/// True if a call made the write, so that it may be made again by another run.
pub(crate) fn is_of_a_call(request: &RequestId) -> bool {
    request.serial & OF_A_CALL != 0
}

/// Which of its call's writes it is, from 1.
pub(crate) fn place(request: &RequestId) -> u64 {
    request.serial % WRITES + 1
}

/// By which a command is told from another.
pub(crate) fn digest<T: Serialize>(command: &T) -> u64 {
    let bytes = postcard::to_stdvec(command).unwrap_or_default();
    let hash = digest::digest(&digest::SHA256, &bytes);
    u64::from_le_bytes(std::array::from_fn(|place| hash.as_ref()[place]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn writes(seed: u8, session: u128, number: u64) -> CallWrites {
        let caller = Identity::from_seed(&[seed; 32]).public();
        let once = OnceHead {
            session,
            number,
            acknowledged: 1,
        };
        CallWrites::of(caller, &once)
    }

    #[test]
    fn each_run_of_a_call_numbers_its_writes_alike() {
        let (first, second) = (writes(1, 7, 3), writes(1, 7, 3));

        for _ in 0..5 {
            assert_eq!(first.next().unwrap(), second.next().unwrap());
        }
    }

    #[test]
    fn no_two_calls_and_no_two_callers_share_a_number() {
        let id = |writes: CallWrites| {
            let id = writes.next().unwrap();
            (id.session, id.serial)
        };

        let all = [
            id(writes(1, 7, 3)),
            id(writes(1, 7, 4)),
            id(writes(1, 8, 3)),
            id(writes(2, 7, 3)),
        ];

        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one));
        }
    }

    #[test]
    fn a_call_does_not_write_without_end() {
        let writes = writes(1, 7, u64::MAX);
        for _ in 0..WRITES {
            assert!(is_of_a_call(&writes.next().unwrap()));
        }

        assert!(writes.next().is_err());
    }
}
