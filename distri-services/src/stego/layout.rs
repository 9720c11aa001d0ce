//! Which sample carries which bit: pure arithmetic on positions, with no sample in sight.
//!
//! The carriers (all usable colour samples in picture order) are cut into *tiles* of at most 2^14,
//! so that a tile and its shuffled positions stay in the fastest cache. Each tile is a [`Deck`] of
//! its positions, from which cards are drawn without return, by a ChaCha20 stream:
//!
//! 1. in the two tiles that hold a slot, [`PUBLIC`] positions that anyone can compute: the salt is
//!    read from there (see `slot`);
//! 2. in the same tiles, [`HEADER`] positions that depend on key and salt;
//! 3. in every tile, as many positions for the body as are its share: a body spreads evenly over
//!    the whole picture, however small it is.
//!
//! So all positions together are a keyed permutation of all carriers, without ever shuffling a
//! list as long as the picture. Tiles are independent of each other.

use std::ops::Range;

use chacha20::{ChaCha20, KeyIvInit, cipher::StreamCipher};
use sha2::{Digest, Sha256};

use super::seal::{BODY_OVERHEAD, Context, HEADER_SEALED, Place};

/// Copies of the header. Two let a damaged image be told from a wrong key, and let most small
/// damage pass; each further one costs carriers and, with a passphrase, one Argon2 run.
pub(crate) const SLOTS: usize = 2;

/// Samples from which a slot's salt is read; see `slot` for why so many.
pub(crate) const PUBLIC: usize = 256;

/// Samples that hold one sealed header.
pub(crate) const HEADER: usize = HEADER_SEALED * 8;

/// Positions in a tile fit 16 bits, and its deck 32 KiB.
const TILE_MAX: usize = 1 << 14;

/// The tiling of one picture.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    carriers: usize,
    tiles: usize,
    context: Context,
}

impl Layout {
    /// `None` if not even the slots fit.
    pub(crate) fn new(carriers: usize, context: Context) -> Option<Self> {
        let tiles = carriers.div_ceil(TILE_MAX).max(SLOTS);
        (carriers >= SLOTS * (PUBLIC + HEADER)).then_some(Self {
            carriers,
            tiles,
            context,
        })
    }

    pub(crate) fn context(&self) -> Context {
        self.context
    }

    /// Carriers that are left for the body.
    pub(crate) fn free(&self) -> usize {
        free_in(self.carriers)
    }

    /// Carriers that a message with a body of so many bits makes use of.
    pub(crate) fn used(&self, body: usize) -> usize {
        SLOTS * (PUBLIC + HEADER) + body
    }

    /// Carriers of the tile in which `slot` lies.
    pub(crate) fn slot_samples(&self, slot: usize) -> Range<usize> {
        self.samples(self.slot_tile(slot))
    }

    /// The positions of `slot`, of which `place` tells the header's: draw them from the deck.
    pub(crate) fn slot_deck(&self, slot: usize) -> SlotDeck {
        let seed = Sha256::digest(self.context.bytes("public"));
        let mut deck = Deck::default();
        deck.reset(self.slot_samples(slot).len());
        let mut order = Stream::new(&seed.into(), slot as u64);
        for _ in 0..PUBLIC {
            deck.draw(&mut order);
        }
        SlotDeck { deck }
    }

    /// The carriers that the slots' salts are read from.
    pub(crate) fn public(&self) -> Vec<u32> {
        let of_slot = |slot: usize| {
            let start = self.slot_samples(slot).start as u32;
            let deck = self.slot_deck(slot);
            let carriers = deck.public().iter().map(|card| start + u32::from(*card));
            carriers.collect::<Vec<_>>()
        };
        (0..SLOTS).flat_map(of_slot).collect()
    }

    fn slot_tile(&self, slot: usize) -> usize {
        self.tiles * (2 * slot + 1) / (2 * SLOTS)
    }

    fn samples(&self, tile: usize) -> Range<usize> {
        let bound = |tile: usize| (tile as u64 * self.carriers as u64 / self.tiles as u64) as usize;
        bound(tile)..bound(tile + 1)
    }
}

/// Carriers that `carriers` leave for the body; zero if they are too few for the slots.
pub(crate) fn free_in(carriers: usize) -> usize {
    carriers.saturating_sub(SLOTS * (PUBLIC + HEADER))
}

/// Bytes of label and payload together that fit `free` carriers at one bit each.
pub(crate) fn room_in(free: usize) -> Option<usize> {
    (free / 8).checked_sub(BODY_OVERHEAD)
}

/// Carriers without which label and payload of `bytes` together do not fit.
pub(crate) fn carriers_for(bytes: u64) -> u64 {
    (SLOTS * (PUBLIC + HEADER)) as u64 + 8 * (bytes + BODY_OVERHEAD as u64)
}

