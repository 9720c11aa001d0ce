//! The viewer's side of a delivery.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use distri::{Blob, id::PublicKey, identity::Identity, signed::Signed};
use tokio::task::{JoinError, JoinHandle};

use super::{Fetch, ImageDeliveryClient};
use crate::{
    images::{
        disk,
        files::{self, FileError},
        media::FILE_MAX,
        record::{CHUNK, Manifest, Unfit},
    },
    permissions::{FileHash, GrantCore, SealError},
};

/// Bytes that wait for the disk, about: then the peer waits too.
const WAITING_MAX: usize = 8 * CHUNK;

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there and checked, those of earlier attempts included.
    pub done: u64,
    /// Bytes of the file.
    pub of: u64,
    /// Bytes that arrived in this attempt.
    pub arrived: u64,
}

/// Why a transfer ended early. What was checked is kept, and the next attempt goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The owner's peer cannot be reached, or refuses; its error says which.
    #[error("the owner's peer did not deliver")]
    Peer(#[source] distri::Error),
    /// What the peer says of the pieces is not what was granted.
    #[error("the manifest is not the one that was granted")]
    Manifest,
    /// What the peer says of the pieces describes no file.
    #[error("the manifest is not one that is read")]
    Unfit(#[from] Unfit),
    /// A piece is not what the manifest says. It was not written.
    #[error("piece {index} arrived damaged")]
    Damaged {
        /// Which one, from 0.
        index: u32,
    },
    /// The file ended early.
    #[error("the delivery broke off in piece {index}")]
    Cut {
        /// Which one, from 0.
        index: u32,
    },
    /// All pieces are as the manifest says, and the file is not the one that was granted.
    #[error("the file is not the one that was granted")]
    OtherFile(#[source] SealError),
    /// The disk here failed.
    #[error("the file could not be kept")]
    Disk(#[from] FileError),
}

/// Fetches the stego image of `core` to `target`, as the viewer of the grant, from the device whose
/// key is `device` at this end. What was there of an earlier attempt is not fetched again. If
/// `target` is there already and whole, nothing is asked of anybody.
///
/// # Errors
/// [`TransferError`].
///
/// # Cancel safety
/// Dropping the future keeps what was checked.
pub async fn receive(
    delivery: &ImageDeliveryClient,
    device: PublicKey,
    core: &GrantCore,
    viewer: &Identity,
    target: &Path,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), TransferError> {
    let of = core.file_length;
    if is_whole(core, target).await? {
        progress(Progress {
            done: of,
            of,
            arrived: 0,
        });
        return Ok(());
    }
    let grant = core.grant;
    let fetch = Signed::sign(viewer, 0, Fetch { grant, device }).map_err(TransferError::Peer)?;
    let manifest = delivery.manifest(fetch.clone()).await;
    let manifest = manifest.map_err(TransferError::Peer)?;
    manifest.check()?;
    if manifest.hash() != core.manifest || manifest.length() != of {
        return Err(TransferError::Manifest);
    }

    let mut part = Part::open(target, manifest).await?;
    progress(part.progress(0));
    if part.next < part.manifest.count() {
        let pieces = delivery.pieces(fetch, part.next).await;
        part = part
            .fill(pieces.map_err(TransferError::Peer)?, progress)
            .await?;
    }
    part.finish(core, target).await
}

fn panicked(error: JoinError) -> TransferError {
    TransferError::Peer(distri::Error::internal("work on the disk panicked", error))
}

async fn is_whole(core: &GrantCore, target: &Path) -> Result<bool, TransferError> {
    let (core, target) = (core.clone(), target.to_owned());
    let looked = disk(move || Ok(has_whole(&core, &target)?));
    looked.await.map_err(TransferError::Peer)?
}

fn has_whole(core: &GrantCore, target: &Path) -> Result<bool, FileError> {
    let there = files::read_if_there(target, FILE_MAX)?;
    Ok(there.is_some_and(|file| core.check_file(&file).is_ok()))
}

/// A file whose first pieces are there and checked.
struct Part {
    path: PathBuf,
    file: File,
    manifest: Manifest,
    /// The first piece that is missing.
    next: u32,
    /// Of all before it.
    hash: blake3::Hasher,
}

impl Part {
    /// What is there of an earlier attempt, as far as it is good; all that is not is cut off.
    async fn open(target: &Path, manifest: Manifest) -> Result<Self, TransferError> {
        let path = target.with_extension("part");
        let opened = disk(move || {
            let failed = |error| FileError::new("open", &path, error);
            if std::fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
                // A link that somebody put there would have another file written.
                files::remove(&path)?;
            }
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = files::private(&mut options).open(&path).map_err(failed)?;
            let (mut next, mut hash) = (0, blake3::Hasher::new());
            let mut piece = Vec::with_capacity(CHUNK);
            while next < manifest.count() {
                piece.clear();
                let length = manifest.chunk_length(next) as u64;
                let read = (&mut file).take(length).read_to_end(&mut piece);
                read.map_err(failed)?;
                if !manifest.is_chunk(next, &piece) {
                    break;
                }
                hash.update(&piece);
                next += 1;
            }
            let mut part = Self {
                path: path.clone(),
                file,
                manifest,
                next,
                hash,
            };
            part.cut_off().map_err(failed)?;
            Ok(part)
        });
        opened.await.map_err(TransferError::Peer)?
    }

    /// Bytes that are there and checked.
    fn length(&self) -> u64 {
        (u64::from(self.next) * CHUNK as u64).min(self.manifest.length())
    }

    fn cut_off(&mut self) -> io::Result<()> {
        use std::io::{Seek, SeekFrom};
        self.file.set_len(self.length())?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    fn progress(&self, arrived: u64) -> Progress {
        Progress {
            done: self.length(),
            of: self.manifest.length(),
            arrived,
        }
    }

    /// Takes the missing pieces from `bytes`. While some are checked and written, the next ones arrive.
    async fn fill(
        self,
        mut bytes: Blob,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Self, TransferError> {
        let mut missing = self.manifest.length() - self.length();
        let (mut came, mut arrived) = (BytesMut::new(), 0);
        // This file while nothing is written to it, and what is written, with its length.
        let (mut idle, mut writing) = (Some(self), None);
        let mut broken = None;
        loop {
            if let Some(part) = idle.take() {
                let whole = match missing {
                    0 => came.len(),
                    _ => came.len() / CHUNK * CHUNK,
                };
                if whole > 0 {
                    writing = Some((part.append(came.split_to(whole).freeze()), whole as u64));
                } else if missing == 0 {
                    return Ok(part);
                } else if let Some(error) = broken {
                    let cut = TransferError::Cut { index: part.next };
                    return Err(Option::map_or(error, cut, TransferError::Peer));
                } else {
                    idle = Some(part);
                }
            }
            let written = async {
                match &mut writing {
                    Some((write, length)) => (write.await, *length),
                    None => std::future::pending().await,
                }
            };
            let wanted = missing > 0 && broken.is_none() && came.len() < WAITING_MAX;
            tokio::select! {
                (part, length) = written => {
                    writing = None;
                    let part = part.map_err(panicked)??;
                    arrived += length;
                    progress(part.progress(arrived));
                    idle = Some(part);
                }
                chunk = bytes.next_chunk(), if wanted => match chunk {
                    Ok(Some(mut chunk)) => {
                        chunk.truncate(usize::try_from(missing).unwrap_or(usize::MAX));
                        missing -= chunk.len() as u64;
                        came.extend_from_slice(&chunk);
                    }
                    Ok(None) => broken = Some(None),
                    Err(error) => broken = Some(Some(error)),
                },
            }
        }
    }

    /// Adds the pieces that are missing first, as far as they are good.
    fn append(mut self, pieces: Bytes) -> JoinHandle<Result<Self, TransferError>> {
        tokio::task::spawn_blocking(move || {
            let mut good = 0;
            let mut damaged = None;
            for piece in pieces.chunks(CHUNK) {
                if !self.manifest.is_chunk(self.next, piece) {
                    damaged = Some(TransferError::Damaged { index: self.next });
                    break;
                }
                self.hash.update(piece);
                self.next += 1;
                good += piece.len();
            }
            let written = self.file.write_all(&pieces[..good]);
            written.map_err(|error| FileError::new("write", &self.path, error))?;
            damaged.map_or(Ok(self), Err)
        })
    }

    /// All pieces are there: gives the file its name, if it is the one that was granted.
    async fn finish(self, core: &GrantCore, target: &Path) -> Result<(), TransferError> {
        let (core, target) = (core.clone(), target.to_owned());
        let finished = disk(move || match self.give_name(&core, &target) {
            // An attempt that was dropped ends the step that it was in, and was faster.
            Err(TransferError::Disk(_)) if has_whole(&core, &target)? => Ok(()),
            done => done,
        });
        finished.await.map_err(TransferError::Peer)?
    }

    fn give_name(&self, core: &GrantCore, target: &Path) -> Result<(), TransferError> {
        let failed = |error| FileError::new("write", &self.path, error);
        self.file.sync_all().map_err(failed)?;
        // Its length is the manifest's, which is the grant's.
        let hash = FileHash::from_array(*self.hash.finalize().as_bytes());
        if let Err(other) = core.check_file_hash(hash) {
            // Nothing of it can be gone on with.
            std::fs::remove_file(&self.path).map_err(failed)?;
            return Err(TransferError::OtherFile(other));
        }
        files::rename(&self.path, target)?;
        Ok(())
    }
}

impl From<TransferError> for distri::Error {
    fn from(error: TransferError) -> Self {
        use distri::Code;
        match error {
            TransferError::Peer(error) => error,
            TransferError::Cut { .. } => Self::new(Code::Unavailable, error.to_string()),
            TransferError::Disk(_) => {
                Self::new(Code::FailedPrecondition, error.to_string()).with_source(error)
            }
            TransferError::Manifest
            | TransferError::Unfit(_)
            | TransferError::Damaged { .. }
            | TransferError::OtherFile(_) => {
                Self::new(Code::DataLoss, error.to_string()).with_source(error)
            }
        }
    }
}
