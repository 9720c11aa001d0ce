//! How a try of a call can end, and where it is tried again.
//!
//! A call that certainly had no effect goes to any node. One whose link broke before its reply came
//! may have had its effect: an idempotent one goes to any node all the same, another is repeated to the
//! node that has it, as long as that lives, and gets there the reply of the one time that it ran.

use tokio::time::Instant;

use super::{
    call::Plan,
    pool::Pool,
    routes::{Route, Target},
};
use crate::{
    error::{Code, Error, Result},
    id::PublicKey,
    message::Message,
    rpc::{CallId, Link},
    world,
};

/// How long a call whose link broke waits for the node to be linked again before it says that its
/// outcome is unknown. Longer rides out longer interruptions; a node that is gone for good is not told
/// from one that is cut off, so calls that it had end that much later.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// A try that failed.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) fate: Fate,
}

/// What is known of a try that failed.
pub(super) enum Fate {
    /// The node answered so.
    Answered,
    /// It never left; the message comes back if it was not taken.
    NotSent(Option<Message>),
    /// It left, and no reply came. What it takes to ask again, if the call has an id.
    Lost(Option<Former>),
}

/// A call that was begun on a link which broke.
#[derive(Clone, Copy, Debug)]
pub(super) struct Former {
    pub(super) call: CallId,
    node: PublicKey,
    life: u64,
    /// The node's number of the link.
    pub(super) link: u64,
}

impl Failure {
    pub(super) fn answered(error: Error) -> Self {
        Self {
            error,
            fate: Fate::Answered,
        }
    }

    pub(super) fn not_sent(error: Error, message: Option<Message>) -> Self {
        Self {
            error,
            fate: Fate::NotSent(message),
        }
    }

    /// The call on `link` ended with `error`.
    pub(super) fn of(error: Error, link: &Link, call: Option<CallId>) -> Self {
        let broke = link.closed_now().is_some();
        let fate = match error.code() {
            Code::UnknownOutcome if broke => {
                let former = call.zip(link.hello_now()).map(|(call, hello)| Former {
                    call,
                    node: link.peer(),
                    life: hello.life,
                    link: hello.link,
                });
                Fate::Lost(former)
            }
            Code::Unavailable if broke => Fate::NotSent(None),
            _ => Fate::Answered,
        };
        Self { error, fate }
    }
}

impl Plan {
    /// The node that has the call, linked again.
    ///
    /// # Errors
    /// [`Code::UnknownOutcome`] if its life is over, or it is not linked in time.
    pub(super) async fn rejoin(&self, former: &Former, deadline: Instant) -> Result<Route> {
        let until = deadline.min(world::now() + PATIENCE);
        let unknown = |why: &str| {
            let message = format!("the link broke before the reply came, and the node {why}");
            Error::new(Code::UnknownOutcome, message).at_node(former.node)
        };
        let pool = self.client.pool();
        pool.want([former.node]);
        pool.hurry();
        let found = pool.wait_for(until, |pool| self.again(pool, former));
        match found.await {
            Some(Some(route)) => Ok(route),
            Some(None) => Err(unknown("has been started anew since")),
            None => Err(unknown("could not be linked again in time")),
        }
    }

    /// The route to the node of `former` as it is now; an inner `None` if its life is over.
    fn again(&self, pool: &Pool, former: &Former) -> Option<Option<Route>> {
        let routes = pool.routes();
        let mut routes = routes.of(self.what.id()).iter();
        let route = routes.find(|route| route.target.key() == former.node)?;
        let Target::Link(link) = &route.target else {
            return None;
        };
        if link.closed_now().is_some() {
            return None;
        }
        let is_same_life = link.hello_now()?.life == former.life;
        Some(is_same_life.then(|| route.clone()))
    }
}
