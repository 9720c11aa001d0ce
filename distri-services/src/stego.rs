//! Seals a payload, hides it in a cover image, and opens it again: exactly, or with an error that
//! tells which.
//!
//! ```
//! use distri_services::stego::{HideOptions, Key, Settings};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut cover = Vec::new();
//! # image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 3, y as u8 * 2, 90]))
//! #     .write_to(&mut std::io::Cursor::new(&mut cover), image::ImageFormat::Png)?;
//! let settings = Settings::default();
//! let key = Key::random()?;
//!
//! let hidden = settings.hide(&cover, b"meet at six", &key, &HideOptions::default())?;
//! let revealed = settings.reveal(&hidden.image, &key)?;
//!
//! assert_eq!(revealed.payload, b"meet at six");
//! # Ok(())
//! # }
//! ```
//!
//! What comes out is a PNG that any viewer shows like the cover: no colour of any pixel differs by
//! more than one step, transparency not at all. Or, of a cover that is a JPEG, a JPEG: no coefficient
//! differs by more than one step, and nothing else differs at all (see [`JpegPast`]). What the cover's file says
//! beside its picture, such as where it was taken, is left out of either (see [`Metadata`]). Without the key nothing in it can be read, nor
//! can it be recognised by a pattern, a length or a header, for all of that is inside the
//! encryption. Statistics are another matter: see [`Method`].
//!
//! All that works on images is synchronous and touches nothing but its arguments; randomness is
//! drawn in one place, for [`Settings::hide`]. [`Stego`] offers it as a service, configured by
//! [`StegoConfig`] and called through [`StegoClient`]:
//!
//! ```
//! # use distri_services::stego::{HideOptions, Key, StegoClient};
//! # async fn example(client: distri::Client) -> distri::Result<()> {
//! let stego = StegoClient::new(client);
//! let cover = distri::Blob::from_file("cover.png").await?;
//! let key = Key::from_passphrase("correct horse battery staple").expect("not empty");
//!
//! let payload = distri::Blob::from("meet at six".as_bytes());
//! let made = stego.hide(cover, payload, key.clone(), HideOptions::default()).await?;
//! let found = stego.reveal(made.image, key).await?;
//! # Ok(())
//! # }
//! ```
//!
//! From the outside in: `service` is the edge to the network, `decode` and `png_file` turn files into pixels and back
//! (`png_chunks` puts around them what is to stay), `cover` knows
//! pixels, `carriers` says which samples may change, `layout` which sample holds which bit,
//! `embedding` how, `slot` where a message starts, and `seal` what the bits mean. For JPEGs that stay
//! JPEGs it is `jpeg_cover`, `in_jpeg`, `coefficients` and `juniward`. `over` and `parts` are
//! for messages in several images.

mod adaptive;
mod analysis;
mod bound;
mod carriers;
mod coefficients;
mod cost;
mod cover;
mod decode;
mod embedding;
mod error;
mod grid;
mod ground;
mod in_jpeg;
mod jpeg_cover;
mod jpeg_past;
mod juniward;
mod key;
#[doc(hidden)]
pub mod lab;
mod layout;
mod message;
mod over;
mod pack;
mod parts;
mod plan;
mod png_chunks;
mod png_file;
mod sample;
mod scale;
mod seal;
mod service;
mod signs;
mod slot;
mod stc;
mod workers;

use std::ops::ControlFlow;

use zeroize::Zeroizing;

pub use crate::jpeg::{Fault as JpegFault, JpegError, Kind as JpegKind};

pub use self::{
    analysis::Analysis,
    cover::{Capacity, Colour, Cover, Depth, Format, Limits, PixelType},
    embedding::Method,
    error::{DecoderError, Error, Measure, NotStego, Property, Size},
    key::{KEY_LENGTH, Key, KeyError, Mark},
    over::{Covers, Gathered, JobOver},
    plan::{Exposure, JpegPast, Metadata, Profile, Warning},
    png_file::Compression,
    service::{Secret, Stego, StegoClient, StegoConfig, StegoImage},
};
use self::{
    analysis::{Look, OVERHEAD},
    carriers::Carriers,
    cover::Picture,
    decode::{Orient, look_through, sniff},
    message::{Content, Effort, Found, Packed, Written, adaptive_room, matching_room},
    png_chunks::{Around, Source},
    seal::Deriver,
    stc::Height,
};

