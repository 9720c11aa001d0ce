//! What was typed, as what it means: JSON, filters, orders, who may do what.

use std::{fs, io, io::Read, path::Path};

use distri_core::directory::{Field, Filter, Json, Who, limits};
use serde_json::Value;

use crate::cli::{Exit, Failure};

/// JSON as it is typed, `@FILE`, or `-` for stdin.
pub(super) fn json(text: &str) -> Result<Json, Failure> {
    match text.strip_prefix('@') {
        Some(file) => parse(
            &read_file(Path::new(file))?,
            &format!("what is in `{file}`"),
        ),
        None if text == "-" => parse(&read_stdin()?, "what came on stdin"),
        None => parse(text, &format!("`{}`", short(text))),
    }
}

fn parse(text: &str, what: &str) -> Result<Json, Failure> {
    text.trim()
        .parse()
        .map_err(|error: distri_core::directory::InvalidJson| {
            let failure = Failure::usage(format!("{what} is {error}"));
            failure.with_remedy("JSON is {\"a\":1}, [1,2], 5, true, null or, as a text, '\"text\"'")
        })
}

/// A JSON number.
pub(super) fn number(text: &str) -> Result<Json, String> {
    let wanted = || format!("expected a number, such as 5 or -0.5, not `{text}`");
    match serde_json::from_str(text) {
        Ok(Value::Number(_)) => text.parse().map_err(|_| wanted()),
        _ => Err(wanted()),
    }
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let read = || -> io::Result<String> { bounded(fs::File::open(path)?) };
    read().map_err(|error| Failure::usage(format!("could not read `{}`: {error}", path.display())))
}

fn read_stdin() -> Result<String, Failure> {
    bounded(io::stdin().lock())
        .map_err(|error| Failure::usage(format!("could not read stdin: {error}")))
}

/// All of `source`, unless it is more than any command may have.
fn bounded(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source
        .take(limits::COMMAND as u64 + 1)
        .read_to_string(&mut text)?;
    if text.len() > limits::COMMAND {
        let message = format!("it is longer than {} bytes", limits::COMMAND);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(text)
}

/// The filter that the words say together.
pub(super) fn filter(words: &[String]) -> Result<Filter, Failure> {
    if words.is_empty() {
        return Ok(Filter::All);
    }
    Filter::parse(&words.join(" ")).map_err(|error| {
        Failure::new(Exit::Usage, error).with_remedy(
            "a filter is FIELD=VALUE …, such as 'size>=1000' name^=cat or 'title=\"A cat\"'; \
             `find --help` shows more",
        )
    })
}

/// An order, `size` or `-size`: by which field, and whether from the greatest to the least.
pub(super) fn order(text: &str) -> Result<(String, bool), String> {
    let (field, descending) = match text.strip_prefix('-') {
        Some(field) => (field, true),
        None => (text, false),
    };
    if field.is_empty() {
        return Err("expected FIELD, or -FIELD for the greatest first".to_owned());
    }
    Ok((field.to_owned(), descending))
}

/// The fields of an index, `a` or `a,b`.
pub(super) fn fields(text: &str) -> Result<Vec<Field>, String> {
    let fields: Vec<Field> = text
        .split(',')
        .map(|field| Field::from(field.trim()))
        .collect();
    if fields.iter().any(|field| field.as_str().is_empty()) {
        return Err("expected FIELD or FIELD,FIELD".to_owned());
    }
    Ok(fields)
}

/// Who may do something.
pub(super) fn who(text: &str) -> Result<Who, String> {
    Ok(match text {
        "" => return Err("expected public, authenticated, owner, node or a role".to_owned()),
        "public" => Who::Public,
        "authenticated" => Who::Authenticated,
        "owner" => Who::Owner,
        "node" => Who::Node,
        role => Who::Role(role.to_owned()),
    })
}

/// `text` as a message can show it.
fn short(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}…")
}
