//! Is a history of operations on one document linearizable?
//!
//! The search of Wing and Gong (1993) with the memory of Lowe (2017): look for an order of the
//! operations that a single document could have gone through, in which no operation stands before
//! one that had returned when it was called, and never look twice at the same operations done with
//! the same document. Operations whose outcome is unknown may take effect at any time after their
//! call, or never.
//!
//! Three things keep the search narrow. Values are one of a kind (what is written is, and additions
//! are small and positive beside the distance between two such values), so a value that was read
//! goes with one revision. Revisions rise, so writes can only follow each other in the order of
//! theirs. And an operation that changes nothing and fits now may
//! stand here in any order that there is, so nothing else has to be tried in its place.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
};

/// Looks at this many states at most, which is far more than a history of some hundred operations
/// needs; a history that needs more is reported as undecided rather than searched for days.
const STEPS: usize = 5_000_000;

/// What was asked of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Insert(u64),
    Put(u64),
    Replace {
        expected: u64,
        value: u64,
    },
    /// Adds so much to the value that stands there.
    Add(u64),
    Delete,
    Get,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, at this revision.
    Written(u64),
    /// An addition was done: the value after it, and its revision.
    Added(u64, u64),
    /// Read: the value and its revision, if there is the document.
    Read(Option<(u64, u64)>),
    /// An insert was refused: the document stands at this revision.
    Exists(u64),
    /// A replacement was refused: the document stands at this revision.
    Stale(u64),
    /// Refused: there is no document.
    Missing,
    /// It may have taken effect or not, or may yet.
    Unknown,
}

/// An operation, by a counter that rises with each call and each return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) client: usize,
    pub(crate) called: u64,
    pub(crate) returned: u64,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
}

impl Operation {
    fn is_known(&self) -> bool {
        self.outcome != Outcome::Unknown
    }

    /// Before whom it must stand: all that were called after this.
    fn end(&self) -> u64 {
        if self.is_known() {
            self.returned
        } else {
            u64::MAX
        }
    }

    fn value(&self) -> Option<u64> {
        match self.action {
            Action::Insert(value) | Action::Put(value) | Action::Replace { value, .. } => {
                Some(value)
            }
            Action::Add(_) | Action::Delete | Action::Get => None,
        }
    }
}

/// Why a history is not linearizable, or not known to be.
#[derive(Debug)]
pub(crate) struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Looks for an order that explains the operations on one document, absent at first.
pub(crate) fn check(operations: &[Operation]) -> Result<(), Violation> {
    let revisions = revisions(operations)?;
    let mut search = Search::new(operations, revisions);
    if search.explains(Document::default()) {
        return Ok(());
    }
    Err(search.violation())
}

/// The revision of each value that anybody was told of.
fn revisions(operations: &[Operation]) -> Result<BTreeMap<u64, u64>, Violation> {
    let mut revisions = BTreeMap::new();
    for operation in operations {
        let told = match operation.outcome {
            Outcome::Written(revision) => operation.value().map(|value| (value, revision)),
            Outcome::Added(value, revision) => Some((value, revision)),
            Outcome::Read(read) => read,
            Outcome::Exists(_) | Outcome::Stale(_) | Outcome::Missing | Outcome::Unknown => None,
        };
        let Some((value, revision)) = told else {
            continue;
        };
        let before = *revisions.entry(value).or_insert(revision);
        if before != revision {
            return Err(Violation(format!(
                "value {value} was seen at revision {before} and at revision {revision}"
            )));
        }
    }
    Ok(revisions)
}

/// The document as it stands after some of the operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Document {
    /// Its value and revision; the revision is unknown while nobody has been told.
    content: Option<(u64, Option<u64>)>,
    /// The greatest revision so far that is known.
    floor: u64,
}

