//! A message in the coefficients of a JPEG: written, found and read. What `message` is for pixels.
//!
//! The parts are the same: two slots with a salt and a sealed header each, a body around them, the code
//! over lowest bits and the directions of changes. Keys and seals are under a format of their own, so
//! that nothing that was hidden in pixels opens here, or the other way round.

use zeroize::Zeroizing;

use crate::jpeg::{Jpeg, Plane};

use super::{
    Job, Revealed, Settings,
    adaptive::{self, CostsOf, Outcome, Refusal, Site},
    coefficients::{self, BLOCKS_MIN, Order, PublicBits},
    cover::Format,
    decode,
    embedding::Method,
    error::{Error, NotStego, Property},
    ground::Ground,
    juniward,
    key::Mark,
    layout::{SLOTS, Stream},
    message::{Content, Effort, Found, Packed},
    pack,
    seal::{
        self, AdaptiveHeader, BODY_OVERHEAD, Context, Deriver, HEADER_SEALED, IN_JPEG, SlotKeys,
    },
    stc::Height,
};

/// Bits of a message for each coefficient that is not zero (means apart), at most: beyond, detail is added
/// that anyone sees who counts.
const RATE_OF_DETAIL: f64 = 0.5;

/// The code that headers are written with. Part of the format.
const HEADER_HEIGHT: u8 = 10;

/// The places of a message in one JPEG.
pub(crate) struct Places<'a> {
    plane: &'a Plane,
    order: Order,
    ground: Ground,
    public: [Vec<u32>; SLOTS],
    context: Context,
}

/// What became of a JPEG.
pub(crate) struct Written {
    pub(crate) planes: Vec<Plane>,
    pub(crate) used: usize,
    pub(crate) bits: usize,
    pub(crate) outcome: Outcome,
}

/// What hiding changed.
pub(crate) struct Changed {
    /// Coefficients, each by one step.
    pub(crate) count: u64,
    /// The squares of their steps: by Parseval, those of the differences of pixels.
    pub(crate) energy: f64,
}

impl<'a> Places<'a> {
    /// `None` if the picture is too small.
    pub(crate) fn of(jpeg: &'a Jpeg<'_>) -> Option<Self> {
        let plane = jpeg.planes.first()?;
        if plane.columns * plane.rows < BLOCKS_MIN {
            return None;
        }
        let order = Order::of(plane);
        let context = Context {
            width: jpeg.frame.width.into(),
            height: jpeg.frame.height.into(),
            colours: if jpeg.frame.is_coloured() { 3 } else { 1 },
            depth: 8,
        };
        let public = order.public(context);
        let ground = Ground::new(order.carriers(), public.concat())?;
        Some(Self {
            plane,
            order,
            ground,
            public,
            context,
        })
    }

    /// Coefficients that could change.
    pub(crate) fn carriers(&self) -> usize {
        self.order.carriers()
    }

    /// Coefficients that are not zero, means apart: how much detail there is.
    pub(crate) fn detail(&self) -> u64 {
        let plane = self.plane;
        let rows = (0..plane.rows).map(|row| {
            let blocks = &plane.coefficients[plane.at(0, row)..][..plane.columns];
            let block = |block: &[i16; 64]| block[1..].iter().filter(|value| **value != 0).count();
            blocks.iter().map(block).sum::<usize>()
        });
        rows.sum::<usize>() as u64
    }

    /// Bytes of label and payload that fit.
    pub(crate) fn room(&self, detail: u64) -> Option<u64> {
        let bits = (detail as f64 * RATE_OF_DETAIL).min(Site::capacity(&self.ground) as f64);
        let headers = SLOTS * HEADER_SEALED;
        ((bits / 8.0) as usize)
            .checked_sub(BODY_OVERHEAD + headers)
            .map(|room| room as u64)
    }

    fn site<'s>(&'s self, order: &'s [u8; 32], threads: usize) -> Site<'s> {
        Site {
            ground: &self.ground,
            grid: None,
            order,
            threads,
        }
    }

    fn slot(&self, slot: usize, keys: &SlotKeys) -> Vec<u32> {
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(keys.place.as_slice());
        self.ground.slot(slot, Stream::new(&seed, 0))
    }

    fn salt(&self, samples: &[u16], slot: usize) -> PublicBits {
        PublicBits::read(samples, &self.public[slot])
    }

