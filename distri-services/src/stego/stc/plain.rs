//! The cheapest path through a syndrome trellis, the slow and certain way: path costs of 32 bits,
//! one state after another. What `trellis` is held to, and the way out in the rare case that its
//! bytes were too narrow.

use super::{Code, blocks, trellis::NEVER};

/// As [`search`](super::trellis::Trellis::search), and certain. `None` if no change at all
/// reaches `target`.
pub(super) fn search(code: &Code, costs: &[u8], target: &[u8], changes: &mut [u8]) -> Option<u64> {
    const OUT_OF_REACH: u32 = u32::MAX / 2;
    let states = 2 * code.half();
    let mut paths = vec![OUT_OF_REACH; states];
    paths[0] = 0;
    let mut choices: Vec<(usize, usize, Vec<bool>)> = Vec::new();
    let mut ends = Vec::with_capacity(target.len());
    for (block, bit) in blocks(target.len(), costs.len()).zip(target) {
        let columns = code.columns(block.len());
        for (element, column) in block.zip(columns) {
            if costs[element] == NEVER {
                continue;
            }
            let (cost, column) = (u32::from(costs[element]), usize::from(*column));
            let came = |state: usize| paths[state ^ column] + cost;
            let choice: Vec<bool> = (0..states).map(|s| came(s) < paths[s]).collect();
            paths = (0..states).map(|s| came(s).min(paths[s])).collect();
            choices.push((element, column, choice));
        }
        ends.push(choices.len());
        let kept = |state: usize| paths.get(2 * state + usize::from(*bit)).copied();
        paths = (0..states)
            .map(|s| kept(s).unwrap_or(OUT_OF_REACH))
            .collect();
    }
    let (mut state, total) = paths
        .iter()
        .copied()
        .enumerate()
        .min_by_key(|(_, cost)| *cost)?;
    if total >= OUT_OF_REACH {
        return None;
    }
    changes.fill(0);
    for (block, bit) in target.iter().enumerate().rev() {
        state = 2 * state + usize::from(*bit);
        let begin = block.checked_sub(1).map_or(0, |before| ends[before]);
        for (element, column, choice) in choices[begin..ends[block]].iter().rev() {
            if choice[state] {
                changes[*element] = 1;
                state ^= column;
            }
        }
    }
    Some(total.into())
}