/// The longest label that travels with a payload.
pub const LABEL_MAX: usize = 64 * 1024;

/// What whoever runs this decides, as opposed to whoever calls it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What an image may cost.
    pub limits: Limits,
    /// The secret by which this cloud recognises its own images, so that revealing can tell a
    /// wrong key from an image without a message. Without it (the default) it cannot.
    pub mark: Option<Mark>,
    /// Threads for one piece of work; 0, the default, is one for each processor.
    pub threads: usize,
}

/// How to hide.
#[distri::message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct HideOptions {
    /// Bytes that travel sealed beside the payload, such as permissions. Up to [`LABEL_MAX`]. In
    /// JSON, base64.
    #[serde(with = "crate::text")]
    #[schemars(with = "String")]
    pub label: Vec<u8>,
    /// Scale a cover up that is too small, instead of refusing it.
    pub scale_cover: bool,
    /// How to hide: the gentlest way that fits (`auto`), or refuse what would be found (`stealth`),
    /// or as fast as possible (`fast`).
    pub profile: Profile,
    /// What to do about a cover that is or was a JPEG.
    pub jpeg: JpegPast,
    /// What becomes of what the cover's file says beside its picture.
    pub metadata: Metadata,
    /// Hide the payload as it is, even if it gets shorter by compression.
    pub uncompressed: bool,
    /// How a PNG is written.
    pub compression: Compression,
    /// Constraint height of the code, 7 to 12. Higher changes fewer samples and takes twice as
    /// long for each step: 3 % less distortion from 10 to 12 for four times the time of the code. 0,
    /// the default, is as high as the payload leaves time for: 12 up to 0.03 bit a sample, 11 up to
    /// 0.12, then 10; and 12 in up to a million samples.
    pub height: u8,
}

/// A stego image and how it came about.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// A PNG file, or a JPEG file if the cover was one and stayed one: see the report's `format`.
    pub image: Vec<u8>,
    /// What was done.
    pub report: Report,
}

/// What hiding did to a cover.
#[distri::message]
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How bits were put into samples.
    pub method: Method,
    /// The stego image's format: PNG, or JPEG.
    pub format: Format,
    /// The cover's format.
    pub cover_format: Format,
    /// The stego image's size.
    pub size: Size,
    /// What its pixels are made of.
    pub pixels: PixelType,
    /// The cover's own size, if it was scaled.
    pub scaled_from: Option<Size>,
    /// Samples that could change; of a JPEG that stayed one, coefficients, here and below.
    pub carriers: u64,
    /// Samples that hold a bit of the message; with the adaptive method, among which the code
    /// chooses those to change.
    pub used: u64,
    /// Bits of the message for each sample that could change.
    pub rate: f64,
    /// For adaptive messages, how their distortion compares with the least that any code could
    /// reach: 1.12 is 12 % above it. Where samples are decided in turns, both at the costs that were
    /// theirs in their turn.
    pub loss: Option<f64>,
    /// How easily the message is found by those who search for it.
    pub exposure: Exposure,
    /// What a person should know before sending the image.
    pub warnings: Vec<Warning>,
    /// Samples that differ from the cover, each by one step.
    pub changed: u64,
    /// How close the two look: peak signal-to-noise ratio in decibels over all colour samples.
    /// 51 dB is what a full cover comes to, and far beyond what eyes can tell. Of a JPEG that stayed one,
    /// over its first component, before rounding.
    pub psnr: f64,
}

