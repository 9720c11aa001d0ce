//! A peer's signed record in the TXT record of multicast DNS: its compact form in base64, cut into
//! strings.
//!
//! `v=1`, then `r0`, `r1`, … with up to [`PART`] letters each. No other property is read.

use data_encoding::BASE64URL_NOPAD;

use crate::{
    error::{Error, Result},
    peer::Presence,
    signed::Signed,
};

const VERSION: &str = "1";

/// A string of a TXT record has at most 255 bytes, with its name.
const PART: usize = 240;

/// The names of the parts.
const PARTS: [&str; 4] = ["r0", "r1", "r2", "r3"];

/// Bytes of a record: what fits, as 960 letters and with the rest of an announcement, into the 1,472
/// bytes that the crate reads. A name and some twenty addresses over TCP do.
const RECORD: usize = PARTS.len() * PART / 4 * 3;

/// The properties that carry `record`, and those without a value that are not needed.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] if it is too long.
pub(super) fn write(record: &Signed<Presence>) -> Result<Vec<(&'static str, Option<String>)>> {
    let bytes = postcard::to_stdvec(record)
        .map_err(|error| Error::internal("a record has no compact form", error))?;
    if bytes.len() > RECORD {
        return Err(Error::invalid_argument(format!(
            "what the peer says of itself has {} bytes, expected at most {RECORD}: fewer addresses",
            bytes.len()
        )));
    }
    let mut letters = BASE64URL_NOPAD.encode(&bytes);
    let mut properties = vec![("v", Some(VERSION.to_owned()))];
    for name in PARTS {
        let rest = letters.split_off(letters.len().min(PART));
        let part = std::mem::replace(&mut letters, rest);
        properties.push((name, (!part.is_empty()).then_some(part)));
    }
    Ok(properties)
}

/// The record that is carried by the properties that `value` gives. Whose it is, is for the reader to
/// check.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] if there is none.
pub(super) fn read<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Signed<Presence>> {
    if value("v") != Some(VERSION) {
        return Err(Error::invalid_argument("expected the property v=1"));
    }
    let parts: Vec<&str> = PARTS.iter().map_while(|name| value(name)).collect();
    let unreadable = || Error::invalid_argument("expected a signed record in r0, r1, …");
    let bytes = BASE64URL_NOPAD
        .decode(parts.concat().as_bytes())
        .map_err(|_| unreadable())?;
    if bytes.len() > RECORD {
        return Err(unreadable());
    }
    let (record, rest) = postcard::take_from_bytes(&bytes).map_err(|_| unreadable())?;
    rest.is_empty().then_some(record).ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        identity::Identity,
        peer::{Boot, PeerAddress},
        transport::Address,
    };

    type Properties = Vec<(&'static str, Option<String>)>;

    fn record(addresses: usize) -> Signed<Presence> {
        let address = |n| PeerAddress::new("tcp", Address::new(format!("192.168.100.{n}:40000")));
        let presence = Presence {
            name: "n".repeat(64),
            addresses: (0..addresses).map(address).collect(),
            boot: "00000000000000ab".parse::<Boot>().unwrap(),
        };
        Signed::sign(&Identity::from_seed(&[1; 32]), 7, presence).unwrap()
    }

    fn again(properties: &Properties) -> Result<Signed<Presence>> {
        read(|name| {
            let (_, value) = properties.iter().find(|(one, _)| *one == name)?;
            value.as_deref()
        })
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        for addresses in [0, 1, 16] {
            let written = write(&record(addresses)).unwrap();
            let read = again(&written).unwrap();

            assert_eq!(read.seq(), 7);
            assert_eq!(read.check().unwrap().addresses.len(), addresses);
            // As the crate bounds them.
            let sizes = written.iter().filter_map(|(_, value)| value.as_ref());
            assert!(sizes.into_iter().all(|value| value.len() <= 250));
        }
    }

    #[test]
    fn one_that_is_too_long_is_refused_and_says_so() {
        let error = write(&record(64)).unwrap_err();

        assert!(error.message().contains("at most 720"), "{error}");
    }

    #[test]
    fn a_part_that_is_missing_is_noticed() {
        let written = write(&record(16)).unwrap();
        for gone in written.iter().filter(|(_, value)| value.is_some()) {
            let rest = written.iter().filter(|one| *one != gone).cloned().collect();
            assert!(again(&rest).is_err(), "without {gone:?}");
        }
    }

    proptest! {
        #[test]
        fn words_of_strangers_are_read_or_refused(
            parts in proptest::collection::vec("[A-Za-z0-9_-]{0,240}", 0..=4),
        ) {
            let _ = read(|name| match name {
                "v" => Some(VERSION),
                name => parts.get(PARTS.iter().position(|part| *part == name)?).map(String::as_str),
            });
        }

        #[test]
        fn a_changed_byte_never_passes_for_the_peers_word(at in 0_usize..1000, to in any::<u8>()) {
            let mut bytes = postcard::to_stdvec(&record(16)).unwrap();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            let letters = BASE64URL_NOPAD.encode(&bytes);
            let parts: Vec<&str> = (0..letters.len())
                .step_by(PART)
                .map(|from| &letters[from..letters.len().min(from + PART)])
                .collect();
            let found = read(|name| match name {
                "v" => Some(VERSION),
                name => parts.get(PARTS.iter().position(|part| *part == name)?).copied(),
            });
            if let Ok(found) = found {
                prop_assert!(found.check().is_err());
            }
        }
    }
}
