//! tarpc over plain TCP, with bincode, which is its fastest codec. It has no TLS and no streams.

use bytes::Bytes;
use futures::StreamExt;
use tarpc::{
    client, context, serde_transport,
    server::{self, Channel},
    tokio_serde::formats::Bincode,
};
use tokio::net::{TcpListener, TcpStream};

use super::system::Connection;

#[tarpc::service]
pub(crate) trait Echo {
    async fn echo(payload: Bytes) -> Bytes;
}

#[derive(Clone)]
struct Server;

impl Echo for Server {
    async fn echo(self, _: context::Context, payload: Bytes) -> Bytes {
        payload
    }
}

pub(crate) async fn serve() -> (String, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("bound").to_string();
    let accept = async move {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).expect("a socket");
            let transport = serde_transport::Transport::from((socket, Bincode::default()));
            tokio::spawn(
                server::BaseChannel::with_defaults(transport)
                    .execute(Server.serve())
                    .for_each(async |call| {
                        tokio::spawn(call);
                    }),
            );
        }
    };
    (target, accept)
}

#[derive(Clone)]
pub(crate) struct Client(EchoClient);

pub(crate) async fn connect(target: &str) -> Client {
    let socket = TcpStream::connect(target).await.expect("a server");
    socket.set_nodelay(true).expect("a socket");
    let transport = serde_transport::Transport::from((socket, Bincode::default()));
    let mut config = client::Config::default();
    // The default, 1,000, would hold back some of 1,024 calls.
    config.max_in_flight_requests = 4096;
    config.pending_request_buffer = 4096;
    Client(EchoClient::new(config, transport).spawn())
}

impl Connection for Client {
    async fn echo(&mut self, payload: Bytes) -> usize {
        let reply = self.0.echo(context::current(), payload).await;
        reply.expect("a reply").len()
    }

    async fn stream(&mut self) -> usize {
        unreachable!("tarpc has no streams")
    }
}
