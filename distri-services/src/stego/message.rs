//! A message in a picture: written, found and read, in either of its formats.
//!
//! Both formats have the same two places where salts are read (see `slot`), so that one stretching
//! of a passphrase serves both; which of them a picture holds shows when a header opens.

use zeroize::Zeroizing;

use super::{
    Job, Revealed,
    adaptive::{self, Changes, CostsOf, Outcome, RATE_MAX, Refusal, Site},
    carriers::{self, Carriers},
    cost::{Cost, Measure},
    cover::Picture,
    embedding::{Matching, Method},
    error::{Error, NotStego, Property},
    grid::Grid,
    ground::{self, Ground},
    key::Mark,
    layout::{Layout, Plan, SLOTS, Stream, room_in},
    pack,
    seal::{
        self, ADAPTIVE, AdaptiveHeader, BODY_OVERHEAD, Deriver, HEADER_SEALED, Header, VERSION,
    },
    slot,
    stc::Height,
};

/// What was made of a cover.
pub(crate) struct Written {
    pub(crate) picture: Picture,
    pub(crate) method: Method,
    /// Samples that hold a bit of the message, or might.
    pub(crate) used: usize,
    /// Bits of the message, headers and seals among them.
    pub(crate) bits: usize,
    /// For adaptive messages, what the body cost and could have cost.
    pub(crate) outcome: Option<Outcome>,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// All of a message.
    Message,
    /// A part of one, see `parts`.
    Part,
}

impl Content {
    pub(crate) fn of(is_part: bool) -> Self {
        if is_part { Self::Part } else { Self::Message }
    }
}

/// What came out of a picture.
pub(crate) struct Found {
    pub(crate) revealed: Revealed,
    pub(crate) content: Content,
}

/// A payload as it will be sealed.
pub(crate) struct Packed<'a> {
    payload: &'a [u8],
    /// Shorter, if that was possible.
    packed: Option<Vec<u8>>,
    label: usize,
    pub(crate) content: Content,
}

impl<'a> Packed<'a> {
    pub(crate) fn new(job: &Job<'a>, content: Content) -> Self {
        let packed = if job.options.uncompressed {
            None
        } else {
            pack::pack(job.payload)
        };
        Self {
            payload: job.payload,
            packed,
            label: job.options.label.len(),
            content,
        }
    }

    /// The payload as it is hidden adaptively.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.packed.as_deref().unwrap_or(self.payload)
    }

    /// The payload's length before it was compressed, if it was.
    pub(crate) fn unpacked(&self) -> Option<u32> {
        self.packed.as_ref().map(|_| self.payload.len() as u32)
    }

    /// Bytes of label and payload in an adaptive message.
    pub(crate) fn adaptive_bytes(&self) -> u64 {
        (self.bytes().len() + self.label) as u64
    }
}

/// Bytes of label and payload that fit an adaptive message, whatever the picture shows.
pub(crate) fn adaptive_room(picture: &Picture, carriers: usize) -> Option<usize> {
    let ground = ground_of(&Layout::new(carriers, picture.context())?, carriers)?;
    (Site::capacity(&ground) / 8).checked_sub(BODY_OVERHEAD)
}

/// Carriers that are enough for so many bytes in an adaptive message.
pub(crate) fn adaptive_carriers_for(bytes: u64) -> u64 {
    let bits = 8 * (bytes + BODY_OVERHEAD as u64);
    ground::carriers_for((bits as f64 / RATE_MAX).ceil() as u64)
}

/// The same with matching.
pub(crate) fn matching_room(picture: &Picture, carriers: usize) -> Option<usize> {
    room_in(Layout::new(carriers, picture.context())?.free())
}

fn ground_of(layout: &Layout, carriers: usize) -> Option<Ground> {
    Ground::new(carriers, layout.public())
}

