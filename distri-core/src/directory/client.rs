//! The directory as programs use it.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    CollectionInfo, CollectionSpec, Committed, Json, Transaction,
    command::{Command, Outcome, RequestId},
    json::InvalidJson,
    protocol::{self, Collections, Write, Written, descriptor},
};
use crate::{
    client::Client,
    error::{Code, Error, Result},
    fence::Fence,
    id::PublicKey,
    world,
};

mod collection;
mod lease;
mod watch;

pub use collection::{Collection, Find};
pub use lease::Lease;
pub use watch::{Watch, WatchFrom};

/// How long a write or a linearizable read may take, an election in between included.
const PATIENCE: Duration = Duration::from_secs(15);

/// The directory of a cloud: typed with [`Directory::collection`], or as JSON.
///
/// Writes are acknowledged when a majority of the voters has them on disk; a write that is tried
/// again, by itself after a failure or by the caller's patience with one future, takes effect
/// once. Reads see every write acknowledged before they began, unless [`Directory::local`] asks
/// for what is at hand. Refusals are typed: `error.details::<Refusal>()`.
///
/// Cheap to clone.
///
/// ```no_run
/// # extern crate distri_core as distri;
/// # async fn example(client: distri::Client) -> distri::Result<()> {
/// use distri::directory::{CollectionSpec, Filter};
///
/// #[distri::message]
/// #[derive(Debug)]
/// struct Image {
///     title: String,
///     bytes: u64,
/// }
///
/// let directory = client.directory();
/// directory.create(CollectionSpec::new("images").index(["bytes"])).await?;
/// let images = directory.collection::<Image>("images");
/// images.insert("cat", &Image { title: "A cat".into(), bytes: 1200 }).await?;
/// let large = images.find(Filter::ge("bytes", 1000)).await?;
/// assert_eq!(large.documents[0].value.title, "A cat");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Directory {
    client: Client,
    local: bool,
    timeout: Duration,
}

/// The numbering of a program's writes, by which a repeated one is recognised.
#[derive(Debug)]
pub(crate) struct Session {
    id: u128,
    next: AtomicU64,
    open: Mutex<BTreeSet<u64>>,
    leader: Mutex<Option<PublicKey>>,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            id: u128::from(world::dice()) << 64 | u128::from(world::dice()),
            next: AtomicU64::new(1),
            open: Mutex::default(),
            leader: Mutex::default(),
        }
    }

    pub(super) fn begin(&self) -> Opened<'_> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        open.insert(serial);
        let acknowledged = open.first().copied().unwrap_or(serial);
        Opened {
            session: self,
            id: RequestId {
                session: self.id,
                serial,
                acknowledged,
            },
        }
    }

    fn leader(&self) -> Option<PublicKey> {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_leader(&self, leader: Option<PublicKey>) {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner) = leader;
    }
}

/// A request that waits for its reply.
pub(super) struct Opened<'a> {
    session: &'a Session,
    id: RequestId,
}

impl Opened<'_> {
    pub(super) fn id(&self) -> RequestId {
        self.id
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let open = &self.session.open;
        open.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id.serial);
    }
}

impl Client {
    /// The directory of the cloud.
    pub fn directory(&self) -> Directory {
        Directory {
            client: self.clone(),
            local: false,
            timeout: PATIENCE,
        }
    }
}

impl Directory {
    /// The same directory, read as the node that is asked has it: fast, and perhaps a little old. What a
    /// node reads for itself or its services it reads from its own replica, without a message.
    #[must_use]
    pub fn local(&self) -> Self {
        Self {
            local: true,
            ..self.clone()
        }
    }

    /// The same directory; what is written through it is refused with [`super::Refusal::Fenced`] once
    /// somebody else may hold the election. `fence` is a [`Fence`] or a reference to a `Leadership`.
    #[must_use]
    pub fn under(&self, fence: impl Into<Fence>) -> Self {
        Self {
            client: self.client.under(fence),
            ..self.clone()
        }
    }

    /// The same directory, with `timeout` for each request instead of 15 seconds.
    #[must_use]
    pub fn timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    /// The collection `name`, with documents that are `T`s; `serde_json::Value` or [`Json`] take
    /// any. Whether there is such a collection shows when it is used.
    pub fn collection<T>(&self, name: impl Into<String>) -> Collection<T> {
        Collection::new(self.clone(), name.into())
    }

