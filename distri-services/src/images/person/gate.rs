//! One change of a profile at a time: in this program, and among the programs that share it.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use distri::Result;
use tokio::sync::{Mutex, MutexGuard};

use super::{super::files, disk, profile::failed};
use crate::images::FileError;

/// Lets one through at a time.
#[derive(Debug, Default)]
pub(super) struct Gate {
    here: Mutex<()>,
    /// The file that is locked where other programs use the profile too.
    among: Option<PathBuf>,
}

/// Somebody is through; the next one is let in when this is dropped.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    _here: MutexGuard<'a, ()>,
    _among: Option<File>,
}

impl Gate {
    /// One for this program, and among programs if there is a file for that.
    pub(super) fn new(among: Option<PathBuf>) -> Self {
        Self {
            here: Mutex::new(()),
            among,
        }
    }

    /// Waits for its turn.
    ///
    /// # Cancel safety
    /// Dropping the future takes no turn.
    pub(super) async fn lock(&self) -> Result<Pass<'_>> {
        let here = self.here.lock().await;
        let among = match self.among.clone() {
            // A lock that comes after the future was dropped ends with the file.
            Some(path) => Some(disk(move || locked(&path)).await?.map_err(failed)?),
            None => None,
        };
        Ok(Pass {
            _here: here,
            _among: among,
        })
    }
}

/// Waits until nobody else has the file `path` locked. Closing it unlocks it.
pub(super) fn locked(path: &Path) -> std::result::Result<File, FileError> {
    let file = opened(path)?;
    file.lock()
        .map_err(|error| FileError::new("lock", path, error))?;
    Ok(file)
}

/// The file `path`, to be locked.
pub(super) fn opened(path: &Path) -> std::result::Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    files::private(&mut options)
        .open(path)
        .map_err(|error| FileError::new("open", path, error))
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Waker},
    };

    use super::*;

    fn is_waiting(turn: Pin<&mut impl Future>) -> bool {
        turn.poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    }

    #[tokio::test]
    async fn one_is_let_in_at_a_time_whichever_program_it_is_of() {
        let folder = tempfile::tempdir().unwrap();
        let gate = || Gate::new(Some(folder.path().join("gate")));
        let (ours, theirs) = (gate(), gate());

        let inside = ours.lock().await.unwrap();
        let mut other = Box::pin(theirs.lock());
        assert!(is_waiting(other.as_mut()));
        assert!(
            opened(&folder.path().join("gate"))
                .unwrap()
                .try_lock()
                .is_err()
        );
        drop(inside);
        drop(other.await.unwrap());

        // A turn that nobody waits for any more is given up.
        let inside = ours.lock().await.unwrap();
        let mut dropped = Box::pin(theirs.lock());
        assert!(is_waiting(dropped.as_mut()));
        drop((dropped, inside));
        drop(ours.lock().await.unwrap());
    }
}
