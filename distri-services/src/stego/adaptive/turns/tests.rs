//! What is written in turns is read, goes the way of what is around it, and costs what it should.

use super::*;
use crate::stego::{
    cost::{WET, nearest},
    grid::Grid,
};

struct Cover {
    grid: Grid,
    samples: Vec<u8>,
    costs: Vec<Cost>,
    ground: Ground,
}

/// Samples and costs as of a photograph, more or less.
fn cover(width: usize, height: usize, channels: usize, seed: u64) -> Cover {
    let carriers = width * height * channels;
    let mut random = Stream::new(&[seed as u8; 32], seed);
    // Of patches, as those of neighbours are alike.
    let patches: Vec<f64> = (0..1024)
        .map(|_| {
            let sum: u32 = (0..4).map(|_| random.next_word() >> 20).sum();
            f64::from(sum) / 1500.0 - 5.0
        })
        .collect();
    let cost = |i: usize| {
        let (x, y) = (i / channels % width, i / channels / width);
        let patch = (x / 8 * 7 + y / 8 * 131) % patches.len();
        nearest(patches[patch].exp() as f32)
    };
    let costs = (0..carriers).map(cost).collect();
    let samples = (0..carriers).map(|_| random.next_word() as u8).collect();
    let public = (0..512).map(|i| i * (carriers as u32 / 600) + 3).collect();
    Cover {
        grid: Grid::new(width, height, channels),
        samples,
        costs,
        ground: Ground::new(carriers, public).unwrap(),
    }
}

fn site(cover: &Cover) -> Site<'_> {
    Site {
        ground: &cover.ground,
        grid: Some(cover.grid),
        order: &[7; 32],
        threads: 2,
    }
}

fn body(length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    Stream::new(&[9; 32], length as u64).fill(&mut body);
    body
}

fn write(cover: &Cover, body: &[u8], height: u8) -> (Outcome, Vec<u8>) {
    let mut costs = cover.costs.clone();
    let (height, mut random) = (Height::new(height).unwrap(), Stream::new(&[9; 32], 1));
    let (outcome, changes) = site(cover)
        .write_in_turns(
            &cover.samples,
            &mut costs,
            body,
            height,
            &mut random,
            &|| true,
        )
        .unwrap();
    let mut stego = cover.samples.clone();
    changes.apply(&mut stego);
    (outcome, stego)
}

#[test]
fn what_is_written_is_read_for_every_length() {
    for (width, height, channels) in [(160, 161, 1), (203, 177, 3), (700, 301, 1)] {
        let cover = cover(width, height, channels, 5);
        let room = Site::capacity(&cover.ground) / 8;
        for length in [0, 20, 100, room / 20, room / 5, room / 2, room] {
            let body = body(length);

            let (outcome, stego) = write(&cover, &body, 8);

            let read = site(&cover).read(&stego, length, &outcome.parameters);
            assert!(read == Some(body), "{length} bytes in {width} × {height}");
            let steps = cover
                .samples
                .iter()
                .zip(&stego)
                .map(|(a, b)| a.abs_diff(*b));
            assert!(steps.clone().all(|step| step <= 1));
            for (carrier, step) in steps.enumerate() {
                assert!(
                    step == 0 || cover.ground.is_in_body(carrier),
                    "only the body changes"
                );
            }
        }
    }
}

#[test]
fn what_was_written_at_once_is_read_where_there_could_be_turns() {
    let cover = cover(200, 180, 3, 5);
    let (body, mut random) = (body(2000), Stream::new(&[9; 32], 1));
    let (height, mut stego) = (Height::new(8).unwrap(), cover.samples.clone());

    let (outcome, changes) = site(&cover)
        .write(&stego, &cover.costs, &body, height, &mut random, &|| true)
        .unwrap();
    changes.apply(&mut stego);

    assert!(matches!(outcome.parameters.layers, Layers::AtOnce { .. }));
    assert!(site(&cover).read(&stego, 2000, &outcome.parameters) == Some(body));
}

