//! Hiding and revealing, beside the crate `steganography` 1.0.2, from file to file.
//!
//! `cargo bench --manifest-path benches/Cargo.toml --bench stego` prints medians and ratios; the two take turns, so
//! that a busy machine slows both. Ours is matched (`fast`) and adaptive (`auto`), each with one
//! thread and with all. With `-- memory` it prints the peak memory of one `hide` in multiples of the
//! decoded cover, with `-- stages` what each stage of an adaptive `hide` takes; both compare nothing.
//!
//! Covers are mosaics of the photographs in `examples/stego-cloud/assets`, so that they compress
//! as photographs do; the payload is 80 KiB of random bytes. Both sides read the cover from a PNG
//! file written with zlib's default level, as photographs on disks are, and write a PNG file.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use std::ops::ControlFlow;

use distri_services::stego::{HideOptions, Job, Key, Profile, Settings, lab};
use image::{GenericImageView, ImageEncoder, RgbImage, codecs::png};
use steganography::{
    decoder::Decoder,
    encoder::Encoder,
    util::{file_as_dynamic_image, file_as_image_buffer, save_image_buffer},
};

const PAYLOAD: usize = 80 * 1024;
const SIZES: [(u32, u32); 2] = [(1920, 1080), (4000, 3000)];
const ROUNDS: usize = 15;

