//! Words as a shell takes them.

use std::path::Path;

/// `path` as a shell takes it for one word.
pub(super) fn quote_path(path: &Path) -> String {
    quote(&path.display().to_string())
}

/// `text` as a shell takes it for one word.
pub(super) fn quote(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
