//! How far work is: a bar at a terminal, a line now and then in a log; of work that cannot say how far
//! it is, that it goes on.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use distri::cli::ProgressLine;

/// Tells on stderr how far a batch is.
pub(crate) struct Progress {
    bar: ProgressLine,
    began: Instant,
    /// Tenths of the work that a log has been told of; `None` where there is only a bar.
    tenths: Option<u64>,
}

/// A log gets a line for each tenth of the work.
const LINES: u64 = 10;

impl Progress {
    /// A bar, where stderr is a terminal.
    pub(crate) fn bar() -> Self {
        Self {
            bar: ProgressLine::new(),
            began: Instant::now(),
            tenths: None,
        }
    }

    /// A bar, or lines where stderr is not a terminal.
    pub(crate) fn bar_or_lines() -> Self {
        let tenths = (!io::stderr().is_terminal()).then_some(0);
        Self {
            tenths,
            ..Self::bar()
        }
    }

    /// Shows that `done` of `whole` are done.
    pub(crate) fn show(&mut self, done: u64, whole: u64, note: &str) {
        self.bar.show(done as f32 / whole.max(1) as f32, note);
        let Some(told) = self.tenths else { return };
        let tenths = done * LINES / whole.max(1);
        if tenths > told {
            self.tenths = Some(tenths);
            let seconds = self.began.elapsed().as_secs_f64();
            // Where nobody listens on stderr there is nobody to tell that.
            let _ = writeln!(io::stderr(), "{done} of {whole} after {seconds:.1} s");
        }
    }

    /// Wipes the bar away, to make room for the result.
    pub(crate) fn clear(&self) {
        self.bar.clear();
    }
}

/// Shows on stderr, where that is a terminal, that something goes on and for how long. Gone when
/// dropped.
pub(crate) struct Spinner {
    turning: Option<tokio::task::JoinHandle<()>>,
}

/// The pictures of a spinner, one after the other.
const TURNS: [char; 4] = ['|', '/', '-', '\\'];

/// How long each is shown.
const TURN: Duration = Duration::from_millis(120);

impl Spinner {
    /// Begins to turn beside `note`.
    pub(crate) fn start(note: &'static str) -> Self {
        let turn = async move {
            let began = Instant::now();
            for picture in TURNS.into_iter().cycle() {
                let seconds = began.elapsed().as_secs();
                // To the line's start, wipe it, draw it again.
                let _ = write!(io::stderr(), "\r\x1b[2K{picture} {note} {seconds} s");
                tokio::time::sleep(TURN).await;
            }
        };
        let turning = io::stderr().is_terminal().then(|| tokio::spawn(turn));
        Self { turning }
    }

    /// Wipes it away, to make room for the result.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(turning) = self.turning.take() {
            turning.abort();
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}
