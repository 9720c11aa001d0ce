//! [`Blob`]: large bytes as an argument or result.

use std::{
    borrow::Cow,
    fmt,
    path::Path,
    pin::Pin,
    sync::Mutex,
    task::{self, Poll},
};

use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use futures_core::Stream as AsyncStream;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
    ser,
};
use tokio::io::AsyncRead;

use crate::{
    error::{Code, Error, Result},
    message::{
        attachment::{self, Attachment},
        codec::Message,
    },
};

/// Blobs up to this size travel inside the message; larger ones beside it, in chunks and with flow
/// control. Larger: fewer messages for middling blobs, but more bytes held at once per call.
const INLINE_MAX: usize = 16 * 1024;

/// The size of the chunks in which a blob travels. One frame each; see `rpc` for the frame bound.
pub(crate) const CHUNK: usize = 64 * 1024;

/// What is asked of a reader at once, as long as it gives all that it is asked for. A file is read on
/// another thread, and the way there and back takes longer than to read a chunk.
const READ_MAX: usize = 8 * CHUNK;

/// Large bytes: an image, a file. Never copied through serde, and never held whole in memory
/// unless [`Blob::bytes`] asks for it.
///
/// A blob made from bytes can be read and sent any number of times. One made from a file, a reader
/// or a link is read once: whoever calls [`Blob::next_chunk`], [`Blob::bytes`] or sends it takes it.
///
/// In JSON a blob is a base64 string.
pub struct Blob {
    /// Known length in bytes; a source that gives more or fewer fails.
    len: Option<u64>,
    /// Locked only to take or copy, never while waiting.
    content: Mutex<Content>,
}

enum Content {
    Bytes(Bytes),
    Chunks(Chunks),
    Taken,
}

type Chunks = Pin<Box<dyn AsyncStream<Item = Result<Bytes>> + Send>>;

impl Blob {
    /// A blob of `chunks`. `len`, where known, lets the receiver show progress and refuse early.
    pub fn from_chunks(
        len: Option<u64>,
        chunks: impl AsyncStream<Item = Result<Bytes>> + Send + 'static,
    ) -> Self {
        Self {
            len,
            content: Mutex::new(Content::Chunks(Box::pin(chunks))),
        }
    }

    /// A blob of what `reader` gives until its end.
    pub fn from_reader(len: Option<u64>, reader: impl AsyncRead + Send + 'static) -> Self {
        Self::from_chunks(len, ReaderChunks::new(reader))
    }

    /// A blob of the file at `path`, read as it is sent.
    ///
    /// # Errors
    /// [`Code::NotFound`] or [`Code::FailedPrecondition`] with the path if it cannot be opened.
    pub async fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let refuse = |error: std::io::Error| {
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => Code::NotFound,
                _ => Code::FailedPrecondition,
            };
            Error::new(code, format!("could not open {}", path.display())).with_source(error)
        };
        let file = tokio::fs::File::open(path).await.map_err(refuse)?;
        let len = file.metadata().await.map_err(refuse)?.len();
        Ok(Self::from_reader(Some(len), file))
    }

    /// The length in bytes, where it is known.
    pub fn len(&self) -> Option<u64> {
        self.len
    }

    /// True if the blob is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == Some(0)
    }

    /// All bytes, of which there may be at most `max`.
    ///
    /// # Errors
    /// [`Code::TooLarge`] if there are more; what the source fails with; [`Code::FailedPrecondition`]
    /// if the blob has been taken.
    ///
    /// # Cancel safety
    /// Dropping the future may lose bytes already read.
    pub async fn bytes(mut self, max: u64) -> Result<Bytes> {
        let too_large = || {
            Error::new(
                Code::TooLarge,
                format!("the blob is larger than {max} bytes"),
            )
        };
        if self.len.is_some_and(|len| len > max) {
            return Err(too_large());
        }
        let Some(first) = self.next_chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.next_chunk().await? else {
            return if first.len() as u64 > max {
                Err(too_large())
            } else {
                Ok(first)
            };
        };
        let mut all = BytesMut::with_capacity(first.len() + second.len());
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        loop {
            if all.len() as u64 > max {
                return Err(too_large());
            }
            match self.next_chunk().await? {
                Some(chunk) => all.extend_from_slice(&chunk),
                None => return Ok(all.freeze()),
            }
        }
    }

    /// The next chunk, or `None` at the end.
    ///
    /// # Errors
    /// What the source fails with; [`Code::DataLoss`] if it ends early.
    ///
    /// # Cancel safety
    /// Dropping the future loses no chunk.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx))
            .await
            .transpose()
    }

    fn poll_chunk(&mut self, cx: &mut task::Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let content = self
            .content
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match content {
            Content::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready(if bytes.is_empty() {
                    None
                } else {
                    Some(Ok(bytes))
                })
            }
            Content::Chunks(chunks) => chunks.as_mut().poll_next(cx),
            Content::Taken => Poll::Ready(Some(Err(taken()))),
        }
    }

    /// A second blob with the same bytes, if they are in memory.
    pub fn try_clone(&self) -> Option<Self> {
        let content = self
            .content
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*content {
            Content::Bytes(bytes) => Some(Self::from(bytes.clone())),
            Content::Chunks(_) | Content::Taken => None,
        }
    }

    /// What is to be sent: bytes are copied (which is cheap), a source is taken.
    fn take_content(&self) -> Content {
        let mut content = self
            .content
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Content::Bytes(bytes) = &*content {
            return Content::Bytes(bytes.clone());
        }
        std::mem::replace(&mut *content, Content::Taken)
    }
}

