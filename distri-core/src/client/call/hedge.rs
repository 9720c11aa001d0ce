//! A second node is asked when the first does not answer in time: the first answer counts.
//!
//! For the few calls that meet a node which hangs or is overloaded, at the price of asking twice. So
//! that this never makes a busy cloud busier, only calls without harm in repeating are hedged, a part
//! of all, and only to nodes that are no busier than the first.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::{EncodeArguments, Hedging, Plan, What, attempt::Encoded};
use crate::{
    client::{
        repeat::{Failure, Fate},
        routes::Route,
    },
    error::{Code, Error, Result},
    id::PublicKey,
    message::{Codec, Message},
    placement,
    service::Placement,
    stats::calls::Making,
    world,
};

/// How a try ended, at which node, and in which codec it was.
type Tried = (Result<Message, Failure>, PublicKey, Codec);

impl Plan {
    /// Refuses to hedge what must not be asked for twice.
    pub(super) fn check_hedge(&self) -> Result<()> {
        let is_idempotent = match &self.what {
            What::Typed(_, method) => method.idempotent,
            What::Named { .. } => false,
        };
        if self.wanted_after().is_none() || is_idempotent {
            return Ok(());
        }
        let (service, method) = (self.what.service(), self.what.method());
        let message = format!("`{service}.{method}` is not `idempotent`: leave out `hedge`");
        Err(Error::new(Code::InvalidArgument, message))
    }

    /// After how long the caller, or else the method, wants another node asked as well.
    fn wanted_after(&self) -> Option<Duration> {
        match self.hedge {
            Hedging::OfMethod => self.what.hedge(),
            Hedging::After(after) => Some(after),
            Hedging::Never => None,
        }
    }

    /// After how long another node is asked as well, if the call may go to any and nothing streams.
    pub(super) fn hedge_after(&self, encoded: &Encoded) -> Option<Duration> {
        let after = self.wanted_after()?;
        let What::Typed(_, method) = &self.what else {
            return None;
        };
        let anywhere =
            self.to.is_none() && self.key.is_none() && method.placement == Placement::Any;
        (anywhere && encoded.message.attachments.is_empty()).then_some(after)
    }

    /// One try at the node of `route`, and should that take long, one at another too. Where both fail,
    /// what is told is the one that may have had an effect, or else the last.
    pub(super) async fn hedged(
        &self,
        route: &Route,
        encoded: Encoded,
        arguments: &mut dyn EncodeArguments,
        (deadline, after): (Instant, Duration),
        making: &Making,
    ) -> Tried {
        let (node, codec) = (route.target.key(), encoded.codec);
        let budget = self.client.pool().hedges();
        budget.earn();
        let mut first = Box::pin(self.attempt(route, encoded, deadline, (None, None)));
        if let Ok(made) = timeout(after, &mut first).await {
            return (made, node, codec);
        }
        let Some((other, encoded)) = self.second(route, arguments) else {
            return (first.await, node, codec);
        };
        if !budget.spend() {
            return (first.await, node, codec);
        }
        making.hedged();
        let (other_node, other_codec) = (other.target.key(), encoded.codec);
        let mut second = Box::pin(self.attempt(&other, encoded, deadline, (None, None)));
        let (made, is_first) = tokio::select! {
            biased;
            made = &mut first => (made, true),
            made = &mut second => (made, false),
        };
        let here = |made| (made, node, codec);
        let there = |made| (made, other_node, other_codec);
        match (made, is_first) {
            // What is dropped is cancelled.
            (Ok(reply), true) => here(Ok(reply)),
            (Ok(reply), false) => there(Ok(reply)),
            (Err(failure), true) => match second.await {
                Err(_) if may_be_done(&failure) => here(Err(failure)),
                made => there(made),
            },
            (Err(failure), false) => match first.await {
                Err(_) if may_be_done(&failure) => there(Err(failure)),
                made => here(made),
            },
        }
    }

    /// Where the call is asked for as well, and with which arguments.
    fn second(
        &self,
        first: &Route,
        arguments: &mut dyn EncodeArguments,
    ) -> Option<(Route, Encoded)> {
        let What::Typed(_, method) = &self.what else {
            return None;
        };
        if streams_back(&method.result) {
            return None;
        }
        let other = self.other_than(first)?;
        let codec = self.codec_for(&other);
        let message = arguments.encode(codec).ok()?;
        Some((other, Encoded { codec, message }))
    }

    /// Another node than that of `first`, ready and no busier.
    fn other_than(&self, first: &Route) -> Option<Route> {
        let routes = self.client.pool().routes();
        let most = first.target.load();
        let fits = |route: &Route| {
            let target = &route.target;
            target.key() != first.target.key()
                && target.is_ready()
                && !route.doubtful
                && !target.is_silent()
                && target.load() <= most
        };
        let load = |route: &Route| route.target.load();
        placement::better_of_two(routes.of(self.what.id()), world::dice(), fits, load).cloned()
    }
}

/// True if a result of this schema has a blob or a stream: half of it may be on its way when the other
/// answers.
fn streams_back(schema: &Value) -> bool {
    match schema {
        Value::Object(here) => here.contains_key("x-distri") || here.values().any(streams_back),
        Value::Array(here) => here.iter().any(streams_back),
        _ => false,
    }
}

fn may_be_done(failure: &Failure) -> bool {
    matches!(failure.fate, Fate::Lost(_)) || failure.error.code() == Code::UnknownOutcome
}
