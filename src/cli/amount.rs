//! Amounts as people read them: bytes, lengths of time, numbers of things.

use std::time::Duration;

/// So many of a thing, in words.
pub(super) fn of(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// A length of time in its greatest unit.
pub(super) fn since(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long a call took, in two or three digits.
pub(super) fn took(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    // What rounds up to a greater unit is told in that.
    if micros < 999.5 {
        format!("{micros:.0}µs")
    } else if micros < 9_950.0 {
        format!("{:.1}ms", micros / 1e3)
    } else if micros < 999_500.0 {
        format!("{:.0}ms", micros / 1e3)
    } else if micros < 99.95e6 {
        format!("{:.1}s", micros / 1e6)
    } else {
        since(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Bytes in their greatest binary unit, in two or three digits.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for greater in units {
        if amount < 999.5 {
            break;
        }
        amount /= 1024.0;
        unit = greater;
    }
    if amount < 9.95 {
        format!("{amount:.1}{unit}")
    } else {
        format!("{amount:.0}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_in_the_unit_that_suits_them() {
        let times = [
            0,
            999,
            1_000,
            9_949,
            9_950,
            999_499,
            999_500,
            90_000_000,
            120_000_000,
        ];
        let times = times.map(|micros| took(Duration::from_micros(micros)));
        assert_eq!(
            times,
            [
                "0µs", "999µs", "1.0ms", "9.9ms", "10ms", "999ms", "1.0s", "90.0s", "2m"
            ]
        );
        let sizes = [0, 1023, 1024, 10_239, 1_047_000, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0B", "1023B", "1.0KiB", "10KiB", "1.0MiB", "16EiB"]);
    }
}
