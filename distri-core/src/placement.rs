//! Who serves a call: pure choices among candidates.
//!
//! Least loaded of two drawn at random (Mitzenmacher 2001) for ordinary calls, rendezvous hashing
//! (Thaler, Ravishankar 1998) where the same key must meet the same node. Who the candidates are,
//! and how loaded, is the business of [`crate::client`].

use crate::id::PublicKey;

mod elsewhere;
#[cfg(feature = "node")]
pub(crate) mod ring;

pub use elsewhere::Elsewhere;

/// The less loaded of two ready candidates drawn with `dice`; the only one if there is one.
///
/// Comparing two, rather than taking the least loaded of all, keeps every client from rushing to
/// the same node while the news of its load is on the way.
pub(crate) fn better_of_two<T>(
    candidates: &[T],
    dice: u64,
    is_ready: impl Fn(&T) -> bool,
    load: impl Fn(&T) -> u32,
) -> Option<&T> {
    let len = candidates.len();
    if len == 0 {
        return None;
    }
    // The first ready one at or after a place drawn at random, wrapping around.
    let from = |place: usize, not: usize| {
        (0..len)
            .map(|step| (place + step) % len)
            .find(|&i| i != not && is_ready(&candidates[i]))
    };
    let first = from(dice as u32 as usize % len, usize::MAX)?;
    let Some(second) = from((dice >> 32) as usize % len, first) else {
        return Some(&candidates[first]);
    };
    let better = if load(&candidates[second]) < load(&candidates[first]) {
        second
    } else {
        first
    };
    Some(&candidates[better])
}

/// The ready candidate to which `key` belongs: the same for all who see the same candidates, and
/// changed for only one key in n when a candidate comes or goes.
pub(crate) fn owner_of<T>(
    candidates: &[T],
    key: u64,
    is_ready: impl Fn(&T) -> bool,
    id: impl Fn(&T) -> u64,
) -> Option<&T> {
    candidates
        .iter()
        .filter(|candidate| is_ready(candidate))
        .max_by_key(|candidate| mix(key ^ mix(id(candidate))))
}

/// How near `key` is to `node`: it belongs to the nearest of those that may have it.
pub(crate) fn nearness(key: u64, node: &PublicKey) -> u64 {
    mix(key ^ mix(weight_of(node)))
}

/// What rendezvous hashing knows a node by.
pub(crate) fn weight_of(node: &PublicKey) -> u64 {
    let bytes = node.as_bytes();
    u64::from_le_bytes(std::array::from_fn(|i| bytes[i]))
}

/// How near two nodes, or a client and a node, are to each other: a number drawn for the pair.
pub(crate) fn affinity(one: &PublicKey, other: &PublicKey) -> u64 {
    nearness(weight_of(one), other)
}

/// A hash of 64 bits in which every input bit moves every output bit (the finalizer of SplitMix64).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hash by which `placement = key(…)` places a value: over its compact encoding (FNV-1a).
pub(crate) fn placement_key<T: serde::Serialize + ?Sized>(value: &T) -> u64 {
    let bytes = postcard::to_stdvec(value).unwrap_or_default();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Candidate {
        ready: bool,
        load: u32,
    }

    fn pick(candidates: &[Candidate], dice: u64) -> Option<usize> {
        better_of_two(candidates, dice, |c| c.ready, |c| c.load).map(|chosen| {
            candidates
                .iter()
                .position(|candidate| std::ptr::eq(candidate, chosen))
                .unwrap()
        })
    }

    fn dice() -> impl Iterator<Item = u64> {
        (0..1000_u64).map(|n| mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    #[test]
    fn a_candidate_that_is_not_ready_is_never_picked() {
        let candidates = [
            Candidate {
                ready: true,
                load: 90,
            },
            Candidate {
                ready: false,
                load: 0,
            },
            Candidate {
                ready: true,
                load: 80,
            },
        ];

        assert!(dice().all(|dice| pick(&candidates, dice) != Some(1)));
        assert_eq!(pick(&candidates[1..2], 7), None);
        assert_eq!(pick(&[], 7), None);
    }

    #[test]
    fn the_most_loaded_of_three_is_never_picked_when_two_are_compared() {
        let candidates = [3, 9, 5].map(|load| Candidate { ready: true, load });

        assert!(dice().all(|dice| pick(&candidates, dice) != Some(1)));
    }

    #[test]
    fn equals_share_evenly() {
        let candidates = [1, 1, 1, 1].map(|load| Candidate { ready: true, load });
        let mut counts = [0; 4];

        dice().for_each(|dice| counts[pick(&candidates, dice).unwrap()] += 1);

        assert!(counts.iter().all(|&count| count > 180), "{counts:?}");
    }

    #[test]
    fn a_key_moves_only_when_its_own_node_goes() {
        let nodes: Vec<u64> = (0..5).collect();
        for key in 0..500 {
            let owner = *owner_of(&nodes, key, |_| true, |&n| n).unwrap();

            let after = *owner_of(&nodes, key, |&n| n != 3, |&n| n).unwrap();

            assert!(owner == after || owner == 3);
        }
    }
}
