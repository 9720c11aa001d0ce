//! Covers that are JPEGs and stay JPEGs: when that is done, how much they carry, and doing it.

use crate::jpeg::{Jpeg, JpegError, Tables};

use super::{
    Colour, Depth, Error, Exposure, Format, Hidden, Job, JpegKind, JpegPast, Metadata, PixelType,
    Profile, Report, Settings, Size, Step, Warning,
    analysis::{Analysis, OVERHEAD},
    cost,
    cover::{Capacity, Cover},
    decode::{self, sniff},
    embedding::Method,
    error::Property,
    in_jpeg::{self, Changed, Places, Written},
    message::{Effort, Packed},
    plan,
    seal::Deriver,
    stc::Height,
};

/// Coefficients with detail that count as one sample of a photograph (see `plan`): five times the root of
/// their number is recommended, in bits. That is 0.05 for each of the 10,000 or so that 256 × 256 pixels
/// have at quality 75. Per coefficient JPEGs carry more than pixels do, per picture far less.
const DETAIL_OF_A_SAMPLE: u64 = 26;

/// What a JPEG carries as one.
pub(super) struct Room {
    /// Bytes that fit.
    pub(super) room: u64,
    /// Bytes that are recommended, and beyond which `stealth` refuses.
    pub(super) recommended: u64,
    stealthy: u64,
    detail: u64,
}

impl Room {
    pub(super) fn of(places: &Places<'_>) -> Option<Self> {
        let detail = places.detail();
        let room = places.room(detail)?;
        let samples = detail / DETAIL_OF_A_SAMPLE;
        Some(Self {
            room,
            recommended: plan::recommended_bytes(samples, OVERHEAD).min(room),
            stealthy: plan::stealthy_bytes(samples, OVERHEAD).min(room),
            detail,
        })
    }

    fn samples(&self) -> u64 {
        self.detail / DETAIL_OF_A_SAMPLE
    }
}

/// How a JPEG stays one, if it does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// It must.
    Must,
    /// If that is as safe as anything.
    IfSafe,
}

impl Rule {
    fn of(job: &Job<'_>) -> Option<Self> {
        match (job.options.jpeg, job.options.profile) {
            (JpegPast::Stay, _) => Some(Self::Must),
            (JpegPast::ByProfile, Profile::Auto | Profile::Stealth) => {
                (sniff(job.cover) == Ok(Format::Jpeg)).then_some(Self::IfSafe)
            }
            _ => None,
        }
    }
}

impl Settings {
    /// Hides in the coefficients of a JPEG what `job` says, if that is how it is to be done; `None` if it is
    /// to be done in pixels.
    pub(super) fn hide_in_jpeg(
        &self,
        job: &Job<'_>,
        packed: &Packed<'_>,
        height: Option<Height>,
        begin: &mut dyn FnMut(Step) -> Result<(), Error>,
    ) -> Result<Option<Hidden>, Error> {
        let Some(rule) = Rule::of(job) else {
            return Ok(None);
        };
        let read = self.read_jpeg(job.cover)?;
        let mut jpeg = match read.and_then(|jpeg| may_stay(jpeg, job.options.metadata)) {
            Ok(jpeg) => jpeg,
            Err(source) if rule == Rule::Must => return Err(Error::NotAsJpeg { source }),
            Err(_) => return Ok(None),
        };
        let aside = set_aside(&mut jpeg, job.options.metadata);
        let size = size_of(&jpeg);
        let places = Places::of(&jpeg);
        let room = places.as_ref().and_then(Room::of);
        let (Some(places), Some(room)) = (places, room) else {
            return match rule {
                Rule::Must => Err(too_small(packed, size, None)),
                Rule::IfSafe => Ok(None),
            };
        };
        let most = match rule {
            Rule::Must if job.options.profile != Profile::Stealth => room.room,
            Rule::Must | Rule::IfSafe => room.stealthy,
        };
        if packed.adaptive_bytes() > most {
            return match (rule, job.options.profile) {
                (Rule::IfSafe, Profile::Auto) => Ok(None),
                _ => Err(too_small(packed, size, Some((&room, most)))),
            };
        }

        begin(Step::Embedding)?;
        let (mark, threads) = (self.mark.as_ref(), self.threads());
        let mut deriver = Deriver::new(job.key);
        let effort = Effort {
            measure: cost::Measure::default(),
            height,
            in_turns: false,
            threads,
            go_on: job.go_on,
        };
        let mut written = in_jpeg::write(&jpeg, &places, job, packed, mark, &mut deriver, &effort)?;
        begin(Step::Writing)?;
        let planes = std::mem::take(&mut written.planes);
        let image = jpeg.write(&planes, Tables::AsBefore);
        drop(planes);
        let image = image.map_err(|_| Error::SelfCheck {
            what: Property::Readable,
        })?;
        // A file that revealing would refuse is of no use to anyone.
        decode::check_file(&image, &self.limits)?;
        begin(Step::Checking)?;
        let content = packed.content;
        let changed = in_jpeg::check(&jpeg, &image, job, content, self, &mut deriver)?;
        let carriers = places.carriers() as u64;
        let mut report = report(&jpeg, &room, carriers, &written, &changed);
        report.warnings.extend(aside);
        Ok(Some(Hidden { image, report }))
    }

