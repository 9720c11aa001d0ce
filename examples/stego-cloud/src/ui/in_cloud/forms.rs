//! One form of things to the other: what the services say, as the page says it.

use std::str::FromStr;

use bytes::Bytes;
use distri::{Code, Error, Result, id::PublicKey};
use distri_services::{
    images::{
        media::{self, Format},
        person::{self, Audited, State as Standing},
        record,
    },
    permissions::{ImageId, RequestId},
};

use super::super::person::{
    Entry, Grant, Id, Picture, PictureKind, Preview, Publication, State, Visibility, Waiting, Who,
};

/// An image, as one finds it: whose, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub(super) owner: PublicKey,
    pub(super) image: ImageId,
}

/// The page's id of an image: `OWNER:IMAGE`.
pub(super) fn named(Named { owner, image }: Named) -> Result<Id> {
    id(format!("{owner}:{image}"))
}

/// Keys and ids are letters and digits, and short.
fn id(text: String) -> Result<Id> {
    Id::new(text).map_err(|error| Error::internal("an id has a form of its own", error))
}

pub(super) fn image_of(id: &Id) -> Result<Named> {
    let parts = id.as_str().split_once(':');
    let named = parts.and_then(|(owner, image)| {
        Some(Named {
            owner: owner.parse().ok()?,
            image: image.parse().ok()?,
        })
    });
    named.ok_or_else(|| Error::new(Code::NotFound, format!("there is no image {id}")))
}

/// A grant is called by the request that it answers.
pub(super) fn request_of(id: &Id) -> Result<RequestId> {
    RequestId::from_str(id.as_str())
        .map_err(|_| Error::new(Code::NotFound, format!("there is no request or grant {id}")))
}

pub(super) fn who(who: person::Who) -> Who {
    Who {
        handle: who.handle.to_string(),
        key: who.key.to_string(),
    }
}

pub(super) fn preview(kind: media::PreviewKind) -> Preview {
    match kind {
        media::PreviewKind::None => Preview::None,
        media::PreviewKind::Blur => Preview::Blur,
        media::PreviewKind::Thumbnail => Preview::Thumbnail,
    }
}

pub(super) fn preview_kind(preview: Preview) -> media::PreviewKind {
    match preview {
        Preview::None => media::PreviewKind::None,
        Preview::Blur => media::PreviewKind::Blur,
        Preview::Thumbnail => media::PreviewKind::Thumbnail,
    }
}

pub(super) fn listed(visibility: Visibility) -> record::Visibility {
    match visibility {
        Visibility::Public => record::Visibility::Public,
        Visibility::Unlisted => record::Visibility::Unlisted,
    }
}

pub(super) fn state(state: Standing) -> State {
    match state {
        Standing::Requested => State::Requested,
        Standing::Rejected => State::Rejected,
        Standing::Approved => State::Delivering,
        Standing::Active => State::Active,
        Standing::Exhausted => State::Exhausted,
        Standing::Expired => State::Expired,
        Standing::Revoked => State::Revoked,
    }
}

/// An image file as a browser is told of it.
pub(super) fn file(bytes: &[u8]) -> Result<Picture> {
    let kind = match Format::sniff(bytes) {
        Some(Format::Png) => PictureKind::Png,
        Some(Format::Jpeg) => PictureKind::Jpeg,
        Some(Format::WebP) => PictureKind::WebP,
        None => {
            let message = "what was hidden is no picture that a browser shows";
            return Err(Error::new(Code::DataLoss, message));
        }
    };
    Ok(Picture {
        kind,
        bytes: Bytes::copy_from_slice(bytes),
    })
}

pub(super) fn previewed(preview: &media::Preview) -> Option<Picture> {
    match preview {
        media::Preview::None => None,
        // Checked when the entry was read.
        media::Preview::Blur(bytes) | media::Preview::Thumbnail(bytes) => file(bytes).ok(),
    }
}

pub(super) fn publication(me: person::Who, draft: &person::Draft) -> Publication {
    let offer = &draft.offer;
    Publication {
        image: None,
        title: offer.title.clone(),
        owner: who(me),
        format: offer.format.to_string(),
        width: offer.width,
        height: offer.height,
        bytes: offer.bytes,
        visibility: match offer.visibility {
            record::Visibility::Public => Visibility::Public,
            record::Visibility::Unlisted => Visibility::Unlisted,
        },
        preview: preview(offer.preview.kind()),
        preview_picture: previewed(&offer.preview),
        left_out: draft
            .left_out
            .iter()
            .map(|what| sentence(&what.to_string()))
            .collect(),
    }
}

/// `the place` → `The place`.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

pub(super) fn waiting(me: PublicKey, waiting: person::Waiting) -> Result<Waiting> {
    Ok(Waiting {
        request: id(waiting.request.to_string())?,
        from: who(waiting.from),
        image: named(Named {
            owner: me,
            image: waiting.image,
        })?,
        title: waiting.title,
        views: waiting.views,
        note: waiting.note,
        at_ms: waiting.at_ms,
    })
}

pub(super) fn grant(me: PublicKey, grant: person::Grant) -> Result<Grant> {
    let owner = match grant.side {
        person::GrantSide::Viewer => grant.other.key,
        person::GrantSide::Owner => me,
    };
    Ok(Grant {
        grant: id(grant.request.to_string())?,
        image: named(Named {
            owner,
            image: grant.image,
        })?,
        title: grant.title,
        other: who(grant.other),
        state: state(grant.state),
        asked: grant.asked,
        views: grant.views,
        used: grant.used,
        expires_ms: grant.expires_ms.filter(|expires| *expires < FOR_EVER_MS),
        why: grant.why.filter(|why| !why.is_empty()),
        delivered: grant.delivery.map(|delivery| (delivery.done, delivery.of)),
    })
}

/// The last moment that a browser has a name for. What ends later has no end.
const FOR_EVER_MS: u64 = 8_640_000_000_000_000;

pub(super) fn entry(audited: Audited, owner: &Who, viewer: &Who) -> Entry {
    let who = match audited.who.as_str() {
        "owner" => owner.clone(),
        "viewer" => viewer.clone(),
        other => Who {
            handle: format!("the {other}"),
            key: String::new(),
        },
    };
    Entry {
        at_ms: audited.at_ms,
        who,
        what: audited.what,
        // The ledger keeps what was done.
        refused: false,
        proof: audited.proof,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_image_says_whose_it_is_and_comes_back() {
        let owner = distri::identity::Identity::from_seed(&[7; 32]).public();
        let image = ImageId::from_array([9; 16]);

        let id = named(Named { owner, image }).unwrap();

        assert_eq!(image_of(&id).unwrap(), Named { owner, image });
        for other in [
            "x",
            "x:y",
            ":",
            &owner.to_string(),
            &format!("{image}:{owner}"),
        ] {
            let error = image_of(&Id::new(other).unwrap()).unwrap_err();
            assert_eq!(error.code(), Code::NotFound, "{other}");
        }
    }
}
