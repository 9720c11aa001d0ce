//! Accepts connections: each proves its key and opens its stream in a task of its own.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: the handshakes, and time limits on them"
)]

use std::{io, sync::Arc};

use iroh::endpoint::{Incoming, IncomingAddr};
use tokio::{io::AsyncReadExt, sync::mpsc, task::JoinSet, time::timeout};

use super::{
    HELLO, IrohOptions,
    port::Port,
    stream::{Ending, QuicStream},
};
use crate::{
    id::PublicKey,
    transport::{Address, ByteLink},
    world,
};

/// Accepts until dropped.
pub(super) async fn run(
    port: Arc<Port>,
    ending: Arc<Ending>,
    options: IrohOptions,
    ready: mpsc::Sender<ByteLink>,
) {
    let mut handshakes = JoinSet::new();
    while let Some(incoming) = port.endpoint().accept().await {
        while handshakes.try_join_next().is_some() {}
        if handshakes.len() >= options.handshakes {
            // QUIC costs a caller as much as it costs us: the next try may find room.
            incoming.refuse();
            continue;
        }
        let (port, ready, options) = (port.clone(), ready.clone(), options.clone());
        let ending = ending.clone();
        let handshake = async move {
            let from = address_of(&incoming.remote_addr());
            let taken = timeout(options.handshake_time, async {
                let link = link(port, ending, incoming, from.clone()).await?;
                // Nobody takes it when the listener is gone.
                let _ = ready.send(link).await;
                Ok::<_, io::Error>(())
            });
            match taken.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%from, %error, "a caller failed its handshake"),
                Err(_) => tracing::debug!(%from, "a caller did not finish its handshake in time"),
            }
        };
        world::spawn_in(&mut handshakes, handshake);
    }
}

async fn link(
    port: Arc<Port>,
    ending: Arc<Ending>,
    incoming: Incoming,
    address: Address,
) -> io::Result<ByteLink> {
    let connection = incoming.accept()?.await.map_err(io::Error::other)?;
    let (send, mut recv) = connection.accept_bi().await?;
    let hello = recv.read_u8().await?;
    if hello != HELLO {
        return Err(io::Error::other("the stream of a link begins otherwise"));
    }
    let peer = PublicKey::from_bytes(*connection.remote_id().as_bytes());
    Ok(ByteLink {
        peer,
        address,
        bytes: Box::new(QuicStream::new(port, ending, connection, (send, recv))),
    })
}

fn address_of(from: &IncomingAddr) -> Address {
    match from {
        IncomingAddr::Ip(socket) => (*socket).into(),
        IncomingAddr::Relay { url, .. } => Address::new(url.to_string()),
        // Of kinds that this program does not know.
        other => Address::new(format!("{other:?}")),
    }
}