/// What came out of a stego image.
#[derive(Clone, PartialEq, Eq)]
pub struct Revealed {
    /// Exactly what was hidden.
    pub payload: Vec<u8>,
    /// The label that travelled with it.
    pub label: Vec<u8>,
    /// How it had been put in.
    pub method: Method,
}

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What was hidden does not belong in a log.
        let (payload, label) = (self.payload.len(), self.label.len());
        write!(
            f,
            "Revealed({payload} bytes, label of {label}, {:?})",
            self.method
        )
    }
}

/// The steps of hiding, in order, for whoever shows progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// Reading the cover.
    Decoding,
    /// Deriving keys, encrypting and embedding.
    Embedding,
    /// Writing the image.
    Writing,
    /// Opening the finished file with the key and comparing.
    Checking,
}

impl Settings {
    /// Seals `payload` under `key` and hides it in the image file `cover`.
    ///
    /// The finished file is opened again with the key, and compared with payload, label and cover,
    /// before it is returned.
    ///
    /// # Errors
    ///
    /// Every [`Error`] but those about revealing.
    pub fn hide(
        &self,
        cover: &[u8],
        payload: &[u8],
        key: &Key,
        options: &HideOptions,
    ) -> Result<Hidden, Error> {
        let seed = random_seed()?;
        let job = Job {
            cover,
            payload,
            key,
            options,
            seed: &seed,
            go_on: &|| true,
        };
        self.hide_with(&job, &mut |_| ControlFlow::Continue(()))
    }

    /// Does what `job` says, and calls `begin` before each step, which may stop it there.
    ///
    /// # Errors
    ///
    /// As [`hide`](Self::hide), and [`Error::Stopped`].
    pub fn hide_with(
        &self,
        job: &Job<'_>,
        begin: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Hidden, Error> {
        self.hide_content(job, Content::Message, begin)
    }

    /// As [`hide_with`](Self::hide_with), of a message or of a part of one.
    fn hide_content(
        &self,
        job: &Job<'_>,
        content: Content,
        begin: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Hidden, Error> {
        let mut begin = |step| match begin(step) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped),
        };
        let label_length = job.options.label.len();
        if label_length > LABEL_MAX {
            return Err(Error::LabelTooLong {
                is: label_length,
                limit: LABEL_MAX,
            });
        }
        let height = job.height()?;
        begin(Step::Decoding)?;
        let packed = Packed::new(job, content);
        if let Some(hidden) = self.hide_in_jpeg(job, &packed, height, &mut begin)? {
            return Ok(hidden);
        }
        let cover = Cover::decode(job.cover, &self.limits)?;
        let plan = self.plan(cover, job, &packed)?;
        let cover = &plan.cover.picture;

        begin(Step::Embedding)?;
        let mut deriver = Deriver::new(job.key);
        let mark = self.mark.as_ref();
        let threads = self.threads();
        let written = match plan.method {
            Method::Matching => message::write_matching(cover, job, content, mark, &mut deriver)?,
            Method::Adaptive | Method::Jpeg => {
                let effort = Effort {
                    measure: cost::Measure::default(),
                    height,
                    in_turns: true,
                    threads,
                    go_on: job.go_on,
                };
                message::write_adaptive(cover, job, &packed, mark, &mut deriver, &effort)?
            }
        };

        begin(Step::Writing)?;
        let failed = |what| Error::SelfCheck { what };
        let source = plan.source(job.cover);
        let (around, told) = Around::of(&source, job.options.metadata, &cover.colour_space);
        let image = png_file::write(&written.picture, job.options.compression, &around)
            .map_err(|_| failed(Property::Readable))?;
        // A file that revealing would refuse is of no use to anyone.
        decode::check_file(&image, &self.limits)?;

        begin(Step::Checking)?;
        if !around.is_that_of(&image) {
            return Err(failed(Property::Faithful));
        }
        let mut report = self.check(&image, &plan, written, &packed, job, &mut deriver)?;
        report.warnings.extend(told);
        Ok(Hidden { image, report })
    }

