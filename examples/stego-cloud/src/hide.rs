//! `hide`: has the cloud hide a file in an image, or over several, and writes the stego images.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use distri::cli::{Failure, Global};
use distri_services::stego::{
    Error as StegoError, Format, HideOptions, JpegPast, LABEL_MAX, Metadata, Profile,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{
    advice, files,
    key::{self, Asking, KeyArgs},
    show::{self, Page},
    work::{Done, PATIENCE, Secret, Stego, StegoImage},
};

/// What `hide` takes.
#[derive(Args)]
pub(crate) struct HideArgs {
    /// The image to hide in: PNG, JPEG, WebP, BMP, GIF or TIFF; again for each further one
    #[arg(long, value_name = "FILE", required = true)]
    cover: Vec<PathBuf>,
    /// The file to hide
    #[arg(long, value_name = "FILE")]
    payload: PathBuf,
    /// Where the stego image goes, replaced if it exists; once for each cover. A PNG; of a JPEG, a JPEG if
    /// this ends in .jpg or .jpeg, a PNG if in .png, or else a JPEG if that is as safe
    #[arg(long, value_name = "FILE", required = true)]
    out: Vec<PathBuf>,
    /// How many of several images are to suffice [default: all]
    #[arg(long, value_name = "NUMBER")]
    needed: Option<u8>,
    /// Text that is sealed beside the payload [default: none]
    #[arg(long, default_value = "", hide_default_value = true)]
    label: String,
    /// Scale a cover up that is too small [default: refuse it]
    #[arg(long)]
    scale_cover: bool,
    /// How to hide: the gentlest way that fits, or refuse what would be found, or fast
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = one_of::<Profile>(["auto", "stealth", "fast"]))]
    profile: Profile,
    /// What becomes of EXIF, places, dates and texts in the cover's file
    #[arg(long, value_name = "WHAT", default_value = "strip", value_parser = one_of::<Metadata>(["strip", "keep"]))]
    metadata: Metadata,
    /// Wait at most so long, as in 30s or 2m [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    #[command(flatten)]
    key: KeyArgs,
    /// Make a key and write it to a new file [default: use one that exists]
    #[arg(long, value_name = "FILE", help_heading = "Key", conflicts_with_all = ["key", "passphrase_file"])]
    new_key: Option<PathBuf>,
}

/// A choice by the names that the service has for it.
fn one_of<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    names: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value(name.into()))
}

pub(crate) fn time(text: &str) -> Result<Duration, String> {
    distri::config::duration::parse(text)
        .ok_or_else(|| "expected a duration such as 5s, 250ms or 2m".to_owned())
}

pub(crate) async fn run(args: HideArgs, global: &Global) -> Result<(), Failure> {
    if args.label.len() > LABEL_MAX {
        let message = format!(
            "the label has {} bytes, at most {LABEL_MAX}",
            args.label.len()
        );
        return Err(Failure::usage(message));
    }
    check_outs(&args)?;
    let covers = args.cover.iter().map(|path| files::read(path));
    let covers = covers.collect::<Result<Vec<_>, _>>()?;
    let payload = files::read(&args.payload)?;
    let (key, new_digits) = match &args.new_key {
        Some(path) if path.exists() => {
            let message = format!("`{}` exists; a key is never overwritten", path.display());
            return Err(Failure::usage(message));
        }
        Some(_) => {
            let (key, digits) = key::random()?;
            (key, Some(digits))
        }
        None => (args.key.key(Asking::Twice)?, None),
    };
    let options = HideOptions {
        label: args.label.into_bytes(),
        scale_cover: args.scale_cover,
        jpeg: jpegs(&args.out, &covers)?,
        profile: args.profile,
        metadata: args.metadata,
        ..HideOptions::default()
    };
    let are_jpegs: Vec<bool> = covers.iter().map(is_jpeg).collect();
    let asked = options.clone();
    let refusal = |error| refusal(error, &asked, &are_jpegs);
    let stego = Stego::new(&global.connect().await?)
        .patience(args.timeout.unwrap_or(PATIENCE))
        .show_progress();

    let secret = Secret {
        cover: covers[0].clone(),
        payload,
        key,
        options,
    };
    let hidden = if covers.len() == 1 && args.needed.is_none() {
        let done = stego.hide(&secret).await.map_err(&refusal)?;
        done.map(|image| vec![image])
    } else {
        let needed = args.needed.unwrap_or(0);
        let done = stego.hide_over(&covers, &secret, needed).await;
        done.map_err(refusal)?
    };
    // An image whose key is not kept would be lost, so the key comes first.
    if let (Some(path), Some(digits)) = (&args.new_key, new_digits) {
        files::write_secret(path, &format!("{}\n", digits.as_str()))?;
    }
    for (out, image) in args.out.iter().zip(&hidden.value) {
        files::write(out, &image.file)?;
    }
    report(&args.out, &stego, &hidden, global)
}

