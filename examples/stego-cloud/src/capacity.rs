//! `capacity`: asks the cloud how much an image can hide.

use std::path::PathBuf;

use clap::Args;
use distri::cli::{Failure, Global};
use serde_json::json;

use crate::{
    files,
    show::{self, Page},
    work::Stego,
};

/// What `capacity` takes.
#[derive(Args)]
pub(crate) struct CapacityArgs {
    /// The image: PNG, JPEG, WebP, BMP, GIF or TIFF
    #[arg(long, value_name = "FILE")]
    cover: PathBuf,
}

pub(crate) async fn run(args: CapacityArgs, global: &Global) -> Result<(), Failure> {
    let cover = files::read(&args.cover)?;
    let stego = Stego::new(&global.connect().await?);
    let capacity = stego.capacity(&cover).await?.value;

    let mut page = Page::stdout();
    let (width, height) = (capacity.size.width, capacity.size.height);
    if global.json {
        return page.json(&json!({
            "payload": capacity.payload,
            "as_jpeg": capacity.as_jpeg,
            "carriers": capacity.carriers,
            "width": width,
            "height": height,
            "format": capacity.format,
        }));
    }
    let room = match capacity.payload {
        Some(room) => format!("room for {}", show::bytes(room)),
        None => "too small to hide anything".to_owned(),
    };
    let room = match capacity.as_jpeg {
        Some(as_jpeg) => format!("{room}, {} as a JPEG", show::bytes(as_jpeg)),
        None => room,
    };
    let (size, format) = (show::size(width, height), capacity.format);
    page.line(&format!(
        "{}: {size} {format}, {room}",
        args.cover.display()
    ))
}
