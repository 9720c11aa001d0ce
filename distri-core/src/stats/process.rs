//! What this process costs, as Linux tells in `/proc`; elsewhere nobody does.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::ProcessStats;

/// How often the system is asked at most. Its clock ticks a hundred times a second, so that more
/// often would tell less.
const ASK: Duration = Duration::from_secs(1);

/// Over about how long the share of a core is smoothed.
const SMOOTH: Duration = Duration::from_secs(5);

/// Ticks of the clock in which the kernel tells CPU time, a second: 100 on every Linux there is
/// (`USER_HZ`).
const TICKS: u64 = 100;

/// Watches what this process costs.
#[derive(Debug, Default)]
pub(crate) struct ProcessMeter(Mutex<Share>);

/// The share of a core, smoothed.
#[derive(Debug, Default)]
struct Share {
    seen: Option<(Instant, Duration)>,
    share: f64,
}

impl ProcessMeter {
    /// The share of a core, in hundredths; asks the system if it is time to.
    pub(crate) fn cpu_percent(&self, now: Instant) -> Option<u16> {
        let mut share = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if share.is_due(now) {
            share.take_in(now, cpu_time()?);
        }
        Some(share.percent())
    }

    /// All that can be told now.
    pub(crate) fn stats(&self, now: Instant) -> Option<ProcessStats> {
        let cpu_percent = self.cpu_percent(now)?;
        Some(ProcessStats {
            cpu_ms: u64::try_from(cpu_time()?.as_millis()).unwrap_or(u64::MAX),
            cpu_percent,
            resident: resident()?,
        })
    }
}

impl Share {
    fn is_due(&self, now: Instant) -> bool {
        self.seen
            .is_none_or(|(at, _)| now.saturating_duration_since(at) >= ASK)
    }

    /// Takes in the CPU time used until `now`.
    fn take_in(&mut self, now: Instant, used: Duration) {
        if let Some((at, before)) = self.seen {
            let passed = now.saturating_duration_since(at).as_secs_f64();
            if passed > 0.0 {
                let share = used.saturating_sub(before).as_secs_f64() / passed;
                // What is older counts for less, by how long ago it was.
                let old = (-passed / SMOOTH.as_secs_f64()).exp();
                self.share = self.share * old + share * (1.0 - old);
            }
        }
        self.seen = Some((now, used));
    }

    fn percent(&self) -> u16 {
        (self.share * 100.0).round().clamp(0.0, f64::from(u16::MAX)) as u16
    }
}

/// CPU time, user and system, of all threads of this process.
fn cpu_time() -> Option<Duration> {
    parse_stat(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Bytes of memory that are resident.
fn resident() -> Option<u64> {
    parse_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// proc_pid_stat(5): the fourteenth and fifteenth field. The second is the program's name in
/// brackets, which may hold anything.
fn parse_stat(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

/// proc_pid_status(5).
fn parse_status(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_core_follows_what_is_used() {
        let start = crate::world::now();
        let mut share = Share::default();
        let second = Duration::from_secs(1);
        share.take_in(start, Duration::ZERO);

        for n in 1..=60 {
            share.take_in(start + second * n, second / 2 * n);
        }
        let busy = share.percent();
        for n in 61..=90 {
            share.take_in(start + second * n, second * 30);
        }

        assert_eq!((busy, share.percent()), (50, 0));
    }

    #[test]
    fn a_program_of_any_name_is_read() {
        let stat = "7 (a) R 1 (b)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";

        assert_eq!(parse_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(parse_stat("7 (a"), None);
        assert_eq!(parse_status("Name:\ta\nVmRSS:\t   12 kB\n"), Some(12_288));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_very_process_has_a_size() {
        let stats = ProcessMeter::default().stats(crate::world::now()).unwrap();

        assert!(stats.resident > 100_000, "{stats:?}");
    }
}
