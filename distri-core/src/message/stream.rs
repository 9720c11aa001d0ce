//! [`Stream`]: a sequence of items as an argument or result.

use std::{
    borrow::Cow,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{self, Poll},
};

use futures_core::Stream as AsyncStream;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, Visitor},
    ser,
};
use tokio::sync::mpsc;

use crate::{
    error::{Code, Error, Result},
    message::{
        attachment::{self, Attachment},
        codec::{Codec, Message},
    },
};

/// Items that arrive one after another, as an argument or result of a method.
///
/// The sender goes no faster than the receiver reads (each stream has its own flow control), and
/// dropping a stream tells the sender to stop. A stream is read or sent once.
///
/// In JSON from people a stream is an array.
pub struct Stream<T> {
    /// Locked only to take, never while waiting.
    items: Mutex<Option<Items<T>>>,
}

type Items<T> = Pin<Box<dyn AsyncStream<Item = Result<T>> + Send>>;

impl<T: Send + 'static> Stream<T> {
    /// A stream of what `items` gives. An error ends it.
    pub fn new(items: impl AsyncStream<Item = Result<T>> + Send + 'static) -> Self {
        Self {
            items: Mutex::new(Some(Box::pin(items))),
        }
    }

    /// A stream of items that are at hand. (Not `FromIterator`: nothing is collected, items are
    /// taken from the iterator as the receiver reads.)
    pub fn from_items<I>(items: I) -> Self
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        Self::new(IterItems(Box::new(items.into_iter())))
    }

    /// A stream fed from elsewhere: at most `room` items wait between sender and receiver.
    pub fn channel(room: usize) -> (StreamSender<T>, Self) {
        let (sender, receiver) = mpsc::channel(room.max(1));
        (StreamSender { sender }, Self::new(ReceiverItems(receiver)))
    }

    /// The next item, or `None` at the end.
    ///
    /// # Errors
    /// What the sender ended the stream with; what an item fails to decode with.
    ///
    /// # Cancel safety
    /// Dropping the future loses no item.
    pub async fn next(&mut self) -> Option<Result<T>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// All items, of which there may be at most `max`.
    ///
    /// # Errors
    /// As [`Stream::next`]; [`Code::TooLarge`] if there are more.
    pub async fn collect(mut self, max: usize) -> Result<Vec<T>> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            if items.len() == max {
                let message = format!("the stream has more than {max} items");
                return Err(Error::new(Code::TooLarge, message));
            }
            items.push(item?);
        }
        Ok(items)
    }
}

impl<T> Stream<T> {
    fn take_items(&self) -> Option<Items<T>> {
        self.items
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The sending half of [`Stream::channel`]. Dropping it ends the stream.
#[derive(Debug)]
pub struct StreamSender<T> {
    sender: mpsc::Sender<Result<T>>,
}

impl<T> Clone for StreamSender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
        }
    }
}

impl<T: Send + 'static> StreamSender<T> {
    /// Sends an item when there is room.
    ///
    /// # Errors
    /// [`Code::Cancelled`] if the receiver is gone.
    ///
    /// # Cancel safety
    /// Dropping the future sends nothing.
    pub async fn send(&self, item: T) -> Result<()> {
        self.sender
            .send(Ok(item))
            .await
            .map_err(|_| receiver_gone())
    }

    /// Ends the stream with an error, when there is room for it.
    ///
    /// # Errors
    /// [`Code::Cancelled`] if the receiver is gone.
    pub async fn fail(self, error: impl Into<Error>) -> Result<()> {
        self.sender
            .send(Err(error.into()))
            .await
            .map_err(|_| receiver_gone())
    }

    /// Waits until the receiver is gone.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Does `work`, which sends with a clone of this, until it ends or the receiver is gone. If it
    /// fails, its error is the last that the receiver gets.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work` where it stands.
    pub async fn drive(self, work: impl Future<Output = Result<()>>) {
        let done = tokio::select! {
            biased;
            () = self.closed() => return,
            done = work => done,
        };
        if let Err(error) = done {
            // The receiver may have gone meanwhile; then nobody is there to be told.
            let _ = self.fail(error).await;
        }
    }
}

fn receiver_gone() -> Error {
    Error::new(Code::Cancelled, "the receiver of the stream is gone")
}

impl<T> AsyncStream for Stream<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<T>>> {
        let slot = self
            .get_mut()
            .items
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(items) = slot else {
            return Poll::Ready(None);
        };
        let next = task::ready!(items.as_mut().poll_next(cx));
        // After its end or an error there is nothing more, whatever the source would say.
        if !matches!(next, Some(Ok(_))) {
            *slot = None;
        }
        Poll::Ready(next)
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream<{}>", std::any::type_name::<T>())
    }
}

/// A stream beside a JSON message.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttachedJson {
    #[serde(rename = "$stream")]
    place: u32,
}

