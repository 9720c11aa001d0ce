//! Embedding for those who evaluate it: cost maps, stego images of a given rate, and the simulator
//! of the bound.
//!
//! ```text
//! stego_lab costs IN OUT.f32 [--across]          each sample's cost, f32 little endian, picture order
//! stego_lab jpeg-costs IN.jpg OUT.f32           each coefficient's cost, block after block, row by row
//! stego_lab jpeg IN.jpg OUT.jpg [--bytes 100] [--height 10] [--seed 1]   hides in a JPEG that stays one
//! stego_lab embed IN OUT.png --rate 0.1 [--method adaptive|at-once|matching] [--height 10] [--seed 1]
//! stego_lab simulate IN OUT.png --rate 0.1 [--across] [--seed 1]
//! stego_lab analyze IN OUT.png                  what `analyze` says; hides as much as it recommends
//! ```
//!
//! Prints one line of JSON with figures. `--rate` is in bits for each sample that may change, with
//! headers and seals counted. `at-once` decides all samples at once, where `adaptive` decides them in turns. `--across` prices differences between channels as well, as `hide` did once.

use std::{collections::HashMap, error::Error, fs, process::ExitCode, time::Instant};

use distri_services::stego::{HideOptions, JpegPast, Key, Profile, Settings, lab};

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<String, Box<dyn Error>> {
    let (mut plain, mut flags) = (Vec::new(), HashMap::new());
    let mut left = arguments.into_iter();
    while let Some(argument) = left.next() {
        match argument.strip_prefix("--") {
            Some("across") => drop(flags.insert("across".to_owned(), String::new())),
            Some(flag) => {
                drop(flags.insert(flag.to_owned(), left.next().ok_or("a flag needs a value")?))
            }
            None => plain.push(argument),
        }
    }
    let [command, input, output] = &plain[..] else {
        return Err(
            "expected costs, jpeg-costs, jpeg, embed, simulate or analyze, a cover, and where to write"
                .into(),
        );
    };
    let number = |flag: &str, default: f64| -> Result<f64, Box<dyn Error>> {
        Ok(flags.get(flag).map_or(Ok(default), |text| text.parse())?)
    };
    let (rate, seed) = (number("rate", 0.1)?, number("seed", 1.0)? as u64);
    let across = flags.contains_key("across");
    let cover = fs::read(input)?;
    let line = |method: &str, figures: lab::Figures| {
        format!(
            r#"{{"method":"{method}","carriers":{},"rate":{:.6},"changes":{},"change_rate":{:.6},"bound_change_rate":{:.6},"distortion":{:.4},"bound_distortion":{:.4},"loss":{:.4},"own_loss":{:.4}}}"#,
            figures.carriers,
            figures.rate,
            figures.changes,
            figures.changes as f64 / figures.carriers as f64,
            figures.bound_changes / figures.carriers as f64,
            figures.distortion,
            figures.bound_distortion,
            figures.distortion / figures.bound_distortion,
            figures.loss.unwrap_or(0.0),
        )
    };
    match command.as_str() {
        "costs" => {
            let (size, channels, costs) = lab::costs(&cover, across)?;
            let bytes: Vec<u8> = costs.iter().flat_map(|cost| cost.to_le_bytes()).collect();
            fs::write(output, bytes)?;
            let (width, height) = (size.width, size.height);
            Ok(format!(
                r#"{{"width":{width},"height":{height},"channels":{channels}}}"#
            ))
        }
        "jpeg-costs" => {
            let (columns, costs) = lab::jpeg_costs(&cover)?;
            let bytes: Vec<u8> = costs.iter().flat_map(|cost| cost.to_le_bytes()).collect();
            fs::write(output, bytes)?;
            Ok(format!(r#"{{"columns":{columns}}}"#))
        }
        "jpeg" => {
            let word = |i: u64| (i + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let bytes = number("bytes", 100.0)? as u64;
            let payload: Vec<u8> = (0..bytes).map(|i| (word(i) >> 56) as u8).collect();
            let options = HideOptions {
                jpeg: JpegPast::Stay,
                height: number("height", 10.0)? as u8,
                uncompressed: true,
                ..HideOptions::default()
            };
            let (settings, key) = (Settings::default(), Key::from_bytes([1; 32]));
            let hiding = Instant::now();
            let hidden = settings.hide(&cover, &payload, &key, &options)?;
            let hiding = hiding.elapsed().as_secs_f64();
            let revealing = Instant::now();
            let revealed = settings.reveal(&hidden.image, &key)?;
            let revealing = revealing.elapsed().as_secs_f64();
            if revealed.payload != payload {
                return Err("another payload came out".into());
            }
            fs::write(output, &hidden.image)?;
            let report = hidden.report;
            let figures = format!(
                r#""carriers":{},"changed":{},"loss":{:.4},"psnr":{:.2},"exposure":"{:?}""#,
                report.carriers,
                report.changed,
                report.loss.unwrap_or(0.0),
                report.psnr,
                report.exposure,
            );
            Ok(format!(
                r#"{{{figures},"hide_seconds":{hiding:.4},"reveal_seconds":{revealing:.4}}}"#
            ))
        }
        "embed" => {
            let method = flags.get("method").map(String::as_str);
            let options = HideOptions {
                profile: if method == Some("matching") {
                    Profile::Fast
                } else {
                    Profile::Auto
                },
                jpeg: JpegPast::Keep,
                height: number("height", 10.0)? as u8,
                ..HideOptions::default()
            };
            if method == Some("at-once") {
                let (image, figures) = lab::embed_at_once(&cover, rate, &options, seed)?;
                fs::write(output, image)?;
                return Ok(line("at-once", figures));
            }
            let (image, method, figures) = lab::embed(&cover, rate, &options, seed)?;
            fs::write(output, image)?;
            Ok(line(&format!("{method:?}").to_lowercase(), figures))
        }
        "simulate" => {
            let (image, figures) = lab::simulate(&cover, rate, across, seed)?;
            fs::write(output, image)?;
            Ok(line("simulated", figures))
        }
        "analyze" => {
            let settings = Settings::default();
            let found = settings.analyze(&cover)?;
            let payload: Vec<u8> = (0..found.recommended)
                .map(|i| (i * 2_654_435_761) as u8)
                .collect();
            let options = HideOptions {
                profile: Profile::Stealth,
                uncompressed: true,
                ..HideOptions::default()
            };
            let key = Key::from_bytes([1; 32]);
            let hidden = settings.hide(&cover, &payload, &key, &options);
            let usable = match &hidden {
                Ok(hidden) => {
                    fs::write(output, &hidden.image)?;
                    settings.reveal(&hidden.image, &key)?.payload == payload
                }
                Err(_) => false,
            };
            let refusal = hidden.err().map(|error| error.to_string());
            let mut line = serde_json::to_value(&found)?;
            line["usable"] = usable.into();
            line["refusal"] = refusal.into();
            Ok(line.to_string())
        }
        other => Err(format!("no command named {other}").into()),
    }
}
