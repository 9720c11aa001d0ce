//! The contract of transports, over TCP and TLS.

#![expect(
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
        tcp::Tcp,
    },
};

struct OverTcp;

#[async_trait]
impl Fixture for OverTcp {
    fn transport(&self, identity: Identity) -> Arc<dyn Transport> {
        Arc::new(Tcp::new(identity))
    }

    fn somewhere(&self) -> Address {
        Address::new("127.0.0.1:0")
    }

    fn nowhere(&self) -> Address {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        unused.local_addr().unwrap().into()
    }

    fn nonsense(&self) -> Address {
        Address::new("memory:1:2")
    }

    async fn stall(&self, to: &Endpoint) -> Stalled {
        Box::new(
            tokio::net::TcpStream::connect(to.address.as_str())
                .await
                .unwrap(),
        )
    }
}

contract::suite!(OverTcp);
