//! [`Person`]: what a person can see and do, for the page to show and to ask for.
//!
//! It says nothing of how: a peer in a cloud is a person, and so are a few pictures in memory. Ids are
//! the person's own words for things; the page only gives them back.

use std::{fmt, future::Future};

use bytes::Bytes;
use distri::Result;
use serde::{Deserialize, Serialize};

/// Characters of an [`Id`], at most.
const ID_MAX: usize = 200;

/// What a person can see and do.
///
/// Errors are told to the person as they are: the code decides how, the message is shown.
pub trait Person: Send + Sync + 'static {
    /// Who this is.
    fn me(&self) -> impl Future<Output = Result<Me>> + Send;

    /// What is offered, by others and by the person.
    fn catalog(&self, query: CatalogQuery) -> impl Future<Output = Result<CatalogPage>> + Send;

    /// What may be seen of an image without a grant; an error with the code `NotFound` if nothing may.
    fn preview(&self, image: Id) -> impl Future<Output = Result<Picture>> + Send;

    /// Says what [`Person::publish`] would make public, and changes nothing.
    fn rehearse(&self, draft: Draft) -> impl Future<Output = Result<Publication>> + Send;

    /// Offers an image. Returns what became public.
    fn publish(&self, draft: Draft) -> impl Future<Output = Result<Publication>> + Send;

    /// Asks an owner for views.
    fn request(&self, ask: Ask) -> impl Future<Output = Result<()>> + Send;

    /// Requests to the person that wait for a decision, oldest first.
    fn inbox(&self) -> impl Future<Output = Result<Vec<Waiting>>> + Send;

    /// Decides a request to the person.
    fn decide(&self, decision: Decision) -> impl Future<Output = Result<()>> + Send;

    /// What the person asked for and was granted, and what the person granted; latest first.
    fn grants(&self) -> impl Future<Output = Result<Grants>> + Send;

    /// Looks: spends a view, if there is one. The same `attempt` again spends nothing more, and gives
    /// the same view.
    fn view(&self, grant: Id, attempt: Id) -> impl Future<Output = Result<View>> + Send;

    /// The picture in which the granted one is hidden, which anyone may see.
    fn cover(&self, grant: Id) -> impl Future<Output = Result<Picture>> + Send;

    /// Gives more views or more time to somebody, or less.
    fn extend(&self, terms: Extension) -> impl Future<Output = Result<()>> + Send;

    /// Takes a grant back.
    fn revoke(&self, grant: Id) -> impl Future<Output = Result<()>> + Send;

    /// Who looked when, and what else was done with a grant; oldest first.
    fn audit(&self, grant: Id) -> impl Future<Output = Result<Vec<Entry>>> + Send;

    /// Waits for events after `cursor` and gives them, oldest first; `None` asks for the cursor of now,
    /// and is answered at once with no events. A cursor that is not known any more is answered with
    /// one event of [`Topic::All`].
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    fn events(&self, cursor: Option<String>) -> impl Future<Output = Result<Events>> + Send;
}

/// What a person calls a thing: 1 to 200 letters, digits, `-`, `_`, `.`, `:` and `~`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

/// A text that is not an [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 200 letters, digits, `-`, `_`, `.`, `:` and `~`")]
pub struct NotAnId;

impl Id {
    /// Takes a text.
    ///
    /// # Errors
    /// [`NotAnId`].
    pub fn new(text: impl Into<String>) -> std::result::Result<Self, NotAnId> {
        let text = text.into();
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.:~".contains(&c);
        if (1..=ID_MAX).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text))
        } else {
            Err(NotAnId)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = NotAnId;

    fn try_from(text: String) -> std::result::Result<Self, NotAnId> {
        Self::new(text)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person as others know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Who {
    /// What they call themselves.
    pub handle: String,
    /// Their key, which nobody else has.
    pub key: String,
}

/// Who the page belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Me {
    /// The person.
    #[serde(flatten)]
    pub who: Who,
    /// The cloud is reached now.
    pub online: bool,
}

/// Which offers are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogQuery {
    /// Words in titles and handles; empty for all.
    pub text: String,
    /// Where the page before ended.
    pub after: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// Some of the offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogPage {
    /// These.
    pub offers: Vec<Offer>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// An image that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// Which.
    pub image: Id,
    /// What its owner calls it.
    pub title: String,
    /// Whose it is.
    pub owner: Who,
    /// It is the person's own.
    pub mine: bool,
    /// Its owner is there now.
    pub owner_online: bool,
    /// What can be seen of it beforehand.
    pub preview: Preview,
    /// `JPEG`, `PNG`.
    pub format: String,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// About how large the file is.
    pub bytes: u64,
    /// How the person stands with it, if they asked for it.
    pub state: Option<State>,
}

