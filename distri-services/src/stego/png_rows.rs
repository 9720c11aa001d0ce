//! Rows of a PNG: in which order they stand in the file, and filtered as a file has them (PNG, third edition,
//! sections 7 to 9).

use super::{cover::Picture, error::Size};

/// How a row differs from what its neighbours let expect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Filter {
    #[default]
    None,
    Left,
    Up,
    Average,
    Paeth,
}

impl Filter {
    pub(crate) const ALL: [Self; 5] =
        [Self::None, Self::Left, Self::Up, Self::Average, Self::Paeth];

    /// The filter that a row begins with.
    pub(crate) fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// What stands in the file for `row`, below `above`, of pixels of so many bytes.
    fn apply(self, row: &[u8], above: &[u8], pixel: usize, out: &mut Vec<u8>) {
        out.push(self as u8);
        let (first, rest) = row.split_at(pixel.min(row.len()));
        let (above_first, above_rest) = above.split_at(first.len());
        // Nothing is left of the first pixel.
        out.extend(first.iter().zip(above_first).map(|(x, up)| {
            x.wrapping_sub(match self {
                Self::None | Self::Left => 0,
                Self::Up | Self::Paeth => *up,
                Self::Average => up / 2,
            })
        }));
        let left = row;
        match self {
            Self::None => out.extend_from_slice(rest),
            Self::Left => out.extend(rest.iter().zip(left).map(|(x, left)| x.wrapping_sub(*left))),
            Self::Up => out.extend(
                rest.iter()
                    .zip(above_rest)
                    .map(|(x, up)| x.wrapping_sub(*up)),
            ),
            Self::Average => {
                let around = left.iter().zip(above_rest);
                out.extend(rest.iter().zip(around).map(|(x, (left, up))| {
                    x.wrapping_sub(((u16::from(*left) + u16::from(*up)) / 2) as u8)
                }));
            }
            Self::Paeth => {
                let around = left.iter().zip(above_rest).zip(above);
                out.extend(
                    rest.iter().zip(around).map(|(x, ((left, up), corner))| {
                        x.wrapping_sub(paeth(*left, *up, *corner))
                    }),
                );
            }
        }
    }
}

/// Which of left, above and the corner between is nearest to left + above - corner.
fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(corner));
    let (by_left, by_up, by_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if by_left <= by_up && by_left <= by_corner {
        left
    } else if by_up <= by_corner {
        up
    } else {
        corner
    }
}

/// Where the pixels of one pass begin and how far they are apart, across and down.
#[derive(Clone, Copy)]
struct Pass {
    start: (usize, usize),
    step: (usize, usize),
}

/// Adam7.
const PASSES: [Pass; 7] = {
    const fn pass(x: usize, y: usize, across: usize, down: usize) -> Pass {
        Pass {
            start: (x, y),
            step: (across, down),
        }
    }
    [
        pass(0, 0, 8, 8),
        pass(4, 0, 8, 8),
        pass(0, 4, 4, 8),
        pass(2, 0, 4, 4),
        pass(0, 2, 2, 4),
        pass(1, 0, 2, 2),
        pass(0, 1, 1, 2),
    ]
};

const WHOLE: [Pass; 1] = [Pass {
    start: (0, 0),
    step: (1, 1),
}];

fn passes(interlaced: bool) -> &'static [Pass] {
    if interlaced { &PASSES } else { &WHOLE }
}

impl Pass {
    /// Pixels in a row, and rows. Passes without pixels have no rows.
    fn size(self, size: Size) -> (usize, usize) {
        let count = |side: u32, start: usize, step: usize| {
            (side as usize).saturating_sub(start).div_ceil(step)
        };
        let columns = count(size.width, self.start.0, self.step.0);
        let rows = count(size.height, self.start.1, self.step.1);
        if columns == 0 {
            (0, 0)
        } else {
            (columns, rows)
        }
    }
}

/// Bytes of each row in the order of a file, without the filter, of pixels of so many bits.
pub(crate) fn row_lengths(
    size: Size,
    bits: usize,
    interlaced: bool,
) -> impl Iterator<Item = usize> {
    passes(interlaced).iter().flat_map(move |pass| {
        let (columns, rows) = pass.size(size);
        std::iter::repeat_n((columns * bits).div_ceil(8), rows)
    })
}

/// How each row is filtered.
pub(crate) enum Filters<'a> {
    /// As these are, in the order of rows; spread over as many rows as there are.
    Given(&'a [Filter]),
    /// By the smallest sum of differences, as libpng has it.
    Smallest,
}

/// Gives `take` each row of `picture` as a file has it.
pub(crate) fn write(
    picture: &Picture,
    interlaced: bool,
    filters: &Filters<'_>,
    take: &mut dyn FnMut(&[u8]),
) {
    let pixel = picture.pixels.pixel_bytes();
    let whole = picture.size.width as usize * pixel;
    let all = passes(interlaced)
        .iter()
        .map(|pass| pass.size(picture.size).1);
    let all: usize = all.sum();
    let (mut number, mut filtered, mut other) = (0, Vec::new(), Vec::new());
    for pass in passes(interlaced) {
        let (columns, rows) = pass.size(picture.size);
        let mut above = vec![0; columns * pixel];
        let mut row = vec![0; columns * pixel];
        for y in 0..rows {
            let source = &picture.data[(pass.start.1 + y * pass.step.1) * whole..][..whole];
            if pass.step.0 == 1 {
                row.copy_from_slice(source);
            } else {
                let pixels = source.chunks_exact(pixel).skip(pass.start.0);
                for (to, from) in row.chunks_exact_mut(pixel).zip(pixels.step_by(pass.step.0)) {
                    to.copy_from_slice(from);
                }
            }
            filtered.clear();
            match filters {
                Filters::Given(filters) => {
                    let place = if all == filters.len() {
                        number
                    } else {
                        number * filters.len() / all
                    };
                    let filter = filters.get(place).copied().unwrap_or_default();
                    filter.apply(&row, &above, pixel, &mut filtered);
                }
                Filters::Smallest => smallest(&row, &above, pixel, &mut filtered, &mut other),
            }
            take(&filtered);
            std::mem::swap(&mut above, &mut row);
            number += 1;
        }
    }
}

/// Filters a row in the way whose bytes, as differences, are smallest in sum.
fn smallest(row: &[u8], above: &[u8], pixel: usize, out: &mut Vec<u8>, other: &mut Vec<u8>) {
    let sum = |bytes: &[u8]| -> u64 {
        let small = bytes[1..]
            .iter()
            .map(|byte| u64::from((*byte).min(byte.wrapping_neg())));
        small.sum()
    };
    let mut best = u64::MAX;
    for filter in Filter::ALL {
        other.clear();
        filter.apply(row, above, pixel, other);
        let sum = sum(other);
        if sum < best {
            best = sum;
            std::mem::swap(out, other);
        }
    }
}
