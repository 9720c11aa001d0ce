//! Where a node keeps the secret of its cluster: a small text file beside its key, which only its owner
//! can read, outside the data folder, so that a copy of that opens nothing.
//!
//! ```text
//! distri cluster secret, version 1. Whoever reads this file can read what the cloud keeps secret: never share it.
//! cluster its id
//! secret EPOCH MARK 52 characters, base32 of 32 bytes
//! ```
//!
//! The mark guards against damage: a secret with one letter changed would open nothing.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::{
    cluster::protocol::Handed,
    identity::{IdentityError, private_file},
};

const TITLE: &str = "distri cluster secret, version 1.";
const WARNING: &str =
    "Whoever reads this file can read what the cloud keeps secret: never share it.";

/// A file of [`super::EPOCHS_MAX`] epochs is shorter.
const LENGTH_MAX: u64 = 16 * 1024;

/// Where the secret is kept.
#[derive(Clone)]
pub(crate) enum Vault {
    /// In this file.
    File(PathBuf),
    /// In memory: of a node that keeps its key there too, or a simulated one.
    Memory(Arc<Mutex<Option<Zeroizing<Vec<u8>>>>>),
}

impl Vault {
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// Beside the file of a key: `node.key` has `node.secret` beside it.
    pub(crate) fn beside(identity: &Path) -> Self {
        Self::File(identity.with_extension("secret"))
    }

    /// What is kept for `cluster`; nothing, if nothing is.
    pub(super) fn read(&self, cluster: &str) -> Result<Vec<Handed>, IdentityError> {
        let text = match self {
            Self::Memory(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Self::File(path) => private_file::read(path, LENGTH_MAX)?,
        };
        let Some(text) = text else {
            return Ok(Vec::new());
        };
        parse(&text, cluster).map_err(|expected| IdentityError::Damaged {
            path: self.path(),
            expected,
        })
    }

    /// Keeps these instead of what was kept, whole or not at all.
    pub(super) fn write(&self, cluster: &str, held: &[Handed]) -> Result<(), IdentityError> {
        let text = format(cluster, held);
        match self {
            Self::Memory(kept) => {
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                Ok(())
            }
            Self::File(path) => private_file::replace(path, &text),
        }
    }

    /// Puts away what is kept of another cluster, whose folder is gone.
    pub(crate) fn make_room(&self) -> Result<(), IdentityError> {
        match self {
            Self::Memory(kept) => {
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Ok(())
            }
            Self::File(path) => private_file::put_aside(path),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Memory(_) => "memory".into(),
        }
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Vault").field(&self.path()).finish()
    }
}

fn format(cluster: &str, held: &[Handed]) -> Zeroizing<Vec<u8>> {
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(LENGTH_MAX as usize));
    text.extend_from_slice(format!("{TITLE} {WARNING}\ncluster {cluster}\n").as_bytes());
    for handed in held {
        let mut secret = Zeroizing::new([0; 52]);
        BASE32_NOPAD.encode_mut(&handed.secret, secret.as_mut_slice());
        secret.make_ascii_lowercase();
        let mark = handed.mark(cluster);
        text.extend_from_slice(format!("secret {} {mark} ", handed.epoch).as_bytes());
        text.extend_from_slice(secret.as_slice());
        text.push(b'\n');
    }
    text
}

/// Reads a file's text, or says what it should have held.
fn parse(text: &[u8], cluster: &str) -> Result<Vec<Handed>, &'static str> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    if !lines
        .next()
        .unwrap_or_default()
        .starts_with(TITLE.as_bytes())
    {
        return Err("a first line that begins with `distri cluster secret, version 1`");
    }
    let of = lines
        .next()
        .and_then(|line| line.strip_prefix(b"cluster "))
        .ok_or("a second line `cluster …`")?;
    if of != cluster.as_bytes() {
        return Err("the secret of this node's cluster, not of another one");
    }
    let mut held = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        held.push(parse_secret(line, cluster).ok_or("lines `secret EPOCH MARK SECRET`")?);
    }
    Ok(held)
}

fn parse_secret(line: &[u8], cluster: &str) -> Option<Handed> {
    let mut words = line.strip_prefix(b"secret ")?.split(|byte| *byte == b' ');
    let epoch = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let (mark, secret) = (words.next()?, words.next()?);
    if words.next().is_some() || secret.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut upper: Zeroizing<[u8; 52]> = Zeroizing::new(secret.try_into().ok()?);
    upper.make_ascii_uppercase();
    let mut handed = Handed {
        epoch,
        secret: [0; 32],
    };
    BASE32_NOPAD
        .decode_mut(upper.as_slice(), &mut handed.secret)
        .ok()?;
    (handed.mark(cluster).as_bytes() == mark).then_some(handed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some() -> Vec<Handed> {
        [1, 2]
            .map(|epoch| Handed {
                epoch,
                secret: [u8::try_from(epoch).unwrap(); 32],
            })
            .to_vec()
    }

    #[test]
    fn a_file_keeps_secrets_for_its_owner_alone_and_for_one_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/node.secret");
        let vault = Vault::File(path.clone());

        assert_eq!(vault.read("a").unwrap(), []);
        vault.write("a", &some()[..1]).unwrap();
        vault.write("a", &some()).unwrap();

        assert_eq!(vault.read("a").unwrap(), some());
        let other = vault.read("b").unwrap_err().to_string();
        assert!(other.contains("not of another one"), "{other}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode(&path), 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            let error = vault.read("a").unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
        let names: Vec<_> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["node.secret"]);
    }

    #[test]
    fn the_secret_of_a_cluster_that_is_gone_is_put_aside_and_not_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.secret");
        let vault = Vault::File(path.clone());
        vault.write("a", &some()).unwrap();

        vault.make_room().unwrap();

        assert_eq!(vault.read("b").unwrap(), []);
        let aside = folder.path().join("node.secret.former");
        assert_eq!(Vault::File(aside).read("a").unwrap(), some());
        vault.make_room().unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_secrets_or_an_error(text: Vec<u8>) {
            let _ = parse(&text, "a");
        }

        #[test]
        fn any_changed_byte_is_noticed_or_harmless(at in 0_usize..300, to: u8) {
            let mut text = format("a", &some()).to_vec();
            let at = at % text.len();
            text[at] = to;
            if let Ok(held) = parse(&text, "a") {
                for held in held {
                    prop_assert!(some().contains(&held));
                }
            }
        }
    }
}
