//! `reveal`: has the cloud open stego images, and writes what was hidden in them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use distri::cli::{Failure, Global};
use serde_json::json;

use crate::{
    files,
    hide::time,
    key::{Asking, KeyArgs},
    show::{self, Page},
    work::{Done, Found, PATIENCE, Stego},
};

/// What `reveal` takes.
#[derive(Args)]
pub(crate) struct RevealArgs {
    /// The stego image; again for each further one of those a file was hidden over
    #[arg(long, value_name = "FILE", required = true)]
    image: Vec<PathBuf>,
    /// Where the hidden file goes; replaced if it exists
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Wait at most so long, as in 30s or 2m [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    #[command(flatten)]
    key: KeyArgs,
}

pub(crate) async fn run(args: RevealArgs, global: &Global) -> Result<(), Failure> {
    files::check_writable(&args.out)?;
    let images = args.image.iter().map(|path| files::read(path));
    let images = images.collect::<Result<Vec<_>, _>>()?;
    let key = args.key.key(Asking::Once)?;
    let stego = Stego::new(&global.connect().await?)
        .patience(args.timeout.unwrap_or(PATIENCE))
        .show_progress();

    let found = match &images[..] {
        [image] => stego.reveal(image, &key).await?,
        images => stego.reveal_from(images, &key).await?,
    };
    files::write(&args.out, &found.value.payload)?;
    report(&args.out, &stego, &found, global)
}

/// A label longer than this is not shown to people whole.
const LABEL_SHOWN: usize = 200;

fn report(out: &Path, stego: &Stego, found: &Done<Found>, global: &Global) -> Result<(), Failure> {
    let mut page = Page::stdout();
    let Found { payload, label } = &found.value;
    let node = stego.name_of(found.node);
    let text = str::from_utf8(label);
    if global.json {
        return page.json(&json!({
            "out": out.display().to_string(),
            "bytes": payload.len(),
            "label": text.ok(),
            "label_bytes": label.len(),
            "node": { "name": node, "key": found.node.to_string() },
            "seconds": found.took.as_secs_f64(),
        }));
    }
    page.line(&format!(
        "{}: {}",
        out.display(),
        show::bytes(payload.len() as u64)
    ))?;
    match text {
        Ok("") => {}
        Ok(text) => page.line(&format!("label: {}", show::tame(text, LABEL_SHOWN)))?,
        Err(_) => page.line(&format!(
            "label: {}, no text",
            show::bytes(label.len() as u64)
        ))?,
    }
    page.line(
        &page
            .style()
            .faint(&format!("revealed by {node} in {}", show::time(found.took))),
    )
}
