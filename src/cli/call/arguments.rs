//! Arguments of a call, from texts and files to values.

use std::path::Path;

use distri_core::{Blob, Error, Stream};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::super::{Exit, Failure, describe::suggest, schema::Schema};

/// Text and JSON on stdin or in a file may have so many bytes; what is larger belongs in a blob.
const TEXT_MAX: u64 = 64 << 20;

/// Items that wait between a file and the link.
const ITEMS_WAITING: usize = 64;

/// Named arguments, which serialize as the object that a method takes.
pub(super) struct Arguments(Vec<(String, Argument)>);

enum Argument {
    Value(Value),
    Blob(Blob),
    Stream(Stream<Value>),
}

/// An argument as it was given.
pub(super) enum Given {
    /// `name=value`, not yet read.
    Text { name: String, value: String },
    /// A member of a JSON object.
    Json { name: String, value: Value },
}

impl Given {
    fn name(&self) -> &str {
        match self {
            Self::Text { name, .. } | Self::Json { name, .. } => name,
        }
    }
}

/// Takes the words of the command line apart; a later argument replaces an earlier one of the same
/// name.
pub(super) fn split(words: &[String]) -> Result<Vec<Given>, Failure> {
    let mut given: Vec<Given> = Vec::new();
    let mut add = |new: Given| {
        given.retain(|old| old.name() != new.name());
        given.push(new);
    };
    for word in words {
        let object = if word == "-" {
            Some((read_to_string(std::io::stdin().lock())?, "stdin".to_owned()))
        } else if let Some(path) = word.strip_prefix('@') {
            Some((read_to_string(open(path)?)?, format!("`{path}`")))
        } else if word.trim_start().starts_with('{') {
            Some((word.clone(), "the argument".to_owned()))
        } else {
            None
        };
        match (object, word.split_once('=')) {
            (Some((text, place)), _) => {
                let object: Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
                    Failure::usage(format!("{place} is not a JSON object: {error}"))
                })?;
                object
                    .into_iter()
                    .for_each(|(name, value)| add(Given::Json { name, value }));
            }
            (None, Some((name, value))) if !name.is_empty() => {
                add(Given::Text {
                    name: name.to_owned(),
                    value: value.to_owned(),
                });
            }
            (None, _) => {
                let message = format!("`{word}` is no argument");
                return Err(Failure::usage(message).with_remedy(
                    "expected name=value, {JSON}, @FILE.json, or - for JSON on stdin",
                ));
            }
        }
    }
    Ok(given)
}

/// What is wrong with the names of arguments.
pub(super) struct WrongNames {
    failure: Failure,
    remedy: Option<String>,
}

impl WrongNames {
    pub(super) fn with_example(self, example: &str) -> Failure {
        let example = format!("as in: {example}");
        let remedy = match self.remedy {
            Some(remedy) => format!("{remedy}\n  {example}"),
            None => example,
        };
        self.failure.with_remedy(remedy)
    }
}

