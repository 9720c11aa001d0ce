//! A join token: a key that may be used once.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{identity::Identity, transport::Endpoint};

const PREFIX: &str = "distri-join-";
const VERSION: u8 = 1;

/// Lets one node join a cluster: the secret half of a key that the cluster expects, and where its
/// nodes are. Whoever has the text may join in your stead, once, until it expires.
pub struct JoinToken {
    seed: Zeroizing<[u8; 32]>,
    nodes: Vec<Endpoint>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    version: u8,
    seed: [u8; 32],
    nodes: Vec<Endpoint>,
}

/// A text that is not a join token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a join token: expected `{PREFIX}…`, as `token` prints it{hint}")]
pub struct InvalidToken {
    hint: &'static str,
}

impl JoinToken {
    /// A token with the key of `seed`, for the cluster of `nodes`.
    #[cfg(feature = "node")]
    pub(crate) fn new(seed: Zeroizing<[u8; 32]>, nodes: Vec<Endpoint>) -> Self {
        Self { seed, nodes }
    }

    /// The identity that the token proves.
    pub(crate) fn identity(&self) -> Identity {
        Identity::from_seed(&self.seed)
    }

    /// Nodes of the cluster.
    pub fn nodes(&self) -> &[Endpoint] {
        &self.nodes
    }

    /// The text form. It is a secret.
    pub fn reveal(&self) -> String {
        let form = Form {
            version: VERSION,
            seed: *self.seed,
            nodes: self.nodes.clone(),
        };
        // Text and bytes always encode.
        let bytes = Zeroizing::new(postcard::to_stdvec(&form).unwrap_or_default());
        format!(
            "{PREFIX}{}",
            BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
        )
    }
}

impl FromStr for JoinToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        let body = text.strip_prefix(PREFIX).ok_or(InvalidToken { hint: "" })?;
        let hint = "; perhaps a part of it is missing";
        let bytes = BASE32_NOPAD
            .decode(body.to_ascii_uppercase().as_bytes())
            .map_err(|_| InvalidToken { hint })?;
        let form: Form = postcard::from_bytes(&bytes).map_err(|_| InvalidToken { hint })?;
        if form.version != VERSION {
            let hint = "; it was made by another version of the program";
            return Err(InvalidToken { hint });
        }
        Ok(Self {
            seed: Zeroizing::new(form.seed),
            nodes: form.nodes,
        })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::PublicKey, transport::Address};

    fn token() -> JoinToken {
        JoinToken {
            seed: Zeroizing::new([7; 32]),
            nodes: vec![Endpoint {
                key: PublicKey::from_bytes([1; 32]),
                address: Address::new("127.0.0.1:4600"),
            }],
        }
    }

    #[test]
    fn a_token_survives_its_text_form() {
        let token = token();

        let again: JoinToken = token.reveal().parse().unwrap();

        assert_eq!(again.nodes(), token.nodes());
        assert_eq!(again.identity().public(), token.identity().public());
    }

    #[test]
    fn a_text_that_is_no_token_is_refused_without_showing_it() {
        let whole = token().reveal();

        for text in ["", "distri-join-", "hello", &whole[..whole.len() - 9]] {
            let error = text.parse::<JoinToken>().unwrap_err().to_string();
            assert!(error.contains("as `token` prints it"), "{error}");
            assert!(text.len() < 20 || !error.contains(text), "{error}");
        }
        assert!(!format!("{:?}", token()).contains("seed"));
    }
}