/// Whether there is a place for each image, and one only.
fn check_outs(args: &HideArgs) -> Result<(), Failure> {
    let (covers, outs) = (args.cover.len(), args.out.len());
    if covers != outs {
        let message =
            format!("{covers} covers give as many images, but --out is there {outs} times");
        return Err(Failure::usage(message));
    }
    for (i, out) in args.out.iter().enumerate() {
        files::check_writable(out)?;
        if args.out[..i].contains(out) {
            let message = format!("two images would go to `{}`", out.display());
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}

fn is_jpeg(cover: &Bytes) -> bool {
    cover.starts_with(b"\xFF\xD8\xFF")
}

fn is_named(out: &Path, extensions: &[&str]) -> bool {
    let extension = out.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|own| extensions.iter().any(|name| name.eq_ignore_ascii_case(own)))
}

const JPEG_NAMES: [&str; 2] = ["jpg", "jpeg"];

/// What becomes of covers that are JPEGs: what the names of the results promise.
///
/// # Errors
///
/// When a name promises a JPEG and the cover is none: the image would be a PNG under a wrong name, which a
/// program that goes by names would save again as a JPEG, without the message.
fn jpegs(outs: &[PathBuf], covers: &[Bytes]) -> Result<JpegPast, Failure> {
    for (out, cover) in outs.iter().zip(covers) {
        if is_named(out, &JPEG_NAMES) && !is_jpeg(cover) {
            let message = format!(
                "`{}` would be a PNG, because its cover is no JPEG: let it end in .png",
                out.display()
            );
            return Err(Failure::usage(message));
        }
    }
    let all = |names: &[&str]| outs.iter().all(|out| is_named(out, names));
    Ok(if !covers.iter().all(is_jpeg) {
        JpegPast::ByProfile
    } else if all(&JPEG_NAMES) {
        JpegPast::Stay
    } else if all(&["png"]) {
        JpegPast::Resample
    } else {
        JpegPast::ByProfile
    })
}

/// The service's refusal, with what helps.
fn refusal(error: distri::Error, options: &HideOptions, covers: &[bool]) -> Failure {
    let remedy = error
        .details::<StegoError>()
        .and_then(|error| advice::remedy(&error, options, covers));
    let failure = Failure::from(error);
    match remedy {
        Some(remedy) => failure.with_remedy(remedy),
        None => failure,
    }
}

fn report(
    outs: &[PathBuf],
    stego: &Stego,
    hidden: &Done<Vec<StegoImage>>,
    global: &Global,
) -> Result<(), Failure> {
    let mut page = Page::stdout();
    let node = stego.name_of(hidden.node);
    let images = outs.iter().zip(&hidden.value);
    if global.json {
        let mut all: Vec<serde_json::Value> =
            images.map(|(out, image)| figures(out, image)).collect();
        // Of one image, its figures; of several, a list of them.
        let mut value = match all.len() {
            1 => all.remove(0),
            _ => json!({ "images": all }),
        };
        value["node"] = json!({ "name": node, "key": hidden.node.to_string() });
        value["seconds"] = hidden.took.as_secs_f64().into();
        return page.json(&value);
    }
    for (out, StegoImage { file, report }) in images {
        let size = show::size(report.size.width, report.size.height);
        let scaled = report.scaled_from.map_or_else(String::new, |from| {
            format!(", scaled from {}", show::size(from.width, from.height))
        });
        page.line(&format!(
            "{}: {size}{scaled}, {}, {} from its cover",
            out.display(),
            show::bytes(file.len() as u64),
            show::decibels(report.psnr),
        ))?;
        for warning in &report.warnings {
            page.line(&format!("  note: {}", advice::words(warning)))?;
        }
        if is_named(out, &JPEG_NAMES) != (report.format == Format::Jpeg) {
            let format = report.format;
            page.line(&format!("  note: whatever its name says, it is a {format}"))?;
        }
    }
    page.line(
        &page
            .style()
            .faint(&format!("hidden by {node} in {}", show::time(hidden.took))),
    )
}

fn figures(out: &Path, image: &StegoImage) -> serde_json::Value {
    let StegoImage { file, report } = image;
    json!({
        "out": out.display().to_string(),
        "bytes": file.len(),
        "format": report.format,
        "width": report.size.width,
        "height": report.size.height,
        "scaled_from": report.scaled_from,
        "carriers": report.carriers,
        "used": report.used,
        "changed": report.changed,
        "psnr": report.psnr,
        "exposure": report.exposure,
        "warnings": report.warnings,
    })
}