fn main() {
    let folder = std::env::temp_dir().join(format!("distri-bench-stego-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for covers");
    if std::env::args().any(|argument| argument == "memory") {
        memory(&folder);
    } else if std::env::args().any(|argument| argument == "stages") {
        stages();
    } else {
        compare(&folder);
    }
    fs::remove_dir_all(&folder).expect("to remove what was made");
}

fn compare(folder: &Path) {
    let key = Key::from_bytes([7; 32]);
    let payload = Random(1).bytes(PAYLOAD);
    println!(
        "{:28}{:>12}{:>16}{:>8}",
        "", "distri", "steganography", "ratio"
    );
    for (width, height) in SIZES {
        let cover = folder.join("cover.png");
        fs::write(&cover, mosaic(width, height)).expect("to write a cover");
        let (ours, theirs) = (folder.join("ours.png"), folder.join("theirs.png"));
        let text = |path: &PathBuf| path.to_str().expect("a temporary path is text").to_owned();

        println!("{width} × {height}");
        for (profile, threads) in [(Profile::Fast, 1), (Profile::Auto, 1), (Profile::Auto, 0)] {
            let settings = Settings {
                threads,
                ..Settings::default()
            };
            let options = HideOptions {
                profile,
                ..HideOptions::default()
            };
            let name = match (profile, threads) {
                (Profile::Fast, _) => "matched",
                (_, 1) => "adaptive, 1 thread",
                _ => "adaptive, all threads",
            };
            let hide = || {
                let file = fs::read(&cover).expect("the cover");
                let hidden = settings
                    .hide(&file, &payload, &key, &options)
                    .expect("to hide");
                fs::write(&ours, hidden.image).expect("to write");
            };
            let rival_hide = || {
                let image = file_as_dynamic_image(text(&cover));
                save_image_buffer(Encoder::new(&payload, image).encode_alpha(), text(&theirs));
            };
            row(&format!("  hide,   {name}"), hide, rival_hide);

            let reveal = || {
                let file = fs::read(&ours).expect("the stego image");
                assert!(settings.reveal(&file, &key).expect("to reveal").payload == payload);
            };
            let rival_reveal = || {
                let bytes = Decoder::new(file_as_image_buffer(text(&theirs))).decode_alpha();
                assert!(bytes[..PAYLOAD] == payload);
            };
            row(&format!("  reveal, {name}"), reveal, rival_reveal);
        }

        let length = |path: &Path| fs::metadata(path).expect("a file").len() as f64 / 1e6;
        let (cover, ours, theirs) = (length(&cover), length(&ours), length(&theirs));
        println!(
            "{:28}{ours:>9.2} MB{theirs:>13.2} MB   (cover {cover:.2} MB)",
            "  size of the result"
        );
    }
}

/// Lets both take turns and prints what the median round took.
fn row(name: &str, mut ours: impl FnMut(), mut theirs: impl FnMut()) {
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    for _ in 0..ROUNDS {
        our_times.push(time(&mut ours));
        their_times.push(time(&mut theirs));
    }
    let (ours, theirs) = (median(our_times), median(their_times));
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!(
        "{name:28}{:>9.1} ms{:>13.1} ms{ratio:>7.2}×",
        ms(ours),
        ms(theirs)
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What the stages of an adaptive `hide` take on one thread, medians.
fn stages() {
    let settings = Settings {
        threads: 1,
        ..Settings::default()
    };
    let (payload, key) = (Random(1).bytes(PAYLOAD), Key::from_bytes([7; 32]));
    for (width, height) in SIZES {
        let cover = mosaic(width, height);
        let mut times = vec![Vec::new(); 5];
        for round in 0..5u8 {
            let mut marks = Vec::new();
            let job = Job {
                cover: &cover,
                payload: &payload,
                key: &key,
                options: &HideOptions::default(),
                seed: &[round; 32],
                go_on: &|| true,
            };
            let mut begin = |_| {
                marks.push(Instant::now());
                ControlFlow::Continue(())
            };
            settings.hide_with(&job, &mut begin).expect("to hide");
            marks.push(Instant::now());
            for (times, pair) in times.iter_mut().zip(marks.windows(2)) {
                times.push(pair[1] - pair[0]);
            }
            let begun = Instant::now();
            lab::costs(&cover, false).expect("costs");
            times[4].push(begun.elapsed());
        }
        let ms = times
            .into_iter()
            .map(|times| median(times).as_secs_f64() * 1e3);
        let names = [
            "read",
            "embed",
            "write",
            "check",
            "(read and price alone, all threads)",
        ];
        println!("{width} × {height}, {PAYLOAD} bytes");
        for (name, ms) in names.iter().zip(ms) {
            println!("  {name:36}{ms:>9.1} ms");
        }
    }
}

/// Peak memory of the whole process after one `hide`, without what it held before.
fn memory(folder: &Path) {
    let (width, height) = SIZES[1];
    let cover = folder.join("cover.png");
    // In a process of its own, so that making the cover does not count.
    if std::env::var_os("DISTRI_BENCH_COVER").is_none() {
        fs::write(&cover, mosaic(width, height)).expect("to write a cover");
        let program = std::env::current_exe().expect("this program");
        let status = std::process::Command::new(program)
            .arg("memory")
            .env("DISTRI_BENCH_COVER", &cover)
            .status()
            .expect("to run once more");
        assert!(status.success());
        return;
    }
    let cover = fs::read(std::env::var_os("DISTRI_BENCH_COVER").expect("just seen"));
    let cover = cover.expect("the cover");
    let payload = Random(1).bytes(PAYLOAD);
    let before = peak_kib();
    let key = Key::from_bytes([7; 32]);
    let hidden = Settings::default().hide(&cover, &payload, &key, &HideOptions::default());
    let hidden = hidden.expect("to hide");
    let taken = (peak_kib() - before) * 1024;
    let decoded = f64::from(width) * f64::from(height) * 3.0;
    println!(
        "hide {width} × {height}: {:.1} MB beyond the cover file ({:.2} × the decoded image), \
         of which {:.1} MB are the result",
        taken as f64 / 1e6,
        taken as f64 / decoded,
        hidden.image.len() as f64 / 1e6,
    );
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("a peak");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}

/// A PNG file of crops of real photographs, some of them mirrored.
fn mosaic(width: u32, height: u32) -> Vec<u8> {
    const TILE: u32 = 150;
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/stego-cloud/assets");
    let photographs = ["coffee.png", "cat.jpg"].map(|name| {
        image::open(assets.join(name))
            .expect("a photograph")
            .to_rgb8()
    });
    let mut random = Random(5);
    let mut mosaic = RgbImage::new(width, height);
    for top in (0..height).step_by(TILE as usize) {
        for left in (0..width).step_by(TILE as usize) {
            let photograph = &photographs[random.next() as usize % photographs.len()];
            let x = random.next() % (photograph.width() - TILE);
            let y = random.next() % (photograph.height() - TILE);
            let crop = photograph.view(x, y, TILE, TILE).to_image();
            let crop = match random.next() % 2 {
                0 => crop,
                _ => image::imageops::flip_horizontal(&crop),
            };
            image::imageops::replace(&mut mosaic, &crop, left.into(), top.into());
        }
    }
    let mut file = Vec::new();
    png::PngEncoder::new_with_quality(
        &mut file,
        png::CompressionType::Level(6),
        png::FilterType::Adaptive,
    )
    .write_image(&mosaic, width, height, image::ExtendedColorType::Rgb8)
    .expect("to write to memory");
    file
}

/// A small generator: the same covers and payloads each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
