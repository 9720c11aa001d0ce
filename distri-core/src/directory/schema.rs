//! JSON Schema (draft 2020-12) for the documents of a collection: our own small validator.
//!
//! Replicas of different versions must decide alike, so the keywords are a fixed set: those that
//! tell something about structure, numbers and lengths. Annotations are taken and mean nothing.
//! Every other keyword is refused when the collection is created, rather than ignored.
//!
//! `compile` reads a schema into [`Schema`], once for a collection; this file holds a document
//! against it.

mod compile;

use std::collections::BTreeSet;

use super::value::{Number, Value};

/// A schema, read.
#[derive(Debug)]
pub(super) struct Schema {
    /// The first one is the root.
    nodes: Vec<Node>,
}

/// Where a document does not meet its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// A JSON pointer (RFC 6901).
    pub(super) path: String,
    pub(super) problem: String,
}

/// One schema within the schema.
type Id = usize;

#[derive(Debug)]
enum Node {
    /// The schemas `true` and `false`.
    Boolean(bool),
    Rules(Vec<Rule>),
}

/// A keyword, or some that belong together.
#[derive(Debug)]
enum Rule {
    Type(Vec<Type>),
    /// Keys (see [`Value::write_key`]) of the values allowed, and their text.
    OneValueOf(BTreeSet<Vec<u8>>, String),
    Properties {
        named: Vec<(String, Id)>,
        others: Option<Id>,
    },
    PropertyNames(Id),
    Required(Vec<String>),
    DependentRequired(Vec<(String, Vec<String>)>),
    PropertyCount(Range),
    Items {
        first: Vec<Id>,
        others: Option<Id>,
    },
    Contains(Id, Range),
    ItemCount(Range),
    UniqueItems,
    Compare(Comparison, Number<'static>),
    MultipleOf(Number<'static>),
    Length(Range),
    All(Vec<Id>),
    Any(Vec<Id>),
    One(Vec<Id>),
    Not(Id),
    If {
        test: Id,
        then: Option<Id>,
        otherwise: Option<Id>,
    },
    Ref(Id),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Null,
    Boolean,
    Object,
    Array,
    Number,
    Integer,
    String,
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Minimum,
    Maximum,
    ExclusiveMinimum,
    ExclusiveMaximum,
}

/// A count's bounds.
#[derive(Clone, Copy, Debug)]
struct Range {
    min: u64,
    max: u64,
}

/// Schemas held against parts of one document, all together. A schema that refers to itself in
/// several places could otherwise take time exponential in the document's depth.
const STEPS: u32 = 1_000_000;

/// Schemas inside one another. Documents have at most 100 levels and chains of references end, so
/// only schemas made to be deep come here.
const LEVELS: u32 = 1000;

impl Schema {
    /// Does the document meet the schema?
    ///
    /// # Errors
    /// The first place where it does not.
    pub(super) fn check(&self, document: &Value<'_>) -> Result<(), Mismatch> {
        let mut walk = Walk {
            schema: self,
            path: String::new(),
            steps: STEPS,
            levels: LEVELS,
        };
        walk.node(0, document).map_err(|failure| match failure {
            Failure::Mismatch(mismatch) => mismatch,
            Failure::TooMuch => Mismatch {
                path: String::new(),
                problem: "expected a document that its schema can be held against in fewer steps"
                    .into(),
            },
        })
    }
}

/// A document on its way through the schema.
struct Walk<'s> {
    schema: &'s Schema,
    /// Where in the document.
    path: String,
    steps: u32,
    levels: u32,
}

enum Failure {
    Mismatch(Mismatch),
    /// Ends the whole walk; `not` does not turn it into its opposite.
    TooMuch,
}

impl<'s> Walk<'s> {
    fn node(&mut self, id: Id, value: &Value<'_>) -> Result<(), Failure> {
        self.steps = self.steps.checked_sub(1).ok_or(Failure::TooMuch)?;
        self.levels = self.levels.checked_sub(1).ok_or(Failure::TooMuch)?;
        let outcome = match &self.schema.nodes[id] {
            Node::Boolean(true) => Ok(()),
            Node::Boolean(false) => self.fail("expected nothing here"),
            Node::Rules(rules) => rules.iter().try_for_each(|rule| self.rule(rule, value)),
        };
        self.levels += 1;
        outcome
    }

