//! Commands on their way into the log: gathered, proposed together, answered one by one.
//!
//! A node that leads proposes what its own clients and the other nodes send; a node that follows
//! sends on what its clients send. While one batch is under way the next gathers, so the more is
//! written at once, the more of it shares each sync of the disks.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the batches under way, and the hour of leases"
)]

use std::{
    collections::VecDeque,
    future::IntoFuture,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    command::Batch,
    protocol::{Answers, PROPOSE, Proposals, descriptor},
    replica::Replica,
};
use crate::{
    client::Client,
    consensus::{Group, Unfinished},
    error::{Code, Error, Result},
    world,
};

/// Batches under way at once. Two let one travel while another is synced; more would make each
/// smaller.
const UNDER_WAY: usize = 2;

/// Commands of one batch at most.
const BATCH: usize = 4096;

/// Bytes of one batch, above which no further command is put into it.
const BATCH_BYTES: usize = 1 << 20;

/// Bytes of commands that wait at most; what exceeds it is refused as busy.
const WAITING_BYTES: usize = 64 << 20;

/// How long a command is tried while there is no leader, or the leader changes.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long one message to the leader may take.
const TO_LEADER: Duration = Duration::from_secs(5);

/// The pause before a batch is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// By how much the system's clock must run ahead for the leader to follow it. Leases begin anew then,
/// since nobody's time has really passed; so small differences, which harm nothing, are let be.
const CLOCK_STEP_MS: u64 = 5_000;

/// How long a node that is stopping waits for an answer of the leader. Whoever asked it can ask
/// another, so a shorter time delays them less; it is several times what an answer takes.
const LAST_ANSWER: Duration = Duration::from_millis(100);

/// How often a leader looks whether a lease has ended, at most.
const LEASES: Duration = Duration::from_millis(100);

/// How often it looks while none ends sooner: within the shortest time for which one may be granted.
const NO_LEASES: Duration = Duration::from_millis(500);

/// The commands that wait.
#[derive(Default)]
pub(crate) struct Writes {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

struct Waiting {
    proposals: Vec<Bytes>,
    reply: oneshot::Sender<Result<Vec<Bytes>>>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.proposals.iter().map(Bytes::len).sum()
    }
}

impl Writes {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts commands, each encoded, into the log, and waits for what came of each.
    pub(crate) async fn submit(&self, proposals: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let (reply, answers) = oneshot::channel();
        let waiting = Waiting { proposals, reply };
        {
            let mut queue = self.queue();
            let bytes = waiting.bytes();
            if queue.bytes > 0 && queue.bytes + bytes > WAITING_BYTES {
                return Err(Error::new(
                    Code::Busy,
                    format!("{} bytes of commands wait already", queue.bytes),
                )
                .with_retry_after(PAUSE));
            }
            queue.bytes += bytes;
            queue.waiting.push_back(waiting);
        }
        self.arrived.notify_one();
        answers
            .await
            .unwrap_or_else(|_| Err(Error::new(Code::UnknownOutcome, "the node is stopping")))
    }

    fn take(&self) -> Vec<Waiting> {
        let mut queue = self.queue();
        let (mut count, mut bytes) = (0, 0);
        let mut taken = Vec::new();
        while let Some(next) = queue.waiting.front() {
            let more = next.bytes();
            let full = count + next.proposals.len() > BATCH || bytes + more > BATCH_BYTES;
            if full && !taken.is_empty() {
                break;
            }
            count += next.proposals.len();
            bytes += more;
            queue.bytes -= more;
            taken.extend(queue.waiting.pop_front());
        }
        taken
    }

    /// Proposes what arrives. Runs until dropped.
    pub(crate) async fn run(&self, group: Group, client: Client, replica: Arc<Replica>) {
        let way = Way {
            group,
            client,
            replica,
            clock: Mutex::default(),
        };
        // Polled here rather than as tasks: a write that comes alone wakes one task less.
        let mut under_way = FuturesUnordered::new();
        let mut leases = world::now() + NO_LEASES;
        loop {
            let batch = if under_way.len() < UNDER_WAY {
                self.take()
            } else {
                Vec::new()
            };
            if !batch.is_empty() {
                under_way.push(Step::Carry(batch).take(&way));
                continue;
            }
            tokio::select! {
                // What is seldom first, so that it is not left out while there is much to do.
                biased;
                () = way.looks_at_leases(leases) => {
                    if way.lease_is_over() {
                        under_way.push(Step::EndLeases.take(&way));
                    }
                    leases = world::now() + way.look_at_leases();
                }
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                () = self.arrived.notified(), if under_way.len() < UNDER_WAY => {}
            }
        }
    }
}

