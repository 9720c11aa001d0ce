//! The contract of transports, over QUIC.
#![cfg(feature = "iroh")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "in a test a panic is the report, in its helpers too"
)]

use std::sync::Arc;

use async_trait::async_trait;
use distri_core::{
    identity::Identity,
    transport::{
        Address, Endpoint, Transport,
        contract::{self, Fixture, Stalled},
        iroh::{Iroh, IrohOptions},
    },
};

struct OverQuic;

fn on_loopback(identity: Identity) -> Iroh {
    let mut options = IrohOptions::default();
    options.bind = "127.0.0.1:0".parse().unwrap();
    Iroh::with_options(identity, options)
}

#[async_trait]
impl Fixture for OverQuic {
    fn transport(&self, identity: Identity) -> Arc<dyn Transport> {
        Arc::new(on_loopback(identity))
    }

    fn somewhere(&self) -> Address {
        Address::new("127.0.0.1:0")
    }

    fn nowhere(&self) -> Address {
        let unused = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        unused.local_addr().unwrap().into()
    }

    fn nonsense(&self) -> Address {
        Address::new("memory:1:2")
    }

    async fn stall(&self, to: &Endpoint) -> Stalled {
        let transport = on_loopback(Identity::generate());
        let half = transport.dial_half(to).await.unwrap();
        Box::new((half, transport))
    }
}

contract::suite!(OverQuic, flavor = "multi_thread");
