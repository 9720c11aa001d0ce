//! Filters as text: `owner=alice size>=1000 name^=cat (a=1 or b=2) not c=3`.

use std::{fmt, str::FromStr};

use super::{Field, Filter, FilterError};
use crate::directory::{Json, limits, value};

/// Longer ones first, so that `<=` is not read as `<`.
const OPERATORS: [&str; 10] = ["==", "!=", "<=", ">=", "^=", "~=", "=", "<", ">", "?"];

impl Filter {
    /// Reads the text form, as the command line takes it. Tests one after the other must all hold;
    /// `or`, `not` and parentheses combine them (`and` may be written, too). An empty text, or `*`,
    /// holds for all documents.
    ///
    /// | test | holds if the field |
    /// |---|---|
    /// | `size=3`, `size!=3` | equals the value; is there and differs |
    /// | `size<3` `size<=3` `size>3` `size>=3` | is of the value's kind and so ordered to it |
    /// | `owner=[alice,bob]` | equals one of these |
    /// | `tags==["a","b"]` | equals this JSON value; for arrays, since `=[…]` has another meaning |
    /// | `name^=cat` | is a text that begins so |
    /// | `tags~=x` | is an array that has the value, or a text that has it as a part |
    /// | `size?` | is there |
    ///
    /// A value is JSON if it reads as JSON (`3`, `true`, `"two words"`); else it is the text up to
    /// the next space or parenthesis. A field with other characters than usual stands in quotes.
    ///
    /// # Errors
    /// The first place at which something else was expected.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut reader = Reader {
            text,
            at: 0,
            depth: 0,
        };
        let filter = reader.any()?;
        match reader.rest() {
            "" => Ok(filter),
            _ => Err(reader.expected("a test such as `size>=3`, or the end")),
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl fmt::Display for Filter {
    /// The text form; [`Filter::parse`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::And(parts) => write_joined(f, parts, " ", "*"),
            Self::Or(parts) => write_joined(f, parts, " or ", "not *"),
            Self::Not(part) => {
                f.write_str("not ")?;
                write_part(f, part)
            }
            Self::Eq(field, value) if value.as_str().trim_start().starts_with('[') => {
                write!(f, "{}=={value}", Shown(field))
            }
            Self::Eq(field, value) => write!(f, "{}={}", Shown(field), Bare(value)),
            Self::Ne(field, value) => write!(f, "{}!={}", Shown(field), Bare(value)),
            Self::Lt(field, value) => write!(f, "{}<{}", Shown(field), Bare(value)),
            Self::Le(field, value) => write!(f, "{}<={}", Shown(field), Bare(value)),
            Self::Gt(field, value) => write!(f, "{}>{}", Shown(field), Bare(value)),
            Self::Ge(field, value) => write!(f, "{}>={}", Shown(field), Bare(value)),
            Self::In(field, values) => {
                write!(f, "{}=[", Shown(field))?;
                for (n, value) in values.iter().enumerate() {
                    let comma = if n > 0 { "," } else { "" };
                    write!(f, "{comma}{}", Bare(value))?;
                }
                f.write_str("]")
            }
            Self::Prefix(field, start) if is_bare(start) => {
                write!(f, "{}^={start}", Shown(field))
            }
            Self::Prefix(field, start) => write!(f, "{}^={}", Shown(field), quoted(start)),
            Self::Contains(field, value) => write!(f, "{}~={}", Shown(field), Bare(value)),
            Self::Exists(field) => write!(f, "{}?", Shown(field)),
        }
    }
}

fn write_joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Filter],
    between: &str,
    none: &str,
) -> fmt::Result {
    if parts.is_empty() {
        return f.write_str(none);
    }
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            f.write_str(between)?;
        }
        write_part(f, part)?;
    }
    Ok(())
}

/// A part of a larger filter: in parentheses if it has parts itself.
fn write_part(f: &mut fmt::Formatter<'_>, part: &Filter) -> fmt::Result {
    match part {
        Filter::And(_) | Filter::Or(_) => write!(f, "({part})"),
        _ => write!(f, "{part}"),
    }
}

/// A field, in quotes if it must be.
struct Shown<'a>(&'a Field);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.as_str();
        let plain = !path.is_empty()
            && path.chars().all(is_of_field)
            && !matches!(path, "and" | "or" | "not");
        if plain {
            f.write_str(path)
        } else {
            f.write_str(&quoted(path))
        }
    }
}

/// A value, as bare text if it would be read as that text.
struct Bare<'a>(&'a Json);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match value::parse(self.0.as_str()) {
            Ok(value::Value::Text(text)) if is_bare(&text) && value::check(&text).is_err() => {
                f.write_str(&text)
            }
            _ => f.write_str(self.0.as_str().trim()),
        }
    }
}

fn is_bare(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(['"', '[', '{']) && text.chars().all(is_of_bare)
}

/// May the character stand in a value without quotes?
fn is_of_bare(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '(' | ')' | ',' | ']')
}

/// May the character stand in a field without quotes?
fn is_of_field(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '$' | '/' | ':')
}

fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    value::write_text(text, &mut quoted);
    quoted
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Parts with `or` between them.
    fn any(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.all()?];
        while self.word("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Filter::Or))
    }

    /// Parts that must all hold.
    fn all(&mut self) -> Result<Filter, FilterError> {
        let mut parts = Vec::new();
        loop {
            let joined = !parts.is_empty() && self.word("and");
            if !joined
                && (self.rest().is_empty() || self.rest().starts_with(')') || self.sees("or"))
            {
                break;
            }
            parts.push(self.part()?);
        }
        match parts.is_empty() {
            // Nothing at all is a filter; nothing beside an `or` or in parentheses is a mistake.
            true if self.rest().is_empty() && self.text.trim().is_empty() => Ok(Filter::All),
            true => Err(self.expected("a test such as `size>=3`")),
            false => Ok(one_or(parts, Filter::And)),
        }
    }

    fn part(&mut self) -> Result<Filter, FilterError> {
        if self.depth == limits::FILTER_DEPTH {
            return Err(self.expected("a filter of fewer levels"));
        }
        self.depth += 1;
        let part = if self.word("not") {
            Filter::Not(Box::new(self.part()?))
        } else if self.take("(") {
            let inner = self.any()?;
            if !self.take(")") {
                return Err(self.expected("`)`"));
            }
            inner
        } else if self.take("*") {
            Filter::All
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(part)
    }

    fn test(&mut self) -> Result<Filter, FilterError> {
        let field = self.field()?;
        let Some(operator) = OPERATORS.into_iter().find(|operator| self.take(operator)) else {
            return Err(self.expected("one of = != < <= > >= ^= ~= ?"));
        };
        Ok(match operator {
            "?" => Filter::Exists(field),
            "=" if self.take("[") => Filter::In(field, self.list()?),
            "=" => Filter::Eq(field, self.value()?),
            "==" => Filter::Eq(field, self.json()?),
            "!=" => Filter::Ne(field, self.value()?),
            "<" => Filter::Lt(field, self.value()?),
            "<=" => Filter::Le(field, self.value()?),
            ">" => Filter::Gt(field, self.value()?),
            ">=" => Filter::Ge(field, self.value()?),
            "~=" => Filter::Contains(field, self.value()?),
            _ => Filter::Prefix(field, self.start()?),
        })
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        if self.rest().starts_with('"') {
            return self.quoted().map(Field);
        }
        let rest = self.rest();
        let end = rest.find(|c| !is_of_field(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.expected("a field"));
        }
        self.at += end;
        Ok(Field(rest[..end].into()))
    }

    /// After the `[`.
    fn list(&mut self) -> Result<Vec<Json>, FilterError> {
        let mut values = Vec::new();
        if self.take("]") {
            return Ok(values);
        }
        loop {
            values.push(self.value()?);
            if self.take("]") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn value(&mut self) -> Result<Json, FilterError> {
        if self.rest().starts_with(['"', '[', '{']) {
            return self.json();
        }
        let text = self.bare()?;
        Ok(match value::check(text) {
            Ok(()) => text.parse().unwrap_or_else(|_| Json::from(text)),
            Err(_) => Json::from(text),
        })
    }

    /// What a text begins with: never a number.
    fn start(&mut self) -> Result<String, FilterError> {
        if self.rest().starts_with('"') {
            self.quoted()
        } else {
            self.bare().map(str::to_owned)
        }
    }

    fn bare(&mut self) -> Result<&'a str, FilterError> {
        let rest = self.rest();
        let end = rest.find(|c| !is_of_bare(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.expected("a value"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn quoted(&mut self) -> Result<String, FilterError> {
        match value::parse(self.json()?.as_str()) {
            Ok(value::Value::Text(text)) => Ok(text.into_owned()),
            _ => Err(self.expected("a text in quotes")),
        }
    }

    fn json(&mut self) -> Result<Json, FilterError> {
        let rest = self.rest();
        let end = match value::parse_prefix(rest) {
            Ok((_, end)) => end,
            Err(problem) => {
                self.at += problem.at;
                return Err(self.expected(problem.expected));
            }
        };
        let json = rest[..end].parse();
        json.map_err(|_| self.expected("a JSON value"))
            .inspect(|_| self.at += end)
    }

    /// Reads `word` if it stands here as a word of its own.
    fn word(&mut self, word: &str) -> bool {
        let seen = self.sees(word);
        if seen {
            self.at += word.len();
        }
        seen
    }

    fn sees(&mut self, word: &str) -> bool {
        self.rest().strip_prefix(word).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with([' ', '\t', '\n', '(', '"', '*'])
        })
    }

    fn take(&mut self, token: &str) -> bool {
        let taken = self.rest().starts_with(token);
        if taken {
            self.at += token.len();
        }
        taken
    }

    /// What is left, without white space before it.
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn expected(&self, expected: &str) -> FilterError {
        let at = self.text[..self.at].chars().count();
        FilterError::new(self.text, format!("at character {at}, expected {expected}"))
    }
}

fn one_or(mut parts: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => many(parts),
    }
}

#[cfg(test)]
#[path = "text/tests.rs"]
mod tests;
