//! The sealed message: which keys are derived from what, and what is encrypted in which form.
//!
//! A message is a *body* (label and payload) and a small *header* that says how long the body is
//! and holds the random secret under which it was sealed. The header is stored once in each of
//! two *slots*, each under a key of its own slot, so that damage to one does not lose the message.
//! All of it is AES-256-GCM; without the key every bit looks random. Where the bits lie in the
//! image is `layout`'s business; here are bytes only.
//!
//! ```text
//! salt      32 bytes read from the slot's public samples, see `layout`
//! base      the 32 bytes of the key, or Argon2id(passphrase, salt; 64 MiB, 3 passes, 1 lane)
//! slot      HKDF-SHA256(base, salt) → header key (32), place (16: where the header lies)
//! header    AES-256-GCM(header key, 0, picture ‖ slot, { version, method, length, secret, other place, flags, 0… })
//! body      HKDF-SHA256(key or passphrase, secret) → body key (32), order key (32: where the bits lie)
//!           AES-256-GCM(body key, 0, picture, { length of label, label, payload })
//! ```
//!
//! Each key seals one message only, because the salt and the secret are fresh each time; so the
//! nonce may be constant. `picture` is width, height, number of colours and depth.

use aes_gcm::{
    Aes256Gcm, Nonce, Tag,
    aead::{AeadInOut, KeyInit},
};
use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::{
    adaptive::{Layers, Parameters, Split},
    error::Error,
    key::{Key, Material},
    stc::Height,
};

/// Length of a header in its sealed form.
pub(crate) const HEADER_SEALED: usize = HEADER_PLAIN + TAG;

/// What a body is longer than its label and payload together.
pub(crate) const BODY_OVERHEAD: usize = LABEL_PREFIX + TAG;

/// The format of [`Header`], with its body put in by matching.
pub(crate) const VERSION: u8 = 1;

/// The format of [`AdaptiveHeader`], with a body that adapts to the picture.
pub(crate) const ADAPTIVE: u8 = 2;

/// The format of [`AdaptiveHeader`] in the coefficients of a JPEG, see `in_jpeg`.
pub(crate) const IN_JPEG: u8 = 3;

/// The method of a body that is written in turns. It has the keys, the seal and the places of [`ADAPTIVE`],
/// whose own method has that number, so that a reader tries no more than before.
const IN_TURNS: u8 = 4;

/// Version, method, length of the body, secret, the other slot's place, flags, and room for the
/// parameters of methods to come, zero for now.
const HEADER_PLAIN: usize = 1 + 1 + 4 + 16 + 16 + 6;

const TAG: usize = 16;
const LABEL_PREFIX: usize = 4;

/// Argon2id's memory in KiB. RFC 9106's second recommendation is 64 MiB and three passes; half of
/// the memory halves what a guess costs, twice as much doubles what each concurrent call holds.
const ARGON2_MEMORY: u32 = 64 * 1024;
const ARGON2_PASSES: u32 = 3;
const ARGON2_LANES: u32 = 1;

pub(crate) type Salt = [u8; 32];
pub(crate) type Place = Zeroizing<[u8; 16]>;
type Secret = Zeroizing<[u8; 32]>;

/// What a header says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The embedding method's id.
    pub(crate) method: u8,
    /// Length of the sealed body in bytes.
    pub(crate) body: u32,
    /// Drawn afresh for each message; the body's keys hang on it.
    pub(crate) secret: Zeroizing<[u8; 16]>,
    /// Where the other slot's header lies, so that the body can be laid around it even when that
    /// slot is damaged.
    pub(crate) other_place: Place,
    /// The payload is a part of a message, see `parts`.
    pub(crate) is_part: bool,
}

/// Keys of one slot.
pub(crate) struct SlotKeys {
    header: Secret,
    pub(crate) place: Place,
}

/// Keys of the body.
pub(crate) struct BodyKeys {
    body: Secret,
    pub(crate) order: Secret,
}

/// What every seal is bound to: a message moved into a picture of other dimensions does not open.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) colours: u8,
    pub(crate) depth: u8,
}

impl Context {
    pub(crate) fn bytes(self, purpose: &str) -> Vec<u8> {
        self.bytes_in(VERSION, purpose)
    }

    fn bytes_in(self, version: u8, purpose: &str) -> Vec<u8> {
        let mut bytes = format!("distri stego {version} {purpose}\0").into_bytes();
        bytes.extend_from_slice(&self.width.to_be_bytes());
        bytes.extend_from_slice(&self.height.to_be_bytes());
        bytes.extend_from_slice(&[self.colours, self.depth]);
        bytes
    }
}

