//! Many path costs at a time: the few operations that the trellis is made of.
//!
//! [`Portable`] spells them out in plain code, for every processor; on x86-64 with AVX2 or AVX-512,
//! found at run time, `pulp` gives the instructions by the same names, safely. All give the same
//! bytes, which a test holds them to.

use super::HEIGHT_MAX;

/// Half of the states of the highest code.
const STATES: usize = 1 << (HEIGHT_MAX - 1);

/// Path costs of half of the states. 255 stands for everything that is as dear or dearer.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Half(pub(super) [u8; STATES]);

/// Marks of so many vectors share one.
pub(super) const GROUP: usize = 8;

/// What a processor does with vectors.
pub(super) trait Lanes: Copy {
    /// Path costs of so many consecutive states are in a vector.
    const LANES: usize;
    /// A vector at hand.
    type V: Copy;
    /// A way to swap lanes.
    type Swap: Copy;

    /// The vector with this number.
    fn load(self, from: &Half, number: usize) -> Self::V;
    fn store(self, to: &mut Half, number: usize, a: Self::V);
    /// Puts marks into the group with this number.
    fn save(self, marks: &mut [u8], group: usize, a: Self::V);
    fn splat(self, byte: u8) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// Adds; what exceeds 255 is 255.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// Subtracts, but 255 stays: what was out of reach comes no nearer.
    fn lower(self, a: Self::V, by: Self::V) -> Self::V;
    /// Adds `bit` to `marks`, which do not have it, where `a` and `b` differ.
    fn mark(self, marks: Self::V, a: Self::V, b: Self::V, bit: Self::V) -> Self::V;
    /// Each lane doubled.
    fn double(self, a: Self::V) -> Self::V;
    /// Lane i takes what lane i ^ `with` has.
    fn swap(self, with: usize) -> Self::Swap;
    fn permute(self, swap: Self::Swap, a: Self::V) -> Self::V;
    /// Of `a` and then `b`, the odd or the even lanes.
    fn alternate(self, a: Self::V, b: Self::V, odd: bool) -> Self::V;
    /// The least of all lanes.
    fn least(self, a: Self::V) -> u8;
}

/// Plain code.
#[derive(Clone, Copy)]
pub(super) struct Portable;

/// As many as the smaller of the processors' vectors.
const PLAIN: usize = 32;

impl Portable {
    #[inline(always)]
    fn each(f: impl Fn(usize) -> u8) -> [u8; PLAIN] {
        std::array::from_fn(f)
    }
}

impl Lanes for Portable {
    const LANES: usize = PLAIN;
    type V = [u8; PLAIN];
    type Swap = usize;

    #[inline(always)]
    fn load(self, from: &Half, number: usize) -> Self::V {
        from.0.as_chunks().0[number % (STATES / PLAIN)]
    }

    #[inline(always)]
    fn store(self, to: &mut Half, number: usize, a: Self::V) {
        to.0.as_chunks_mut().0[number % (STATES / PLAIN)] = a;
    }

