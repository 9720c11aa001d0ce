//! Files with other secrets than keys, kept as key files are: for their owner alone, whole or not at
//! all.

use std::{ffi::OsString, fs, io, path::Path};

use zeroize::Zeroizing;

use super::{IdentityError, file};

/// Reads the file; `None` if there is none.
///
/// # Errors
/// As reading a key; [`IdentityError::Damaged`] if it is longer than `length_max`.
pub(crate) fn read(
    path: &Path,
    length_max: u64,
) -> Result<Option<Zeroizing<Vec<u8>>>, IdentityError> {
    match file::read_up_to(path, length_max) {
        Ok(text) if text.len() as u64 > length_max => Err(IdentityError::Damaged {
            path: path.into(),
            expected: "a shorter file",
        }),
        Ok(text) => Ok(Some(text)),
        Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Puts a file with `text` in the place of the one that may be there.
///
/// # Errors
/// [`IdentityError::Create`]; what was there stays.
pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<(), IdentityError> {
    file::replace(path, text).map_err(|source| create_failed(path, source))
}

/// Gives the file, if there is one, the ending `.former`.
///
/// # Errors
/// [`IdentityError::Create`].
pub(crate) fn put_aside(path: &Path) -> Result<(), IdentityError> {
    let mut aside = OsString::from(path);
    aside.push(".former");
    match fs::rename(path, aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(create_failed(path, error)),
        _ => Ok(()),
    }
}

fn create_failed(path: &Path, source: io::Error) -> IdentityError {
    IdentityError::Create {
        path: path.into(),
        source,
    }
}
