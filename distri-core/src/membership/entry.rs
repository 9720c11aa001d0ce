//! What a node says of itself, and how it travels. Each node is the sole writer of its own entry.

use serde::{Deserialize, Serialize};

use super::{
    MemberLoad, MemberService,
    swim::{Life, PACKET_MAX},
};
use crate::transport::Address;

/// Largest word. Two fit into a packet.
const WORD_MAX: usize = PACKET_MAX / 2 - 256;

/// What a node says of itself that seldom changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) address: Address,
    /// The program and its version, for people.
    pub(crate) program: String,
    /// It finishes its calls and takes no new ones.
    pub(crate) draining: bool,
    pub(crate) services: Vec<MemberService>,
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) life: Life,
    /// Which of its descriptions in this life this is.
    pub(super) described: u64,
    pub(super) about: About,
    /// Which of its loads in this life this is.
    pub(super) measured: u64,
    pub(super) load: MemberLoad,
}

/// What travels: a part of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    About {
        life: Life,
        described: u64,
        about: About,
    },
    Load {
        life: Life,
        /// The newest description, so that whoever has an older one asks for it.
        described: u64,
        measured: u64,
        load: MemberLoad,
    },
}

impl Word {
    /// The bytes of the word, with fewer services where all are too many for a packet.
    pub(super) fn encode(mut self) -> Vec<u8> {
        loop {
            let bytes = postcard::to_stdvec(&self)
                .expect("a word has only types that postcard can express");
            match &mut self {
                Self::About { about, .. }
                    if bytes.len() > WORD_MAX && !about.services.is_empty() =>
                {
                    let half = about.services.len() / 2;
                    about.services.truncate(half);
                }
                _ => return bytes,
            }
        }
    }
}
