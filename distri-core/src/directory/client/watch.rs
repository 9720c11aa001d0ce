//! Following a collection.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};

use serde::de::DeserializeOwned;

use super::{Directory, not_a};
use crate::{
    directory::{
        Event, Events, Filter, Refusal,
        protocol::{self, descriptor},
    },
    error::{Code, Error, Result},
    message::Stream,
    world,
};

/// How long a watch may last at one node. Long enough to be for ever; a watch goes on at another.
const FOR_EVER: Duration = Duration::from_secs(40 * 24 * 3600);

/// The pause before a watch that broke is begun again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a watch that broke is tried again before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A watch about to begin; `.await` begins it.
#[must_use = "a watch does nothing until it is awaited"]
pub struct WatchFrom<T> {
    directory: Directory,
    collection: String,
    filter: Option<Filter>,
    after: Option<u64>,
    content: PhantomData<fn() -> T>,
}

impl<T> WatchFrom<T> {
    pub(super) fn new(directory: Directory, collection: String) -> Self {
        Self {
            directory,
            collection,
            filter: None,
            after: None,
            content: PhantomData,
        }
    }

    /// Tells what was changed after `revision`, such as [`super::super::Page::revision`] of a
    /// search: nothing is missed in between.
    pub fn after(mut self, revision: u64) -> Self {
        self.after = Some(revision);
        self
    }

    /// Tells of documents that match. One that matched and no longer does is told as deleted.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }
}

impl<T: DeserializeOwned> IntoFuture for WatchFrom<T>
where
    T: 'static,
{
    /// # Errors
    /// [`Refusal::Compacted`] if what was changed since `after` is kept no longer;
    /// [`Refusal::NoCollection`], [`Refusal::Denied`].
    type Output = Result<Watch<T>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut watch = Watch {
                from: self,
                stream: None,
                first: None,
            };
            // The first events say from where the watch runs, also when it has to go on elsewhere.
            let first = watch.events().await?;
            watch.first = (!first.events.is_empty()).then_some(first);
            Ok(watch)
        })
    }
}

/// The changes of a collection, in order, each once, also when nodes come and go meanwhile.
pub struct Watch<T> {
    from: WatchFrom<T>,
    stream: Option<Stream<Events>>,
    first: Option<Events>,
}

impl<T: DeserializeOwned> Watch<T> {
    /// The revision up to which everything has been told. A later watch may go on after it.
    pub fn revision(&self) -> u64 {
        self.from.after.unwrap_or(0)
    }

    /// The next changes: all of one revision or of several, never a part of one.
    ///
    /// # Errors
    /// [`Refusal::Compacted`] if this end was so slow that events it has not had are no longer
    /// kept: read the collection again and watch from there. [`Code::Incompatible`] if a document
    /// is not a `T`; [`Code::Unavailable`] if no node could be reached for 30 seconds.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Events<T>> {
        let events = match self.first.take() {
            Some(first) => first,
            None => loop {
                let events = self.events().await?;
                if !events.events.is_empty() {
                    break events;
                }
            },
        };
        let collection = &self.from.collection;
        let typed = |event| match event {
            Event::Put(document) => {
                let id = document.id.clone();
                let document = document
                    .typed()
                    .map_err(|error| not_a::<T>(collection, &id, error))?;
                Ok(Event::Put(document))
            }
            Event::Deleted {
                id,
                revision,
                expired,
            } => Ok(Event::Deleted {
                id,
                revision,
                expired,
            }),
        };
        Ok(Events {
            events: events
                .events
                .into_iter()
                .map(typed)
                .collect::<Result<_>>()?,
            revision: events.revision,
        })
    }

    /// What the node tells next, or another node where one breaks off.
    async fn events(&mut self) -> Result<Events> {
        let mut until = world::now() + PATIENCE;
        loop {
            let failure = match self.told().await {
                Ok(events) => {
                    // A node that is behind tells again what another has told.
                    let seen = self.from.after.unwrap_or(0);
                    let fresh = events
                        .events
                        .into_iter()
                        .filter(|event| self.from.after.is_none() || event.revision() > seen)
                        .collect();
                    let revision = events.revision.max(seen);
                    self.from.after = Some(revision);
                    return Ok(Events {
                        events: fresh,
                        revision,
                    });
                }
                Err(error) => error,
            };
            if self.stream.take().is_some() {
                // However long nothing was told: so far a node was there.
                until = world::now() + PATIENCE;
            }
            if failure.details::<Refusal>().is_some()
                || !may_go_on(failure.code())
                || world::now() >= until
            {
                return Err(failure);
            }
            world::pause(PAUSE).await;
        }
    }

    async fn told(&mut self) -> Result<Events> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let arguments = protocol::Watch {
                    collection: self.from.collection.clone(),
                    filter: self.from.filter.clone(),
                    after: self.from.after,
                };
                let client = &self.from.directory.client;
                let stream = client
                    .call(descriptor(), protocol::WATCH, arguments)
                    .timeout(FOR_EVER)
                    .await?;
                self.stream.insert(stream)
            }
        };
        match stream.next().await {
            Some(events) => events,
            None => Err(Error::new(Code::Unavailable, "the node ended the watch")),
        }
    }
}

fn may_go_on(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::UnknownOutcome
            | Code::Cancelled
            | Code::Busy
            | Code::DeadlineExceeded
            | Code::Internal
    )
}

impl<T> fmt::Debug for WatchFrom<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchFrom")
            .field("collection", &self.collection)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.from).finish()
    }
}
