//! What a command may be, whoever sends it: sizes, names, numbers, schemas.
//!
//! Nodes check before they propose, so that nothing senseless is written to every log; applying
//! checks again, since a log may hold commands that an earlier version let through.

use std::time::Duration;

use crate::directory::{
    CollectionSpec, Command, Condition, Field, Filter, IndexSpec, Json, Operation, Refusal,
    Transaction, Who, limits,
    schema::Schema,
    value::{self, Value},
};

/// Steps of a field's path.
const STEPS: usize = 32;

impl Command {
    /// Is the command sound in itself, whatever the directory holds?
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Transact(transaction) => check_transaction(transaction),
            Self::CreateCollection(spec) => check_collection(spec),
            Self::DropCollection { name } => check_name(name),
            Self::GrantLease { ttl_ms } => check_ttl(*ttl_ms),
            Self::KeepLease { .. } | Self::EndLease { .. } => Ok(()),
        }
    }
}

fn check_transaction(transaction: &Transaction) -> Result<(), Refusal> {
    let Transaction {
        conditions,
        operations,
    } = transaction;
    bounded(
        "a transaction's conditions",
        conditions.len(),
        limits::TRANSACTION,
    )?;
    bounded(
        "a transaction's operations",
        operations.len(),
        limits::TRANSACTION,
    )?;
    let mut bytes = 0;
    for condition in conditions {
        bytes += check_condition(condition)?;
    }
    for operation in operations {
        bytes += check_operation(operation)?;
    }
    bounded("a command", bytes, limits::COMMAND)
}

fn check_condition(condition: &Condition) -> Result<usize, Refusal> {
    match condition {
        Condition::Matches { id, filter: f, .. } => {
            check_id(id)?;
            filter(f).map(|bytes| bytes + id.len())
        }
        Condition::Revision { id, .. } | Condition::Missing { id, .. } => {
            check_id(id)?;
            Ok(id.len())
        }
        Condition::None { filter: f, .. } => filter(f),
        Condition::Clock { .. } => Ok(0),
    }
}

fn check_operation(operation: &Operation) -> Result<usize, Refusal> {
    match operation {
        Operation::Insert { id, value, .. }
        | Operation::Put { id, value, .. }
        | Operation::Replace { id, value, .. } => {
            check_id(id)?;
            document(id, value.as_str().len())?;
            sound(value)?;
            Ok(id.len() + value.as_str().len())
        }
        Operation::Merge { id, patch, .. } => {
            check_id(id)?;
            document(id, patch.as_str().len())?;
            sound(patch)?;
            Ok(id.len() + patch.as_str().len())
        }
        Operation::Add {
            id,
            field,
            by,
            min,
            max,
            ..
        } => {
            check_id(id)?;
            check_field(&Field::from(field.as_str()))?;
            if field.starts_with('@') {
                return Err(invalid(format!(
                    "`{field}` cannot be added to: expected a field of the document's content"
                )));
            }
            for number in [Some(by), min.as_ref(), max.as_ref()].into_iter().flatten() {
                bounded("a number", number.as_str().len(), limits::NAME)?;
                if !matches!(value::parse(number.as_str()), Ok(Value::Number(_))) {
                    return Err(invalid(format!("{number} is not a number")));
                }
            }
            Ok(id.len() + field.len())
        }
        Operation::Delete { id, .. } => {
            check_id(id)?;
            Ok(id.len())
        }
    }
}

/// The bound of one document.
pub(super) fn document(id: &str, bytes: usize) -> Result<(), Refusal> {
    if bytes <= limits::DOCUMENT {
        return Ok(());
    }
    bounded(&format!("the document `{id}`"), bytes, limits::DOCUMENT)
}

fn check_collection(spec: &CollectionSpec) -> Result<(), Refusal> {
    check_name(&spec.name)?;
    bounded(
        "a collection's indexes",
        spec.indexes.len(),
        limits::INDEXES,
    )?;
    for (n, index) in spec.indexes.iter().enumerate() {
        check_index(index)?;
        if spec.indexes[..n].iter().any(|i| i.fields == index.fields) {
            return Err(invalid(format!("index {n} is declared twice")));
        }
    }
    if let Some(schema) = &spec.schema {
        bounded("a schema", schema.as_str().len(), limits::DOCUMENT)?;
        Schema::compile(schema).map_err(invalid)?;
    }
    for who in [&spec.read, &spec.write] {
        if let Who::Role(role) = who {
            bounded("a role's name", role.len(), limits::NAME)?;
        }
    }
    Ok(())
}