    /// Creates a collection, or makes the one of that name as `spec` says. What is so already is
    /// left as it is.
    ///
    /// # Errors
    /// [`super::Refusal::Invalid`] names what is wrong with `spec`; [`super::Refusal::Schema`] and
    /// [`super::Refusal::NotUnique`] a document that does not fit it; [`super::Refusal::Denied`]
    /// to clients without the role `admin`.
    pub async fn create(&self, spec: CollectionSpec) -> Result<()> {
        self.write(Command::CreateCollection(spec)).await.map(drop)
    }

    /// Drops a collection with its documents.
    ///
    /// # Errors
    /// [`super::Refusal::NoCollection`], [`super::Refusal::Denied`].
    pub async fn drop_collection(&self, name: impl Into<String>) -> Result<()> {
        let name = name.into();
        self.write(Command::DropCollection { name }).await.map(drop)
    }

    /// The collections, sorted by name.
    ///
    /// # Errors
    /// As any call.
    pub async fn collections(&self) -> Result<Vec<CollectionInfo>> {
        let arguments = Collections { local: self.local };
        self.ask(protocol::COLLECTIONS, arguments).await
    }

    /// Does a transaction, wholly or not at all.
    ///
    /// # Errors
    /// [`super::Refusal::Condition`] if a condition does not hold, and what its operations are
    /// refused with. [`Code::UnknownOutcome`] or [`Code::DeadlineExceeded`] if it cannot be known
    /// in time whether it took effect.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it takes effect.
    pub async fn transaction(&self, transaction: Transaction) -> Result<Committed> {
        let outcome = self.write(Command::Transact(transaction)).await?;
        Ok(Committed {
            revision: outcome.revision,
            documents: outcome.documents,
        })
    }

    /// A lease: documents put with it are deleted when `ttl` has passed without
    /// [`Lease::keep_alive`].
    ///
    /// # Errors
    /// [`super::Refusal::Invalid`] if `ttl` is outside [`super::limits::LEASE`].
    pub async fn lease(&self, ttl: Duration) -> Result<Lease> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let outcome = self.write(Command::GrantLease { ttl_ms }).await?;
        let id = outcome.lease.ok_or_else(|| {
            Error::new(
                Code::Incompatible,
                "the node granted a lease without a number",
            )
        })?;
        Ok(Lease::new(self.clone(), id, ttl))
    }

    /// The lease with this number, granted earlier to this same key, perhaps to another program.
    /// `ttl` says how often [`Lease::hold`] renews it.
    pub fn lease_of(&self, id: u64, ttl: Duration) -> Lease {
        Lease::new(self.clone(), id, ttl)
    }

    /// The node that led when this program last wrote; writes go there first. `None` before.
    pub fn leader(&self) -> Option<PublicKey> {
        self.client.pool().session().leader()
    }

    async fn write(&self, command: Command) -> Result<Outcome> {
        let session = self.client.pool().session();
        let (request, _opened) = match self.client.writes() {
            Some(writes) => (writes.next()?, None),
            None => {
                let opened = session.begin();
                (opened.id, Some(opened))
            }
        };
        let write = Write {
            request: Some(request),
            command,
        };
        let mut call = self
            .client
            .call::<_, Written>(descriptor(), protocol::WRITE, write)
            .timeout(self.timeout);
        if let Some(leader) = session.leader() {
            call = call.prefer(leader);
        }
        let Written { outcome, leader } = call.await?;
        session.set_leader(leader);
        #[cfg(feature = "testing")]
        world::process::observe(|| world::process::Observation::Acknowledged(outcome.revision));
        Ok(outcome)
    }

    async fn ask<A, R>(&self, method: usize, arguments: A) -> Result<R>
    where
        A: Serialize + Send + 'static,
        R: DeserializeOwned + Send + 'static,
    {
        let mut call = self
            .client
            .call(descriptor(), method, arguments)
            .timeout(self.timeout);
        if self.local {
            // That of no node where this is a program that only calls.
            call = call.prefer(self.client.key());
        }
        call.await
    }
}

/// `value` as the content of a document.
fn content<T: Serialize + ?Sized>(value: &T) -> Result<Json> {
    Json::of(value).map_err(|error| {
        Error::new(
            Code::InvalidArgument,
            "the document cannot be written as JSON",
        )
        .with_source(error)
    })
}

/// Why a document that was read is not a `T`.
fn not_a<T>(collection: &str, id: &str, error: InvalidJson) -> Error {
    let name = std::any::type_name::<T>();
    let name = name.rsplit("::").next().unwrap_or(name);
    Error::new(
        Code::Incompatible,
        format!("`{collection}/{id}` is not a `{name}`"),
    )
    .with_source(error)
}
