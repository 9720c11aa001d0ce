//! What all nodes say of themselves, as this node has heard it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    MemberLoad,
    entry::{About, Entry, Word},
    swim::Life,
};
use crate::id::PublicKey;

/// The newest entry of each member. Whoever is no member is not listened to.
#[derive(Debug)]
pub(super) struct Table {
    me: PublicKey,
    members: BTreeSet<PublicKey>,
    entries: BTreeMap<PublicKey, Entry>,
    /// Somebody spoke of a description that has not come.
    behind: bool,
    /// A greater number of an own life that somebody remembers.
    outlived: Option<u64>,
    /// Counts changes of members and descriptions.
    version: u64,
}

/// What a word is about, and how new it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    life: Life,
    is_load: bool,
    number: u64,
}

impl Topic {
    /// True if nobody needs `other` who has this.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        self.life.key == other.life.key
            && self.is_load == other.is_load
            && (self.life.number, self.number) >= (other.life.number, other.number)
    }
}

impl Table {
    pub(super) fn new(me: PublicKey) -> Self {
        Self {
            me,
            members: BTreeSet::from([me]),
            entries: BTreeMap::new(),
            behind: false,
            outlived: None,
            version: 0,
        }
    }

    /// From now on these are the members.
    pub(super) fn set_members(&mut self, members: BTreeSet<PublicKey>) {
        self.entries.retain(|key, _| members.contains(key));
        self.members = members;
        self.version += 1;
    }

    pub(super) fn members(&self) -> &BTreeSet<PublicKey> {
        &self.members
    }

