//! Turns requests of the page into calls of the [`Person`].
//!
//! What changes something is a POST with a JSON body; what reads is a GET and changes nothing. Pictures
//! come as files of known kinds. Whoever gets here was let in.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use data_encoding::BASE64;
use distri::{
    Code, Error, Result,
    http::{Body, BodyError, Request, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    events,
    person::{
        Ask, CatalogQuery, Decision, Draft, Extension, Id, Person, Picture, PictureKind, Preview,
        Publication, View, Visibility,
    },
    query,
};

/// Bytes of a JSON body. A note and a few ids are far less.
const JSON_MAX: usize = 64 << 10;

/// Bytes of an image that is published: what the services take too.
const FILE_MAX: usize = 64 << 20;

/// Images that are read from the browser at once. Each may take [`FILE_MAX`].
const PUBLISHING_MAX: usize = 2;

/// Offers on one page of the catalogue, unless fewer are asked for.
const PAGE_MAX: usize = 60;

/// What the page asks of a person.
pub(super) struct Api<P> {
    person: Arc<P>,
    publishing: Semaphore,
    streams: Arc<Semaphore>,
}

impl<P: Person> Api<P> {
    pub(super) fn new(person: Arc<P>) -> Self {
        Self {
            person,
            publishing: Semaphore::new(PUBLISHING_MAX),
            streams: Arc::new(Semaphore::new(events::STREAMS_MAX)),
        }
    }

    /// Answers a request to `path`, which stands below `/api/`.
    pub(super) async fn answer(&self, path: &str, request: Request) -> Response {
        let (verb, about) = path.split_once('/').unwrap_or((path, ""));
        let wanted = match (verb, about) {
            ("me" | "catalog" | "inbox" | "grants" | "events", "")
            | ("preview" | "cover" | "audit", _) => "GET",
            ("publish" | "request" | "decide" | "view" | "extend" | "revoke", "") => "POST",
            _ => return refusal(&Error::new(Code::NotFound, "nothing is served here")),
        };
        if request.method() != wanted {
            return Response::text(405, format!("only {wanted}\n")).with("allow", wanted);
        }
        let answer = match verb {
            "me" => self.person.me().await.map(json),
            "catalog" => self.catalog(&request).await,
            "inbox" => self.person.inbox().await.map(json),
            "grants" => self.person.grants().await.map(json),
            "events" => events::stream(&self.person, &self.streams, &request),
            "preview" => picture(about, |image| self.person.preview(image)).await,
            "cover" => picture(about, |grant| self.person.cover(grant)).await,
            "audit" => self.audit(about).await,
            "publish" => self.publish(request).await,
            "request" => {
                self.done(request, |ask: Ask| self.person.request(ask))
                    .await
            }
            "decide" => {
                let decide = |decision: Decision| self.person.decide(decision);
                self.done(request, decide).await
            }
            "extend" => {
                let extend = |terms: Extension| self.person.extend(terms);
                self.done(request, extend).await
            }
            "revoke" => {
                let revoke = |which: Which| self.person.revoke(which.grant);
                self.done(request, revoke).await
            }
            _ => self.view(request).await,
        };
        answer.unwrap_or_else(|error| refusal(&error))
    }

    async fn catalog(&self, request: &Request) -> Result<Response> {
        let query = request.query().unwrap_or_default();
        let text = |name| query::value(query, name).map(String::from);
        let limit = text("limit").and_then(|limit| limit.parse().ok());
        let asked = CatalogQuery {
            text: text("text").unwrap_or_default(),
            after: text("after"),
            limit: limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX),
        };
        self.person.catalog(asked).await.map(json)
    }

    async fn audit(&self, about: &str) -> Result<Response> {
        self.person.audit(id(about)?).await.map(json)
    }

    /// `?dry=1` says what would become public; without it, it does.
    async fn publish(&self, request: Request) -> Result<Response> {
        let query = request.query().unwrap_or_default().to_owned();
        let text = |name| query::value(&query, name).map(String::from);
        let (title, is_rehearsal) = (text("title").unwrap_or_default(), text("dry").is_some());
        let preview: Preview = choice(text("preview"))?;
        let visibility: Visibility = choice(text("visibility"))?;
        // One that is never closed.
        let _place = self.publishing.acquire().await;
        let file = request.body(FILE_MAX).await.map_err(unread)?;
        let draft = Draft {
            title,
            preview,
            visibility,
            file,
        };
        let told = if is_rehearsal {
            self.person.rehearse(draft).await?
        } else {
            self.person.publish(draft).await?
        };
        Ok(json(publication(&told)))
    }

    async fn view(&self, request: Request) -> Result<Response> {
        let Look { grant, attempt } = read(request).await?;
        match self.person.view(grant, attempt).await? {
            View::Shown {
                picture,
                number,
                of,
            } => {
                let told = json!({ "number": number, "of": of });
                Ok(file(picture).with("x-stego-view", told.to_string()))
            }
            View::Over(state) => Ok(json_with(200, json!({ "over": state }))),
        }
    }

    /// Does what a body asks for, of which nothing is told but that it is done.
    async fn done<B: DeserializeOwned, F>(
        &self,
        request: Request,
        act: impl FnOnce(B) -> F,
    ) -> Result<Response>
    where
        F: Future<Output = Result<()>>,
    {
        act(read(request).await?).await?;
        Ok(Response::new(204))
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    grant: Id,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    grant: Id,
    attempt: Id,
}

async fn picture<F>(about: &str, ask: impl FnOnce(Id) -> F) -> Result<Response>
where
    F: Future<Output = Result<Picture>>,
{
    ask(id(about)?).await.map(file)
}

fn id(text: &str) -> Result<Id> {
    Id::new(text).map_err(|error| Error::new(Code::NotFound, error.to_string()))
}

/// One of few words, or the default where there is none.
fn choice<T: DeserializeOwned + Default>(word: Option<String>) -> Result<T> {
    let Some(word) = word else {
        return Ok(T::default());
    };
    serde_json::from_value(Value::String(word)).map_err(|error| invalid(&error))
}

/// Reads a JSON body. Forms cannot send this type.
async fn read<T: DeserializeOwned>(request: Request) -> Result<T> {
    let kind = request.header("content-type").unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let message = "the body's type is not application/json";
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let body = request.body(JSON_MAX).await.map_err(unread)?;
    serde_json::from_slice(&body).map_err(|error| invalid(&error))
}

fn invalid(error: &serde_json::Error) -> Error {
    Error::new(Code::InvalidArgument, error.to_string())
}

fn unread(error: BodyError) -> Error {
    let code = match error {
        BodyError::TooLarge { .. } => Code::TooLarge,
        _ => Code::InvalidArgument,
    };
    Error::new(code, error.to_string())
}

fn publication(told: &Publication) -> Value {
    let picture = told.preview_picture.as_ref().map(
        |picture| json!({ "kind": kind(picture.kind), "base64": BASE64.encode(&picture.bytes) }),
    );
    json!({
        "image": told.image,
        "title": told.title,
        "owner": told.owner,
        "format": told.format,
        "width": told.width,
        "height": told.height,
        "bytes": told.bytes,
        "visibility": told.visibility,
        "preview": told.preview,
        "preview_picture": picture,
        "left_out": told.left_out,
    })
}

fn kind(kind: PictureKind) -> &'static str {
    match kind {
        PictureKind::Png => "image/png",
        PictureKind::Jpeg => "image/jpeg",
        PictureKind::WebP => "image/webp",
    }
}

fn file(picture: Picture) -> Response {
    Response::new(200).body(kind(picture.kind), Body::Whole(picture.bytes))
}

fn json(value: impl Serialize) -> Response {
    match serde_json::to_value(value) {
        Ok(value) => json_with(200, value),
        Err(error) => refusal(&Error::new(Code::Internal, error.to_string())),
    }
}

fn json_with(status: u16, value: Value) -> Response {
    let text = Bytes::from(value.to_string());
    Response::new(status).body("application/json", Body::Whole(text))
}

/// An error, as the page shows it.
pub(super) fn refusal(error: &Error) -> Response {
    let status = match error.code() {
        Code::InvalidArgument => 422,
        Code::NotFound => 404,
        // Not 403, which says that the browser is not let in.
        Code::Denied | Code::AlreadyExists | Code::FailedPrecondition => 409,
        Code::TooLarge => 413,
        Code::Busy => 429,
        Code::Unavailable | Code::DeadlineExceeded | Code::UnknownOutcome => 503,
        _ => 500,
    };
    json_with(
        status,
        json!({ "error": { "code": error.code(), "message": error.message() } }),
    )
}
