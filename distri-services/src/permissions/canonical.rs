//! How what is signed, sealed or kept is written down: fixed fields one after the other, numbers
//! big-endian, and exactly one way to write each value.
//!
//! Signatures and hashes are over these bytes, never over what a codec made of a message on its way.

/// Has one form in bytes.
pub trait Canonical: Sized {
    /// The longest form. Longer bytes are refused before they are looked at.
    const LENGTH_MAX: usize;

    /// What it is called where bytes turn out to be none.
    const NAME: &'static str;

    /// Appends the form.
    fn write(&self, to: &mut Vec<u8>);

    /// Takes the form off the front.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes do not begin with one.
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// The form.
    fn to_bytes(&self) -> Vec<u8> {
        // Room for all of it at once: a buffer that grows leaves copies of secrets behind.
        let mut bytes = Vec::with_capacity(Self::LENGTH_MAX);
        self.write(&mut bytes);
        bytes
    }

    /// The value of which `bytes` are the form, all of them.
    ///
    /// # Errors
    /// [`Malformed`] if they are none's.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let malformed = |expected| Malformed::Not {
            what: Self::NAME,
            expected,
        };
        if bytes.len() > Self::LENGTH_MAX {
            return Err(malformed("fewer bytes"));
        }
        let mut reader = Reader {
            bytes,
            what: Self::NAME,
        };
        let value = Self::read(&mut reader)?;
        if !reader.bytes.is_empty() {
            return Err(malformed("nothing after its end"));
        }
        Ok(value)
    }
}

/// Bytes that are not the form of anything of the kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Something else, or damaged.
    #[error("these bytes are no {what}: expected {expected}")]
    Not {
        /// What they should be.
        what: &'static str,
        /// What was not found.
        expected: &'static str,
    },
    /// Written by a newer version, or with ciphers that this one does not have. Update it.
    #[error("the {what} is of {part} {found}, this program knows only {part} 1")]
    Newer {
        /// What it is.
        what: &'static str,
        /// `version` or `suite`.
        part: &'static str,
        /// Which one.
        found: u8,
    },
}

/// Bytes from which values are taken one after the other.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed::Not {
            what: self.what,
            expected,
        }
    }

    /// Takes the number of a version or suite, of which there is one so far.
    pub(crate) fn first(&mut self, part: &'static str) -> Result<(), Malformed> {
        match self.byte()? {
            1 => Ok(()),
            found => Err(Malformed::Newer {
                what: self.what,
                part,
                found,
            }),
        }
    }

    pub(crate) fn slice(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or_else(|| self.malformed("more bytes"))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(N)?);
        Ok(array)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn key(&mut self) -> Result<distri::id::PublicKey, Malformed> {
        self.array().map(distri::id::PublicKey::from_bytes)
    }
}