    fn header(
        &self,
        samples: &[u16],
        slot: usize,
        deriver: &mut Deriver<'_>,
    ) -> Result<Option<AdaptiveHeader>, Error> {
        let keys = deriver.slot(IN_JPEG, &self.salt(samples, slot).salt(slot));
        let mut sealed = [0; HEADER_SEALED];
        adaptive::read_plainly(
            samples,
            &self.slot(slot, &keys),
            &mut sealed,
            header_height(),
        );
        AdaptiveHeader::open(IN_JPEG, sealed, &keys, self.context)
    }
}

fn header_height() -> Height {
    Height::new(HEADER_HEIGHT).expect("a height that there is")
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Stopped => Error::Stopped,
        Refusal::Stuck => Error::SelfCheck {
            what: Property::Exact,
        },
    }
}

/// The coefficients of `jpeg` with the message, where it is hardest to notice. The payload fits.
pub(crate) fn write(
    jpeg: &Jpeg<'_>,
    site: &Places<'_>,
    job: &Job<'_>,
    packed: &Packed<'_>,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
    effort: &Effort<'_>,
) -> Result<Written, Error> {
    let costs = site
        .order
        .costs(&juniward::costs(site.plane, effort.threads));
    let mut samples = site.order.gather(site.plane);
    let mut random = Stream::new(job.seed, 0);
    let secret = Zeroizing::new(random.next_bytes());
    let keys = deriver.body(IN_JPEG, &secret);
    let label = &job.options.label;
    let body = seal::seal_body(IN_JPEG, label, packed.bytes(), &keys, site.context);
    let length = u32::try_from(body.len()).expect("a body is bounded by the picture's size");
    let suits = || adaptive::height_for(8 * body.len(), site.ground.body());
    let height = effort.height.unwrap_or_else(suits);
    let (outcome, changes) = site
        .site(&keys.order, effort.threads)
        .write(&samples, &costs, &body, height, &mut random, effort.go_on)
        .map_err(refused)?;
    changes.apply(&mut samples);
    let of_all = CostsOf::new(&costs, 0..costs.len());
    for slot in 0..SLOTS {
        let public = &site.public[slot];
        coefficients::refresh(&mut samples, &costs, public, slot, mark, &mut random)?;
        let slot_keys = deriver.slot(IN_JPEG, &site.salt(&samples, slot).salt(slot));
        let header = AdaptiveHeader {
            body: length,
            secret: secret.clone(),
            parameters: outcome.parameters,
            unpacked: packed.unpacked(),
            is_part: packed.content == Content::Part,
        };
        let sealed = header.seal(IN_JPEG, &slot_keys, site.context);
        let place = site.slot(slot, &slot_keys);
        adaptive::write_plainly(
            &mut samples,
            &of_all,
            &place,
            &sealed,
            header_height(),
            &mut random,
        )
        .map_err(refused)?;
    }
    let mut planes = jpeg.planes.clone();
    site.order.scatter(&samples, &mut planes[0]);
    Ok(Written {
        planes,
        used: site.ground.body() + SLOTS * site.ground.slot_length(),
        bits: 8 * (body.len() + SLOTS * HEADER_SEALED),
        outcome,
    })
}

/// What the JPEG file `image` holds for a key.
///
/// # Errors
///
/// Those of revealing. A JPEG that could not carry anything is [`NotStego::Lossy`].
pub(crate) fn reveal(
    image: &[u8],
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
    limits: &super::Limits,
    threads: usize,
) -> Result<Found, Error> {
    decode::check_file(image, limits)?;
    let nothing = || Error::NotStego {
        reason: NotStego::Lossy(Format::Jpeg),
    };
    let jpeg = Jpeg::read(image, limits.memory_max).map_err(|_| nothing())?;
    let site = Places::of(&jpeg).ok_or_else(nothing)?;
    reveal_from(&site, mark, deriver, limits, threads)
}

