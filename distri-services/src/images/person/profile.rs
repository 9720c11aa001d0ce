//! The folder of a person: keys, and all that is known, each thing in a file of its own.
//!
//! ```text
//! user.key sealing.key device.key    secrets, 32 bytes each
//! profile.json  cloud.json           the handle; the cloud's keys as they were last told
//! heard.json                         how far was heard of what becomes of grants
//! lock                               held while programs use the profile
//! gate                               held while one of those that share it changes something
//! images/ID.json  images/ID.bin      what the person offers, and the picture itself
//! asked/ID.json                      requests of the person, and what came of them
//! given/ID.json   parcels/GRANT.json requests to the person, and what was answered; what is delivered
//! files/GRANT.png                    stego images, made here or fetched
//! files/ID.lock                      held while one of the programs that share it fetches that image
//! looks/ID.json                      views that are not over
//! outbox/ID.json                     letters on their way
//! users/KEY.json                     the newest records of others
//! ```
//!
//! All of it is the owner's alone (0600 in a folder of 0700), and nothing is encrypted: whoever reads
//! the disk as its owner has the keys.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use distri::{Code, Error, Result, id::PublicKey, identity::Identity, signed::Signed};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    super::files,
    PersonError, disk,
    gate::{self, Gate},
    kept::KeptCursor,
};
use crate::{
    images::{
        FileError,
        media::FILE_MAX,
        record::{Handle, User},
    },
    permissions::{CloudKeys, GrantId, RequestId, SealingSecret},
};

/// Bytes of any of the small files: one is never near it.
const SMALL_MAX: usize = 1 << 20;

/// When each of some shelves was last written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written([SystemTime; 2]);

/// A person's folder, in use by this program. Cheap to clone.
#[derive(Clone)]
pub struct Profile {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    user: Identity,
    device: Identity,
    sealing: SealingSecret,
    /// Other programs use it at the same time.
    is_shared: bool,
    /// Unlocked when it is closed.
    _lock: File,
}

/// What kinds of things a profile has, each in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shelf {
    Images,
    Asked,
    Given,
    Parcels,
    Looks,
    Outbox,
    Users,
}

