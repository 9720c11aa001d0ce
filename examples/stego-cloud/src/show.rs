//! How things look: lines on stdout, colours, tables, bars, numbers with their units.
//!
//! Colours only where a terminal shows them and nobody asked for none. What this program counts is
//! not wider than 80 columns; tables with texts of people ([`Page::fitted`]) are as wide as the
//! terminal. What is said is decided elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use distri::cli::{Exit, Failure};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Standard output. Once its reader has closed the pipe, the rest goes nowhere.
pub(crate) struct Page {
    style: Style,
    closed: bool,
}

/// Colours, or none.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    colour: bool,
}

/// Lines with aligned columns.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    align: Vec<Align>,
}

/// The side on which the texts of a column stand below each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// What a column that gives way keeps: enough to tell titles apart.
const LAST_MIN: usize = 12;

impl Page {
    pub(crate) fn stdout() -> Self {
        let asked_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let colour = io::stdout().is_terminal() && !asked_for_none && !is_dumb;
        Self {
            style: Style { colour },
            closed: false,
        }
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Writes a line at once.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(format!("{}\n", text.trim_end()).as_bytes())
            .and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => {
                let message = format!("could not write to stdout: {error}");
                return Err(Failure::new(Exit::Failed, message));
            }
            Ok(()) => {}
        }
        Ok(())
    }

    /// Writes a table, indented by two.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let style = self.style;
        table
            .lines(style)
            .iter()
            .try_for_each(|line| self.line(&format!("  {line}")))
    }

    /// Writes a table whose last column gives way: where a terminal shows it, no line is longer than
    /// there is room for.
    pub(crate) fn fitted(&mut self, table: &Table) -> Result<(), Failure> {
        let room = if io::stdout().is_terminal() {
            terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
        } else {
            None
        };
        let style = self.style;
        table
            .lines_within(style, room)
            .iter()
            .try_for_each(|line| self.line(line))
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        self.line(&value.to_string())
    }
}

impl Style {
    /// For what the eye is to find first.
    pub(crate) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// For what is there to be looked up.
    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// For what went well.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// For what did not.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Table {
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            head: columns.iter().map(|(head, _)| (*head).to_owned()).collect(),
            rows: Vec::new(),
            align: columns.iter().map(|(_, align)| *align).collect(),
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    fn lines(&self, style: Style) -> Vec<String> {
        self.lines_within(style, None)
    }

