//! Between values and bytes: the compact codec, and every other format through one door.
//!
//! Programs whose schemas agree use postcard, called directly by generated code: nothing erased,
//! nothing boxed. Everything else (MessagePack between versions, JSON from the command line and
//! the gateway, whatever a third party brings) goes through [`Format`] and `erased-serde`.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{Code, Error, Result},
    message::attachment::{self, Attachment},
};

/// A format other than the compact one. Register it with [`inventory::submit!`] and
/// [`FormatRegistration`].
pub trait Format: fmt::Debug + Send + Sync + 'static {
    /// Its number on the wire: 1 to 127 are distri's, 128 to 255 third parties'.
    fn id(&self) -> u8;

    /// Its name for people.
    fn name(&self) -> &'static str;

    /// Appends `value` to `out`.
    ///
    /// # Errors
    /// What the format cannot express, in words.
    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), String>;

    /// Lets `read` take a value from `bytes`.
    ///
    /// # Errors
    /// What is wrong with the bytes, in words that name the field.
    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), String>;
}

/// Makes a [`Format`] known to every node and client of the program.
#[derive(Debug)]
pub struct FormatRegistration(pub &'static dyn Format);

inventory::collect!(FormatRegistration);

/// How one message is encoded.
#[derive(Clone, Copy, Debug)]
pub enum Codec {
    /// Postcard, when both ends hold the same schema.
    Compact,
    /// A format that goes through `erased-serde`.
    Open(&'static dyn Format),
}

impl Codec {
    /// Named MessagePack: between programs whose schemas differ but fit.
    pub const MESSAGE_PACK: Self = Self::Open(&MessagePack);
    /// JSON: the command line and the gateway.
    pub const JSON: Self = Self::Open(&Json);

    /// Its number on the wire.
    pub fn id(self) -> u8 {
        match self {
            Self::Compact => 0,
            Self::Open(format) => format.id(),
        }
    }

    /// The codec with the number `id`, if this program has it.
    pub fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::Compact),
            1 => Some(Self::MESSAGE_PACK),
            2 => Some(Self::JSON),
            _ => inventory::iter::<FormatRegistration>()
                .find(|registration| registration.0.id() == id)
                .map(|registration| Self::Open(registration.0)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Compact => "postcard",
            Self::Open(format) => format.name(),
        }
    }
}

impl PartialEq for Codec {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

/// One encoded value, with the blobs and streams that it carries.
#[derive(Debug, Default)]
pub struct Message {
    /// The encoded value.
    pub body: Bytes,
    /// Blobs and streams, in the order in which the value refers to them.
    pub attachments: Vec<Attachment>,
}

impl Message {
    /// Encodes `value`. Streams and large blobs in it are taken out of it and attached.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] if the codec cannot express the value, or if a stream in it has
    /// been taken before.
    pub fn encode<T: Serialize + ?Sized>(codec: Codec, value: &T) -> Result<Self> {
        let encoded = attachment::collect(codec, || encode_body(codec, value));
        let (body, attachments) = encoded.map_err(|problem| {
            Error::invalid_argument(format!(
                "{} cannot be encoded as {}: {problem}",
                std::any::type_name::<T>(),
                codec.name()
            ))
        })?;
        Ok(Self {
            body: body.into(),
            attachments,
        })
    }

