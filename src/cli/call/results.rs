//! Results of a call: values to stdout, blobs to files, streams one item a line as they come.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use distri_core::{Error, client::JsonReply};
use serde_json::{Value, json};

use super::super::{
    Exit, Failure, ProgressLine,
    output::{Output, tell},
    schema::Schema,
};

/// What carries a blob or stream beside a message.
type Attachment = distri_core::message::Attachment;

/// Whether somebody said so, or it is the default.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Yes,
    No,
}

/// Where the result goes.
pub(super) enum Destination {
    /// Standard output, and whether it was asked for by name.
    Stdout(Output, Asked),
    File(PathBuf),
}

impl Destination {
    /// Chooses, before the call is made: bytes that nobody could take would be lost with whatever
    /// the call has done.
    pub(super) fn choose(
        file: Option<&Path>,
        output: Output,
        result: &Schema,
    ) -> Result<Self, Failure> {
        match file {
            Some(path) if path != Path::new("-") => Ok(Self::File(path.to_owned())),
            Some(_) => Ok(Self::Stdout(output, Asked::Yes)),
            None if result.is_blob() && output.is_terminal() => Err(no_bytes_on_terminals()),
            None => Ok(Self::Stdout(output, Asked::No)),
        }
    }
}

fn no_bytes_on_terminals() -> Failure {
    Failure::usage("the result is bytes, which a terminal does not show").with_remedy(
        "`--output FILE` saves them, `| …` passes them on, `--output -` shows them anyway",
    )
}

/// Delivers a result.
pub(super) struct Results<'a> {
    schema: &'a Schema,
    destination: Destination,
    folder: Option<&'a Path>,
    progress: &'a ProgressLine,
    /// File names given in this call.
    taken: HashSet<String>,
    /// Blobs that nobody asked for.
    left: usize,
}

/// A part of a result that is no JSON.
enum Part {
    /// A blob beside the message.
    Attached { place: usize, len: Option<u64> },
    /// A blob inside the message.
    Inline(Vec<u8>),
}

impl<'a> Results<'a> {
    pub(super) fn new(
        schema: &'a Schema,
        destination: Destination,
        folder: Option<&'a Path>,
        progress: &'a ProgressLine,
    ) -> Self {
        Self {
            schema,
            destination,
            folder,
            progress,
            taken: HashSet::new(),
            left: 0,
        }
    }

    /// Brings the result to its destination.
    pub(super) async fn deliver(mut self, reply: JsonReply) -> Result<(), Failure> {
        let JsonReply {
            value, attachments, ..
        } = reply;
        let mut attachments: Vec<Option<Attachment>> = attachments.into_iter().map(Some).collect();
        if let Some(place) = stream_place(&value) {
            let items = take(&mut attachments, place)?;
            self.deliver_stream(items).await?;
        } else if let Some(part) = part(&value, Some(self.schema)) {
            self.deliver_blob(part, &mut attachments).await?;
        } else {
            let value = self
                .settle(value, &mut attachments, Some(self.schema), "")
                .await?;
            match &self.destination {
                Destination::Stdout(output, _) => output.json(&value)?,
                Destination::File(path) => {
                    let text = serde_json::to_vec_pretty(&value).map_err(broken)?;
                    let mut file = NewFile::create(path)?;
                    file.write(&text)?;
                    file.write(b"\n")?;
                    file.keep()?;
                }
            }
        }
        if self.left > 0 {
            tell(&format!(
                "note: {} blobs were left behind; --output-dir DIR saves them",
                self.left
            ));
        }
        Ok(())
    }

