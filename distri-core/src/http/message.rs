//! [`Request`] and [`Response`], as sites see them.

use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use hyper::{
    body::{Body as _, Frame, Incoming, SizeHint},
    header::{HeaderName, HeaderValue},
};
use tokio::sync::mpsc;

/// What somebody asks for. Its path and headers are as they were sent: bytes from a stranger.
#[derive(Debug)]
pub struct Request {
    head: hyper::http::request::Parts,
    body: Incoming,
    stall: Duration,
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is longer than may be read. Nothing of it is kept.
    #[error("the body has more than {max} bytes")]
    TooLarge {
        /// How many would have been read.
        max: usize,
    },
    /// The caller sends no more of it.
    #[error("nothing more of the body came in {waited:?}")]
    Stalled {
        /// How long was waited.
        waited: Duration,
    },
    /// The connection broke, or what came is not a body.
    #[error("the body could not be read")]
    Broken(#[source] hyper::Error),
}

impl Request {
    pub(super) fn new(request: hyper::Request<Incoming>, stall: Duration) -> Self {
        let (head, body) = request.into_parts();
        Self { head, body, stall }
    }

    /// `GET`, `POST` and so on.
    pub fn method(&self) -> &str {
        self.head.method.as_str()
    }

    /// The path, beginning with `/`, not decoded.
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// What stands after the `?`, not decoded.
    pub fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    /// The value of the header `name`. None if there is no such header, if there is more than one,
    /// or if it is not visible ASCII: where something is decided by a header, it must be told once
    /// and clearly.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.headers.get_all(name).iter();
        let value = values.next()?;
        match values.next() {
            Some(_) => None,
            None => value.to_str().ok(),
        }
    }

    /// True if there is a header `name`, whatever it says.
    pub fn has_header(&self, name: &str) -> bool {
        self.head.headers.contains_key(name)
    }

    /// Reads the body, of which no more than `max` bytes are ever held.
    ///
    /// # Errors
    /// [`BodyError`].
    ///
    /// # Cancel safety
    /// What was read is lost, and the connection with it.
    pub async fn body(self, max: usize) -> Result<Bytes, BodyError> {
        let Self {
            mut body, stall, ..
        } = self;
        let told = body.size_hint().lower();
        if told > max as u64 {
            return Err(BodyError::TooLarge { max });
        }
        let mut read = BytesMut::new();
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = match tokio::time::timeout(stall, frame).await {
                Ok(Some(frame)) => frame.map_err(BodyError::Broken)?,
                Ok(None) => return Ok(read.freeze()),
                Err(_) => return Err(BodyError::Stalled { waited: stall }),
            };
            // Trailers say nothing that anybody asked for.
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            if read.len() + bytes.len() > max {
                return Err(BodyError::TooLarge { max });
            }
            read.extend_from_slice(&bytes);
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

impl Response {
    /// An answer without a body. A `status` that HTTP does not know is sent as 500.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Whole(Bytes::new()),
        }
    }

    /// An answer that people can read.
    pub fn text(status: u16, text: impl Into<Bytes>) -> Self {
        Self::new(status).body("text/plain; charset=utf-8", Body::Whole(text.into()))
    }

    /// Gives it a body of the type `kind`.
    #[must_use]
    pub fn body(mut self, kind: &str, body: Body) -> Self {
        self.body = body;
        self.with("content-type", kind)
    }

    /// Adds a header. A value that cannot stand in one is left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn into_hyper(self) -> hyper::Response<Body> {
        let mut response = hyper::Response::new(self.body);
        *response.status_mut() = hyper::StatusCode::from_u16(self.status)
            .unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// The body of an answer.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// Piece by piece, until the sender is dropped. It is dropped when the caller leaves.
    Pieces(mpsc::Receiver<Bytes>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pieces(pieces) => pieces
                .poll_recv(cx)
                .map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_) => SizeHint::new(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Pieces(_) => f.write_str("pieces"),
        }
    }
}
