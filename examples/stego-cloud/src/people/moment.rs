//! Points in time, as people read and type them.
//!
//! Times are told in UTC, beside how far away they are: what time it is where somebody is, this
//! program does not know.

use std::time::Duration;

pub(crate) use distri::cli::time::utc_minute as at;
use distri::{cli::time, config::duration};

/// The end of a grant that has none.
pub(crate) const NEVER: u64 = u64::MAX;

const SECONDS_A_DAY: u64 = 86_400;

/// How long a grant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// So long, from now on.
    For(Duration),
    /// Without an end.
    Forever,
}

impl Term {
    /// When it ends that begins now; milliseconds since 1970.
    pub(crate) fn end_ms(self) -> u64 {
        match self {
            Self::Forever => NEVER,
            Self::For(length) => time::unix_ms_in(length),
        }
    }
}

/// Reads `7d`, `2h`, `never`.
pub(crate) fn term(text: &str) -> Result<Term, String> {
    if text.trim() == "never" {
        return Ok(Term::Forever);
    }
    match duration::parse(text) {
        Some(time) if !time.is_zero() => Ok(Term::For(time)),
        _ => Err("expected how long, such as 2h or 7d, or never".to_owned()),
    }
}

/// The time here, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    time::unix_ms_in(Duration::ZERO)
}

/// `for 7d, until 2026-11-26 14:05 UTC`; `for ever`; `until …` of what has passed.
pub(crate) fn until(ms: u64) -> String {
    let now = now_ms();
    match ms {
        NEVER => "for ever".to_owned(),
        _ if ms <= now => format!("until {}", at(ms)),
        _ => format!("for {}, until {}", about(ms - now), at(ms)),
    }
}

/// The same in a narrow column: `7d`, `never`, `over`.
pub(crate) fn left(ms: u64) -> String {
    let now = now_ms();
    match ms {
        NEVER => "never".to_owned(),
        _ if ms <= now => "over".to_owned(),
        _ => format!("in {}", about(ms - now)),
    }
}

/// `5m ago`.
pub(crate) fn ago(ms: u64) -> String {
    format!("{} ago", about(now_ms().saturating_sub(ms)))
}

/// About how long: what is rounded loses less than a twentieth from two units on.
fn about(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds.div_ceil(60)),
        7_200..172_800 => format!("{}h", seconds.div_ceil(3600)),
        _ => format!("{}d", seconds.div_ceil(SECONDS_A_DAY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_a_length_of_time_or_none() {
        assert_eq!(
            term("7d"),
            Ok(Term::For(Duration::from_secs(7 * SECONDS_A_DAY)))
        );
        assert_eq!(term("never"), Ok(Term::Forever));
        assert_eq!(Term::Forever.end_ms(), NEVER);
        for wrong in ["", "7", "0s", "tomorrow", "-1d"] {
            assert!(term(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_of_time_are_told_in_the_unit_that_suits_them() {
        let told = [0, 1, 119_000, 120_000, 7_200_000, 604_800_000].map(about);
        assert_eq!(told, ["0s", "1s", "119s", "2m", "2h", "7d"]);
    }
}
