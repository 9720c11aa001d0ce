//! The stream by which the page learns what changed (server-sent events).
//!
//! Each message carries the cursor after which the next ones come, so a page that was away goes on
//! where it was: `GET api/events?after=CURSOR`.

use std::{fmt::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use distri::{
    Code, Error, Result,
    http::{Body, Request, Response},
};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::{
    person::{Events, Person},
    query,
};

/// Pages that may listen at once. A browser keeps six connections to one place, so one with more
/// pages open shows the others late.
pub(super) const STREAMS_MAX: usize = 16;

/// How often a page is told that there is nothing new: often enough for it to notice within half a
/// minute that the program has ended or the machine slept.
const STILL_HERE: Duration = Duration::from_secs(10);

/// How long after an error the person is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// Begins a stream.
pub(super) fn stream<P: Person>(
    person: &Arc<P>,
    streams: &Arc<Semaphore>,
    request: &Request,
) -> Result<Response> {
    let Ok(place) = streams.clone().try_acquire_owned() else {
        return Err(Error::new(Code::Busy, "too many pages are open"));
    };
    let after = query::value(request.query().unwrap_or_default(), "after");
    let mut cursor = after.map(String::from);
    let person = person.clone();
    let (send, pieces) = mpsc::channel(4);
    tokio::spawn(async move {
        let _place = place;
        loop {
            let piece = tokio::select! {
                biased;
                () = send.closed() => return,
                events = person.events(cursor.clone()) => match events {
                    Ok(events) => {
                        let piece = message(&events);
                        cursor = Some(events.cursor);
                        piece
                    }
                    Err(_) => {
                        tokio::time::sleep(AGAIN).await;
                        ": the person cannot be asked\n\n".to_owned()
                    }
                },
                () = tokio::time::sleep(STILL_HERE) => ": still here\n\n".to_owned(),
            };
            if send.send(Bytes::from(piece)).await.is_err() {
                return;
            }
        }
    });
    Ok(Response::new(200).body("text/event-stream", Body::Pieces(pieces)))
}

/// One message for all of these: the page looks again once, however many there are.
fn message(events: &Events) -> String {
    // A cursor with a line break would begin another field.
    let cursor: String = events.cursor.chars().filter(|c| !c.is_control()).collect();
    let mut text = String::new();
    // Writing to a string does not fail. JSON has no line breaks of its own here.
    let _ = write!(text, "id: {cursor}\ndata: {}\n\n", json!(events.events));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::person::{Event, Topic};

    #[test]
    fn a_message_has_its_cursor_and_cannot_be_broken_out_of() {
        let events = Events {
            cursor: "12\nevent: x".to_owned(),
            events: vec![Event {
                topic: Topic::Inbox,
                text: "ben\n\ndata: asks".to_owned(),
            }],
        };

        let message = message(&events);

        assert_eq!(
            message,
            "id: 12event: x\ndata: [{\"topic\":\"inbox\",\"text\":\"ben\\n\\ndata: asks\"}]\n\n"
        );
    }
}
