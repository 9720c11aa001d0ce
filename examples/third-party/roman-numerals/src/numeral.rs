//! The arithmetic, which knows nothing of services.

/// MMMCMXCIX; there is no sign for five thousand.
pub(crate) const LARGEST: u32 = 3999;

const SIGNS: [(u32, &str); 13] = [
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

/// Writes a number from 1 to [`LARGEST`]; without subtraction (IIII for IV) if `additive`.
pub(crate) fn write(mut number: u32, additive: bool) -> String {
    let mut numeral = String::new();
    for (value, sign) in SIGNS
        .into_iter()
        .filter(|(_, sign)| !additive || sign.len() == 1)
    {
        while number >= value {
            numeral.push_str(sign);
            number -= value;
        }
    }
    numeral
}

/// Reads a numeral in either spelling, in capitals or not; `None` for anything that [`write`] would
/// write differently.
pub(crate) fn read(text: &str) -> Option<u32> {
    let text = text.to_ascii_uppercase();
    let mut rest = text.as_str();
    let mut number = 0_u32;
    while !rest.is_empty() {
        let (value, after) = SIGNS
            .into_iter()
            .find_map(|(value, sign)| rest.strip_prefix(sign).map(|after| (value, after)))?;
        number = number
            .checked_add(value)
            .filter(|number| *number <= LARGEST)?;
        rest = after;
    }
    let is_usual = number > 0 && (write(number, false) == text || write(number, true) == text);
    is_usual.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_survives_its_numeral() {
        for number in 1..=LARGEST {
            for additive in [false, true] {
                assert_eq!(read(&write(number, additive)), Some(number));
            }
        }
    }

    #[test]
    fn the_usual_numerals_are_written() {
        assert_eq!(write(2026, false), "MMXXVI");
        assert_eq!(write(1999, false), "MCMXCIX");
        assert_eq!(write(4, true), "IIII");
    }

    #[test]
    fn what_nobody_would_write_is_not_read() {
        for text in ["", "IC", "IIX", "VX", "IM", "ABC", "MMMM", "IIIII", "Ⅳ"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
