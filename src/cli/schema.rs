//! What can be read off a method's JSON Schema: its arguments, their types in a few words, where
//! blobs and streams are.

use serde_json::Value;

/// A schema, with the document in which its references are looked up.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    root: std::sync::Arc<Value>,
    here: Value,
}

/// References may form rings; nothing sensible is deeper.
const DEPTH_MAX: usize = 16;

impl Schema {
    /// Reads a schema; text that is none reads as one that allows anything.
    pub(super) fn parse(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or(Value::Bool(true));
        let schema = Self { root: value.clone().into(), here: Value::Null };
        schema.at(&value)
    }

    fn at(&self, here: &Value) -> Self {
        let mut here = here;
        for _ in 0..DEPTH_MAX {
            let Some(name) = here.get("$ref").and_then(Value::as_str) else {
                break;
            };
            let Some(found) = name.strip_prefix('#').and_then(|name| self.root.pointer(name))
            else {
                break;
            };
            here = found;
        }
        Self { root: self.root.clone(), here: here.clone() }
    }

    /// The members of an object, in the order written.
    pub(super) fn properties(&self) -> Vec<(String, Self)> {
        let properties = self.here.get("properties").and_then(Value::as_object);
        let pairs = properties.into_iter().flatten();
        pairs.map(|(name, schema)| (name.clone(), self.at(schema))).collect()
    }

    /// The member `name`, if the schema says something about it.
    pub(super) fn property(&self, name: &str) -> Option<Self> {
        self.variants().iter().find_map(|schema| {
            let found = schema.here.get("properties").and_then(|all| all.get(name));
            let others = || schema.here.get("additionalProperties").filter(|s| s.is_object());
            found.or_else(others).map(|found| schema.at(found))
        })
    }

    /// What the items of a list are.
    pub(super) fn items(&self) -> Option<Self> {
        self.variants()
            .iter()
            .find_map(|schema| schema.here.get("items").map(|items| schema.at(items)))
    }

    /// The members that must be there.
    pub(super) fn required(&self) -> Vec<String> {
        let required = self.here.get("required").and_then(Value::as_array);
        let names = required.into_iter().flatten().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    }

    /// Bytes.
    pub(super) fn is_blob(&self) -> bool {
        self.any(|here| here.get("x-distri") == Some(&Value::from("blob")))
    }

    /// Items one after another.
    pub(super) fn is_stream(&self) -> bool {
        self.any(|here| here.get("x-distri") == Some(&Value::from("stream")))
    }

    /// Text and nothing else (or nothing).
    pub(super) fn is_text(&self) -> bool {
        let types = self.types();
        types.iter().any(|name| name == "string")
            && types.iter().all(|name| name == "string" || name == "null")
    }

    fn any(&self, is: impl Fn(&Value) -> bool) -> bool {
        self.variants().iter().any(|schema| is(&schema.here))
    }

    /// The schema itself and the alternatives that it names.
    fn variants(&self) -> Vec<Self> {
        let mut variants = vec![self.clone()];
        for word in ["anyOf", "oneOf", "allOf"] {
            let list = self.here.get(word).and_then(Value::as_array);
            variants.extend(list.into_iter().flatten().map(|schema| self.at(schema)));
        }
        variants
    }

    fn types(&self) -> Vec<String> {
        let mut types = Vec::new();
        for schema in self.variants() {
            match schema.here.get("type") {
                Some(Value::String(name)) => types.push(name.clone()),
                Some(Value::Array(names)) => {
                    types.extend(names.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => {
                    let constant = schema
                        .here
                        .get("const")
                        .or_else(|| schema.here.get("enum").and_then(|values| values.get(0)));
                    if constant.is_some_and(Value::is_string) {
                        types.push("string".to_owned());
                    } else if constant.is_some() || schema.here.get("properties").is_some() {
                        types.push("object".to_owned());
                    }
                }
            }
        }
        types
    }

    /// The type in a few words, as a person would say it.
    pub(super) fn words(&self) -> String {
        self.words_within(DEPTH_MAX)
    }

    fn words_within(&self, depth: usize) -> String {
        if depth == 0 {
            return "…".to_owned();
        }
        if self.is_blob() {
            return "bytes".to_owned();
        }
        let items = || self.items().map_or("any".to_owned(), |items| items.words_within(depth - 1));
        if self.is_stream() {
            return format!("stream of {}", items());
        }
        if let Some(choices) = self.choices() {
            return choices.join(" | ");
        }
        let types = self.types();
        let optional = types.iter().any(|name| name == "null") && types.len() > 1;
        let mut names: Vec<String> = Vec::new();
        for name in types.iter().filter(|name| *name != "null" || !optional) {
            let word = match name.as_str() {
                "string" => "text".to_owned(),
                "array" => format!("list of {}", items()),
                "object" => self.object_words(depth),
                "null" => "nothing".to_owned(),
                other => other.to_owned(),
            };
            if !names.contains(&word) {
                names.push(word);
            }
        }
        match (names.is_empty(), optional) {
            (true, _) => "any".to_owned(),
            (false, true) => format!("{}, optional", names.join(" or ")),
            (false, false) => names.join(" or "),
        }
    }

    fn object_words(&self, depth: usize) -> String {
        let members: Vec<String> = self
            .variants()
            .iter()
            .flat_map(Self::properties)
            .map(|(name, schema)| format!("{name}: {}", schema.words_within(depth - 1)))
            .collect();
        if members.is_empty() { "object".to_owned() } else { format!("{{{}}}", members.join(", ")) }
    }

    /// The names of an enumeration.
    fn choices(&self) -> Option<Vec<String>> {
        if let Some(values) = self.here.get("enum").and_then(Value::as_array) {
            return Some(values.iter().map(plain).collect());
        }
        let variants = self.here.get("oneOf").and_then(Value::as_array)?;
        variants.iter().map(|variant| variant.get("const").map(plain)).collect()
    }

    /// What one would type in place of a value.
    pub(super) fn placeholder(&self) -> String {
        if self.is_blob() {
            return "@FILE".to_owned();
        }
        if self.is_stream() {
            return "@FILE.jsonl".to_owned();
        }
        if let Some(first) = self.choices().and_then(|choices| choices.into_iter().next()) {
            return first;
        }
        let types = self.types();
        match types.first().map(String::as_str) {
            Some("string") => "TEXT".to_owned(),
            Some("integer") => "1".to_owned(),
            Some("number") => "1.5".to_owned(),
            Some("boolean") => "true".to_owned(),
            Some("array") => "'[…]'".to_owned(),
            Some("object") => "'{…}'".to_owned(),
            _ => "VALUE".to_owned(),
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