    pub(super) fn get(&self, key: PublicKey) -> Option<&Entry> {
        self.entries.get(&key)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// This node's own entry.
    pub(super) fn put_own(&mut self, entry: Entry) {
        self.entries.insert(self.me, entry);
        self.version += 1;
    }

    /// Takes in a word; its topic if it is news that should be passed on.
    pub(super) fn hear(&mut self, word: &[u8]) -> Result<Option<Topic>, postcard::Error> {
        let word: Word = postcard::from_bytes(word)?;
        let (life, is_load, number) = match &word {
            Word::About {
                life, described, ..
            } => (*life, false, *described),
            Word::Load { life, measured, .. } => (*life, true, *measured),
        };
        let topic = Topic {
            life,
            is_load,
            number,
        };
        if life.key == self.me {
            // Only this node's own words are its own; of an earlier life's it learns the number.
            let is_own = self.entries.get(&self.me).is_some_and(|own| {
                own.life == life && number <= if is_load { own.measured } else { own.described }
            });
            if !is_own {
                self.remember(life.number);
            }
            return Ok(is_own.then_some(topic));
        }
        let is_news = match word {
            Word::About {
                life,
                described,
                about,
            } => self.describe(life, described, about),
            Word::Load {
                life,
                described,
                measured,
                load,
            } => self.measure(life, described, measured, load),
        };
        Ok(is_news.then_some(topic))
    }

    /// Takes in another node's table. Returns the lives that it knows of.
    pub(super) fn learn(&mut self, entries: Vec<Entry>) -> Vec<Life> {
        self.behind = false;
        let mut lives = Vec::new();
        for entry in entries {
            if entry.life.key == self.me {
                self.remember(entry.life.number);
                continue;
            }
            if !self.members.contains(&entry.life.key) {
                continue;
            }
            lives.push(entry.life);
            let Entry {
                life,
                described,
                about,
                measured,
                load,
            } = entry;
            self.describe(life, described, about);
            self.measure(life, described, measured, load);
        }
        lives
    }

    fn remember(&mut self, number: u64) {
        let own = self.entries.get(&self.me).map_or(0, |own| own.life.number);
        if number > own {
            self.outlived = self.outlived.max(Some(number));
        }
    }

    fn describe(&mut self, life: Life, described: u64, about: About) -> bool {
        if !self.members.contains(&life.key) {
            return false;
        }
        let known = self.entries.get(&life.key);
        if known
            .is_some_and(|known| (known.life.number, known.described) >= (life.number, described))
        {
            return false;
        }
        let measured = known
            .filter(|known| known.life == life)
            .map(|known| (known.measured, known.load.clone()));
        let (measured, load) = measured.unwrap_or_default();
        let entry = Entry {
            life,
            described,
            about,
            measured,
            load,
        };
        self.entries.insert(life.key, entry);
        self.version += 1;
        true
    }

    fn measure(&mut self, life: Life, described: u64, measured: u64, load: MemberLoad) -> bool {
        if !self.members.contains(&life.key) {
            return false;
        }
        let Some(known) = self.entries.get_mut(&life.key) else {
            self.behind = true;
            return false;
        };
        if life.number > known.life.number || (life == known.life && described > known.described) {
            self.behind = true;
        }
        if life != known.life || measured <= known.measured {
            return false;
        }
        known.measured = measured;
        known.load = load;
        true
    }

    /// True if somebody should be asked for what has not come.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// True if not every member has been heard of.
    pub(super) fn lacks_some(&self) -> bool {
        self.entries.len() < self.members.len()
    }

    /// Another whenever members or what they say of themselves have changed.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// A number of a life of this node that somebody has known; its own must be greater.
    pub(super) fn take_outlived(&mut self) -> Option<u64> {
        self.outlived.take()
    }

    /// The same for two nodes that know the same descriptions (FNV-1a, summed).
    pub(super) fn digest(&self) -> u64 {
        self.entries.values().fold(0, |sum, entry| {
            let numbers = [entry.life.number, entry.described];
            let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
            let hash = entry
                .life
                .key
                .as_bytes()
                .iter()
                .copied()
                .chain(numbers)
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                });
            sum.wrapping_add(hash)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        membership::{MemberService, swim::PACKET_MAX},
        transport::Address,
    };

    fn key(number: u8) -> PublicKey {
        PublicKey::from_bytes([number; 32])
    }

    fn nothing() -> About {
        About {
            name: String::new(),
            address: Address::new("127.0.0.1:1"),
            program: String::new(),
            draining: false,
            services: Vec::new(),
        }
    }

    fn about(life: u64, described: u64, name: &str) -> Word {
        Word::About {
            life: Life {
                key: key(2),
                number: life,
            },
            described,
            about: About {
                name: name.to_owned(),
                ..nothing()
            },
        }
    }

    fn load(life: u64, described: u64, measured: u64, in_flight: u32) -> Word {
        Word::Load {
            life: Life {
                key: key(2),
                number: life,
            },
            described,
            measured,
            load: MemberLoad::new(in_flight, std::iter::empty(), None),
        }
    }

    fn table() -> Table {
        let mut table = Table::new(key(1));
        table.set_members(BTreeSet::from([key(1), key(2)]));
        table
    }

    fn hear(table: &mut Table, word: Word) -> bool {
        table.hear(&word.encode()).unwrap().is_some()
    }

    fn name(table: &Table) -> &str {
        &table.get(key(2)).unwrap().about.name
    }

    #[test]
    fn of_two_words_the_newer_counts_in_whatever_order_they_come() {
        for words in [[(1, 1, "a"), (1, 2, "b")], [(1, 9, "a"), (2, 1, "b")]] {
            let mut forward = table();
            let mut backward = table();
            for (life, described, name) in words {
                hear(&mut forward, about(life, described, name));
            }
            for (life, described, name) in words.into_iter().rev() {
                hear(&mut backward, about(life, described, name));
            }

            assert_eq!(name(&forward), "b");
            assert_eq!(name(&backward), "b");
            assert_eq!(forward.digest(), backward.digest());
        }
    }

    #[test]
    fn a_word_is_news_once() {
        let mut table = table();

        assert!(hear(&mut table, about(1, 1, "a")));
        assert!(!hear(&mut table, about(1, 1, "a")));
        assert!(hear(&mut table, load(1, 1, 1, 7)));
        assert!(!hear(&mut table, load(1, 1, 1, 7)));
    }

    #[test]
    fn a_load_of_a_description_that_has_not_come_makes_it_ask() {
        let mut table = table();
        hear(&mut table, about(1, 1, "a"));
        assert!(!table.is_behind());

        hear(&mut table, load(1, 2, 5, 7));

        assert!(table.is_behind());
        assert_eq!(table.get(key(2)).unwrap().load.in_flight, 7);
    }

    #[test]
    fn a_load_of_an_earlier_life_is_not_taken() {
        let mut table = table();
        hear(&mut table, about(2, 1, "a"));

        assert!(!hear(&mut table, load(1, 9, 9, 7)));

        assert_eq!(table.get(key(2)).unwrap().load.in_flight, 0);
    }

    #[test]
    fn whoever_is_no_member_is_not_listened_to() {
        let mut table = Table::new(key(1));

        assert!(!hear(&mut table, about(1, 1, "a")));

        assert!(table.get(key(2)).is_none());
    }

    #[test]
    fn nobody_else_writes_a_nodes_own_entry() {
        let mut table = Table::new(key(2));

        assert!(!hear(&mut table, about(9, 1, "a")));

        assert!(table.get(key(2)).is_none());
        assert_eq!(table.take_outlived(), Some(9));
    }

    #[test]
    fn bytes_that_are_no_word_are_an_error() {
        assert!(table().hear(&[7, 7, 7]).is_err());
    }

    #[test]
    fn too_many_services_for_a_packet_are_fewer() {
        let service = |number| MemberService {
            name: format!("a-service-with-a-rather-long-name-{number}"),
            version: 1,
            schema: number,
            serving: true,
        };
        let word = Word::About {
            life: Life {
                key: key(2),
                number: 1,
            },
            described: 1,
            about: About {
                services: (0..5_000).map(service).collect(),
                ..nothing()
            },
        };

        let bytes = word.encode();

        assert!(bytes.len() < PACKET_MAX);
        let mut table = table();
        assert!(table.hear(&bytes).unwrap().is_some());
        assert!(table.get(key(2)).unwrap().about.services.len() > 10);
    }
}
