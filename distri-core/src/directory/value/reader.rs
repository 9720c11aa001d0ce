//! Reading JSON texts (RFC 8259): as a tree, or only what is asked for.

use std::borrow::Cow;

use super::{DEPTH, Malformed, Number, Value};

/// Takes a whole text apart.
pub(crate) fn parse(text: &str) -> Result<Value<'_>, Malformed> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    reader.end()?;
    Ok(value)
}

/// Takes the value apart with which `text` begins; also gives its length.
pub(crate) fn parse_prefix(text: &str) -> Result<(Value<'_>, usize), Malformed> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    Ok((value, reader.at))
}

/// Checks a whole text without building anything.
pub(crate) fn check(text: &str) -> Result<(), Malformed> {
    let mut reader = Reader::new(text);
    reader.skip()?;
    reader.end()
}

/// The part of `text` at a path like `address.city` or `tags.0`.
pub(crate) fn at<'a>(text: &'a str, path: &str) -> Option<Value<'a>> {
    let mut reader = Reader::new(text);
    for step in path.split('.') {
        if !reader.descend(step).ok()? {
            return None;
        }
    }
    reader.value().ok()
}

/// Reads a JSON text (RFC 8259) from its start to its end.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        match self.peek() {
            Some(b'{') => {
                let mut members = Vec::new();
                self.items(b'{', b'}', |reader| {
                    let name = reader.name()?;
                    members.push((name, reader.value()?));
                    Ok(())
                })?;
                Ok(Value::Object(last_of_each(members)))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.items(b'[', b']', |reader| {
                    items.push(reader.value()?);
                    Ok(())
                })?;
                Ok(Value::Array(items))
            }
            Some(b'"') => self.string().map(Value::Text),
            Some(b't') => self.word("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Value::Null),
            _ => self
                .number()
                .map(|text| Value::Number(Number(Cow::Borrowed(text)))),
        }
    }

    /// Reads over a value.
    fn skip(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'{') => self.items(b'{', b'}', |reader| {
                reader.raw_name()?;
                reader.skip()
            }),
            Some(b'[') => self.items(b'[', b']', Self::skip),
            Some(b'"') => self.raw_string().map(|_| ()),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number().map(|_| ()),
        }
    }

    /// Goes to the member or item `step` of the value that begins here. `false`: there is none.
    fn descend(&mut self, step: &str) -> Result<bool, Malformed> {
        let mut found = None;
        match self.peek() {
            Some(b'{') => self.items(b'{', b'}', |reader| {
                let (name, escaped) = reader.raw_name()?;
                let same = if escaped {
                    unescape(name) == step
                } else {
                    name == step
                };
                reader.space();
                if same {
                    found = Some(reader.at);
                }
                reader.skip()
            })?,
            Some(b'[') => {
                let Some(wanted) = index(step) else {
                    return Ok(false);
                };
                let mut n = 0;
                self.items(b'[', b']', |reader| {
                    if n == wanted {
                        reader.space();
                        found = Some(reader.at);
                    }
                    n += 1;
                    reader.skip()
                })?;
            }
            _ => {}
        }
        self.at = found.unwrap_or(self.at);
        Ok(found.is_some())
    }

    fn items(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.depth == DEPTH {
            return Err(self.expected("at most 100 levels"));
        }
        self.depth += 1;
        self.byte(open, "a value")?;
        if self.peek() == Some(close) {
            self.at += 1;
        } else {
            loop {
                item(self)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == close => {
                        self.at += 1;
                        break;
                    }
                    _ => return Err(self.expected("`,` or the closing bracket")),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn name(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let (raw, escaped) = self.raw_name()?;
        Ok(text_of(raw, escaped))
    }

    fn raw_name(&mut self) -> Result<(&'a str, bool), Malformed> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a name in quotes"));
        }
        let name = self.raw_string()?;
        self.space();
        self.byte(b':', "`:`")?;
        Ok(name)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let (raw, escaped) = self.raw_string()?;
        Ok(text_of(raw, escaped))
    }

    /// What stands between the quotes, and whether it has escapes. These are checked.
    fn raw_string(&mut self) -> Result<(&'a str, bool), Malformed> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain(&bytes[self.at.min(bytes.len())..]);
            match bytes.get(self.at) {
                Some(b'"') => {
                    let raw = &self.text[start..self.at];
                    self.at += 1;
                    return Ok((raw, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..0x20) | None => return Err(self.expected("`\"`")),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.unit(self.at)?;
                self.at += 6;
                if (0xD800..0xDC00).contains(&unit) {
                    let low = self.unit(self.at)?;
                    if !(0xDC00..0xE000).contains(&low) {
                        return Err(self.expected("the second half of a surrogate pair"));
                    }
                    self.at += 6;
                } else if (0xDC00..0xE000).contains(&unit) {
                    return Err(self.expected("no lone half of a surrogate pair"));
                }
            }
            _ => return Err(self.expected("an escape of JSON")),
        }
        Ok(())
    }

    /// The number in `\uXXXX` at `at`.
    fn unit(&self, at: usize) -> Result<u32, Malformed> {
        let bytes = self.text.as_bytes();
        let Some([b'\\', b'u', digits @ ..]) = bytes.get(at..at + 6) else {
            return Err(self.expected("`\\u` and four digits"));
        };
        digits.iter().try_fold(0, |unit, digit| {
            char::from(*digit)
                .to_digit(16)
                .map(|digit| unit * 16 + digit)
                .ok_or_else(|| self.expected("four hexadecimal digits"))
        })
    }

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits("a digit")?,
            _ => return Err(self.expected("a value")),
        }
        let mut plain = true;
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits("a digit after the point")?;
        }
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            plain = false;
            self.at += 1;
            if let Some(b'+' | b'-') = bytes.get(self.at) {
                self.at += 1;
            }
            self.digits("an exponent")?;
        }
        let text = &self.text[start..self.at];
        // Less than 300 digits without an exponent are less than the greatest `f64`.
        let small = plain && text.len() < 300;
        if !small && !text.parse::<f64>().is_ok_and(f64::is_finite) {
            self.at = start;
            return Err(self.expected("a number that 64 bits hold"));
        }
        Ok(text)
    }

    fn digits(&mut self, expected: &'static str) -> Result<(), Malformed> {
        let bytes = &self.text.as_bytes()[self.at..];
        let count = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.expected(expected));
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn byte(&mut self, byte: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.text.as_bytes().get(self.at) != Some(&byte) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end")),
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    fn expected(&self, expected: &'static str) -> Malformed {
        Malformed {
            at: self.at,
            expected,
        }
    }
}

