//! One message over several covers, some of which get lost.

use super::*;
use distri_services::stego::Covers;

/// Parts and how many are needed, which are kept, and in which order.
fn losses() -> impl Strategy<Value = (usize, usize, Vec<usize>)> {
    (1usize..=5)
        .prop_flat_map(|covers| (Just(covers), 1..=covers))
        .prop_flat_map(|(covers, needed)| {
            let order = Just((0..covers).collect::<Vec<_>>()).prop_shuffle();
            (Just(covers), Just(needed), order, 0..=covers)
        })
        .prop_map(|(covers, needed, mut order, kept)| {
            order.truncate(kept);
            (covers, needed, order)
        })
}

fn slices(files: &[Vec<u8>]) -> Vec<&[u8]> {
    files.iter().map(Vec::as_slice).collect()
}

/// Covers of different sizes and kinds.
fn covers(count: usize) -> Vec<Vec<u8>> {
    let kinds = [ColorType::Rgb8, ColorType::L8, ColorType::Rgba16];
    let cover = |i: usize| {
        let side = 110 + 10 * i as u32;
        let recipe = Recipe::png(side, side, kinds[i % kinds.len()]);
        let seed = i as u64;
        Recipe { seed, ..recipe }.file()
    };
    (0..count).map(cover).collect()
}

fn hide_over(
    covers: &[Vec<u8>],
    needed: usize,
    payload: &[u8],
    options: &HideOptions,
) -> Vec<Vec<u8>> {
    let files = slices(covers);
    let covers = Covers {
        files: &files,
        needed,
    };
    let hidden = Settings::default().hide_over(covers, payload, &key(), options);
    hidden.unwrap().into_iter().map(|one| one.image).collect()
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn any_loss_up_to_the_threshold_is_survived_and_one_more_is_said(
        (count, needed, kept) in losses(),
        fast: bool,
        compress: bool,
        label in prop::collection::vec(any::<u8>(), 0..40),
        length in 0..900usize,
        seed: u64,
    ) {
        let payload = if compress { vec![7; length] } else { Random(seed).bytes(length) };
        let profile = if fast { Profile::Fast } else { Profile::Auto };
        let hiding = HideOptions { profile, label: label.clone(), ..options() };
        let images = hide_over(&covers(count), needed, &payload, &hiding);
        prop_assert_eq!(images.len(), count);
        let kept: Vec<&[u8]> = kept.iter().map(|i| images[*i].as_slice()).collect();

        let gathered = Settings::default().reveal_from(&kept, &key());

        match kept.len() {
            0 => prop_assert_eq!(gathered, Err(Error::NoMessage)),
            has if has < needed => prop_assert_eq!(gathered, Err(Error::PartsMissing {
                has: has as u32,
                needed: needed as u32,
                parts: count as u32,
            })),
            _ => {
                let gathered = gathered.unwrap();
                prop_assert!(gathered.revealed.payload == payload);
                prop_assert_eq!(gathered.revealed.label, label);
                prop_assert_eq!(gathered.lost, vec![]);
            }
        }
    }
}

#[test]
fn images_that_are_damaged_or_hold_nothing_are_passed_over_and_named() {
    let payload = Random(4).bytes(700);
    let mut images = hide_over(&covers(4), 2, &payload, &options());
    let jpeg = encode(&decode(&images[0]), ImageFormat::Jpeg);
    let stranger = Recipe::png(120, 120, ColorType::Rgb8).file();
    images[0] = jpeg;
    images[2] = stranger;

    let gathered = Settings::default().reveal_from(&slices(&images), &key());

    let gathered = gathered.unwrap();
    assert!(gathered.revealed.payload == payload);
    let lossy = Error::NotStego {
        reason: NotStego::Lossy(Format::Jpeg),
    };
    assert_eq!(gathered.lost, [(0, lossy), (2, Error::NoMessage)]);
}

