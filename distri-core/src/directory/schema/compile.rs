//! Reading a schema: every keyword is known, every reference leads somewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{Comparison, Id, Node, Range, Rule, Schema, Type};
use crate::directory::{
    Json,
    value::{self, Number, Value},
};

/// Schemas within one schema.
const NODES: usize = 10_000;

/// Taken, and without effect on what a document may be.
const ANNOTATIONS: [&str; 16] = [
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$vocabulary",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "examples",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
];

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// Which keyword is not one of ours, or has a value that it cannot have, and where.
    pub(in crate::directory) fn compile(text: &Json) -> Result<Self, String> {
        let root = value::parse(text.as_str()).map_err(|problem| problem.to_string())?;
        let mut compiler = Compiler {
            root: &root,
            nodes: Vec::new(),
            known: BTreeMap::new(),
            waiting: Vec::new(),
        };
        compiler.refer("#", &root)?;
        while let Some((id, place, schema)) = compiler.waiting.pop() {
            compiler.nodes[id] = compiler.node(&place, schema)?;
        }
        let schema = Self {
            nodes: compiler.nodes,
        };
        match schema.is_circular() {
            false => Ok(schema),
            true => Err("the schema refers to itself without end".into()),
        }
    }

    /// Is there a schema that is held against a value only if it is held against it already?
    fn is_circular(&self) -> bool {
        // 0: not seen, 1: on the way here, 2: done.
        let mut marks = vec![0u8; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut path = vec![(start, self.in_place(start))];
            if marks[start] != 0 {
                continue;
            }
            marks[start] = 1;
            while let Some((id, next)) = path.last_mut() {
                match next.pop() {
                    Some(child) if marks[child] == 1 => return true,
                    Some(child) if marks[child] == 0 => {
                        marks[child] = 1;
                        path.push((child, self.in_place(child)));
                    }
                    Some(_) => {}
                    None => {
                        marks[*id] = 2;
                        path.pop();
                    }
                }
            }
        }
        false
    }

    /// The schemas that are held against the same value.
    fn in_place(&self, id: Id) -> Vec<Id> {
        let Node::Rules(rules) = &self.nodes[id] else {
            return Vec::new();
        };
        rules
            .iter()
            .flat_map(|rule| match rule {
                Rule::All(ids) | Rule::Any(ids) | Rule::One(ids) => ids.clone(),
                Rule::Not(id) | Rule::Ref(id) => vec![*id],
                Rule::If {
                    test,
                    then,
                    otherwise,
                } => [Some(*test), *then, *otherwise]
                    .into_iter()
                    .flatten()
                    .collect(),
                _ => Vec::new(),
            })
            .collect()
    }
}

struct Compiler<'a> {
    root: &'a Value<'a>,
    nodes: Vec<Node>,
    /// Schemas by their place.
    known: BTreeMap<String, Id>,
    /// Those not read yet.
    waiting: Vec<(Id, String, &'a Value<'a>)>,
}

impl<'a> Compiler<'a> {
    /// The schema at a place, to be read once.
    fn refer(&mut self, place: &str, schema: &'a Value<'a>) -> Result<Id, String> {
        if let Some(id) = self.known.get(place) {
            return Ok(*id);
        }
        let id = self.nodes.len();
        if id == NODES {
            return Err(format!("the schema has more than {NODES} parts"));
        }
        self.nodes.push(Node::Boolean(true));
        self.known.insert(place.into(), id);
        self.waiting.push((id, place.into(), schema));
        Ok(id)
    }

    fn node(&mut self, place: &str, schema: &'a Value<'a>) -> Result<Node, String> {
        let members = match schema {
            Value::Bool(value) => return Ok(Node::Boolean(*value)),
            Value::Object(members) => members,
            _ => return Err(format!("expected an object or a boolean at `{place}`")),
        };
        let mut rules = Vec::new();
        for (keyword, value) in members {
            let at = Place {
                schema,
                keyword,
                path: format!("{place}/{keyword}"),
                value,
            };
            if let Some(rule) = self.keyword(&at)? {
                rules.push(rule);
            }
        }
        Ok(Node::Rules(rules))
    }