#[test]
fn distortion_is_near_the_bound_at_every_rate() {
    for channels in [1, 3] {
        let cover = cover(600, 500, channels, 6);
        for rate in [0.02, 0.05, 0.1, 0.2, 0.4] {
            let body = body((cover.samples.len() as f64 * rate / 8.0) as usize);

            let (outcome, _) = write(&cover, &body, 10);

            let loss = outcome.distortion / outcome.bound.distortion;
            println!(
                "{rate} in {channels}: distortion {loss:.3} of the bound, {:?}",
                outcome.parameters
            );
            assert!((1.0..1.45).contains(&loss), "{loss} at {rate}");
        }
    }
}

#[test]
fn changes_go_the_way_of_those_around_them() {
    let cover = cover(400, 300, 3, 7);
    let (_, stego) = write(&cover, &body(4500), 10);
    let step = |i: usize| i32::from(stego[i]) - i32::from(cover.samples[i]);
    let (mut along, mut against) = (0, 0);

    for carrier in (0..stego.len()).filter(|i| step(*i) != 0) {
        cover
            .grid
            .around(carrier, |other, _| match step(carrier) * step(other) {
                1 => along += 1,
                -1 => against += 1,
                _ => {}
            });
    }

    assert!(2 * along > 3 * against, "{along} along, {against} against");
}

#[test]
fn steps_go_up_as_often_as_down() {
    let cover = cover(400, 300, 3, 7);
    let (_, stego) = write(&cover, &body(9000), 8);

    let (mut up, mut all) = (0, 0);
    for (before, after) in cover.samples.iter().zip(&stego).filter(|(a, b)| a != b) {
        (up, all) = (up + usize::from(after > before), all + 1);
    }

    assert!(up * 10 > all * 4 && up * 10 < all * 6, "{up} of {all} up");
}

#[test]
fn giving_up_ends_it() {
    let cover = cover(200, 200, 3, 7);
    for last in [0, 3, 20] {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let go_on = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < last;

        let refused = site(&cover).write_in_turns(
            &cover.samples,
            &mut cover.costs.clone(),
            &body(3000),
            Height::new(8).unwrap(),
            &mut Stream::new(&[9; 32], 1),
            &go_on,
        );

        assert_eq!(refused.err(), Some(Refusal::Stopped));
    }
}

#[test]
fn splits_that_make_no_sense_are_refused_or_read_as_something() {
    let cover = cover(203, 177, 3, 7);
    let height = Height::new(8).unwrap();
    let mut random = Stream::new(&[9; 32], 1);
    for _ in 0..40 {
        let mut split = Split::even();
        let drawn: [u8; 4] = random.next_bytes();
        split.weights = [drawn[0], drawn[1]];
        for units in &mut split.directions {
            *units = random.next_word() as u16 % 512;
        }
        for length in [0, 1, 100, 10_000, Site::capacity(&cover.ground) / 8] {
            let parameters = Parameters {
                height,
                layers: Layers::InTurns(split),
            };
            let read = site(&cover).read(&cover.samples, length, &parameters);

            assert!(read.is_none_or(|read| read.len() == length));
        }
    }
    let parameters = Parameters {
        height,
        layers: Layers::InTurns(Split::even()),
    };
    assert_eq!(
        site(&cover).read(&cover.samples, usize::MAX, &parameters),
        None
    );
    let without = Site {
        grid: None,
        ..site(&cover)
    };
    assert_eq!(without.read(&cover.samples, 100, &parameters), None);
}

#[test]
fn samples_at_the_ends_of_their_range_and_flat_pictures_carry_too() {
    for sample in [0u8, 255, 128] {
        for cost in [31_000, WET - 1] {
            let mut cover = cover(200, 190, 3, 8);
            cover.samples.fill(sample);
            cover.costs.fill(cost);
            let body = vec![0x5A; 900];

            let (outcome, stego) = write(&cover, &body, 8);

            let read = site(&cover).read(&stego, 900, &outcome.parameters);
            assert!(read == Some(body), "all {sample}");
            assert!(stego.iter().all(|stego| stego.abs_diff(sample) <= 1));
        }
    }
}
