//! Where a secret key is kept: a small text file that only its owner can read.
//!
//! ```text
//! distri secret key, version 1. Whoever reads this file can act as its owner: never share it.
//! public 52 characters, as `id` prints them
//! secret 52 characters, base32 of the 32 bytes of RFC 8032
//! ```
//!
//! The public line guards against damage: base32 has no checksum, and a key with one letter changed
//! would be somebody else. A file is created whole or not at all, and never overwritten; one that
//! group or others may open is refused, since its secret is no secret. Where files have no modes,
//! the protection is that of the folder.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: random names for unfinished files"
)]

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::{Identity, new_seed};

const TITLE: &str = "distri secret key, version 1.";
const WARNING: &str = "Whoever reads this file can act as its owner: never share it.";

/// No key file is longer; one that is, is something else, and is not read into memory.
const LENGTH_MAX: u64 = 1024;

/// Why a secret key could not be had from its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file is not there or cannot be opened.
    #[error("could not read the secret key `{path}`")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file, or a folder above it, could not be made. Nothing is left behind.
    #[error("could not create the secret key `{path}`")]
    Create {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Other users may open the file. It was not read; if they may have read it, make a new key.
    #[error("others may open the secret key `{path}` (mode {mode:04o}): run `chmod 600 {path}`")]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is something else, or has been changed. Restore it, or remove it for a new key.
    #[error("`{path}` is no whole secret key: expected {expected}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        expected: &'static str,
    },
}

impl Identity {
    /// Reads the key kept at `path`.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        let text = read(path)?;
        parse(&text).map_err(|expected| IdentityError::Damaged {
            path: path.into(),
            expected,
        })
    }

    /// Reads the key kept at `path`; if there is none, makes one and keeps it there.
    ///
    /// Missing folders are made for the owner alone. When several processes do this at once, all
    /// end with the same key.
    ///
    /// # Errors
    /// See [`IdentityError`]. An existing file is never replaced, whatever is wrong with it.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        match Self::load(path) {
            Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            }
            other => return other,
        }
        match create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(IdentityError::Create {
                    path: path.into(),
                    source: error,
                })
            }
            // Made here, or by another process in between.
            _ => Self::load(path),
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    read_up_to(path, LENGTH_MAX)
}

/// Reads a file that nobody but its owner may open, and one byte more than it may have at most.
pub(super) fn read_up_to(
    path: &Path,
    length_max: u64,
) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let failed = |source| IdentityError::Read {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    // Asked of the open file, not of the path, which may name another by now.
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(IdentityError::Damaged {
            path: path.into(),
            expected: "a regular file",
        });
    }
    if let Some(mode) = exposed(&about) {
        return Err(IdentityError::Exposed {
            path: path.into(),
            mode,
        });
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(2 * length_max as usize));
    file.take(length_max + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// Creates the file with a new key, all of it or nothing, unless there is one.
fn create(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    private_folders().recursive(true).create(folder)?;

    let unfinished = folder.join(unfinished_name(path)?);
    let made = write_private(&unfinished, &format(&new_seed()))
        // Linking, unlike renaming, fails if the name is taken.
        .and_then(|()| fs::hard_link(&unfinished, path));
    let removed = fs::remove_file(&unfinished);
    match made {
        Err(error) if no_links(&error) => write_private(path, &format(&new_seed()))?,
        other => other.and(removed)?,
    }
    sync_folder(folder)
}

/// Puts a file with `text` in the place of the one that may be there, whole or not at all.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    private_folders().recursive(true).create(folder)?;
    let unfinished = folder.join(unfinished_name(path)?);
    let made = write_private(&unfinished, text).and_then(|()| fs::rename(&unfinished, path));
    if made.is_err() {
        // What failed first is told.
        let _ = fs::remove_file(&unfinished);
    }
    made?;
    sync_folder(folder)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Some file systems know no links. There the file is written in place: a crash in the middle
/// leaves one that `load` calls damaged.
fn no_links(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
    )
}

fn unfinished_name(path: &Path) -> io::Result<OsString> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let nr = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    let mut unfinished = OsString::from(".");
    unfinished.push(name);
    unfinished.push(format!(".{nr:016x}"));
    Ok(unfinished)
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn private_folders() -> DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "modes are unix"))]
    let mut folders = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
    folders
}

/// The permission bits, if they let anyone but the owner at the file.
#[cfg(unix)]
fn exposed(about: &fs::Metadata) -> Option<u32> {
    let mode = std::os::unix::fs::MetadataExt::mode(about) & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn exposed(_: &fs::Metadata) -> Option<u32> {
    None
}

/// Makes the new name survive a crash.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn format(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let public = Identity::from_seed(seed).public();
    let mut secret = Zeroizing::new([0; 52]);
    BASE32_NOPAD.encode_mut(seed, secret.as_mut_slice());
    secret.make_ascii_lowercase();

    let mut text = Zeroizing::new(Vec::with_capacity(LENGTH_MAX as usize));
    text.extend_from_slice(format!("{TITLE} {WARNING}\npublic {public}\nsecret ").as_bytes());
    text.extend_from_slice(secret.as_slice());
    text.push(b'\n');
    text
}

