//! JSON texts taken apart: parse, look into, compare, write.
//!
//! Replicas of different builds must decide alike, so nothing here depends on how another crate was
//! configured: numbers keep their text, members their order, and the last of two members of one
//! name counts. A text may be looked into ([`at`]) without building a tree.

use std::{borrow::Cow, cmp::Ordering, fmt::Write as _};

/// Levels of arrays and objects in one value. Deeper ones are refused, so that walking a value
/// needs little stack; serde_json stops at 128.
pub(crate) const DEPTH: usize = 100;

/// A JSON value that borrows from its text.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    Text(Cow<'a, str>),
    Array(Vec<Self>),
    /// Each name once.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// A JSON number as written.
#[derive(Clone, Debug)]
pub(crate) struct Number<'a>(Cow<'a, str>);

/// A text that is not JSON, or is nested too deeply, or has a number that no 64 bits hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}: expected {expected}")]
pub(crate) struct Malformed {
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

/// The kinds of values, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    Array,
    Object,
}

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

impl<'a> Value<'a> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Number(_) => Kind::Number,
            Self::Text(_) => Kind::Text,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    /// Compares by the order that [`super::Filter`] documents.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.key().cmp(&b.key()),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Array(a), Self::Array(b)) => compare_all(a.iter(), b.iter(), Self::compare),
            (Self::Object(a), Self::Object(b)) => {
                let (a, b) = (by_name(a), by_name(b));
                compare_all(a.iter(), b.iter(), |a, b| {
                    let names = a.0.as_bytes().cmp(b.0.as_bytes());
                    names.then_with(|| a.1.compare(&b.1))
                })
            }
            _ => self.kind().cmp(&other.kind()),
        }
    }

    pub(crate) fn equals(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }

    /// The member of that name, of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        members
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| value)
    }

    /// Levels of arrays and objects.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => 1 + members.iter().map(|(_, v)| v.depth()).max().unwrap_or(0),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => 0,
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    /// Appends the value's shortest JSON text. Numbers are written as they came.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(&number.0),
            Self::Text(text) => write_text(text, out),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (n, (name, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    pub(crate) fn to_key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        self.write_key(&mut key);
        key
    }

    /// Appends bytes that order as the values do, and of which none begins another's.
    pub(crate) fn write_key(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(key::NULL),
            Self::Bool(value) => out.push(key::FALSE + u8::from(*value)),
            Self::Number(number) => {
                let (nearest, rest) = number.key();
                out.push(key::NUMBER);
                out.extend_from_slice(&nearest.to_be_bytes());
                out.extend_from_slice(&key::signed(rest));
            }
            Self::Text(text) => {
                out.push(key::TEXT);
                key::text(text, out);
                out.push(key::END);
            }
            Self::Array(items) => {
                out.push(key::ARRAY);
                items.iter().for_each(|item| item.write_key(out));
                out.push(key::END);
            }
            Self::Object(members) => {
                out.push(key::OBJECT);
                for (name, value) in by_name(members) {
                    out.push(key::MEMBER);
                    key::text(name, out);
                    out.push(key::END);
                    value.write_key(out);
                }
                out.push(key::END);
            }
        }
    }
}

/// The bytes of keys.
pub(crate) mod key {
    pub(crate) const END: u8 = 0;
    /// Another member of an object: after the object's end, before any byte of a text.
    pub(crate) const MEMBER: u8 = 1;
    /// A field that is not there: before `null`.
    pub(crate) const MISSING: u8 = 1;
    pub(crate) const NULL: u8 = 2;
    pub(crate) const FALSE: u8 = 3;
    pub(crate) const NUMBER: u8 = 5;
    pub(crate) const TEXT: u8 = 6;
    pub(crate) const ARRAY: u8 = 7;
    pub(crate) const OBJECT: u8 = 8;
    /// Greater than every byte in a key.
    pub(crate) const AFTER: u8 = 0xFF;

    /// The first and the last leading byte of a kind.
    pub(crate) fn span(kind: super::Kind) -> (u8, u8) {
        match kind {
            super::Kind::Null => (NULL, NULL),
            super::Kind::Bool => (FALSE, FALSE + 1),
            super::Kind::Number => (NUMBER, NUMBER),
            super::Kind::Text => (TEXT, TEXT),
            super::Kind::Array => (ARRAY, ARRAY),
            super::Kind::Object => (OBJECT, OBJECT),
        }
    }

