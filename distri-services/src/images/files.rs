//! Files that are whole or not there, and readable by their owner alone.
//!
//! Whatever is written is written under another name, made durable, and then renamed; so a crash
//! leaves the old content or the new one. Names are made here of ids, never of what others say.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// How the names of files end that are being written.
pub(crate) const UNDER_WAY: &str = "new";

/// Writes of this program so far, which tells two of them apart.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// A file that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not {verb} {}", path.display())]
pub struct FileError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    pub(crate) fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self { verb, path, source }
    }

    /// What the operating system said.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Nobody but the owner reads or writes what is created with `options`.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Makes a folder that is the owner's alone, and those above it.
pub(crate) fn folder(path: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder
        .create(path)
        .map_err(|error| FileError::new("create", path, error))
}

/// The whole of a file of at most `max` bytes. Devices, pipes and folders are no files.
pub(crate) fn read(path: &Path, max: usize) -> Result<Vec<u8>, FileError> {
    let failed = |error| FileError::new("read", path, error);
    // Asked before opening, which waits for ever at a pipe.
    let is_file = |metadata: fs::Metadata| {
        if metadata.is_file() {
            return Ok(());
        }
        let problem = "it is no regular file";
        Err(failed(io::Error::new(io::ErrorKind::InvalidInput, problem)))
    };
    is_file(fs::metadata(path).map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    is_file(file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::new();
    let most = (max as u64).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > max {
        let problem = format!("it has more than {max} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, problem)));
    }
    Ok(bytes)
}

/// As [`read`]; `None` if there is no such file.
pub(crate) fn read_if_there(path: &Path, max: usize) -> Result<Option<Vec<u8>>, FileError> {
    match read(path, max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the content of `path`, wholly or not at all, for good.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let (program, nr) = (std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
    // Of two that write the same file at once, the later one has its way.
    let beside = path.with_extension(format!("{program}-{nr}.{UNDER_WAY}"));
    let failed = |error| FileError::new("write", &beside, error);
    // What a crash of a program with the same number left behind, or somebody put there.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = private(&mut options).open(&beside).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    drop(file);
    rename(&beside, path)
}

/// Gives `from` the name `to`, for good.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(|error| FileError::new("write", to, error))?;
    sync_folder(to)
}

/// Removes a file, for good; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::new("remove", path, error)),
    }
}

fn sync_folder(of: &Path) -> Result<(), FileError> {
    #[cfg(unix)]
    if let Some(folder) = of.parent() {
        let failed = |error| FileError::new("write", folder, error);
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
    }
    Ok(())
}