    #[inline(always)]
    fn save(self, marks: &mut [u8], group: usize, a: Self::V) {
        marks.as_chunks_mut().0[group] = a;
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> Self::V {
        [byte; PLAIN]
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        Self::each(|i| a[i].min(b[i]))
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        Self::each(|i| a[i].saturating_add(b[i]))
    }

    #[inline(always)]
    fn lower(self, a: Self::V, by: Self::V) -> Self::V {
        Self::each(|i| {
            if a[i] == u8::MAX {
                a[i]
            } else {
                a[i].saturating_sub(by[i])
            }
        })
    }

    #[inline(always)]
    fn mark(self, marks: Self::V, a: Self::V, b: Self::V, bit: Self::V) -> Self::V {
        Self::each(|i| marks[i] | if a[i] == b[i] { 0 } else { bit[i] })
    }

    #[inline(always)]
    fn double(self, a: Self::V) -> Self::V {
        Self::each(|i| a[i].wrapping_add(a[i]))
    }

    #[inline(always)]
    fn swap(self, with: usize) -> Self::Swap {
        with % PLAIN
    }

    #[inline(always)]
    fn permute(self, swap: Self::Swap, mut a: Self::V) -> Self::V {
        // Constant distances become shuffles where there are any.
        macro_rules! swap_by {
            ($($distance:literal)*) => {$(
                if swap & $distance != 0 {
                    a = Self::each(|i| a[i ^ $distance]);
                }
            )*};
        }
        swap_by!(1 2 4 8 16);
        a
    }

    #[inline(always)]
    fn alternate(self, a: Self::V, b: Self::V, odd: bool) -> Self::V {
        const HALF: usize = PLAIN / 2;
        let odd = usize::from(odd);
        Self::each(|i| {
            if i < HALF {
                a[2 * i + odd]
            } else {
                b[2 * (i - HALF) + odd]
            }
        })
    }

    #[inline(always)]
    fn least(self, a: Self::V) -> u8 {
        a.into_iter().fold(u8::MAX, u8::min)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use core::arch::x86_64::__m256i;

    use pulp::{cast, x86::V3};

    use super::{Half, Lanes, STATES};

    const LANES: usize = 32;

    /// Swaps fours of lanes anywhere, then lanes among four.
    #[derive(Clone, Copy)]
    pub(crate) struct Swap {
        fours: __m256i,
        within: __m256i,
    }

    impl Lanes for V3 {
        const LANES: usize = LANES;
        type V = __m256i;
        type Swap = Swap;

        #[inline(always)]
        fn load(self, from: &Half, number: usize) -> Self::V {
            cast(from.0.as_chunks::<LANES>().0[number % (STATES / LANES)])
        }

        #[inline(always)]
        fn store(self, to: &mut Half, number: usize, a: Self::V) {
            to.0.as_chunks_mut::<LANES>().0[number % (STATES / LANES)] = cast(a);
        }

        #[inline(always)]
        fn save(self, marks: &mut [u8], group: usize, a: Self::V) {
            marks.as_chunks_mut::<LANES>().0[group] = cast(a);
        }

        #[inline(always)]
        fn splat(self, byte: u8) -> Self::V {
            cast([byte; LANES])
        }

        #[inline(always)]
        fn min(self, a: Self::V, b: Self::V) -> Self::V {
            self.avx2._mm256_min_epu8(a, b)
        }

        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            self.avx2._mm256_adds_epu8(a, b)
        }

        #[inline(always)]
        fn lower(self, a: Self::V, by: Self::V) -> Self::V {
            let out_of_reach = self.avx2._mm256_cmpeq_epi8(a, Lanes::splat(self, u8::MAX));
            let lowered = self.avx2._mm256_subs_epu8(a, by);
            self.avx2._mm256_or_si256(out_of_reach, lowered)
        }

        #[inline(always)]
        fn mark(self, marks: Self::V, a: Self::V, b: Self::V, bit: Self::V) -> Self::V {
            let equal = self.avx2._mm256_cmpeq_epi8(a, b);
            let marked = self.avx2._mm256_andnot_si256(equal, bit);
            self.avx2._mm256_or_si256(marks, marked)
        }

        #[inline(always)]
        fn double(self, a: Self::V) -> Self::V {
            self.avx2._mm256_add_epi8(a, a)
        }

        #[inline(always)]
        fn swap(self, with: usize) -> Self::Swap {
            const FOURS: [u32; LANES / 4] = [0, 1, 2, 3, 4, 5, 6, 7];
            const WITHIN: [u8; LANES] = {
                let (mut lanes, mut i) = ([0; LANES], 0);
                while i < LANES {
                    // Shuffles stay within sixteen.
                    lanes[i] = (i % 16) as u8;
                    i += 1;
                }
                lanes
            };
            let fours: __m256i = cast([(with / 4 % 8) as u32; LANES / 4]);
            let within = Lanes::splat(self, (with % 4) as u8);
            Swap {
                fours: self.avx2._mm256_xor_si256(cast(FOURS), fours),
                within: self.avx2._mm256_xor_si256(cast(WITHIN), within),
            }
        }

        #[inline(always)]
        fn permute(self, swap: Self::Swap, a: Self::V) -> Self::V {
            let a = self.avx2._mm256_permutevar8x32_epi32(a, swap.fours);
            self.avx2._mm256_shuffle_epi8(a, swap.within)
        }

        #[inline(always)]
        fn alternate(self, a: Self::V, b: Self::V, odd: bool) -> Self::V {
            // Packing works in each half by itself; this puts the quarters back in order.
            const QUARTERS: i32 = 0b11_01_10_00;
            let (a, b) = if odd {
                let high = |a| self.avx2._mm256_srli_epi16::<8>(a);
                (high(a), high(b))
            } else {
                let mask: __m256i = cast([u8::MAX as u16; LANES / 2]);
                let low = |a| self.avx2._mm256_and_si256(a, mask);
                (low(a), low(b))
            };
            let packed = self.avx2._mm256_packus_epi16(a, b);
            self.avx2._mm256_permute4x64_epi64::<QUARTERS>(packed)
        }

        #[inline(always)]
        fn least(self, a: Self::V) -> u8 {
            let lanes: [u8; LANES] = cast(a);
            lanes.into_iter().fold(u8::MAX, u8::min)
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::__m512i;

    use pulp::{cast, x86::V4};

    use super::{Half, Lanes, STATES};

    const LANES: usize = 64;

    /// Swaps eights of lanes anywhere, then lanes among eight.
    #[derive(Clone, Copy)]
    pub(crate) struct Swap {
        eights: __m512i,
        within: __m512i,
    }

    impl Lanes for V4 {
        const LANES: usize = LANES;
        type V = __m512i;
        type Swap = Swap;

        #[inline(always)]
        fn load(self, from: &Half, number: usize) -> Self::V {
            cast(from.0.as_chunks::<LANES>().0[number % (STATES / LANES)])
        }

        #[inline(always)]
        fn store(self, to: &mut Half, number: usize, a: Self::V) {
            to.0.as_chunks_mut::<LANES>().0[number % (STATES / LANES)] = cast(a);
        }

        #[inline(always)]
        fn save(self, marks: &mut [u8], group: usize, a: Self::V) {
            marks.as_chunks_mut::<LANES>().0[group] = cast(a);
        }

        #[inline(always)]
        fn splat(self, byte: u8) -> Self::V {
            cast([byte; LANES])
        }

        #[inline(always)]
        fn min(self, a: Self::V, b: Self::V) -> Self::V {
            self.avx512bw._mm512_min_epu8(a, b)
        }

        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            self.avx512bw._mm512_adds_epu8(a, b)
        }

        #[inline(always)]
        fn lower(self, a: Self::V, by: Self::V) -> Self::V {
            let bw = self.avx512bw;
            let in_reach = bw._mm512_cmpneq_epu8_mask(a, Lanes::splat(self, u8::MAX));
            bw._mm512_mask_subs_epu8(a, in_reach, a, by)
        }

        #[inline(always)]
        fn mark(self, marks: Self::V, a: Self::V, b: Self::V, bit: Self::V) -> Self::V {
            let differ = self.avx512bw._mm512_cmpneq_epu8_mask(a, b);
            self.avx512bw
                ._mm512_mask_add_epi8(marks, differ, marks, bit)
        }

        #[inline(always)]
        fn double(self, a: Self::V) -> Self::V {
            self.avx512bw._mm512_add_epi8(a, a)
        }

        #[inline(always)]
        fn swap(self, with: usize) -> Self::Swap {
            const EIGHTS: [u64; LANES / 8] = [0, 1, 2, 3, 4, 5, 6, 7];
            const WITHIN: [u8; LANES] = {
                let (mut lanes, mut i) = ([0; LANES], 0);
                while i < LANES {
                    // Shuffles stay within sixteen.
                    lanes[i] = (i % 16) as u8;
                    i += 1;
                }
                lanes
            };
            let eights: __m512i = cast([(with / 8 % 8) as u64; LANES / 8]);
            let within = Lanes::splat(self, (with % 8) as u8);
            Swap {
                eights: self.avx512f._mm512_xor_si512(cast(EIGHTS), eights),
                within: self.avx512f._mm512_xor_si512(cast(WITHIN), within),
            }
        }

        #[inline(always)]
        fn permute(self, swap: Self::Swap, a: Self::V) -> Self::V {
            let a = self.avx512f._mm512_permutexvar_epi64(swap.eights, a);
            self.avx512bw._mm512_shuffle_epi8(a, swap.within)
        }

        #[inline(always)]
        fn alternate(self, a: Self::V, b: Self::V, odd: bool) -> Self::V {
            // Packing works in each quarter by itself; this puts the eighths back in order.
            const EIGHTHS: [u64; LANES / 8] = [0, 2, 4, 6, 1, 3, 5, 7];
            let (a, b) = if odd {
                let high = |a| self.avx512bw._mm512_srli_epi16::<8>(a);
                (high(a), high(b))
            } else {
                let mask: __m512i = cast([u8::MAX as u16; LANES / 2]);
                let low = |a| self.avx512f._mm512_and_si512(a, mask);
                (low(a), low(b))
            };
            let packed = self.avx512bw._mm512_packus_epi16(a, b);
            self.avx512f._mm512_permutexvar_epi64(cast(EIGHTHS), packed)
        }

        #[inline(always)]
        fn least(self, a: Self::V) -> u8 {
            let lanes: [u8; LANES] = cast(a);
            lanes.into_iter().fold(u8::MAX, u8::min)
        }
    }
}
