//! One collection: its documents by id, and its indexes.

use std::{ops::Bound, sync::Arc};

use imbl::{OrdMap, OrdSet};

use super::record::{Entry, Record};
use crate::directory::{
    CollectionSpec, Field, IndexSpec, Refusal, limits,
    schema::Schema,
    value::{self, key},
};

/// A clone takes the same short time however many documents there are, and shares them.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    pub(super) definition: Arc<Definition>,
    pub(super) documents: OrdSet<Entry>,
    /// One for each of the definition, in its order.
    pub(super) indexes: Vec<Index>,
    /// Bytes of the documents with their ids.
    bytes: u64,
}

/// What was declared, with its schema read.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: Arc<str>,
    pub(super) spec: CollectionSpec,
    schema: Option<Schema>,
}

/// Documents by the [key](value::Value::write_key) of their fields' values, then by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Index(pub(super) OrdMap<Arc<[u8]>, Arc<Record>>);

impl Collection {
    pub(super) fn new(spec: CollectionSpec) -> Result<Self, Refusal> {
        Ok(Self {
            indexes: vec![Index::default(); spec.indexes.len()],
            definition: Arc::new(Definition::new(spec)?),
            documents: OrdSet::new(),
            bytes: 0,
        })
    }

    /// The same documents under another declaration, which they must meet.
    pub(super) fn redefined(&self, spec: CollectionSpec) -> Result<Self, Refusal> {
        let mut changed = Self::new(spec)?;
        for Entry(record) in &self.documents {
            changed.admit(record)?;
            changed.insert(Arc::clone(record));
        }
        Ok(changed)
    }

    pub(super) fn spec(&self) -> &CollectionSpec {
        &self.definition.spec
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Record>> {
        self.documents.get(id.as_bytes()).map(|entry| &entry.0)
    }

    /// May the document be put in as it is?
    pub(super) fn admit(&self, record: &Record) -> Result<(), Refusal> {
        self.definition.meets_schema(record)?;
        let specs = &self.spec().indexes;
        for (index, spec) in self.indexes.iter().zip(specs) {
            index.admit(record, spec, &self.definition.name)?;
        }
        Ok(())
    }

    /// Puts a document in that was [admitted](Self::admit), in the place of the one with its id.
    pub(super) fn insert(&mut self, record: Arc<Record>) -> Option<Arc<Record>> {
        let before = self.documents.insert(Entry(Arc::clone(&record)));
        self.bytes += bytes_of(&record);
        if let Some(Entry(before)) = &before {
            self.bytes -= bytes_of(before);
        }
        for (index, spec) in self.indexes.iter_mut().zip(&self.definition.spec.indexes) {
            let now = index_key(&record, &spec.fields);
            if let Some(Entry(before)) = &before {
                let before = index_key(before, &spec.fields);
                if before != now {
                    index.0.remove(before.as_slice());
                }
            }
            index.0.insert(now.into(), Arc::clone(&record));
        }
        before.map(|entry| entry.0)
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<Record>> {
        let Entry(record) = self.documents.remove(id.as_bytes())?;
        self.bytes -= bytes_of(&record);
        for (index, spec) in self.indexes.iter_mut().zip(&self.definition.spec.indexes) {
            index.0.remove(index_key(&record, &spec.fields).as_slice());
        }
        Some(record)
    }

    /// Bytes of all documents with their ids.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn bytes_of(record: &Record) -> u64 {
    (record.id.len() + record.value.as_str().len()) as u64
}

impl Definition {
    fn new(spec: CollectionSpec) -> Result<Self, Refusal> {
        let schema = spec.schema.as_ref().map(Schema::compile).transpose();
        Ok(Self {
            name: spec.name.as_str().into(),
            schema: schema.map_err(|what| Refusal::Invalid { what })?,
            spec,
        })
    }

    fn meets_schema(&self, record: &Record) -> Result<(), Refusal> {
        let Some(schema) = &self.schema else {
            return Ok(());
        };
        let value = value::parse(record.value.as_str()).map_err(|problem| Refusal::Invalid {
            what: problem.to_string(),
        })?;
        schema.check(&value).map_err(|mismatch| Refusal::Schema {
            collection: self.name.to_string(),
            id: record.id.to_string(),
            path: mismatch.path,
            problem: mismatch.problem,
        })
    }
}

impl Index {
    fn admit(&self, record: &Record, spec: &IndexSpec, collection: &str) -> Result<(), Refusal> {
        let (mut key, complete) = fields_key(record, &spec.fields);
        if key.len() > limits::INDEX_KEY {
            return Err(Refusal::TooLarge {
                what: format!(
                    "`{collection}/{}` in the index of {}",
                    &*record.id,
                    named(spec)
                ),
                size: key.len() as u64,
                bound: limits::INDEX_KEY as u64,
            });
        }
        if !spec.unique || !complete {
            return Ok(());
        }
        let from = key.clone();
        key.push(key::AFTER);
        let mut same = self.0.range::<_, [u8]>(between(&from, &key));
        match same.find(|(_, other)| other.id != record.id) {
            None => Ok(()),
            Some((_, other)) => Err(Refusal::NotUnique {
                collection: collection.into(),
                id: record.id.to_string(),
                fields: named(spec),
                other: other.id.to_string(),
            }),
        }
    }
}

fn named(spec: &IndexSpec) -> String {
    let fields: Vec<_> = spec
        .fields
        .iter()
        .map(|f| format!("`{}`", f.as_str()))
        .collect();
    fields.join(" and ")
}

/// The key of a document in an index.
pub(super) fn index_key(record: &Record, fields: &[Field]) -> Vec<u8> {
    let (mut key, _) = fields_key(record, fields);
    key.extend_from_slice(record.id.as_bytes());
    key
}

/// The key without the id, and whether all fields are there.
fn fields_key(record: &Record, fields: &[Field]) -> (Vec<u8>, bool) {
    let mut key = Vec::new();
    let mut complete = true;
    for field in fields {
        complete &= write_field(record, field, &mut key);
    }
    (key, complete)
}

/// From one key to another, excluded.
pub(super) fn between<'k>(from: &'k [u8], to: &'k [u8]) -> (Bound<&'k [u8]>, Bound<&'k [u8]>) {
    (Bound::Included(from), Bound::Excluded(to))
}

/// Appends the key of one field; `false`: it is missing.
pub(super) fn write_field(record: &Record, field: &Field, key: &mut Vec<u8>) -> bool {
    let value = record.facts().field(field);
    match &value {
        Some(value) => value.write_key(key),
        None => key.push(key::MISSING),
    }
    value.is_some()
}
