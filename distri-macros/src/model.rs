//! A service as it passed all checks: what [`crate::expand`] writes code for.

use std::time::Duration;

use proc_macro2::{Ident, Span};
use syn::{Attribute, Path, Type, Visibility};

/// What callers see: the name, and the methods.
pub(crate) struct Interface {
    /// Name in the registry.
    pub(crate) name: String,
    pub(crate) version: u32,
    /// Doc comment, one line per line.
    pub(crate) docs: String,
    /// Name of the typed client.
    pub(crate) client: Ident,
    /// Who may use the client.
    pub(crate) visibility: Visibility,
    /// In the order written, which is their index in dispatch.
    pub(crate) methods: Vec<Method>,
}

/// One method that can be called.
pub(crate) struct Method {
    /// As the author wrote it.
    pub(crate) ident: Ident,
    /// Name on the wire.
    pub(crate) name: String,
    /// Doc comment and deprecation, for the client's method.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) docs: String,
    /// Takes `&Context` first.
    pub(crate) takes_context: bool,
    pub(crate) arguments: Vec<Argument>,
    /// `T` of the `Result<T, _>` that it returns.
    pub(crate) output: Type,
    /// Where the return type is written; complaints about the error type belong there.
    pub(crate) output_span: Span,
    pub(crate) client_streams: bool,
    pub(crate) server_streams: bool,
    pub(crate) access: Access,
    pub(crate) placement: Placement,
    pub(crate) idempotent: bool,
    pub(crate) once: bool,
    /// After how long another node is asked as well.
    pub(crate) hedge: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) concurrency: Option<u32>,
}

/// One argument that travels.
pub(crate) struct Argument {
    /// As the author wrote it.
    pub(crate) ident: Ident,
    /// Name on the wire.
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// Its doc comment.
    pub(crate) attributes: Vec<Attribute>,
}

/// Who may call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Access {
    #[default]
    Public,
    Authenticated,
    Member,
    Node,
    Role(String),
}

/// Who serves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Placement {
    #[default]
    Any,
    Leader,
    Every,
    /// The argument with this place in [`Method::arguments`].
    Key(usize),
}

/// What a node hosts: the type, and how an instance comes and goes.
pub(crate) struct Host {
    pub(crate) ty: Type,
    pub(crate) start: Start,
    /// An `async fn(&self)`, called when the node stops.
    pub(crate) stop: Option<Path>,
    /// A `fn(&self) -> Health`.
    pub(crate) health: Option<Path>,
    /// A `fn(&self) -> Vec<CollectionSpec>`.
    pub(crate) collections: Option<Path>,
}

/// How a node gets an instance.
pub(crate) enum Start {
    /// `Default`.
    Default,
    /// An `async fn(&NodeHandle, C) -> Result<Self, E>`.
    Init(Path),
    /// Only by hand: `register = false`.
    ByHand,
}

/// A method with a mistake: enough of it to keep its callers quiet.
pub(crate) struct BrokenMethod {
    pub(crate) ident: Ident,
    /// How many arguments a caller gives.
    pub(crate) arity: usize,
    /// The result as far as it can be told.
    pub(crate) output: Type,
}
