//! Timing in turns: a machine that others use too slows all who take part. Beside the time that passed
//! stands the time of processors, of all threads together, which others slow much less.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// How often each does its work. `--rounds N` says another number.
pub(crate) fn rounds() -> usize {
    static ROUNDS: OnceLock<usize> = OnceLock::new();
    *ROUNDS.get_or_init(|| {
        let mut arguments = std::env::args().skip_while(|argument| argument != "--rounds");
        let number = arguments.nth(1).map(|number| number.parse());
        number.map_or(9, |number| number.expect("--rounds takes a number"))
    })
}

/// A piece of work that is timed.
pub(crate) type Work<'a> = Box<dyn FnMut() + 'a>;

/// What each of `works` takes; they take turns.
pub(crate) fn in_turns(works: &mut [Work<'_>]) -> Vec<Times> {
    let mut times = vec![(Vec::new(), Vec::new()); works.len()];
    for _ in 0..rounds() {
        for (work, (passed, worked)) in works.iter_mut().zip(&mut times) {
            let (start, before) = (Instant::now(), of_processors());
            work();
            passed.push(start.elapsed());
            worked.push(of_processors() - before);
        }
    }
    let times = times.into_iter();
    times
        .map(|(passed, worked)| Times::of(passed, worked))
        .collect()
}

/// What all threads of this program have taken so far.
fn of_processors() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

/// What some rounds took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The median of what passed.
    pub(crate) median: Duration,
    /// The least of what passed: what it takes when nobody interferes.
    pub(crate) least: Duration,
    /// The median of what processors took.
    pub(crate) work: Duration,
}

impl Times {
    fn of(mut passed: Vec<Duration>, mut worked: Vec<Duration>) -> Self {
        passed.sort_unstable();
        worked.sort_unstable();
        Self {
            median: passed[passed.len() / 2],
            least: passed[0],
            work: worked[worked.len() / 2],
        }
    }

    pub(crate) fn ms(self) -> f64 {
        self.median.as_secs_f64() * 1e3
    }

    /// How many times as long as `other`: by what passed, and by what processors took.
    pub(crate) fn over(self, other: Self) -> [f64; 2] {
        let ratio = |own: Duration, other: Duration| own.as_secs_f64() / other.as_secs_f64();
        [
            ratio(self.median, other.median),
            ratio(self.work, other.work),
        ]
    }
}