    async fn deliver_stream(&mut self, mut items: Attachment) -> Result<(), Failure> {
        let mut file = match &self.destination {
            Destination::File(path) => Some(NewFile::create(path)?),
            Destination::Stdout(..) => None,
        };
        let schema = self.schema.items();
        let mut nr = 0_usize;
        while let Some(message) = items.next().await {
            let message = message?;
            let value: Value = serde_json::from_slice(&message.body).map_err(broken)?;
            let mut attachments: Vec<_> = message.attachments.into_iter().map(Some).collect();
            nr += 1;
            let prefix = format!("{nr:04}");
            let value = self
                .settle(value, &mut attachments, schema.as_ref(), &prefix)
                .await?;
            self.progress.clear();
            match (&mut file, &self.destination) {
                (Some(file), _) => file.write(format!("{value}\n").as_bytes())?,
                (None, Destination::Stdout(output, _)) => output.json_line(&value)?,
                (None, Destination::File(_)) => {}
            }
        }
        file.map_or(Ok(()), NewFile::keep)
    }

    async fn deliver_blob(
        &mut self,
        part: Part,
        attachments: &mut [Option<Attachment>],
    ) -> Result<(), Failure> {
        match &self.destination {
            Destination::File(path) => {
                let mut file = NewFile::create(path)?;
                let write = |bytes: &[u8]| file.write(bytes);
                copy(part, attachments, self.progress, write).await?;
                file.keep()
            }
            Destination::Stdout(output, Asked::No) if output.is_terminal() => {
                Err(no_bytes_on_terminals())
            }
            Destination::Stdout(output, _) => {
                copy(part, attachments, self.progress, |bytes| {
                    output.bytes(bytes)
                })
                .await
            }
        }
    }

    /// Saves the blobs inside `value` and puts the names of their files in their place.
    async fn settle(
        &mut self,
        mut value: Value,
        attachments: &mut [Option<Attachment>],
        schema: Option<&Schema>,
        prefix: &str,
    ) -> Result<Value, Failure> {
        let mut found = Vec::new();
        find_parts(&value, schema, String::new(), &mut found);
        let Some(folder) = self.folder else {
            self.left += found
                .iter()
                .filter(|(_, part)| matches!(part, Part::Attached { .. }))
                .count();
            return Ok(value);
        };
        for (pointer, part) in found {
            let (path, bytes) = self
                .save(folder, prefix, &pointer, part, attachments)
                .await?;
            if let Some(place) = value.pointer_mut(&pointer) {
                *place = json!({ "file": path.display().to_string(), "bytes": bytes });
            }
        }
        Ok(value)
    }

    async fn save(
        &mut self,
        folder: &Path,
        prefix: &str,
        pointer: &str,
        part: Part,
        attachments: &mut [Option<Attachment>],
    ) -> Result<(PathBuf, u64), Failure> {
        fs::create_dir_all(folder).map_err(|error| could_not_write(folder, &error))?;
        let name = self.free_name(&file_name(prefix, pointer));
        // What kind of file it is can be told from its first bytes, which come later.
        let mut file = NewFile::create(&folder.join(&name))?;
        let mut first: Vec<u8> = Vec::new();
        let mut bytes = 0_u64;
        copy(part, attachments, self.progress, |chunk| {
            bytes += chunk.len() as u64;
            if first.len() < 16 {
                first.extend_from_slice(&chunk[..chunk.len().min(16)]);
            }
            file.write(chunk)
        })
        .await?;
        let path = folder.join(format!("{name}.{}", extension(&first)));
        file.keep_as(&path)?;
        Ok((path, bytes))
    }

    fn free_name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut nr = 1;
        while !self.taken.insert(name.clone()) {
            nr += 1;
            name = format!("{wanted}-{nr}");
        }
        name
    }
}

/// Passes the bytes of a blob on.
async fn copy(
    part: Part,
    attachments: &mut [Option<Attachment>],
    progress: &ProgressLine,
    mut write: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (place, len) = match part {
        Part::Inline(bytes) => return write(&bytes),
        Part::Attached { place, len } => (place, len),
    };
    let mut chunks = take(attachments, place)?;
    let mut received = 0_u64;
    while let Some(message) = chunks.next().await {
        let chunk = message?.body;
        received += chunk.len() as u64;
        write(&chunk)?;
        if let Some(len) = len.filter(|len| *len > 0) {
            progress.show((received as f64 / len as f64) as f32, "receiving");
        }
    }
    progress.clear();
    match len {
        Some(len) if len != received => Err(Failure::new(
            Exit::Failed,
            format!("the blob was to have {len} bytes, {received} came"),
        )),
        _ => Ok(()),
    }
}

