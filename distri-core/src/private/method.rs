//! A method as a type, by which generated code names its arguments and result.
//!
//! Generated code says `impl Takes<0> for __method_count { type Argument = String; }` once, and from
//! then on speaks of `Takes<0>::Argument`, of which the compiler takes for granted that it travels.
//! So a type that does not is reported once, where it is written.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

use crate::{
    client::{Call, Client, Gather},
    error::{Error, Result},
    placement,
    service::{Context, MethodDescriptor, Owned, Reply, Request, ServiceDescriptor},
};

/// A type that can be an argument or a result.
///
/// It has no supertraits on purpose: the compiler would report each of those instead.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel as an argument or result of a service method",
    label = "cannot travel",
    note = "write `#[distri::message]` above each type of yours in it",
    note = "a type of another crate travels if it has serde's `Serialize` and `Deserialize` and schemars' `JsonSchema`"
)]
pub trait Travels: Sized + 'static {
    /// The type, known for what it can do.
    type Itself: Serialize + DeserializeOwned + JsonSchema;

    /// The value, known for what it can do.
    fn itself(&self) -> &Self::Itself;

    /// The value again.
    fn from_itself(itself: Self::Itself) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + 'static> Travels for T {
    type Itself = Self;

    fn itself(&self) -> &Self {
        self
    }

    fn from_itself(itself: Self) -> Self {
        itself
    }
}

/// Asks the compiler whether `T` travels.
pub const fn travels<T: Travels>() {}

/// A value that travels, as a field of the struct of arguments.
pub struct Carried<T>(pub T);

/// The type of argument `N` of `M`, as a field.
pub type Argument<M, const N: usize> = Carried<<M as Takes<N>>::Argument>;

impl<T: Travels> Serialize for Carried<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.itself().serialize(serializer)
    }
}

impl<'de, T: Travels> Deserialize<'de> for Carried<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::Itself::deserialize(deserializer)
            .map(T::from_itself)
            .map(Self)
    }
}

impl<T> fmt::Debug for Carried<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carried")
    }
}

/// A method that has an argument at place `N`.
pub trait Takes<const N: usize> {
    /// Its type.
    type Argument: Travels;
}

/// A method.
pub trait Method {
    /// A struct with one field per argument.
    type Arguments: Serialize + DeserializeOwned + Send + 'static;
    /// `T` of the `Result<T, _>` that it returns.
    type Output: Travels;
    /// Its place in the descriptor.
    const INDEX: usize;

    /// The service that it belongs to.
    fn service() -> &'static ServiceDescriptor;

    /// Adds each argument to `list`.
    fn list_arguments(list: &mut ArgumentList<'_>);
}

/// The schema of arguments while it is written.
#[derive(Debug)]
pub struct ArgumentList<'a> {
    generator: &'a mut SchemaGenerator,
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl ArgumentList<'_> {
    /// Adds argument `N` of `M`.
    pub fn add<M: Takes<N>, const N: usize>(&mut self, name: &str, docs: &str) {
        type Itself<M, const N: usize> = <<M as Takes<N>>::Argument as Travels>::Itself;
        let mut schema = self.generator.subschema_for::<Itself<M, N>>();
        if !docs.is_empty() {
            schema.insert("description".to_owned(), docs.into());
        }
        self.properties.insert(name.to_owned(), schema.into());
        if Itself::<M, N>::deserialize(LeftOut).is_err() {
            self.required.push(name.into());
        }
    }
}

/// The arguments of `M` as a type with a schema: that of a struct with these fields.
struct Arguments<M>(PhantomData<M>);

impl<M: Method> JsonSchema for Arguments<M> {
    fn schema_name() -> Cow<'static, str> {
        "arguments".into()
    }

    fn schema_id() -> Cow<'static, str> {
        std::any::type_name::<Self>().into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut list = ArgumentList {
            generator,
            properties: Map::new(),
            required: Vec::new(),
        };
        M::list_arguments(&mut list);
        let ArgumentList {
            properties,
            required,
            ..
        } = list;
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), properties.into());
        }
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        schema.into()
    }
}

/// What serde's derive gives a field that is not there: nothing, which only an `Option` takes.
struct LeftOut;

impl<'de> Deserializer<'de> for LeftOut {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("left out"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The descriptor of `M`, with default policies.
pub fn describe<M: Method>(name: &str) -> MethodDescriptor {
    MethodDescriptor::new::<Arguments<M>, <M::Output as Travels>::Itself>(name)
}

/// Decodes the arguments of `M`.
///
/// # Errors
/// As [`Request::arguments`].
pub fn arguments<M: Method>(request: &mut Request) -> Result<M::Arguments> {
    request.arguments()
}

/// An error that a method may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error that a service can return",
    note = "return `distri::Error`, or implement `distri::ServiceError` for `{Self}` (it also needs `#[distri::message]` and `std::error::Error`)"
)]
pub trait Failure {
    /// The error as it travels.
    fn into_error(self) -> Error;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Error>> Failure for E {
    fn into_error(self) -> Error {
        self.into()
    }
}

/// Answers `request` with what the method returned.
///
/// # Errors
/// What the method failed with; as [`Request::reply`].
pub fn reply<M: Method, E: Failure>(
    request: Request,
    result: Result<M::Output, E>,
) -> Result<Reply> {
    let value = result.map_err(Failure::into_error)?;
    request.reply(value.itself())
}

/// A call of `M`.
pub fn call<M: Method>(client: &Client, arguments: M::Arguments) -> Call<M::Output> {
    client.call(M::service(), M::INDEX, arguments)
}

/// A call of `M` on every node.
pub fn gather<M: Method>(client: &Client, arguments: M::Arguments) -> Gather<M::Output> {
    client.gather(M::service(), M::INDEX, arguments)
}

/// The hash by which `placement = key(…)` places the value of argument `N` of `M`.
pub fn placement_key<M: Takes<N>, const N: usize>(value: &M::Argument) -> u64 {
    placement::placement_key(value.itself())
}

/// Makes sure that this node owns the value of argument `N` of `M`.
///
/// # Errors
/// As [`Context::own`].
pub fn own<M: Takes<N>, const N: usize>(cx: &Context, value: &M::Argument) -> Result<Owned> {
    cx.own(placement_key::<M, N>(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_option_may_be_left_out() {
        assert!(Option::<u8>::deserialize(LeftOut).is_ok());
        assert!(u8::deserialize(LeftOut).is_err());
        assert!(<()>::deserialize(LeftOut).is_err());
        assert!(Vec::<u8>::deserialize(LeftOut).is_err());
        assert!(Value::deserialize(LeftOut).is_err());
    }
}
