//! Turns the merged layers into types, keeping account of keys.
//!
//! One deserializer serves distri's own sections and the types of services. It knows at each value
//! which key it stands at and which layer it came from, so every error can say both. Three things
//! it does that a plain deserializer would not: keys that the type does not read are collected and
//! refused, whatever the type says about unknown fields; texts from the environment and from flags
//! become what the type asks for (a number, a list); relative paths in a file become relative to
//! its folder (see [`super::path`]).

use std::{cell::RefCell, fmt};

use figment::value::{Num, Value};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
    value::{MapAccessDeserializer, StrDeserializer},
};

use super::{Complaint, Problem, Source, Sources, nearest::nearest, path};

mod refusal;

use refusal::ReadError;

/// Reads a `T` from `value`, which stands at `key`; or says everything that is wrong with it.
pub(super) fn read<T: DeserializeOwned>(
    value: &Value,
    key: &Key<'_>,
    sources: &Sources,
) -> Result<T, Vec<Problem>> {
    let run = Run {
        sources,
        unknown: RefCell::default(),
    };
    let result = T::deserialize(Reader {
        value,
        key,
        run: &run,
    });
    let mut problems = run.unknown.into_inner();
    match result {
        Ok(read) if problems.is_empty() => Ok(read),
        Ok(_) => Err(problems),
        Err(error) => {
            problems.push(error.into_problem(key));
            Err(problems)
        }
    }
}

/// A place in a configuration, as a chain of names.
#[derive(Clone, Copy)]
pub(super) struct Key<'k> {
    parent: Option<&'k Self>,
    name: &'k str,
}

impl<'k> Key<'k> {
    pub(super) const fn root() -> Self {
        Key {
            parent: None,
            name: "",
        }
    }

    pub(super) fn child(&'k self, name: &'k str) -> Self {
        Key {
            parent: Some(self),
            name,
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent {
            None => Ok(()),
            Some(parent) if parent.parent.is_none() => f.write_str(self.name),
            Some(parent) => write!(f, "{parent}.{}", self.name),
        }
    }
}

/// What all readers of one run share.
struct Run<'v> {
    sources: &'v Sources,
    unknown: RefCell<Vec<Problem>>,
}

impl Run<'_> {
    fn source(&self, value: &Value, key: &Key<'_>) -> Source {
        self.sources.of(value, &key.to_string())
    }
}

/// One value, where it stands.
#[derive(Clone, Copy)]
struct Reader<'v> {
    value: &'v Value,
    key: &'v Key<'v>,
    run: &'v Run<'v>,
}

impl<'v> Reader<'v> {
    /// The text, if it came from a layer where everything is text.
    fn text(&self) -> Option<&'v str> {
        match self.value {
            Value::String(_, text) if self.run.sources.is_text(self.value) => Some(text),
            _ => None,
        }
    }

    /// Adds to an error where it happened, unless that is known already.
    fn locate<T>(&self, result: Result<T, ReadError>) -> Result<T, ReadError> {
        result.map_err(|error| error.at(self.key, Some(self.run.source(self.value, self.key))))
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::String(_, text) => visitor.visit_str(text),
            Value::Char(_, c) => visitor.visit_char(*c),
            Value::Bool(_, value) => visitor.visit_bool(*value),
            Value::Num(_, number) => visit_number(*number, visitor),
            Value::Empty(..) => visitor.visit_unit(),
            Value::Dict(..) => self.visit_table(&[], visitor),
            Value::Array(_, items) => self.visit_items(items, visitor),
        }
    }

    fn visit_table<'de, V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Dict(_, entries) => {
                let entries = entries.iter().map(|(name, value)| (name.as_str(), value));
                visitor.visit_map(Table {
                    reader: self,
                    fields,
                    entries,
                    current: None,
                })
            }
            _ => self.visit_as_is(visitor),
        }
    }

    fn visit_items<'de, V: Visitor<'de>>(
        self,
        items: &[Value],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_seq(Items {
            reader: self,
            items: items.iter(),
        })
    }

    /// Lets the visitor see (and refuse) what is there.
    fn visit_as_is<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Dict(..) => Err(de::Error::invalid_type(Unexpected::Map, &visitor)),
            _ => self.visit(visitor),
        }
    }
}

