//! What a peer says of itself: name, addresses, and which of its lives this is.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::limits;
use crate::{
    error::{Error, Result},
    signed::Signable,
    transport::Address,
    world,
};

/// What a peer says of itself. It stands signed in the directory, under the peer's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// A label for people; nothing is decided by it.
    pub name: String,
    /// Where it can be dialled, over several transports perhaps.
    pub addresses: Vec<PeerAddress>,
    /// Drawn at its start: a peer that was started anew is known by it, also at the same address.
    #[schemars(with = "String")]
    pub boot: Boot,
}

impl Signable for Presence {
    const TAG: &'static str = "distri/peer/presence/v1";
}

impl Presence {
    /// Says whether it keeps within [`limits`].
    ///
    /// # Errors
    /// [`crate::Code::InvalidArgument`], naming the part that does not.
    pub fn check(&self) -> Result<()> {
        let bounded = |what: &str, size: usize, bound: usize| {
            (size <= bound).then_some(()).ok_or_else(|| {
                Error::invalid_argument(format!("{what} has size {size}, expected at most {bound}"))
            })
        };
        bounded("the name of a peer", self.name.len(), limits::NAME)?;
        bounded(
            "its list of addresses",
            self.addresses.len(),
            limits::ADDRESSES,
        )?;
        for address in &self.addresses {
            let size = address.transport.len() + address.address.as_str().len();
            bounded("an address", size, limits::ADDRESS)?;
        }
        if self.name.chars().any(char::is_control) {
            return Err(Error::invalid_argument(
                "the name of a peer has a control character, expected letters, digits and signs",
            ));
        }
        Ok(())
    }
}

/// An address of one transport.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct PeerAddress {
    /// Which transport: `tcp`, `iroh` …; see [`crate::transport::Transport::kind`].
    pub transport: String,
    /// Where, in that transport's own form.
    #[schemars(with = "String")]
    pub address: Address,
}

impl PeerAddress {
    /// An address of the transport of that kind.
    pub fn new(transport: impl Into<String>, address: Address) -> Self {
        Self {
            transport: transport.into(),
            address,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport, self.address)
    }
}

/// One life of a peer, from its start to its end. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(u64);

impl Boot {
    /// One that no other life has, with overwhelming probability.
    pub fn new() -> Self {
        Self(world::dice())
    }
}

impl Default for Boot {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that is not a [`Boot`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 16 digits 0-9 and a-f")]
pub struct InvalidBoot;

impl FromStr for Boot {
    type Err = InvalidBoot;

    fn from_str(text: &str) -> Result<Self, InvalidBoot> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return Err(InvalidBoot);
        }
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| InvalidBoot)
    }
}

impl Serialize for Boot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON has no place for 64 bits that everybody reads alike.
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Boot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence() -> Presence {
        Presence {
            name: "alice".into(),
            addresses: vec![PeerAddress::new("tcp", Address::new("127.0.0.1:1"))],
            boot: Boot(0xab),
        }
    }

    #[test]
    fn a_presence_reads_as_people_would_write_it() {
        let json = serde_json::to_value(presence()).unwrap();

        assert_eq!(
            json,
            serde_json::json!({
                "name": "alice",
                "addresses": [{ "transport": "tcp", "address": "127.0.0.1:1" }],
                "boot": "00000000000000ab",
            })
        );
        assert_eq!(
            serde_json::from_value::<Presence>(json).unwrap(),
            presence()
        );
    }

    #[test]
    fn what_is_too_long_is_refused_by_name() {
        assert!(presence().check().is_ok());
        let address = PeerAddress::new("tcp", Address::new("x".repeat(limits::ADDRESS)));
        let mut found = [presence(), presence(), presence(), presence()];
        found[0].name = "x".repeat(limits::NAME + 1);
        found[1].addresses = vec![found[1].addresses[0].clone(); limits::ADDRESSES + 1];
        found[2].addresses = vec![address];
        found[3].name = "a\u{1b}[31m".into();

        let whys = ["name", "list of addresses", "an address", "control"];
        for (presence, why) in found.iter().zip(whys) {
            let error = presence.check().unwrap_err();
            assert!(error.message().contains(why), "{error}");
        }
    }

    #[test]
    fn a_boot_has_one_spelling() {
        assert_eq!(Boot(1).to_string().parse(), Ok(Boot(1)));
        for text in ["", "1", "+000000000000001", "000000000000000A"] {
            assert_eq!(text.parse::<Boot>(), Err(InvalidBoot));
        }
    }
}