/// Derives working keys from one [`Key`], stretching a passphrase once for each salt it meets.
pub(crate) struct Deriver<'k> {
    key: &'k Key,
    stretched: Vec<(Salt, Secret)>,
}

impl<'k> Deriver<'k> {
    pub(crate) fn new(key: &'k Key) -> Self {
        Self {
            key,
            stretched: Vec::new(),
        }
    }

    pub(crate) fn slot(&mut self, version: u8, salt: &Salt) -> SlotKeys {
        let base = self.base(salt);
        let hkdf = Hkdf::<Sha256>::new(Some(salt), base.as_slice());
        SlotKeys {
            header: expand(&hkdf, version, "header key"),
            place: expand(&hkdf, version, "header place"),
        }
    }

    pub(crate) fn body(&self, version: u8, secret: &[u8; 16]) -> BodyKeys {
        // A passphrase is not stretched again: nobody can try guesses here without the secret,
        // which is random and was sealed under the stretched key.
        let material = match &self.key.0 {
            Material::Bytes(bytes) => bytes.as_slice(),
            Material::Passphrase(passphrase) => passphrase.as_bytes(),
        };
        let hkdf = Hkdf::<Sha256>::new(Some(secret), material);
        BodyKeys {
            body: expand(&hkdf, version, "body key"),
            order: expand(&hkdf, version, "body order"),
        }
    }

    fn base(&mut self, salt: &Salt) -> Secret {
        match &self.key.0 {
            Material::Bytes(bytes) => bytes.clone(),
            Material::Passphrase(passphrase) => {
                if let Some((_, base)) = self.stretched.iter().find(|(known, _)| known == salt) {
                    return base.clone();
                }
                let base = stretch(passphrase.as_bytes(), salt);
                self.stretched.push((*salt, base.clone()));
                base
            }
        }
    }
}

fn stretch(passphrase: &[u8], salt: &Salt) -> Secret {
    let params = Params::new(ARGON2_MEMORY, ARGON2_PASSES, ARGON2_LANES, None)
        .expect("the parameters are constants within Argon2's bounds");
    let mut base = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, base.as_mut_slice())
        .expect("salt and output have lengths that Argon2 takes, and a passphrase is short");
    base
}

fn expand<const N: usize>(hkdf: &Hkdf<Sha256>, version: u8, purpose: &str) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    hkdf.expand(
        format!("distri stego {version} {purpose}").as_bytes(),
        key.as_mut_slice(),
    )
    .expect("a key is far shorter than HKDF's bound");
    key
}

impl Header {
    const PART: u8 = 1;

    pub(crate) fn seal(&self, keys: &SlotKeys, context: Context) -> [u8; HEADER_SEALED] {
        let mut bytes = [0; HEADER_SEALED];
        bytes[0] = VERSION;
        bytes[1] = self.method;
        bytes[2..6].copy_from_slice(&self.body.to_be_bytes());
        bytes[6..22].copy_from_slice(self.secret.as_slice());
        bytes[22..38].copy_from_slice(self.other_place.as_slice());
        bytes[38] = if self.is_part { Self::PART } else { 0 };
        seal(&keys.header, &context.bytes("header"), &mut bytes);
        bytes
    }

    /// The header, or `None` if these bytes are not one sealed under these keys.
    ///
    /// # Errors
    ///
    /// [`Error::Newer`] if it is, but in a form that is not known here.
    pub(crate) fn open(
        mut sealed: [u8; HEADER_SEALED],
        keys: &SlotKeys,
        context: Context,
    ) -> Result<Option<Self>, Error> {
        if !open(&keys.header, &context.bytes("header"), &mut sealed) {
            return Ok(None);
        }
        let mut rest = &sealed[..];
        let [version, method] = take(&mut rest);
        let mut header = Self {
            method,
            body: u32::from_be_bytes(take(&mut rest)),
            secret: Zeroizing::new(take(&mut rest)),
            other_place: Zeroizing::new(take(&mut rest)),
            is_part: false,
        };
        let [flags, parameters @ ..]: [u8; 6] = take(&mut rest);
        sealed.zeroize();
        if version != VERSION || flags & !Self::PART != 0 || parameters != [0; 5] {
            return Err(Error::Newer { version, method });
        }
        header.is_part = flags & Self::PART != 0;
        Ok(Some(header))
    }
}