fn visit_number<'de, V: Visitor<'de>>(number: Num, visitor: V) -> Result<V::Value, ReadError> {
    match number {
        Num::U8(n) => visitor.visit_u64(n.into()),
        Num::U16(n) => visitor.visit_u64(n.into()),
        Num::U32(n) => visitor.visit_u64(n.into()),
        Num::U64(n) => visitor.visit_u64(n),
        Num::USize(n) => visitor.visit_u64(n as u64),
        Num::U128(n) => visitor.visit_u128(n),
        Num::I8(n) => visitor.visit_i64(n.into()),
        Num::I16(n) => visitor.visit_i64(n.into()),
        Num::I32(n) => visitor.visit_i64(n.into()),
        Num::I64(n) => visitor.visit_i64(n),
        Num::ISize(n) => visitor.visit_i64(n as i64),
        Num::I128(n) => visitor.visit_i128(n),
        Num::F32(n) => visitor.visit_f64(n.into()),
        Num::F64(n) => visitor.visit_f64(n),
    }
}

/// Numbers and booleans: as they are, or parsed from a text that stands for any type.
macro_rules! parsed {
    ($($method:ident => $visit:ident: $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            let result = match self.text() {
                Some(text) => match text.trim().parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(de::Error::invalid_value(Unexpected::Str(text), &visitor)),
                },
                None => self.visit_as_is(visitor),
            };
            self.locate(result)
        }
    )*};
}

