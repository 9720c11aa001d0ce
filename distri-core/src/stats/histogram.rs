//! [`Histogram`]: how long things took, in a fixed room and without a lock.
//!
//! Log-linear, as HDR histograms are: each doubling of the duration is divided into 16 equal
//! buckets, so that a bucket is at most a sixteenth of its durations wide, and its middle at most a
//! thirty-second (3.2 %) away from any of them. Below 4.1 µs buckets are 256 ns wide. Recording is
//! a shift, an addition to one of 528 counters, one to the sum and a look at the maximum, all
//! relaxed: counts are exact, and a picture taken meanwhile may lack what is being added.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::Latency;

/// Nanoseconds by which all durations are shifted right: finer than what a clock reading costs.
const UNIT_BITS: u32 = 8;

/// Each doubling is divided into two to the power of this many buckets. One more halves the error
/// and doubles the room.
const PART_BITS: u32 = 4;
const PARTS: usize = 1 << PART_BITS;

/// Doublings above the first `PARTS` units. The last ends at 4.9 hours; what is longer is counted
/// there, and `max` is exact anyway.
const DOUBLINGS: usize = 32;

/// Buckets in all; 4.1 KiB of counters.
pub(super) const BUCKETS: usize = PARTS * (DOUBLINGS + 1);

/// How long things took. The counters are made when the first is recorded.
#[derive(Default)]
pub(crate) struct Histogram {
    counters: OnceLock<Box<Counters>>,
}

struct Counters {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Histogram {
    /// Counts one that took `took`.
    pub(crate) fn record(&self, took: Duration) {
        let nanos = nanos(took);
        let counters = self.counters.get_or_init(Counters::new);
        counters.buckets[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        counters.sum.fetch_add(nanos, Ordering::Relaxed);
        // Seldom true, and a load costs far less than an exchange.
        if nanos > counters.max.load(Ordering::Relaxed) {
            counters.max.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        let counters = self.counters.get();
        counters.map_or(0, |counters| {
            let buckets = counters.buckets.iter();
            buckets.map(|count| count.load(Ordering::Relaxed)).sum()
        })
    }

    /// A picture of all that was recorded.
    pub(crate) fn picture(&self) -> Latency {
        let Some(counters) = self.counters.get() else {
            return Latency::default();
        };
        let counts = counters.buckets.iter().enumerate().map(|(bucket, count)| {
            let bucket = u16::try_from(bucket).expect("there are some hundred buckets");
            (bucket, count.load(Ordering::Relaxed))
        });
        Latency {
            buckets: counts.filter(|(_, count)| *count > 0).collect(),
            sum_ns: counters.sum.load(Ordering::Relaxed),
            max_ns: counters.max.load(Ordering::Relaxed),
        }
    }
}

impl Counters {
    fn new() -> Box<Self> {
        Box::new(Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        })
    }
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

/// The bucket of a duration.
fn bucket_of(nanos: u64) -> usize {
    let units = nanos >> UNIT_BITS;
    if units < PARTS as u64 {
        return units as usize;
    }
    // Where the highest bit is says which doubling it is, the bits below it which part of that.
    let shift = units.ilog2() - PART_BITS;
    let bucket = (shift as usize + 1) * PARTS + (units >> shift) as usize - PARTS;
    bucket.min(BUCKETS - 1)
}

/// The shortest duration of a bucket in nanoseconds; of the one after the last, the end of all.
pub(super) fn start_of(bucket: usize) -> u64 {
    if bucket < PARTS {
        return (bucket as u64) << UNIT_BITS;
    }
    let (doubling, part) = (bucket / PARTS - 1, bucket % PARTS);
    ((PARTS + part) as u64) << (doubling as u32 + UNIT_BITS)
}

/// What stands for all durations of a bucket, in nanoseconds: its middle.
pub(super) fn middle_of(bucket: usize) -> u64 {
    let (start, end) = (start_of(bucket), start_of(bucket + 1));
    start + (end - start) / 2
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Durations of every size up to the end of the last bucket.
    fn durations() -> impl Strategy<Value = u64> {
        (0_u32..44).prop_flat_map(|bits| 0..(1_u64 << bits).saturating_mul(2))
    }

    fn recorded(durations: &[u64]) -> Histogram {
        let histogram = Histogram::default();
        for &nanos in durations {
            histogram.record(Duration::from_nanos(nanos));
        }
        histogram
    }

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        for bucket in 0..BUCKETS {
            let (start, end) = (start_of(bucket), start_of(bucket + 1));

            assert!(start < end);
            assert_eq!(bucket_of(start), bucket);
            assert_eq!(bucket_of(end - 1), bucket);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn what_stands_for_a_duration_is_at_most_a_thirty_second_off(nanos in durations()) {
            let stands = middle_of(bucket_of(nanos));

            let off = stands.abs_diff(nanos);
            prop_assert!(off <= (nanos / 32).max(128), "{stands} for {nanos}");
        }

        #[test]
        fn a_percentile_is_as_near_to_the_true_one(
            mut all in proptest::collection::vec(durations(), 1..300),
            share in 0.0..=1.0_f64,
        ) {
            let latency = recorded(&all).picture();

            all.sort_unstable();
            let rank = ((share * all.len() as f64).ceil() as usize).clamp(1, all.len());
            let truth = all[rank - 1];
            let found = nanos(latency.percentile(share));
            prop_assert!(found.abs_diff(truth) <= (truth / 32).max(128), "{found} for {truth}");
            prop_assert!(found <= *all.last().unwrap());
            prop_assert_eq!(latency.count(), all.len() as u64);
            prop_assert_eq!(latency.max_ns, *all.last().unwrap());
            prop_assert_eq!(latency.sum_ns, all.iter().sum::<u64>());
        }

        #[test]
        fn two_merged_are_as_one_that_recorded_all(
            one in proptest::collection::vec(durations(), 0..100),
            other in proptest::collection::vec(durations(), 0..100),
        ) {
            let mut merged = recorded(&one).picture();

            merged.merge(&recorded(&other).picture());

            prop_assert_eq!(merged, recorded(&[one, other].concat()).picture());
        }
    }

    #[test]
    fn percentiles_of_a_thousand_even_steps_are_where_they_belong() {
        let steps: Vec<u64> = (1..=1000).map(|step| step * 1_000_000).collect();

        let latency = recorded(&steps).picture();

        for (share, truth) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latency.percentile(share).as_secs_f64() * 1000.0;
            assert!(
                (found - truth).abs() / truth <= 0.032,
                "{found} for {truth}"
            );
        }
    }

    #[test]
    fn counts_are_exact_when_many_threads_record_at_once() {
        let histogram = Histogram::default();

        std::thread::scope(|scope| {
            for thread in 0..4 {
                let histogram = &histogram;
                scope.spawn(move || {
                    for step in 0..10_000 {
                        histogram.record(Duration::from_nanos(step * 1000 + thread));
                    }
                });
            }
        });

        assert_eq!(histogram.count(), 40_000);
        assert_eq!(histogram.picture().max_ns, 9_999_003);
    }
}
