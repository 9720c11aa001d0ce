//! From a `host:port` to a TCP connection, or to a listening socket.
//!
//! A name may stand for several addresses of which some lead nowhere (IPv6 without a route is the
//! usual case), so dialing does not wait for one to fail before it tries the next, as RFC 8305 has
//! it. The caller bounds the time.

#![expect(clippy::disallowed_methods, reason = "a driver: sockets and timers")]

use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, lookup_host},
    task::JoinSet,
    time::sleep,
};

use crate::transport::{Address, TransportError};

/// How long an address may take before the next is tried beside it. RFC 8305 §5 recommends it: less
/// dials twice on ordinary long routes, more makes people wait for a dead one.
const HEAD_START: Duration = Duration::from_millis(250);

/// How many addresses of one name are tried. More would let a name server make us dial half the
/// internet.
const CANDIDATES_MAX: usize = 8;

/// Connects to the first address behind `to` that answers, and says which.
pub(super) async fn connect(to: &Address) -> Result<(TcpStream, Address), TransportError> {
    let unreachable = |source: io::Error| TransportError::Unreachable {
        address: to.clone(),
        source: Arc::new(source),
    };
    let candidates = resolve(to).await?.map_err(unreachable)?;
    let (stream, addr) = first_to_answer(candidates).await.map_err(unreachable)?;
    // What is written is complete messages: nothing is gained by waiting for more.
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok((stream, addr.into()))
}

/// Listens at the first address behind `at` that can be listened on.
pub(super) async fn bind(at: &Address) -> Result<TcpListener, TransportError> {
    let failed = |source: io::Error| TransportError::Bind {
        address: at.clone(),
        source: Arc::new(source),
    };
    let candidates = resolve(at).await?.map_err(failed)?;
    // Tokio sets SO_REUSEADDR where it only means that a restarted node gets its port back.
    TcpListener::bind(&*Vec::from(candidates))
        .await
        .map_err(failed)
}

/// The addresses behind `host:port`. The outer error says that the text is no address.
async fn resolve(address: &Address) -> Result<io::Result<VecDeque<SocketAddr>>, TransportError> {
    let text = address.as_str();
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok(Ok([addr].into()));
    }
    let port = text
        .rsplit_once(':')
        .map(|(host, port)| (host, port.parse::<u16>()));
    let (Some((host, Ok(port))), true) = (port, text.len() <= 262) else {
        return Err(invalid(address));
    };
    // What is left with a colon in it is an IPv6 address without brackets, or nonsense.
    if host.is_empty() || host.contains([':', '[', ']', '/', '@']) {
        return Err(invalid(address));
    }
    Ok(lookup_host((host, port))
        .await
        .map(|found| found.take(CANDIDATES_MAX).collect()))
}

fn invalid(address: &Address) -> TransportError {
    TransportError::InvalidAddress {
        address: address.clone(),
        expected: "HOST:PORT, as in node1.example.org:4242, 192.0.2.1:4242 or [2001:db8::1]:4242",
    }
}

async fn first_to_answer(mut waiting: VecDeque<SocketAddr>) -> io::Result<(TcpStream, SocketAddr)> {
    let Some(first) = waiting.pop_front() else {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    };
    if waiting.is_empty() {
        return Ok((TcpStream::connect(first).await?, first));
    }
    let mut attempts = JoinSet::new();
    attempts.spawn(attempt(first));
    loop {
        let head_start = async {
            match waiting.is_empty() {
                true => std::future::pending().await,
                false => sleep(HEAD_START).await,
            }
        };
        let failure = tokio::select! {
            biased;
            Some(ended) = attempts.join_next() => match ended? {
                Ok(connected) => return Ok(connected),
                Err(error) => Some(error),
            },
            () = head_start => None,
        };
        match (waiting.pop_front(), failure) {
            (Some(next), _) => drop(attempts.spawn(attempt(next))),
            (None, Some(error)) if attempts.is_empty() => return Err(error),
            (None, _) => {}
        }
    }
}

async fn attempt(addr: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
    Ok((TcpStream::connect(addr).await?, addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_text_without_host_or_port_is_no_address() {
        for text in [
            "",
            "host",
            ":80",
            "host:",
            "host:http",
            "host:70000",
            "::1:80",
            "a/b:80",
        ] {
            let error = connect(&Address::new(text)).await.unwrap_err();

            assert!(
                matches!(error, TransportError::InvalidAddress { .. }),
                "{text}: {error}"
            );
            assert!(error.to_string().contains("expected HOST:PORT"), "{error}");
        }
        let endless = format!("{}:80", "a".repeat(100_000));
        assert!(resolve(&Address::new(endless)).await.is_err());
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_is_closed() {
        let open = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .into_std()
            .unwrap();
        let open_addr = open.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();

        let (_, addr) = first_to_answer([closed, closed, open_addr].into())
            .await
            .unwrap();

        assert_eq!(addr, open_addr);
    }

    #[tokio::test]
    async fn the_last_failure_is_reported_when_no_address_answers() {
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();

        let error = first_to_answer([closed, closed].into()).await.unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(first_to_answer(VecDeque::new()).await.is_err());
    }
}
