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
//! more than one step, transparency not at all. Without the key nothing in it can be read, nor
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
//! From the outside in: `service` is the edge to the network, `decode` and `png_file` turn files into pixels and back, `cover` knows
//! pixels, `carriers` says which samples may change, `layout` which sample holds which bit,
//! `embedding` how, `slot` where a message starts, and `seal` what the bits mean.

mod carriers;
mod cover;
mod decode;
mod embedding;
mod error;
mod key;
mod layout;
mod png_file;
mod sample;
mod scale;
mod seal;
mod service;
mod slot;
mod text;

use std::ops::ControlFlow;

use zeroize::Zeroizing;

use self::{
    carriers::Carriers,
    cover::{Picture, room},
    decode::{Orient, look_through, sniff},
    layout::{Layout, Plan, SLOTS, Stream},
    seal::{BODY_OVERHEAD, Deriver, Header},
};
pub use self::{
    cover::{Capacity, Colour, Cover, Depth, Format, Limits, PixelType},
    embedding::Method,
    error::{DecoderError, Error, Measure, NotStego, Property, Size},
    key::{KEY_LENGTH, Key, KeyError, Mark},
    service::{Secret, Stego, StegoClient, StegoConfig, StegoImage},
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
}

/// How to hide.
#[distri::message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct HideOptions {
    /// Bytes that travel sealed beside the payload, such as permissions. Up to [`LABEL_MAX`]. In
    /// JSON, base64.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub label: Vec<u8>,
    /// Scale a cover up that is too small, instead of refusing it.
    pub scale_cover: bool,
    /// How bits are put into samples.
    pub method: Method,
}

/// A stego image and how it came about.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// A PNG file.
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
    /// The cover's format.
    pub cover_format: Format,
    /// The stego image's size.
    pub size: Size,
    /// What its pixels are made of.
    pub pixels: PixelType,
    /// The cover's own size, if it was scaled up.
    pub scaled_from: Option<Size>,
    /// Samples that could change.
    pub carriers: u64,
    /// Samples that hold a bit of the message.
    pub used: u64,
    /// Samples that differ from the cover, each by one step.
    pub changed: u64,
    /// How close the two look: peak signal-to-noise ratio in decibels over all colour samples.
    /// 51 dB is what a full cover comes to, and far beyond what eyes can tell.
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
    /// Writing the PNG.
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
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|source| Error::Randomness {
            source: Some(source),
        })?;
        let job = Job {
            cover,
            payload,
            key,
            options,
            seed: &seed,
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
        begin(Step::Decoding)?;
        let cover = Cover::decode(job.cover, &self.limits)?;
        let (cover, scaled_from) = self.fitting(cover, job)?;

        begin(Step::Embedding)?;
        let mut deriver = Deriver::new(job.key);
        let (stego, used) = embed(&cover.picture, job, self.mark.as_ref(), &mut deriver)?;

        begin(Step::Writing)?;
        let failed = |what| Error::SelfCheck { what };
        let image = png_file::write(&stego).map_err(|_| failed(Property::Readable))?;
        // A file that revealing would refuse is of no use to anyone.
        decode::check_file(&image, &self.limits)?;

        begin(Step::Checking)?;
        let (delivered, _) = png_file::read_into(stego.data, &image, &self.limits)
            .map_err(|_| failed(Property::Readable))?;
        let changed = cover
            .picture
            .steps_to(&delivered)
            .ok_or(failed(Property::Faithful))?;
        check_message(&delivered, job, self.mark.as_ref(), &mut deriver)?;

        let picture = &cover.picture;
        let report = Report {
            method: job.options.method,
            cover_format: cover.format,
            size: picture.size,
            pixels: picture.pixels,
            scaled_from,
            carriers: Carriers::count(picture) as u64,
            used: used as u64,
            changed,
            psnr: psnr(picture, changed),
        };
        Ok(Hidden { image, report })
    }

    /// Opens what is hidden in the image file `image`, which may be any lossless format: a stego
    /// image that another program saved again without loss still opens.
    ///
    /// # Errors
    ///
    /// [`Error::NotStego`], [`Error::WrongKey`], [`Error::NoMessage`], [`Error::Damaged`],
    /// [`Error::Newer`], and those about image files.
    pub fn reveal(&self, image: &[u8], key: &Key) -> Result<Revealed, Error> {
        let format = sniff(image)?;
        if decode::is_lossy(image, format) {
            return Err(Error::NotStego {
                reason: NotStego::Lossy(format),
            });
        }
        let picture = decode::decode(image, format, Orient::AsStored, &self.limits)?;
        reveal(
            &look_through(picture),
            self.mark.as_ref(),
            &mut Deriver::new(key),
        )
    }

    /// The cover, scaled up if it has to be and may.
    fn fitting(&self, cover: Cover, job: &Job<'_>) -> Result<(Cover, Option<Size>), Error> {
        let picture = &cover.picture;
        let carriers = Carriers::count(picture);
        let room = room(picture, carriers);
        let bytes = job.bytes();
        if room.is_some_and(|room| room as u64 >= bytes) {
            return Ok((cover, None));
        }
        let needs = scale::needed(picture, carriers, bytes).ok_or(Error::Transparent)?;
        let has = picture.size;
        if !job.options.scale_cover {
            let room = room.unwrap_or(0) as u64;
            return Err(Error::CoverTooSmall {
                payload: bytes,
                room,
                has,
                needs,
            });
        }
        let picture = scale::grow(picture, bytes, &self.limits)?;
        Ok((Cover { picture, ..cover }, Some(has)))
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
}

