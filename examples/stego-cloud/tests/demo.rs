//! What a newcomer types first: the program without arguments.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, path::Path};

use image::RgbImage;

mod support;

use support::{finish, program};

fn asset(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("assets")
            .join(name),
    )
    .unwrap()
}

fn pixels(file: &[u8]) -> RgbImage {
    image::load_from_memory(file).unwrap().into_rgb8()
}

#[tokio::test]
async fn the_demonstration_succeeds_and_leaves_pictures_that_match() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a folder/pictures");

    let demo = finish(program(folder.path(), ["--out", out.to_str().unwrap()])).await;

    assert_eq!(demo.code, Some(0), "{demo:?}");
    assert!(
        demo.stdout.contains("All 96 calls succeeded"),
        "{}",
        demo.stdout
    );
    assert!(demo.stdout.contains("cut off"), "{}", demo.stdout);
    let file = |name: &str| fs::read(out.join(name)).unwrap();
    assert!(
        file("recovered.jpg") == asset("cat.jpg"),
        "the cat came back altered"
    );
    assert!(
        file("cover.png") == asset("coffee.png"),
        "the cover is another"
    );
    let (cover, stego) = (pixels(&file("cover.png")), pixels(&file("stego.png")));
    assert_eq!(cover.dimensions(), stego.dimensions());
    let steps: Vec<u8> = cover
        .iter()
        .zip(stego.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    assert!(
        steps.iter().all(|step| *step <= 1),
        "a colour differs by more than one step"
    );
    let changed = steps.iter().filter(|step| **step == 1).count();
    let told = changed_as_told(&demo.stdout);
    assert_eq!(told, changed as u64, "what is told is what is in the file");
}

#[tokio::test]
async fn the_demonstration_can_be_piped_into_a_file_of_80_columns() {
    let folder = tempfile::tempdir().unwrap();

    let mut demo = program(folder.path(), []);
    // As `cargo run` does; otherwise lines are as long as the path of the program.
    demo.env("CARGO_PKG_NAME", "example-stego-cloud");
    let demo = finish(demo).await;

    assert_eq!(demo.code, Some(0), "{demo:?}");
    assert!(folder.path().join("out/stego-cloud/stego.png").exists());
    for line in demo.stdout.lines() {
        assert!(
            line.chars().count() <= 80,
            "{} columns: {line}",
            line.chars().count()
        );
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
    assert_eq!(demo.stderr, "");
}

#[cfg(unix)]
#[tokio::test]
async fn the_key_of_the_demonstration_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();

    for _ in 0..2 {
        let demo = finish(program(folder.path(), ["--out", "."])).await;
        assert_eq!(demo.code, Some(0), "{demo:?}");
    }

    let key = fs::metadata(folder.path().join("key.hex")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("taken"), "a file").unwrap();

    let demo = finish(program(folder.path(), ["--out", "taken/pictures"])).await;

    assert_eq!(demo.code, Some(1), "{demo:?}");
    assert!(
        demo.stderr
            .contains("could not make the folder `taken/pictures`"),
        "{demo:?}"
    );
    assert_eq!(demo.stdout, "");
}

#[tokio::test]
async fn flags_of_the_demonstration_are_not_silently_dropped_beside_a_command() {
    let folder = tempfile::tempdir().unwrap();

    let refused = finish(program(folder.path(), ["--out", "pictures", "nodes"])).await;

    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("--out belongs to the demonstration"),
        "{refused:?}"
    );
}

/// The number in `246,909 of 720,000 colour values differ`.
fn changed_as_told(stdout: &str) -> u64 {
    let line = stdout
        .lines()
        .find(|line| line.contains("colour values differ"))
        .unwrap();
    let number = line.split_whitespace().next().unwrap();
    number.replace(',', "").parse().unwrap()
}