#[test]
fn the_same_image_twice_is_one_part() {
    let images = hide_over(&covers(3), 2, b"payload", &options());

    let gathered = Settings::default().reveal_from(&[&images[1], &images[1]], &key());

    let missing = Error::PartsMissing {
        has: 1,
        needed: 2,
        parts: 3,
    };
    assert_eq!(gathered, Err(missing));
}

#[test]
fn one_image_of_several_that_are_needed_says_so_and_one_that_suffices_opens() {
    let settings = Settings::default();
    let two = hide_over(&covers(3), 2, b"payload", &options());
    let one = hide_over(&covers(3), 1, b"payload", &options());

    let refused = settings.reveal(&two[2], &key());
    let opened = settings.reveal(&one[2], &key());

    let missing = Error::PartsMissing {
        has: 1,
        needed: 2,
        parts: 3,
    };
    assert_eq!(refused, Err(missing));
    assert_eq!(opened.unwrap().payload, b"payload");
}

#[test]
fn images_of_two_messages_are_not_joined() {
    let settings = Settings::default();
    let one = hide_over(&covers(2), 2, b"one", &options());
    let other = hide_over(&covers(2), 2, b"other", &options());
    let whole = hide(&covers(1)[0], b"whole").image;

    let mixed = settings.reveal_from(&[b"nothing", &one[0], &other[1]], &key());
    let with_whole = settings.reveal_from(&[&one[0], &one[1], &whole], &key());
    let after_whole = settings.reveal_from(&[&whole, &one[0]], &key());
    let alone = settings.reveal_from(&[&whole], &key());

    assert_eq!(mixed, Err(Error::PartsOfOthers { first: 1, other: 2 }));
    assert_eq!(with_whole, Err(Error::PartsOfOthers { first: 0, other: 2 }));
    assert_eq!(
        after_whole,
        Err(Error::PartsOfOthers { first: 0, other: 1 })
    );
    assert_eq!(alone.unwrap().revealed.payload, b"whole");
}

#[test]
fn a_wrong_key_opens_none_of_them() {
    let images = hide_over(&covers(3), 2, b"payload", &options());
    let wrong = Key::from_bytes([1; 32]);

    let gathered = Settings::default().reveal_from(&slices(&images), &wrong);

    assert_eq!(gathered, Err(Error::NoMessage));
}

#[test]
fn numbers_of_covers_that_make_no_sense_are_refused() {
    let settings = Settings::default();
    let cover = Recipe::png(60, 60, ColorType::Rgb8).file();
    for (count, needed) in [(0, 0), (1, 2), (256, 1)] {
        let files = vec![cover.as_slice(); count];
        let covers = Covers {
            files: &files,
            needed,
        };

        let refused = settings.hide_over(covers, b"", &key(), &options());

        let expected = Error::Covers {
            covers: count,
            needed,
            most: 255,
        };
        assert_eq!(refused.unwrap_err(), expected);
    }
}

#[test]
fn the_cover_that_is_too_small_is_named_with_what_it_lacks() {
    let mut covers = covers(3);
    covers[1] = Recipe::png(30, 30, ColorType::Rgb8).file();
    let files = slices(&covers);
    let covers = Covers {
        files: &files,
        needed: 0,
    };

    let refused = Settings::default().hide_over(covers, &Random(1).bytes(900), &key(), &options());

    let Error::InCover { number: 1, source } = refused.unwrap_err() else {
        panic!("cover 1 is too small");
    };
    assert!(matches!(*source, Error::CoverTooSmall { .. }), "{source}");
}

#[test]
fn each_image_carries_its_share_and_no_more() {
    let payload = Random(9).bytes(4000);
    let covers = vec![png(photograph(300, 200, 3)); 4];
    let changed = |needed| {
        let files = slices(&covers);
        let covers = Covers {
            files: &files,
            needed,
        };
        let hidden = Settings::default().hide_over(covers, &payload, &key(), &options());
        let changed = hidden.unwrap().into_iter().map(|one| one.report.changed);
        changed.sum::<u64>()
    };

    let (all, any) = (changed(4), changed(1));

    assert!(
        all * 3 < any,
        "{all} samples change where all are needed, {any} where any suffices"
    );
}
