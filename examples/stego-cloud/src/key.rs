//! The key that opens what is hidden: from a flag, a file, the environment, or a person.
//!
//! A passphrase is never an argument, where every program on the machine could read it.

use std::{
    env,
    ffi::OsStr,
    fmt,
    fs::File,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use distri::cli::{Exit, Failure};
use distri_services::stego::{KEY_LENGTH, Key};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

/// Which key to use.
#[derive(Args)]
#[command(next_help_heading = "Key")]
pub(crate) struct KeyArgs {
    /// 64 hex digits, or @FILE with them [default: STEGO_KEY]
    #[arg(long, value_name = "HEX|@FILE", conflicts_with = "passphrase_file")]
    key: Option<KeySource>,
    /// File with the passphrase, - is stdin [default: STEGO_PASSPHRASE, else asks]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Whether a passphrase that is typed has to be typed twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// It opens something, and a slip is noticed.
    Once,
    /// It closes something, and after a slip nobody could open it.
    Twice,
}

/// Where the digits of a key are.
#[derive(Clone)]
enum KeySource {
    Here(Zeroizing<String>),
    File(PathBuf),
}

/// More than a key or a passphrase can have, so that a wrong file is not read to its end.
const SECRET_MAX: u64 = 8192;

const KEY: &str = "STEGO_KEY";
const PASSPHRASE: &str = "STEGO_PASSPHRASE";

impl KeyArgs {
    /// The key that the flags name, else the environment, else the person at the terminal.
    pub(crate) fn key(&self, asking: Asking) -> Result<Key, Failure> {
        if let Some(source) = &self.key {
            return source.read("--key");
        }
        if let Some(path) = &self.passphrase_file {
            return from_file(path);
        }
        match (env::var_os(KEY), env::var_os(PASSPHRASE)) {
            (Some(_), Some(_)) => Err(Failure::usage(format!(
                "{KEY} and {PASSPHRASE} are both set; set one"
            ))),
            (Some(key), None) => KeySource::from(text(KEY, &key)?.as_str()).read(KEY),
            (None, Some(phrase)) => passphrase(PASSPHRASE, text(PASSPHRASE, &phrase)?),
            (None, None) => ask(asking),
        }
    }
}

impl From<&str> for KeySource {
    fn from(text: &str) -> Self {
        match text.strip_prefix('@') {
            Some(path) => Self::File(path.into()),
            None => Self::Here(Zeroizing::new(text.to_owned())),
        }
    }
}

impl KeySource {
    fn read(&self, from: &str) -> Result<Key, Failure> {
        match self {
            Self::Here(digits) => key(from, digits),
            Self::File(path) => {
                let file = File::open(path).map_err(|error| unreadable(path, &error))?;
                let digits = read(path, file)?;
                key(&format!("`{}`", path.display()), digits.trim())
            }
        }
    }
}

/// A key made of fresh random bytes, and its hex digits.
pub(crate) fn random() -> Result<(Key, Zeroizing<String>), Failure> {
    let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| Failure::new(Exit::Failed, error))?;
    let mut digits = Zeroizing::new(String::with_capacity(2 * KEY_LENGTH + 1));
    for byte in bytes.iter() {
        // Writing to a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut *digits, format_args!("{byte:02x}"));
    }
    Ok((Key::from_bytes(*bytes), digits))
}

/// Reads the digits; `from` says in messages where they are, which never repeat them.
fn key(from: &str, digits: &str) -> Result<Key, Failure> {
    Key::deserialize(json!({ "bytes": digits }))
        .map_err(|error| Failure::usage(format!("the key in {from} cannot be used: {error}")))
}

fn passphrase(from: &str, phrase: Zeroizing<String>) -> Result<Key, Failure> {
    Key::from_passphrase(phrase.as_str()).map_err(|error| {
        Failure::usage(format!("the passphrase in {from} cannot be used: {error}"))
    })
}

/// Takes the whole file but its last line break, so that none of it is silently dropped.
fn from_file(path: &Path) -> Result<Key, Failure> {
    let text = if path == Path::new("-") {
        read(path, io::stdin())?
    } else {
        read(
            path,
            File::open(path).map_err(|error| unreadable(path, &error))?,
        )?
    };
    let phrase = text.strip_suffix('\n').unwrap_or(&text);
    let phrase = phrase.strip_suffix('\r').unwrap_or(phrase);
    passphrase(
        &format!("`{}`", path.display()),
        Zeroizing::new(phrase.to_owned()),
    )
}

fn read(path: &Path, from: impl Read) -> Result<Zeroizing<String>, Failure> {
    // With all its room from the start, so that no copy of it is left behind in growing.
    let mut text = Zeroizing::new(String::with_capacity(SECRET_MAX as usize + 1));
    from.take(SECRET_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(path, &error))?;
    if text.len() as u64 > SECRET_MAX {
        let message = format!("`{}` is too long for a key or passphrase", path.display());
        return Err(Failure::usage(message));
    }
    Ok(text)
}

fn text(variable: &str, value: &OsStr) -> Result<Zeroizing<String>, Failure> {
    match value.to_str() {
        Some(text) => Ok(Zeroizing::new(text.to_owned())),
        None => Err(Failure::usage(format!("{variable} is not UTF-8 text"))),
    }
}

fn ask(asking: Asking) -> Result<Key, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("no key is given").with_remedy(format!(
            "give --key or --passphrase-file, or set {KEY} or {PASSPHRASE}"
        )));
    }
    let prompt = |text: &str| {
        rpassword::prompt_password(text)
            .map(Zeroizing::new)
            .map_err(|error| Failure::new(Exit::Failed, format!("no passphrase was read: {error}")))
    };
    let phrase = prompt("Passphrase: ")?;
    if asking == Asking::Twice && prompt("Once more: ")? != phrase {
        return Err(Failure::usage("the two passphrases differ"));
    }
    passphrase("what was typed", phrase)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("could not read `{}`: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn as_json(key: Key) -> serde_json::Value {
        serde_json::to_value(key).unwrap()
    }

    #[test]
    fn a_key_is_read_from_digits_and_from_a_file_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.hex");
        std::fs::write(&path, format!("{DIGITS}\n")).unwrap();

        for text in [DIGITS.to_owned(), format!("@{}", path.display())] {
            let source = KeySource::from(text.as_str());

            assert_eq!(
                as_json(source.read("--key").unwrap()),
                json!({ "bytes": DIGITS })
            );
        }
    }

    #[test]
    fn a_passphrase_file_is_taken_whole_but_for_its_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phrase");

        for (content, expected) in [
            ("two  words", "two  words"),
            (" a\nb \r\n", " a\nb "),
            ("a\n\n", "a\n"),
        ] {
            std::fs::write(&path, content).unwrap();

            assert_eq!(
                as_json(from_file(&path).unwrap()),
                json!({ "passphrase": expected })
            );
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        let refusal = key("--key", "hunter2").err().unwrap().to_string();

        assert!(
            refusal.contains("--key") && !refusal.contains("hunter2"),
            "{refusal}"
        );
    }

    #[test]
    fn random_keys_are_those_of_their_digits() {
        let (made, digits) = random().unwrap();

        assert_eq!(as_json(made), json!({ "bytes": digits.as_str() }));
        assert_eq!(digits.len(), 64);
    }
}
