//! distri over TLS with everything on: codec, deadline, cancellation, flow control, access check,
//! counts. Small bytes are an argument of type [`Bytes`], large ones a [`Blob`].

use std::sync::Arc;

use bytes::Bytes;
use distri::{
    Blob, Config, Node, Result, Stream,
    id::PublicKey,
    identity::Identity,
    transport::{Address, Endpoint, Transport, tcp::Tcp},
};

use super::{ITEM, ITEMS, system::Connection};

#[derive(Default)]
pub(crate) struct Echo;

/// Gives back what it gets.
#[distri::service(register = false)]
impl Echo {
    pub(crate) async fn echo(&self, payload: Bytes) -> Result<Bytes> {
        Ok(payload)
    }

    async fn echo_blob(&self, payload: Blob) -> Result<Blob> {
        Ok(payload.bytes(64 << 20).await?.into())
    }

    async fn stream(&self) -> Result<Stream<Bytes>> {
        let item = Bytes::from(vec![7; ITEM]);
        Ok(Stream::from_items((0..ITEMS).map(move |_| item.clone())))
    }

    async fn stream_blob(&self) -> Result<Blob> {
        let len = (ITEM * ITEMS) as u64;
        let item = Bytes::from(vec![7; ITEM]);
        let chunks = futures::stream::iter((0..ITEMS).map(move |_| Ok(item.clone())));
        Ok(Blob::from_chunks(Some(len), chunks))
    }
}

pub(crate) async fn start() -> Node {
    let mut config = Config::default();
    config.node.listen = Address::new("127.0.0.1:0");
    Node::builder()
        .config(config)
        .identity(Identity::generate())
        .without_registry()
        .service(Echo)
        .start()
        .await
        .expect("a node starts")
}

pub(crate) async fn serve() -> (String, impl Future<Output = ()>) {
    let node = start().await;
    let target = format!("{} {}", node.address().as_str(), node.key());
    (target, async move {
        std::future::pending::<()>().await;
        drop(node);
    })
}

/// What a program makes once, however many clouds it links to.
pub(crate) fn transport() -> Arc<dyn Transport> {
    Arc::new(Tcp::new(Identity::generate()))
}

pub(crate) fn endpoint(target: &str) -> Endpoint {
    let (address, key) = target.split_once(' ').expect("two words");
    Endpoint {
        key: key.parse::<PublicKey>().expect("a key"),
        address: Address::new(address),
    }
}

pub(crate) async fn link(target: &str, transport: Arc<dyn Transport>) -> distri::Client {
    distri::Client::builder()
        .transport(transport)
        .nodes([endpoint(target)])
        .connect()
        .await
        .expect("the node answers")
}

/// How large bytes travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Large {
    /// In the message, as [`Bytes`].
    Inside,
    /// Beside the message, as a [`Blob`].
    Beside,
}

#[derive(Clone)]
pub(crate) struct Client {
    client: EchoClient,
    large: Large,
}

pub(crate) async fn connect(target: &str, transport: Arc<dyn Transport>, large: Large) -> Client {
    let client = EchoClient::new(link(target, transport).await);
    Client { client, large }
}

impl Connection for Client {
    async fn echo(&mut self, payload: Bytes) -> usize {
        self.client.echo(payload).await.expect("a reply").len()
    }

    async fn echo_large(&mut self, payload: Bytes) -> usize {
        match self.large {
            Large::Inside => self.echo(payload).await,
            Large::Beside => {
                let blob = self.client.echo_blob(payload.into()).await;
                let bytes = blob.expect("a reply").bytes(64 << 20).await;
                bytes.expect("all bytes").len()
            }
        }
    }

    async fn stream(&mut self) -> usize {
        let mut bytes = 0;
        match self.large {
            Large::Inside => {
                let mut items = self.client.stream().await.expect("a stream");
                while let Some(item) = items.next().await {
                    bytes += item.expect("an item").len();
                }
            }
            Large::Beside => {
                let mut blob = self.client.stream_blob().await.expect("a blob");
                while let Some(chunk) = blob.next_chunk().await.expect("a chunk") {
                    bytes += chunk.len();
                }
            }
        }
        bytes
    }
}