/// A copy of `cover` that holds the message, matched.
pub(crate) fn write_matching(
    cover: &Picture,
    job: &Job<'_>,
    content: Content,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
) -> Result<Written, Error> {
    let mut carriers = Carriers::of(cover);
    let layout = Layout::new(carriers.len(), cover.context())
        .expect("a cover with room for the payload has room for the slots");
    let mut random = Stream::new(job.seed, 0);
    let secret = Zeroizing::new(random.next_bytes());
    let keys = deriver.body(VERSION, &secret);
    let label = &job.options.label;
    let body = seal::seal_body(VERSION, label, job.payload, &keys, layout.context());

    let mut slots = Vec::with_capacity(SLOTS);
    for slot in 0..SLOTS {
        let deck = layout.slot_deck(slot);
        let candidates = slot::any_candidate();
        carriers.refresh(&layout, slot, &deck, mark, &mut random, candidates)?;
        let salt = carriers.public_bits(&layout, slot, &deck).salt(slot);
        slots.push((deck, deriver.slot(VERSION, &salt)));
    }
    let places = [slots[0].1.place.clone(), slots[1].1.place.clone()];
    for (slot, (deck, slot_keys)) in slots.iter_mut().enumerate() {
        let header = Header {
            method: Method::Matching.id(),
            body: length(&body),
            secret: secret.clone(),
            other_place: places[1 - slot].clone(),
            is_part: content == Content::Part,
        };
        let sealed = header.seal(slot_keys, layout.context());
        carriers.write_header(&layout, slot, &deck.header(&places[slot]), &sealed);
    }
    let plan = Plan {
        layout,
        places: [&places[0], &places[1]],
        order: &keys.order,
    };
    Matching::embed(&mut carriers, &plan, &body);
    Ok(Written {
        picture: carriers.into_picture(cover),
        method: Method::Matching,
        used: layout.used(body.len() * 8),
        bits: 8 * (body.len() + SLOTS * HEADER_SEALED),
        outcome: None,
    })
}

fn length(body: &[u8]) -> u32 {
    u32::try_from(body.len()).expect("a body is bounded by the picture's size")
}

/// How an adaptive message is written.
pub(crate) struct Effort<'a> {
    pub(crate) measure: Measure,
    /// `None` for what suits the payload.
    pub(crate) height: Option<Height>,
    /// Samples are decided in turns where that is possible.
    pub(crate) in_turns: bool,
    pub(crate) threads: usize,
    pub(crate) go_on: &'a (dyn Fn() -> bool + Sync),
}

/// A copy of `cover` that holds the message where it is hardest to notice.
pub(crate) fn write_adaptive(
    cover: &Picture,
    job: &Job<'_>,
    packed: &Packed<'_>,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
    effort: &Effort<'_>,
) -> Result<Written, Error> {
    // The costs are the largest thing here: they go before the cover is copied.
    let decided = {
        let mut costs = carriers::costs(cover, effort.measure, effort.threads);
        decide(cover, &mut costs, job, packed, deriver, effort)?
    };
    decided.write(cover, packed, mark, deriver)
}

/// What an adaptive message will change, but for its headers.
pub(crate) struct Decided {
    layout: Layout,
    ground: Ground,
    random: Stream,
    secret: Zeroizing<[u8; 16]>,
    /// Of the sealed body, in bytes.
    length: u32,
    outcome: Outcome,
    changes: Changes,
    /// Of the samples in and around each slot.
    costs: [CostsOf; SLOTS],
}

/// Finds the changes that put the body in, given what each costs. The costs are used up.
pub(crate) fn decide(
    cover: &Picture,
    costs: &mut [Cost],
    job: &Job<'_>,
    packed: &Packed<'_>,
    deriver: &Deriver<'_>,
    effort: &Effort<'_>,
) -> Result<Decided, Error> {
    let carriers = Carriers::of(cover);
    let layout = Layout::new(carriers.len(), cover.context())
        .expect("a cover with room for the payload has room for the slots");
    let ground = ground_of(&layout, carriers.len())
        .expect("a cover with room for an adaptive payload has ground for it");
    let mut random = Stream::new(job.seed, 0);
    let secret = Zeroizing::new(random.next_bytes());
    let keys = deriver.body(ADAPTIVE, &secret);
    let label = &job.options.label;
    let body = seal::seal_body(ADAPTIVE, label, packed.bytes(), &keys, layout.context());
    let site = Site {
        ground: &ground,
        grid: Grid::of(cover, carriers.len()).filter(|_| effort.in_turns),
        order: &keys.order,
        threads: effort.threads,
    };
    let suits = || adaptive::height_for(8 * body.len(), ground.body());
    let height = effort.height.unwrap_or_else(suits);
    let of_slots = std::array::from_fn(|slot| {
        let (public, own) = (layout.slot_samples(slot), ground.slot_range(slot));
        CostsOf::new(costs, public.start.min(own.start)..public.end.max(own.end))
    });
    let mut written = Err(Refusal::Stuck);
    if site.grid.is_some() {
        written = carriers.write_in_turns(&site, costs, &body, height, &mut random, effort.go_on);
        if matches!(written, Err(Refusal::Stuck)) {
            // Not seen below the capacity; but what fits is hidden, and they were used up.
            costs.copy_from_slice(&carriers::costs(cover, effort.measure, effort.threads));
        }
    }
    if matches!(written, Err(Refusal::Stuck)) {
        written = carriers.write_adaptive(&site, costs, &body, height, &mut random, effort.go_on);
    }
    let (outcome, changes) = written.map_err(refused)?;
    Ok(Decided {
        length: length(&body),
        layout,
        ground,
        random,
        secret,
        outcome,
        changes,
        costs: of_slots,
    })
}