    /// Takes a JPEG apart. The outer error is one for any file.
    fn read_jpeg<'f>(&self, file: &'f [u8]) -> Result<Result<Jpeg<'f>, JpegError>, Error> {
        decode::check_file(file, &self.limits)?;
        let jpeg = Jpeg::read(file, self.limits.memory_max);
        if let Ok(jpeg) = &jpeg {
            decode::check_size(size_of(jpeg), &self.limits)?;
        }
        Ok(jpeg)
    }

    /// What the image file `cover` carries as a JPEG, if it can.
    fn jpeg_room(&self, cover: &[u8]) -> Option<Room> {
        if sniff(cover) != Ok(Format::Jpeg) {
            return None;
        }
        let jpeg = self.read_jpeg(cover).ok()?.ok()?;
        Room::of(&Places::of(&jpeg)?)
    }

    /// Says how much fits into the image file `cover`.
    ///
    /// # Errors
    ///
    /// Those about image files.
    pub fn capacity(&self, cover: &[u8]) -> Result<Capacity, Error> {
        let mut capacity = Cover::decode(cover, &self.limits)?.capacity();
        capacity.as_jpeg = self.jpeg_room(cover).map(|room| room.room);
        Ok(capacity)
    }

    /// Adds to `analysis` what `cover` is good for as a JPEG.
    pub(super) fn analyze_as_jpeg(&self, cover: &[u8], analysis: &mut Analysis) {
        if let Some(room) = self.jpeg_room(cover) {
            analysis.as_jpeg = Some(room.room);
            analysis.recommended = room.recommended;
            let past = |warning: &Warning| matches!(warning, Warning::JpegPast { .. });
            analysis.warnings.retain(|warning| !past(warning));
        }
    }
}

/// Refuses a file that would be wrong about where its further pictures are.
fn may_stay(jpeg: Jpeg<'_>, metadata: Metadata) -> Result<Jpeg<'_>, JpegError> {
    match metadata {
        Metadata::Keep if jpeg.several => Err(JpegError::Unsupported(JpegKind::SeveralPictures)),
        Metadata::Keep | Metadata::Strip => Ok(jpeg),
    }
}

/// Leaves out of `jpeg` what is not to stay, and says what is to be said about that.
fn set_aside(jpeg: &mut Jpeg<'_>, metadata: Metadata) -> Option<Warning> {
    match metadata {
        Metadata::Strip => {
            let more = jpeg.holds_more();
            jpeg.strip();
            more.then_some(Warning::RestDropped)
        }
        Metadata::Keep => jpeg.is_described().then_some(Warning::Metadata),
    }
}

fn size_of(jpeg: &Jpeg<'_>) -> Size {
    Size {
        width: jpeg.frame.width.into(),
        height: jpeg.frame.height.into(),
    }
}

/// The refusal, with a size of the same shape in which as much detail as here suffices.
fn too_small(packed: &Packed<'_>, has: Size, room: Option<(&Room, u64)>) -> Error {
    let payload = packed.adaptive_bytes();
    let (room, factor) = match room {
        Some((room, most)) => {
            let mut needed = in_jpeg::detail_for(payload);
            if most < room.room {
                let samples = plan::stealthy_samples(payload, OVERHEAD);
                needed = needed.max((samples + 1) * DETAIL_OF_A_SAMPLE);
            }
            (most, needed as f64 / room.detail.max(1) as f64)
        }
        None => {
            let pixels = f64::from(has.width) * f64::from(has.height);
            (0, (256.0 * 256.0 / pixels).max(1.0))
        }
    };
    let side = |side: u32| (f64::from(side) * factor.sqrt()).ceil() as u32;
    let needs = Size {
        width: side(has.width),
        height: side(has.height),
    };
    Error::CoverTooSmall {
        payload,
        room,
        has,
        needs,
    }
}

fn report(
    jpeg: &Jpeg<'_>,
    room: &Room,
    carriers: u64,
    written: &Written,
    changed: &Changed,
) -> Report {
    let size = size_of(jpeg);
    let (bits, samples) = (written.bits as u64, room.samples());
    let exposure = plan::exposure(bits, samples);
    let mut warnings = Vec::new();
    if exposure > Exposure::Low {
        warnings.push(Warning::Exposed {
            exposure,
            recommended: room.recommended,
            better: plan::better_size(size, samples, bits),
        });
    }
    let outcome = &written.outcome;
    let least = outcome.bound.distortion;
    let pixels = 64.0 * (jpeg.planes[0].columns * jpeg.planes[0].rows) as f64;
    Report {
        method: Method::Jpeg,
        format: Format::Jpeg,
        cover_format: Format::Jpeg,
        size,
        pixels: PixelType {
            colour: if jpeg.frame.is_coloured() {
                Colour::Rgb
            } else {
                Colour::Grey
            },
            alpha: false,
            depth: Depth::Eight,
        },
        scaled_from: None,
        carriers,
        used: written.used as u64,
        rate: bits as f64 / carriers.max(1) as f64,
        loss: (least > 0.0).then(|| outcome.distortion / least),
        exposure,
        warnings,
        changed: changed.count,
        psnr: 10.0 * (255.0 * 255.0 * pixels / changed.energy.max(1.0)).log10(),
    }
}