fn check_index(index: &IndexSpec) -> Result<(), Refusal> {
    bounded("an index's fields", index.fields.len(), limits::INDEXES)?;
    if index.fields.is_empty() {
        return Err(invalid("an index has no fields"));
    }
    for (n, field) in index.fields.iter().enumerate() {
        check_field(field)?;
        if index.fields[..n].contains(field) {
            return Err(invalid(format!(
                "an index has the field `{}` twice",
                field.as_str()
            )));
        }
    }
    Ok(())
}

fn check_ttl(ttl_ms: u64) -> Result<(), Refusal> {
    let ttl = Duration::from_millis(ttl_ms);
    if limits::LEASE.contains(&ttl) {
        return Ok(());
    }
    Err(invalid(format!(
        "a lease of {ttl:?}: expected {:?} to {:?}",
        limits::LEASE.start(),
        limits::LEASE.end()
    )))
}

/// Is the filter sound? Gives its size in bytes.
pub(super) fn filter(filter: &Filter) -> Result<usize, Refusal> {
    let mut size = Size::default();
    size.add(filter, 1)?;
    Ok(size.bytes)
}

/// A filter's size so far.
#[derive(Default)]
struct Size {
    parts: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, filter: &Filter, level: usize) -> Result<(), Refusal> {
        self.parts += 1;
        bounded("a filter's parts", self.parts, limits::FILTER)?;
        bounded("a filter's levels", level, limits::FILTER_DEPTH)?;
        match filter {
            Filter::All => Ok(()),
            Filter::And(parts) | Filter::Or(parts) => {
                parts.iter().try_for_each(|part| self.add(part, level + 1))
            }
            Filter::Not(part) => self.add(part, level + 1),
            Filter::Eq(field, value)
            | Filter::Ne(field, value)
            | Filter::Lt(field, value)
            | Filter::Le(field, value)
            | Filter::Gt(field, value)
            | Filter::Ge(field, value)
            | Filter::Contains(field, value) => {
                self.value(value)?;
                check_field(field)
            }
            Filter::In(field, values) => {
                bounded("a filter's list", values.len(), limits::PAGE)?;
                values.iter().try_for_each(|value| self.value(value))?;
                check_field(field)
            }
            Filter::Prefix(field, start) => {
                self.bytes += start.len();
                check_field(field)
            }
            Filter::Exists(field) => check_field(field),
        }
    }

    fn value(&mut self, value: &Json) -> Result<(), Refusal> {
        self.bytes += value.as_str().len();
        bounded("a filter", self.bytes, limits::DOCUMENT)?;
        sound(value)
    }
}

pub(super) fn check_field(field: &Field) -> Result<(), Refusal> {
    const OF_DIRECTORY: [&str; 7] = [
        "@id",
        "@owner",
        "@revision",
        "@created_revision",
        "@created",
        "@updated",
        "@lease",
    ];
    let path = field.as_str();
    bounded("a field", path.len(), limits::ID)?;
    if path.starts_with('@') && !OF_DIRECTORY.contains(&path) {
        return Err(invalid(format!(
            "there is no field `{path}`: expected one of {}",
            OF_DIRECTORY.join(", ")
        )));
    }
    if path.split('.').any(str::is_empty) {
        return Err(invalid(format!(
            "`{path}` is not a field: expected names with dots between them"
        )));
    }
    bounded("a field's steps", path.split('.').count(), STEPS)
}

fn check_id(id: &str) -> Result<(), Refusal> {
    if id.len() > limits::ID {
        return bounded("an id", id.len(), limits::ID);
    }
    if id.is_empty() || id.chars().any(char::is_control) {
        return Err(invalid(format!(
            "{id:?} is not an id: expected 1 to {} bytes without control characters",
            limits::ID
        )));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Refusal> {
    bounded("a collection's name", name.len(), limits::NAME)?;
    let plain = name.strip_prefix('_').unwrap_or(name);
    let sound = plain.starts_with(|c: char| c.is_ascii_lowercase())
        && plain
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    if sound {
        return Ok(());
    }
    Err(invalid(format!(
        "`{name}` is not a collection's name: expected a-z, 0-9, `-` and `_`, beginning with a letter"
    )))
}

/// JSON as the directory understands it.
fn sound(json: &Json) -> Result<(), Refusal> {
    value::check(json.as_str()).map_err(|problem| invalid(problem.to_string()))
}

pub(super) fn bounded(what: &str, size: usize, bound: usize) -> Result<(), Refusal> {
    if size <= bound {
        return Ok(());
    }
    Err(Refusal::TooLarge {
        what: what.into(),
        size: size as u64,
        bound: bound as u64,
    })
}

pub(super) fn invalid(what: impl Into<String>) -> Refusal {
    Refusal::Invalid { what: what.into() }
}
