//! What happened, as a person is told, and what of the page to look at again.

use distri::{Code, Error, Result};
use distri_services::{
    images::person::{Grant, GrantSide, Person, PersonEvent, State, Told},
    permissions::RequestId,
};

use super::super::person::{Event, Events, Topic};

/// Waits for events after `cursor`, a number of the run `run`.
pub(super) async fn events(person: &Person, run: &str, cursor: Option<String>) -> Result<Events> {
    let log = person.log();
    let at = |number: u64| format!("{run}.{number}");
    let Some(cursor) = cursor else {
        return Ok(Events {
            cursor: at(log.cursor()),
            events: Vec::new(),
        });
    };
    let number = cursor
        .strip_prefix(run)
        .and_then(|rest| rest.strip_prefix('.'));
    let Some(number) = number else {
        // Of an earlier run.
        return Ok(look_at_all(at(log.cursor())));
    };
    let number = number
        .parse()
        .map_err(|_| Error::new(Code::InvalidArgument, "this is no cursor"))?;
    match log.after(number).await {
        Told::Forgotten { cursor } => Ok(look_at_all(at(cursor))),
        Told::Events { cursor, events } => Ok(Events {
            cursor: at(cursor),
            events: told(person, events).await?,
        }),
    }
}

fn look_at_all(cursor: String) -> Events {
    let event = Event {
        topic: Topic::All,
        text: String::new(),
    };
    Events {
        cursor,
        events: vec![event],
    }
}

async fn told(person: &Person, events: Vec<PersonEvent>) -> Result<Vec<Event>> {
    let grants = person.known_grants().await?;
    let mut told: Vec<Event> = Vec::new();
    for event in &events {
        let event = Event {
            topic: topic(event),
            text: sentence(event, &grants).unwrap_or_default(),
        };
        // Many changes of one kind are looked at once.
        if !(event.text.is_empty() && told.contains(&event)) {
            told.push(event);
        }
    }
    Ok(told)
}

fn topic(event: &PersonEvent) -> Topic {
    match event {
        PersonEvent::Requested { .. } => Topic::Inbox,
        PersonEvent::Decided { .. }
        | PersonEvent::Delivered { .. }
        | PersonEvent::Delivering { .. }
        | PersonEvent::Looked { .. }
        | PersonEvent::Viewed { .. }
        | PersonEvent::Ended { .. }
        | PersonEvent::FalseAudit { .. }
        | PersonEvent::Changed { .. } => Topic::Grants,
        PersonEvent::Catalog => Topic::Catalog,
        PersonEvent::CloudLost => Topic::Me,
        _ => Topic::All,
    }
}

/// What is worth a sentence.
fn sentence(event: &PersonEvent, grants: &[Grant]) -> Option<String> {
    let about = |request: &RequestId| grants.iter().find(|grant| grant.request == *request);
    Some(match event {
        PersonEvent::Requested { request } => {
            let Grant {
                other,
                asked,
                title,
                ..
            } = about(request)?;
            let views = plural(*asked, "view");
            format!("{} asks for {views} of “{title}”.", other.handle)
        }
        PersonEvent::Decided { request } => {
            let Grant {
                other,
                views,
                asked,
                title,
                state,
                ..
            } = about(request)?;
            let other = &other.handle;
            match state {
                State::Rejected => format!("{other} says no to “{title}”."),
                _ if views < asked => {
                    let times = times(*views);
                    format!("{other} lets you look at “{title}” {times}, not {asked}.")
                }
                _ => format!("{other} lets you look at “{title}” {}.", times(*views)),
            }
        }
        PersonEvent::Delivered { request } => {
            format!(
                "“{}” has arrived. Looking uses a view.",
                about(request)?.title
            )
        }
        PersonEvent::Viewed {
            request, view, of, ..
        } => {
            let grant = about(request).filter(|grant| grant.side == GrantSide::Owner)?;
            let (other, title) = (&grant.other.handle, &grant.title);
            format!("{other} looked at “{title}”: {view} of {of}.")
        }
        PersonEvent::Changed { request } => {
            let grant = about(request).filter(|grant| grant.side == GrantSide::Viewer)?;
            let (other, title) = (&grant.other.handle, &grant.title);
            format!("{other} has changed how you may look at “{title}”.")
        }
        PersonEvent::Ended { request, state } => {
            let Grant { side, title, .. } = about(request)?;
            match (side, state) {
                // The one who did it knows, and who looked last.
                (GrantSide::Owner, State::Revoked) | (_, State::Exhausted) => return None,
                (_, State::Revoked) => format!("“{title}” was taken back."),
                _ => format!("The time of “{title}” is over."),
            }
        }
        PersonEvent::FalseAudit { request, what } => {
            let title = &about(request)?.title;
            format!("The cloud tells something false of “{title}”: {what}.")
        }
        PersonEvent::LetterRefused { why, .. } => format!("A letter was not taken: {why}."),
        PersonEvent::LetterUnread { why } => format!("A letter could not be read: {why}."),
        PersonEvent::Failed { why } => format!("Something could not be done: {why}."),
        PersonEvent::CloudLost => "The cloud is not reached. What you do is done later.".into(),
        PersonEvent::CloudBack => "The cloud is reached again.".into(),
        _ => return None,
    })
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{count} times"),
    }
}

fn plural(count: u32, word: &str) -> String {
    if count == 1 {
        format!("1 {word}")
    } else {
        format!("{count} {word}s")
    }
}
