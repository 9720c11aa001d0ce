//! How people, pictures and grants are told: in words, and as JSON.
//!
//! Whatever others wrote is cleaned before it is printed: a title cannot draw on the terminal, nor
//! turn the direction of what stands beside it.

use distri_services::images::{
    media::{NOTE_MAX, TITLE_MAX, clean_text},
    person::{CatalogEntry, Grant, GrantSide, State, Waiting, Who},
    record::{Offer, Visibility},
};
use serde_json::{Value, json};

use super::{
    moment::{self, NEVER},
    name,
};
use crate::show;

/// A title, fit to be printed.
pub(crate) fn title(text: &str) -> String {
    clean_text(text, TITLE_MAX)
}

/// A note, fit to be printed.
pub(crate) fn note(text: &str) -> String {
    clean_text(text, NOTE_MAX)
}

/// `2 views`.
pub(crate) fn views(count: u32) -> String {
    format!("{count} view{}", show::plural(count.into()))
}

/// The word for a state, in text and in JSON.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Requested => "requested",
        State::Rejected => "rejected",
        State::Approved => "approved",
        State::Active => "active",
        State::Exhausted => "exhausted",
        State::Expired => "expired",
        State::Revoked => "revoked",
    }
}

/// Nothing can be looked at any more, as things stand.
pub(crate) fn is_over(state: State) -> bool {
    match state {
        State::Requested | State::Approved | State::Active => false,
        State::Rejected | State::Exhausted | State::Expired | State::Revoked => true,
    }
}

/// Why there is nothing left to see.
pub(crate) fn end(grant: &Grant, state: State) -> String {
    let owner = match grant.side {
        GrantSide::Viewer => grant.other.handle.to_string(),
        GrantSide::Owner => "you".to_owned(),
    };
    match state {
        State::Exhausted if grant.views == 1 => "the one view is used".to_owned(),
        State::Exhausted => format!("all {} views are used", grant.views),
        State::Expired => match grant.expires_ms {
            Some(ms) if ms != NEVER => format!("the time is over since {}", moment::at(ms)),
            _ => "the time is over".to_owned(),
        },
        State::Revoked => format!("{owner} took the grant back"),
        State::Rejected => match grant.why.as_deref().map(note) {
            Some(why) if !why.is_empty() => format!("{owner} said no: {why}"),
            _ => format!("{owner} said no"),
        },
        State::Requested => format!("{owner} has not answered yet"),
        State::Approved | State::Active => "it goes on".to_owned(),
    }
}

/// Views that are left: none of a grant that is over, however many were used.
pub(crate) fn left(grant: &Grant) -> u32 {
    if is_over(grant.state) {
        return 0;
    }
    grant.views.saturating_sub(grant.used)
}

/// What is typed for a grant.
pub(crate) fn name_of(grant: &Grant) -> String {
    name::of(&grant.other, &grant.title, &grant.request.to_string())
}

/// Milliseconds since 1970; `null` of what has no end.
pub(crate) fn expiry(expires_ms: Option<u64>) -> Value {
    match expires_ms {
        Some(ms) if ms != NEVER => ms.into(),
        _ => Value::Null,
    }
}

pub(crate) fn who_json(who: &Who) -> Value {
    json!({ "handle": who.handle.as_str(), "key": who.key.to_string() })
}

pub(crate) fn visibility(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Public => "public",
        Visibility::Unlisted => "unlisted",
    }
}

/// All that becomes public of a picture but its owner.
pub(crate) fn offer_json(offer: &Offer) -> Value {
    json!({
        "title": title(&offer.title),
        "format": offer.format,
        "width": offer.width,
        "height": offer.height,
        "bytes": offer.bytes,
        "preview": offer.preview.kind(),
        "preview_bytes": offer.preview.file().map_or(0, <[u8]>::len),
        "visibility": visibility(offer.visibility),
    })
}

pub(crate) fn entry_json(entry: &CatalogEntry, is_mine: bool) -> Value {
    let id = entry.image.to_string();
    let mut value = offer_json(&entry.offer);
    if let Some(fields) = value.as_object_mut() {
        let name = name::of(&entry.owner, &entry.offer.title, &id);
        fields.insert("name".to_owned(), name.into());
        fields.insert("image".to_owned(), id.into());
        fields.insert("owner".to_owned(), who_json(&entry.owner));
        fields.insert("mine".to_owned(), is_mine.into());
    }
    value
}

pub(crate) fn waiting_json(waiting: &Waiting) -> Value {
    let id = waiting.request.to_string();
    json!({
        "request": id,
        "name": name::of(&waiting.from, &waiting.title, &id),
        "from": who_json(&waiting.from),
        "image": waiting.image.to_string(),
        "title": title(&waiting.title),
        "views": waiting.views,
        "note": note(&waiting.note),
        "at_ms": waiting.at_ms,
    })
}

pub(crate) fn grant_json(grant: &Grant) -> Value {
    json!({
        "grant": grant.request.to_string(),
        "name": name_of(grant),
        "side": match grant.side {
            GrantSide::Viewer => "viewer",
            GrantSide::Owner => "owner",
        },
        "other": who_json(&grant.other),
        "image": grant.image.to_string(),
        "title": title(&grant.title),
        "state": state(grant.state),
        "asked": grant.asked,
        "views": grant.views,
        "used": grant.used,
        "left": left(grant),
        "expires_ms": expiry(grant.expires_ms),
        "why": grant.why.as_deref().map(note),
    })
}
