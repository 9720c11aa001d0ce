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
        let schema = Self {
            root: value.clone().into(),
            here: Value::Null,
        };
        schema.at(&value)
    }

    fn at(&self, here: &Value) -> Self {
        let mut here = here;
        for _ in 0..DEPTH_MAX {
            let Some(name) = here.get("$ref").and_then(Value::as_str) else {
                break;
            };
            let Some(found) = name
                .strip_prefix('#')
                .and_then(|name| self.root.pointer(name))
            else {
                break;
            };
            here = found;
        }
        Self {
            root: self.root.clone(),
            here: here.clone(),
        }
    }

    /// The members of an object, in the order written.
    pub(super) fn properties(&self) -> Vec<(String, Self)> {
        let properties = self.here.get("properties").and_then(Value::as_object);
        let pairs = properties.into_iter().flatten();
        pairs
            .map(|(name, schema)| (name.clone(), self.at(schema)))
            .collect()
    }

    /// The member `name`, if the schema says something about it.
    pub(super) fn property(&self, name: &str) -> Option<Self> {
        self.variants().iter().find_map(|schema| {
            let found = schema.here.get("properties").and_then(|all| all.get(name));
            let others = || {
                schema
                    .here
                    .get("additionalProperties")
                    .filter(|s| s.is_object())
            };
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
        let is_text = |name: &String| name == "string";
        types.iter().any(is_text) && types.iter().all(|name| is_text(name) || name == "null")
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

    /// The schemas of which one holds: the alternatives that this one names, or itself.
    fn alternatives(&self) -> Vec<Self> {
        let list = ["anyOf", "oneOf"]
            .iter()
            .find_map(|word| self.here.get(*word)?.as_array());
        match list {
            Some(list) => list.iter().map(|schema| self.at(schema)).collect(),
            None => vec![self.clone()],
        }
    }

    /// What `type` says; where it is left out, what the other words imply.
    fn types(&self) -> Vec<String> {
        let alternatives = self.alternatives();
        let names = alternatives
            .iter()
            .flat_map(|schema| match schema.here.get("type") {
                Some(Value::String(name)) => vec![name.clone()],
                Some(Value::Array(names)) => names
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
                _ if schema.choices().is_some() => vec!["string".to_owned()],
                _ if schema.here.get("properties").is_some() => vec!["object".to_owned()],
                _ => Vec::new(),
            });
        names.collect()
    }

    /// The names of an enumeration.
    fn choices(&self) -> Option<Vec<String>> {
        if let Some(only) = self.here.get("const") {
            return Some(vec![plain(only)]);
        }
        let values = self.here.get("enum")?.as_array()?;
        Some(values.iter().map(plain).collect())
    }

    /// The type in a few words, as a person would say it.
    pub(super) fn words(&self) -> String {
        self.words_within(DEPTH_MAX)
    }

    fn words_within(&self, depth: usize) -> String {
        if depth == 0 {
            return "…".to_owned();
        }
        let mut words: Vec<String> = Vec::new();
        for alternative in self.alternatives() {
            for word in alternative.single_words(depth) {
                if !words.contains(&word) {
                    words.push(word);
                }
            }
        }
        let nothing = words.iter().position(|word| word == NOTHING);
        match nothing {
            Some(place) if words.len() > 1 => {
                words.remove(place);
                format!("optional {}", words.join(" | "))
            }
            _ if words.is_empty() => "any".to_owned(),
            _ => words.join(" | "),
        }
    }

    /// The words for a schema without alternatives; several where it names several types.
    fn single_words(&self, depth: usize) -> Vec<String> {
        let items = || {
            self.items()
                .map_or_else(|| "any".to_owned(), |items| items.words_within(depth - 1))
        };
        match self.here.get("x-distri").and_then(Value::as_str) {
            Some("blob") => return vec!["bytes".to_owned()],
            Some("stream") => return vec![format!("stream of {}", items())],
            _ => {}
        }
        if let Some(choices) = self.choices() {
            return choices;
        }
        let word = |name: &String| match name.as_str() {
            "string" => "text".to_owned(),
            "array" => format!("list of {}", items()),
            "object" => self.object_words(depth),
            "null" => NOTHING.to_owned(),
            other => other.to_owned(),
        };
        self.types().iter().map(word).collect()
    }

    fn object_words(&self, depth: usize) -> String {
        let members = self.members(depth);
        if members.is_empty() {
            "object".to_owned()
        } else {
            format!("{{{}}}", members.join(", "))
        }
    }

    /// The members of an object in words, `name: type`; none for anything else.
    fn members(&self, depth: usize) -> Vec<String> {
        let words =
            |(name, schema): (String, Self)| format!("{name}: {}", schema.words_within(depth - 1));
        self.properties().into_iter().map(words).collect()
    }

    /// The words, on several lines if they are too long for one.
    pub(super) fn lines(&self, width: usize) -> Vec<String> {
        let words = self.words();
        let members = self.members(DEPTH_MAX);
        if words.chars().count() <= width || members.is_empty() {
            vec![words]
        } else {
            members
        }
    }

    /// What one would type in place of a value.
    pub(super) fn placeholder(&self) -> String {
        if self.is_blob() {
            return "@FILE".to_owned();
        }
        if self.is_stream() {
            return "@FILE.jsonl".to_owned();
        }
        match self.example(DEPTH_MAX) {
            Value::String(text) => text,
            value @ (Value::Object(_) | Value::Array(_)) => format!("'{value}'"),
            other => other.to_string(),
        }
    }

    /// A value that fits, with what is required and nothing else.
    fn example(&self, depth: usize) -> Value {
        let alternatives = self.alternatives();
        let Some(first) = alternatives.first().filter(|_| depth > 0) else {
            return Value::Null;
        };
        if let Some(choice) = first
            .choices()
            .and_then(|choices| choices.into_iter().next())
        {
            return Value::from(choice);
        }
        match first.types().first().map(String::as_str) {
            Some("string") => Value::from("TEXT"),
            Some("integer") => Value::from(1),
            Some("number") => Value::from(1.5),
            Some("boolean") => Value::from(true),
            Some("array") => first
                .items()
                .map(|items| items.example(depth - 1))
                .into_iter()
                .collect(),
            Some("object") => {
                let required = first.required();
                let members = first
                    .properties()
                    .into_iter()
                    .filter(|(name, _)| required.contains(name));
                members
                    .map(|(name, schema)| (name, schema.example(depth - 1)))
                    .collect()
            }
            _ => Value::from("VALUE"),
        }
    }
}

/// The word for no value.
const NOTHING: &str = "nothing";

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