/// What the header of an adaptive message says. It is as long as the other one, so that neither
/// length nor place tells them apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AdaptiveHeader {
    /// Length of the sealed body in bytes.
    pub(crate) body: u32,
    /// Drawn afresh for each message; the body's keys hang on it.
    pub(crate) secret: Zeroizing<[u8; 16]>,
    pub(crate) parameters: Parameters,
    /// The payload's length before it was compressed, if it was.
    pub(crate) unpacked: Option<u32>,
    /// The payload is a part of a message, see `parts`.
    pub(crate) is_part: bool,
}

impl AdaptiveHeader {
    const PACKED: u8 = 1;
    const PART: u8 = 2;

    /// Sealed, as `format` has it: [`ADAPTIVE`] or [`IN_JPEG`], each of which has one method of the same
    /// number, and the first of which has [`IN_TURNS`] too.
    pub(crate) fn seal(
        &self,
        format: u8,
        keys: &SlotKeys,
        context: Context,
    ) -> [u8; HEADER_SEALED] {
        let mut bytes = [0; HEADER_SEALED];
        bytes[0] = format;
        bytes[2..6].copy_from_slice(&self.body.to_be_bytes());
        bytes[6..22].copy_from_slice(self.secret.as_slice());
        bytes[22] = self.parameters.height.get();
        let part = if self.is_part { Self::PART } else { 0 };
        let flags = self.unpacked.map_or(0, |_| Self::PACKED) | part;
        let unpacked = self.unpacked.unwrap_or(0).to_be_bytes();
        match self.parameters.layers {
            Layers::AtOnce { signs, matrix } => {
                bytes[1] = format;
                bytes[23] = matrix;
                bytes[24..28].copy_from_slice(&signs.to_be_bytes());
                bytes[28] = flags;
                bytes[29..33].copy_from_slice(&unpacked);
            }
            Layers::InTurns(split) => {
                bytes[1] = IN_TURNS;
                bytes[23] = flags;
                bytes[24..28].copy_from_slice(&unpacked);
                bytes[28..28 + Split::BYTES].copy_from_slice(&split.to_bytes());
            }
        }
        seal(
            &keys.header,
            &context.bytes_in(format, "header"),
            &mut bytes,
        );
        bytes
    }

    /// As [`Header::open`].
    ///
    /// # Errors
    ///
    /// [`Error::Newer`] if it opens, but is of a form that is not known here.
    pub(crate) fn open(
        format: u8,
        mut sealed: [u8; HEADER_SEALED],
        keys: &SlotKeys,
        context: Context,
    ) -> Result<Option<Self>, Error> {
        let aad = context.bytes_in(format, "header");
        if !open(&keys.header, &aad, &mut sealed) {
            return Ok(None);
        }
        let mut rest = &sealed[..HEADER_PLAIN];
        let [version, method] = take(&mut rest);
        let body = u32::from_be_bytes(take(&mut rest));
        let secret = Zeroizing::new(take(&mut rest));
        let [height] = take(&mut rest);
        let (layers, flags, unpacked) = if method == IN_TURNS && format == ADAPTIVE {
            let ([flags], unpacked) = (take(&mut rest), u32::from_be_bytes(take(&mut rest)));
            let split = Split::from_bytes(take(&mut rest));
            (split.map(Layers::InTurns), flags, unpacked)
        } else {
            let ([matrix], signs) = (take(&mut rest), u32::from_be_bytes(take(&mut rest)));
            let ([flags], unpacked) = (take(&mut rest), u32::from_be_bytes(take(&mut rest)));
            let layers = (method == format).then_some(Layers::AtOnce { signs, matrix });
            (layers, flags, unpacked)
        };
        let strange = version != format
            || flags & !(Self::PACKED | Self::PART) != 0
            || rest.iter().any(|byte| *byte != 0);
        let parameters = Height::new(height)
            .zip(layers)
            .map(|(height, layers)| Parameters { height, layers })
            .filter(|_| !strange);
        sealed.zeroize();
        let parameters = parameters.ok_or(Error::Newer { version, method })?;
        Ok(Some(Self {
            body,
            secret,
            parameters,
            unpacked: (flags & Self::PACKED != 0).then_some(unpacked),
            is_part: flags & Self::PART != 0,
        }))
    }
}

/// The next `N` of `bytes`, which the caller knows to be there.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (first, rest) = bytes
        .split_first_chunk()
        .expect("a header holds all its fields");
    *bytes = rest;
    *first
}

