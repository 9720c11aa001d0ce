//! Work on several threads that end with it.

use std::sync::Mutex;

/// Does `work` with each of `items`, on up to `threads` threads, this one among them.
pub(crate) fn each<T: Send>(threads: usize, items: Vec<T>, work: impl Fn(T) + Sync) {
    map(threads, items, work);
}

/// As [`each`], and gives the results in the order of their items.
pub(crate) fn map<T: Send, R: Send>(
    threads: usize,
    items: Vec<T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    if threads <= 1 || items.len() <= 1 {
        return items.into_iter().map(work).collect();
    }
    let count = items.len();
    let queue = Mutex::new(items.into_iter().enumerate());
    let results = Mutex::new((0..count).map(|_| None).collect::<Vec<_>>());
    let next = || {
        queue
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .next()
    };
    let run = || {
        while let Some((i, item)) = next() {
            let result = work(item);
            results
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())[i] = Some(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            scope.spawn(run);
        }
        run();
    });
    let results = results
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let results = results
        .into_iter()
        .map(|result| result.expect("each item was worked on"));
    results.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_their_items() {
        for threads in [0, 1, 2, 7] {
            let results = map(threads, (0..100).collect(), |i: u32| i * i);

            assert!(results.into_iter().eq((0..100).map(|i| i * i)));
        }
    }
}