    /// UTF-8 with each byte raised by two: 0 ends, 1 is [`MEMBER`], and none reaches 0xFF.
    pub(crate) fn text(text: &str, out: &mut Vec<u8>) {
        out.extend(text.bytes().map(|byte| byte + 2));
    }

    pub(crate) fn signed(value: i16) -> [u8; 2] {
        (value.cast_unsigned() ^ 0x8000).to_be_bytes()
    }
}

impl<'a> Number<'a> {
    /// The number of a text that is known to be one.
    pub(crate) fn of_integer(value: i128) -> Self {
        Self(Cow::Owned(value.to_string()))
    }

    /// `None` if it is not finite.
    pub(crate) fn of_float(value: f64) -> Option<Self> {
        // The shortest text that reads as the same number, with `.0` or an exponent.
        value
            .is_finite()
            .then(|| Self(Cow::Owned(format!("{value:?}"))))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its value if it is written without fraction and exponent and fits an `i64` or `u64`.
    pub(crate) fn integer(&self) -> Option<i128> {
        if self.0.len() > 20 {
            return None;
        }
        let value: i128 = self.0.parse().ok()?;
        (i128::from(i64::MIN)..=i128::from(u64::MAX))
            .contains(&value)
            .then_some(value)
    }

    pub(crate) fn float(&self) -> f64 {
        self.0.parse().unwrap_or(0.0)
    }

    pub(crate) fn into_owned(self) -> Number<'static> {
        Number(Cow::Owned(self.0.into_owned()))
    }

    /// Its digits as a whole number, and the power of ten by which they count, if they are few
    /// enough.
    pub(crate) fn decimal(&self) -> Option<(i128, i32)> {
        let (digits, exponent) = match self.0.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (self.as_str(), 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        let places = i32::try_from(fraction.len()).ok()?;
        Some((digits, exponent.checked_sub(places)?))
    }

    /// Is it a whole number, however written?
    pub(crate) fn is_whole(&self) -> bool {
        self.integer().is_some() || self.float().fract() == 0.0
    }

    /// Orders as the values do, exactly: the nearest `f64` as bits in order, and how far an integer
    /// is from it.
    pub(crate) fn key(&self) -> (u64, i16) {
        let (nearest, rest) = match self.integer() {
            Some(value) => {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "what the cast loses is the second part of the key"
                )]
                let nearest = value as f64;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a whole `f64` below 2^65 fits an `i128`"
                )]
                let rest = value - nearest as i128;
                // At most half the distance of neighbours at 2^64: 1024.
                (nearest, i16::try_from(rest).unwrap_or(0))
            }
            None => (self.float(), 0),
        };
        // Adding zero makes -0 and 0 one.
        let bits = (nearest + 0.0).to_bits();
        let ordered = if bits >> 63 == 1 {
            !bits
        } else {
            bits | 1 << 63
        };
        (ordered, rest)
    }
}

fn compare_all<T>(
    a: impl ExactSizeIterator<Item = T>,
    b: impl ExactSizeIterator<Item = T>,
    compare: impl Fn(T, T) -> Ordering,
) -> Ordering {
    let lengths = a.len().cmp(&b.len());
    a.zip(b)
        .map(|(a, b)| compare(a, b))
        .find(|order| order.is_ne())
        .unwrap_or(lengths)
}

fn by_name<'v, 'a>(members: &'v [(Cow<'a, str>, Value<'a>)]) -> Vec<&'v (Cow<'a, str>, Value<'a>)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    sorted
}

/// Appends a text in quotes.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(n) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        out.push_str(&rest[..n]);
        match rest.as_bytes()[n] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => {
                // Writing into a `String` does not fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        rest = &rest[n + 1..];
    }
    out.push_str(rest);
    out.push('"');
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
        let digits = match bytes.get(at..at + 6) {
            Some([b'\\', b'u', digits @ ..]) => digits,
            _ => return Err(self.expected("`\\u` and four digits")),
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

#[cfg(test)]
#[path = "value/tests.rs"]
pub(in crate::directory) mod tests;
