//! The parts of an adaptive hiding, and the code by itself.

use std::{hint::black_box, path::Path};

use distri_services::stego::{
    HideOptions, Job, Key,
    lab::{Coding, Stage, Stages},
};
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{self, png::CompressionType},
};
use stenoxide_core::stego::stc::{StcConfig, native};

use super::{
    covers::{Random, mosaic},
    measure::{Work, in_turns},
};

const PAYLOAD: usize = 80 * 1024;

/// What each part takes, on one thread.
pub(crate) fn stages() {
    let (payload, key) = (Random(1).bytes(PAYLOAD), Key::from_bytes([7; 32]));
    for (width, height) in [(1920, 1080), (4000, 3000)] {
        let cover = mosaic(width, height);
        let job = Job {
            cover: &cover,
            payload: &payload,
            key: &key,
            options: &HideOptions::default(),
            seed: &[3; 32],
            go_on: &|| true,
        };
        let stages = Stages::new(job, 1).expect("to hide");
        let work = |stage| -> Work<'_> {
            let stages = &stages;
            Box::new(move || {
                black_box(stages.run(stage).expect("what worked before"));
            })
        };
        let times = in_turns(&mut Stage::ALL.map(work));
        println!("\n{width} × {height}, colour, {PAYLOAD} bytes, one thread\n");
        println!("| part | CPU ms | MP/s |\n| --- | ---: | ---: |");
        let megapixels = f64::from(width) * f64::from(height) / 1e6;
        for (stage, times) in Stage::ALL.iter().zip(times) {
            let seconds = times.work.as_secs_f64();
            let (ms, speed) = (seconds * 1e3, megapixels / seconds);
            println!("| {stage:?} | {ms:.2} | {speed:.1} |");
        }
    }
}

/// Writing the PNG, beside what the crate `image` does at its levels.
pub(crate) fn png() {
    let (payload, key) = (Random(1).bytes(PAYLOAD), Key::from_bytes([7; 32]));
    for (width, height) in [(1920, 1080), (4000, 3000)] {
        let cover = mosaic(width, height);
        let job = Job {
            cover: &cover,
            payload: &payload,
            key: &key,
            options: &HideOptions::default(),
            seed: &[3; 32],
            go_on: &|| true,
        };
        let stages = Stages::new(job, 1).expect("to hide");
        let pixels = image::load_from_memory(&cover)
            .expect("the cover")
            .to_rgb8();
        let with = |level| {
            let mut file = Vec::new();
            let filter = codecs::png::FilterType::Adaptive;
            let encoder = codecs::png::PngEncoder::new_with_quality(&mut file, level, filter);
            let written = encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8);
            written.expect("to write to memory");
            file.len()
        };
        let (fast, default) = (CompressionType::Fast, CompressionType::Default);
        let mut sizes = [0; 3];
        let [ours, quick, usual] = &mut sizes;
        let times = in_turns(&mut [
            Box::new(|| *ours = stages.run(Stage::Write).expect("what worked before")),
            Box::new(|| *quick = with(fast)),
            Box::new(|| *usual = with(default)),
        ]);
        println!("\n{width} × {height}, colour, writing a PNG, one thread\n");
        println!("| writer | CPU ms | MP/s | bytes |\n| --- | ---: | ---: | ---: |");
        let megapixels = f64::from(width) * f64::from(height) / 1e6;
        let names = ["distri (a stego image)", "image, Fast", "image, Default"];
        for (name, (times, size)) in names.iter().zip(times.iter().zip(sizes)) {
            let seconds = times.work.as_secs_f64();
            let (ms, speed) = (seconds * 1e3, megapixels / seconds);
            println!("| {name} | {ms:.1} | {speed:.1} | {size} |");
        }
    }
}

const SEGMENT: usize = 16 * 1024;
const SEGMENTS: usize = 64;

/// The code beside stenoxide's, elements a second on one thread, and distortion over the bound.
pub(crate) fn code() {
    println!("\n{SEGMENTS} segments of {SEGMENT} elements, log-normal costs, one thread\n");
    println!(
        "| height | 1 bit in | elements | write, Melem/s | read, Melem/s | distortion / bound |"
    );
    println!("| ---: | ---: | --- | ---: | ---: | ---: |");
    for (height, width, all) in [
        (10, 2, true),
        (10, 5, true),
        (10, 10, true),
        (10, 50, true),
        (10, 50, false),
        (7, 10, true),
        (12, 10, true),
    ] {
        let coding = Coding::new(height, SEGMENTS, SEGMENT, width, all).expect("a height");
        let elements = coding.elements() as f64 / 1e6;
        let (coding, mut loss) = (std::cell::RefCell::new(coding), 0.0);
        let times = in_turns(&mut [
            Box::new(|| loss = coding.borrow_mut().write().expect("to fit")),
            Box::new(|| {
                black_box(coding.borrow().read());
            }),
        ]);
        let [write, read] = [0, 1].map(|i| elements / times[i].work.as_secs_f64());
        let which = if all { "all" } else { "the likely ones" };
        println!("| {height} | {width} | {which} | {write:.1} | {read:.0} | {loss:.3} |");
    }
    rival();
}

/// stenoxide's trellis, which takes one bit in fifty elements and no more.
fn rival() {
    const ELEMENTS: usize = 256 * 1024;
    let config = StcConfig::new([5; 32]);
    let payload = Random(2).bytes(config.capacity_bits(ELEMENTS) / 8);
    let mut random = Random(3).bytes(12 * ELEMENTS).into_iter();
    let mut cost = || {
        let sum: f64 = (0..12).filter_map(|_| random.next()).map(f64::from).sum();
        (1.2 * (sum / 255.0 - 6.0)).exp() as f32
    };
    let costs: Vec<f32> = (0..ELEMENTS).map(|_| cost()).collect();
    let pixels = Random(4).bytes(ELEMENTS);
    let times = in_turns(&mut [Box::new(|| {
        let written = native::stc_encode_safe(&mut pixels.clone(), &costs, &payload, &config);
        black_box(written.expect("to fit"));
    })]);
    let speed = ELEMENTS as f64 / 1e6 / times[0].work.as_secs_f64();
    println!("| 10 | 50 | stenoxide-core's | {speed:.2} | | |");
}

/// One adaptive hiding and nothing else, for counters (`perf stat`, `valgrind`): of `cover`, so
/// that making one does not count.
pub(crate) fn once(cover: &Path) {
    let cover = std::fs::read(cover).expect("a cover");
    let (payload, key) = (Random(1).bytes(PAYLOAD), Key::from_bytes([7; 32]));
    let settings = distri_services::stego::Settings {
        threads: 1,
        ..Default::default()
    };
    let hidden = settings.hide(&cover, &payload, &key, &HideOptions::default());
    println!("{} bytes", hidden.expect("to hide").image.len());
}