impl Decided {
    /// Copies `cover`, makes the changes, and writes headers that tell of them.
    pub(crate) fn write(
        self,
        cover: &Picture,
        packed: &Packed<'_>,
        mark: Option<&Mark>,
        deriver: &mut Deriver<'_>,
    ) -> Result<Written, Error> {
        let Self {
            layout,
            ground,
            mut random,
            ..
        } = self;
        let mut carriers = Carriers::of(cover);
        carriers.apply(self.changes);
        for (slot, costs) in self.costs.iter().enumerate() {
            let deck = layout.slot_deck(slot);
            let start = layout.slot_samples(slot).start as u32;
            let cost = |position: u16| costs.of(start + u32::from(position));
            let candidates = cheapest(cost, deck.public());
            carriers.refresh(&layout, slot, &deck, mark, &mut random, candidates)?;
            let salt = carriers.public_bits(&layout, slot, &deck).salt(slot);
            let slot_keys = deriver.slot(ADAPTIVE, &salt);
            let header = AdaptiveHeader {
                body: self.length,
                secret: self.secret.clone(),
                parameters: self.outcome.parameters,
                unpacked: packed.unpacked(),
                is_part: packed.content == Content::Part,
            };
            let sealed = header.seal(ADAPTIVE, &slot_keys, layout.context());
            let place = ground.slot(slot, slot_order(&slot_keys));
            carriers
                .write_adaptive_header(costs, &place, &sealed, &mut random)
                .map_err(refused)?;
        }
        Ok(Written {
            picture: carriers.into_picture(cover),
            method: Method::Adaptive,
            used: ground.body() + 2 * ground.slot_length(),
            bits: 8 * (self.length as usize + SLOTS * HEADER_SEALED),
            outcome: Some(self.outcome),
        })
    }
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Stopped => Error::Stopped,
        Refusal::Stuck => Error::SelfCheck {
            what: Property::Exact,
        },
    }
}

/// Deals the samples of `picture` for a body of so many bits, as writing and reading do. Gives how
/// many there are, for those who time it; `None` if they are too few.
pub(crate) fn deal(picture: &Picture, bits: usize, order: &[u8; 32]) -> Option<usize> {
    let carriers = Carriers::count(picture);
    let ground = ground_of(&Layout::new(carriers, picture.context())?, carriers)?;
    Some(ground.order(bits, Stream::new(order, 0)).elements())
}

/// The numbers of the public samples that are changed most gently.
fn cheapest(cost: impl Fn(u16) -> Cost, public: &[u16]) -> Vec<u8> {
    let mut numbers = slot::any_candidate();
    numbers.sort_by_key(|number| cost(public[usize::from(*number)]));
    numbers.truncate(slot::CANDIDATES);
    numbers
}

fn slot_order(keys: &seal::SlotKeys) -> Stream {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(keys.place.as_slice());
    Stream::new(&seed, 0)
}

/// What a slot says to a key.
enum Opening {
    Matching(Header, seal::Place),
    Adaptive(AdaptiveHeader),
    Closed { marked: bool },
}

fn open_slot(
    carriers: &Carriers<'_>,
    layout: &Layout,
    slot: usize,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
) -> Result<Opening, Error> {
    let mut deck = layout.slot_deck(slot);
    let public = carriers.public_bits(layout, slot, &deck);
    let salt = public.salt(slot);
    if let Some(ground) = ground_of(layout, carriers.len()) {
        let keys = deriver.slot(ADAPTIVE, &salt);
        let sealed = carriers.read_adaptive_header(&ground.slot(slot, slot_order(&keys)));
        if let Some(header) = AdaptiveHeader::open(ADAPTIVE, sealed, &keys, layout.context())? {
            return Ok(Opening::Adaptive(header));
        }
    }
    let keys = deriver.slot(VERSION, &salt);
    let sealed = carriers.read_header(layout, slot, &deck.header(&keys.place));
    Ok(match Header::open(sealed, &keys, layout.context())? {
        Some(header) => Opening::Matching(header, keys.place),
        None => Opening::Closed {
            marked: mark.is_some_and(|mark| public.bear(mark, slot)),
        },
    })
}

