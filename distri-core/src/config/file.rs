//! Configuration files: TOML, with the line of each key.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use figment::{
    providers::{Format, Toml},
    value::Dict,
};
use toml_edit::{ImDocument, TableLike};

use super::ConfigError;

/// No configuration is longer; a file that is, is something else, and is not read into memory.
const LENGTH_MAX: u64 = 4 << 20;

/// What a file says.
#[derive(Default)]
pub(super) struct FileValues {
    pub(super) values: Dict,
    /// The line of each key, counted from 1, where it could be told.
    pub(super) lines: BTreeMap<String, u32>,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<FileValues, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LENGTH_MAX + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > LENGTH_MAX {
        let message = "longer than any configuration (4 MiB)";
        return Err(unreadable(io::Error::new(
            io::ErrorKind::FileTooLarge,
            message,
        )));
    }
    parse(&text).map_err(|(line, message)| ConfigError::Syntax {
        path: path.to_owned(),
        line,
        message,
    })
}

/// Reads TOML, or says in which line it is none. The line itself is not quoted: it may hold a
/// secret.
fn parse(text: &str) -> Result<FileValues, (u32, String)> {
    let values: Dict = Toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (
            line_of(text, at),
            error.message().trim().replace('\n', ", "),
        )
    })?;
    // Lines are a courtesy: where they cannot be told, messages name the file alone.
    let mut lines = BTreeMap::new();
    if let Ok(document) = ImDocument::parse(text) {
        collect_lines(document.as_table(), "", text, &mut lines);
    }
    Ok(FileValues { values, lines })
}

fn line_of(text: &str, at: usize) -> u32 {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    let breaks = before.iter().filter(|&&b| b == b'\n').count();
    u32::try_from(breaks + 1).unwrap_or(u32::MAX)
}

/// Adds the lines of the keys in `table`, which stands at `prefix`.
fn collect_lines(
    table: &dyn TableLike,
    prefix: &str,
    text: &str,
    lines: &mut BTreeMap<String, u32>,
) {
    for (name, item) in table.iter() {
        let key = if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}.{name}")
        };
        let written = table.get_key_value(name).and_then(|(key, _)| key.span());
        if let Some(span) = written.or_else(|| item.span()) {
            lines.insert(key.clone(), line_of(text, span.start));
        }
        if let Some(inner) = item.as_table_like() {
            collect_lines(inner, &key, text, lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_line() {
        let text =
            "# a comment\n[node]\nname = \"a\"\nlisten =\n\n[services.stego]\nx = [\n1,\n2]\n";
        let text = text.replace("listen =\n", "listen = \"b\"\n");

        let lines = parse(&text).map_err(|_| ()).unwrap().lines;

        assert_eq!(lines["node.name"], 3);
        assert_eq!(lines["node.listen"], 4);
        assert_eq!(lines["services.stego"], 6);
        assert_eq!(lines["services.stego.x"], 7);
    }

    #[test]
    fn dotted_keys_and_inline_tables_have_their_line_too() {
        let text = "node.name = \"a\"\naccess.roles = { admin = [] }\ncloud.nodes = []\n";

        let lines = parse(text).map_err(|_| ()).unwrap().lines;

        assert_eq!(lines["node.name"], 1);
        assert_eq!(lines["access.roles.admin"], 2);
        assert_eq!(lines["cloud.nodes"], 3);
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_line_and_without_quoting_it() {
        let (line, message) = parse("[node]\nname = \"a\"\ntoken = \"hush\n")
            .map(|_| ())
            .unwrap_err();

        assert_eq!(line, 3);
        assert!(!message.contains("hush"), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = parse(&text);
        }
    }
}
