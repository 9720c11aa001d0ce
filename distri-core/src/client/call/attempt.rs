//! One try of a call, at one node.

use std::sync::Arc;

use tokio::time::Instant;

use super::Plan;
use crate::{
    client::{
        repeat::{Failure, Former},
        routes::{Route, Target},
    },
    directory::CallWrites,
    error::{Code, Error, Result},
    message::{Codec, Message},
    node::host::Arrived,
    rpc::CallOptions,
    service::context::Inherited,
    wire::frame::{Channels, OnceHead, RequestHead},
    world,
};

/// The arguments, as they are sent.
pub(super) struct Encoded {
    pub(super) codec: Codec,
    pub(super) message: Message,
}

impl Plan {
    /// One try, of which `former` was an earlier one, and `once` is the number.
    pub(super) async fn attempt(
        &self,
        route: &Route,
        Encoded { codec, message }: Encoded,
        deadline: Instant,
        (former, once): (Option<Former>, Option<OnceHead>),
    ) -> Result<Message, Failure> {
        let trace = self
            .client
            .scope
            .trace
            .unwrap_or_else(crate::rpc::Trace::start)
            .next_span();
        let timed_out = || {
            Error::new(
                Code::DeadlineExceeded,
                "the deadline passed before the call could be sent",
            )
        };
        match &route.target {
            Target::Local(host, _) => {
                let Some(host) = host.upgrade() else {
                    let gone = Error::new(Code::Unavailable, "the node is stopping");
                    return Err(Failure::not_sent(gone, Some(message)));
                };
                let on_progress = self.on_progress.clone();
                let inherited = Inherited {
                    deadline: Some(deadline),
                    trace,
                    fences: self.client.scope.fences.clone(),
                    writes: once.map(|once| Arc::new(CallWrites::of(route.target.key(), &once))),
                };
                let method = self.what.id();
                let arrived = Arrived {
                    now: world::now(),
                    codec,
                    message,
                };
                host.call_here(method, arrived, inherited, on_progress)
                    .await
                    .map_err(Failure::answered)
            }
            Target::Link(link) => {
                let mut message = message;
                let call_id = match former {
                    Some(former) => Some(former.call),
                    // What the arguments have beside them is sent once.
                    None => (!self.what.is_idempotent() && message.attachments.is_empty())
                        .then(|| self.client.pool().next_call()),
                };
                loop {
                    let now = world::now();
                    let left = deadline.saturating_duration_since(now);
                    if left.is_zero() {
                        return Err(Failure::not_sent(timed_out(), None));
                    }
                    let head = RequestHead {
                        method: self.what.id().0,
                        timeout_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1),
                        codec: codec.id(),
                        trace: Some(trace.to_wire()),
                        call_id: call_id.map(|call| call.0),
                        former: former.map(|former| former.link),
                        once,
                        channels: Channels::default(),
                        fences: self.client.scope.fences.clone(),
                    };
                    let options = CallOptions {
                        deadline: Some(deadline),
                        on_progress: self.on_progress.clone(),
                        may_move: self.what.is_idempotent() && self.to.is_none(),
                    };
                    match link.call(head, message, options) {
                        Ok(pending) => {
                            let reply = pending.await;
                            return reply.map_err(|error| Failure::of(error, link, call_id));
                        }
                        Err(failure) if failure.full => {
                            message = failure.message;
                            if tokio::time::timeout_at(deadline, link.room())
                                .await
                                .is_err()
                            {
                                return Err(Failure::not_sent(timed_out(), None));
                            }
                        }
                        Err(failure) => {
                            let unsent = Some(failure.message);
                            return Err(Failure::not_sent(failure.error, unsent));
                        }
                    }
                }
            }
        }
    }
}
