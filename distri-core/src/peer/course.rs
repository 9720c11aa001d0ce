//! [`Course`]: where a peer is, as one program knows it, and whether a link to it goes there. A machine.
//!
//! It is told what the directory says of the peer (a record, none, or that nobody could be asked), what
//! is heard of it on the local network, and what became of dials and links. Of two records the newer
//! counts, wherever it comes from; a lie of a node is told by what nodes have said, for the network may
//! know of a move earlier or later than they. It says where to dial, whether a link is to be closed because its
//! peer has moved or was started anew, and why a call cannot be made.

use super::{Boot, PeerAddress, PeerError, Presence, error::Tried, protocol::Seen};
use crate::{
    id::PublicKey,
    signed::{Latest, RecordError, Signed},
};

/// Where a peer is, as one program knows it.
#[derive(Debug)]
pub(super) struct Course {
    /// What the directory has told.
    latest: Latest<Presence>,
    word: Word,
    /// The newest that was heard on the local network, and whether the peer is there now.
    near: Option<Signed<Presence>>,
    is_near: bool,
    /// Rises whenever it may be time to dial anew.
    version: u64,
    link: Option<Held>,
    /// The addresses of the record that were dialled in vain since it came.
    tried: Vec<Tried>,
}

/// What the directory says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// Nothing yet; why, if there is trouble.
    Awaited(Option<String>),
    /// The record that is held is there.
    Present,
    /// There is none; what is remembered of the peer, if anything, and as what time it was then.
    Absent(Option<Seen>),
}

/// The link that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    boot: Boot,
    address: PeerAddress,
}

/// Where to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Aim {
    pub(super) version: u64,
    pub(super) boot: Boot,
    pub(super) addresses: Vec<PeerAddress>,
}

impl Course {
    pub(super) fn new(key: PublicKey) -> Self {
        Self {
            latest: Latest::new(key),
            word: Word::Awaited(None),
            near: None,
            is_near: false,
            version: 0,
            link: None,
            tried: Vec::new(),
        }
    }

    pub(super) fn key(&self) -> PublicKey {
        self.latest.key()
    }

    /// The newest good record, whether or not it still stands.
    pub(super) fn record(&self) -> Option<&Signed<Presence>> {
        match (self.latest.record(), &self.near) {
            (Some(told), Some(heard)) if heard.seq() > told.seq() => Some(heard),
            (Some(told), _) => Some(told),
            (None, heard) => heard.as_ref(),
        }
    }

    fn body(&self) -> Option<&Presence> {
        self.record().map(Signed::unchecked)
    }

    /// True if the peer is there: the directory has a record of it, or it is heard on the local network.
    pub(super) fn is_present(&self) -> bool {
        self.word == Word::Present || self.is_near
    }

    /// The address of the link that stands.
    pub(super) fn linked(&self) -> Option<&PeerAddress> {
        self.link.as_ref().map(|link| &link.address)
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The directory has this record. True if it is another than before; then
    /// [`misplaced`](Self::misplaced) may say something new.
    ///
    /// # Errors
    /// [`RecordError`] if it is not to be believed: everything stays as it was.
    pub(super) fn found(&mut self, record: Signed<Presence>) -> Result<bool, RecordError> {
        let key = record.key();
        let seq = record.seq();
        record.check_by(self.latest.key())?;
        if record.unchecked().check().is_err() {
            // No honest node has taken it.
            return Err(RecordError::Forged { key, seq });
        }
        let before = (self.record().map(Signed::seq), self.is_present());
        self.latest.take(record)?;
        self.word = Word::Present;
        Ok(self.changed_from(before))
    }

    /// The local network has this record of the peer, which is good, or none. True if that is news.
    pub(super) fn heard(&mut self, record: Option<Signed<Presence>>) -> bool {
        let before = (self.record().map(Signed::seq), self.is_present());
        self.is_near = record.is_some();
        let held = self.near.as_ref().map(Signed::seq);
        if let Some(record) = record.filter(|record| held.is_none_or(|held| record.seq() > held)) {
            self.near = Some(record);
        }
        self.changed_from(before)
    }

    /// Takes note of it if another record counts, or the peer came or went.
    fn changed_from(&mut self, before: (Option<u64>, bool)) -> bool {
        let is_news = before != (self.record().map(Signed::seq), self.is_present());
        if is_news {
            self.tried.clear();
            self.version += 1;
        }
        is_news
    }

    /// The directory has no record, and remembers this. True if the peer is away for that.
    pub(super) fn absent(&mut self, seen: Option<Seen>) -> bool {
        let word = Word::Absent(seen);
        let is_news = self.word != word;
        self.word = word;
        if is_news && !self.is_near {
            self.version += 1;
        }
        is_news && !self.is_near
    }

    /// The directory could not be asked. What was known before holds on.
    pub(super) fn unasked(&mut self, why: &str) {
        if let Word::Awaited(trouble) = &mut self.word {
            *trouble = Some(why.to_owned());
        }
    }

    /// Why the link that stands goes to the wrong place, if it does: the peer has been started anew,
    /// or is not at that address any more.
    ///
    /// A link at an address that the peer still has, in the same life, is left alone: peers learn of
    /// further addresses one by one, and calls under way should not end for that.
    pub(super) fn misplaced(&self) -> Option<&'static str> {
        let (Some(link), Some(presence)) = (&self.link, self.body()) else {
            return None;
        };
        if link.boot != presence.boot {
            Some("the peer was started anew")
        } else if !presence.addresses.contains(&link.address) {
            Some("the peer has moved")
        } else {
            None
        }
    }