/// With how many bytes, in steps of eight, a text goes on in which nothing ends it or escapes.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    // The high bit of a byte is set where the byte is zero, and perhaps where it is above one that
    // is; so nothing is missed.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let is_plain = |chunk: &[u8; 8]| {
        let word = u64::from_le_bytes(*chunk);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let escapes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        (quotes | escapes | controls) & (ONES << 7) == 0
    };
    let (chunks, _) = bytes.as_chunks::<8>();
    8 * chunks.iter().take_while(|chunk| is_plain(chunk)).count()
}

/// An array's index, without leading zeros.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || !step.starts_with(['0', '+']);
    plain.then(|| step.parse().ok()).flatten()
}

fn text_of(raw: &str, escaped: bool) -> Cow<'_, str> {
    if escaped {
        Cow::Owned(unescape(raw))
    } else {
        Cow::Borrowed(raw)
    }
}

/// The text of checked escapes.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(n) = rest.find('\\') {
        text.push_str(&rest[..n]);
        let escape = rest.as_bytes()[n + 1];
        rest = &rest[n + 2..];
        match escape {
            b'b' => text.push('\u{8}'),
            b'f' => text.push('\u{c}'),
            b'n' => text.push('\n'),
            b'r' => text.push('\r'),
            b't' => text.push('\t'),
            b'u' => {
                let mut code = hexadecimal(&rest[..4]);
                rest = &rest[4..];
                if (0xD800..0xDC00).contains(&code) {
                    let low = hexadecimal(&rest[2..6]);
                    rest = &rest[6..];
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                }
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            other => text.push(char::from(other)),
        }
    }
    text.push_str(rest);
    text
}

fn hexadecimal(digits: &str) -> u32 {
    u32::from_str_radix(digits, 16).unwrap_or(0)
}

/// Of members with one name, the last value counts, in the place of the first.
fn last_of_each<'a>(members: Vec<(Cow<'a, str>, Value<'a>)>) -> Vec<(Cow<'a, str>, Value<'a>)> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|a, b| members[*a].0.cmp(&members[*b].0));
    if order
        .windows(2)
        .all(|pair| members[pair[0]].0 != members[pair[1]].0)
    {
        return members;
    }
    let mut first = vec![0; members.len()];
    for group in order.chunk_by(|a, b| members[*a].0 == members[*b].0) {
        group.iter().for_each(|n| first[*n] = group[0]);
    }
    let mut kept: Vec<Option<(Cow<'a, str>, Value<'a>)>> = vec![None; members.len()];
    for (n, member) in members.into_iter().enumerate() {
        kept[first[n]] = Some(member);
    }
    kept.into_iter().flatten().collect()
}
