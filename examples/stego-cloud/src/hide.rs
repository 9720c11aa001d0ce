//! `hide`: has the cloud hide a file in an image, or over several, and writes the stego images.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use distri::cli::{Failure, Global};
use distri_services::stego::{Error as StegoError, HideOptions, JpegPast, LABEL_MAX};
use serde_json::json;

use crate::{
    files,
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
    /// this ends in .jpg or .jpeg, or else if that is as safe
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
    /// Wait at most so long, as in 30s or 2m [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    #[command(flatten)]
    key: KeyArgs,
    /// Make a key and write it to a new file [default: use one that exists]
    #[arg(long, value_name = "FILE", help_heading = "Key", conflicts_with_all = ["key", "passphrase_file"])]
    new_key: Option<PathBuf>,
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
        jpeg: jpegs(&args.out, &covers),
        ..HideOptions::default()
    };
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
        let done = stego.hide(&secret).await.map_err(refusal)?;
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

/// What becomes of covers that are JPEGs: what the names of the results promise.
fn jpegs(outs: &[PathBuf], covers: &[Bytes]) -> JpegPast {
    let named = |names: &[&str]| {
        outs.iter().all(|out| {
            let extension = out.extension().and_then(|extension| extension.to_str());
            extension.is_some_and(|e| names.iter().any(|name| name.eq_ignore_ascii_case(e)))
        })
    };
    if !covers
        .iter()
        .all(|cover| cover.starts_with(b"\xFF\xD8\xFF"))
    {
        JpegPast::ByProfile
    } else if named(&["jpg", "jpeg"]) {
        JpegPast::Stay
    } else if named(&["png"]) {
        JpegPast::Resample
    } else {
        JpegPast::ByProfile
    }
}

/// The service's refusal, with the flag that helps.
fn refusal(error: distri::Error) -> Failure {
    let details = error.details();
    if let Some(StegoError::NotAsJpeg { .. }) = details {
        return Failure::from(error).with_remedy("let --out end in .png, to get a PNG");
    }
    let helps = match details {
        Some(StegoError::CoverTooSmall { .. }) => true,
        Some(StegoError::InCover { source, .. }) => {
            matches!(*source, StegoError::CoverTooSmall { .. })
        }
        _ => false,
    };
    let failure = Failure::from(error);
    if helps {
        failure.with_remedy("send a larger cover, or let --scale-cover do it")
    } else {
        failure
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
            format!(", scaled up from {}", show::size(from.width, from.height))
        });
        page.line(&format!(
            "{}: {size}{scaled}, {}, {} from its cover",
            out.display(),
            show::bytes(file.len() as u64),
            show::decibels(report.psnr),
        ))?;
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
    })
}
