//! Documents computed from documents: merge patches and sums.

use std::borrow::Cow;

use crate::directory::{
    Json,
    value::{self, Malformed, Number, Value},
};

/// A document with a patch merged into it (RFC 7396).
pub(super) fn merge(document: &Json, patch: &Json) -> Result<Json, Malformed> {
    let document = value::parse(document.as_str())?;
    let patch = value::parse(patch.as_str())?;
    Ok(Json::trusted(merged(document, patch).to_text()))
}

fn merged<'a>(target: Value<'a>, patch: Value<'a>) -> Value<'a> {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut members = match target {
        Value::Object(members) => members,
        _ => Vec::new(),
    };
    for (name, value) in patch {
        let at = members.iter().position(|(member, _)| *member == name);
        match (value, at) {
            (Value::Null, Some(at)) => {
                members.remove(at);
            }
            (Value::Null, None) => {}
            (value, Some(at)) => {
                let before = std::mem::replace(&mut members[at].1, Value::Null);
                members[at].1 = merged(before, value);
            }
            (value, None) => members.push((name, merged(Value::Null, value))),
        }
    }
    Value::Object(members)
}

/// A number to add, with the bounds of the sum.
pub(super) struct Addition<'a> {
    pub(super) field: &'a str,
    pub(super) by: &'a Json,
    pub(super) min: Option<&'a Json>,
    pub(super) max: Option<&'a Json>,
}

/// Why nothing can be added.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotAdded {
    /// The sum is out of bounds; this is what the field holds.
    Bounds(String),
    Invalid(String),
}

impl<'a> Addition<'a> {
    /// The document with the sum in its field.
    pub(super) fn apply(&self, document: &'a Json) -> Result<Json, NotAdded> {
        let mut document = value::parse(document.as_str()).map_err(malformed)?;
        let by = number(self.by)?;
        let place = self.place(&mut document)?;
        let Value::Number(before) = &*place else {
            return Err(self.unfit("a number"));
        };
        let sum = match sum(before, &by) {
            Some(sum) if self.allows(&sum)? => sum,
            _ => return Err(NotAdded::Bounds(before.as_str().into())),
        };
        *place = Value::Number(sum);
        if document.depth() > value::DEPTH {
            return Err(NotAdded::Invalid(format!(
                "the document would have more than {} levels",
                value::DEPTH
            )));
        }
        Ok(Json::trusted(document.to_text()))
    }

    /// The bounds, as a reader would write them.
    pub(super) fn bounds(&self) -> String {
        match (self.min, self.max) {
            (None, None) => "what 64 bits hold".into(),
            (Some(min), None) => format!("{min}.."),
            (None, Some(max)) => format!("..={max}"),
            (Some(min), Some(max)) => format!("{min}..={max}"),
        }
    }

    /// The field's place, made with a 0 if it is missing.
    fn place<'v>(&self, document: &'v mut Value<'a>) -> Result<&'v mut Value<'a>, NotAdded> {
        let mut steps = self.field.split('.').peekable();
        let mut place = document;
        while let Some(step) = steps.next() {
            let Value::Object(members) = place else {
                return Err(self.unfit("a member of objects"));
            };
            let at = members.iter().position(|(name, _)| name == step);
            let at = at.unwrap_or_else(|| {
                let inner = match steps.peek() {
                    Some(_) => Value::Object(Vec::new()),
                    None => Value::Number(Number::of_integer(0)),
                };
                members.push((Cow::Borrowed(step), inner));
                members.len() - 1
            });
            place = &mut members[at].1;
        }
        Ok(place)
    }

    fn allows(&self, sum: &Number<'_>) -> Result<bool, NotAdded> {
        let above = match self.min {
            Some(min) => sum.key() >= number(min)?.key(),
            None => true,
        };
        let below = match self.max {
            Some(max) => sum.key() <= number(max)?.key(),
            None => true,
        };
        Ok(above && below)
    }

    fn unfit(&self, expected: &str) -> NotAdded {
        NotAdded::Invalid(format!("expected `{}` to be {expected}", self.field))
    }
}

/// Exact for integers; `None` if they leave 64 bits, or if the sum is not finite.
fn sum(a: &Number<'_>, b: &Number<'_>) -> Option<Number<'static>> {
    match (a.integer(), b.integer()) {
        (Some(a), Some(b)) => {
            let sum = a + b;
            let fits = (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&sum);
            fits.then(|| Number::of_integer(sum))
        }
        _ => Number::of_float(a.float() + b.float()),
    }
}

fn number(json: &Json) -> Result<Number<'_>, NotAdded> {
    match value::parse(json.as_str()).map_err(malformed)? {
        Value::Number(number) => Ok(number),
        _ => Err(NotAdded::Invalid(format!("{json} is not a number"))),
    }
}

fn malformed(problem: Malformed) -> NotAdded {
    NotAdded::Invalid(problem.to_string())
}
