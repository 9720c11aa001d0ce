//! Numbered tickets, in Roman numerals: each goes to one person, whichever node hands it out.
//!
//! Nodes must not hand out the same number, whatever goes wrong, which no test on one machine shows.
//! `tests/tickets.rs` lets clouds of this service crash, hang and fall apart in a simulation.

use distri::{Context, Error, Result, directory::CollectionSpec};

use crate::numeral;

const COLLECTION: &str = "ticket-offices";

/// Tickets of several offices.
#[derive(Debug, Default)]
pub struct Tickets;

/// How far an office has come.
#[distri::message]
#[derive(Clone, Debug, Default)]
struct Office {
    last: u32,
}

impl Tickets {
    fn collections(&self) -> Vec<CollectionSpec> {
        vec![CollectionSpec::new(COLLECTION)]
    }
}

#[distri::service(collections = Self::collections)]
impl Tickets {
    /// The next ticket of `office`.
    #[method(
        // One node serves an office. Without this line two nodes read the same number, both add one,
        // and two people hold the same ticket.
        placement = key(office),
        // One call at a time, for the same reason.
        concurrency = 1
    )]
    async fn draw(&self, cx: &Context, office: String) -> Result<String> {
        let offices = cx.directory().collection::<Office>(COLLECTION);
        let found = offices.get(&office).await?;
        let last = found.map_or(0, |office| office.value.last);
        if last >= numeral::LARGEST {
            return Err(Error::invalid_argument(format!("`{office}` is sold out")));
        }
        // Refused if another node serves the office by now.
        offices.put(&office, &Office { last: last + 1 }).await?;
        Ok(numeral::write(last + 1, false))
    }
}
