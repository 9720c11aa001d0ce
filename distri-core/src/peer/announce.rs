//! [`Announcer`]: what a peer says of itself, signed and numbered. A machine.

use super::{PeerAddress, Presence};
use crate::{
    error::Result,
    identity::Identity,
    signed::{RecordError, Signed},
};

/// What a peer says of itself, signed and numbered.
///
/// Numbers rise, also from one life of the peer to the next: each life begins at the clock, and where
/// the clock was set back, the cloud says which number it has.
#[derive(Debug)]
pub(super) struct Announcer {
    identity: Identity,
    record: Signed<Presence>,
}

impl Announcer {
    pub(super) fn new(identity: Identity, unix_ms: u64, presence: Presence) -> Result<Self> {
        let record = Signed::sign(&identity, unix_ms, presence)?;
        Ok(Self { identity, record })
    }

    pub(super) fn record(&self) -> &Signed<Presence> {
        &self.record
    }

    /// The peer is at these addresses now. True if that is news.
    pub(super) fn moved(&mut self, addresses: Vec<PeerAddress>) -> Result<bool> {
        let mut presence = self.record.unchecked().clone();
        if presence.addresses == addresses {
            return Ok(false);
        }
        presence.addresses = addresses;
        let seq = self.record.seq().saturating_add(1);
        self.record = Signed::sign(&self.identity, seq, presence)?;
        Ok(true)
    }

    /// The cloud refused the record. True if there is another now that it may take.
    ///
    /// `taken`: it has taken a record of this life before. Then one that is newer is another life's, of
    /// a second program with this key, and the two must not outbid each other.
    pub(super) fn refused(&mut self, why: &RecordError, taken: bool) -> Result<bool> {
        let held = match why {
            RecordError::Older { held, .. } => *held,
            RecordError::Differs { seq, .. } => *seq,
            RecordError::Forged { .. }
            | RecordError::WeakKey { .. }
            | RecordError::WrongKey { .. } => return Ok(false),
        };
        if taken && held > self.record.seq() {
            return Ok(false);
        }
        // One that anybody could have made up must not use the numbers up.
        let Some(seq) = held.max(self.record.seq()).checked_add(1) else {
            return Ok(false);
        };
        self.record = Signed::sign(&self.identity, seq, self.record.unchecked().clone())?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{peer::Boot, transport::Address};

    fn announcer(unix_ms: u64) -> Announcer {
        let presence = Presence {
            name: "alice".into(),
            addresses: Vec::new(),
            boot: Boot::new(),
        };
        Announcer::new(Identity::from_seed(&[1; 32]), unix_ms, presence).unwrap()
    }

    #[test]
    fn numbers_rise_whatever_the_clock_and_the_cloud_say() {
        let mut announcer = announcer(100);
        let key = announcer.record().key();
        let at = |port: u32| vec![PeerAddress::new("tcp", Address::new(format!("h:{port}")))];

        assert!(announcer.moved(at(1)).unwrap());
        assert!(!announcer.moved(at(1)).unwrap());
        assert_eq!(announcer.record().seq(), 101);

        let older = RecordError::Older {
            key,
            held: 5000,
            found: 101,
        };
        assert!(announcer.refused(&older, false).unwrap());
        assert_eq!(announcer.record().seq(), 5001);
        // An answer that came late does not set it back.
        assert!(announcer.refused(&older, false).unwrap());
        assert_eq!(announcer.record().seq(), 5002);
        assert_eq!(announcer.record().check().unwrap().addresses, at(1));
    }

    #[test]
    fn two_lives_with_one_key_do_not_outbid_each_other() {
        let mut announcer = announcer(100);
        let key = announcer.record().key();
        let older = |held| RecordError::Older {
            key,
            held,
            found: 100,
        };

        assert!(!announcer.refused(&older(101), true).unwrap());
        // What the cloud remembers is this very record, whose lease has ended.
        assert!(announcer.refused(&older(100), true).unwrap());
        assert_eq!(announcer.record().seq(), 101);
    }

    #[test]
    fn a_record_that_is_refused_for_another_reason_is_not_signed_again() {
        let mut announcer = announcer(u64::MAX);
        let key = announcer.record().key();

        assert_eq!(
            announcer
                .refused(&RecordError::WeakKey { key }, false)
                .unwrap(),
            false
        );
        let older = RecordError::Older {
            key,
            held: 5,
            found: 1,
        };
        assert!(!announcer.refused(&older, false).unwrap());
    }
}