/// The positions of one slot within its tile.
pub(crate) struct SlotDeck {
    deck: Deck,
}

impl SlotDeck {
    pub(crate) fn public(&self) -> &[u16] {
        &self.deck.cards[..PUBLIC]
    }

    /// The header's positions, each with the direction in which a change should go.
    pub(crate) fn header(&mut self, place: &Place) -> Vec<(usize, bool)> {
        let seed =
            Sha256::new_with_prefix("distri stego 1 header order").chain_update(place.as_slice());
        let mut order = Stream::new(&seed.finalize().into(), 0);
        self.deck.drawn = PUBLIC;
        (0..HEADER).map(|_| self.deck.draw(&mut order)).collect()
    }
}

/// Where a body lies: everywhere but in the slots, in an order of its own.
pub(crate) struct Plan<'a> {
    pub(crate) layout: Layout,
    /// Both slots' places, in the order of the slots.
    pub(crate) places: [&'a Place; SLOTS],
    pub(crate) order: &'a [u8; 32],
}

/// One tile's part of a body.
pub(crate) struct Share<'d> {
    /// The tile's carriers.
    pub(crate) samples: Range<usize>,
    /// Which bits of the body it holds.
    pub(crate) bits: Range<usize>,
    deck: &'d mut Deck,
    order: Stream,
}

impl Share<'_> {
    /// Position in the tile of the next bit, and the direction in which a change should go.
    #[inline]
    pub(crate) fn draw(&mut self) -> (usize, bool) {
        self.deck.draw(&mut self.order)
    }
}

impl Plan<'_> {
    /// Calls `each` with every tile that holds some of the `bits` of a body, of which there are at
    /// most as many as [`Layout::free`] says.
    pub(crate) fn for_each_share(&self, bits: usize, mut each: impl FnMut(Share<'_>)) {
        let layout = &self.layout;
        let free = layout.free() as u128;
        assert!(
            bits as u128 <= free,
            "a body is laid out only where it fits"
        );
        let mut deck = Deck::default();
        let (mut free_before, mut bits_before) = (0u128, 0usize);
        for tile in 0..layout.tiles {
            let samples = layout.samples(tile);
            let slot = (0..SLOTS).find(|slot| layout.slot_tile(*slot) == tile);
            free_before += (samples.len() - slot.map_or(0, |_| PUBLIC + HEADER)) as u128;
            // Cumulative rounding: shares differ by less than one bit from proportional, none
            // exceeds its tile, and the last ends at `bits`.
            let bits_after = (bits as u128 * free_before).checked_div(free).unwrap_or(0) as usize;
            let share = bits_before..bits_after;
            bits_before = bits_after;
            if share.is_empty() {
                continue;
            }
            match slot {
                None => deck.reset(samples.len()),
                Some(slot) => {
                    let mut dealt = layout.slot_deck(slot);
                    dealt.header(self.places[slot]);
                    deck = dealt.deck;
                }
            }
            let order = Stream::new(self.order, tile as u64);
            each(Share {
                samples,
                bits: share,
                deck: &mut deck,
                order,
            });
        }
    }
}

/// The positions of one tile, drawn one after the other in random order, none twice.
#[derive(Default)]
struct Deck {
    cards: Vec<u16>,
    drawn: usize,
}

impl Deck {
    fn reset(&mut self, positions: usize) {
        debug_assert!(positions <= TILE_MAX, "positions are 16 bits wide");
        self.cards.clear();
        self.cards.extend(0..positions as u16);
        self.drawn = 0;
    }

    /// Panics when all cards are drawn, which callers rule out by their arithmetic.
    #[inline]
    fn draw(&mut self, order: &mut Stream) -> (usize, bool) {
        let word = order.next_word();
        let left = self.cards.len() - self.drawn;
        // The high bits choose the card; a tile is small enough against 2^32 that no card is
        // favoured by more than 2^-18. So the lowest bit is free to choose the direction.
        let chosen = self.drawn + ((u64::from(word) * left as u64) >> 32) as usize;
        self.cards.swap(self.drawn, chosen);
        let card = self.cards[self.drawn];
        self.drawn += 1;
        (usize::from(card), word & 1 == 1)
    }
}

/// The words of one ChaCha20 key stream.
pub(crate) struct Stream {
    cipher: ChaCha20,
    buffer: [u8; Self::BUFFER],
    at: usize,
}

impl Stream {
    /// Sixteen blocks: enough for the vector units, little waste for a tile that needs few words.
    const BUFFER: usize = 1024;

