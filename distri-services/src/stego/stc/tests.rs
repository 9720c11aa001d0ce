//! The code against what it must do: brute force, the slow search, and the bound.

use super::{
    trellis::{Trellis, Vectors},
    *,
};

/// A small generator: tests need variety, not unpredictability.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.word() >> 16) % bound
    }

    fn bits(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(2) as u8).collect()
    }

    fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Log-normal, as costs of photographs roughly are.
    fn cost(&mut self) -> f64 {
        let sum: f64 = (0..12).map(|_| self.unit()).sum();
        (1.2 * (sum - 6.0)).exp()
    }
}

fn code(height: u8, elements: usize, bits: usize) -> Code {
    Code::new(Height::new(height).unwrap(), elements.div_ceil(bits))
}

fn total(costs: &[u8], changes: &[u8]) -> u64 {
    let pairs = costs.iter().zip(changes);
    pairs
        .map(|(cost, change)| u64::from(*cost) * u64::from(*change))
        .sum()
}

/// Where blocks end is part of the format.
#[test]
fn blocks_end_at_their_share_of_the_elements() {
    for (count, elements) in [
        (0, 5),
        (1, 0),
        (1, 7),
        (3, 7),
        (7, 7),
        (5, 4),
        (999, 16_384),
    ] {
        let shares: Vec<_> = (0..count)
            .map(|i| i * elements / count..(i + 1) * elements / count)
            .collect();

        assert!(blocks(count, elements).eq(shares), "{count} of {elements}");
    }
}

#[test]
fn no_choice_of_changes_is_cheaper_than_the_one_that_is_found() {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    for round in 0..300 {
        let elements = 6 + random.below(9) as usize;
        let bits = 1 + random.below(elements as u64) as usize;
        let height = HEIGHT_MIN + random.below(6) as u8;
        let code = code(height, elements, bits);
        let costs: Vec<u8> = (0..elements).map(|_| 1 + random.below(20) as u8).collect();
        let (before, message) = (random.bits(elements), random.bits(bits));
        let mut least = None;
        for choice in 0u32..1 << elements {
            let changes: Vec<u8> = (0..elements).map(|i| (choice >> i & 1) as u8).collect();
            let after: Vec<u8> = before.iter().zip(&changes).map(|(a, b)| a ^ b).collect();
            let mut read = vec![0; bits];
            code.read(&after, |bit| bit, &mut read);
            if read == message {
                let cost = total(&costs, &changes);
                least = Some(least.map_or(cost, |least: u64| least.min(cost)));
            }
        }

        let (mut stego, mut changes) = (before, vec![0; elements]);
        let written = code.write(
            &mut Trellis::default(),
            &costs,
            &mut stego,
            &message,
            &mut changes,
        );

        assert_eq!(written, least.is_some(), "round {round}");
        if written {
            assert_eq!(Some(total(&costs, &changes)), least, "round {round}");
        }
    }
}

#[test]
fn the_message_is_read_for_every_height_and_rate_and_nothing_changes_that_must_not() {
    let mut random = Random(0xFEED_5678_9ABC_DEF1);
    let mut trellis = Trellis::default();
    for height in HEIGHT_MIN..=HEIGHT_MAX {
        for elements in [64, 1000, 4099] {
            for bits in [
                1,
                3,
                elements / 50 + 1,
                elements / 9,
                elements / 2,
                elements * 3 / 4,
            ] {
                let code = code(height, elements, bits);
                let mut costs: Vec<u8> = (0..elements)
                    .map(|_| (random.cost() * 12.0).min(200.0) as u8)
                    .collect();
                for block in blocks(bits, elements) {
                    for cost in &mut costs[block.start + 1..block.end] {
                        if random.below(3) == 0 {
                            *cost = NEVER;
                        }
                    }
                }
                let (before, message) = (random.bits(elements), random.bits(bits));
                let (mut after, mut changes) = (before.clone(), vec![0; elements]);

                let written = code.write(&mut trellis, &costs, &mut after, &message, &mut changes);

                let mut read = vec![0; bits];
                code.read(&after, |bit| bit, &mut read);
                assert!(written && read == message, "{height} {elements} {bits}");
                for i in 0..elements {
                    assert_eq!(before[i] ^ after[i], changes[i]);
                    assert!(changes[i] == 0 || costs[i] != NEVER);
                }
            }
        }
    }
}