    /// Opens the finished file and compares it with all that it should be.
    fn check(
        &self,
        image: &[u8],
        plan: &Plan,
        written: Written,
        packed: &Packed<'_>,
        job: &Job<'_>,
        deriver: &mut Deriver<'_>,
    ) -> Result<Report, Error> {
        let failed = |what| Error::SelfCheck { what };
        let cover = &plan.cover.picture;
        let Written {
            picture,
            method,
            used,
            bits,
            outcome,
        } = written;
        let delivered = png_file::read_into(picture.data, image, &self.limits)
            .map_err(|_| failed(Property::Readable))?;
        let changed = cover
            .steps_to(&delivered)
            .ok_or(failed(Property::Faithful))?;
        message::check(
            &delivered,
            job,
            packed.content,
            self.mark.as_ref(),
            deriver,
            &self.limits,
            self.threads(),
        )?;

        let carriers = Carriers::count(cover) as u64;
        let exposure = plan::exposure(bits as u64, plan.rough);
        let mut warnings = plan.warnings.clone();
        if exposure > Exposure::Low {
            warnings.push(Warning::Exposed {
                exposure,
                recommended: plan::recommended_bytes(plan.rough, OVERHEAD),
                better: plan::better_size(cover.size, plan.rough, bits as u64),
            });
        }
        Ok(Report {
            method,
            format: Format::Png,
            cover_format: plan.cover.format,
            size: cover.size,
            pixels: cover.pixels,
            scaled_from: plan.scaled_from,
            carriers,
            used: used as u64,
            rate: bits as f64 / carriers.max(1) as f64,
            loss: outcome
                .filter(|outcome| outcome.bound.distortion > 0.0)
                .map(|outcome| outcome.distortion / outcome.bound.distortion),
            exposure,
            warnings,
            changed,
            psnr: psnr(cover, changed),
        })
    }

    /// Says what the image file `cover` is good for.
    ///
    /// # Errors
    ///
    /// Those about image files.
    pub fn analyze(&self, cover: &[u8]) -> Result<Analysis, Error> {
        let decoded = Cover::decode(cover, &self.limits)?;
        let mut analysis = analysis::analyze(&decoded, self.threads());
        self.analyze_as_jpeg(cover, &mut analysis);
        Ok(analysis)
    }

    fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, Into::into),
            threads => threads,
        }
    }

    /// Opens what is hidden in the image file `image`, a JPEG or any lossless format: a stego PNG that
    /// another program saved again without loss still opens.
    ///
    /// # Errors
    ///
    /// [`Error::NotStego`], [`Error::WrongKey`], [`Error::NoMessage`], [`Error::Damaged`],
    /// [`Error::Newer`], those about image files, and [`Error::PartsMissing`] for one of several
    /// images that are needed: see [`reveal_from`](Self::reveal_from).
    pub fn reveal(&self, image: &[u8], key: &Key) -> Result<Revealed, Error> {
        self.alone(self.open(image, key)?)
    }

    /// Opens what is hidden in one image, be it a message or a part of one.
    fn open(&self, image: &[u8], key: &Key) -> Result<Found, Error> {
        let format = sniff(image)?;
        if format == Format::Jpeg {
            let (mark, mut deriver) = (self.mark.as_ref(), Deriver::new(key));
            return in_jpeg::reveal(image, mark, &mut deriver, &self.limits, self.threads());
        }
        if decode::is_lossy(image, format) {
            return Err(Error::NotStego {
                reason: NotStego::Lossy(format),
            });
        }
        let picture = decode::decode(image, format, Orient::AsStored, &self.limits)?;
        message::reveal(
            &look_through(picture),
            self.mark.as_ref(),
            &mut Deriver::new(key),
            &self.limits,
            self.threads(),
        )
    }

    /// Decides how `job` is done, and makes its cover fit for that.
    fn plan(&self, cover: Cover, job: &Job<'_>, packed: &Packed<'_>) -> Result<Plan, Error> {
        let own_size = cover.picture.size;
        let mut warnings = Vec::new();
        let mut cover = self.without_jpeg_past(cover, job, packed, &mut warnings)?;
        let wants = Wants {
            profile: job.options.profile,
            matching: job.bytes(),
            adaptive: packed.adaptive_bytes(),
        };
        let mut choice = wants.method(&cover.picture, self.threads());
        if choice.is_none() {
            let carriers = Carriers::count(&cover.picture);
            let needed = wants.carriers();
            let has = cover.picture.size;
            let needs =
                scale::needed(&cover.picture, carriers, needed).ok_or(Error::Transparent)?;
            if !job.options.scale_cover {
                return Err(Error::CoverTooSmall {
                    payload: wants.bytes(),
                    room: wants.room(&cover.picture, self.threads()),
                    has,
                    needs,
                });
            }
            let fits = |picture: &Picture| wants.method(picture, self.threads()).is_some();
            cover.picture = scale::grow(&cover.picture, needed, &fits, &self.limits)?;
            choice = wants.method(&cover.picture, self.threads());
        }
        let (method, look) = choice.ok_or(Error::Transparent)?;
        if look.is_synthetic() {
            warnings.push(Warning::Synthetic);
        }
        if method == Method::Matching && wants.profile == Profile::Auto {
            warnings.push(Warning::Matched);
        }
        let scaled = cover.picture.size != own_size;
        Ok(Plan {
            method,
            rough: look.rough,
            scaled_from: scaled.then_some(own_size),
            cover,
            warnings,
        })
    }

    /// The cover as it may be used: without traces of JPEG, or with a warning, or not at all.
    fn without_jpeg_past(
        &self,
        cover: Cover,
        job: &Job<'_>,
        packed: &Packed<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Cover, Error> {
        let is_jpeg = cover.format == Format::Jpeg;
        if job.options.profile == Profile::Fast && job.options.jpeg == JpegPast::ByProfile {
            // Nobody examines it, so the pixels are not searched for traces.
            if is_jpeg {
                warnings.push(Warning::JpegPast { quality: None });
            }
            return Ok(cover);
        }
        let traces = jpeg_past::traces(&cover.picture);
        if !is_jpeg && traces.is_none() {
            return Ok(cover);
        }
        let quality = traces.and_then(|traces| traces.quality);
        let rule = match (job.options.jpeg, job.options.profile) {
            (JpegPast::ByProfile, Profile::Stealth) => JpegPast::Refuse,
            (JpegPast::ByProfile, Profile::Auto) if is_jpeg => JpegPast::Resample,
            (JpegPast::ByProfile, Profile::Auto | Profile::Fast) => JpegPast::Keep,
            (rule, _) => rule,
        };
        match rule {
            JpegPast::Refuse => Err(Error::JpegPast { quality }),
            JpegPast::Resample => {
                let picture = scale::resample(&cover.picture, &self.limits, &|picture| {
                    let carriers = Carriers::count(picture);
                    let room = adaptive_room(picture, carriers);
                    room.is_some_and(|room| room as u64 >= packed.adaptive_bytes())
                })?;
                Ok(Cover { picture, ..cover })
            }
            // A JPEG that had to stay one did, or was refused.
            JpegPast::ByProfile | JpegPast::Keep | JpegPast::Stay => {
                warnings.push(Warning::JpegPast { quality });
                Ok(cover)
            }
        }
    }
}

/// How a job is done.
struct Plan {
    cover: Cover,
    method: Method,
    /// Samples in whose surroundings changes do not stand out.
    rough: u64,
    scaled_from: Option<Size>,
    warnings: Vec<Warning>,
}

impl Plan {
    /// The cover's `file`, and what becomes of it.
    fn source<'a>(&self, file: &'a [u8]) -> Source<'a> {
        Source {
            file,
            format: self.cover.format,
            same_samples: png_file::has_samples_of(file, self.cover.picture.pixels),
            same_size: self.scaled_from.is_none(),
        }
    }
}

/// What a job asks of a cover.
struct Wants {
    profile: Profile,
    /// Bytes to put in by matching, and adaptively, where the payload may be compressed.
    matching: u64,
    adaptive: u64,
}

impl Wants {
    fn bytes(&self) -> u64 {
        match self.profile {
            Profile::Fast => self.matching,
            Profile::Auto => self.matching.min(self.adaptive),
            Profile::Stealth => self.adaptive,
        }
    }