    fn keyword(&mut self, at: &Place<'a, '_>) -> Result<Option<Rule>, String> {
        Ok(Some(match at.keyword {
            "type" => Rule::Type(at.types()?),
            "enum" => at.values(at.array()?)?,
            "const" => at.values(std::slice::from_ref(at.value))?,
            "properties" => Rule::Properties {
                named: self.members(at)?,
                others: self.sibling(at, "additionalProperties")?,
            },
            "additionalProperties" if at.sibling("properties").is_none() => Rule::Properties {
                named: Vec::new(),
                others: Some(self.child(at)?),
            },
            "propertyNames" => Rule::PropertyNames(self.child(at)?),
            "required" => Rule::Required(names(at.value).ok_or_else(|| at.expected(NAMES))?),
            "dependentRequired" => Rule::DependentRequired(
                at.object()?
                    .iter()
                    .map(|(name, value)| Some((name.to_string(), names(value)?)))
                    .collect::<Option<_>>()
                    .ok_or_else(|| at.expected("an object of arrays of texts"))?,
            ),
            "minProperties" => Rule::PropertyCount(Range::from(at.count()?)),
            "maxProperties" => Rule::PropertyCount(Range::to(at.count()?)),
            "prefixItems" => Rule::Items {
                first: self.list(at)?,
                others: self.sibling(at, "items")?,
            },
            "items" if at.sibling("prefixItems").is_none() => Rule::Items {
                first: Vec::new(),
                others: Some(self.child(at)?),
            },
            "contains" => Rule::Contains(
                self.child(at)?,
                Range {
                    min: at.beside("minContains")?.unwrap_or(1),
                    max: at.beside("maxContains")?.unwrap_or(u64::MAX),
                },
            ),
            "minItems" => Rule::ItemCount(Range::from(at.count()?)),
            "maxItems" => Rule::ItemCount(Range::to(at.count()?)),
            "uniqueItems" => match at.value {
                Value::Bool(true) => Rule::UniqueItems,
                Value::Bool(false) => return Ok(None),
                _ => return Err(at.expected("a boolean")),
            },
            "minimum" => Rule::Compare(Comparison::Minimum, at.number()?),
            "maximum" => Rule::Compare(Comparison::Maximum, at.number()?),
            "exclusiveMinimum" => Rule::Compare(Comparison::ExclusiveMinimum, at.number()?),
            "exclusiveMaximum" => Rule::Compare(Comparison::ExclusiveMaximum, at.number()?),
            "multipleOf" => {
                let unit = at.number()?;
                if unit.float() <= 0.0 {
                    return Err(at.expected("a number above 0"));
                }
                Rule::MultipleOf(unit)
            }
            "minLength" => Rule::Length(Range::from(at.count()?)),
            "maxLength" => Rule::Length(Range::to(at.count()?)),
            "allOf" => Rule::All(self.some(at)?),
            "anyOf" => Rule::Any(self.some(at)?),
            "oneOf" => Rule::One(self.some(at)?),
            "not" => Rule::Not(self.child(at)?),
            "if" => Rule::If {
                test: self.child(at)?,
                then: self.sibling(at, "then")?,
                otherwise: self.sibling(at, "else")?,
            },
            "$ref" => Rule::Ref(self.reference(at)?),
            "$defs" | "definitions" => {
                // Read also where nothing refers to them, so that mistakes show.
                self.members(at)?;
                return Ok(None);
            }
            "additionalProperties" | "items" | "then" | "else" => {
                // Belong to `properties`, `prefixItems` and `if`.
                self.child(at)?;
                return Ok(None);
            }
            "minContains" | "maxContains" => {
                at.count()?;
                return Ok(None);
            }
            annotation if ANNOTATIONS.contains(&annotation) => return Ok(None),
            other => {
                return Err(format!(
                    "the keyword `{other}` at `{}` is not supported",
                    at.path
                ));
            }
        }))
    }

    fn child(&mut self, at: &Place<'a, '_>) -> Result<Id, String> {
        self.refer(&at.path, at.value)
    }

    /// The schema beside this keyword, if there is one.
    fn sibling(&mut self, at: &Place<'a, '_>, keyword: &str) -> Result<Option<Id>, String> {
        let parent = at.path.len() - at.keyword.len();
        let path = format!("{}{keyword}", &at.path[..parent]);
        at.sibling(keyword)
            .map(|schema| self.refer(&path, schema))
            .transpose()
    }

    fn members(&mut self, at: &Place<'a, '_>) -> Result<Vec<(String, Id)>, String> {
        at.object()?
            .iter()
            .map(|(name, schema)| {
                let id = self.refer(&format!("{}/{}", at.path, escaped(name)), schema)?;
                Ok((name.to_string(), id))
            })
            .collect()
    }

    fn list(&mut self, at: &Place<'a, '_>) -> Result<Vec<Id>, String> {
        at.array()?
            .iter()
            .enumerate()
            .map(|(n, schema)| self.refer(&format!("{}/{n}", at.path), schema))
            .collect()
    }