/// Reads a file's text, or says what it should have held.
fn parse(text: &[u8]) -> Result<Identity, &'static str> {
    let mut lines = text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    let mut next = || lines.next().unwrap_or_default();

    if !next().starts_with(TITLE.as_bytes()) {
        return Err("a first line that begins with `distri secret key, version 1`");
    }
    let public = next()
        .strip_prefix(b"public ")
        .ok_or("a second line `public …`")?;
    let secret = next()
        .strip_prefix(b"secret ")
        .ok_or("a third line `secret …`")?;

    let seed = decode(secret).ok_or("52 characters a-z and 2-7 after `secret`")?;
    let identity = Identity::from_seed(&seed);
    if identity.public().to_string().as_bytes() != public {
        return Err("a `public` line that belongs to the `secret` line");
    }
    Ok(identity)
}

fn decode(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut upper: Zeroizing<[u8; 52]> = Zeroizing::new(text.try_into().ok()?);
    upper.make_ascii_uppercase();
    let mut seed = Zeroizing::new([0; 32]);
    BASE32_NOPAD
        .decode_mut(upper.as_slice(), seed.as_mut_slice())
        .ok()?;
    Some(seed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_outlives_the_process_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/node.key");

        let made = Identity::load_or_create(&path).unwrap();
        let found = Identity::load_or_create(&path).unwrap();

        assert_eq!(made.public(), found.public());
        assert_eq!(Identity::load(&path).unwrap().public(), made.public());
    }

    #[test]
    fn only_the_key_is_left_in_the_folder_and_its_first_line_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");

        Identity::load_or_create(&path).unwrap();

        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["node.key"]);
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.lines()
                .next()
                .unwrap()
                .starts_with("distri secret key, version 1.")
        );
    }

    #[test]
    fn a_key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        write_private(&path, b"precious").unwrap();

        let error = Identity::load_or_create(&path).unwrap_err();

        assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
        assert_eq!(
            create(&path).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn many_who_create_at_once_end_with_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/node.key");

        let keys: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Identity::load_or_create(&path).unwrap().public()))
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });

        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_and_new_folders_are_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/node.key");

        Identity::load_or_create(&path).unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_others_may_open_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        Identity::load_or_create(&path).unwrap();

        for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();

            let text = Identity::load(&path).unwrap_err().to_string();

            assert!(text.contains(&format!("(mode {mode:04o})")), "{text}");
            assert!(
                text.contains(&format!("`chmod 600 {}`", path.display())),
                "{text}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(
            Identity::load(&path).is_ok(),
            "read-only for the owner is fine"
        );
    }

    #[test]
    fn a_damaged_file_is_refused_naming_it_and_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let whole = String::from_utf8(format(&[7; 32]).to_vec()).unwrap();
        let other = String::from_utf8(format(&[8; 32]).to_vec()).unwrap();
        let (head, secret) = whole.rsplit_once("secret ").unwrap();
        let cases = [
            (String::new(), "first line"),
            ("-----BEGIN PRIVATE KEY-----\n".into(), "first line"),
            (whole.lines().next().unwrap().into(), "second line"),
            (head.into(), "third line"),
            (format!("{head}secret {}", &secret[1..]), "52 characters"),
            (
                format!("{head}secret {}", secret.to_uppercase()),
                "52 characters",
            ),
            (
                format!("{head}secret {}", secret.replace(&secret[..1], "1")),
                "52 characters",
            ),
            (
                format!("{head}{}", other.lines().last().unwrap()),
                "belongs",
            ),
            ("x".repeat(5000), "first line"),
        ];

        for (nr, (text, expected)) in cases.into_iter().enumerate() {
            let path = folder.path().join(format!("{nr}.key"));
            write_private(&path, text.as_bytes()).unwrap();

            let error = Identity::load(&path).unwrap_err().to_string();

            assert!(
                error.contains(expected) && error.contains(path.to_str().unwrap()),
                "{error}"
            );
            assert!(!error.contains(secret.trim()), "{error}");
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_in_its_place_are_errors_that_name_it() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.key");

        let first = Identity::load(&missing).unwrap_err();
        let second = Identity::load(folder.path()).unwrap_err();

        assert!(matches!(&first, IdentityError::Read { path, .. } if *path == missing));
        assert!(matches!(
            second,
            IdentityError::Damaged {
                expected: "a regular file",
                ..
            }
        ));
    }

    #[test]
    fn a_file_that_passed_through_another_system_is_read() {
        let text = String::from_utf8(format(&[7; 32]).to_vec())
            .unwrap()
            .replace('\n', "\r\n");

        assert_eq!(
            parse(text.as_bytes()).unwrap().public(),
            Identity::from_seed(&[7; 32]).public()
        );
    }

    proptest! {
        #[test]
        fn any_seed_survives_its_file(seed: [u8; 32]) {
            prop_assert_eq!(
                parse(&format(&seed)).unwrap().public(),
                Identity::from_seed(&seed).public()
            );
        }

        #[test]
        fn any_bytes_are_a_key_or_an_error(text: Vec<u8>) {
            let _ = parse(&text);
        }

        #[test]
        fn any_changed_byte_is_noticed_or_harmless(at in 0usize..220, to: u8) {
            let mut text = format(&[7; 32]).to_vec();
            let at = at % text.len();
            text[at] = to;
            if let Ok(identity) = parse(&text) {
                prop_assert_eq!(identity.public(), Identity::from_seed(&[7; 32]).public());
            }
        }
    }
}
