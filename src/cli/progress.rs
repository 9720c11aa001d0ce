//! [`ProgressLine`]: one line on stderr that says how far the work is, redrawn in place.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A line on stderr that says how far the work is. It is redrawn in place, at most twenty times a
/// second, fits the terminal, and is not drawn at all where stderr is no terminal. Dropping it
/// wipes it away.
#[derive(Debug)]
pub struct ProgressLine {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    is_terminal: bool,
    drawn: Option<Instant>,
}

/// Faster than people see, slower than a terminal minds.
const PAUSE: Duration = Duration::from_millis(50);

/// Wide enough to see single steps, narrow enough to leave room for the note.
const BAR: usize = 30;

impl ProgressLine {
    /// A line that shows nothing yet.
    pub fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self {
            state: Mutex::new(State {
                is_terminal,
                drawn: None,
            }),
        }
    }

    /// Shows a fraction from 0 to 1, and a word about it.
    pub fn show(&self, fraction: f32, note: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state.drawn.is_none_or(|at| at.elapsed() >= PAUSE) || fraction >= 1.0;
        if state.is_terminal && is_due {
            let width = terminal_size::terminal_size_of(io::stderr())
                .map_or(80, |(width, _)| usize::from(width.0));
            // To the line's start, wipe it, draw it again.
            let _ = write!(io::stderr(), "\r\x1b[2K{}", draw(fraction, note, width));
            state.drawn = Some(Instant::now());
        }
    }

    /// Wipes the line away, to make room for other output.
    pub fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

impl Default for ProgressLine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The line for a terminal of `width` columns; one stays free, since a full line would wrap.
fn draw(fraction: f32, note: &str, width: usize) -> String {
    let fraction = if fraction.is_finite() {
        fraction.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let percent = (fraction * 100.0) as usize;
    // Control characters in a note from elsewhere would draw over the terminal.
    let note: String = note.chars().filter(|c| !c.is_control()).collect();
    let room = width.saturating_sub(1);
    let bar = BAR.min(room.saturating_sub(6));
    let full = (fraction * bar as f32) as usize;
    let line = format!(
        "{}{} {percent:>3}% {note}",
        "█".repeat(full),
        "░".repeat(bar - full)
    );
    line.chars()
        .take(room)
        .collect::<String>()
        .trim_end()
        .to_owned()
}
