//! What the two ends of a link tell each other: once at the beginning, and when it changes.

use serde::{Deserialize, Serialize};

use crate::{
    id::{MethodId, PublicKey, SchemaHash},
    transport::Address,
    wire::{FrameError, Kind},
};

/// First bytes of a hello, so that another protocol's bytes are told from a newer version's.
const MAGIC: [u8; 6] = *b"distri";

/// The version of the wire format. A link between versions is refused with both numbers.
pub(crate) const VERSION: u16 = 1;

/// Largest hello; a node with thousands of methods fits.
pub(crate) const HELLO_MAX: usize = 1024 * 1024;

/// Who one is and what one offers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// True for a node of the cloud that others may call and dial.
    pub is_node: bool,
    /// Drawn when the node was started: a node that comes back has another.
    pub life: u64,
    /// The number that this end gives the link, no other in this life. A call whose link broke is
    /// repeated by naming it.
    pub link: u64,
    /// A label for people.
    pub name: String,
    /// The program and its version, for people.
    pub program: String,
    /// Where a node can be dialled.
    pub address: Option<Address>,
    /// How many calls the other end may have in flight here.
    pub calls_max: u32,
    /// Largest message taken here.
    pub message_max: u32,
    /// Bytes that may be under way on a channel to here before credit comes back.
    pub channel_window: u32,
    /// Bytes that may be under way on all channels to here together.
    pub link_window: u32,
    /// Services hosted here.
    pub services: Vec<ServiceOffer>,
    /// How things stand now.
    pub status: Status,
}

/// A service in a hello.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ServiceOffer {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Its methods with the hashes of their schemas.
    pub methods: Vec<(MethodId, SchemaHash)>,
}

/// How a node stands now; sent again when it changes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Calls that it is serving.
    pub in_flight: u32,
    /// It finishes its calls and takes no new ones.
    pub draining: bool,
    /// Services that it hosts and that cannot serve now.
    pub not_serving: Vec<String>,
    /// The nodes that it knows, itself not among them.
    pub nodes: Vec<KnownNode>,
    /// The services that it leads, each with the number of its fence.
    pub leads: Vec<(String, u64)>,
}

/// In what two statuses of a node differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Differs {
    /// In nothing.
    Not,
    /// In how busy the node is, and nothing else.
    InLoad,
    /// In what it knows of other nodes.
    InNodes,
    /// In what it serves.
    InService,
}

/// A node as another node knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct KnownNode {
    /// Its key.
    pub key: PublicKey,
    /// Where it was last reached, or is configured to be.
    pub address: Address,
    /// A link to it stands.
    pub linked: bool,
    /// It answers, as far as the node knows that tells of it; false if it is suspect or down.
    pub there: bool,
}

impl Hello {
    /// The bytes of the hello.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        postcard::to_extend(self, bytes).expect("a hello has only types that postcard can express")
    }

    /// Reads a hello.
    ///
    /// # Errors
    /// [`FrameError`] if the bytes are of another protocol, another version, or malformed.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let malformed = |problem| FrameError::Malformed {
            kind: Kind::Hello,
            problem,
        };
        let Some((magic, rest)) = bytes.split_first_chunk::<6>() else {
            return Err(malformed("too short"));
        };
        if *magic != MAGIC {
            return Err(malformed(
                "the other end does not speak the distri protocol",
            ));
        }
        let Some((version, body)) = rest.split_first_chunk::<2>() else {
            return Err(malformed("too short"));
        };
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(FrameError::WrongVersion {
                theirs: version,
                ours: VERSION,
            });
        }
        postcard::from_bytes(body).map_err(|_| malformed("it does not decode"))
    }
}

impl Status {
    /// In what it differs from `other` that matters most.
    pub(crate) fn differs_from(&self, other: &Self) -> Differs {
        let Self {
            in_flight,
            draining,
            not_serving,
            nodes,
            leads,
        } = self;
        let is_same_service = *draining == other.draining
            && *not_serving == other.not_serving
            && *leads == other.leads;
        if !is_same_service {
            Differs::InService
        } else if *nodes != other.nodes {
            Differs::InNodes
        } else if *in_flight != other.in_flight {
            Differs::InLoad
        } else {
            Differs::Not
        }
    }

    /// The bytes of the status.
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a status has only types that postcard can express")
    }

    /// Reads a status.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        postcard::from_bytes(bytes).map_err(|_| FrameError::Malformed {
            kind: Kind::Status,
            problem: "it does not decode",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello() -> Hello {
        Hello {
            is_node: true,
            life: 8,
            link: 9,
            name: "a".into(),
            program: "hello 0.1.0".into(),
            address: Some(Address::new("127.0.0.1:1")),
            calls_max: 4,
            message_max: 5,
            channel_window: 6,
            link_window: 7,
            services: vec![ServiceOffer {
                name: "word-count".into(),
                version: 1,
                methods: vec![(MethodId(1), SchemaHash(2))],
            }],
            status: Status::default(),
        }
    }

    #[test]
    fn a_hello_survives_its_bytes() {
        assert_eq!(Hello::decode(&hello().encode()), Ok(hello()));
    }

    #[test]
    fn a_hello_of_another_version_is_refused_with_both_numbers() {
        let mut bytes = hello().encode();
        bytes[6] = 9;

        let error = Hello::decode(&bytes).unwrap_err();

        assert_eq!(
            error,
            FrameError::WrongVersion {
                theirs: 9,
                ours: VERSION
            }
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_hello_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut hello = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
            hello.extend(&bytes);

            let _ = Hello::decode(&hello);
            let _ = Status::decode(&bytes);
        }
    }
}
