//! Points in time as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: u64 = 86_400;

/// Milliseconds since 1970 as `2026-11-22 14:05:07 UTC`.
#[must_use]
pub fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (year, month, day) = date(seconds / SECONDS_A_DAY);
    let of_day = seconds % SECONDS_A_DAY;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// The same to the minute: `2026-11-22 14:05 UTC`.
#[must_use]
pub fn utc_minute(unix_ms: u64) -> String {
    let whole = utc(unix_ms);
    let to_the_minute = whole
        .rsplit_once(':')
        .map_or(whole.as_str(), |(minute, _)| minute);
    format!("{to_the_minute} UTC")
}

/// Now and then `later`, by this machine's clock, in milliseconds since 1970.
#[must_use]
pub fn unix_ms_in(later: Duration) -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.saturating_add(later).as_millis()).unwrap_or(u64::MAX)
}

/// Year, month and day, `days` after 1970-01-01 (Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`: years begin in March, so that leap days come last).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leap_days_and_the_ends_of_years_are_told_right() {
        let told = [0, 951_782_400_000, 1_735_689_599_999, 4_107_542_400_000].map(utc);

        assert_eq!(
            told,
            [
                "1970-01-01 00:00:00 UTC",
                "2000-02-29 00:00:00 UTC",
                "2024-12-31 23:59:59 UTC",
                "2100-03-01 00:00:00 UTC",
            ]
        );
        assert_eq!(utc_minute(1_735_689_599_999), "2024-12-31 23:59 UTC");
    }
}