/// A copy of `cover` that holds the message, and how many of its samples hold a bit.
fn embed(
    cover: &Picture,
    job: &Job<'_>,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
) -> Result<(Picture, usize), Error> {
    let mut carriers = Carriers::of(cover);
    let layout = Layout::new(carriers.len(), cover.context())
        .expect("a cover with room for the payload has room for the slots");
    let mut random = Stream::new(job.seed, 0);
    let secret = Zeroizing::new(random.next_bytes());
    let keys = deriver.body(&secret);
    let body = seal::seal_body(&job.options.label, job.payload, &keys, layout.context());
    let length = u32::try_from(body.len()).expect("a body is bounded by the picture's size");

    let mut slots = Vec::with_capacity(SLOTS);
    for slot in 0..SLOTS {
        let deck = layout.slot_deck(slot);
        carriers.refresh(&layout, slot, &deck, mark, &mut random)?;
        let salt = carriers.public_bits(&layout, slot, &deck).salt(slot);
        slots.push((deck, deriver.slot(&salt)));
    }
    let places = [slots[0].1.place.clone(), slots[1].1.place.clone()];
    for (slot, (deck, slot_keys)) in slots.iter_mut().enumerate() {
        let header = Header {
            method: job.options.method.id(),
            body: length,
            secret: secret.clone(),
            other_place: places[1 - slot].clone(),
        };
        let sealed = header.seal(slot_keys, layout.context());
        carriers.write_header(&layout, slot, &deck.header(&places[slot]), &sealed);
    }
    let plan = Plan {
        layout,
        places: [&places[0], &places[1]],
        order: &keys.order,
    };
    job.options
        .method
        .embedding()
        .embed(&mut carriers, &plan, &body);
    Ok((carriers.into_picture(cover), layout.used(body.len() * 8)))
}

/// What a slot says to a key.
enum Opening {
    Opened(Header),
    Closed { marked: bool },
}

fn open_slot(
    carriers: &Carriers<'_>,
    layout: &Layout,
    slot: usize,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
) -> Result<(Opening, seal::Place), Error> {
    let mut deck = layout.slot_deck(slot);
    let public = carriers.public_bits(layout, slot, &deck);
    let keys = deriver.slot(&public.salt(slot));
    let sealed = carriers.read_header(layout, slot, &deck.header(&keys.place));
    let opening = match Header::open(sealed, &keys, layout.context())? {
        Some(header) => Opening::Opened(header),
        None => Opening::Closed {
            marked: mark.is_some_and(|mark| public.bear(mark, slot)),
        },
    };
    Ok((opening, keys.place))
}

fn reveal(
    picture: &Picture,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
) -> Result<Revealed, Error> {
    let carriers = Carriers::of(picture);
    let layout = Layout::new(carriers.len(), picture.context())
        .filter(|layout| layout.free() >= BODY_OVERHEAD * 8)
        .ok_or(Error::NotStego {
            reason: NotStego::TooSmall(picture.size),
        })?;
    let mut marks = 0;
    for slot in 0..SLOTS {
        match open_slot(&carriers, &layout, slot, mark, deriver)? {
            (Opening::Opened(header), place) => {
                let places = if slot == 0 {
                    [&place, &header.other_place]
                } else {
                    [&header.other_place, &place]
                };
                return read_body(&carriers, layout, places, &header, deriver);
            }
            (Opening::Closed { marked }, _) => marks += usize::from(marked),
        }
    }
    Err(match (mark, marks) {
        (None, _) => Error::NoMessage,
        (Some(_), 0) => Error::NotStego {
            reason: NotStego::Unmarked,
        },
        (Some(_), _) => Error::WrongKey,
    })
}

fn read_body(
    carriers: &Carriers<'_>,
    layout: Layout,
    places: [&seal::Place; SLOTS],
    header: &Header,
    deriver: &Deriver<'_>,
) -> Result<Revealed, Error> {
    let method = Method::from_id(header.method).ok_or(Error::Newer {
        version: seal::VERSION,
        method: header.method,
    })?;
    let embedding = method.embedding();
    let length = header.body as usize;
    if length > embedding.capacity(layout.free()) / 8 {
        return Err(Error::Damaged);
    }
    let keys = deriver.body(&header.secret);
    let plan = Plan {
        layout,
        places,
        order: &keys.order,
    };
    let body = embedding.extract(carriers, &plan, length);
    let (label, payload) = seal::open_body(body, &keys, layout.context()).ok_or(Error::Damaged)?;
    Ok(Revealed {
        payload,
        label,
        method,
    })
}

/// Proves that `delivered` gives back what `job` hid, whichever slot it is opened from.
fn check_message(
    delivered: &Picture,
    job: &Job<'_>,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
) -> Result<(), Error> {
    let failed = |what| Error::SelfCheck { what };
    let revealed = reveal(delivered, mark, deriver).map_err(|_| failed(Property::Exact))?;
    if revealed.payload != job.payload || revealed.label != job.options.label {
        return Err(failed(Property::Exact));
    }
    let carriers = Carriers::of(delivered);
    let layout = Layout::new(carriers.len(), delivered.context()).ok_or(failed(Property::Exact))?;
    for slot in 0..SLOTS {
        let (opening, _) = open_slot(&carriers, &layout, slot, None, deriver)?;
        if !matches!(opening, Opening::Opened(_)) {
            return Err(failed(Property::Exact));
        }
        let public = carriers.public_bits(&layout, slot, &layout.slot_deck(slot));
        if mark.is_some_and(|mark| !public.bear(mark, slot)) {
            return Err(failed(Property::Marked));
        }
    }
    Ok(())
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