    /// A list of at least one.
    fn some(&mut self, at: &Place<'a, '_>) -> Result<Vec<Id>, String> {
        match self.list(at)? {
            none if none.is_empty() => Err(at.expected("at least one schema")),
            some => Ok(some),
        }
    }

    fn reference(&mut self, at: &Place<'a, '_>) -> Result<Id, String> {
        let Value::Text(target) = at.value else {
            return Err(at.expected("a text"));
        };
        if target == "#" {
            return self.refer("#", self.root);
        }
        let found = ["$defs", "definitions"].into_iter().find_map(|list| {
            let name = target.strip_prefix(&format!("#/{list}/"))?;
            let name = name.replace("~1", "/").replace("~0", "~");
            self.root.member(list)?.member(&name)
        });
        match found {
            Some(schema) => self.refer(target, schema),
            None => Err(at.expected("`#`, or `#/$defs/…` with a schema that is there")),
        }
    }
}

/// A keyword where it stands.
struct Place<'a, 'k> {
    schema: &'a Value<'a>,
    keyword: &'k str,
    path: String,
    value: &'a Value<'a>,
}

const NAMES: &str = "an array of texts";

impl<'a> Place<'a, '_> {
    fn expected(&self, what: &str) -> String {
        format!("expected {what} at `{}` of the schema", self.path)
    }

    fn sibling(&self, keyword: &str) -> Option<&'a Value<'a>> {
        self.schema.member(keyword)
    }

    fn object(&self) -> Result<&'a [(std::borrow::Cow<'a, str>, Value<'a>)], String> {
        match self.value {
            Value::Object(members) => Ok(members),
            _ => Err(self.expected("an object")),
        }
    }

    fn array(&self) -> Result<&'a [Value<'a>], String> {
        match self.value {
            Value::Array(items) => Ok(items),
            _ => Err(self.expected("an array")),
        }
    }

    fn number(&self) -> Result<Number<'static>, String> {
        match self.value {
            Value::Number(number) => Ok(number.clone().into_owned()),
            _ => Err(self.expected("a number")),
        }
    }

    fn count(&self) -> Result<u64, String> {
        count(self.value).ok_or_else(|| self.expected("a count"))
    }

    /// The count that stands beside this keyword.
    fn beside(&self, keyword: &str) -> Result<Option<u64>, String> {
        self.sibling(keyword)
            .map(|value| {
                count(value).ok_or_else(|| self.expected(&format!("a count in `{keyword}`")))
            })
            .transpose()
    }

    fn types(&self) -> Result<Vec<Type>, String> {
        let names = match self.value {
            Value::Text(name) => vec![name.to_string()],
            value => names(value).ok_or_else(|| self.expected("a type or an array of types"))?,
        };
        names
            .iter()
            .map(|name| {
                let known = Type::ALL.into_iter().find(|known| known.name() == name);
                known.ok_or_else(|| self.expected("types of JSON Schema"))
            })
            .collect()
    }

    fn values(&self, values: &[Value<'_>]) -> Result<Rule, String> {
        if values.is_empty() {
            return Err(self.expected("at least one value"));
        }
        let texts: Vec<_> = values.iter().map(Value::to_text).collect();
        let keys: BTreeSet<_> = values.iter().map(Value::to_key).collect();
        let mut shown = texts.join(" or ");
        if let Some((end, _)) = shown.char_indices().nth(200) {
            shown.truncate(end);
            shown.push('…');
        }
        Ok(Rule::OneValueOf(keys, shown))
    }
}

impl Range {
    fn from(min: u64) -> Self {
        Self { min, max: u64::MAX }
    }

    fn to(max: u64) -> Self {
        Self { min: 0, max }
    }
}

/// A whole number of at least 0; `2.0` is one, too.
fn count(value: &Value<'_>) -> Option<u64> {
    let Value::Number(number) = value else {
        return None;
    };
    let (digits, exponent) = number.decimal()?;
    let power = 10i128.checked_pow(exponent.unsigned_abs())?;
    let value = match exponent {
        0.. => digits.checked_mul(power)?,
        _ if digits % power == 0 => digits / power,
        _ => return None,
    };
    u64::try_from(value).ok()
}

fn names(value: &Value<'_>) -> Option<Vec<String>> {
    let Value::Array(items) = value else {
        return None;
    };
    items
        .iter()
        .map(|item| match item {
            Value::Text(name) => Some(name.to_string()),
            _ => None,
        })
        .collect()
}

/// A name as part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