    /// The method by which it fits, if it does by any that the profile allows.
    fn method(&self, picture: &Picture, threads: usize) -> Option<(Method, Look)> {
        let carriers = Carriers::count(picture);
        let fits = |room: Option<usize>, bytes| room.is_some_and(|room| room as u64 >= bytes);
        let adaptive =
            self.profile != Profile::Fast && fits(adaptive_room(picture, carriers), self.adaptive);
        let matching = self.profile != Profile::Stealth
            && fits(matching_room(picture, carriers), self.matching);
        if !adaptive && !matching {
            return None;
        }
        let mut look = Look::at(picture, threads, adaptive);
        look.rough = look.rough.min(carriers as u64);
        let stealthy = plan::stealthy_bytes(look.rough, OVERHEAD);
        if self.profile == Profile::Stealth && stealthy < self.adaptive {
            return None;
        }
        let method = if adaptive {
            Method::Adaptive
        } else {
            Method::Matching
        };
        Some((method, look))
    }

    /// Bytes for which there is room.
    fn room(&self, picture: &Picture, threads: usize) -> u64 {
        let carriers = Carriers::count(picture);
        let adaptive = adaptive_room(picture, carriers).unwrap_or(0) as u64;
        match self.profile {
            Profile::Stealth => {
                let look = Look::at(picture, threads, true);
                let rough = look.rough.min(carriers as u64);
                plan::stealthy_bytes(rough, OVERHEAD).min(adaptive)
            }
            Profile::Auto | Profile::Fast => {
                let matching = matching_room(picture, carriers);
                matching.unwrap_or(0) as u64
            }
        }
    }

    /// Carriers with which it fits, if they are as those of a photograph.
    fn carriers(&self) -> u64 {
        let matching = layout::carriers_for(self.matching);
        match self.profile {
            Profile::Fast => matching,
            Profile::Auto => matching.min(message::adaptive_carriers_for(self.adaptive)),
            Profile::Stealth => plan::stealthy_samples(self.bytes(), OVERHEAD)
                .max(message::adaptive_carriers_for(self.adaptive)),
        }
    }
}

/// A seed for one [`Job`], from the operating system.
fn random_seed() -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|source| Error::Randomness {
        source: Some(source),
    })?;
    Ok(seed)
}

/// One piece of hiding, with its randomness.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// An image file.
    pub cover: &'a [u8],
    /// What to hide.
    pub payload: &'a [u8],
    /// What is to open it.
    pub key: &'a Key,
    /// How to hide it.
    pub options: &'a HideOptions,
    /// Random bytes, never used before: with a seed used twice, two messages share their keys.
    pub seed: &'a [u8; 32],
    /// Asked now and then, by any thread: false gives up.
    pub go_on: &'a (dyn Fn() -> bool + Sync),
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the payload nor the seed belongs in a log.
        write!(
            f,
            "Job({} bytes in a cover of {})",
            self.bytes(),
            self.cover.len()
        )
    }
}

impl Job<'_> {
    fn bytes(&self) -> u64 {
        self.payload.len() as u64 + self.options.label.len() as u64
    }

    /// The height that is asked for, if one is.
    fn height(&self) -> Result<Option<Height>, Error> {
        let height = self.options.height;
        if height == 0 {
            return Ok(None);
        }
        let asked = Height::new(height).ok_or(Error::Height {
            is: height,
            least: stc::HEIGHT_MIN,
            most: stc::HEIGHT_MAX,
        })?;
        Ok(Some(asked))
    }
}

/// With a message there are always changes, so this is finite.
fn psnr(picture: &Picture, changed: u64) -> f64 {
    let pixels = picture.pixels;
    let samples = picture.data.len() / pixels.pixel_bytes() * pixels.colours();
    let peak: f64 = match pixels.depth {
        Depth::Eight => 255.0,
        Depth::Sixteen => 65_535.0,
    };
    10.0 * (peak * peak * samples as f64 / changed.max(1) as f64).log10()
}
