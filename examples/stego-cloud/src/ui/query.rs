//! What stands after the `?` of a request.

use std::borrow::Cow;

/// The value of `name` in `query`, decoded; `None` if it is not there, is there twice, or is no text.
pub(super) fn value<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let mut values = query.split('&').filter_map(|pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        (found == name).then_some(value)
    });
    let value = values.next()?;
    match values.next() {
        Some(_) => None,
        None => decode(value),
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let query = "title=Caf%C3%A9+%26+cat&preview=blur&empty=&flag";

        assert_eq!(value(query, "title").unwrap(), "Café & cat");
        assert_eq!(value(query, "preview").unwrap(), "blur");
        assert_eq!(value(query, "empty").unwrap(), "");
        assert_eq!(value(query, "flag").unwrap(), "");
        assert_eq!(value(query, "itle"), None);
    }

    #[test]
    fn what_is_told_twice_or_cut_off_is_not_told() {
        for query in ["a=1&a=2", "a=%", "a=%4", "a=%zz", "a=%ff", "a=%\u{e9}0"] {
            assert_eq!(value(query, "a"), None, "{query}");
        }
    }
}
