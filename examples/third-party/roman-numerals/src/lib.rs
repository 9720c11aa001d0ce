//! Roman numerals as a distri service: a crate as a stranger would publish it.
//!
//! It depends on `distri` and nothing else, and shows what most services need beyond a method:
//!
//! - an interface apart from its implementation ([`RomanNumerals`] and [`Scribe`]), so that other
//!   programs can depend on the interface alone and tests can put a mock behind it;
//! - configuration of its own, from `[services.roman-numerals]` ([`Settings`]);
//! - an error that arrives typed ([`NumeralError`]);
//! - a method that gives one item after another ([`RomanNumerals::count`]);
//! - state that all nodes share, where no two may do the same ([`Tickets`]), tried in a simulation.
//!
//! A program that offers the service names this crate once, in `distri::main!(roman_numerals);`:
//! see `examples/third-party/program`.
//!
//! In Rust one calls it through the client that the macro wrote:
//!
//! ```
//! # async fn example(client: distri::Client) -> distri::Result<()> {
//! use roman_numerals::{NumeralError, RomanNumeralsClient};
//!
//! let numerals = RomanNumeralsClient::new(client);
//! assert_eq!(numerals.write(2026).await?, "MMXXVI");
//!
//! let error = numerals.read("IC".into()).await.unwrap_err();
//! assert_eq!(error.details(), Some(NumeralError::NotANumeral { text: "IC".into() }));
//! # Ok(())
//! # }
//! ```

use std::fmt;

use distri::{Code, Error, NodeHandle, Result, ServiceError, Stream};

mod numeral;
mod tickets;

pub use tickets::{Tickets, TicketsClient};

/// Roman numerals, written, read and counted.
#[distri::service]
pub trait RomanNumerals {
    /// Writes `number` as a numeral.
    #[method(idempotent)]
    async fn write(&self, number: u32) -> Result<String, NumeralError>;

    /// Reads a numeral.
    #[method(idempotent)]
    async fn read(&self, numeral: String) -> Result<u32, NumeralError>;

    /// Counts from `first` upwards, one numeral after another.
    async fn count(&self, first: u32, how_many: u32) -> Result<Stream<Counted>, NumeralError>;
}

/// One step of [`RomanNumerals::count`].
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The number.
    pub number: u32,
    /// How it is written.
    pub numeral: String,
}

/// Why a numeral cannot be had. It crosses the link as it is: [`Error::details`] gives it back.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumeralError {
    /// The number has no numeral, or a larger one than the operator allows.
    OutOfRange {
        /// The number.
        number: u32,
        /// The largest that is allowed.
        largest: u32,
    },
    /// The text is no numeral as it is usually written.
    NotANumeral {
        /// The text.
        text: String,
    },
}

impl fmt::Display for NumeralError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { number, largest } => {
                write!(
                    f,
                    "{number} has no numeral: expected a number from 1 to {largest}"
                )
            }
            Self::NotANumeral { text } => write!(f, "`{text}` is no numeral"),
        }
    }
}

impl std::error::Error for NumeralError {}

impl ServiceError for NumeralError {
    fn code(&self) -> Code {
        Code::InvalidArgument
    }
}

/// `[services.roman-numerals]` in `distri.toml`. Keys that are not here are refused, and a value
/// that does not fit is refused with its line.
#[distri::message]
#[derive(Clone, Debug)]
#[serde(default)]
pub struct Settings {
    /// The largest number that is written, at most 3999. Default 3999.
    pub largest: u32,
    /// Write IIII for IV and VIIII for IX, as clocks do. Default false.
    pub additive: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            largest: numeral::LARGEST,
            additive: false,
        }
    }
}

/// The implementation that registers itself: a program that links this crate offers it.
#[derive(Debug)]
pub struct Scribe {
    settings: Settings,
}

impl Scribe {
    /// Starts the service on a node, with what the operator has configured.
    ///
    /// # Errors
    /// If `largest` is beyond what numerals can express; the node then refuses to start.
    pub async fn open(_node: &NodeHandle, settings: Settings) -> Result<Self> {
        if !(1..=numeral::LARGEST).contains(&settings.largest) {
            return Err(Error::invalid_argument(format!(
                "services.roman-numerals.largest is {}, expected 1 to {}",
                settings.largest,
                numeral::LARGEST
            )));
        }
        Ok(Self { settings })
    }

    fn numeral(&self, number: u32) -> Result<String, NumeralError> {
        let largest = self.settings.largest;
        if number == 0 || number > largest {
            return Err(NumeralError::OutOfRange { number, largest });
        }
        Ok(numeral::write(number, self.settings.additive))
    }
}

#[distri::service(init = Scribe::open)]
impl RomanNumerals for Scribe {
    async fn write(&self, number: u32) -> Result<String, NumeralError> {
        self.numeral(number)
    }

    async fn read(&self, numeral: String) -> Result<u32, NumeralError> {
        numeral::read(&numeral).ok_or(NumeralError::NotANumeral { text: numeral })
    }

    async fn count(&self, first: u32, how_many: u32) -> Result<Stream<Counted>, NumeralError> {
        // Refused as a whole rather than after half of it.
        let end = first.saturating_add(how_many);
        if how_many > 0 {
            self.numeral(first)?;
            self.numeral(end - 1)?;
        }
        let additive = self.settings.additive;
        // Numerals are written as the caller reads them, not before.
        let steps = (first..end).map(move |number| Counted {
            number,
            numeral: numeral::write(number, additive),
        });
        Ok(Stream::from_items(steps))
    }
}
