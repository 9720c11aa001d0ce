//! What a service offers: its name, its methods, their schemas and policies.
//!
//! A descriptor is built once per service, by generated code or by hand, and read by everything
//! else: dispatch, clients, help texts, the handshake in which two programs compare schema hashes.

use std::{fmt, time::Duration};

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{MethodId, SchemaHash};

/// How long a call may take when neither the method nor the caller says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether arguments or result carry a stream of items.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Shape {
    /// An argument is a `Stream<T>`.
    pub client_streams: bool,
    /// The result is a `Stream<T>`.
    pub server_streams: bool,
}

/// Who may call.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Access {
    /// Everybody whose link the node admits. The default.
    #[default]
    Public,
    /// Keys that the node's configuration lists, in any role.
    Authenticated,
    /// Members of the cloud: its nodes, and keys listed with the role `member`.
    Member,
    /// The cloud's own nodes only.
    Node,
    /// Keys that the configuration lists under this role; nodes too.
    Role(String),
}

/// Who serves a call.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Placement {
    /// The less loaded of two nodes that are ready. The default.
    #[default]
    Any,
    /// The service's elected leader.
    Leader,
    /// The same node for the same value of this argument, by rendezvous hashing over ready nodes; where
    /// nodes keep a directory, never two nodes at once.
    Key(String),
    /// All nodes; the results are gathered.
    Every,
}

/// One method of a service.
#[derive(Clone, Debug)]
pub struct MethodDescriptor {
    /// Name as written, `count`.
    pub name: String,
    /// Doc comment of the method.
    pub docs: String,
    /// Identity on the wire.
    pub id: MethodId,
    /// JSON Schema of the arguments: an object with one property per argument.
    pub arguments: Value,
    /// JSON Schema of the result.
    pub result: Value,
    /// Hash over both.
    pub schema_hash: SchemaHash,
    /// Which of the four shapes.
    pub shape: Shape,
    /// Who may call.
    pub access: Access,
    /// Who serves.
    pub placement: Placement,
    /// May be repeated on another node without harm.
    pub idempotent: bool,
    /// All its effects are writes through [`crate::Context::directory`], the same ones in the same
    /// order however often a call is served: it may be repeated on another node.
    pub once: bool,
    /// After how long without an answer a call is asked of a second node too, if the caller does not
    /// say: [`crate::client::Call::hedge`]. Only of methods that are `idempotent`.
    pub hedge: Option<Duration>,
    /// How long a call may take if the caller does not say; the caller may ask for less.
    pub timeout: Duration,
    /// How many calls one node serves at once; more are refused with `Busy`. `None` is no own bound.
    pub concurrency: Option<u32>,
}

/// A service: its name, version and methods.
#[derive(Clone, Debug)]
pub struct ServiceDescriptor {
    /// Name in the registry, on the wire and in `distri.toml`: kebab-case, `word-count`.
    pub name: String,
    /// Version of the interface, told to people; compatibility itself is decided by schema hashes.
    pub version: u32,
    /// Doc comment of the service.
    pub docs: String,
    /// Methods in the order written; a method's place is its index in dispatch.
    pub methods: Vec<MethodDescriptor>,
}

impl ServiceDescriptor {
    /// Starts a descriptor of the service `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: 1,
            docs: String::new(),
            methods: Vec::new(),
        }
    }

    /// Sets the version.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Sets the documentation.
    #[must_use]
    pub fn docs(mut self, docs: impl Into<String>) -> Self {
        self.docs = docs.into();
        self
    }

    /// Adds a method; the first added has index 0 in dispatch.
    #[must_use]
    pub fn method(mut self, mut method: MethodDescriptor) -> Self {
        method.id = method_id(&self.name, &method.name);
        self.methods.push(method);
        self
    }

    /// The method called `name`, with its index in dispatch.
    pub fn find(&self, name: &str) -> Option<(usize, &MethodDescriptor)> {
        self.methods
            .iter()
            .enumerate()
            .find(|(_, method)| method.name == name)
    }
}

