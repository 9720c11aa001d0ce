//! What a newcomer types first: the program without arguments, and then the page that it offers.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, path::Path};

use distri_services::images::media::{Carried, carried};
use image::RgbImage;

#[path = "page/couple.rs"]
mod couple;
mod support;
#[path = "page/webdriver.rs"]
mod webdriver;
#[path = "page/wire.rs"]
mod wire;

use couple::Couple;
use support::{Finished, finish, program};

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
async fn the_story_is_told_and_goes_on_by_itself_on_two_pages() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a folder/pictures");
    let mut demo = program(folder.path(), ["--out", out.to_str().unwrap()]);
    // As `cargo run` does; otherwise lines are as long as the path of the program.
    demo.env("CARGO_PKG_NAME", "example-stego-cloud");

    let demo = finish(demo).await;

    assert_eq!(demo.code, Some(0), "{demo:?}");
    is_a_story(&demo);
    the_pictures_match(&demo, &out);
    let couple = Couple::start(folder.path(), &out).await;
    couple.each_sees_their_own().await;
    couple.end().await;
    let couple = Couple::start(folder.path(), &out).await;
    couple.share(&out.join("photograph.jpg")).await;
    couple.end().await;
}

/// Lines for a terminal of 80 columns, every step with what it proves, and nothing else.
fn is_a_story(demo: &Finished) {
    let told = &demo.stdout;
    assert_eq!(told.matches("  ✓ ").count(), 10, "{told}");
    for step in [
        "Bob asks for 3 views",
        "Alice allows 2, for a week",
        "view 1 of 2",
        "is killed; Bob looks",
        "looked (3 of 4)",
        "ui --story",
    ] {
        assert!(told.contains(step), "{step}: {told}");
    }
    for line in told.lines().filter(|line| !line.contains("ui --story")) {
        let columns = line.chars().count();
        // The folder of this test has a name as long as it likes.
        assert!(
            columns <= 80 || line.starts_with("Files in"),
            "{columns}: {line}"
        );
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
    assert_eq!(demo.stderr, "");
}

/// What is in the folder is what was told of it.
fn the_pictures_match(demo: &Finished, out: &Path) {
    let file = |name: &str| fs::read(out.join(name)).unwrap();
    assert_eq!(
        carried(&file("photograph.jpg")),
        [Carried::Place, Carried::Camera]
    );
    assert_eq!(carried(&file("seen.jpg")), []);
    assert_eq!(pixels(&file("photograph.jpg")), pixels(&asset("cat.jpg")));
    assert!(file("preview.png").len() <= 1024);
    let (cover, delivered) = (pixels(&asset("coffee.png")), pixels(&file("delivered.png")));
    assert_eq!(cover.dimensions(), delivered.dimensions());
    let steps = cover.iter().zip(delivered.iter());
    let steps: Vec<u8> = steps.map(|(a, b)| a.abs_diff(*b)).collect();
    assert!(steps.iter().all(|step| *step <= 1));
    let changed = steps.iter().filter(|step| **step == 1).count();
    assert_eq!(changed_as_told(&demo.stdout), changed as u64);
    assert!(file("what-is-left.png") == file("delivered.png"));
}

/// The number in `in a photograph of coffee: 246,909 of 720,000 colour`.
fn changed_as_told(stdout: &str) -> u64 {
    let (_, rest) = stdout.split_once("photograph of coffee: ").unwrap();
    let number = rest.split_whitespace().next().unwrap();
    number.replace(',', "").parse().unwrap()
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

#[tokio::test]
async fn a_page_of_a_story_that_was_never_told_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();

    let refused = finish(program(folder.path(), ["ui", "--story", "nowhere"])).await;

    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("there is no story in `nowhere`"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("--out"), "{refused:?}");
}
