//! What is compared: each system's server, in a process of its own, and its client.

use bytes::Bytes;

use super::{
    bare::{self, Handler},
    over_distri::{self, Large},
    over_tarpc, over_tonic,
};

/// One link to a server. Clones share the link.
pub(crate) trait Connection: Clone + Send + Sync + 'static {
    /// Sends `payload`, and gives the length of what comes back.
    fn echo(&mut self, payload: Bytes) -> impl Future<Output = usize> + Send;

    /// The same, where large bytes have a way of their own.
    fn echo_large(&mut self, payload: Bytes) -> impl Future<Output = usize> + Send {
        self.echo(payload)
    }

    /// Reads a stream to its end, and gives the number of its bytes.
    fn stream(&mut self) -> impl Future<Output = usize> + Send;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum System {
    Distri,
    DistriInside,
    TonicTls,
    Tonic,
    Tarpc,
    BareTask,
    BareInPlace,
}

impl System {
    pub(crate) const ALL: [Self; 7] = [
        Self::Distri,
        Self::DistriInside,
        Self::TonicTls,
        Self::Tonic,
        Self::Tarpc,
        Self::BareTask,
        Self::BareInPlace,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Distri => "distri",
            Self::DistriInside => "distri-bytes",
            Self::TonicTls => "tonic-tls",
            Self::Tonic => "tonic",
            Self::Tarpc => "tarpc",
            Self::BareTask => "bare-task",
            Self::BareInPlace => "bare-in-place",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Distri => "distri, TLS (large bytes as Blob)",
            Self::DistriInside => "distri, TLS (large bytes as Bytes)",
            Self::TonicTls => "tonic 0.14.9, TLS",
            Self::Tonic => "tonic 0.14.9, plain",
            Self::Tarpc => "tarpc 0.38.0, plain",
            Self::BareTask => "bare frames, TLS, task per call",
            Self::BareInPlace => "bare frames, TLS, in place",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }

    /// Serves until the process ends, after telling where.
    pub(crate) async fn serve(self, tell: impl FnOnce(&str)) {
        match self {
            Self::Distri | Self::DistriInside => {
                let (target, serve) = over_distri::serve().await;
                tell(&target);
                serve.await;
            }
            Self::TonicTls | Self::Tonic => {
                let (target, serve) = over_tonic::serve(self == Self::TonicTls).await;
                tell(&target);
                serve.await;
            }
            Self::Tarpc => {
                let (target, serve) = over_tarpc::serve().await;
                tell(&target);
                serve.await;
            }
            Self::BareTask | Self::BareInPlace => {
                let handler = match self {
                    Self::BareTask => Handler::Task,
                    _ => Handler::InPlace,
                };
                let (target, serve) = bare::serve(handler).await;
                tell(&target);
                serve.await;
            }
        }
    }

    /// Does `work` with a new connection to the server at `target`.
    pub(crate) async fn with<W: Work>(self, target: &str, work: W) -> W::Output {
        match self {
            Self::Distri | Self::DistriInside => {
                let large = match self {
                    Self::Distri => Large::Beside,
                    _ => Large::Inside,
                };
                let transport = over_distri::transport();
                let connect = async || over_distri::connect(target, transport.clone(), large).await;
                work.run(connect).await
            }
            Self::TonicTls | Self::Tonic => {
                work.run(async || over_tonic::connect(target).await).await
            }
            Self::Tarpc => work.run(async || over_tarpc::connect(target).await).await,
            Self::BareTask | Self::BareInPlace => {
                work.run(async || bare::connect(target).await).await
            }
        }
    }
}

/// Something to do with connections of any system.
pub(crate) trait Work {
    type Output;

    async fn run<C: Connection>(self, connect: impl AsyncFn() -> C) -> Self::Output;
}