/// Texts: as they are.
macro_rules! as_is {
    ($($method:ident),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            self.locate(self.visit_as_is(visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Some(text) = self.text() else {
            return self.locate(self.visit(visitor));
        };
        // Nobody said which type is wanted: take the text for what it looks like.
        let result = match text.trim() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            trimmed => {
                match (
                    trimmed.parse::<u64>(),
                    trimmed.parse::<i64>(),
                    trimmed.parse::<f64>(),
                ) {
                    (Ok(number), _, _) => visitor.visit_u64(number),
                    (_, Ok(number), _) => visitor.visit_i64(number),
                    (_, _, Ok(number))
                        if trimmed.starts_with(|c: char| c == '-' || c.is_ascii_digit()) =>
                    {
                        visitor.visit_f64(number)
                    }
                    _ => visitor.visit_str(text),
                }
            }
        };
        self.locate(result)
    }

    parsed! {
        deserialize_bool => visit_bool: bool,
        deserialize_i8 => visit_i8: i8,
        deserialize_i16 => visit_i16: i16,
        deserialize_i32 => visit_i32: i32,
        deserialize_i64 => visit_i64: i64,
        deserialize_i128 => visit_i128: i128,
        deserialize_u8 => visit_u8: u8,
        deserialize_u16 => visit_u16: u16,
        deserialize_u32 => visit_u32: u32,
        deserialize_u64 => visit_u64: u64,
        deserialize_u128 => visit_u128: u128,
        deserialize_f32 => visit_f32: f32,
        deserialize_f64 => visit_f64: f64,
    }

    as_is! {
        deserialize_char, deserialize_str, deserialize_string, deserialize_bytes,
        deserialize_byte_buf, deserialize_identifier,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let is_none =
            matches!(self.value, Value::Empty(..)) || self.text().is_some_and(str::is_empty);
        self.locate(if is_none {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let result = match self.value {
            // A table that somebody reads as nothing: each key in it is one too many.
            Value::Dict(_, entries) => {
                for (name, value) in entries {
                    self.refuse_unknown(name, value, &[]);
                }
                visitor.visit_unit()
            }
            _ => self.visit_as_is(visitor),
        };
        self.locate(result)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let folder = self.run.sources.folder(self.value);
        let result = match (self.value, folder) {
            (Value::String(_, text), Some(folder)) if name == path::MARK && !text.is_empty() => {
                // Both parts were text, so nothing is lost.
                visitor.visit_str(&folder.join(text).to_string_lossy())
            }
            _ => visitor.visit_newtype_struct(self),
        };
        self.locate(result)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let result = match (self.value, self.text()) {
            (Value::Array(_, items), _) => self.visit_items(items, visitor),
            (_, Some(text)) => self.visit_items(&split_list(text, self.value), visitor),
            _ => self.visit_as_is(visitor),
        };
        self.locate(result)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.locate(self.visit_table(&[], visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.locate(self.visit_table(fields, visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let result = match self.value {
            Value::String(_, text) => visitor.visit_enum(UnitVariant(text)),
            Value::Dict(_, entries) => {
                let entries = entries.iter().map(|(name, value)| (name.as_str(), value));
                let table = Table {
                    reader: self,
                    fields: &[],
                    entries,
                    current: None,
                };
                visitor.visit_enum(MapAccessDeserializer::new(table))
            }
            _ => self.visit_as_is(visitor),
        };
        self.locate(result)
    }

    /// Reached for values whose key the type does not know.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }
}

impl Reader<'_> {
    fn refuse_unknown(&self, name: &str, value: &Value, fields: &[&str]) {
        let key = self.key.child(name);
        let meant = nearest(name, fields.iter().copied());
        let sibling = |field: &str| self.key.child(field).to_string();
        self.run.unknown.borrow_mut().push(Problem {
            key: key.to_string(),
            source: Some(self.run.source(value, &key)),
            complaint: Complaint::Unknown {
                nearest: meant.map(sibling),
                known: fields.iter().map(|field| (*field).to_owned()).collect(),
            },
        });
    }
}

/// The items of a text that stands for a list: `a, b`, also as `["a", "b"]`.
fn split_list(text: &str, value: &Value) -> Vec<Value> {
    let text = text.trim();
    let (text, quoted) = match text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| {
            if quoted {
                item.trim_matches(['"', '\''])
            } else {
                item
            }
        })
        .map(|item| Value::String(value.tag(), item.to_owned()))
        .collect()
}

/// The entries of a table.
struct Table<'v, I> {
    reader: Reader<'v>,
    /// The fields that the type reads, as far as it says so.
    fields: &'static [&'static str],
    entries: I,
    current: Option<(&'v str, &'v Value)>,
}

impl<'de, 'v, I: Iterator<Item = (&'v str, &'v Value)>> MapAccess<'de> for Table<'v, I> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        self.current = self.entries.next();
        let Some((name, value)) = self.current else {
            return Ok(None);
        };
        let read = seed.deserialize(StrDeserializer::<ReadError>::new(name));
        let key = self.reader.key.child(name);
        read.map(Some)
            .map_err(|error| error.at(&key, Some(self.reader.run.source(value, &key))))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        let (name, value) = self
            .current
            .take()
            .ok_or_else(|| <ReadError as de::Error>::custom("a value without key"))?;
        let key = self.reader.key.child(name);
        let ignored = RefCell::new(false);
        let entry = Entry {
            inner: Reader {
                value,
                key: &key,
                run: self.reader.run,
            },
            ignored: &ignored,
        };
        let source = || Some(self.reader.run.source(value, &key));
        let read = seed
            .deserialize(entry)
            .map_err(|error| error.at(&key, source()))?;
        if ignored.into_inner() {
            self.reader.refuse_unknown(name, value, self.fields);
        }
        Ok(read)
    }
}

/// The value of an entry, which notices when the type does not want it.
struct Entry<'v, 'i> {
    inner: Reader<'v>,
    ignored: &'i RefCell<bool>,
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*)),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, ReadError> {
            self.inner.$method($($argument,)* visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Entry<'_, '_> {
    type Error = ReadError;

    forward! {
        deserialize_any(), deserialize_bool(), deserialize_i8(), deserialize_i16(),
        deserialize_i32(), deserialize_i64(), deserialize_i128(), deserialize_u8(),
        deserialize_u16(), deserialize_u32(), deserialize_u64(), deserialize_u128(),
        deserialize_f32(), deserialize_f64(), deserialize_char(), deserialize_str(),
        deserialize_string(), deserialize_bytes(), deserialize_byte_buf(), deserialize_option(),
        deserialize_unit(), deserialize_seq(), deserialize_map(), deserialize_identifier(),
        deserialize_unit_struct(name: &'static str),
        deserialize_newtype_struct(name: &'static str),
        deserialize_tuple(len: usize),
        deserialize_tuple_struct(name: &'static str, len: usize),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        *self.ignored.borrow_mut() = true;
        visitor.visit_unit()
    }
}

/// The items of a list.
struct Items<'v> {
    reader: Reader<'v>,
    items: std::slice::Iter<'v, Value>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ReadError> {
        let Some(value) = self.items.next() else {
            return Ok(None);
        };
        seed.deserialize(Reader {
            value,
            ..self.reader
        })
        .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// A variant without values, written as a text.
struct UnitVariant<'v>(&'v str);

impl<'de> EnumAccess<'de> for UnitVariant<'_> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), ReadError> {
        let name: StrDeserializer<'_, ReadError> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for UnitVariant<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, ReadError> {
        Err(self.needs_values())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ReadError> {
        Err(self.needs_values())
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ReadError> {
        Err(self.needs_values())
    }
}

impl UnitVariant<'_> {
    fn needs_values(&self) -> ReadError {
        let expected = format!("a table, as in `{} = {{ … }}`", self.0);
        de::Error::invalid_type(Unexpected::Str(self.0), &expected.as_str())
    }
}
