//! Addresses of endpoints as texts: `KEY/IP:PORT,IP:PORT,https://RELAY`. Pure.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::{RelayUrl, TransportAddr, invalid};
use crate::{
    id::PublicKey,
    transport::{Address, TransportError},
};

/// What an address looks like.
pub(super) const EXPECTED: &str =
    "KEY/IP:PORT,…, such as KEY/192.0.2.7:4600,https://relay.example.org:4601";

/// More would make a presence record too large, and dials too many.
const PLACES_MAX: usize = 8;

/// Who, if that is said, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) key: Option<PublicKey>,
    pub(super) places: BTreeSet<TransportAddr>,
}

impl Ticket {
    /// Who is where. Of many places those are taken that are most likely to be reached from elsewhere.
    pub(super) fn new(key: PublicKey, places: impl IntoIterator<Item = TransportAddr>) -> Self {
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by_key(|place| (rank(place), place.clone()));
        places.truncate(PLACES_MAX);
        Self {
            key: Some(key),
            places: places.into_iter().collect(),
        }
    }

    pub(super) fn parse(address: &Address) -> Result<Self, TransportError> {
        let text = address.as_str();
        let wrong = || invalid(address);
        let (key, places) = match text.split_once('/') {
            // A relay's URL has slashes of its own.
            Some((key, places)) if !key.contains(':') => {
                (Some(key.parse().map_err(|_| wrong())?), places)
            }
            _ => (None, text),
        };
        if key.is_none() && places.is_empty() {
            return Err(wrong());
        }
        let places = places
            .split(',')
            .filter(|place| !place.is_empty())
            .map(|place| place_of(place).ok_or_else(wrong))
            .collect::<Result<BTreeSet<_>, _>>()?;
        if places.len() > PLACES_MAX {
            return Err(wrong());
        }
        Ok(Self { key, places })
    }

    pub(super) fn to_address(&self) -> Address {
        let key = self.key.map_or_else(String::new, |key| format!("{key}/"));
        let places: Vec<_> = self.places.iter().map(text_of).collect();
        Address::new(key + &places.join(","))
    }

    /// Each place by itself, the likeliest to be reached first and relays last.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        let mut places: Vec<_> = self.places.iter().cloned().collect();
        places.sort_by_key(|place| (place.is_relay(), rank(place)));
        let key = self.key;
        places.into_iter().map(move |place| Self {
            key,
            places: BTreeSet::from([place]),
        })
    }

    /// The socket that it names first.
    pub(super) fn first_ip(&self) -> Option<SocketAddr> {
        self.places.iter().find_map(|place| match place {
            TransportAddr::Ip(socket) => Some(*socket),
            _ => None,
        })
    }
}

fn place_of(text: &str) -> Option<TransportAddr> {
    if text.starts_with("https://") || text.starts_with("http://") {
        return text.parse::<RelayUrl>().ok().map(TransportAddr::Relay);
    }
    text.parse().ok().map(TransportAddr::Ip)
}

fn text_of(place: &TransportAddr) -> String {
    match place {
        TransportAddr::Ip(socket) => socket.to_string(),
        TransportAddr::Relay(url) => url.to_string(),
        // Of kinds that this program never makes.
        _ => String::new(),
    }
}

/// The lower, the more likely a place is to be reached from elsewhere.
fn rank(place: &TransportAddr) -> u8 {
    let TransportAddr::Ip(socket) = place else {
        return 0;
    };
    match socket.ip() {
        ip if ip.is_loopback() => 4,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => 3,
        IpAddr::V4(ip) if ip.is_link_local() => 3,
        IpAddr::V4(_) => 1,
        IpAddr::V6(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> PublicKey {
        PublicKey::from_bytes([7; 32])
    }

    fn parse(text: &str) -> Result<Ticket, TransportError> {
        Ticket::parse(&Address::new(text))
    }

    #[test]
    fn an_address_says_who_and_where() {
        let text = format!(
            "{}/192.0.2.7:4600,[::1]:4600,https://relay.example.org:4601/",
            key()
        );

        let ticket = parse(&text).unwrap();

        assert_eq!(ticket.key, Some(key()));
        assert_eq!(ticket.places.len(), 3);
        assert_eq!(Ticket::parse(&ticket.to_address()).unwrap(), ticket);
        assert_eq!(parse("127.0.0.1:1").unwrap().key, None);
        assert_eq!(parse("https://relay.example.org/").unwrap().places.len(), 1);
        assert!(parse(&format!("{}/", key())).unwrap().places.is_empty());
    }

    #[test]
    fn what_is_none_is_refused() {
        let many = ["127.0.0.1:1"; 3].join(",")
            + &(0..9)
                .map(|n| format!(",127.0.0.1:{n}"))
                .collect::<String>();
        for text in [
            "",
            "memory:1:2",
            "abc/127.0.0.1:1",
            "example.org:1",
            "/",
            many.as_str(),
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn of_many_places_the_likeliest_are_told() {
        let place = |text: String| place_of(&text).unwrap();
        let loopback = (1..=8).map(|n| place(format!("127.0.0.1:{n}")));
        let far = [
            place("192.0.2.7:1".into()),
            place("https://r.example.org/".into()),
        ];

        let ticket = Ticket::new(key(), loopback.chain(far.clone()));

        assert_eq!(ticket.places.len(), PLACES_MAX);
        assert!(far.iter().all(|place| ticket.places.contains(place)));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = parse(&text);
        }
    }
}