/// What `picture` holds for a key.
pub(crate) fn reveal(
    picture: &Picture,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
    limits: &super::Limits,
    threads: usize,
) -> Result<Found, Error> {
    let carriers = Carriers::of(picture);
    let layout = Layout::new(carriers.len(), picture.context())
        .filter(|layout| layout.free() >= BODY_OVERHEAD * 8)
        .ok_or(Error::NotStego {
            reason: NotStego::TooSmall(picture.size),
        })?;
    let mut marks = 0;
    for slot in 0..SLOTS {
        match open_slot(&carriers, &layout, slot, mark, deriver)? {
            Opening::Adaptive(header) => {
                let site = Where {
                    carriers: &carriers,
                    layout: &layout,
                    grid: Grid::of(picture, carriers.len()),
                };
                return read_adaptive(&site, &header, deriver, limits, threads);
            }
            Opening::Matching(header, place) => {
                let places = if slot == 0 {
                    [&place, &header.other_place]
                } else {
                    [&header.other_place, &place]
                };
                return read_matching(&carriers, layout, places, &header, deriver);
            }
            Opening::Closed { marked } => marks += usize::from(marked),
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

fn read_matching(
    carriers: &Carriers<'_>,
    layout: Layout,
    places: [&seal::Place; SLOTS],
    header: &Header,
    deriver: &Deriver<'_>,
) -> Result<Found, Error> {
    if header.method != Method::Matching.id() {
        return Err(Error::Newer {
            version: VERSION,
            method: header.method,
        });
    }
    let length = header.body as usize;
    if length > layout.free() / 8 {
        return Err(Error::Damaged);
    }
    let keys = deriver.body(VERSION, &header.secret);
    let plan = Plan {
        layout,
        places,
        order: &keys.order,
    };
    let body = Matching::extract(carriers, &plan, length);
    let opened = seal::open_body(VERSION, body, &keys, layout.context());
    let (label, payload) = opened.ok_or(Error::Damaged)?;
    let method = Method::Matching;
    let revealed = Revealed {
        payload,
        label,
        method,
    };
    let content = Content::of(header.is_part);
    Ok(Found { revealed, content })
}

/// Where a body is.
struct Where<'a> {
    carriers: &'a Carriers<'a>,
    layout: &'a Layout,
    grid: Option<Grid>,
}

fn read_adaptive(
    place: &Where<'_>,
    header: &AdaptiveHeader,
    deriver: &Deriver<'_>,
    limits: &super::Limits,
    threads: usize,
) -> Result<Found, Error> {
    let Where {
        carriers,
        layout,
        grid,
    } = *place;
    let ground = ground_of(layout, carriers.len()).ok_or(Error::Damaged)?;
    let keys = deriver.body(ADAPTIVE, &header.secret);
    let site = Site {
        ground: &ground,
        grid,
        order: &keys.order,
        threads,
    };
    let body = carriers.read_adaptive(&site, header.body as usize, &header.parameters);
    let body = body.ok_or(Error::Damaged)?;
    let opened = seal::open_body(ADAPTIVE, body, &keys, layout.context());
    let (label, mut payload) = opened.ok_or(Error::Damaged)?;
    if let Some(unpacked) = header.unpacked {
        super::decode::check_file_length(unpacked.into(), limits)?;
        payload = pack::unpack(&payload, unpacked as usize).ok_or(Error::Damaged)?;
    }
    let method = Method::Adaptive;
    let revealed = Revealed {
        payload,
        label,
        method,
    };
    let content = Content::of(header.is_part);
    Ok(Found { revealed, content })
}

/// Proves that `delivered` gives back what `job` hid, whichever slot it is opened from.
pub(crate) fn check(
    delivered: &Picture,
    job: &Job<'_>,
    content: Content,
    mark: Option<&Mark>,
    deriver: &mut Deriver<'_>,
    limits: &super::Limits,
    threads: usize,
) -> Result<(), Error> {
    let failed = |what| Error::SelfCheck { what };
    let found =
        reveal(delivered, mark, deriver, limits, threads).map_err(|_| failed(Property::Exact))?;
    let revealed = found.revealed;
    let same = revealed.payload == job.payload && revealed.label == job.options.label;
    if !same || found.content != content {
        return Err(failed(Property::Exact));
    }
    let carriers = Carriers::of(delivered);
    let layout = Layout::new(carriers.len(), delivered.context()).ok_or(failed(Property::Exact))?;
    for slot in 0..SLOTS {
        let opening = open_slot(&carriers, &layout, slot, None, deriver)?;
        if matches!(opening, Opening::Closed { .. }) {
            return Err(failed(Property::Exact));
        }
        let public = carriers.public_bits(&layout, slot, &layout.slot_deck(slot));
        if mark.is_some_and(|mark| !public.bear(mark, slot)) {
            return Err(failed(Property::Marked));
        }
    }
    Ok(())
}