/// Refuses names that the method does not have, and names that are missing.
pub(super) fn check_names(given: &[Given], schema: &Schema) -> Result<(), WrongNames> {
    let properties = schema.properties();
    let known: Vec<&str> = properties.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(given) = given.iter().find(|given| !known.contains(&given.name())) {
        let name = given.name();
        return Err(WrongNames {
            failure: Failure::usage(format!("the method has no argument `{name}`")),
            remedy: Some(suggest(name, &known, "arguments")),
        });
    }
    let missing: Vec<String> = schema
        .required()
        .into_iter()
        .filter(|name| !given.iter().any(|given| given.name() == name))
        .map(|name| format!("`{name}`"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = match missing.as_slice() {
        [one] => format!("the argument {one} is missing"),
        several => format!("the arguments {} are missing", several.join(", ")),
    };
    Err(WrongNames {
        failure: Failure::usage(message),
        remedy: None,
    })
}

impl Arguments {
    /// Makes values of what was given.
    pub(super) async fn read(given: Vec<Given>, schema: &Schema) -> Result<Self, Failure> {
        let mut arguments = Vec::new();
        for given in given {
            let (name, argument) = match given {
                Given::Json { name, value } => (name, Argument::Value(value)),
                Given::Text { name, value } => {
                    let argument = read_text(&name, value, schema.property(&name)).await?;
                    (name, argument)
                }
            };
            arguments.push((name, argument));
        }
        Ok(Self(arguments))
    }
}

async fn read_text(name: &str, text: String, schema: Option<Schema>) -> Result<Argument, Failure> {
    let is = |is: fn(&Schema) -> bool| schema.as_ref().is_some_and(is);
    let (is_stream, is_text) = (is(Schema::is_stream), is(Schema::is_text));
    let is_blob = schema.is_none() || is(Schema::is_blob);
    let Some(path) = text.strip_prefix('@') else {
        let json = serde_json::from_str(&text).ok();
        return Ok(Argument::Value(match json {
            // Base64 and text may well read as numbers.
            Some(value) if !is_blob && !is_text => value,
            Some(value @ Value::String(_)) => value,
            Some(Value::Null) => Value::Null,
            _ => Value::String(text),
        }));
    };
    if is_stream {
        return Ok(Argument::Stream(match path {
            "-" => lines(name, tokio::io::stdin()),
            _ => lines(name, tokio::fs::File::from_std(open(path)?)),
        }));
    }
    if is_blob {
        return Ok(Argument::Blob(match path {
            "-" => Blob::from_reader(None, tokio::io::stdin()),
            _ => Blob::from_file(path)
                .await
                .map_err(|error| Failure::new(Exit::Usage, error))?,
        }));
    }
    let text = match path {
        "-" => read_to_string(std::io::stdin().lock())?,
        _ => read_to_string(open(path)?)?,
    };
    if is_text {
        // Editors end a file with a line break that nobody means.
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        return Ok(Argument::Value(Value::String(text.to_owned())));
    }
    let value = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("`{path}`, for `{name}`, is not JSON: {error}")))?;
    Ok(Argument::Value(value))
}

/// One item for each line of JSON.
fn lines(name: &str, reader: impl AsyncRead + Send + Unpin + 'static) -> Stream<Value> {
    let (sender, stream) = Stream::channel(ITEMS_WAITING);
    let name = name.to_owned();
    // Ends with the file, or when the call no longer wants items.
    tokio::spawn(async move {
        let mut lines = BufReader::new(reader).lines();
        let mut nr = 0_usize;
        loop {
            nr += 1;
            let item = match lines.next_line().await {
                Ok(None) => return,
                Ok(Some(line)) if line.trim().is_empty() => continue,
                Ok(Some(line)) => serde_json::from_str(&line).map_err(|error| {
                    Error::invalid_argument(format!("line {nr} of `{name}` is not JSON: {error}"))
                }),
                Err(error) => Err(Error::from(error)),
            };
            match item {
                Ok(item) => {
                    if sender.send(item).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    // Whoever reads the stream learns it; nobody else can.
                    let _ = sender.fail(error).await;
                    return;
                }
            }
        }
    });
    stream
}

fn open(path: &str) -> Result<std::fs::File, Failure> {
    std::fs::File::open(Path::new(path))
        .map_err(|error| Failure::usage(format!("could not open `{path}`: {error}")))
}

fn read_to_string(reader: impl std::io::Read) -> Result<String, Failure> {
    use std::io::Read;

    let mut text = String::new();
    let read = reader.take(TEXT_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("could not read an argument: {error}")))?;
    if text.len() as u64 > TEXT_MAX {
        return Err(Failure::usage(
            "the arguments are larger than 64 MiB; name=@FILE sends a file",
        ));
    }
    Ok(text)
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, argument) in &self.0 {
            match argument {
                Argument::Value(value) => map.serialize_entry(name, value)?,
                Argument::Blob(blob) => map.serialize_entry(name, blob)?,
                Argument::Stream(items) => map.serialize_entry(name, items)?,
            }
        }
        map.end()
    }
}
