//! `hide`: has the cloud hide a file in an image, and writes the stego image.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use distri::cli::{Failure, Global};
use distri_services::stego::{Error as StegoError, HideOptions, LABEL_MAX};
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
    /// The image to hide in: PNG, JPEG, WebP, BMP, GIF or TIFF
    #[arg(long, value_name = "FILE")]
    cover: PathBuf,
    /// The file to hide
    #[arg(long, value_name = "FILE")]
    payload: PathBuf,
    /// Where the stego image goes, a PNG; replaced if it exists
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
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
    files::check_writable(&args.out)?;
    let (cover, payload) = (files::read(&args.cover)?, files::read(&args.payload)?);
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
        ..HideOptions::default()
    };
    let stego = Stego::new(&global.connect().await?)
        .patience(args.timeout.unwrap_or(PATIENCE))
        .show_progress();

    let secret = Secret {
        cover,
        payload,
        key,
        options,
    };
    let hidden = stego.hide(&secret).await.map_err(refusal)?;
    // An image whose key is not kept would be lost, so the key comes first.
    if let (Some(path), Some(digits)) = (&args.new_key, new_digits) {
        files::write_secret(path, &format!("{}\n", digits.as_str()))?;
    }
    files::write(&args.out, &hidden.value.file)?;
    report(&args.out, &stego, &hidden, global)
}

/// The service's refusal, with the flag that helps.
fn refusal(error: distri::Error) -> Failure {
    let helps = matches!(error.details(), Some(StegoError::CoverTooSmall { .. }));
    let failure = Failure::from(error);
    if helps {
        failure.with_remedy("send a larger cover, or let --scale-cover do it")
    } else {
        failure
    }
}

fn report(
    out: &Path,
    stego: &Stego,
    hidden: &Done<StegoImage>,
    global: &Global,
) -> Result<(), Failure> {
    let mut page = Page::stdout();
    let StegoImage { file, report } = &hidden.value;
    let node = stego.name_of(hidden.node);
    if global.json {
        return page.json(&json!({
            "out": out.display().to_string(),
            "bytes": file.len(),
            "width": report.size.width,
            "height": report.size.height,
            "scaled_from": report.scaled_from,
            "carriers": report.carriers,
            "used": report.used,
            "changed": report.changed,
            "psnr": report.psnr,
            "node": { "name": node, "key": hidden.node.to_string() },
            "seconds": hidden.took.as_secs_f64(),
        }));
    }
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
    page.line(
        &page
            .style()
            .faint(&format!("hidden by {node} in {}", show::time(hidden.took))),
    )
}