struct Search<'a> {
    operations: Vec<&'a Operation>,
    revisions: BTreeMap<u64, u64>,
    told: BTreeSet<u64>,
    /// The revision at which each took effect, where that is known. They are done in this order.
    effect: Vec<Option<u64>>,
    done: Vec<bool>,
    order: Vec<usize>,
    /// The order that explains most.
    best: Vec<usize>,
    seen: HashSet<(Vec<bool>, Document)>,
    steps: usize,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation], revisions: BTreeMap<u64, u64>) -> Self {
        let mut operations: Vec<_> = operations
            .iter()
            // A read that told nothing explains nothing.
            .filter(|operation| operation.is_known() || operation.action != Action::Get)
            .collect();
        // Those that must have happened first: the others are tried where these do not suffice.
        operations.sort_by_key(|operation| (!operation.is_known(), operation.called));
        let effect = |operation: &&Operation| match operation.outcome {
            Outcome::Written(revision) | Outcome::Added(_, revision) => Some(revision),
            Outcome::Unknown => operation
                .value()
                .and_then(|value| revisions.get(&value).copied()),
            _ => None,
        };
        Self {
            effect: operations.iter().map(effect).collect(),
            done: vec![false; operations.len()],
            told: revisions.values().copied().collect(),
            operations,
            revisions,
            order: Vec::new(),
            best: Vec::new(),
            seen: HashSet::new(),
            steps: 0,
        }
    }

    /// Finds an order for what is not done yet, from `document` on.
    fn explains(&mut self, document: Document) -> bool {
        self.steps += 1;
        if self.steps > STEPS {
            return false;
        }
        let from = self.order.len();
        self.do_what_changes_nothing(document);
        if self.order.len() > self.best.len() {
            self.best.clone_from(&self.order);
        }
        if self.is_complete() {
            return true;
        }
        if self.seen.insert((self.done.clone(), document)) {
            for index in self.next() {
                let Some(after) = self.after(self.operations[index], document) else {
                    continue;
                };
                self.take(index);
                if self.explains(after) {
                    return true;
                }
                self.untake(self.order.len() - 1);
            }
        }
        self.untake(from);
        false
    }

    fn do_what_changes_nothing(&mut self, document: Document) {
        loop {
            let fits = |&index: &usize| {
                let operation = self.operations[index];
                operation.is_known() && self.after(operation, document) == Some(document)
            };
            let Some(index) = self.next().into_iter().find(fits) else {
                return;
            };
            self.take(index);
        }
    }

    fn take(&mut self, index: usize) {
        self.done[index] = true;
        self.order.push(index);
    }

    /// Takes back all but the first `kept`.
    fn untake(&mut self, kept: usize) {
        for index in self.order.drain(kept..) {
            self.done[index] = false;
        }
    }

    /// All that certainly happened is done.
    fn is_complete(&self) -> bool {
        let mut all = self.operations.iter().zip(&self.done);
        all.all(|(operation, done)| *done || !operation.is_known())
    }

    /// Those that may come next: called before any other that is left had returned.
    fn next(&self) -> Vec<usize> {
        let left = || (0..self.done.len()).filter(|&index| !self.done[index]);
        let first_end = left().map(|index| self.operations[index].end()).min();
        let first_revision = left().filter_map(|index| self.effect[index]).min();
        let mut alike = Vec::new();
        left()
            .filter(|&index| Some(self.operations[index].called) < first_end)
            .filter(|&index| self.effect[index].is_none_or(|at| Some(at) == first_revision))
            .filter(|&index| match self.traceless(self.operations[index]) {
                // The one called first can stand wherever another of its like could.
                Some(like) => {
                    let is_first = !alike.contains(&like);
                    alike.push(like);
                    is_first
                }
                None => true,
            })
            .collect()
    }

    /// What a write does of which nobody knows whether it took effect, and whose value nobody saw.
    /// Two that do the same can stand for each other.
    fn traceless(&self, operation: &Operation) -> Option<Action> {
        let unseen = |value| self.revision(value).is_none();
        if operation.is_known() || !operation.value().is_none_or(unseen) {
            return None;
        }
        Some(match operation.action {
            Action::Insert(_) => Action::Insert(0),
            Action::Put(_) => Action::Put(0),
            Action::Replace { expected, .. } => Action::Replace { expected, value: 0 },
            action @ (Action::Add(_) | Action::Delete | Action::Get) => action,
        })
    }

    /// The document after `operation`, if it can have had its outcome on `document`. One of unknown
    /// outcome counts only where it has an effect.
    fn after(&self, operation: &Operation, document: Document) -> Option<Document> {
        use {Action as A, Outcome as O};
        match (operation.action, operation.outcome) {
            (A::Insert(value), O::Written(at)) => {
                let absent = document.content.is_none();
                absent.then(|| document.written(value, Some(at)))?
            }
            (A::Put(value), O::Written(at)) => document.written(value, Some(at)),
            (A::Replace { expected, value }, O::Written(at)) => {
                self.at(document, expected)?.written(value, Some(at))
            }
            (A::Add(by), O::Added(value, at)) => {
                let (stands, _) = document.content?;
                (stands.checked_add(by) == Some(value))
                    .then(|| document.written(value, Some(at)))?
            }
            (A::Delete, O::Written(at)) => document.deleted(Some(at)),
            (A::Insert(_), O::Exists(at)) => self.at(document, at),
            (A::Replace { expected, .. }, O::Stale(at)) if at != expected => self.at(document, at),
            (A::Replace { .. } | A::Add(_) | A::Delete, O::Missing) | (A::Get, O::Read(None)) => {
                document.content.is_none().then_some(document)
            }
            (A::Get, O::Read(Some((value, at)))) => {
                let (stands, _) = document.content?;
                (stands == value).then(|| self.at(document, at))?
            }
            (A::Insert(value), O::Unknown) => {
                let absent = document.content.is_none();
                absent.then(|| document.written(value, self.revision(value)))?
            }
            (A::Put(value), O::Unknown) => document.written(value, self.revision(value)),
            (A::Replace { expected, value }, O::Unknown) => self
                .at(document, expected)?
                .written(value, self.revision(value)),
            (A::Add(by), O::Unknown) => {
                let (stands, _) = document.content?;
                let value = stands.checked_add(by)?;
                document.written(value, self.revision(value))
            }
            (A::Delete, O::Unknown) => document.deleted(None),
            _ => None,
        }
    }

    fn revision(&self, value: u64) -> Option<u64> {
        self.revisions.get(&value).copied()
    }

    /// The document, if it can stand at `revision`.
    fn at(&self, document: Document, revision: u64) -> Option<Document> {
        let (value, stands) = document.content?;
        match stands {
            Some(stands) => (stands == revision).then_some(document),
            // Nobody was told the revision of this value; so it is none that goes with another.
            None => {
                (!self.told.contains(&revision) && revision > document.floor).then_some(Document {
                    content: Some((value, Some(revision))),
                    floor: revision,
                })
            }
        }
    }

    fn violation(&self) -> Violation {
        let show = |index: &usize| format!("  {:?}\n", self.operations[*index]);
        let shown = self.best.len().saturating_sub(12);
        let best: String = self.best[shown..].iter().map(show).collect();
        let mut done = self.done.clone();
        self.best.iter().for_each(|&index| done[index] = true);
        let mut left: Vec<usize> = (0..done.len()).filter(|&index| !done[index]).collect();
        left.sort_by_key(|&index| self.operations[index].called);
        let left: String = left.iter().take(12).map(show).collect();
        let what = if self.steps > STEPS {
            "undecided: too many orders are possible"
        } else {
            "not linearizable"
        };
        Violation(format!(
            "{what}; what explains most of it ends with\n{best}and then nothing fits of\n{left}"
        ))
    }
}

