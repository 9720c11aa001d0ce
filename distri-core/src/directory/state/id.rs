//! Ids, in the document itself where they are short.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An id as documents keep it. Short ones need no memory of their own, and comparing them while a
/// tree is searched looks at one place in memory less.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Id {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

/// With the length and the kind it takes as much as three pointers.
const SHORT: usize = 22;

impl Id {
    pub(super) fn new(id: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..id.len()), u8::try_from(id.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(id.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(id.into()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Long(id) => id.as_bytes(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.as_bytes().len()
    }
}

impl Deref for Id {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            // Only `new` makes them, from a `str`.
            Self::Short { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Self::Long(id) => id,
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id")
            }

            fn visit_str<E: de::Error>(self, id: &str) -> Result<Id, E> {
                Ok(Id::new(id))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_any_length_are_what_they_were() {
        assert_eq!(size_of::<Id>(), 24);
        for length in [0, 1, 21, 22, 23, 512] {
            let text = "é".repeat(length / 2) + &"x".repeat(length % 2);

            let id = Id::new(&text);

            assert_eq!(
                (&*id, id.as_bytes(), id.len()),
                (&*text, text.as_bytes(), length)
            );
            let bytes = postcard::to_stdvec(&id).unwrap();
            assert_eq!(postcard::from_bytes::<Id>(&bytes).unwrap(), id);
        }
    }
}
