//! Calls by name, with arguments and results as JSON.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

use serde::Serialize;

use super::{Call, What};
use crate::{
    client::Client,
    error::{Code, Error, Result},
    id::PublicKey,
    message::{Codec, Message},
    rpc::Progress,
};

impl Client {
    /// A call by name, with arguments and result as JSON. `arguments` serializes as an object with
    /// one member per argument; a [`crate::Blob`] anywhere in it is sent as one.
    pub fn call_json(
        &self,
        service: &str,
        method: &str,
        arguments: impl Serialize + Send + 'static,
    ) -> JsonCall {
        let what = What::Named {
            service: service.to_owned(),
            method: method.to_owned(),
        };
        let mut call = Call::new(self.clone(), what, Box::new(arguments));
        call.plan.codec = Some(Codec::JSON);
        JsonCall { call }
    }
}

/// A call by name, about to be made; `.await` makes it.
#[must_use = "a call does nothing until it is awaited"]
#[derive(Debug)]
pub struct JsonCall {
    call: Call<()>,
}

/// The result of a call by name.
#[derive(Debug)]
pub struct JsonReply {
    /// The result. A blob in it stands as `{"$blob": place, "len": bytes}`, a stream as
    /// `{"$stream": place}`, where `place` is an index into the attachments.
    pub value: serde_json::Value,
    /// The contents of blobs (chunks of bytes) and streams (one JSON value a message).
    pub attachments: Vec<crate::message::Attachment>,
    /// The node that served.
    pub node: PublicKey,
}

impl JsonCall {
    /// See [`Call::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self {
            call: self.call.timeout(timeout),
        }
    }

    /// See [`Call::on_progress`].
    pub fn on_progress(self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self {
            call: self.call.on_progress(tell),
        }
    }

    /// See [`Call::to`].
    pub fn to(self, node: PublicKey) -> Self {
        Self {
            call: self.call.to(node),
        }
    }
}

impl IntoFuture for JsonCall {
    type Output = Result<JsonReply>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<JsonReply>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Call {
            plan,
            mut arguments,
            ..
        } = self.call;
        Box::pin(async move {
            let (message, _, node) = plan.run(&mut *arguments).await?;
            let Message { body, attachments } = message;
            let value = serde_json::from_slice(&body).map_err(|error| {
                Error::new(Code::Incompatible, "the result is not JSON").with_source(error)
            })?;
            Ok(JsonReply {
                value,
                attachments,
                node,
            })
        })
    }
}