    /// The lines, with the last column cut to what `room` leaves for it, though never to less than
    /// [`LAST_MIN`].
    fn lines_within(&self, style: Style, room: Option<usize>) -> Vec<String> {
        let mut widths: Vec<usize> = self.head.iter().map(|cell| width(cell)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        if let (Some(room), Some((last, others))) = (room, widths.split_last_mut()) {
            let taken: usize = others.iter().map(|width| width + 2).sum();
            *last = (*last).min(room.saturating_sub(taken).max(LAST_MIN));
        }
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(widths.iter().zip(&self.align));
            let padded: Vec<_> = cells
                .map(|(cell, (&to, &align))| pad(&cut(cell, to), to, align))
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        let head = style.faint(&line(&self.head));
        std::iter::once(head)
            .chain(self.rows.iter().map(line))
            .collect()
    }
}

/// Columns that a terminal takes for a text: two for letters of East Asia and for pictures of the
/// size of letters, none for marks on the letter before. Terminals differ in rare ones.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text, or what of it has room, with `…` for the rest.
fn cut(text: &str, to: usize) -> String {
    if width(text) <= to {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut taken = 1;
    for character in text.chars() {
        taken += UnicodeWidthChar::width(character).unwrap_or(0);
        if taken > to {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

fn pad(text: &str, to: usize, align: Align) -> String {
    let space = " ".repeat(to.saturating_sub(width(text)));
    match align {
        Align::Left => format!("{text}{space}"),
        Align::Right => format!("{space}{text}"),
    }
}

/// A number with its thousands apart: `61,875`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length in bytes: `61,875 bytes`.
pub(crate) fn bytes(number: u64) -> String {
    format!("{} byte{}", count(number), plural(number))
}

/// What makes a word plural for so many.
pub(crate) fn plural(number: u64) -> &'static str {
    if number == 1 { "" } else { "s" }
}

/// A duration, to what one can tell apart: `0.4 ms`, `87 ms`, `1.24 s`, `75 s`.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        ..0.00005 => "0 ms".to_owned(),
        ..0.00995 => format!("{:.1} ms", seconds * 1e3),
        ..0.9995 => format!("{:.0} ms", seconds * 1e3),
        ..9.995 => format!("{seconds:.2} s"),
        ..99.95 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// A width and a height: `600 × 400`.
pub(crate) fn size(width: u32, height: u32) -> String {
    format!("{width} × {height}")
}

/// A ratio of signal to noise: `51.3 dB`.
pub(crate) fn decibels(ratio: f64) -> String {
    format!("{ratio:.1} dB")
}

/// A part as a percentage: `33 %`; nothing of nothing is nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        "-".to_owned()
    } else {
        format!("{:.0} %", part as f64 * 1e2 / whole as f64)
    }
}

/// A part as a bar that is `full` long for the whole; what is there at all shows.
pub(crate) fn bar(part: u64, whole: u64, full: usize) -> String {
    if part == 0 || whole == 0 {
        return String::new();
    }
    let length = (part as f64 / whole as f64 * full as f64).round() as usize;
    "█".repeat(length.clamp(1, full))
}

/// A text from elsewhere, fit to be shown: no control characters, at most `most` long.
pub(crate) fn tame(text: &str, most: usize) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { '·' } else { c });
    let mut tame: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        tame.pop();
        tame.push('…');
    }
    tame
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { colour: false };

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (61_875, "61,875"),
            (1 << 20, "1,048,576"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn durations_keep_two_or_three_digits() {
        for (micros, text) in [
            (10, "0 ms"),
            (400, "0.4 ms"),
            (9_940, "9.9 ms"),
            (9_960, "10 ms"),
            (87_200, "87 ms"),
            (999_400, "999 ms"),
            (999_600, "1.00 s"),
            (1_244_000, "1.24 s"),
            (12_300_000, "12.3 s"),
            (754_000_000, "754 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_bar_shows_what_is_there_and_nothing_else() {
        assert_eq!(bar(0, 10, 8), "");
        assert_eq!(bar(1, 1000, 8), "█");
        assert_eq!(bar(10, 10, 8), "████████");
        assert_eq!(bar(0, 0, 8), "");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new(&[("node", Align::Left), ("calls", Align::Right)]);
        table.row(["aspen".to_owned(), "7".to_owned()]);
        table.row(["×".to_owned(), "1,234".to_owned()]);

        assert_eq!(
            table.lines(PLAIN),
            ["node   calls", "aspen      7", "×      1,234"]
        );
    }

    #[test]
    fn a_table_fits_the_terminal_and_counts_columns_not_characters() {
        let mut table = Table::new(&[("ID", Align::Left), ("TITLE", Align::Left)]);
        table.row(["猫猫".to_owned(), "A cat that sleeps in the sun".to_owned()]);
        table.row(["e\u{301}".to_owned(), "猫".repeat(20)]);

        assert_eq!(
            table.lines_within(PLAIN, Some(22)),
            [
                "ID    TITLE",
                "猫猫  A cat that slee…",
                "e\u{301}     猫猫猫猫猫猫猫…"
            ]
        );
        assert!(table.lines_within(PLAIN, Some(3))[1].ends_with("A cat that …"));
        assert!(table.lines_within(PLAIN, None)[1].ends_with("in the sun"));
    }

    #[test]
    fn colours_are_left_out_where_they_are_not_wanted() {
        assert_eq!(PLAIN.good("well"), "well");
        assert_eq!(Style { colour: true }.good("well"), "\x1b[32mwell\x1b[0m");
    }

    #[test]
    fn a_text_from_elsewhere_cannot_move_the_cursor() {
        assert_eq!(tame("a\x1b[2Jb", 20), "a·[2Jb");
        assert_eq!(tame("abcdef", 4), "abc…");
    }
}