fn reveal_from(
    site: &Places<'_>,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
    limits: &super::Limits,
    threads: usize,
) -> Result<Found, Error> {
    let samples = site.order.gather(site.plane);
    for slot in 0..SLOTS {
        if let Some(header) = site.header(&samples, slot, deriver)? {
            return read(site, &samples, &header, deriver, limits, threads);
        }
    }
    let bears = |mark: &Mark| (0..SLOTS).any(|slot| site.salt(&samples, slot).bear(mark, slot));
    Err(match mark {
        None => Error::NoMessage,
        Some(mark) if bears(mark) => Error::WrongKey,
        Some(_) => Error::NotStego {
            reason: NotStego::Unmarked,
        },
    })
}

fn read(
    site: &Places<'_>,
    samples: &[u16],
    header: &AdaptiveHeader,
    deriver: &Deriver<'_>,
    limits: &super::Limits,
    threads: usize,
) -> Result<Found, Error> {
    let keys = deriver.body(IN_JPEG, &header.secret);
    let body = site
        .site(&keys.order, threads)
        .read(samples, header.body as usize, &header.parameters)
        .ok_or(Error::Damaged)?;
    let opened = seal::open_body(IN_JPEG, body, &keys, site.context);
    let (label, mut payload) = opened.ok_or(Error::Damaged)?;
    if let Some(unpacked) = header.unpacked {
        decode::check_file_length(unpacked.into(), limits)?;
        payload = pack::unpack(&payload, unpacked as usize).ok_or(Error::Damaged)?;
    }
    let revealed = Revealed {
        payload,
        label,
        method: Method::Jpeg,
    };
    let content = Content::of(header.is_part);
    Ok(Found { revealed, content })
}

/// Proves that `delivered` is the file `cover`, from which all was taken that is not to stay, but for steps of one
/// in its first component, and gives back what `job` hid, from either slot.
pub(crate) fn check(
    cover: &Jpeg<'_>,
    delivered: &[u8],
    job: &Job<'_>,
    content: Content,
    settings: &Settings,
    deriver: &mut Deriver<'_>,
) -> Result<Changed, Error> {
    let (mark, limits, threads) = (settings.mark.as_ref(), &settings.limits, settings.threads());
    let failed = |what| Error::SelfCheck { what };
    decode::check_file(delivered, limits)?;
    let jpeg = Jpeg::read(delivered, limits.memory_max).map_err(|_| failed(Property::Readable))?;
    let changed = changes(cover, &jpeg).ok_or(failed(Property::Faithful))?;
    let exact = || failed(Property::Exact);
    let site = Places::of(&jpeg).ok_or_else(exact)?;
    let found = reveal_from(&site, mark, deriver, limits, threads).map_err(|_| exact())?;
    let revealed = found.revealed;
    let same = revealed.payload == job.payload && revealed.label == job.options.label;
    if !same || found.content != content {
        return Err(exact());
    }
    let samples = site.order.gather(site.plane);
    for slot in 0..SLOTS {
        if site.header(&samples, slot, deriver)?.is_none() {
            return Err(exact());
        }
        if mark.is_some_and(|mark| !site.salt(&samples, slot).bear(mark, slot)) {
            return Err(failed(Property::Marked));
        }
    }
    Ok(changed)
}

/// What differs between two files, or `None` if that is more than may.
fn changes(cover: &Jpeg<'_>, stego: &Jpeg<'_>) -> Option<Changed> {
    if !cover.differs_only_in_coefficients(stego) {
        return None;
    }
    let (before, after) = (&cover.planes, &stego.planes);
    if before[1..] != after[1..] {
        return None;
    }
    let (before, after) = (&before[0], &after[0]);
    let mut counts = [0u64; 64];
    for (before, after) in before.coefficients.iter().zip(&after.coefficients) {
        for (count, (a, b)) in counts.iter_mut().zip(before.iter().zip(after)) {
            let step = a.abs_diff(*b);
            if step > 1 {
                return None;
            }
            *count += u64::from(step);
        }
    }
    let energy = counts.iter().zip(&before.steps);
    Some(Changed {
        count: counts.iter().sum(),
        energy: energy
            .map(|(count, step)| *count as f64 * f64::from(*step).powi(2))
            .sum(),
    })
}

/// Coefficients that are enough for so many bytes.
pub(crate) fn detail_for(bytes: u64) -> u64 {
    let bytes = bytes + (BODY_OVERHEAD + SLOTS * HEADER_SEALED) as u64;
    let by_detail = 8.0 * bytes as f64 / RATE_OF_DETAIL;
    by_detail.ceil() as u64 + 1
}
