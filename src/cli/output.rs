//! What goes to stdout: JSON, tables and bytes. A pipe that is closed has had enough, which is no
//! error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::{Exit, Failure, Global};

/// Standard output.
pub(super) struct Output {
    compact: bool,
}

impl Output {
    pub(super) fn new(global: &Global) -> Self {
        Self {
            compact: global.json || !io::stdout().is_terminal(),
        }
    }

    /// True if a person reads along.
    pub(super) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes a value as JSON: indented for people, one line for programs.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = if self.compact {
            serde_json::to_string(value)
        } else {
            serde_json::to_string_pretty(value)
        };
        self.line(&text.map_err(|error| Failure::new(Exit::Failed, error))?)
    }

    /// Writes a value as one line of JSON.
    pub(super) fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(&to_json_line(value)?)
    }

    /// Writes a line.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes bytes as they are, at once.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Failure::silent(Exit::Done),
                _ => Failure::new(Exit::Failed, format!("could not write to stdout: {error}")),
            })
    }

    /// Writes a table with aligned columns; the last column is as long as it is.
    pub(super) fn table(&self, head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        self.line(&table(head, rows).join("\n"))
    }

    /// Writes lines that take the place of those written before: on a terminal from its upper left
    /// corner, as many and as much of each as it has room for. Elsewhere after them and an empty
    /// line; `values` of JSON without.
    pub(super) fn screen(&self, lines: &[String], values: bool) -> Result<(), Failure> {
        if !self.is_terminal() || values {
            let end = if values { "" } else { "\n" };
            return self.line(&format!("{}{end}", lines.join("\n")));
        }
        let (width, height) = terminal_size::terminal_size().map_or((80, 24), |(width, height)| {
            (usize::from(width.0), usize::from(height.0))
        });
        // To the corner, each line with nothing behind it, and nothing below the last: without
        // clearing all first, so that it does not flicker.
        let mut text = "\x1b[H".to_owned();
        for line in lines.iter().take(height.saturating_sub(1)) {
            text.extend(line.chars().take(width));
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.bytes(text.as_bytes())
    }
}

/// A value as one line of JSON.
pub(super) fn to_json_line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::new(Exit::Failed, error))
}

/// The lines of a table with aligned columns; the last column is as long as it is.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    std::iter::once(&head)
        .chain(rows)
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

/// Tells people something on stderr that is neither a result nor an error.
pub(super) fn tell(text: &str) {
    // Where nobody listens on stderr there is nobody to tell that.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