    /// Where to dial, if that is due: there is no link, and the peer is there.
    pub(super) fn aim(&self) -> Option<Aim> {
        let presence = self.body()?;
        (self.link.is_none() && self.is_present()).then(|| Aim {
            version: self.version,
            boot: presence.boot,
            addresses: presence.addresses.clone(),
        })
    }

    /// A dial came to a link, at this address of `aim`.
    pub(super) fn reached(&mut self, aim: &Aim, address: PeerAddress) {
        self.tried.clear();
        self.link = Some(Held {
            boot: aim.boot,
            address,
        });
    }

    /// All addresses of `aim` were dialled in vain.
    pub(super) fn unreached(&mut self, aim: &Aim, tried: Vec<Tried>) {
        if aim.version == self.version {
            self.tried = tried;
        }
    }

    /// The link ended.
    pub(super) fn lost(&mut self) {
        self.link = None;
        self.version += 1;
    }

    /// Why no call can be made, as far as is known at `unix_ms`; `None` while it is being found out.
    pub(super) fn trouble(&self, unix_ms: u64) -> Option<PeerError> {
        let key = self.latest.key();
        let name = || {
            let presence = self.body();
            presence.map_or_else(String::new, |presence| presence.name.clone())
        };
        match &self.word {
            _ if self.is_present() => {
                let is_nowhere = self
                    .body()
                    .is_some_and(|presence| presence.addresses.is_empty());
                (is_nowhere || !self.tried.is_empty()).then(|| PeerError::Unreachable {
                    key,
                    name: name(),
                    tried: self.tried.clone(),
                })
            }
            // Not without a record; see above.
            Word::Present => None,
            Word::Awaited(None) => None,
            Word::Awaited(Some(why)) => Some(PeerError::NotAsked {
                key,
                why: why.clone(),
            }),
            Word::Absent(Some(seen)) => Some(PeerError::Away {
                key,
                name: seen.name.clone(),
                away_for_ms: Some(unix_ms.saturating_sub(seen.at_ms)),
            }),
            Word::Absent(None) if self.record().is_some() => Some(PeerError::Away {
                key,
                name: name(),
                away_for_ms: None,
            }),
            Word::Absent(None) => Some(PeerError::Unknown { key }),
        }
    }

    /// True if waiting brings nothing soon: nobody has a record, so there is nowhere to dial.
    pub(super) fn is_hopeless(&self) -> bool {
        matches!(self.word, Word::Absent(_)) && !self.is_near && self.link.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::Identity, transport::Address};

    fn peer() -> Identity {
        Identity::from_seed(&[5; 32])
    }

    fn address(port: u32) -> PeerAddress {
        PeerAddress::new("tcp", Address::new(format!("h:{port}")))
    }

    fn boot(n: u64) -> Boot {
        format!("{n:016x}").parse().unwrap()
    }

    fn record(seq: u64, life: u64, ports: &[u32]) -> Signed<Presence> {
        let presence = Presence {
            name: "alice".into(),
            addresses: ports.iter().copied().map(address).collect(),
            boot: boot(life),
        };
        Signed::sign(&peer(), seq, presence).unwrap()
    }

    fn linked(seq: u64, ports: &[u32], at: u32) -> Course {
        let mut course = Course::new(peer().public());
        course.found(record(seq, 1, ports)).unwrap();
        let aim = course.aim().unwrap();
        course.reached(&aim, address(at));
        course
    }

    #[test]
    fn a_peer_is_dialled_where_its_record_says_and_once() {
        let mut course = Course::new(peer().public());
        assert_eq!((course.aim(), course.trouble(0)), (None, None));

        assert_eq!(course.found(record(1, 1, &[1, 2])), Ok(true));
        let aim = course.aim().unwrap();
        assert_eq!(aim.addresses, [address(1), address(2)]);
        course.reached(&aim, address(2));

        assert_eq!(course.aim(), None);
        assert_eq!(course.found(record(1, 1, &[1, 2])), Ok(false));
        assert_eq!((course.aim(), course.misplaced()), (None, None));
        course.lost();
        assert!(course.aim().is_some());
    }

    #[test]
    fn a_link_to_a_former_life_or_place_is_misplaced_and_another_is_not() {
        let mut moved = linked(1, &[1], 1);
        moved.found(record(2, 1, &[2])).unwrap();
        assert_eq!(moved.misplaced(), Some("the peer has moved"));

        let mut anew = linked(1, &[1], 1);
        anew.found(record(2, 2, &[1])).unwrap();
        assert_eq!(anew.misplaced(), Some("the peer was started anew"));

        let mut grown = linked(1, &[1], 1);
        grown.found(record(2, 1, &[1, 2])).unwrap();
        assert_eq!(grown.misplaced(), None);
    }