impl Shelf {
    const ALL: [Self; 7] = [
        Self::Images,
        Self::Asked,
        Self::Given,
        Self::Parcels,
        Self::Looks,
        Self::Outbox,
        Self::Users,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Asked => "asked",
            Self::Given => "given",
            Self::Parcels => "parcels",
            Self::Looks => "looks",
            Self::Outbox => "outbox",
            Self::Users => "users",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct About {
    handle: Option<Handle>,
}

impl Profile {
    /// Opens the profile in `folder` for this program alone, and makes one with new keys if there is
    /// none.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] if another program uses it, or it cannot be read.
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        disk(move || {
            make_folders(&folder)?;
            let lock = gate::opened(&folder.join("lock")).map_err(failed)?;
            if lock.try_lock().is_err() {
                return Err(in_use(&folder));
            }
            sweep(&folder)?;
            Self::of(folder, lock, false)
        })
        .await?
    }

    /// Opens the profile in `folder` as one of several programs of the same person, which change it
    /// one at a time; makes one with new keys if there is none. Waits while another one changes it.
    ///
    /// They all have the key of the device, so one of them at most may be a peer.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] if a program has it for itself, or it cannot be read.
    pub async fn open_shared(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        disk(move || {
            make_folders(&folder)?;
            // Nobody else opens it, or changes anything, until the keys are made.
            let _gate = gate::locked(&folder.join("gate")).map_err(failed)?;
            let lock = gate::opened(&folder.join("lock")).map_err(failed)?;
            if lock.try_lock().is_ok() {
                sweep(&folder)?;
                let path = folder.join("lock");
                let unlocked = lock.unlock();
                unlocked.map_err(|error| failed(FileError::new("unlock", &path, error)))?;
            }
            if lock.try_lock_shared().is_err() {
                return Err(in_use(&folder));
            }
            Self::of(folder, lock, true)
        })
        .await?
    }

    fn of(folder: PathBuf, lock: File, is_shared: bool) -> Result<Self> {
        let sealing = secret(&folder.join("sealing.key"))?;
        Ok(Self {
            inner: Arc::new(Inner {
                user: Identity::from_seed(&*secret(&folder.join("user.key"))?),
                device: Identity::from_seed(&*secret(&folder.join("device.key"))?),
                sealing: SealingSecret::from_seed(sealing),
                folder,
                is_shared,
                _lock: lock,
            }),
        })
    }

    /// The gate of those who change it.
    pub(super) fn gate(&self) -> Gate {
        let among = self.inner.is_shared.then(|| self.folder().join("gate"));
        Gate::new(among)
    }

    /// When requests and grants were last written down, by any of the programs that share it; `None` if
    /// this one has it for itself.
    pub(super) async fn written(&self) -> Result<Option<Written>> {
        if !self.inner.is_shared {
            return Ok(None);
        }
        let folders = [Shelf::Asked, Shelf::Given].map(|shelf| self.folder().join(shelf.name()));
        disk(move || {
            let at = |folder: &PathBuf| {
                let modified = fs::metadata(folder).and_then(|about| about.modified());
                modified.map_err(|error| failed(FileError::new("read", folder, error)))
            };
            Ok(Some(Written([at(&folders[0])?, at(&folders[1])?])))
        })
        .await?
    }

    /// Waits until no other program of those that share it fetches this image. The turn ends when
    /// what is returned is dropped.
    pub(super) async fn fetching(&self, request: &RequestId) -> Result<Option<File>> {
        if !self.inner.is_shared {
            return Ok(None);
        }
        let path = self.folder().join("files").join(format!("{request}.lock"));
        let locked = disk(move || gate::locked(&path)).await?;
        locked.map(Some).map_err(failed)
    }

    /// The person's key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.inner.user.public()
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// The key of this program: links are made with it.
    #[must_use]
    pub fn device(&self) -> &Identity {
        &self.inner.device
    }

    pub(super) fn user(&self) -> &Identity {
        &self.inner.user
    }

    pub(super) fn sealing(&self) -> &SealingSecret {
        &self.inner.sealing
    }

    /// What the person is called, if they have joined a cloud.
    ///
    /// # Errors
    /// When the profile cannot be read.
    pub async fn handle(&self) -> Result<Option<Handle>> {
        let about: Option<About> = self.load_at(self.folder().join("profile.json")).await?;
        Ok(about.and_then(|about| about.handle))
    }

    pub(super) async fn save_handle(&self, handle: &Handle) -> Result<()> {
        let about = About {
            handle: Some(handle.clone()),
        };
        let path = self.folder().join("profile.json");
        save_at(path, &about).await
    }

    pub(super) async fn cloud(&self) -> Result<Option<CloudKeys>> {
        self.load_at(self.folder().join("cloud.json")).await
    }

    pub(super) async fn save_cloud(&self, keys: &CloudKeys) -> Result<()> {
        save_at(self.folder().join("cloud.json"), keys).await
    }

    pub(super) async fn heard(&self) -> Result<KeptCursor> {
        let heard = self.load_at(self.folder().join("heard.json")).await?;
        Ok(heard.unwrap_or_default())
    }

    pub(super) async fn save_heard(&self, heard: KeptCursor) -> Result<()> {
        save_at(self.folder().join("heard.json"), &heard).await
    }

    pub(super) async fn known_user(&self, key: PublicKey) -> Result<Option<Signed<User>>> {
        self.load(Shelf::Users, &key).await
    }

    pub(super) async fn keep_user(&self, record: Signed<User>) -> Result<()> {
        self.save(Shelf::Users, &record.key(), &record).await
    }

    /// The file of an own picture.
    pub(super) fn picture(&self, image: crate::permissions::ImageId) -> PathBuf {
        let folder = self.folder().join(Shelf::Images.name());
        folder.join(format!("{image}.bin"))
    }

    /// The stego image of `grant`, made here or fetched.
    pub(super) fn stego(&self, grant: GrantId) -> PathBuf {
        self.folder().join("files").join(format!("{grant}.png"))
    }

    pub(super) fn path(&self, shelf: Shelf, id: &(impl ToString + ?Sized)) -> PathBuf {
        let id = id.to_string();
        // Ids are texts of letters and digits; this is what makes it so for those yet to come.
        debug_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        self.folder().join(shelf.name()).join(format!("{id}.json"))
    }

    pub(super) async fn load<T: DeserializeOwned + Send + 'static>(
        &self,
        shelf: Shelf,
        id: &(impl ToString + ?Sized),
    ) -> Result<Option<T>> {
        self.load_at(self.path(shelf, id)).await
    }

