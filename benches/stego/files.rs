//! From file to file: distri and the others.

use std::{fs, path::Path};

use distri_services::stego::{HideOptions, Key, Profile, Settings};

use super::{
    covers::{Random, grey_mosaic, mosaic},
    measure::{Times, Work, in_turns},
    rivals::{Rival, Steganography, Stenoxide},
};

const PAYLOAD: usize = 80 * 1024;

struct Ours {
    name: &'static str,
    profile: Profile,
    threads: usize,
}

const OURS: [Ours; 4] = [
    Ours {
        name: "distri fast, 1 thread",
        profile: Profile::Fast,
        threads: 1,
    },
    Ours {
        name: "distri fast, all threads",
        profile: Profile::Fast,
        threads: 0,
    },
    Ours {
        name: "distri adaptive, 1 thread",
        profile: Profile::Auto,
        threads: 1,
    },
    Ours {
        name: "distri adaptive, all threads",
        profile: Profile::Auto,
        threads: 0,
    },
];

/// All sizes and rivals; `only` names one part.
pub(crate) fn compare(folder: &Path, only: Option<&str>) {
    let wanted = |part: &str| only.is_none_or(|only| part.contains(only));
    for (name, width, height) in [("hd", 1920, 1080), ("12mp", 4000, 3000)] {
        if wanted(name) {
            let title = format!("{width} × {height}, colour, {PAYLOAD} bytes");
            let steganography = Steganography::new(folder);
            #[cfg(feature = "stegano-core")]
            let stegano_core = super::rivals::SteganoCore::new(folder);
            let rivals: &[&dyn Rival] = &[
                &steganography,
                #[cfg(feature = "stegano-core")]
                &stegano_core,
            ];
            let cover = mosaic(width, height);
            table(folder, &title, &cover, (width, height), PAYLOAD, rivals);
        }
    }
    if wanted("grey") {
        const SMALL: usize = 10_000;
        let (width, height) = (3008, 2000);
        let stenoxide = Stenoxide::new(folder);
        let title = format!("{width} × {height}, grey, {SMALL} bytes");
        let cover = grey_mosaic(width, height);
        table(
            folder,
            &title,
            &cover,
            (width, height),
            SMALL,
            &[&stenoxide],
        );
    }
}

fn table(
    folder: &Path,
    title: &str,
    cover: &[u8],
    (width, height): (u32, u32),
    length: usize,
    rivals: &[&dyn Rival],
) {
    let path = folder.join("cover.png");
    fs::write(&path, cover).expect("to write a cover");
    let (key, payload) = (Key::from_bytes([7; 32]), Random(1).bytes(length));
    let rivals: Vec<&dyn Rival> = rivals
        .iter()
        .copied()
        .filter(|rival| rival.hide(&path, &payload))
        .collect();

    let (mut hides, mut reveals): (Vec<Work<'_>>, Vec<Work<'_>>) = (Vec::new(), Vec::new());
    let mut names = Vec::new();
    for (number, ours) in OURS.iter().enumerate() {
        names.push(ours.name);
        let settings = Settings {
            threads: ours.threads,
            ..Settings::default()
        };
        let options = HideOptions {
            profile: ours.profile,
            ..HideOptions::default()
        };
        let out = folder.join(format!("distri-{number}.png"));
        let (path, payload, key) = (&path, &payload, &key);
        let (hiding, made) = (settings.clone(), out.clone());
        hides.push(Box::new(move || {
            let file = fs::read(path).expect("the cover");
            let hidden = hiding.hide(&file, payload, key, &options).expect("to hide");
            fs::write(&made, hidden.image).expect("to write");
        }));
        reveals.push(Box::new(move || {
            let file = fs::read(&out).expect("the stego image");
            assert!(settings.reveal(&file, key).expect("to reveal").payload == *payload);
        }));
    }
    for rival in &rivals {
        names.push(rival.name());
        let (path, payload) = (&path, &payload);
        hides.push(Box::new(move || assert!(rival.hide(path, payload))));
        reveals.push(Box::new(move || {
            assert!(rival.reveal()[..payload.len()] == **payload);
        }));
    }
    let (hides, reveals) = (in_turns(&mut hides), in_turns(&mut reveals));

    let megapixels = f64::from(width) * f64::from(height) / 1e6;
    let mebibytes = length as f64 / f64::from(1 << 20);
    println!("\n{title}\n");
    println!("| | hide, ms | CPU ms | MP/s | MiB/s | reveal, ms | CPU ms | MP/s | MiB/s |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, (hide, reveal)) in names.iter().zip(hides.iter().zip(&reveals)) {
        let cells = |times: &Times| {
            let seconds = times.median.as_secs_f64();
            let (pixels, bytes) = (megapixels / seconds, mebibytes / seconds);
            let work = times.work.as_secs_f64() * 1e3;
            format!("{:.1} | {work:.1} | {pixels:.2} | {bytes:.2}", times.ms())
        };
        println!("| {name} | {} | {} |", cells(hide), cells(reveal));
    }
    println!(
        "\n(Of two ratios, the first is by time that passed, the second by time of processors.)\n"
    );
    for (rival, number) in rivals.iter().zip(OURS.len()..) {
        for (i, ours) in OURS.iter().enumerate() {
            let (hide, reveal) = (
                hides[number].over(hides[i]),
                reveals[number].over(reveals[i]),
            );
            let (name, rival) = (ours.name, rival.name());
            println!("{name}: hides {hide:.2?}, reveals {reveal:.2?} times as fast as {rival}");
        }
    }
    println!("(least times, ms: {:?})", least(&hides));
}

fn least(times: &[Times]) -> Vec<u128> {
    times.iter().map(|times| times.least.as_millis()).collect()
}
