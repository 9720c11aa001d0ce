//! Files in and out: inputs of bounded size, outputs that are there whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use distri::cli::{Exit, Failure};

/// Inputs larger than this are refused. Nodes take 64 MiB unless their operators say otherwise;
/// the rest is room for those, and little enough to hold in memory.
const INPUT_MAX: u64 = 256 << 20;

/// Reads an input. It is held in memory, so that a call can be made again when a node goes away.
pub(crate) fn read(path: &Path) -> Result<Bytes, Failure> {
    let refused = |error| failed("read", path, error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refused)?;
    // One byte more than is allowed tells a file that is too large, whatever its length claims.
    file.take(INPUT_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    if bytes.len() as u64 > INPUT_MAX {
        let message = format!(
            "`{}` is larger than {} MiB",
            path.display(),
            INPUT_MAX >> 20
        );
        return Err(Failure::usage(message));
    }
    Ok(bytes.into())
}

/// Writes an output, replacing what was there: a reader finds the old file or the new one, never a
/// half, and a failure leaves nothing behind. Devices and pipes are written to as they are.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        Ok(found) if !found.is_file() => {
            OpenOptions::new().write(true).open(path)?.write_all(bytes)
        }
        Ok(_) | Err(_) => replace(path, bytes),
    };
    write().map_err(|error| failed("write", path, error))
}

/// Says at once whether [`write()`] has a folder to write to, before work is done in vain.
pub(crate) fn check_writable(path: &Path) -> Result<(), Failure> {
    let folder = folder_of(path);
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(failed("write", path, io::ErrorKind::NotADirectory.into())),
        Err(error) => Err(failed("write", path, error)),
    }
}

/// Writes a file that only its owner may read and that does not exist yet.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    create_secret(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| failed("write", path, error))
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| failed("make the folder", path, error))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (mut file, part) = create_beside(path)?;
    let result = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&part, path));
    if result.is_err() {
        // The failure that is told is the one that led here.
        let _ = fs::remove_file(&part);
    }
    result
}

/// Makes a new file in the folder of `path`, since only within one file system can it be renamed.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_string_lossy();
    for number in 0.. {
        let part = folder_of(path).join(format!(".{name}.{}-{number}.part", std::process::id()));
        match File::create_new(&part) {
            Ok(file) => return Ok((file, part)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("the loop counts without end")
}

fn create_secret(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

fn failed(verb: &str, path: &Path, error: io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("could not {verb} `{}`: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn an_output_replaces_the_former_one_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.png");

        write(&path, b"former").unwrap();
        write(&path, b"new").unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names_in(folder.path()), ["out.png"]);
    }

    #[test]
    fn an_output_that_cannot_be_put_in_place_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();

        assert!(replace(&taken, b"bytes").is_err());

        assert_eq!(names_in(folder.path()), ["taken"]);
    }

    #[test]
    fn a_secret_never_replaces_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.hex");

        write_secret(&path, "first").unwrap();

        assert!(write_secret(&path, "second").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.hex");

        write_secret(&path, "secret").unwrap();

        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