    async fn load_at<T: DeserializeOwned + Send + 'static>(
        &self,
        path: PathBuf,
    ) -> Result<Option<T>> {
        disk(move || load_now(&path)).await?
    }

    pub(super) async fn save<T: Serialize>(
        &self,
        shelf: Shelf,
        id: &(impl ToString + ?Sized),
        value: &T,
    ) -> Result<()> {
        save_at(self.path(shelf, id), value).await
    }

    pub(super) async fn forget(&self, shelf: Shelf, id: &(impl ToString + ?Sized)) -> Result<()> {
        let path = self.path(shelf, id);
        disk(move || files::remove(&path)).await?.map_err(failed)
    }

    /// All of a kind, in the order of their ids. What is damaged is left where it is and told.
    pub(super) async fn all<T: DeserializeOwned + Send + 'static>(
        &self,
        shelf: Shelf,
    ) -> Result<Vec<T>> {
        let folder = self.folder().join(shelf.name());
        disk(move || {
            let read = |error| failed(FileError::new("read", &folder, error));
            let mut paths = Vec::new();
            for entry in fs::read_dir(&folder).map_err(read)? {
                let path = entry.map_err(read)?.path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "json")
                {
                    paths.push(path);
                }
            }
            paths.sort();
            let mut all = Vec::new();
            for path in paths {
                // One may be gone since.
                all.extend(load_now(&path)?);
            }
            Ok(all)
        })
        .await?
    }

    pub(super) async fn write_file(&self, path: PathBuf, bytes: Vec<u8>) -> Result<()> {
        disk(move || files::write(&path, &bytes))
            .await?
            .map_err(failed)
    }

    pub(super) async fn read_file(&self, path: PathBuf) -> Result<Option<Vec<u8>>> {
        disk(move || files::read_if_there(&path, FILE_MAX))
            .await?
            .map_err(failed)
    }

    pub(super) async fn remove_file(&self, path: PathBuf) -> Result<()> {
        disk(move || files::remove(&path)).await?.map_err(failed)
    }
}

fn make_folders(folder: &Path) -> Result<()> {
    files::folder(folder).map_err(failed)?;
    for shelf in Shelf::ALL {
        files::folder(&folder.join(shelf.name())).map_err(failed)?;
    }
    files::folder(&folder.join("files")).map_err(failed)
}

/// Removes what programs that died in the middle of writing have left behind. Nobody uses the profile.
fn sweep(folder: &Path) -> Result<()> {
    let shelves = Shelf::ALL.map(Shelf::name);
    let folders = shelves.into_iter().chain(["", "files"]);
    for folder in folders.map(|name| folder.join(name)) {
        let read = |error| failed(FileError::new("read", &folder, error));
        for entry in fs::read_dir(&folder).map_err(read)? {
            let path = entry.map_err(read)?.path();
            if path
                .extension()
                .is_some_and(|ending| ending == files::UNDER_WAY)
            {
                files::remove(&path).map_err(failed)?;
            }
        }
    }
    Ok(())
}

fn in_use(folder: &Path) -> Error {
    let message = format!("another program uses the profile {}", folder.display());
    Error::new(Code::FailedPrecondition, message)
}

pub(super) fn load_now<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = files::read_if_there(path, SMALL_MAX).map_err(failed)? else {
        return Ok(None);
    };
    let bytes = Zeroizing::new(bytes);
    let what = || {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::from(PersonError::Damaged { what: what() }).with_source(error))
}

async fn save_at<T: Serialize>(path: PathBuf, value: &T) -> Result<()> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| Error::internal("something has no JSON form", error))?;
    let bytes = Zeroizing::new(bytes);
    disk(move || files::write(&path, &bytes))
        .await?
        .map_err(failed)
}

/// The secret in the file `path`, made if there is none.
fn secret(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    if let Some(bytes) = files::read_if_there(path, 64).map_err(failed)? {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() != 32 {
            let what = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            return Err(PersonError::Damaged { what }.into());
        }
        seed.copy_from_slice(&bytes);
        return Ok(seed);
    }
    getrandom::fill(seed.as_mut_slice())
        .map_err(|error| Error::internal("the system has no random bytes", error))?;
    files::write(path, seed.as_slice()).map_err(failed)?;
    Ok(seed)
}

pub(super) fn failed(error: FileError) -> Error {
    Error::new(Code::FailedPrecondition, error.to_string()).with_source(error)
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile")
            .field("folder", &self.inner.folder)
            .field("user", &self.inner.user.public())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_profile_is_one_programs_alone_or_that_of_several_who_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile");

        let (one, other) = tokio::join!(Profile::open_shared(&path), Profile::open_shared(&path));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.key(), other.key());
        assert_eq!(one.device().public(), other.device().public());
        let refused = Profile::open(&path).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        drop((one, other));

        let alone = Profile::open(&path).await.unwrap();
        assert!(Profile::open_shared(&path).await.is_err());
        assert!(Profile::open(&path).await.is_err());
        drop(alone);
        Profile::open_shared(&path).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_killed_program_left_half_written_is_gone_with_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        drop(Profile::open(folder.path()).await.unwrap());
        let half = folder.path().join("asked").join("x.77-1.new");
        fs::write(&half, "{").unwrap();

        let shared = Profile::open_shared(folder.path()).await.unwrap();
        assert!(!half.exists());
        fs::write(&half, "{").unwrap();
        // Another one may be writing it now.
        drop(Profile::open_shared(folder.path()).await.unwrap());
        assert!(half.exists());
        drop(shared);
    }
}