    /// Does it meet the schema?
    fn meets(&mut self, id: Id, value: &Value<'_>) -> Result<bool, Failure> {
        let length = self.path.len();
        match self.node(id, value) {
            Ok(()) => Ok(true),
            Err(Failure::Mismatch(_)) => {
                self.path.truncate(length);
                Ok(false)
            }
            Err(Failure::TooMuch) => Err(Failure::TooMuch),
        }
    }

    fn count(&mut self, ids: &[Id], value: &Value<'_>) -> Result<usize, Failure> {
        let mut count = 0;
        for id in ids {
            count += usize::from(self.meets(*id, value)?);
        }
        Ok(count)
    }

    fn rule(&mut self, rule: &'s Rule, value: &Value<'_>) -> Result<(), Failure> {
        match (rule, value) {
            (Rule::Type(types), _) if !types.iter().any(|t| t.fits(value)) => {
                let names: Vec<_> = types.iter().map(|t| t.name()).collect();
                self.fail(format!("expected {}", names.join(" or ")))
            }
            (Rule::OneValueOf(keys, shown), _) => {
                let mut key = Vec::new();
                value.write_key(&mut key);
                self.expect(keys.contains(&key), || format!("expected {shown}"))
            }
            (Rule::Properties { named, others }, Value::Object(members)) => {
                for (name, value) in members {
                    let id = named
                        .iter()
                        .find(|(known, _)| known == name)
                        .map(|(_, id)| *id);
                    match (id.or(*others), id) {
                        (Some(id), Some(_)) => self.inside(name, id, value)?,
                        (Some(id), None) => self.other(name, id, value)?,
                        (None, _) => {}
                    }
                }
                Ok(())
            }
            (Rule::PropertyNames(id), Value::Object(members)) => {
                for (name, _) in members {
                    let text = Value::Text(name.as_ref().into());
                    if !self.meets(*id, &text)? {
                        return self.fail(format!("expected no property named `{name}`"));
                    }
                }
                Ok(())
            }
            (Rule::Required(names), Value::Object(_)) => {
                names.iter().try_for_each(|name| self.required(name, value))
            }
            (Rule::DependentRequired(all), Value::Object(_)) => all
                .iter()
                .filter(|(name, _)| value.member(name).is_some())
                .flat_map(|(_, names)| names)
                .try_for_each(|name| self.required(name, value)),
            (Rule::PropertyCount(range), Value::Object(members)) => {
                self.counted(*range, members.len(), "properties")
            }
            (Rule::Items { first, others }, Value::Array(items)) => {
                for (n, item) in items.iter().enumerate() {
                    match (first.get(n), others) {
                        (Some(id), _) => self.inside(&n.to_string(), *id, item)?,
                        (None, Some(id)) => self.other(&n.to_string(), *id, item)?,
                        (None, None) => break,
                    }
                }
                Ok(())
            }
            (Rule::Contains(id, range), Value::Array(items)) => {
                let mut count = 0;
                for item in items {
                    count += usize::from(self.meets(*id, item)?);
                }
                self.counted(*range, count, "items that match `contains`")
            }
            (Rule::ItemCount(range), Value::Array(items)) => {
                self.counted(*range, items.len(), "items")
            }
            (Rule::UniqueItems, Value::Array(items)) => {
                let mut seen = BTreeSet::new();
                let unique = items.iter().all(|item| {
                    let mut key = Vec::new();
                    item.write_key(&mut key);
                    seen.insert(key)
                });
                self.expect(unique, || "expected no two equal items".into())
            }
            (Rule::Compare(comparison, bound), Value::Number(number)) => self
                .expect(comparison.holds(number, bound), || {
                    format!("expected a number {} {}", comparison.sign(), bound.as_str())
                }),
            (Rule::MultipleOf(unit), Value::Number(number)) => self
                .expect(is_multiple(number, unit), || {
                    format!("expected a multiple of {}", unit.as_str())
                }),
            (Rule::Length(range), Value::Text(text)) => {
                self.counted(*range, text.chars().count(), "characters")
            }
            (Rule::All(ids), _) => ids.iter().try_for_each(|id| self.node(*id, value)),
            (Rule::Any(ids), _) => {
                for id in ids {
                    if self.meets(*id, value)? {
                        return Ok(());
                    }
                }
                self.fail("expected what one of `anyOf` describes")
            }
            (Rule::One(ids), _) => match self.count(ids, value)? {
                1 => Ok(()),
                0 => self.fail("expected what one of `oneOf` describes"),
                n => self.fail(format!(
                    "expected what only one of `oneOf` describes; {n} do"
                )),
            },
            (Rule::Not(id), _) => {
                let meets = self.meets(*id, value)?;
                self.expect(!meets, || "expected what `not` does not describe".into())
            }
            (
                Rule::If {
                    test,
                    then,
                    otherwise,
                },
                _,
            ) => {
                let branch = if self.meets(*test, value)? {
                    then
                } else {
                    otherwise
                };
                branch.map_or(Ok(()), |id| self.node(id, value))
            }
            (Rule::Ref(id), _) => self.node(*id, value),
            // A keyword about one kind of value says nothing about the others.
            _ => Ok(()),
        }
    }

