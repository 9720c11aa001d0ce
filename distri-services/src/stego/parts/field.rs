//! Polynomials over the field of 256 elements: any k of their values give all others.
//!
//! The i-th bytes of k rows are the values, at k points, of one polynomial of a degree below k. Its
//! value at any other point is a sum of theirs, each times a factor that depends on the points alone
//! (Lagrange), so a row is computed at once. This is a Reed-Solomon code for rows that are lost, and
//! known to be lost; rows that are wrong are others' business.

/// x⁸ + x⁴ + x³ + x² + 1, of which x generates all elements but zero.
const POLYNOMIAL: u16 = 0x11D;

/// Powers of x, twice over, and the exponent of each element but zero.
const TABLES: ([u8; 510], [u8; 256]) = tables();

const fn tables() -> ([u8; 510], [u8; 256]) {
    let (mut powers, mut exponents) = ([0; 510], [0; 256]);
    let (mut element, mut exponent) = (1u16, 0);
    while exponent < 255 {
        powers[exponent] = element as u8;
        powers[exponent + 255] = element as u8;
        exponents[element as usize] = exponent as u8;
        element <<= 1;
        if element > 255 {
            element ^= POLYNOMIAL;
        }
        exponent += 1;
    }
    (powers, exponents)
}

fn times(a: u8, b: u8) -> u8 {
    let (powers, exponents) = &TABLES;
    if a == 0 || b == 0 {
        return 0;
    }
    powers[usize::from(exponents[usize::from(a)]) + usize::from(exponents[usize::from(b)])]
}

/// `b` is not zero.
fn over(a: u8, b: u8) -> u8 {
    let (powers, exponents) = &TABLES;
    if a == 0 {
        return 0;
    }
    powers[255 + usize::from(exponents[usize::from(a)]) - usize::from(exponents[usize::from(b)])]
}

/// The row at a point, from as many rows as the polynomial has coefficients. Their points differ and
/// their lengths do not.
pub(super) fn row_at(point: u8, known: &[(u8, &[u8])]) -> Vec<u8> {
    let mut row = vec![0; known.first().map_or(0, |(_, row)| row.len())];
    for (i, (own, bytes)) in known.iter().enumerate() {
        let others = known.iter().enumerate().filter(|(j, _)| *j != i);
        // Differences are sums here.
        let factor = others.fold(1, |factor, (_, (other, _))| {
            over(times(factor, point ^ other), own ^ other)
        });
        if factor == 0 {
            continue;
        }
        let products: [u8; 256] = std::array::from_fn(|byte| times(factor, byte as u8));
        for (sum, byte) in row.iter_mut().zip(*bytes) {
            *sum ^= products[usize::from(*byte)];
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_those_of_a_field() {
        for a in 0..=255u8 {
            assert_eq!(times(a, 1), a);
            for b in 1..=255u8 {
                assert_eq!(times(over(a, b), b), a);
                assert_eq!(times(a, b), times(b, a));
                // Distributes, with one more element that depends on both.
                let c = a.wrapping_mul(7) ^ b;
                assert_eq!(times(a, b ^ c), times(a, b) ^ times(a, c));
            }
        }
    }

    #[test]
    fn rows_at_known_points_are_themselves() {
        let rows: [&[u8]; 3] = [b"one", b"two", b"six"];
        let known = [(4, rows[0]), (0, rows[1]), (255, rows[2])];

        for (point, row) in known {
            assert_eq!(row_at(point, &known), row);
        }
    }
}
