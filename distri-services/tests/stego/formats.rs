//! What was hidden by earlier versions opens today.

use distri_services::stego::{Error, Key, Mark, Method, NotStego, Settings};

/// Made by the first version, which knew ±1 matching alone.
const RGB8: &[u8] = include_bytes!("data/matching-rgb8.png");
const RGBA8: &[u8] = include_bytes!("data/matching-rgba8.png");
const GREY16: &[u8] = include_bytes!("data/matching-grey16-passphrase.png");

/// Made while costs looked across channels: whoever reads needs no costs.
const ADAPTIVE: &[u8] = include_bytes!("data/adaptive-rgb8.png");

/// Made by the first version that decides samples in turns.
const IN_TURNS: &[u8] = include_bytes!("data/in-turns-rgb8.png");

fn key() -> Key {
    Key::from_bytes([42; 32])
}

#[test]
fn images_of_the_first_version_still_open() {
    let settings = Settings::default();
    let passphrase = Key::from_passphrase("correct horse battery staple").unwrap();

    let rgb = settings.reveal(RGB8, &key()).unwrap();
    let rgba = settings.reveal(RGBA8, &key()).unwrap();
    let grey = settings.reveal(GREY16, &passphrase).unwrap();

    assert_eq!(rgb.payload, b"hidden by the first method");
    assert_eq!(
        (rgb.label, rgb.method),
        (b"a label".to_vec(), Method::Matching)
    );
    assert!(rgba.payload.iter().copied().eq(0..=255));
    assert_eq!(grey.payload, [7; 150]);
}

#[test]
fn images_hidden_at_other_costs_still_open() {
    let found = Settings::default().reveal(ADAPTIVE, &key()).unwrap();

    assert_eq!(found.payload, b"hidden where costs looked across channels");
    assert_eq!(
        (found.label, found.method),
        (b"a label".to_vec(), Method::Adaptive)
    );
}

#[test]
fn images_of_which_samples_were_decided_in_turns_still_open() {
    let found = Settings::default().reveal(IN_TURNS, &key()).unwrap();

    let payload = (0..600u32).map(|i| (i * i % 251) as u8);
    assert!(found.payload.into_iter().eq(payload));
    assert_eq!(
        (found.label, found.method),
        (b"a label".to_vec(), Method::Adaptive)
    );
}

#[test]
fn marks_of_the_first_version_are_still_recognised() {
    let marked = |byte| Settings {
        mark: Some(Mark::from_bytes([byte; 32])),
        ..Settings::default()
    };
    let stranger = Key::from_bytes([1; 32]);

    let unmarked = Error::NotStego {
        reason: NotStego::Unmarked,
    };
    assert_eq!(marked(9).reveal(RGB8, &stranger), Err(Error::WrongKey));
    assert_eq!(marked(8).reveal(RGB8, &stranger), Err(unmarked));
    assert_eq!(
        Settings::default().reveal(RGB8, &stranger),
        Err(Error::NoMessage)
    );
}
