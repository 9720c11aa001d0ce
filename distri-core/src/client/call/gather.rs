//! Calls of every node that offers a method.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{Call, EncodeArguments, What};
use crate::{
    client::Client,
    error::{Code, Error, Result},
    id::PublicKey,
    message::{BoxFuture, Codec, Message},
    service::ServiceDescriptor,
};

/// How long nodes that are not linked may take to be.
const LINKING: Duration = Duration::from_secs(2);

/// A call of all nodes that offer a method; `.await` makes it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Gather<T> {
    client: Client,
    what: (&'static ServiceDescriptor, usize),
    arguments: Box<dyn EncodeArguments>,
    timeout: Option<Duration>,
    result: PhantomData<fn() -> T>,
}

impl Client {
    /// A call of the method at `index` of `service` on every node. Generated clients use it.
    pub fn gather<A, T>(
        &self,
        service: &'static ServiceDescriptor,
        index: usize,
        arguments: A,
    ) -> Gather<T>
    where
        A: Serialize + Send + 'static,
    {
        Gather {
            client: self.clone(),
            what: (service, index),
            arguments: Box::new(arguments),
            timeout: None,
            result: PhantomData,
        }
    }
}

impl<T> Gather<T> {
    /// Waits at most so long for each node.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for Gather<T> {
    /// What each node answered, sorted by key. Nodes that could not be called say why.
    type Output = Result<Vec<(PublicKey, Result<T>)>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let (service, index) = self.what;
            let method = &service.methods[index];
            let pool = self.client.pool();
            pool.link_all(self.timeout.unwrap_or(LINKING).min(LINKING))
                .await;
            let mut nodes: Vec<_> = pool
                .routes()
                .of(method.id)
                .iter()
                .map(|route| route.target.key())
                .collect();
            nodes.sort();
            let mut calls = Vec::new();
            for node in nodes {
                // One encoding a node: two nodes may hold different schemas.
                let arguments = Prepared {
                    compact: Some(self.arguments.encode(Codec::Compact)?),
                    named: Some(self.arguments.encode(Codec::MESSAGE_PACK)?),
                };
                let mut call = Call::<T>::new(
                    self.client.clone(),
                    What::Typed(service, method),
                    Box::new(arguments),
                )
                .to(node);
                call.plan.timeout = self.timeout;
                calls.push((node, call.into_future()));
            }
            Ok(join_all(calls).await)
        })
    }
}

impl<T> fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gather({})", self.what.0.name)
    }
}

/// Arguments encoded beforehand.
struct Prepared {
    compact: Option<Message>,
    named: Option<Message>,
}

impl EncodeArguments for Prepared {
    fn encode(&mut self, codec: Codec) -> Result<Message> {
        let prepared = match codec {
            Codec::Compact => self.compact.take(),
            Codec::Open(_) => self.named.take(),
        };
        prepared.ok_or_else(|| Error::new(Code::Unavailable, "the node cannot be reached"))
    }
}

/// Waits for all of a handful of futures.
async fn join_all<K, T>(calls: Vec<(K, BoxFuture<'static, T>)>) -> Vec<(K, T)> {
    let mut slots: Vec<(K, Option<T>, _)> = calls
        .into_iter()
        .map(|(key, future)| (key, None, future))
        .collect();
    std::future::poll_fn(|cx| {
        let mut all_done = true;
        for (_, done, future) in &mut slots {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => all_done = false,
                }
            }
        }
        if all_done {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    slots
        .into_iter()
        .filter_map(|(key, done, _)| done.map(|value| (key, value)))
        .collect()
}