impl MethodDescriptor {
    /// A method whose arguments are the fields of `A` and whose result is `R`, with default
    /// policies. Its identity is set when it is added to a service.
    pub fn new<A: JsonSchema, R: JsonSchema>(name: impl Into<String>) -> Self {
        let arguments = schema_of::<A>();
        let result = schema_of::<R>();
        let schema_hash = hash_schemas(&arguments, &result);
        Self {
            name: name.into(),
            docs: String::new(),
            id: MethodId(0),
            arguments,
            result,
            schema_hash,
            shape: Shape::default(),
            access: Access::default(),
            placement: Placement::default(),
            idempotent: false,
            once: false,
            hedge: None,
            timeout: DEFAULT_TIMEOUT,
            concurrency: None,
        }
    }

    /// Sets the documentation.
    #[must_use]
    pub fn docs(mut self, docs: impl Into<String>) -> Self {
        self.docs = docs.into();
        self
    }

    /// Says that an argument is a stream.
    #[must_use]
    pub fn client_streams(mut self) -> Self {
        self.shape.client_streams = true;
        self
    }

    /// Says that the result is a stream.
    #[must_use]
    pub fn server_streams(mut self) -> Self {
        self.shape.server_streams = true;
        self
    }

    /// Sets who may call.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Sets who serves.
    #[must_use]
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Says that all effects of the method are writes through [`crate::Context::directory`], the same
    /// ones in the same order however often a call is served.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Says that the method may be repeated without harm.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Says that a call without an answer after so long is asked of a second node too. The method has
    /// to be `idempotent`: calls of one that is not fail as `invalid-argument`.
    #[must_use]
    pub fn hedge(mut self, after: Duration) -> Self {
        self.hedge = Some(after);
        self
    }

    /// Sets how long a call may take if the caller does not say.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Bounds how many calls one node serves at once.
    #[must_use]
    pub fn concurrency(mut self, limit: u32) -> Self {
        self.concurrency = Some(limit);
        self
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.client_streams, self.server_streams) {
            (false, false) => "unary",
            (false, true) => "server stream",
            (true, false) => "client stream",
            (true, true) => "bidirectional stream",
        })
    }
}

/// The wire identity of `method` of `service`.
pub fn method_id(service: &str, method: &str) -> MethodId {
    MethodId(hash64(&[
        b"distri/method/v1",
        service.as_bytes(),
        method.as_bytes(),
    ]))
}

fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaGenerator::new(SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
    }));
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    if let Value::Object(object) = &mut schema {
        object.remove("title");
    }
    schema
}

/// Hashes what decides how bytes are read: names, types and order of fields; not the prose.
///
/// The compact codec depends on the order of fields, so the schemas keep declaration order
/// (`schemars/preserve_order`) and two structs with swapped fields hash differently.
fn hash_schemas(arguments: &Value, result: &Value) -> SchemaHash {
    let mut text = String::new();
    write_canonical(arguments, &mut text);
    text.push('\u{0}');
    write_canonical(result, &mut text);
    SchemaHash(hash64(&[b"distri/schema/v1", text.as_bytes()]))
}

fn write_canonical(value: &Value, out: &mut String) {
    const PROSE: [&str; 4] = ["description", "title", "examples", "$schema"];
    match value {
        Value::Object(object) => {
            out.push('{');
            for (key, value) in object {
                let is_prose = PROSE.contains(&key.as_str()) && !value.is_object();
                if !is_prose {
                    out.push_str(&Value::from(key.as_str()).to_string());
                    out.push(':');
                    write_canonical(value, out);
                    out.push(',');
                }
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

fn hash64(parts: &[&[u8]]) -> u64 {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let digest = context.finish();
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_ref()[..8]);
    u64::from_le_bytes(first)
}
