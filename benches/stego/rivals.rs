//! The others, each from file to file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use steganography::{
    decoder::Decoder,
    encoder::Encoder,
    util::{file_as_dynamic_image, file_as_image_buffer, save_image_buffer},
};
use stenoxide_core::pipeline::EmbedPipeline;

/// A program that hides and reveals.
pub(crate) trait Rival {
    fn name(&self) -> &'static str;

    /// Hides `payload` in the file `cover`; false if it refuses.
    fn hide(&self, cover: &Path, payload: &[u8]) -> bool;

    /// What it hid last.
    fn reveal(&self) -> Vec<u8>;
}

fn text(path: &Path) -> String {
    path.to_str().expect("a temporary path is text").to_owned()
}

/// `steganography` 1.0.2: the payload becomes the transparency, in clear.
pub(crate) struct Steganography {
    out: PathBuf,
}

impl Steganography {
    pub(crate) fn new(folder: &Path) -> Self {
        let out = folder.join("steganography.png");
        Self { out }
    }
}

impl Rival for Steganography {
    fn name(&self) -> &'static str {
        "steganography 1.0.2"
    }

    fn hide(&self, cover: &Path, payload: &[u8]) -> bool {
        let image = file_as_dynamic_image(text(cover));
        save_image_buffer(Encoder::new(payload, image).encode_alpha(), text(&self.out));
        true
    }

    fn reveal(&self) -> Vec<u8> {
        Decoder::new(file_as_image_buffer(text(&self.out))).decode_alpha()
    }
}

/// `stegano-core` 0.6.1: lowest bits one after the other from the corner on; without a password,
/// which would add its key stretching to each run. GPL: only in builds that ask for it.
#[cfg(feature = "stegano-core")]
pub(crate) struct SteganoCore {
    out: PathBuf,
    payload: PathBuf,
    revealed: PathBuf,
}

#[cfg(feature = "stegano-core")]
impl SteganoCore {
    pub(crate) fn new(folder: &Path) -> Self {
        let revealed = folder.join("revealed");
        fs::create_dir_all(&revealed).expect("a folder");
        Self {
            out: folder.join("stegano-core.png"),
            payload: folder.join("payload.bin"),
            revealed,
        }
    }
}

#[cfg(feature = "stegano-core")]
impl Rival for SteganoCore {
    fn name(&self) -> &'static str {
        "stegano-core 0.6.1"
    }

    fn hide(&self, cover: &Path, payload: &[u8]) -> bool {
        fs::write(&self.payload, payload).expect("to write");
        stegano_core::api::hide::prepare()
            .with_file(&self.payload)
            .with_image(cover)
            .with_output(&self.out)
            .execute()
            .is_ok()
    }

    fn reveal(&self) -> Vec<u8> {
        stegano_core::api::unveil::prepare()
            .from_secret_file(&self.out)
            .into_output_folder(&self.revealed)
            .execute()
            .expect("to unveil");
        fs::read(self.revealed.join("payload.bin")).expect("what was unveiled")
    }
}

/// `stenoxide-core` 3.31.2: adaptive, one sample a pixel, always with a password (Argon2id, 128 MiB,
/// four passes), at least 2000 pixels on each side, at most 0.02 bit a pixel.
pub(crate) struct Stenoxide {
    out: PathBuf,
}

impl Stenoxide {
    pub(crate) fn new(folder: &Path) -> Self {
        let out = folder.join("stenoxide.png");
        Self { out }
    }
}

impl Rival for Stenoxide {
    fn name(&self) -> &'static str {
        "stenoxide-core 3.31.2"
    }

    fn hide(&self, cover: &Path, payload: &[u8]) -> bool {
        let _ = fs::remove_file(&self.out);
        let (payload, password) = (payload.to_vec().into(), b"a password".to_vec().into());
        let made = EmbedPipeline::default_secure().embed(cover, payload, password, &self.out);
        if let Err(error) = &made {
            println!("    stenoxide-core refuses: {error}");
        }
        made.is_ok()
    }

    fn reveal(&self) -> Vec<u8> {
        let password = b"a password".to_vec().into();
        let found = EmbedPipeline::default_secure().extract(&self.out, password);
        found.expect("what was embedded").0.to_vec()
    }
}
