//! The name by which people call each other: short, of one script, and one of a kind.

use std::{fmt, str::FromStr};

/// Characters of a handle, at most.
pub const HANDLE_MAX: usize = 32;

/// A name that people type: 2 to [`HANDLE_MAX`] letters of one script, digits, and `-`, `_` or `.`
/// between them. Two that differ in case only are the same name.
///
/// One script, because `раul` with two Cyrillic letters looks like `paul`. Within a script there are
/// letters that look alike; keys do not.
#[distri::message]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(try_from = "String", into = "String")]
pub struct Handle(String);

/// A text that is not a handle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a handle: {problem}")]
pub struct InvalidHandle {
    text: String,
    problem: &'static str,
}

/// Writings whose letters a handle may have, each in its ranges of precomposed letters.
const SCRIPTS: &[&[(char, char)]] = &[
    // Latin
    &[
        ('a', 'z'),
        ('A', 'Z'),
        ('\u{C0}', '\u{D6}'),
        ('\u{D8}', '\u{F6}'),
        ('\u{F8}', '\u{17F}'),
    ],
    // Greek
    &[('\u{386}', '\u{386}'), ('\u{388}', '\u{3CE}')],
    // Cyrillic
    &[('\u{400}', '\u{45F}'), ('\u{48A}', '\u{52F}')],
    // Armenian
    &[('\u{531}', '\u{556}'), ('\u{561}', '\u{586}')],
    // Hebrew
    &[('\u{5D0}', '\u{5EA}')],
    // Arabic
    &[
        ('\u{620}', '\u{63F}'),
        ('\u{641}', '\u{64A}'),
        ('\u{671}', '\u{6D3}'),
    ],
    // Georgian
    &[('\u{10D0}', '\u{10FA}')],
    // Japanese, and Chinese, which shares its characters
    &[
        ('\u{3041}', '\u{3096}'),
        ('\u{30A1}', '\u{30FA}'),
        ('\u{4E00}', '\u{9FFF}'),
    ],
    // Korean
    &[('\u{AC00}', '\u{D7A3}')],
];

impl Handle {
    /// Takes a name as people write it.
    ///
    /// # Errors
    /// [`InvalidHandle`] says what was expected.
    pub fn new(text: &str) -> Result<Self, InvalidHandle> {
        let invalid = |problem| InvalidHandle {
            text: crate::images::media::clean_text(text, 40),
            problem,
        };
        let length = text.chars().take(HANDLE_MAX + 1).count();
        if !(2..=HANDLE_MAX).contains(&length) {
            return Err(invalid("expected 2 to 32 characters"));
        }
        let mut script = None;
        let mut edge = true;
        for character in text.chars() {
            if character.is_ascii_digit() {
                edge = false;
                continue;
            }
            if matches!(character, '-' | '_' | '.') {
                if edge {
                    return Err(invalid(
                        "expected a letter or digit before `-`, `_` and `.`",
                    ));
                }
                edge = true;
                continue;
            }
            edge = false;
            let own = script_of(character)
                .ok_or_else(|| invalid("expected letters, digits, `-`, `_` and `.`"))?;
            if *script.get_or_insert(own) != own {
                return Err(invalid("expected letters of one script"));
            }
        }
        if edge {
            return Err(invalid("expected a letter or digit at the end"));
        }
        // What changes its length with its case would be two names for one.
        let one_form = |character: char| {
            character.to_lowercase().count() == 1
                && (character.to_uppercase().count() == 1 || character == 'ß')
        };
        if !text.chars().all(one_form) {
            return Err(invalid("expected letters that have one small form"));
        }
        Ok(Self(text.to_owned()))
    }

    /// As its owner writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is the same for all ways of writing it.
    #[must_use]
    pub fn folded(&self) -> String {
        // Through capitals, for which some letters have two small forms: `ß` and `ss`, `ı` and `i`, the
        // two sigmas.
        let small = self.0.to_uppercase().to_lowercase();
        small.replace('ς', "σ")
    }
}

/// Which of [`SCRIPTS`] a letter belongs to.
fn script_of(character: char) -> Option<usize> {
    SCRIPTS.iter().position(|ranges| {
        let among = ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&character));
        among && character.is_alphabetic()
    })
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.0)
    }
}

impl FromStr for Handle {
    type Err = InvalidHandle;

    fn from_str(text: &str) -> Result<Self, InvalidHandle> {
        Self::new(text)
    }
}

impl TryFrom<String> for Handle {
    type Error = InvalidHandle;

    fn try_from(text: String) -> Result<Self, InvalidHandle> {
        Self::new(&text)
    }
}

impl From<Handle> for String {
    fn from(handle: Handle) -> Self {
        handle.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn handles_are_of_one_script_and_compare_without_case() {
        for good in [
            "anna",
            "Anna.B-2",
            "Ёлка",
            "Γιώργος",
            "田中さん",
            "홍길동",
            "44",
            "éric",
        ] {
            assert!(Handle::new(good).is_ok(), "{good}");
        }
        let same = |a, b| Handle::new(a).unwrap().folded() == Handle::new(b).unwrap().folded();

        assert!(same("Anna", "aNNA") && same("ЁЛКА", "ёлка") && same("Straße", "STRASSE"));
        assert!(!same("ΟΔΟΣ", "οδός"), "an accent is no matter of case");
        assert!(same("ΣΑΣ", "σας"));
        assert!(!same("anna", "ana"));
    }

    #[test]
    fn what_could_pass_for_another_is_no_handle() {
        for bad in [
            "",
            "a",
            "paul\u{200d}",
            "р\u{0430}ul",
            "an na",
            "-anna",
            "anna-",
            "an--na",
            "a\u{301}b",
            "ａｎｎａ",
            "anna\u{202e}",
            "../x",
            "a/b",
            "İbo",
            "ﬁsh",
            "x\u{1b}[2J",
            "𝐚nna",
        ] {
            assert!(Handle::new(bad).is_err(), "{bad:?}");
        }
        assert!(Handle::new(&"a".repeat(33)).is_err());
    }

    proptest! {
        #[test]
        fn every_handle_has_one_folded_form_and_is_printable(text in "[a-zA-ZÀ-ſЀ-џΑ-ώ0-9._-]{2,34}") {
            if let Ok(handle) = Handle::new(&text) {
                let folded = handle.folded();
                prop_assert_eq!(&crate::images::media::clean_text(&text, 100), &text);
                // Some forms are longer than a handle may be, and are none themselves.
                for other in [folded.clone(), text.to_uppercase(), text.to_lowercase()] {
                    if let Ok(other) = Handle::new(&other) {
                        prop_assert_eq!(other.folded(), folded.as_str());
                    }
                }
            }
        }
    }
}
