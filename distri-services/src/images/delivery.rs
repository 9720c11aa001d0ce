//! A stego image goes from its owner's peer to the viewer's, in pieces that are checked one by one.
//!
//! [`ImageDelivery`] is the service on the owner's peer; it delivers what its [`Shelf`] has, to
//! those who prove that it was granted to them: the request is signed by the viewer's key of that
//! grant and names the device whose link it comes over, so nobody else can use it. [`receive()`] is the
//! viewer's side: every piece is held against the manifest before it touches the file, a file that
//! was begun is gone on with after a cut or a restart, and what does not end whole never gets its
//! name.

mod receive;

use std::{path::PathBuf, sync::Arc};

use distri::{
    Blob, Code, Context, Result,
    id::PublicKey,
    signed::{Signable, Signed},
};

pub use self::receive::{Progress, TransferError, receive};
use super::{
    disk,
    record::{CHUNK, Manifest},
};
use crate::permissions::GrantId;

/// What an owner's peer can deliver.
pub trait Shelf: Send + Sync + 'static {
    /// The stego image of `grant`, as it stands on disk at the moment of the call. Called off the
    /// async threads.
    ///
    /// # Errors
    /// When the disk fails.
    fn parcel(&self, grant: GrantId) -> Result<Option<Parcel>>;
}

/// A stego image that is ready to be fetched.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The viewer's key of the grant.
    pub viewer: PublicKey,
    /// Where the file is.
    pub file: PathBuf,
    /// Its pieces.
    pub manifest: Manifest,
    /// Why it is no longer delivered, if so.
    pub over: Option<Over>,
}

/// Why something is no longer delivered.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The owner has withdrawn it.
    Revoked,
    /// Its time has passed.
    Expired,
}

/// Asks for a stego image; signed by the viewer's key of the grant.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The grant.
    pub grant: GrantId,
    /// The key of the program that fetches it, as its link proves.
    pub device: PublicKey,
}

impl Signable for Fetch {
    const TAG: &'static str = "distri/images/fetch/v1";
}

/// Why nothing is delivered.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryRefusal {
    /// There is no such grant here, or it is another's; which of both is not told.
    #[error("{grant} was not granted to who asks, or is not kept here")]
    NotGranted {
        /// The grant.
        grant: GrantId,
    },
    /// It was, and is over.
    #[error("{grant} is {}", match over { Over::Revoked => "revoked", Over::Expired => "expired" })]
    Over {
        /// The grant.
        grant: GrantId,
        /// Why.
        over: Over,
    },
    /// The file has fewer pieces.
    #[error("there is no piece {from} of {grant}: it has {count}")]
    NoPiece {
        /// The grant.
        grant: GrantId,
        /// The piece asked for.
        from: u32,
        /// How many there are.
        count: u32,
    },
}

impl distri::ServiceError for DeliveryRefusal {
    fn code(&self) -> Code {
        match self {
            Self::NotGranted { .. } => Code::Denied,
            Self::Over { .. } => Code::FailedPrecondition,
            Self::NoPiece { .. } => Code::InvalidArgument,
        }
    }
}

/// Delivers what was granted.
#[derive(Clone)]
pub struct ImageDelivery {
    shelf: Arc<dyn Shelf>,
}

impl ImageDelivery {
    /// The service of a peer that has `shelf`.
    pub fn new(shelf: impl Shelf) -> Self {
        Self {
            shelf: Arc::new(shelf),
        }
    }

    /// What is to be delivered to who calls with `fetch`.
    async fn parcel(&self, cx: &Context, fetch: &Signed<Fetch>) -> Result<Parcel> {
        let grant = fetch.unchecked().grant;
        let refused = || DeliveryRefusal::NotGranted { grant };
        let shelf = Arc::clone(&self.shelf);
        let parcel = disk(move || shelf.parcel(grant)).await??;
        let parcel = parcel.ok_or_else(refused)?;
        let asked = fetch.check_by(parcel.viewer).map_err(|_| refused())?;
        if asked.device != cx.caller().key {
            return Err(refused().into());
        }
        match parcel.over {
            Some(over) => Err(DeliveryRefusal::Over { grant, over }.into()),
            None => Ok(parcel),
        }
    }
}

/// Delivers stego images to whom they were granted, from peer to peer.
#[distri::service(register = false)]
impl ImageDelivery {
    /// The pieces of the file, each with its hash.
    #[method(idempotent, concurrency = 64)]
    async fn manifest(&self, cx: &Context, fetch: Signed<Fetch>) -> Result<Manifest> {
        Ok(self.parcel(cx, &fetch).await?.manifest)
    }

    /// The file from the piece `from` on.
    #[method(idempotent, timeout = "1h", concurrency = 16)]
    async fn pieces(&self, cx: &Context, fetch: Signed<Fetch>, from: u32) -> Result<Blob> {
        let parcel = self.parcel(cx, &fetch).await?;
        let count = parcel.manifest.count();
        if from > count {
            let grant = fetch.unchecked().grant;
            return Err(DeliveryRefusal::NoPiece { grant, from, count }.into());
        }
        let start = u64::from(from) * CHUNK as u64;
        let file = disk(move || {
            use std::io::{Seek, SeekFrom};
            let mut file = std::fs::File::open(&parcel.file)?;
            file.seek(SeekFrom::Start(start))?;
            std::io::Result::Ok(file)
        });
        let file = tokio::fs::File::from_std(file.await??);
        let left = parcel.manifest.length().saturating_sub(start);
        Ok(Blob::from_reader(Some(left), file))
    }
}

impl std::fmt::Debug for ImageDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageDelivery").finish_non_exhaustive()
    }
}