fn taken() -> Error {
    Error::new(
        Code::FailedPrecondition,
        "the blob has been read or sent before",
    )
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self {
            len: Some(bytes.len() as u64),
            content: Mutex::new(Content::Bytes(bytes)),
        }
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<&'static [u8]> for Blob {
    fn from(bytes: &'static [u8]) -> Self {
        Self::from(Bytes::from_static(bytes))
    }
}

impl Default for Blob {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len {
            Some(len) => write!(f, "Blob({len} bytes)"),
            None => f.write_str("Blob(length unknown)"),
        }
    }
}

impl AsyncStream for Blob {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.get_mut().poll_chunk(cx)
    }
}

/// A blob inside a message of a format for machines.
#[derive(Serialize, Deserialize)]
enum Wire<'a> {
    Inline(#[serde(with = "inline")] Cow<'a, [u8]>),
    Attached { place: u32, len: Option<u64> },
}

mod inline {
    use std::borrow::Cow;

    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, 'a, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Cow<'a, [u8]>, D::Error> {
        Bytes::deserialize(deserializer).map(|bytes| Cow::Owned(bytes.into()))
    }
}

/// A blob beside a JSON message.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttachedJson {
    #[serde(rename = "$blob")]
    place: u32,
    len: Option<u64>,
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let content = self.take_content();
        let readable = serializer.is_human_readable();
        if let Content::Bytes(bytes) = &content
            && (readable || bytes.len() <= INLINE_MAX)
        {
            return if readable {
                serializer.serialize_str(&BASE64.encode(bytes))
            } else {
                Wire::Inline(Cow::Borrowed(bytes)).serialize(serializer)
            };
        }
        let chunks: Chunks = match content {
            Content::Bytes(bytes) => Box::pin(BytesChunks(bytes)),
            Content::Chunks(chunks) => chunks,
            Content::Taken => {
                return Err(ser::Error::custom(attachment::problem(taken().message())));
            }
        };
        let place =
            attachment::attach(|_| Attachment::new(ChunkMessages(chunks))).ok_or_else(|| {
                ser::Error::custom("a blob that is read from elsewhere can only be sent in a call")
            })?;
        if readable {
            AttachedJson {
                place,
                len: self.len,
            }
            .serialize(serializer)
        } else {
            Wire::Attached {
                place,
                len: self.len,
            }
            .serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(ReadableVisitor);
        }
        match Wire::deserialize(deserializer)? {
            Wire::Inline(bytes) => Ok(Self::from(bytes.into_owned())),
            Wire::Attached { place, len } => attached(place, len).map_err(de::Error::custom),
        }
    }
}

fn attached(place: u32, len: Option<u64>) -> Result<Blob, String> {
    let (_, attachment) = attachment::detach(place)?;
    let chunks = ReceivedChunks {
        attachment,
        expected: len,
        received: 0,
        ended: false,
    };
    Ok(Blob::from_chunks(len, chunks))
}

struct ReadableVisitor;

impl<'de> Visitor<'de> for ReadableVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes as a base64 string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
        BASE64
            .decode(text.as_bytes())
            .map(Blob::from)
            .map_err(|error| E::custom(format!("not base64: {error}")))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob::from(bytes.to_vec()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Blob, A::Error> {
        let AttachedJson { place, len } =
            AttachedJson::deserialize(de::value::MapAccessDeserializer::new(map))?;
        attached(place, len).map_err(de::Error::custom)
    }
}

impl JsonSchema for Blob {
    fn schema_name() -> Cow<'static, str> {
        "Blob".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "contentEncoding": "base64", "x-distri": "blob" })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Bytes in memory, cut to the size of a frame.
struct BytesChunks(Bytes);

impl AsyncStream for BytesChunks {
    type Item = Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Bytes>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.0.len().min(CHUNK);
        Poll::Ready(Some(Ok(self.0.split_to(size))))
    }
}

/// Chunks on their way out.
struct ChunkMessages(Chunks);

impl AsyncStream for ChunkMessages {
    type Item = Result<Message>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Message>>> {
        self.0.as_mut().poll_next(cx).map_ok(|body| Message {
            body,
            attachments: Vec::new(),
        })
    }
}