impl Document {
    fn written(self, value: u64, revision: Option<u64>) -> Option<Self> {
        self.rises_to(revision).map(|floor| Self {
            content: Some((value, revision)),
            floor,
        })
    }

    fn deleted(self, revision: Option<u64>) -> Option<Self> {
        self.content?;
        self.rises_to(revision).map(|floor| Self {
            content: None,
            floor,
        })
    }

    fn rises_to(self, revision: Option<u64>) -> Option<u64> {
        match revision {
            Some(revision) => (revision > self.floor).then_some(revision),
            None => Some(self.floor),
        }
    }
}

/// Checks that revisions tell the order of all writes, of whichever documents: no two share one,
/// and who was called after another had returned has the greater one.
pub(crate) fn check_revisions<'a>(
    operations: impl Iterator<Item = &'a Operation>,
) -> Result<(), Violation> {
    let mut writes: Vec<(u64, u64, u64)> = operations
        .filter_map(|operation| match operation.outcome {
            Outcome::Written(revision) | Outcome::Added(_, revision) => {
                Some((operation.called, operation.returned, revision))
            }
            _ => None,
        })
        .collect();
    let distinct: BTreeSet<u64> = writes.iter().map(|(_, _, revision)| *revision).collect();
    if distinct.len() < writes.len() {
        return Err(Violation("two writes were told one revision".into()));
    }
    writes.sort_unstable();
    let mut returned: Vec<(u64, u64)> = writes.iter().map(|w| (w.1, w.2)).collect();
    returned.sort_unstable();
    let (mut returned, mut floor) = (returned.into_iter().peekable(), 0);
    for (called, _, revision) in writes {
        while let Some((_, earlier)) = returned.next_if(|(returned, _)| *returned < called) {
            floor = floor.max(earlier);
        }
        if revision <= floor {
            return Err(Violation(format!(
                "a write was told revision {revision} although, before it was called, another \
                 had been told {floor}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Action::*, Outcome::*, *};

    /// An operation with its times.
    fn op(times: std::ops::Range<u64>, action: Action, outcome: Outcome) -> Operation {
        Operation {
            client: 0,
            called: times.start,
            returned: times.end,
            action,
            outcome,
        }
    }

    fn replace(expected: u64, value: u64) -> Action {
        Replace { expected, value }
    }

    fn explained(history: &[Operation]) -> bool {
        check(history).is_ok()
    }

    #[test]
    fn one_after_the_other_is_linearizable() {
        assert!(explained(&[
            op(0..1, Get, Read(None)),
            op(2..3, Insert(7), Written(1)),
            op(4..5, Insert(8), Exists(1)),
            op(6..7, replace(1, 9), Written(2)),
            op(8..9, replace(1, 10), Stale(2)),
            op(10..11, Get, Read(Some((9, 2)))),
            op(12..13, Delete, Written(3)),
            op(14..15, Delete, Missing),
            op(16..17, Put(11), Written(4)),
        ]));
    }

    #[test]
    fn a_read_beside_a_write_may_see_either_side_but_not_go_back() {
        let write = op(0..10, Put(1), Written(1));
        assert!(explained(&[write, op(1..2, Get, Read(None))]));
        assert!(explained(&[write, op(1..2, Get, Read(Some((1, 1))))]));
        assert!(explained(&[
            write,
            op(1..2, Get, Read(None)),
            op(3..4, Get, Read(Some((1, 1)))),
        ]));

        assert!(!explained(&[
            write,
            op(1..2, Get, Read(Some((1, 1)))),
            op(3..4, Get, Read(None)),
        ]));
    }

    #[test]
    fn a_stale_read_is_not_linearizable() {
        assert!(!explained(&[
            op(0..1, Put(1), Written(1)),
            op(2..3, Put(2), Written(2)),
            op(4..5, Get, Read(Some((1, 1)))),
        ]));
        assert!(!explained(&[
            op(0..1, Put(1), Written(1)),
            op(2..3, Get, Read(None)),
        ]));
    }

    #[test]
    fn a_lost_write_is_not_linearizable() {
        assert!(!explained(&[
            op(0..1, Insert(1), Written(1)),
            op(2..3, Insert(2), Written(2)),
        ]));
        assert!(!explained(&[
            op(0..1, Insert(1), Written(1)),
            op(2..3, Delete, Missing),
        ]));
    }

    #[test]
    fn a_lost_update_is_not_linearizable() {
        let both = [
            op(0..1, Put(1), Written(1)),
            op(2..5, replace(1, 2), Written(2)),
            op(3..4, replace(1, 3), Written(3)),
        ];
        assert!(!explained(&both));
    }

    #[test]
    fn additions_are_made_once_each_to_what_stands_there() {
        let start = op(0..1, Put(100), Written(1));
        assert!(explained(&[
            start,
            op(2..9, Add(1), Added(103, 3)),
            op(3..8, Add(2), Added(102, 2)),
            op(10..11, Get, Read(Some((103, 3)))),
            op(12..13, Delete, Written(4)),
            op(14..15, Add(1), Missing),
        ]));
        let unknown = op(2..3, Add(7), Unknown);
        assert!(explained(&[
            start,
            unknown,
            op(4..5, Get, Read(Some((100, 1))))
        ]));
        assert!(explained(&[
            start,
            unknown,
            op(4..5, Get, Read(Some((100, 1)))),
            op(6..7, Get, Read(Some((107, 2)))),
        ]));

        // Lost, made twice, made to something else, and never made.
        assert!(!explained(&[
            start,
            op(2..3, Add(1), Added(101, 2)),
            op(4..5, Add(2), Added(102, 3)),
        ]));
        assert!(!explained(&[
            start,
            unknown,
            op(4..5, Get, Read(Some((114, 3))))
        ]));
        assert!(!explained(&[
            start,
            op(2..3, Put(200), Written(2)),
            op(4..5, Add(1), Added(101, 3)),
        ]));
        assert!(!explained(&[start, op(2..3, Add(1), Missing)]));
    }

    #[test]
    fn a_write_that_takes_effect_twice_is_not_linearizable() {
        // The insert came back after the deletion, by a retry under the same name.
        assert!(!explained(&[
            op(0..1, Insert(1), Written(1)),
            op(2..3, Delete, Written(2)),
            op(4..5, Get, Read(Some((1, 1)))),
        ]));
        assert!(!explained(&[
            op(0..1, Insert(1), Written(1)),
            op(2..3, Delete, Written(2)),
            op(4..5, Get, Read(Some((1, 3)))),
        ]));
        // Also if nobody knows whether it took effect at all.
        assert!(!explained(&[
            op(0..1, Put(1), Unknown),
            op(2..3, Get, Read(Some((1, 1)))),
            op(4..5, Put(2), Written(2)),
            op(6..7, Get, Read(Some((1, 1)))),
        ]));
    }

    #[test]
    fn an_unknown_outcome_may_come_late_or_never_but_not_early() {
        let unknown = op(2..3, Put(1), Unknown);
        assert!(explained(&[unknown, op(4..5, Get, Read(None))]));
        assert!(explained(&[
            unknown,
            op(4..5, Get, Read(None)),
            op(6..7, Get, Read(Some((1, 1)))),
        ]));
        assert!(explained(&[
            op(0..1, Put(9), Written(1)),
            op(2..3, Delete, Unknown),
            op(4..5, Get, Read(Some((9, 1)))),
            op(6..7, Delete, Missing),
        ]));

        assert!(!explained(&[op(0..1, Get, Read(Some((1, 1)))), unknown]));
        assert!(!explained(&[
            unknown,
            op(4..5, Get, Read(Some((1, 1)))),
            op(6..7, Get, Read(None)),
        ]));
    }

    #[test]
    fn what_a_refusal_tells_must_have_been_true() {
        let unseen = op(0..1, Put(5), Unknown);
        assert!(explained(&[unseen, op(2..3, Insert(6), Exists(4))]));
        assert!(explained(&[
            unseen,
            op(2..3, Insert(6), Exists(4)),
            op(4..5, replace(3, 7), Stale(4)),
        ]));

        assert!(!explained(&[op(2..3, Insert(6), Exists(4))]));
        assert!(!explained(&[
            unseen,
            op(2..3, Insert(6), Exists(4)),
            op(4..5, replace(3, 7), Stale(5)),
        ]));
        assert!(!explained(&[
            op(0..1, Put(1), Written(1)),
            op(2..3, replace(1, 2), Stale(1)),
        ]));
    }

    #[test]
    fn a_value_that_nobody_wrote_is_not_linearizable() {
        assert!(!explained(&[op(0..1, Get, Read(Some((1, 1))))]));
    }

    #[test]
    fn many_operations_at_once_are_decided() {
        let mut history: Vec<_> = (0..40)
            .map(|i| op(i..1000 + i, Put(i), Written(i + 1)))
            .collect();
        history.extend((0..20).map(|i| op(50 + i..51 + i, Put(100 + i), Unknown)));
        history.extend((0..40).map(|i| op(100 + i..1100 + i, Get, Read(Some((i, i + 1))))));
        assert!(explained(&history));

        history.push(op(2000..2001, Get, Read(Some((3, 4)))));
        assert!(!explained(&history));
    }

    #[test]
    fn revisions_must_rise_with_time_and_be_one_of_a_kind() {
        let told = |times, revision| op(times, Put(revision), Written(revision));
        let holds = |history: &[Operation]| check_revisions(history.iter()).is_ok();

        assert!(holds(&[told(0..3, 2), told(1..2, 1), told(4..5, 3)]));
        assert!(!holds(&[told(0..1, 2), told(2..3, 1)]));
        assert!(!holds(&[told(0..1, 2), told(0..1, 2)]));
    }
}
