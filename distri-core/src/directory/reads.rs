//! Reads that see every write acknowledged before they began.
//!
//! The leader, once a majority has confirmed that it still leads, says how far the log has come; a
//! node that has applied it so far may answer (the read index; Ongaro 2014, section 6.4). Readers
//! that come while one question is under way share the next.

use std::{
    future::IntoFuture,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use super::protocol::{Nothing, READ_INDEX, descriptor};
use crate::{
    client::Client,
    consensus::{Group, Unfinished},
    error::{Code, Error, Result},
    world,
};

/// How long a read waits for a leader, and for this node to come as far as it.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long one question to the leader may take.
const TO_LEADER: Duration = Duration::from_secs(2);

/// How long a node that is stopping waits for the leader; several times what an answer takes.
const LAST_ANSWER: Duration = Duration::from_millis(100);

/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// Those who wait to read.
#[derive(Default)]
pub(crate) struct Reads {
    waiting: Mutex<Vec<oneshot::Sender<Result<()>>>>,
    arrived: Notify,
}

impl Reads {
    /// Waits until this node has all that was acknowledged before.
    pub(crate) async fn linearize(&self) -> Result<()> {
        let (reply, ready) = oneshot::channel();
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reply);
        self.arrived.notify_one();
        ready
            .await
            .unwrap_or_else(|_| Err(Error::new(Code::Unavailable, "the node is stopping")))
    }

    /// Asks on behalf of those who wait. Runs until dropped.
    pub(crate) async fn run(&self, group: Group, client: Client) {
        loop {
            self.arrived.notified().await;
            let waiting =
                std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if waiting.is_empty() {
                continue;
            }
            let ready = tokio::select! {
                biased;
                ready = round(&group, &client) => ready,
                () = stopping(&group) => {
                    Err(Error::new(Code::Unavailable, "this node is stopping"))
                }
            };
            for reply in waiting {
                let ready = match &ready {
                    Ok(()) => Ok(()),
                    Err(error) => Err(Error::new(error.code(), error.message())),
                };
                // Whoever does not wait any more has given up.
                let _ = reply.send(ready);
            }
        }
    }
}

/// Ends when this node is stopping and a question to the leader would have been answered: whoever
/// reads can ask another.
async fn stopping(group: &Group) {
    group.leaving().await;
    world::pause(LAST_ANSWER).await;
}

async fn round(group: &Group, client: &Client) -> Result<()> {
    let until = world::now() + PATIENCE;
    let mut last = None;
    while world::now() < until {
        let wait = tokio::time::timeout_at(until, group.wait_for(Group::leader));
        let Ok(Some(leader)) = wait.await else { break };
        let index = if leader == group.number() {
            index_here(group).await
        } else if let Some(member) = group.member(leader) {
            let asked = client
                .call::<_, u64>(descriptor(), READ_INDEX, Nothing {})
                .to(member.key)
                .timeout(TO_LEADER);
            // A leader that is gone is not waited for once there is another.
            tokio::select! {
                biased;
                index = asked.into_future() => index,
                _ = group.leader_other_than(leader) => continue,
            }
        } else {
            Err(Error::new(Code::Unavailable, "the leader is not known yet"))
        };
        match index {
            Ok(index) => {
                let applied = tokio::time::timeout_at(until, group.applied_to(index));
                return match applied.await {
                    Ok(applied) => applied.map_err(|error| as_error(&error)),
                    Err(_) => Err(Error::new(
                        Code::Unavailable,
                        format!("this node has not come as far as the leader in {PATIENCE:?}"),
                    )),
                };
            }
            Err(error) => last = Some(error),
        }
        world::pause(PAUSE).await;
    }
    Err(last.unwrap_or_else(|| {
        Error::new(
            Code::Unavailable,
            format!("the cluster has had no leader for {PATIENCE:?}"),
        )
    }))
}

/// How far the log has come, at the leader.
pub(crate) async fn index_here(group: &Group) -> Result<u64> {
    group.read_index().await.map_err(|error| as_error(&error))
}

fn as_error(error: &Unfinished) -> Error {
    Error::new(Code::Unavailable, error.to_string())
}
