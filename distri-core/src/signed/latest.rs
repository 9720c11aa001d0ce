//! [`Latest`]: the newest good record of one key. A machine.

use crate::id::PublicKey;

use super::{RecordError, Signable, Signed};

/// The newest good record of one key, as one reader knows it.
///
/// Whatever is offered, it goes forward only: a forged record, one of another key or an older one
/// leaves it as it is, and the error says what somebody tried.
#[derive(Clone, Debug)]
pub struct Latest<T> {
    key: PublicKey,
    /// Checked when it was taken.
    held: Option<Signed<T>>,
}

/// What became of a good record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is the newest now.
    New,
    /// It was known.
    Known,
}

impl<T: Signable + PartialEq> Latest<T> {
    /// Knows no record of `key` yet.
    pub fn new(key: PublicKey) -> Self {
        Self { key, held: None }
    }

    /// Whose records.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The newest good record.
    pub fn record(&self) -> Option<&Signed<T>> {
        self.held.as_ref()
    }

    /// Its body.
    pub fn body(&self) -> Option<&T> {
        self.held.as_ref().map(|record| &record.body)
    }

    /// Takes `record` if it is good and none is newer.
    ///
    /// # Errors
    /// [`RecordError`]; what was held is held still.
    pub fn take(&mut self, record: Signed<T>) -> Result<Taken, RecordError> {
        record.check_by(self.key)?;
        if let Some(held) = &self.held {
            let (key, seq) = (self.key, record.seq);
            if seq < held.seq {
                return Err(RecordError::Older {
                    key,
                    held: held.seq,
                    found: seq,
                });
            }
            if seq == held.seq {
                // The signature may differ: a key can sign the same in many ways.
                let is_same = record.body == held.body;
                return is_same
                    .then_some(Taken::Known)
                    .ok_or(RecordError::Differs { key, seq });
            }
        }
        self.held = Some(record);
        Ok(Taken::New)
    }
}
