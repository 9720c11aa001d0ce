//! The viewer's side of a delivery.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use distri::{Blob, id::PublicKey, identity::Identity, signed::Signed};

use super::{Fetch, ImageDeliveryClient};
use crate::{
    images::{
        disk,
        files::{self, FileError},
        media::FILE_MAX,
        record::{CHUNK, Manifest, Unfit},
    },
    permissions::{GrantCore, SealError},
};

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
    let mut arrived = 0;
    progress(Progress {
        done: part.length(),
        of,
        arrived,
    });
    if part.next < part.manifest.count() {
        let pieces = delivery.pieces(fetch, part.next).await;
        let mut pieces = pieces.map_err(TransferError::Peer)?;
        let mut rest = Vec::new();
        while part.next < part.manifest.count() {
            let piece = piece(&mut pieces, &mut rest, &part).await?;
            arrived += piece.len() as u64;
            part = part.append(piece).await?;
            progress(Progress {
                done: part.length(),
                of,
                arrived,
            });
        }
    }
    part.finish(core, target).await
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

/// The next piece, checked. `rest` has what arrived beyond the piece before.
async fn piece(
    pieces: &mut Blob,
    rest: &mut Vec<u8>,
    part: &Part,
) -> Result<Vec<u8>, TransferError> {
    let index = part.next;
    let length = part.manifest.chunk_length(index);
    while rest.len() < length {
        match pieces.next_chunk().await.map_err(TransferError::Peer)? {
            Some(bytes) => rest.extend_from_slice(&bytes),
            None => return Err(TransferError::Cut { index }),
        }
    }
    let left = rest.split_off(length);
    let piece = std::mem::replace(rest, left);
    if !part.manifest.is_chunk(index, &piece) {
        return Err(TransferError::Damaged { index });
    }
    Ok(piece)
}

/// A file whose first pieces are there and checked.
struct Part {
    path: PathBuf,
    file: File,
    manifest: Manifest,
    /// The first piece that is missing.
    next: u32,
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
            let mut next = 0;
            let mut piece = Vec::with_capacity(CHUNK);
            while next < manifest.count() {
                piece.clear();
                let length = manifest.chunk_length(next) as u64;
                let read = (&mut file).take(length).read_to_end(&mut piece);
                read.map_err(failed)?;
                if !manifest.is_chunk(next, &piece) {
                    break;
                }
                next += 1;
            }
            let mut part = Self {
                path: path.clone(),
                file,
                manifest,
                next,
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

    /// Adds the piece that is missing first; it has been checked.
    async fn append(mut self, piece: Vec<u8>) -> Result<Self, TransferError> {
        let written = disk(move || {
            let failed = |path: &Path, error| FileError::new("write", path, error);
            if let Err(error) = self.file.write_all(&piece) {
                return Err(failed(&self.path, error).into());
            }
            self.next += 1;
            Ok(self)
        });
        written.await.map_err(TransferError::Peer)?
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
        let file = files::read(&self.path, FILE_MAX)?;
        if let Err(other) = core.check_file(&file) {
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