/// Chunks on their way in; they must add up to the length announced.
struct ReceivedChunks {
    attachment: Attachment,
    expected: Option<u64>,
    received: u64,
    ended: bool,
}

impl AsyncStream for ReceivedChunks {
    type Item = Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Bytes>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = task::ready!(self.attachment.poll_next(cx));
        let differs = |received: u64, expected: u64| {
            let message = format!("the blob was to have {expected} bytes, {received} came");
            Some(Err(Error::new(Code::DataLoss, message)))
        };
        let item = match (next, self.expected) {
            (Some(Ok(message)), expected) => {
                self.received += message.body.len() as u64;
                match expected {
                    Some(expected) if self.received > expected => differs(self.received, expected),
                    Some(_) | None => Some(Ok(message.body)),
                }
            }
            (Some(Err(error)), _) => Some(Err(error)),
            (None, Some(expected)) if self.received != expected => differs(self.received, expected),
            (None, _) => None,
        };
        self.ended = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

/// What a reader gives, in chunks.
struct ReaderChunks {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    /// Where it is read to; empty while nothing was asked for.
    room: Vec<u8>,
    /// What was read and waits for its turn.
    read: Bytes,
    /// Bytes to ask for.
    ask: usize,
}

impl ReaderChunks {
    fn new(reader: impl AsyncRead + Send + 'static) -> Self {
        Self {
            reader: Box::pin(reader),
            room: Vec::new(),
            read: Bytes::new(),
            ask: CHUNK,
        }
    }

    /// Reads, if all that was read is gone. Nothing is there at the end.
    fn poll_read(&mut self, cx: &mut task::Context<'_>) -> Poll<std::io::Result<()>> {
        if !self.read.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // `ask` stays as it is until something comes.
        self.room.resize(self.ask, 0);
        let mut buffer = tokio::io::ReadBuf::new(&mut self.room);
        task::ready!(self.reader.as_mut().poll_read(cx, &mut buffer))?;
        let filled = buffer.filled().len();
        self.ask = match filled == self.ask {
            true => (2 * self.ask).min(READ_MAX),
            false => CHUNK,
        };
        let mut room = std::mem::take(&mut self.room);
        room.truncate(filled);
        self.read = room.into();
        Poll::Ready(Ok(()))
    }
}

impl AsyncStream for ReaderChunks {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = self.get_mut();
        let failed =
            |error| Error::new(Code::DataLoss, "the blob's source failed").with_source(error);
        Poll::Ready(match task::ready!(this.poll_read(cx)) {
            Ok(()) if this.read.is_empty() => None,
            Ok(()) => {
                let size = this.read.len().min(CHUNK);
                Some(Ok(this.read.split_to(size)))
            }
            Err(error) => Some(Err(failed(error))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::codec::Codec;

    #[tokio::test]
    async fn a_blob_of_any_size_survives_each_codec() {
        for size in [0, 1, INLINE_MAX, INLINE_MAX + 1, 5 * CHUNK + 3] {
            let bytes: Vec<u8> = (0..size).map(|i| i as u8).collect();
            for codec in [Codec::Compact, Codec::MESSAGE_PACK, Codec::JSON] {
                let message = Message::encode(codec, &Blob::from(bytes.clone())).unwrap();

                let blob: Blob = message.decode(codec).unwrap();

                assert_eq!(blob.bytes(u64::MAX).await.unwrap(), bytes);
            }
        }
    }

    #[tokio::test]
    async fn a_large_blob_is_not_copied_into_the_message() {
        let message = Message::encode(Codec::Compact, &Blob::from(vec![7; 1 << 20])).unwrap();

        assert!(message.body.len() < 16);
        assert_eq!(message.attachments.len(), 1);
    }

    #[tokio::test]
    async fn a_blob_larger_than_asked_for_is_refused() {
        let error = Blob::from(vec![0; 11]).bytes(10).await.unwrap_err();

        assert_eq!(error.code(), Code::TooLarge);
    }

    #[tokio::test]
    async fn a_source_that_ends_early_is_data_loss() {
        let short = Blob::from_chunks(Some(40_000), BytesChunks(Bytes::from(vec![0; 30_000])));
        let message = Message::encode(Codec::Compact, &short).unwrap();

        let received: Blob = message.decode(Codec::Compact).unwrap();

        assert_eq!(
            received.bytes(u64::MAX).await.unwrap_err().code(),
            Code::DataLoss
        );
    }

    #[tokio::test]
    async fn a_source_can_be_sent_once() {
        let blob = Blob::from_reader(None, tokio::io::empty());

        assert!(Message::encode(Codec::Compact, &blob).is_ok());
        let error = Message::encode(Codec::Compact, &blob).unwrap_err();

        assert!(error.to_string().contains("read or sent before"), "{error}");
    }
}