    #[test]
    fn a_lie_changes_nothing() {
        let mut course = linked(5, &[1], 1);
        let mallory = Identity::from_seed(&[6; 32]);
        let presence = record(9, 2, &[7]).unchecked().clone();
        let mut forged = serde_json::to_value(record(9, 2, &[7])).unwrap();
        forged["body"]["addresses"][0]["address"] = "h:666".into();
        let forged: Signed<Presence> = serde_json::from_value(forged).unwrap();
        let too_long = record(9, 1, &[1; super::super::limits::ADDRESSES + 1]);

        for lie in [
            record(4, 2, &[7]),
            record(5, 2, &[7]),
            Signed::sign(&mallory, 9, presence).unwrap(),
            forged,
            too_long,
        ] {
            let before = (course.version(), course.record().cloned());
            assert!(course.found(lie).is_err());
            assert_eq!((course.version(), course.record().cloned()), before);
            assert_eq!(course.misplaced(), None);
        }
    }

    #[test]
    fn why_a_peer_cannot_be_called_is_told_as_it_is() {
        let mut course = Course::new(peer().public());
        let key = peer().public();
        let seen = Seen {
            name: "alice".into(),
            seq: 1,
            at_ms: 1000,
        };

        course.unasked("no node can be reached");
        let text = course.trouble(0).unwrap().to_string();
        assert!(text.ends_with("no node can be reached"), "{text}");
        assert!(!course.is_hopeless());

        course.absent(None);
        assert_eq!(course.trouble(0), Some(PeerError::Unknown { key }));
        assert!(course.is_hopeless());

        course.absent(Some(seen));
        let text = course.trouble(91_000).unwrap().to_string();
        assert!(
            text.contains("`alice`") && text.contains("is away, for 90s now"),
            "{text}"
        );

        course.found(record(1, 1, &[1])).unwrap();
        assert_eq!(course.trouble(0), None);
        let aim = course.aim().unwrap();
        let tried = Tried {
            address: address(1),
            why: "refused".into(),
        };
        course.unreached(&aim, vec![tried]);
        let text = course.trouble(0).unwrap().to_string();
        assert!(
            text.ends_with("is not reachable: at tcp h:1: refused"),
            "{text}"
        );
        assert!(!course.is_hopeless());

        course.found(record(2, 1, &[])).unwrap();
        let text = course.trouble(0).unwrap().to_string();
        assert!(text.ends_with("it has no address"), "{text}");
    }

    #[test]
    fn a_peer_that_is_heard_nearby_needs_no_cloud() {
        let mut course = Course::new(peer().public());
        course.unasked("no node is configured");
        assert!(course.heard(Some(record(1, 1, &[1]))));
        assert!(!course.heard(Some(record(1, 1, &[1]))));
        assert_eq!(course.trouble(0), None);
        let aim = course.aim().unwrap();
        course.reached(&aim, address(1));

        assert!(course.heard(Some(record(2, 1, &[2]))));
        assert_eq!(course.misplaced(), Some("the peer has moved"));
        course.lost();
        assert!(course.heard(None));
        assert_eq!(course.aim(), None);
    }

    #[test]
    fn of_what_the_cloud_and_the_network_say_the_newer_counts_and_no_node_is_blamed_for_it() {
        let mut course = Course::new(peer().public());
        course.heard(Some(record(5, 1, &[5])));

        // The cloud has not heard of the move yet, or the network not of the next.
        assert_eq!(course.found(record(4, 1, &[4])), Ok(false));
        assert_eq!(course.aim().unwrap().addresses, [address(5)]);
        assert_eq!(course.found(record(6, 1, &[6])), Ok(true));
        assert_eq!(course.aim().unwrap().addresses, [address(6)]);
        assert!(!course.heard(Some(record(5, 1, &[5]))));
        assert_eq!(course.aim().unwrap().addresses, [address(6)]);
        assert!(course.found(record(4, 1, &[4])).is_err());

        // It is away when both say so.
        assert!(!course.absent(None));
        assert!(course.aim().is_some() && !course.is_hopeless());
        assert!(course.heard(None));
        assert!(course.aim().is_none() && course.is_hopeless());
    }

    #[test]
    fn what_became_of_an_old_aim_says_nothing_of_the_new_one() {
        let mut course = Course::new(peer().public());
        course.found(record(1, 1, &[1])).unwrap();
        let old = course.aim().unwrap();
        course.found(record(2, 1, &[2])).unwrap();

        course.unreached(&old, vec![]);
        assert_eq!(course.trouble(0), None);

        // A dial of the old aim that came to a link all the same is misplaced.
        course.reached(&old, address(1));
        assert_eq!(course.misplaced(), Some("the peer has moved"));
    }
}