/// What is under way.
enum Step {
    Carry(Vec<Waiting>),
    EndLeases,
}

impl Step {
    async fn take(self, way: &Way) {
        match self {
            Self::Carry(batch) => carry(way, batch).await,
            Self::EndLeases => end_leases(way).await,
        }
    }
}

/// How a batch gets into the log.
struct Way {
    group: Group,
    client: Client,
    replica: Arc<Replica>,
    clock: Mutex<Clock>,
}

/// The leader's clock: the system's when it began to lead, if that was not behind the state's, and
/// from then on as time really passes. Whoever holds a lease counts on that: a clock that is put
/// forward must not end it early.
#[derive(Default)]
struct Clock {
    term: u64,
    /// The time when this node began to lead, and when that was.
    since: Option<(u64, Instant)>,
    /// A batch of the time since then has been applied.
    begun: bool,
}

impl Clock {
    /// The time for the log. `state_ms` and `unix_ms` are the state's time and the system's.
    fn time(
        &mut self,
        term: u64,
        now: Instant,
        state_ms: impl FnOnce() -> u64,
        unix_ms: u64,
    ) -> Stamp {
        if let (Some((base, since)), true) = (self.since, self.term == term) {
            let elapsed = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX);
            let time = base.saturating_add(elapsed);
            if unix_ms <= time.saturating_add(CLOCK_STEP_MS) {
                return Stamp {
                    time_ms: time,
                    begins: !self.begun,
                    since,
                };
            }
        }
        let time = unix_ms.max(state_ms());
        *self = Self {
            term,
            since: Some((time, now)),
            begun: false,
        };
        Stamp {
            time_ms: time,
            begins: true,
            since: now,
        }
    }
}

/// A time for the log.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    time_ms: u64,
    /// Nothing that this leader stamped since it began, or since its clock was put forward, is known
    /// to have been applied: leases begin anew.
    begins: bool,
    /// When the leader's clock was set.
    since: Instant,
}

impl Way {
    /// How long until it is looked again whether a lease is over.
    fn look_at_leases(&self) -> Duration {
        let Some(expiry) = self.replica.read(|state| state.next_expiry_ms()) else {
            return NO_LEASES;
        };
        let now = self.now(self.group.term()).time_ms;
        Duration::from_millis(expiry.saturating_sub(now)).clamp(LEASES, NO_LEASES)
    }

