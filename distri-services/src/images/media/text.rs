//! Titles and notes of strangers, fit to be printed.
//!
//! A terminal obeys what it is told to print: escape sequences set its title, fill its clipboard,
//! hide what follows. Marks of direction make `gpj.exe` read as `exe.jpg`. None of it is needed in a
//! title, so none is kept, neither when something is published nor when it is read.

/// Characters of a title, at most.
pub const TITLE_MAX: usize = 120;

/// Characters of a note, at most.
pub const NOTE_MAX: usize = 280;

/// `text` without control characters, escape sequences, marks of direction and other characters that
/// have no shape; each run of white space one space; at most `max` characters.
#[must_use]
pub fn clean_text(text: &str, max: usize) -> String {
    let mut clean = String::new();
    let mut length = 0;
    let mut space = false;
    for character in WithoutEscapes(text.chars()) {
        if character.is_whitespace() {
            space = true;
            continue;
        }
        if is_unseen(character) {
            continue;
        }
        let needed = 1 + usize::from(space && length > 0);
        if length + needed > max {
            break;
        }
        if needed == 2 {
            clean.push(' ');
        }
        space = false;
        clean.push(character);
        length += needed;
    }
    clean
}

/// A title for a picture that was in the file `name`: its last part without its ending.
#[must_use]
pub fn title_of_file(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = match last.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => last,
    };
    let title = clean_text(stem, TITLE_MAX);
    if title.chars().any(char::is_alphanumeric) {
        title
    } else {
        "Untitled".to_owned()
    }
}

/// Has no shape of its own, so that two texts that look alike could differ in it, or changes how
/// what is around it is shown.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{FDD0}'..='\u{FDEF}'
            | '\u{E000}'..='\u{F8FF}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{10FFFF}')
        || u32::from(character) & 0xFFFE == 0xFFFE
}

/// Characters without the sequences by which terminals are told what to do (ECMA-48).
struct WithoutEscapes<'a>(std::str::Chars<'a>);

impl Iterator for WithoutEscapes<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            match self.0.next()? {
                '\u{1B}' => {
                    let mut ahead = self.0.clone();
                    match ahead.next() {
                        Some('[') => {
                            self.0 = ahead;
                            self.skip_control_sequence();
                        }
                        Some(']' | 'P' | 'X' | '^' | '_') => {
                            self.0 = ahead;
                            self.skip_string();
                        }
                        // Two characters, or three where the second says so.
                        Some(' '..='/') => {
                            self.0 = ahead;
                            self.0.next();
                        }
                        Some('0'..='~') => self.0 = ahead,
                        _ => {}
                    }
                }
                '\u{9B}' => self.skip_control_sequence(),
                '\u{90}' | '\u{98}' | '\u{9D}' | '\u{9E}' | '\u{9F}' => self.skip_string(),
                character => return Some(character),
            }
        }
    }
}

impl WithoutEscapes<'_> {
    /// Parameters and intermediate characters, and the final one.
    fn skip_control_sequence(&mut self) {
        let mut ahead = self.0.clone();
        loop {
            match ahead.next() {
                Some(' '..='?') => self.0 = ahead.clone(),
                Some('@'..='~') => {
                    self.0 = ahead;
                    return;
                }
                _ => return,
            }
        }
    }

    /// Up to the bell or the string terminator; a string that does not end takes all that follows,
    /// as a terminal would.
    fn skip_string(&mut self) {
        while let Some(character) = self.0.next() {
            match character {
                '\u{07}' | '\u{9C}' => return,
                '\u{1B}' if self.0.as_str().starts_with('\\') => {
                    self.0.next();
                    return;
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn titles_lose_what_terminals_obey_and_keep_what_people_read() {
        let clean = |text| clean_text(text, TITLE_MAX);

        assert_eq!(clean("A cat, été, Кот, 猫 🐈"), "A cat, été, Кот, 猫 🐈");
        assert_eq!(clean("red \x1b[31;1mcat\x1b[0m!"), "red cat!");
        assert_eq!(clean("a\x1b]52;c;aGVsbG8=\x07b\x1b]0;x\x1b\\c"), "abc");
        assert_eq!(clean("a\u{9b}2Jb\u{9d}0;x\u{9c}c"), "abc");
        assert_eq!(clean("a\x1b(Bb\x1bcc\x1b"), "abc");
        assert_eq!(clean("cat\u{202e}gpj.exe\u{2066}\u{200f}"), "catgpj.exe");
        assert_eq!(clean(" a \r\n\t b\0\u{7f} "), "a b");
        assert_eq!(clean("z\u{200b}w\u{feff}s\u{e0041}"), "zws");
    }

    #[test]
    fn titles_have_a_greatest_length_in_characters() {
        assert_eq!(clean_text(&"猫".repeat(4096), 120), "猫".repeat(120));
        assert_eq!(clean_text("ab  cd", 4), "ab c");
        assert_eq!(clean_text("ab  cd", 3), "ab");
        assert_eq!(clean_text("ab", 0), "");
    }

    #[test]
    fn the_title_of_a_file_is_no_path() {
        assert_eq!(title_of_file("/home/me/My cat.final.jpg"), "My cat.final");
        assert_eq!(title_of_file("C:\\pictures\\cat.png"), "cat");
        assert_eq!(title_of_file("../../etc/passwd"), "passwd");
        assert_eq!(title_of_file(".jpg"), ".jpg");
        for nameless in ["", "..", "\x1b[2J.png", "/"] {
            assert_eq!(title_of_file(nameless), "Untitled", "{nameless:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_not_seen_is_left_of_any_text(text in ".{0,200}", max in 0usize..150) {
            let once = clean_text(&text, max);

            prop_assert!(once.chars().count() <= max);
            prop_assert!(!once.chars().any(is_unseen), "{once:?}");
            prop_assert!(!once.chars().any(|c| c.is_whitespace() && c != ' '));
            prop_assert_eq!(clean_text(&once, max), once);
        }

        #[test]
        fn escapes_of_any_kind_leave_no_escape(
            text in "(\x1b|\u{9b}|\u{9d}|\x07|\\[|\\]|;|[0-9]|[a-z]|\\\\){0,60}",
        ) {
            let clean = clean_text(&text, 100);

            prop_assert!(!clean.chars().any(char::is_control), "{clean:?}");
        }
    }
}
