//! Documents as a table whose columns are their fields, as wide as the terminal.

use std::io;

use distri_core::directory::{Document, Json};
use serde_json::Value;

use crate::cli::{
    Failure,
    output::{Output, tell},
    time,
};

/// A column is cut to no less than this; columns that then do not fit are left out.
const WIDTH_MIN: usize = 8;

/// Where nobody said which fields: more columns than this say nothing to a person.
const COLUMNS_MAX: usize = 24;

/// Between two columns.
const GAP: usize = 2;

/// A table that is printed part by part; the first part says which columns there are.
pub(super) struct Table {
    fields: Vec<String>,
    /// For each column, its name and how wide it may be.
    columns: Vec<Column>,
    left_out: Vec<String>,
    is_begun: bool,
    /// Cells that are longer than their column are cut.
    is_cut: bool,
}

struct Column {
    field: String,
    width: usize,
}

impl Table {
    /// A table of these fields; of those that the documents have, if they are none.
    pub(super) fn new(fields: Vec<String>) -> Self {
        Self {
            fields,
            columns: Vec::new(),
            left_out: Vec::new(),
            is_begun: false,
            is_cut: false,
        }
    }

    pub(super) fn print(&mut self, documents: &[Document], output: &Output) -> Result<(), Failure> {
        if documents.is_empty() {
            return Ok(());
        }
        let values: Vec<Value> = documents.iter().map(|found| found.value.value()).collect();
        let mut lines = Vec::new();
        if !self.is_begun {
            self.begin(documents, &values, output.is_terminal());
            let head: Vec<String> = self
                .columns
                .iter()
                .map(|column| column.field.trim_start_matches('@').to_uppercase())
                .collect();
            lines.push(self.line(&head));
        }
        for (document, value) in documents.iter().zip(&values) {
            let cells: Vec<String> = self
                .columns
                .iter()
                .map(|column| cell(document, value, &column.field))
                .collect();
            lines.push(self.line(&cells));
        }
        output.line(&lines.join("\n"))
    }

    /// Says which fields had no room.
    pub(super) fn tell_left_out(&self) {
        if !self.left_out.is_empty() {
            tell(&format!(
                "no room for {}: --fields chooses, --json has all",
                self.left_out.join(", ")
            ));
        }
    }

    fn begin(&mut self, documents: &[Document], values: &[Value], is_terminal: bool) {
        self.is_begun = true;
        let fields = if self.fields.is_empty() {
            usual(values)
        } else {
            self.fields.clone()
        };
        self.columns = fields
            .into_iter()
            .map(|field| {
                let cells = documents.iter().zip(values);
                let longest = cells
                    .map(|(document, value)| length(&cell(document, value, &field)))
                    .max();
                Column {
                    width: length(&field).max(longest.unwrap_or(0)),
                    field,
                }
            })
            .collect();
        self.is_cut = is_terminal;
        if is_terminal {
            let width = terminal_size::terminal_size_of(io::stdout())
                .map_or(80, |(width, _)| usize::from(width.0));
            self.fit(width);
        }
    }

    /// Makes the widest columns narrower until all fit; where that does not do, leaves out the last
    /// ones.
    fn fit(&mut self, width: usize) {
        let total = |columns: &[Column], most: usize| -> usize {
            let cells: usize = columns.iter().map(|column| column.width.min(most)).sum();
            cells + GAP * columns.len().saturating_sub(1)
        };
        while self.columns.len() > 1 && total(&self.columns, WIDTH_MIN) > width {
            self.left_out
                .extend(self.columns.pop().map(|column| column.field));
        }
        self.left_out.reverse();
        let most = (WIDTH_MIN..=width)
            .rev()
            .find(|most| total(&self.columns, *most) <= width)
            .unwrap_or(WIDTH_MIN);
        for column in &mut self.columns {
            column.width = column.width.min(most);
        }
    }

    fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (cell, column) in cells.iter().zip(&self.columns) {
            // Later parts may have longer cells than the first, on which the widths were taken.
            let cell = if self.is_cut {
                cut(cell, column.width)
            } else {
                cell.clone()
            };
            line.push_str(&format!("{cell:<width$}  ", width = column.width));
        }
        line.trim_end().to_owned()
    }
}

/// The columns where nobody said which: the id, and the members of the documents in the order in
/// which they are met.
fn usual(values: &[Value]) -> Vec<String> {
    let mut fields = vec!["@id".to_owned()];
    for value in values {
        let Value::Object(members) = value else {
            if !fields.iter().any(|field| field == "@value") {
                fields.push("@value".to_owned());
            }
            continue;
        };
        for name in members.keys() {
            if fields.len() < COLUMNS_MAX && !fields.contains(name) {
                fields.push(name.clone());
            }
        }
    }
    fields
}

/// What stands in the column `field`.
fn cell(document: &Document, value: &Value, field: &str) -> String {
    let optional = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    match field {
        "@id" => plain(&document.id),
        "@value" if value.is_object() => "-".to_owned(),
        "@value" => text_of(value),
        "@owner" => optional(document.owner.map(|key| key.to_string())),
        "@lease" => optional(document.lease.map(|lease| lease.to_string())),
        "@revision" => document.revision.to_string(),
        "@created_revision" => document.created_revision.to_string(),
        "@created" => time::utc(document.created_ms),
        "@updated" => time::utc(document.updated_ms),
        path => at(value, path).map_or_else(|| "-".to_owned(), text_of),
    }
}

/// What is at a path such as `address.city` or `tags.0`. A member whose name has points is found
/// too.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = member(value, path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    at(member(value, first)?, rest)
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => plain(text),
        other => other.to_string(),
    }
}

/// `text` on one line and without what would draw over the terminal.
fn plain(text: &str) -> String {
    if text.chars().any(char::is_control) {
        return Value::from(text).to_string();
    }
    text.to_owned()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// `text`, at most `width` long.
pub(super) fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{start}…")
}

/// So many documents, in words.
pub(super) fn documents(count: u64) -> String {
    match count {
        1 => "1 document".to_owned(),
        many => format!("{many} documents"),
    }
}

/// A document's content on one line.
pub(super) fn content(value: &Json) -> String {
    value.value().to_string()
}

/// What the directory knows of a document, for people.
pub(super) fn about(document: &Document) -> String {
    let mut text = format!(
        "revision {}, changed {}",
        document.revision,
        time::utc(document.updated_ms)
    );
    if let Some(owner) = document.owner {
        text.push_str(&format!(", owner {}", owner.short()));
    }
    if let Some(lease) = document.lease {
        text.push_str(&format!(", until lease {lease} ends"));
    }
    text
}