    /// Waits until `at`, and until this node leads: the others end no leases and need not wake for them.
    async fn looks_at_leases(&self, at: Instant) {
        let leads = |group: &Group| (group.leader() == Some(group.number())).then_some(());
        if self.group.wait_for(leads).await.is_none() {
            // Its part has ended.
            std::future::pending::<()>().await;
        }
        tokio::time::sleep_until(at).await;
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time for the log.
    fn now(&self, term: u64) -> Stamp {
        let mut clock = self.clock();
        let state_ms = || self.replica.read(|state| state.time_ms());
        clock.time(term, world::now(), state_ms, world::unix_ms())
    }

    fn has_begun(&self, stamp: Stamp) {
        let mut clock = self.clock();
        clock.begun |= clock.since.is_some_and(|(_, since)| since == stamp.since);
    }

    fn lease_is_over(&self) -> bool {
        let Some(expiry) = self.replica.read(|state| state.next_expiry_ms()) else {
            return false;
        };
        let view = self.group.view();
        view.leads && self.now(view.term).time_ms >= expiry
    }

    async fn propose(&self, proposals: Vec<Bytes>) -> Result<Vec<Bytes>, Unfinished> {
        let term = self.group.term();
        let stamp = self.now(term);
        let batch = Batch {
            time_ms: stamp.time_ms,
            new_leader: stamp.begins,
            proposals,
        };
        let payload =
            postcard::to_stdvec(&batch).map_err(|error| Unfinished::Refused(error.to_string()))?;
        let answers = self.group.propose(payload.into()).await?;
        self.has_begun(stamp);
        Ok(answers)
    }

    /// Ends some time after this node has begun to stop.
    async fn leaves_soon(&self) {
        self.group.leaving().await;
        world::pause(LAST_ANSWER).await;
    }

    /// Puts proposals into the log, at this node or at the leader, trying again while the leader
    /// changes: every proposal has a number by which the log knows it again.
    async fn carry(&self, proposals: &[Bytes]) -> Result<Vec<Bytes>> {
        let until = world::now() + PATIENCE;
        let mut last = None;
        // Once a try may have put them into the log, no later one can say that nothing was done.
        let mut may_be_done = false;
        while world::now() < until {
            let wait = tokio::time::timeout_at(until, self.group.wait_for(Group::leader));
            let leader = tokio::select! {
                biased;
                leader = wait => leader,
                () = self.group.leaving() => break,
            };
            let Ok(Some(leader)) = leader else { break };
            if leader == self.group.number() {
                match self.propose(proposals.to_vec()).await {
                    Ok(answers) => return Ok(answers),
                    Err(Unfinished::Stopped(why)) => {
                        return Err(Error::new(Code::UnknownOutcome, why));
                    }
                    Err(other) => {
                        may_be_done |= matches!(other, Unfinished::Unknown);
                        last = Some(Error::new(Code::Unavailable, other.to_string()));
                    }
                }
            } else if let Some(member) = self.group.member(leader) {
                let message = Proposals {
                    proposals: proposals.to_vec(),
                };
                let asked = self
                    .client
                    .call::<_, Answers>(descriptor(), PROPOSE, message)
                    .to(member.key)
                    .timeout(TO_LEADER);
                let answer = tokio::select! {
                    biased;
                    answer = asked.into_future() => answer,
                    // A leader that is gone is not waited for once there is another.
                    _ = self.group.leader_other_than(leader) => {
                        may_be_done = true;
                        continue;
                    }
                    () = self.leaves_soon() => {
                        may_be_done = true;
                        break;
                    }
                };
                match answer {
                    Ok(answers) => return Ok(answers.answers),
                    Err(error) => {
                        may_be_done |= !error.is_retryable();
                        last = Some(error);
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.group.leaving() => break,
                () = world::pause(PAUSE) => {}
            }
        }
        let error = last.unwrap_or_else(|| {
            Error::new(
                Code::Unavailable,
                format!("this node has known no leader for {PATIENCE:?}, or is stopping"),
            )
        });
        Err(if may_be_done && error.is_retryable() {
            Error::new(Code::UnknownOutcome, error.message())
        } else {
            error
        })
    }
}

/// Carries a batch into the log and answers those who wait.
async fn carry(way: &Way, batch: Vec<Waiting>) {
    let proposals: Vec<Bytes> = batch
        .iter()
        .flat_map(|waiting| waiting.proposals.iter().cloned())
        .collect();
    let answers = way.carry(&proposals).await;
    let answers = answers.and_then(|answers| {
        if answers.len() == proposals.len() {
            return Ok(answers);
        }
        let (got, asked) = (answers.len(), proposals.len());
        let message = format!("{got} answers came to {asked} commands");
        Err(Error::new(Code::Internal, message))
    });
    match answers {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            for waiting in batch {
                let own = answers.by_ref().take(waiting.proposals.len()).collect();
                // Whoever does not wait any more has given up.
                let _ = waiting.reply.send(Ok(own));
            }
        }
        Err(error) => {
            for waiting in batch {
                let _ = waiting
                    .reply
                    .send(Err(Error::new(error.code(), error.message())));
            }
        }
    }
}

/// Lets the log's time go on, by which leases end.
async fn end_leases(way: &Way) {
    if let Err(error) = way.propose(Vec::new()).await {
        tracing::debug!(%error, "leases could not be ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_put_forward_ends_no_lease_early() {
        let start = world::now();
        let mut clock = Clock::default();
        let second = Duration::from_secs(1);

        let first = clock.time(1, start, || 0, 1_000_000);
        clock.begun = true;
        let nudged = clock.time(1, start + second, || 0, 1_004_000);
        let stepped = clock.time(1, start + 2 * second, || 0, 1_060_000);

        let times = [first, nudged, stepped].map(|stamp| stamp.time_ms);
        assert_eq!(times, [1_000_000, 1_001_000, 1_060_000]);
        // The batch with the new time gives leases their whole time again.
        let begins = [first, nudged, stepped].map(|stamp| stamp.begins);
        assert_eq!(begins, [true, false, true]);
    }

    #[test]
    fn a_leader_whose_clock_is_behind_goes_on_from_the_states_time() {
        let start = world::now();
        let mut clock = Clock::default();

        let first = clock.time(2, start, || 5_000_000, 1_000_000);
        let then = clock.time(2, start + Duration::from_millis(7), || 5_000_000, 1_000_007);

        assert_eq!((first.time_ms, then.time_ms), (5_000_000, 5_000_007));
    }
}