    /// Decodes a value, handing it the attachments.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`], naming the field where the format has names.
    pub fn decode<T: DeserializeOwned>(self, codec: Codec) -> Result<T> {
        let Self { body, attachments } = self;
        attachment::offer(codec, attachments, || decode_body(codec, &body)).map_err(|problem| {
            Error::new(
                Code::InvalidArgument,
                format!("the message does not fit: {problem}"),
            )
        })
    }
}

fn encode_body<T: Serialize + ?Sized>(codec: Codec, value: &T) -> Result<Vec<u8>, String> {
    match codec {
        Codec::Compact => {
            let out = GrowingBuffer(Vec::with_capacity(64));
            postcard::serialize_with_flavor(value, out).map_err(|error| error.to_string())
        }
        Codec::Open(format) => {
            let mut out = Vec::with_capacity(128);
            format.encode(&value, &mut out)?;
            Ok(out)
        }
    }
}

/// Postcard's output. Its own growable buffer starts empty; one that starts with room for a small
/// message saves most calls every reallocation.
struct GrowingBuffer(Vec<u8>);

impl postcard::ser_flavors::Flavor for GrowingBuffer {
    type Output = Vec<u8>;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

fn decode_body<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> Result<T, String> {
    match codec {
        Codec::Compact => {
            let (value, rest) =
                postcard::take_from_bytes(bytes).map_err(|error| error.to_string())?;
            if rest.is_empty() {
                Ok(value)
            } else {
                Err(format!("{} bytes too many", rest.len()))
            }
        }
        Codec::Open(format) => {
            let mut value = None;
            format.decode(bytes, &mut |deserializer| {
                value = Some(erased_serde::deserialize(deserializer)?);
                Ok(())
            })?;
            value.ok_or_else(|| format!("{} read no value", format.name()))
        }
    }
}

#[derive(Debug)]
struct MessagePack;

impl Format for MessagePack {
    fn id(&self) -> u8 {
        1
    }

    fn name(&self) -> &'static str {
        "MessagePack"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), String> {
        let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
        value
            .erased_serialize(&mut <dyn erased_serde::Serializer>::erase(&mut serializer))
            .map_err(|error| error.to_string())
    }

    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), String> {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        read_with_path(&mut deserializer, read)
    }
}

#[derive(Debug)]
struct Json;

impl Format for Json {
    fn id(&self) -> u8 {
        2
    }

    fn name(&self) -> &'static str {
        "JSON"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), String> {
        let mut serializer = serde_json::Serializer::new(out);
        value
            .erased_serialize(&mut <dyn erased_serde::Serializer>::erase(&mut serializer))
            .map_err(|error| error.to_string())
    }

    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), String> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        read_with_path(&mut deserializer, read)?;
        deserializer.end().map_err(|error| error.to_string())
    }
}

/// Runs `read` and, where it fails, says in which field.
fn read_with_path<'de, D>(
    deserializer: D,
    read: &mut dyn FnMut(
        &mut dyn erased_serde::Deserializer<'_>,
    ) -> Result<(), erased_serde::Error>,
) -> Result<(), String>
where
    D: serde::Deserializer<'de>,
{
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
    read(&mut <dyn erased_serde::Deserializer>::erase(tracked)).map_err(|error| {
        let path = track.path().to_string();
        if path == "." {
            error.to_string()
        } else {
            format!("in `{path}`: {error}")
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Size {
        width: u32,
        height: u32,
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Frame {
        title: String,
        size: Size,
    }

    fn frame() -> Frame {
        Frame {
            title: "Lake".into(),
            size: Size {
                width: 4,
                height: 3,
            },
        }
    }

    #[test]
    fn a_value_survives_each_codec() {
        for codec in [Codec::Compact, Codec::MESSAGE_PACK, Codec::JSON] {
            let message = Message::encode(codec, &frame()).unwrap();

            assert_eq!(message.decode::<Frame>(codec).unwrap(), frame());
        }
    }

    #[test]
    fn an_open_format_names_the_field_that_does_not_fit() {
        #[derive(Serialize)]
        struct Narrow {
            width: u32,
        }
        #[derive(Serialize)]
        struct Older {
            title: String,
            size: Narrow,
        }
        for codec in [Codec::MESSAGE_PACK, Codec::JSON] {
            let older = Older {
                title: "Lake".into(),
                size: Narrow { width: 4 },
            };
            let message = Message::encode(codec, &older).unwrap();

            let error = message.decode::<Frame>(codec).unwrap_err().to_string();

            assert!(
                error.contains("size") && error.contains("height"),
                "{error}"
            );
        }
    }

    #[test]
    fn trailing_bytes_are_refused() {
        for codec in [Codec::Compact, Codec::JSON] {
            let mut body = Message::encode(codec, &frame()).unwrap().body.to_vec();
            body.push(b'7');

            let message = Message {
                body: body.into(),
                attachments: Vec::new(),
            };

            assert!(message.decode::<Frame>(codec).is_err());
        }
    }
}