    pub(crate) fn new(key: &[u8; 32], number: u64) -> Self {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        Self {
            cipher: ChaCha20::new(key.into(), &nonce.into()),
            buffer: [0; Self::BUFFER],
            at: Self::BUFFER,
        }
    }

    #[inline]
    pub(crate) fn next_word(&mut self) -> u32 {
        u32::from_le_bytes(self.next_bytes())
    }

    /// Fills `bytes` with the next of the stream.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(64) {
            chunk.copy_from_slice(&self.next_bytes::<64>()[..chunk.len()]);
        }
    }

    #[inline]
    pub(crate) fn next_bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N.is_multiple_of(4) && N <= 64, "words stay aligned") };
        if self.at + N > Self::BUFFER {
            self.buffer.fill(0);
            self.cipher.apply_keystream(&mut self.buffer);
            self.at = 0;
        }
        let bytes = *self.buffer[self.at..]
            .first_chunk()
            .expect("a full buffer holds N bytes");
        self.at += N;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    const CONTEXT: Context = Context {
        width: 1,
        height: 1,
        colours: 3,
        depth: 8,
    };
    const SMALLEST: usize = SLOTS * (PUBLIC + HEADER);

    /// Every position of every carrier that a full body and both slots use.
    fn all_positions(carriers: usize) -> Vec<usize> {
        let layout = Layout::new(carriers, CONTEXT).unwrap();
        let places: [Place; SLOTS] = [Zeroizing::new([1; 16]), Zeroizing::new([2; 16])];
        let plan = Plan {
            layout,
            places: [&places[0], &places[1]],
            order: &[3; 32],
        };
        let mut positions = Vec::new();
        for (slot, place) in places.iter().enumerate() {
            let start = layout.slot_samples(slot).start;
            let mut deck = layout.slot_deck(slot);
            positions.extend(deck.public().iter().map(|p| start + usize::from(*p)));
            positions.extend(deck.header(place).iter().map(|(p, _)| start + p));
        }
        plan.for_each_share(layout.free(), |mut share| {
            let start = share.samples.start;
            positions.extend(share.bits.clone().map(|_| start + share.draw().0));
        });
        positions
    }

    #[test]
    fn every_carrier_is_used_exactly_once() {
        for carriers in [
            SMALLEST,
            SMALLEST + 1,
            SMALLEST + 9,
            2 * TILE_MAX,
            2 * TILE_MAX + 1,
            100_003,
        ] {
            let mut positions = all_positions(carriers);

            positions.sort_unstable();

            assert!(positions.into_iter().eq(0..carriers), "{carriers} carriers");
        }
    }

    #[test]
    fn a_picture_without_room_for_the_slots_has_no_layout() {
        for carriers in [0, 1, SMALLEST - 1] {
            assert!(Layout::new(carriers, CONTEXT).is_none(), "{carriers}");
        }
    }

    #[test]
    fn a_small_body_spreads_over_the_whole_picture() {
        let layout = Layout::new(100 * TILE_MAX, CONTEXT).unwrap();
        let places: [Place; SLOTS] = Default::default();
        let plan = Plan {
            layout,
            places: [&places[0], &places[1]],
            order: &[3; 32],
        };
        let mut shares = Vec::new();

        plan.for_each_share(800, |share| shares.push(share.bits.clone()));

        assert_eq!(shares.len(), 100);
        assert!(
            shares.iter().all(|bits| (7..=9).contains(&bits.len())),
            "{shares:?}"
        );
        assert_eq!(
            shares.iter().map(ExactSizeIterator::len).sum::<usize>(),
            800
        );
        assert!(shares.windows(2).all(|two| two[0].end == two[1].start));
    }

    #[test]
    fn two_keys_lay_a_body_out_differently() {
        let layout = Layout::new(5000, CONTEXT).unwrap();
        let places: [Place; SLOTS] = Default::default();
        let positions = |order: &[u8; 32]| {
            let mut positions = Vec::new();
            let plan = Plan {
                layout,
                places: [&places[0], &places[1]],
                order,
            };
            plan.for_each_share(400, |mut share| {
                positions.extend(share.bits.clone().map(|_| share.draw().0));
            });
            positions
        };

        let (one, other) = (positions(&[1; 32]), positions(&[2; 32]));

        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < 20, "{same} of 400 at the same place");
    }

    #[test]
    fn room_and_need_agree() {
        for bytes in [0, 1, 7, 1000, 4_000_000u64] {
            let carriers = usize::try_from(carriers_for(bytes)).unwrap();

            assert_eq!(room_in(free_in(carriers)), Some(bytes as usize));
            assert!(room_in(free_in(carriers - 1)).is_none_or(|room| room < bytes as usize));
        }
    }
}