    /// A member or item that the schema names.
    fn inside(&mut self, name: &str, id: Id, value: &Value<'_>) -> Result<(), Failure> {
        let length = self.path.len();
        self.path.push('/');
        self.path
            .push_str(&name.replace('~', "~0").replace('/', "~1"));
        self.node(id, value)?;
        self.path.truncate(length);
        Ok(())
    }

    /// One that the schema does not name.
    fn other(&mut self, name: &str, id: Id, value: &Value<'_>) -> Result<(), Failure> {
        if let Node::Boolean(false) = self.schema.nodes[id] {
            return self.fail(format!("expected no `{name}`"));
        }
        self.inside(name, id, value)
    }

    fn required(&mut self, name: &str, value: &Value<'_>) -> Result<(), Failure> {
        let there = value.member(name).is_some();
        self.expect(there, || format!("expected the property `{name}`"))
    }

    fn counted(&mut self, range: Range, count: usize, what: &str) -> Result<(), Failure> {
        let count = count as u64;
        self.expect(count >= range.min, || {
            format!("expected at least {} {what}, not {count}", range.min)
        })?;
        self.expect(count <= range.max, || {
            format!("expected at most {} {what}, not {count}", range.max)
        })
    }

    fn expect(&mut self, holds: bool, problem: impl FnOnce() -> String) -> Result<(), Failure> {
        if holds { Ok(()) } else { self.fail(problem()) }
    }

    fn fail(&mut self, problem: impl Into<String>) -> Result<(), Failure> {
        Err(Failure::Mismatch(Mismatch {
            path: self.path.clone(),
            problem: problem.into(),
        }))
    }
}

impl Type {
    const ALL: [Self; 7] = [
        Self::Null,
        Self::Boolean,
        Self::Object,
        Self::Array,
        Self::Number,
        Self::Integer,
        Self::String,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::Array => "array",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::String => "string",
        }
    }

    fn fits(self, value: &Value<'_>) -> bool {
        match value {
            Value::Null => self == Self::Null,
            Value::Bool(_) => self == Self::Boolean,
            Value::Object(_) => self == Self::Object,
            Value::Array(_) => self == Self::Array,
            Value::Number(number) => {
                self == Self::Number || self == Self::Integer && number.is_whole()
            }
            Value::Text(_) => self == Self::String,
        }
    }
}

impl Comparison {
    fn holds(self, number: &Number<'_>, bound: &Number<'_>) -> bool {
        let order = number.key().cmp(&bound.key());
        match self {
            Self::Minimum => order.is_ge(),
            Self::Maximum => order.is_le(),
            Self::ExclusiveMinimum => order.is_gt(),
            Self::ExclusiveMaximum => order.is_lt(),
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Minimum => ">=",
            Self::Maximum => "<=",
            Self::ExclusiveMinimum => ">",
            Self::ExclusiveMaximum => "<",
        }
    }
}

/// Exact where both have few enough digits: 0.3 is a multiple of 0.1.
fn is_multiple(number: &Number<'_>, unit: &Number<'_>) -> bool {
    let exact = || {
        let (value, value_exponent) = number.decimal()?;
        let (unit, unit_exponent) = unit.decimal()?;
        let exponent = value_exponent.min(unit_exponent);
        let scale = |digits: i128, from: i32| {
            let factor = 10i128.checked_pow(u32::try_from(from - exponent).ok()?)?;
            digits.checked_mul(factor)
        };
        scale(value, value_exponent)?.checked_rem(scale(unit, unit_exponent)?)
    };
    match exact() {
        Some(rest) => rest == 0,
        None => (number.float() / unit.float()).fract() == 0.0,
    }
}

#[cfg(test)]
#[path = "schema/tests.rs"]
mod tests;
