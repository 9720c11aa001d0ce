//! What is written is read, within a step, near the bound; and what makes no sense is refused.

use super::*;

struct Cover {
    samples: Vec<u8>,
    costs: Vec<Cost>,
    ground: Ground,
}

/// Samples and costs as of a photograph, more or less.
fn cover(carriers: usize, seed: u64) -> Cover {
    let mut random = Stream::new(&[seed as u8; 32], seed);
    let mut cost = || {
        let sum: u32 = (0..4).map(|_| random.next_word() >> 20).sum();
        ((f64::from(sum) / 1500.0 - 5.0).exp() as f32).to_bits() >> 15
    };
    let costs = (0..carriers).map(|_| cost() as Cost).collect();
    let samples = (0..carriers).map(|_| random.next_word() as u8).collect();
    let public = (0..512).map(|i| i * (carriers as u32 / 600) + 3).collect();
    Cover {
        samples,
        costs,
        ground: Ground::new(carriers, public).unwrap(),
    }
}

fn site<'a>(ground: &'a Ground, order: &'a [u8; 32]) -> Site<'a> {
    Site {
        ground,
        grid: None,
        order,
        threads: 2,
    }
}

fn height(height: u8) -> Height {
    Height::new(height).unwrap()
}

/// Puts `body` into `stego`, which has the cover's samples.
fn written(
    site: &Site<'_>,
    cover: &Cover,
    stego: &mut [u8],
    body: &[u8],
    height: Height,
    random: &mut Stream,
) -> Outcome {
    let made = site.write(stego, &cover.costs, body, height, random, &|| true);
    let (outcome, changes) = made.unwrap();
    changes.apply(stego);
    outcome
}

#[test]
fn what_is_written_is_read_for_every_length() {
    for carriers in [8192, 20_000, 150_000] {
        let cover = cover(carriers, 5);
        let site = site(&cover.ground, &[7; 32]);
        let room = Site::capacity(&cover.ground) / 8;
        for length in [20, 100, room / 20, room / 5, room / 2, room] {
            let mut random = Stream::new(&[9; 32], length as u64);
            let mut body = vec![0; length];
            random.fill(&mut body);
            let mut stego = cover.samples.clone();

            let outcome = written(&site, &cover, &mut stego, &body, height(8), &mut random);

            let read = site.read(&stego, length, &outcome.parameters);
            assert!(read.as_ref() == Some(&body), "{length} bytes in {carriers}");
            let steps: Vec<u8> = cover
                .samples
                .iter()
                .zip(&stego)
                .map(|(a, b)| a.abs_diff(*b))
                .collect();
            assert!(steps.iter().all(|step| *step <= 1));
            for public in cover.ground.public() {
                assert_eq!(steps[*public as usize], 0, "the salt's samples stay");
            }
        }
    }
}

#[test]
fn distortion_is_near_the_bound_at_every_rate() {
    let cover = cover(600_000, 6);
    let site = site(&cover.ground, &[7; 32]);
    for rate in [0.02, 0.05, 0.1, 0.2, 0.4] {
        let mut body = vec![0; (600_000.0 * rate / 8.0) as usize];
        let mut random = Stream::new(&[9; 32], 1);
        random.fill(&mut body);

        let outcome = written(
            &site,
            &cover,
            &mut cover.samples.clone(),
            &body,
            height(10),
            &mut random,
        );

        let loss = outcome.distortion / outcome.bound.distortion;
        println!(
            "{rate}: distortion {loss:.3} of the bound, {:?}",
            outcome.parameters
        );
        assert!(loss < 1.2, "{loss} at {rate}");
    }
}

#[test]
fn the_less_there_is_to_hide_the_higher_the_code() {
    let heights = [0, 290_000, 310_000, 1_190_000, 1_210_000, 9_000_000]
        .map(|bits| height_for(bits, 10_000_000).get());

    assert_eq!(heights, [12, 12, 11, 11, 10, 10]);
    assert_eq!(height_for(900_000, 1_000_000).get(), 12, "small pictures");
}

#[test]
fn steps_go_up_as_often_as_down() {
    let cover = cover(200_000, 7);
    let site = site(&cover.ground, &[7; 32]);
    let (mut stego, mut random) = (cover.samples.clone(), Stream::new(&[9; 32], 1));

    let body = [0; 4000];
    written(&site, &cover, &mut stego, &body, height(8), &mut random);

    for odd in [0, 1] {
        let pairs = cover
            .samples
            .iter()
            .zip(&stego)
            .filter(|(a, b)| a != b && **a % 2 == odd);
        let (all, up) = pairs.fold((0, 0), |(all, up), (a, b)| (all + 1, up + u32::from(b > a)));
        assert!(up * 10 > all * 4 && up * 10 < all * 6, "{up} of {all} up");
    }
}

#[test]
fn giving_up_ends_it() {
    let cover = cover(100_000, 7);
    let site = site(&cover.ground, &[7; 32]);
    let mut random = Stream::new(&[9; 32], 1);

    let refused = site.write(
        &cover.samples,
        &cover.costs,
        &[0; 1000],
        height(8),
        &mut random,
        &|| false,
    );

    assert_eq!(refused.err(), Some(Refusal::Stopped));
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let cover = cover(10_000, 7);
    let site = site(&cover.ground, &[7; 32]);
    let parameters = |signs| Parameters {
        height: height(8),
        layers: Layers::AtOnce { signs, matrix: 0 },
    };

    assert_eq!(site.read(&cover.samples, usize::MAX, &parameters(0)), None);
    assert_eq!(site.read(&cover.samples, 10_000, &parameters(0)), None);
    assert_eq!(site.read(&cover.samples, 10, &parameters(81)), None);
    assert!(site.read(&cover.samples, 10, &parameters(80)).is_some());
}

#[test]
fn samples_at_the_ends_of_their_range_and_flat_pictures_carry_too() {
    for sample in [0u8, 255, 128] {
        let mut cover = cover(50_000, 8);
        cover.samples.fill(sample);
        cover.costs.fill(31_000);
        let site = site(&cover.ground, &[7; 32]);
        let (mut stego, mut random) = (cover.samples.clone(), Stream::new(&[9; 32], 1));

        let body = [0x5A; 900];
        let outcome = written(&site, &cover, &mut stego, &body, height(8), &mut random);

        let read = site.read(&stego, 900, &outcome.parameters);
        assert!(read == Some(vec![0x5A; 900]), "all {sample}");
        assert!(stego.iter().all(|stego| stego.abs_diff(sample) <= 1));
    }
}