/// What can be seen of an image without a grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preview {
    /// Nothing.
    None,
    /// Colours without shapes.
    #[default]
    Blur,
    /// A small picture of it.
    Thumbnail,
}

/// Who finds an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// Everybody in the cloud.
    #[default]
    Public,
    /// Those who are told its id.
    Unlisted,
}

/// An image file that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its format.
    pub kind: PictureKind,
    /// The file.
    pub bytes: Bytes,
}

/// Formats that every browser shows, and that carry no script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    WebP,
}

/// An image that somebody wants to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What to call it; empty if the person did not say.
    pub title: String,
    /// What shall be seen of it.
    pub preview: Preview,
    /// Who shall find it.
    pub visibility: Visibility,
    /// The file, as it is on their disk.
    pub file: Bytes,
}

/// What becomes public of an image, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its id, once it is published.
    pub image: Option<Id>,
    /// What it is called.
    pub title: String,
    /// Whose it is.
    pub owner: Who,
    /// `JPEG`, `PNG`.
    pub format: String,
    /// Pixels in a row, the right way up.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The size that is told, about that of the file.
    pub bytes: u64,
    /// Who finds it.
    pub visibility: Visibility,
    /// What is seen of it.
    pub preview: Preview,
    /// The preview itself.
    pub preview_picture: Option<Picture>,
    /// What was in the file and does not leave: places, times, names of cameras.
    pub left_out: Vec<String>,
}

/// A wish to see an image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Which.
    pub image: Id,
    /// How often.
    pub views: u32,
    /// A word to its owner.
    #[serde(default)]
    pub note: String,
}

/// Somebody else's wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Which request.
    pub request: Id,
    /// Whose.
    pub from: Who,
    /// For which image of the person.
    pub image: Id,
    /// What that is called.
    pub title: String,
    /// How often.
    pub views: u32,
    /// A word.
    pub note: String,
    /// When it was sent; milliseconds since 1970.
    pub at_ms: u64,
}

/// What a person decides.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Which request.
    pub request: Id,
    /// The answer.
    pub answer: Answer,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// Yes; the views may be fewer than were asked for.
    Approve {
        /// How often.
        views: u32,
        /// Until when; milliseconds since 1970.
        expires_ms: u64,
    },
    /// No.
    Reject {
        /// Why, if the person says.
        #[serde(default)]
        why: String,
    },
}

/// All grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// What others let the person see, and what the person asked for.
    pub mine: Vec<Grant>,
    /// What the person lets others see.
    pub given: Vec<Grant>,
}

/// A grant, or a request that may become one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// Which.
    pub grant: Id,
    /// For which image.
    pub image: Id,
    /// What that is called.
    pub title: String,
    /// Who else it is about: the owner of what is the person's, the viewer of what is given.
    pub other: Who,
    /// How it stands.
    pub state: State,
    /// How often was asked for.
    pub asked: u32,
    /// How often is granted.
    pub views: u32,
    /// How often was looked.
    pub used: u32,
    /// Until when, if there is an end; milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Why it was rejected, if that was said.
    pub why: Option<String>,
    /// Bytes that have arrived, and bytes in all, while it is delivered.
    pub delivered: Option<(u64, u64)>,
}

/// How a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was asked for.
    Requested,
    /// It was refused.
    Rejected,
    /// It was granted, and the image is on its way.
    Delivering,
    /// There are views left.
    Active,
    /// There is none left.
    Exhausted,
    /// Its time is over.
    Expired,
    /// Its owner took it back.
    Revoked,
}

/// What comes of looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The picture, to be shown and forgotten.
    Shown {
        /// It.
        picture: Picture,
        /// Which view this is, from 1.
        number: u32,
        /// Of how many.
        of: u32,
    },
    /// Nothing is left; the cover is all there is to see.
    Over(State),
}

/// New terms of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Which grant.
    pub grant: Id,
    /// How often in all, those that are spent included.
    pub views: u32,
    /// Until when; milliseconds since 1970.
    pub expires_ms: u64,
}

/// Something that was done with a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When; milliseconds since 1970.
    pub at_ms: u64,
    /// Who did it.
    pub who: Who,
    /// What, in words: `looked (1 of 3)`.
    pub what: String,
    /// It was refused.
    pub refused: bool,
    /// What proves it, if anything does: the hash of a signed record.
    pub proof: Option<String>,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// What to ask with for what comes after these.
    pub cursor: String,
    /// These.
    pub events: Vec<Event>,
}

/// A change that the person may want to know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What to look at again.
    pub topic: Topic,
    /// What happened, in a sentence for the person; empty if it is not worth one.
    pub text: String,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// What is offered.
    Catalog,
    /// Requests to the person.
    Inbox,
    /// Grants, either way.
    Grants,
    /// Who the person is, and whether the cloud is reached.
    Me,
    /// Anything.
    All,
}