/// Label and payload, sealed.
pub(crate) fn seal_body(
    version: u8,
    label: &[u8],
    payload: &[u8],
    keys: &BodyKeys,
    context: Context,
) -> Vec<u8> {
    let label_length = u32::try_from(label.len()).expect("labels are bounded far below 4 GiB");
    let mut body = Vec::with_capacity(label.len() + payload.len() + BODY_OVERHEAD);
    body.extend_from_slice(&label_length.to_be_bytes());
    body.extend_from_slice(label);
    body.extend_from_slice(payload);
    body.resize(body.len() + TAG, 0);
    seal(&keys.body, &context.bytes_in(version, "body"), &mut body);
    body
}

/// Label and payload, or `None` if `body` is not exactly what was sealed.
pub(crate) fn open_body(
    version: u8,
    mut body: Vec<u8>,
    keys: &BodyKeys,
    context: Context,
) -> Option<(Vec<u8>, Vec<u8>)> {
    if !open(&keys.body, &context.bytes_in(version, "body"), &mut body) {
        return None;
    }
    body.truncate(body.len() - TAG);
    let label_length = u32::from_be_bytes(*body.first_chunk()?) as usize;
    let label = body
        .get(LABEL_PREFIX..LABEL_PREFIX.checked_add(label_length)?)?
        .to_vec();
    body.drain(..LABEL_PREFIX + label_length);
    Some((label, body))
}

/// Encrypts all but the last [`TAG`] bytes in place and puts the tag there.
fn seal(key: &[u8; 32], context: &[u8], bytes: &mut [u8]) {
    let (message, tag) = bytes.split_at_mut(bytes.len() - TAG);
    let made = Aes256Gcm::new(key.into())
        .encrypt_inout_detached(&Nonce::default(), context, message.into())
        .expect("messages are far shorter than AES-GCM's bound");
    tag.copy_from_slice(&made);
}

