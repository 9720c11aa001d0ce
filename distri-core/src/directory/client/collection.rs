//! A collection as programs use it.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    ops::{Bound, RangeBounds},
    pin::Pin,
};

use data_encoding::BASE32_NOPAD;
use serde::{Serialize, de::DeserializeOwned};

use super::{Directory, WatchFrom, content, not_a};
use crate::{
    directory::{
        Document, Field, Filter, Json, Lease, Operation, Page, Query, Refusal, Sort,
        command::{Command, Outcome, Transaction},
        protocol,
    },
    error::{Code, Error, Result},
    world,
};

/// How often [`Collection::update`] tries again when others change the document meanwhile.
const UPDATE_TRIES: u32 = 64;

/// A collection of `T`s. Cheap to clone.
pub struct Collection<T = Json> {
    directory: Directory,
    name: String,
    lease: Option<u64>,
    content: PhantomData<fn() -> T>,
}

impl<T> Collection<T> {
    pub(super) fn new(directory: Directory, name: String) -> Self {
        Self {
            directory,
            name,
            lease: None,
            content: PhantomData,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same collection, read as the node that is asked has it.
    #[must_use]
    pub fn local(&self) -> Self {
        Self {
            directory: self.directory.local(),
            ..self.clone()
        }
    }

    /// The same collection; what is inserted or put through it ends with `lease`.
    #[must_use]
    pub fn with_lease(&self, lease: &Lease) -> Self {
        Self {
            lease: Some(lease.id()),
            ..self.clone()
        }
    }

    /// How many documents match.
    ///
    /// # Errors
    /// [`Refusal::NoCollection`], [`Refusal::Denied`], [`Refusal::TooLarge`] for the filter.
    pub async fn count(&self, filter: Filter) -> Result<u64> {
        let arguments = protocol::Count {
            collection: self.name.clone(),
            filter,
            local: self.directory.local,
        };
        self.directory.ask(protocol::COUNT, arguments).await
    }

    /// Removes the document `id`.
    ///
    /// # Errors
    /// [`Refusal::Missing`] if there is none, [`Refusal::Denied`].
    pub async fn delete(&self, id: impl Into<String>) -> Result<u64> {
        self.remove(id.into(), None).await
    }

    /// Removes the document `id` if it was last changed at `revision`.
    ///
    /// # Errors
    /// [`Refusal::Revision`], and as [`Collection::delete`].
    pub async fn delete_if(&self, id: impl Into<String>, revision: u64) -> Result<u64> {
        self.remove(id.into(), Some(revision)).await
    }

    async fn remove(&self, id: String, revision: Option<u64>) -> Result<u64> {
        let collection = self.name.clone();
        let outcome = self
            .one(Operation::Delete {
                collection,
                id,
                revision,
            })
            .await?;
        Ok(outcome.revision)
    }

    async fn one(&self, operation: Operation) -> Result<Outcome> {
        let transaction = Transaction::new().then(operation);
        self.directory.write(Command::Transact(transaction)).await
    }

    /// Follows the changes of all documents from now on; [`WatchFrom`] says more.
    pub fn watch(&self) -> WatchFrom<T> {
        WatchFrom::new(self.directory.clone(), self.name.clone())
    }
}

impl<T: Serialize> Collection<T> {
    /// Adds a document. Returns its revision.
    ///
    /// # Errors
    /// [`Refusal::Exists`] if `id` is taken, [`Refusal::Schema`], [`Refusal::NotUnique`],
    /// [`Refusal::Denied`], [`Refusal::NoCollection`], [`Refusal::TooLarge`],
    /// [`Refusal::NoLease`].
    pub async fn insert(&self, id: impl Into<String>, value: &T) -> Result<u64> {
        let operation = Operation::Insert {
            collection: self.name.clone(),
            id: id.into(),
            value: content(value)?,
            lease: self.lease,
        };
        Ok(self.one(operation).await?.revision)
    }

    /// Adds a document under a new id of 128 random bits, which it returns.
    ///
    /// # Errors
    /// As [`Collection::insert`], but for [`Refusal::Exists`].
    pub async fn insert_new(&self, value: &T) -> Result<String> {
        let mut bits = [0; 16];
        bits[..8].copy_from_slice(&world::dice().to_be_bytes());
        bits[8..].copy_from_slice(&world::dice().to_be_bytes());
        let id = BASE32_NOPAD.encode(&bits).to_ascii_lowercase();
        self.insert(id.clone(), value).await?;
        Ok(id)
    }

    /// Adds a document, or replaces the content of the one with that id. Returns its revision.
    ///
    /// # Errors
    /// As [`Collection::insert`], but for [`Refusal::Exists`].
    pub async fn put(&self, id: impl Into<String>, value: &T) -> Result<u64> {
        let operation = Operation::Put {
            collection: self.name.clone(),
            id: id.into(),
            value: content(value)?,
            lease: self.lease,
        };
        Ok(self.one(operation).await?.revision)
    }

    /// Replaces a document that was last changed at `revision`. Returns its new revision.
    ///
    /// # Errors
    /// [`Refusal::Revision`] if somebody changed it meanwhile, [`Refusal::Missing`], and as
    /// [`Collection::insert`].
    pub async fn replace_if(&self, id: impl Into<String>, revision: u64, value: &T) -> Result<u64> {
        let operation = Operation::Replace {
            collection: self.name.clone(),
            id: id.into(),
            revision,
            value: content(value)?,
        };
        Ok(self.one(operation).await?.revision)
    }
}

impl<T: DeserializeOwned> Collection<T> {
    /// The document `id`, if there is one.
    ///
    /// # Errors
    /// [`Refusal::NoCollection`], [`Refusal::Denied`]; [`Code::Incompatible`] if it is not a `T`.
    pub async fn get(&self, id: impl Into<String>) -> Result<Option<Document<T>>> {
        let arguments = protocol::Get {
            collection: self.name.clone(),
            id: id.into(),
            local: self.directory.local,
        };
        let found: Option<Document> = self.directory.ask(protocol::GET, arguments).await?;
        found.map(|document| self.typed(document)).transpose()
    }

    /// Merges a patch into the document `id` (RFC 7396: members replace, `null` removes). Returns
    /// it as it then stands.
    ///
    /// # Errors
    /// [`Refusal::Missing`], and as [`Collection::insert`].
    pub async fn merge<P: Serialize + ?Sized>(
        &self,
        id: impl Into<String>,
        patch: &P,
    ) -> Result<Document<T>> {
        let operation = Operation::Merge {
            collection: self.name.clone(),
            id: id.into(),
            patch: content(patch)?,
        };
        self.changed(operation).await
    }

    /// Adds `by` to the number `field` of the document `id`, if the sum is within `bounds`; `..`
    /// bounds nothing. Returns the document as it then stands.
    ///
    /// # Errors
    /// [`Refusal::Bounds`], [`Refusal::Missing`], [`Refusal::Invalid`] if the field is no number.
    pub async fn add(
        &self,
        id: impl Into<String>,
        field: impl Into<String>,
        by: i64,
        bounds: impl RangeBounds<i64>,
    ) -> Result<Document<T>> {
        let number = |number: i64| Json::from(serde_json::Value::from(number));
        let min = match bounds.start_bound() {
            Bound::Included(min) => Some(number(*min)),
            Bound::Excluded(min) => Some(number(min.saturating_add(1))),
            Bound::Unbounded => None,
        };
        let max = match bounds.end_bound() {
            Bound::Included(max) => Some(number(*max)),
            Bound::Excluded(max) => Some(number(max.saturating_sub(1))),
            Bound::Unbounded => None,
        };
        let operation = Operation::Add {
            collection: self.name.clone(),
            id: id.into(),
            field: field.into(),
            by: number(by),
            min,
            max,
        };
        self.changed(operation).await
    }

    async fn changed(&self, operation: Operation) -> Result<Document<T>> {
        let outcome = self.one(operation).await?;
        let document = outcome.documents.into_iter().next().ok_or_else(|| {
            Error::new(Code::Incompatible, "the node did not return the document")
        })?;
        self.typed(document)
    }

    /// Documents that match `filter`, in the order of their ids, a page of a hundred; [`Find`]
    /// changes that.
    pub fn find(&self, filter: Filter) -> Find<T> {
        let mut query = Query::new(self.name.clone());
        query.filter = filter;
        Find {
            collection: self.clone(),
            query,
        }
    }

    fn typed(&self, document: Document) -> Result<Document<T>> {
        let id = document.id.clone();
        document
            .typed()
            .map_err(|error| not_a::<T>(&self.name, &id, error))
    }
}

impl<T: Serialize + DeserializeOwned> Collection<T> {
    /// Reads the document `id`, lets `change` change it, and replaces it; again from the start if
    /// somebody else changed it meanwhile. Returns what was written.
    ///
    /// # Errors
    /// [`Refusal::Missing`]; what `change` returns; as [`Collection::replace_if`], with
    /// [`Refusal::Revision`] only if others were faster 64 times in a row.
    pub async fn update<E>(
        &self,
        id: impl Into<String>,
        mut change: impl FnMut(&mut T) -> Result<(), E>,
    ) -> Result<T>
    where
        Error: From<E>,
    {
        let id = id.into();
        let mut tries = 0;
        loop {
            let Some(document) = self.get(id.as_str()).await? else {
                let collection = self.name.clone();
                return Err(Refusal::Missing { collection, id }.into());
            };
            let mut value = document.value;
            change(&mut value)?;
            tries += 1;
            match self
                .replace_if(id.as_str(), document.revision, &value)
                .await
            {
                Ok(_) => return Ok(value),
                Err(error)
                    if tries < UPDATE_TRIES
                        && matches!(error.details(), Some(Refusal::Revision { .. })) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self {
            directory: self.directory.clone(),
            name: self.name.clone(),
            lease: self.lease,
            content: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collection({})", self.name)
    }
}

/// A search about to be made; `.await` makes it and gives the first [`Page`].
#[must_use = "a search does nothing until it is awaited"]
pub struct Find<T> {
    collection: Collection<T>,
    query: Query,
}

impl<T> Find<T> {
    /// Orders by `field`, after the fields given before, from the least to the greatest.
    pub fn sort(self, field: impl Into<Field>) -> Self {
        self.by(field.into(), false)
    }

    /// Orders by `field`, after the fields given before, from the greatest to the least.
    pub fn sort_descending(self, field: impl Into<Field>) -> Self {
        self.by(field.into(), true)
    }

    fn by(mut self, field: Field, descending: bool) -> Self {
        self.query.sort.push(Sort { field, descending });
        self
    }

    /// At most so many documents a page.
    pub fn limit(mut self, limit: u32) -> Self {
        self.query.limit = limit;
        self
    }

    /// Goes on where the page that gave this cursor ended.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.query.cursor = Some(cursor.into());
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> Find<T> {
    /// All documents, page after page.
    ///
    /// # Errors
    /// As the search itself; [`Code::TooLarge`] if there are more than `max`.
    pub async fn all(mut self, max: usize) -> Result<Vec<Document<T>>> {
        let mut all = Vec::new();
        loop {
            let page = self.page().await?;
            if all.len() + page.documents.len() > max {
                let message = format!("the search finds more than {max} documents");
                return Err(Error::new(Code::TooLarge, message));
            }
            all.extend(page.documents);
            match page.cursor {
                Some(cursor) => self.query.cursor = Some(cursor),
                None => return Ok(all),
            }
        }
    }

    async fn page(&self) -> Result<Page<T>> {
        let directory = &self.collection.directory;
        let arguments = protocol::Find {
            query: self.query.clone(),
            local: directory.local,
        };
        let page: Page = directory.ask(protocol::FIND, arguments).await?;
        let documents = page
            .documents
            .into_iter()
            .map(|document| self.collection.typed(document))
            .collect::<Result<_>>()?;
        Ok(Page {
            documents,
            cursor: page.cursor,
            revision: page.revision,
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for Find<T> {
    /// # Errors
    /// [`Refusal::NoCollection`], [`Refusal::Denied`], [`Refusal::TooLarge`] for the filter,
    /// [`Refusal::Cursor`]; [`Code::Incompatible`] if a document is not a `T`.
    type Output = Result<Page<T>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.page().await })
    }
}

impl<T> fmt::Debug for Find<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Find").field(&self.query).finish()
    }
}
