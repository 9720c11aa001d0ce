//! The loop of a call: it is tried until it has a reply, or may not be tried again.

use std::time::Duration;

use tokio::time::Instant;

use super::{EncodeArguments, Plan, attempt::Encoded};
use crate::{
    client::{
        guide::Guide,
        once::OpenCall,
        repeat::{Failure, Fate, Former},
    },
    directory::once,
    error::{Code, Error, Result},
    id::PublicKey,
    message::{Codec, Message},
    stats::calls::Making,
    world,
};

/// How often a call is tried in all. More rides out more nodes failing at once, but makes a failure
/// that all share last longer.
const TRIES: u32 = 6;

/// When a call was refused for want of room and no other node may have some, it waits for as long as
/// the node said, and then for a time drawn at random between nothing and this, which doubles up to
/// the second. Longer spreads those who were refused together more evenly, and makes each wait longer.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

impl Plan {
    /// Makes the call, on another node too if that is safe.
    pub(super) async fn run(
        &self,
        arguments: &mut dyn EncodeArguments,
    ) -> Result<(Message, Codec, PublicKey)> {
        let now = world::now();
        let (service, method) = (self.what.service(), self.what.method());
        let counted = self.client.pool().counted();
        let making = counted.of(self.what.id(), service, method).begin(now);
        let made = self.run_counted(arguments, now, &making).await;
        let failed = made.as_ref().err().map(Error::code);
        making.end(world::now(), failed);
        made
    }

    async fn run_counted(
        &self,
        arguments: &mut dyn EncodeArguments,
        now: Instant,
        making: &Making,
    ) -> Result<(Message, Codec, PublicKey)> {
        // Once the outcome of one try is unknown, no later one can say that nothing was done.
        let mut may_be_done = false;
        let made = self.make(arguments, now, making, &mut may_be_done).await;
        made.map_err(|error| {
            if may_be_done && error.is_retryable() {
                let last = error.message();
                Error::new(
                    Code::UnknownOutcome,
                    format!("a try may have taken effect, and the last one failed: {last}"),
                )
            } else {
                error
            }
        })
    }

    async fn make(
        &self,
        arguments: &mut dyn EncodeArguments,
        now: Instant,
        making: &Making,
        may_be_done: &mut bool,
    ) -> Result<(Message, Codec, PublicKey)> {
        self.client.scope.fences.check()?;
        self.check_hedge()?;
        let own = now + self.timeout.unwrap_or_else(|| self.what.timeout());
        let own = match self.what.is_once() {
            true => own.min(now + once::LONGEST),
            false => own,
        };
        let deadline = self
            .client
            .scope
            .deadline
            .map_or(own, |inherited| inherited.min(own));
        self.client.pool().budget().earn();
        // The same number in each try. When the call has ended, however, it is acknowledged.
        let open = self
            .what
            .is_once()
            .then(|| self.client.pool().once().begin());
        let once = open.as_ref().map(OpenCall::head);
        let mut tried = Vec::new();
        let mut former: Option<Former> = None;
        let mut waiting = None;
        let mut last = None;
        let mut pause = PAUSE;
        let mut tries = 0;
        let mut guide = Guide::new(self.what.is_led());
        loop {
            let route = match &former {
                Some(former) => self.rejoin(former, deadline).await?,
                None => self.choose(deadline, &tried, &guide).await?,
            };
            let node = route.target.key();
            let codec = self.codec_for(&route);
            let message = match waiting.take() {
                Some((encoded_as, message)) if encoded_as == codec => message,
                Some(_) | None => match arguments.encode(codec) {
                    Ok(message) => message,
                    // A stream in the arguments was sent in an earlier try: that one's failure counts.
                    Err(error) => return Err(last.unwrap_or(error)),
                },
            };
            let encoded = Encoded { codec, message };
            let (made, node, codec) = match self.hedge_after(&encoded) {
                Some(after) => {
                    let arguments = &mut *arguments;
                    self.hedged(&route, encoded, arguments, (deadline, after), making)
                        .await
                }
                None => {
                    let made = self.attempt(&route, encoded, deadline, (former, once));
                    (made.await, node, codec)
                }
            };
            let Failure { error, fate } = match made {
                Ok(reply) => return Ok((reply, codec, node)),
                Err(failure) => failure,
            };
            let may_repeat = match fate {
                Fate::Answered => {
                    if error.is_retryable() && former.take().is_some() {
                        // The node knows that it had never begun the call, and will not.
                        *may_be_done = false;
                    }
                    *may_be_done |= error.code() == Code::UnknownOutcome;
                    error.is_retryable()
                        || (self.what.is_idempotent() && error.code() == Code::UnknownOutcome)
                }
                Fate::NotSent(unsent) => {
                    waiting = unsent.map(|message| (codec, message));
                    error.is_retryable()
                }
                Fate::Lost(lost) => {
                    *may_be_done = true;
                    former = former.or(lost);
                    self.what.is_idempotent() || former.is_some()
                }
            };
            if !may_repeat {
                return Err(error);
            }
            if self.to.is_none()
                && former.is_none()
                && let Some(wait) = guide.refused(world::now(), node, &error)
                && world::now() + wait < deadline
            {
                last = Some(error);
                world::pause(wait).await;
                continue;
            }
            if former.is_none() {
                // To ask again for what one node has is bounded by the deadline.
                tries += 1;
                if tries >= TRIES {
                    return Err(error);
                }
            }
            if error.code() == Code::Busy {
                if !self.client.pool().budget().spend() {
                    return Err(error);
                }
                let elsewhere = [&tried[..], &[node]].concat();
                if self.pick(&elsewhere, &guide).is_none() {
                    let hint = error.retry_after().unwrap_or_default();
                    let wait = hint + world::jitter(pause.max(hint));
                    if world::now() + wait >= deadline {
                        return Err(error);
                    }
                    world::pause(wait).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            making.retried();
            if let Some(tell) = &self.on_retry {
                tell(node, &error);
            }
            tried.push(node);
            last = Some(error);
        }
    }
}