/// Decrypts in place what [`seal`] made; false, and nothing decrypted, if it is anything else.
fn open(key: &[u8; 32], context: &[u8], bytes: &mut [u8]) -> bool {
    let Some(length) = bytes.len().checked_sub(TAG) else {
        return false;
    };
    let (message, tag) = bytes.split_at_mut(length);
    let Ok(tag) = <[u8; TAG]>::try_from(&*tag) else {
        return false;
    };
    Aes256Gcm::new(key.into())
        .decrypt_inout_detached(&Nonce::default(), context, message.into(), &Tag::from(tag))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: Context = Context {
        width: 640,
        height: 480,
        colours: 3,
        depth: 8,
    };

    fn header() -> Header {
        Header {
            method: 1,
            body: 70_000,
            secret: Zeroizing::new([7; 16]),
            other_place: Zeroizing::new([9; 16]),
            is_part: true,
        }
    }

    #[test]
    fn a_header_opens_only_under_its_key_its_salt_and_its_picture() {
        let key = Key::from_bytes([1; 32]);
        let stranger = Key::from_bytes([2; 32]);
        let keys = Deriver::new(&key).slot(VERSION, &[5; 32]);
        let sealed = header().seal(&keys, CONTEXT);

        let opened = |keys: &SlotKeys, context| Header::open(sealed, keys, context).unwrap();

        assert!(opened(&keys, CONTEXT) == Some(header()));
        assert!(
            opened(
                &keys,
                Context {
                    width: 641,
                    ..CONTEXT
                }
            )
            .is_none()
        );
        assert!(
            opened(
                &keys,
                Context {
                    depth: 16,
                    ..CONTEXT
                }
            )
            .is_none()
        );
        assert!(opened(&Deriver::new(&stranger).slot(VERSION, &[5; 32]), CONTEXT).is_none());
        assert!(opened(&Deriver::new(&key).slot(VERSION, &[6; 32]), CONTEXT).is_none());
    }

    #[test]
    fn a_header_of_another_version_says_so() {
        let key = Key::from_bytes([1; 32]);
        let keys = Deriver::new(&key).slot(VERSION, &[5; 32]);
        let mut later = [0; HEADER_SEALED];
        later[..2].copy_from_slice(&[2, 9]);
        seal(&keys.header, &CONTEXT.bytes("header"), &mut later);

        let error = Header::open(later, &keys, CONTEXT).err();

        assert_eq!(
            error,
            Some(Error::Newer {
                version: 2,
                method: 9
            })
        );
    }

    #[test]
    fn an_adaptive_header_says_what_was_sealed_and_opens_as_nothing_else() {
        let key = Key::from_bytes([1; 32]);
        let keys = Deriver::new(&key).slot(ADAPTIVE, &[5; 32]);
        let split = Split::from_bytes(std::array::from_fn(|i| i as u8)).unwrap();
        let at_once = Layers::AtOnce {
            signs: 4711,
            matrix: 3,
        };
        for (unpacked, is_part, layers) in [
            (None, false, at_once),
            (Some(0), true, at_once),
            (Some(123_456), false, at_once),
            (None, true, Layers::InTurns(split)),
            (Some(123_456), false, Layers::InTurns(split)),
        ] {
            let header = AdaptiveHeader {
                body: 70_000,
                secret: Zeroizing::new([7; 16]),
                parameters: Parameters {
                    height: Height::new(9).unwrap(),
                    layers,
                },
                unpacked,
                is_part,
            };
            let sealed = header.seal(ADAPTIVE, &keys, CONTEXT);

            assert!(
                AdaptiveHeader::open(ADAPTIVE, sealed, &keys, CONTEXT).unwrap() == Some(header)
            );
            assert!(Header::open(sealed, &keys, CONTEXT).unwrap().is_none());
            for byte in 0..HEADER_SEALED {
                let mut changed = sealed;
                changed[byte] ^= 2;
                assert!(
                    AdaptiveHeader::open(ADAPTIVE, changed, &keys, CONTEXT)
                        .unwrap()
                        .is_none()
                );
            }
        }
    }

    #[test]
    fn an_adaptive_header_of_another_form_says_so() {
        let key = Key::from_bytes([1; 32]);
        let keys = Deriver::new(&key).slot(ADAPTIVE, &[5; 32]);
        for (at, value) in [(0, 3), (1, 9), (22, 13), (28, 4), (40, 1)] {
            let mut later = [0; HEADER_SEALED];
            (later[0], later[1], later[22]) = (ADAPTIVE, ADAPTIVE, 10);
            later[at] = value;
            let (version, method) = (later[0], later[1]);
            seal(
                &keys.header,
                &CONTEXT.bytes_in(ADAPTIVE, "header"),
                &mut later,
            );

            let error = AdaptiveHeader::open(ADAPTIVE, later, &keys, CONTEXT).err();

            assert_eq!(error, Some(Error::Newer { version, method }));
        }
    }

    #[test]
    fn a_body_gives_back_label_and_payload_or_nothing() {
        let key = Key::from_bytes([1; 32]);
        let keys = Deriver::new(&key).body(VERSION, &[3; 16]);

        for (label, payload) in [
            (&b""[..], &b""[..]),
            (b"label", b""),
            (b"", b"payload"),
            (b"a", b"b"),
        ] {
            let sealed = seal_body(VERSION, label, payload, &keys, CONTEXT);

            assert_eq!(sealed.len(), label.len() + payload.len() + BODY_OVERHEAD);
            for byte in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[byte] ^= 0x40;
                assert_eq!(open_body(VERSION, changed, &keys, CONTEXT), None);
            }
            assert_eq!(
                open_body(VERSION, sealed, &keys, CONTEXT),
                Some((label.to_vec(), payload.to_vec()))
            );
        }
        assert_eq!(open_body(VERSION, Vec::new(), &keys, CONTEXT), None);
    }

    #[test]
    fn a_passphrase_is_stretched_once_for_each_salt() {
        let key = Key::from_passphrase("correct horse").unwrap();
        let mut deriver = Deriver::new(&key);

        let first = deriver.slot(VERSION, &[1; 32]).place;
        let again = deriver.slot(VERSION, &[1; 32]).place;

        assert_eq!(first, again);
        assert_eq!(deriver.stretched.len(), 1);
    }

    /// The format may not drift: what is hidden today must open in years.
    #[test]
    fn derived_keys_stay_what_they_are() {
        let key = Key::from_bytes([0x42; 32]);
        let mut deriver = Deriver::new(&key);

        let slot = deriver.slot(VERSION, &[0x17; 32]);
        let body = deriver.body(VERSION, &[0x23; 16]);

        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        assert_eq!(
            hex(slot.place.as_slice()),
            "0644364851ee683d0678c340ea3bbf1f"
        );
        assert_eq!(hex(&body.order[..8]), "f68d21ceef8d3bc6");
    }
}
