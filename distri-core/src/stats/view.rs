//! What is told of statistics: plain values that are sent, merged and shown.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::histogram::{BUCKETS, middle_of, start_of};

/// The calls of one method since the node or program started.
///
/// A call ends when its reply is there. What a blob or stream of the reply carries afterwards counts
/// as bytes, not as time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct MethodStats {
    /// The service's name.
    pub service: String,
    /// The method's name.
    pub method: String,
    /// Calls under way.
    pub in_flight: u32,
    /// Calls that have ended, and how long they took: on a node from when a call was read until its
    /// reply was queued, in a program with all tries and pauses between them.
    pub latency: Latency,
    /// Of those, calls that failed, by code.
    pub failed: BTreeMap<String, u64>,
    /// Calls that a node did not begin, by code: `busy`, `denied`, `unavailable` while it starts or
    /// drains. They are not among those that ended.
    pub refused: BTreeMap<String, u64>,
    /// Tries that failed and were followed by another. Only programs that call know.
    pub retries: u64,
    /// Calls of which a second node was asked as well. Only programs that call know.
    #[serde(default)]
    pub hedges: u64,
    /// Bytes of arguments with their blobs and streams. Only nodes that serve know.
    pub bytes_in: u64,
    /// Bytes of results with their blobs and streams. Only nodes that serve know.
    pub bytes_out: u64,
}

/// How long things took: counts by bucket, the exact sum and the exact maximum.
///
/// Bucket `b` below 16 holds durations from `b` to `b + 1` times 256 ns; above, the bucket holds
/// those from `(16 + b % 16) << (b / 16 - 1)` times 256 ns to that of the next. So what a percentile
/// says is at most 3.2 % off, below 4 µs at most 128 ns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Latency {
    /// Buckets that hold any, and how many, in order.
    pub buckets: Vec<(u16, u64)>,
    /// All durations together, in nanoseconds.
    pub sum_ns: u64,
    /// The longest, in nanoseconds.
    pub max_ns: u64,
}

impl MethodStats {
    /// Calls that have ended, well or not.
    pub fn calls(&self) -> u64 {
        self.latency.count()
    }

    /// Of those, calls that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Calls refused because a bound was reached.
    pub fn busy(&self) -> u64 {
        self.refused.get("busy").copied().unwrap_or(0)
    }

    /// Adds the calls that another node or program counted.
    pub fn merge(&mut self, other: &Self) {
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        self.latency.merge(&other.latency);
        for (mine, theirs) in [
            (&mut self.failed, &other.failed),
            (&mut self.refused, &other.refused),
        ] {
            for (code, count) in theirs {
                let sum = mine.entry(code.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        self.retries = self.retries.saturating_add(other.retries);
        self.hedges = self.hedges.saturating_add(other.hedges);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
    }
}

impl Latency {
    /// How many there were.
    pub fn count(&self) -> u64 {
        let counts = self.buckets.iter().map(|(_, count)| *count);
        counts.fold(0, u64::saturating_add)
    }

    /// The duration that a share of all (0.5 is the median) did not exceed; zero if there were none.
    pub fn percentile(&self, share: f64) -> Duration {
        let count = self.count();
        let rank = ((share.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut below = 0_u64;
        for (bucket, count) in &self.buckets {
            below = below.saturating_add(*count);
            if below >= rank {
                let middle = middle_of(usize::from(*bucket).min(BUCKETS - 1));
                // The last bucket has no end.
                let is_last = usize::from(*bucket) >= BUCKETS - 1;
                let nanos = if is_last { self.max_ns } else { middle };
                return Duration::from_nanos(nanos.min(self.max_ns));
            }
        }
        Duration::ZERO
    }

    /// The average; zero if there were none.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.checked_div(self.count()).unwrap_or(0))
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// How many were shorter than `bound`, exactly where a bucket begins there: at powers of two of
    /// a nanosecond from 4096 on.
    pub fn count_below(&self, bound: Duration) -> u64 {
        let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let below = self.buckets.iter().filter(|(bucket, _)| {
            let bucket = usize::from(*bucket);
            bucket < BUCKETS && start_of(bucket + 1) <= bound
        });
        below.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Adds durations that were recorded elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let mut buckets: BTreeMap<u16, u64> = self.buckets.iter().copied().collect();
        for (bucket, count) in &other.buckets {
            let sum = buckets.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.buckets = buckets.into_iter().collect();
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_another_node_says_is_shown_without_harm(
            buckets in proptest::collection::vec((any::<u16>(), any::<u64>()), 0..20),
            sum_ns: u64,
            max_ns: u64,
            share: f64,
        ) {
            let mut latency = Latency { buckets, sum_ns, max_ns };

            prop_assert!(latency.percentile(share) <= latency.max());
            let _ = (latency.mean(), latency.count_below(Duration::from_secs(1)));
            latency.merge(&latency.clone());
        }
    }
}