fn take(attachments: &mut [Option<Attachment>], place: usize) -> Result<Attachment, Failure> {
    attachments
        .get_mut(place)
        .and_then(Option::take)
        .ok_or_else(|| {
            Failure::new(
                Exit::Failed,
                format!("the result refers to an attachment {place} that it does not have"),
            )
        })
}

fn broken(error: serde_json::Error) -> Failure {
    let error =
        Error::new(distri_core::Code::Incompatible, "the result is not JSON").with_source(error);
    Failure::new(Exit::Failed, error)
}

fn stream_place(value: &Value) -> Option<usize> {
    marked(value, "$stream").map(|(place, _)| place)
}

/// The place of an attachment, if `value` is the mark of one.
fn marked(value: &Value, mark: &str) -> Option<(usize, Option<u64>)> {
    let object = value.as_object()?;
    let place = object.get(mark)?.as_u64()?;
    let is_mark = object.keys().all(|key| key == mark || key == "len");
    is_mark.then(|| (place as usize, object.get("len").and_then(Value::as_u64)))
}

fn part(value: &Value, schema: Option<&Schema>) -> Option<Part> {
    if let Some((place, len)) = marked(value, "$blob") {
        return Some(Part::Attached { place, len });
    }
    if schema.is_some_and(Schema::is_blob) {
        let bytes = BASE64.decode(value.as_str()?.as_bytes()).ok()?;
        return Some(Part::Inline(bytes));
    }
    None
}

fn find_parts(
    value: &Value,
    schema: Option<&Schema>,
    pointer: String,
    found: &mut Vec<(String, Part)>,
) {
    if let Some(part) = part(value, schema) {
        found.push((pointer, part));
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                let schema = schema.and_then(|schema| schema.property(name));
                find_parts(
                    member,
                    schema.as_ref(),
                    format!("{pointer}/{escaped}"),
                    found,
                );
            }
        }
        Value::Array(items) => {
            let schema = schema.and_then(Schema::items);
            for (nr, item) in items.iter().enumerate() {
                find_parts(item, schema.as_ref(), format!("{pointer}/{nr}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A file name for the blob at `pointer`. Names come from the node: nothing in them may lead out of
/// the folder.
fn file_name(prefix: &str, pointer: &str) -> String {
    let plain: String = format!("{prefix}{pointer}")
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            }
        })
        .take(100)
        .collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() {
        "blob".to_owned()
    } else {
        plain.to_owned()
    }
}

fn extension(first: &[u8]) -> &'static str {
    const KINDS: [(&[u8], &str); 7] = [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff", "jpg"),
        (b"GIF8", "gif"),
        (b"RIFF", "webp"),
        (b"BM", "bmp"),
        (b"%PDF", "pdf"),
        (b"PK\x03\x04", "zip"),
    ];
    KINDS
        .iter()
        .find(|(start, _)| first.starts_with(start))
        .map_or("bin", |(_, kind)| kind)
}

/// A file that appears under its name only when it is whole; what is half-written is removed.
struct NewFile {
    file: File,
    unfinished: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl NewFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let unfinished = path.with_file_name(name);
        let file = File::create(&unfinished).map_err(|error| could_not_write(path, &error))?;
        Ok(Self {
            file,
            unfinished,
            path: path.to_owned(),
            kept: false,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file
            .write_all(bytes)
            .map_err(|error| could_not_write(&self.path, &error))
    }

    fn keep(self) -> Result<(), Failure> {
        let path = self.path.clone();
        self.keep_as(&path)
    }

    fn keep_as(mut self, path: &Path) -> Result<(), Failure> {
        fs::rename(&self.unfinished, path).map_err(|error| could_not_write(path, &error))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // If it cannot be removed it stays, under a name that says what it is.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

fn could_not_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("could not write `{}`: {error}", path.display()),
    )
}
