//! The lattices of a picture: which of its samples are decided together, and which of them see each other.
//!
//! Changes that go the way of those around them are harder to find (Li, Wang, Li, Tan, Huang: *A Strategy
//! of Clustering Modification Directions in Spatial Image Steganography*, IEEE TIFS 10, 2015; for colours
//! Tang, Li, Luo, Huang, IEEE SPL 23, 2016). So samples are decided in turns: each channel, green first, of
//! each of four *lattices* of every other pixel in every other row. No two samples of one turn are
//! neighbours, and each sees what was decided before around it and in its own pixel. Pure arithmetic.

use super::cover::Picture;

/// Pixels of which a picture must have as many for its samples to be decided in turns: each turn has a
/// sixteenth of a grey picture's samples at least, and with fewer the code loses more at its ends than
/// turns gain.
const PIXELS_MIN: usize = 160 * 160;

/// Turns of a picture with colours, which are the most there are.
pub(crate) const TURNS_MAX: usize = 12;

/// Green first, for it is most of the brightness.
const CHANNELS: [usize; 3] = [1, 0, 2];

/// A picture all of whose samples may carry, row by row, the colours of a pixel side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    width: usize,
    height: usize,
    channels: usize,
}

/// The samples that are decided in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The first row, of every other one.
    row: usize,
    /// The first pixel in it, of every other one.
    column: usize,
    pub(crate) channel: usize,
}

impl Grid {
    /// `None` if some samples do not carry, or they are too few.
    pub(crate) fn of(picture: &Picture, carriers: usize) -> Option<Self> {
        let grid = Self {
            width: picture.size.width as usize,
            height: picture.size.height as usize,
            channels: picture.pixels.colours(),
        };
        let pixels = grid.width * grid.height;
        (carriers == pixels * grid.channels && pixels >= PIXELS_MIN && grid.width > 1)
            .then_some(grid)
    }

    #[cfg(test)]
    pub(crate) fn new(width: usize, height: usize, channels: usize) -> Self {
        Self {
            width,
            height,
            channels,
        }
    }

    pub(crate) fn turns(&self) -> usize {
        4 * self.channels
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Carriers in a row.
    pub(crate) fn row(&self) -> usize {
        self.width * self.channels
    }

    /// Carriers from one of a turn to the next in its row.
    pub(crate) fn stride(&self) -> usize {
        2 * self.channels
    }

    pub(crate) fn turn(&self, number: usize) -> Turn {
        let lattice = number / self.channels;
        let channel = match self.channels {
            3 => CHANNELS[number % 3],
            _ => 0,
        };
        Turn {
            row: lattice / 2,
            column: lattice % 2,
            channel,
        }
    }

    /// The number of the turn in which the samples of a channel in a row and column of this parity are
    /// decided.
    pub(crate) fn number(&self, row: usize, column: usize, channel: usize) -> usize {
        let place = match self.channels {
            // The inverse of the order of channels is itself.
            3 => CHANNELS[channel],
            _ => 0,
        };
        (row % 2 * 2 + column % 2) * self.channels + place
    }

    /// The carriers of a turn, row by row: the first of each row, and how many it has.
    pub(crate) fn rows(&self, turn: Turn) -> impl Iterator<Item = (usize, usize)> {
        let (row, channels) = (self.row(), self.channels);
        let count = (self.width - turn.column).div_ceil(2);
        let first = turn.column * channels + turn.channel;
        (turn.row..self.height)
            .step_by(2)
            .map(move |y| (y * row + first, count))
    }

    /// Calls `each` with every sample that sees a carrier, and the number of its turn: the four around it,
    /// and the other colours of its pixel.
    pub(crate) fn around(&self, carrier: usize, mut each: impl FnMut(usize, usize)) {
        let row = self.row();
        let (y, along) = (carrier / row, carrier % row);
        let (x, channel) = (along / self.channels, along % self.channels);
        let beside = self.number(y, x + 1, channel);
        if x > 0 {
            each(carrier - self.channels, beside);
        }
        if x + 1 < self.width {
            each(carrier + self.channels, beside);
        }
        let above = self.number(y + 1, x, channel);
        if y > 0 {
            each(carrier - row, above);
        }
        if y + 1 < self.height {
            each(carrier + row, above);
        }
        for other in (0..self.channels).filter(|other| *other != channel) {
            each(carrier - channel + other, self.number(y, x, other));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_one_turn() {
        for (width, height, channels) in [(7, 5, 3), (8, 6, 3), (2, 1, 1), (9, 4, 1)] {
            let grid = Grid::new(width, height, channels);
            let mut times = vec![0; width * height * channels];

            for number in 0..grid.turns() {
                let turn = grid.turn(number);
                assert_eq!(grid.number(turn.row, turn.column, turn.channel), number);
                for (first, count) in grid.rows(turn) {
                    for i in 0..count {
                        times[first + i * grid.stride()] += 1;
                    }
                }
            }

            assert!(times.iter().all(|times| *times == 1), "{width} × {height}");
        }
    }

    #[test]
    fn nobody_sees_a_sample_of_the_same_turn_and_seeing_is_mutual() {
        let grid = Grid::new(6, 5, 3);
        let seen = |carrier: usize| {
            let mut seen = Vec::new();
            grid.around(carrier, |other, turn| seen.push((other, turn)));
            seen
        };
        let turn = |carrier: usize| {
            let (y, along) = (carrier / 18, carrier % 18);
            grid.number(y, along / 3, along % 3)
        };

        for carrier in 0..90 {
            for (other, number) in seen(carrier) {
                assert_eq!(number, turn(other));
                assert_ne!(number, turn(carrier));
                assert!(seen(other).iter().any(|(back, _)| *back == carrier));
            }
        }
        let middle = (2 * 6 + 3) * 3;
        assert_eq!(seen(middle).len(), 6);
    }
}