impl<T: Serialize + Send + 'static> Serialize for Stream<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items = self.take_items().ok_or_else(|| {
            ser::Error::custom(attachment::problem(
                "the stream has been read or sent before",
            ))
        })?;
        let place = attachment::attach(|codec| Attachment::new(EncodedItems { items, codec }))
            .ok_or_else(|| ser::Error::custom("a stream can only be sent in a call"))?;
        if serializer.is_human_readable() {
            AttachedJson { place }.serialize(serializer)
        } else {
            place.serialize(serializer)
        }
    }
}

impl<'de, T: DeserializeOwned + Send + 'static> Deserialize<'de> for Stream<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(ReadableVisitor(PhantomData));
        }
        attached(u32::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn attached<T: DeserializeOwned + Send + 'static>(place: u32) -> Result<Stream<T>, String> {
    let (codec, attachment) = attachment::detach(place)?;
    Ok(Stream::new(DecodedItems {
        attachment,
        codec,
        item: PhantomData,
    }))
}

struct ReadableVisitor<T>(PhantomData<fn() -> T>);

impl<'de, T: DeserializeOwned + Send + 'static> Visitor<'de> for ReadableVisitor<T> {
    type Value = Stream<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of the stream's items")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Stream<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Stream::from_items(items))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Stream<T>, A::Error> {
        let AttachedJson { place } =
            AttachedJson::deserialize(de::value::MapAccessDeserializer::new(map))?;
        attached(place).map_err(de::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for Stream<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Stream_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({ "type": "array", "items": items, "x-distri": "stream" })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Boxed, so that an iterator of any kind may move.
struct IterItems<I>(Box<I>);

impl<I: Iterator> AsyncStream for IterItems<I> {
    type Item = Result<I::Item>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<I::Item>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

struct ReceiverItems<T>(mpsc::Receiver<Result<T>>);

impl<T> AsyncStream for ReceiverItems<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<T>>> {
        self.0.poll_recv(cx)
    }
}

/// Items on their way out.
struct EncodedItems<T> {
    items: Items<T>,
    codec: Codec,
}

impl<T: Serialize> AsyncStream for EncodedItems<T> {
    type Item = Result<Message>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Message>>> {
        let codec = self.codec;
        self.items
            .as_mut()
            .poll_next(cx)
            .map(|next| next.map(|item| Message::encode(codec, &item?)))
    }
}

/// Items on their way in.
struct DecodedItems<T> {
    attachment: Attachment,
    codec: Codec,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> AsyncStream for DecodedItems<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<T>>> {
        let codec = self.codec;
        self.attachment
            .poll_next(cx)
            .map(|next| next.map(|message| message?.decode(codec)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn items_survive_each_codec_in_order() {
        for codec in [Codec::Compact, Codec::MESSAGE_PACK, Codec::JSON] {
            let message = Message::encode(codec, &Stream::from_items(0..100_u32)).unwrap();

            let stream: Stream<u32> = message.decode(codec).unwrap();

            assert_eq!(
                stream.collect(100).await.unwrap(),
                (0..100).collect::<Vec<_>>()
            );
        }
    }

    #[tokio::test]
    async fn an_array_in_json_is_a_stream() {
        let mut stream: Stream<u32> = serde_json::from_str("[3, 4]").unwrap();

        assert_eq!(stream.next().await.unwrap().unwrap(), 3);
        assert_eq!(stream.next().await.unwrap().unwrap(), 4);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn work_that_fails_tells_the_receiver_last() {
        let (sender, mut stream) = Stream::<u32>::channel(4);
        let out = sender.clone();

        let driven = sender.drive(async move {
            out.send(1).await?;
            Err(Error::not_found("no more"))
        });
        driven.await;

        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        let last = stream.next().await.unwrap().unwrap_err();
        assert_eq!(last.code(), Code::NotFound);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn work_ends_when_the_receiver_is_gone() {
        let (sender, stream) = Stream::<u32>::channel(4);
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let driven = sender.drive(async move {
            let _held = held;
            std::future::pending().await
        });

        drop(stream);
        driven.await;

        assert!(dropped.await.is_err(), "the work was dropped");
    }

    #[tokio::test]
    async fn an_error_ends_a_stream() {
        let (sender, mut stream) = Stream::<u32>::channel(4);
        sender.send(1).await.unwrap();
        sender.fail(Error::not_found("no more")).await.unwrap();

        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        assert_eq!(
            stream.next().await.unwrap().unwrap_err().code(),
            Code::NotFound
        );
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_sender_learns_that_the_receiver_is_gone() {
        let (sender, stream) = Stream::<u32>::channel(1);
        drop(stream);

        assert_eq!(sender.send(1).await.unwrap_err().code(), Code::Cancelled);
    }
}