#[test]
fn plain_code_and_the_processors_vectors_find_the_same_changes() {
    let mut random = Random(0xABCD_5678_9ABC_DEF1);
    for height in HEIGHT_MIN..=HEIGHT_MAX {
        for (elements, bits) in [(500, 250), (3000, 400), (3000, 17)] {
            let code = code(height, elements, bits);
            let costs: Vec<u8> = (0..elements)
                .map(|_| (random.cost() * 12.0).min(200.0) as u8)
                .collect();
            let target = random.bits(bits);

            let found = [Vectors::None, Vectors::Of32, Vectors::Of64].map(|vectors| {
                let mut changes = vec![0; elements];
                let mut trellis = Trellis::with(vectors);
                let found = trellis.search(&code, &costs, &target, &mut changes);
                (found, changes)
            });

            assert!(found[0] == found[1], "height {height}, AVX2");
            assert!(found[0] == found[2], "height {height}, AVX-512");
        }
    }
}

#[test]
fn bytes_are_wide_enough_for_path_costs() {
    let mut random = Random(0x7777_5678_9ABC_DEF1);
    for height in [7, 8] {
        for bits in [150, 600] {
            let code = code(height, 3000, bits);
            let costs: Vec<u8> = (0..3000)
                .map(|_| (random.cost() * 12.0).min(150.0) as u8)
                .collect();
            let target = random.bits(bits);
            let (mut fast, mut slow) = (vec![0; 3000], vec![0; 3000]);

            assert!(Trellis::default().search(&code, &costs, &target, &mut fast));
            let least = plain::search(&code, &costs, &target, &mut slow).unwrap();

            assert_eq!(total(&costs, &slow), least);
            assert_eq!(total(&costs, &fast), least, "height {height}, {bits} bits");
        }
    }
}

/// Distortion over the least that any code could reach, for one rate.
fn loss(height: u8, width: usize) -> f64 {
    let (elements, mut random) = (16_384, Random(0x5555_5678_9ABC_DEF1));
    let bits = elements / width;
    let costs: Vec<f64> = (0..elements).map(|_| random.cost()).collect();
    let change = |lambda: f64, cost: f64| 1.0 / (1.0 + (lambda * cost).exp());
    let entropy = |p: f64| -p * p.log2() - (1.0 - p) * (1.0 - p).log2();
    let (mut low, mut high) = (1e-3f64, 1e3f64);
    for _ in 0..60 {
        let middle = (low * high).sqrt();
        let total: f64 = costs
            .iter()
            .map(|cost| entropy(change(middle, *cost).max(1e-300)))
            .sum();
        if total > bits as f64 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let bound: f64 = costs.iter().map(|cost| cost * change(low, *cost)).sum();
    let bytes: Vec<u8> = costs
        .iter()
        .map(|cost| (12.0 * low * cost).round().min(200.0) as u8)
        .collect();
    let code = code(height, elements, bits);
    let mut changes = vec![0; elements];
    let written = code.write(
        &mut Trellis::default(),
        &bytes,
        &mut random.bits(elements),
        &random.bits(bits),
        &mut changes,
    );
    assert!(written);
    let distortion: f64 = costs
        .iter()
        .zip(&changes)
        .map(|(cost, change)| cost * f64::from(*change))
        .sum();
    distortion / bound
}

#[test]
fn distortion_stays_near_the_least_possible_one_and_nearer_with_height() {
    for width in [2, 3, 5, 10, 20, 40] {
        let losses: Vec<f64> = (HEIGHT_MIN..=HEIGHT_MAX)
            .map(|height| loss(height, width))
            .collect();

        println!("1 bit in {width:>2}: {losses:.3?}");
        assert!(
            losses[0] < 1.26,
            "height {HEIGHT_MIN}, 1 in {width}: {losses:?}"
        );
        assert!(losses[3] < 1.17, "height 10, 1 in {width}: {losses:?}");
        assert!(
            losses[5] < 1.14,
            "height {HEIGHT_MAX}, 1 in {width}: {losses:?}"
        );
        assert!(losses[5] < losses[2] && losses[2] < losses[0]);
    }
}
