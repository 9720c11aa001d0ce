//! One hash for everything that is bound together: SHA-256 over a tag, a zero byte, and each part
//! with its length before it, so that no two lists of parts look alike.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub(crate) const CORE: &str = "distri/stego/v1/grant";
pub(crate) const COMMIT: &str = "distri/stego/v1/commit";
pub(crate) const CONTENT: &str = "distri/stego/v1/content";
pub(crate) const PLACE: &str = "distri/stego/v1/place";
pub(crate) const KEK: &str = "distri/stego/v1/kek";
pub(crate) const ENVELOPE: &str = "distri/stego/v1/envelope";
pub(crate) const SHARE: &str = "distri/stego/v1/share";
pub(crate) const SHARE_HASH: &str = "distri/stego/v1/share-hash";
pub(crate) const RELEASE: &str = "distri/stego/v1/release";
pub(crate) const RECEIPT: &str = "distri/stego/v1/receipt";
pub(crate) const OP_GRANT: &str = "distri/stego/v1/op-grant";
pub(crate) const OP_SET_VIEWS: &str = "distri/stego/v1/op-set-views";
pub(crate) const OP_REVOKE: &str = "distri/stego/v1/op-revoke";
pub(crate) const OP_REKEY: &str = "distri/stego/v1/op-rekey";
pub(crate) const OP_REDEEM: &str = "distri/stego/v1/op-redeem";
pub(crate) const OP_ACK: &str = "distri/stego/v1/op-ack";
pub(crate) const OP_ASK: &str = "distri/stego/v1/op-ask";
pub(crate) const OP_LIST: &str = "distri/stego/v1/op-list";
pub(crate) const LOG: &str = "distri/stego/v1/log";

/// `H(tag; parts)`.
pub(crate) fn hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(tag.as_bytes());
    sha.update([0]);
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

/// 32 bytes by HKDF-SHA256 (RFC 5869).
pub(crate) fn derive(salt: &[u8], secret: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand(info.as_bytes(), key.as_mut_slice())
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    key
}
