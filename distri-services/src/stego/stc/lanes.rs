//! Thirty-two path costs at a time: the few operations that the trellis is made of.
//!
//! [`Portable`] spells them out in plain code, for every processor; on x86-64 with AVX2, found at
//! run time, `pulp` gives the instructions by the same names, safely. Both give the same bytes,
//! which a test holds them to.

/// Path costs in a [`Vector`].
pub(super) const LANES: usize = 32;

/// Path costs of consecutive states. 255 stands for everything that is as dear or dearer.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(super) struct Vector(pub(super) [u8; LANES]);

/// What a processor does with vectors.
pub(super) trait Lanes: Copy {
    /// A vector at hand.
    type V: Copy;

    fn load(self, vector: &Vector) -> Self::V;
    fn store(self, a: Self::V) -> Vector;
    fn splat(self, byte: u8) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// Adds; what exceeds 255 is 255.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// Subtracts, but 255 stays: what was out of reach comes no nearer.
    fn lower(self, a: Self::V, by: Self::V) -> Self::V;
    /// Adds `bit` to `marks` where `a` and `b` differ.
    fn mark(self, marks: Self::V, a: Self::V, b: Self::V, bit: Self::V) -> Self::V;
    /// Each lane doubled.
    fn double(self, a: Self::V) -> Self::V;
    /// Lane i takes what lane i ^ X had.
    fn permute<const X: usize>(self, a: Self::V) -> Self::V;
    /// Of `a` and then `b`, the odd or the even lanes.
    fn alternate(self, a: Self::V, b: Self::V, odd: bool) -> Self::V;
}

/// Plain code.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Portable {
    #[inline(always)]
    fn each(f: impl Fn(usize) -> u8) -> [u8; LANES] {
        std::array::from_fn(f)
    }
}

impl Lanes for Portable {
    type V = [u8; LANES];

    #[inline(always)]
    fn load(self, vector: &Vector) -> Self::V {
        vector.0
    }

    #[inline(always)]
    fn store(self, a: Self::V) -> Vector {
        Vector(a)
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> Self::V {
        [byte; LANES]
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
    fn permute<const X: usize>(self, a: Self::V) -> Self::V {
        Self::each(|i| a[i ^ X])
    }

    #[inline(always)]
    fn alternate(self, a: Self::V, b: Self::V, odd: bool) -> Self::V {
        const HALF: usize = LANES / 2;
        let odd = usize::from(odd);
        Self::each(|i| {
            if i < HALF {
                a[2 * i + odd]
            } else {
                b[2 * (i - HALF) + odd]
            }
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use core::arch::x86_64::__m256i;

    use pulp::{cast, x86::V3};

    use super::{LANES, Lanes, Vector};

    impl Lanes for V3 {
        type V = __m256i;

        #[inline(always)]
        fn load(self, vector: &Vector) -> Self::V {
            cast(vector.0)
        }

        #[inline(always)]
        fn store(self, a: Self::V) -> Vector {
            Vector(cast(a))
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
            let out_of_reach = self.avx2._mm256_cmpeq_epi8(a, self.splat(u8::MAX));
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
        fn permute<const X: usize>(self, a: Self::V) -> Self::V {
            const SWAP_HALVES: i32 = 0b01_00_11_10;
            const HALF: usize = LANES / 2;
            let within: [u8; LANES] = std::array::from_fn(|i| ((i % HALF) ^ (X % HALF)) as u8);
            let a = if X & HALF == 0 {
                a
            } else {
                self.avx2._mm256_permute4x64_epi64::<SWAP_HALVES>(a)
            };
            if X.is_multiple_of(HALF) {
                a
            } else {
                self.avx2._mm256_shuffle_epi8(a, cast(within))
            }
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
    }
}
