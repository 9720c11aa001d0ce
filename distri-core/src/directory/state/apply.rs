//! Executing commands, one after the other, each at most once.

use std::{num::NonZeroU64, sync::Arc};

use super::{
    State, access, check,
    collection::Collection,
    edit::{self, Addition, NotAdded},
    history::Change,
    id::Id,
    record::Record,
};
use crate::{
    directory::{
        Actor, Batch, CollectionSpec, Command, Condition, Document, Filter, Json, Operation,
        Outcome, Proposal, Refusal, Transaction, Verdict, filter::Matcher, limits, once,
    },
    fence::Fence,
    id::PublicKey,
};

/// The log has a command that this program does not know: a newer version wrote it. The state is as
/// it was; this node must not go on without an update.
#[derive(Debug, thiserror::Error)]
#[error("command {index} of the log entry is not known to this version")]
pub(crate) struct UnknownCommand {
    /// Which one, from 0.
    pub(crate) index: usize,
    pub(crate) source: postcard::Error,
}

impl State {
    /// Applies one entry of the log; gives a verdict for each proposal, in order.
    ///
    /// # Errors
    /// A proposal cannot be decoded. Nothing was applied.
    pub(crate) fn apply(&mut self, batch: &Batch) -> Result<Vec<Verdict>, UnknownCommand> {
        let proposals = batch
            .proposals
            .iter()
            .enumerate()
            .map(|(index, bytes)| {
                Proposal::decode(bytes).map_err(|source| UnknownCommand { index, source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.advance(batch.time_ms, batch.new_leader);
        Ok(proposals
            .into_iter()
            .map(|(proposal, fences)| self.answer(proposal, &fences))
            .collect())
    }

    fn advance(&mut self, time_ms: u64, new_leader: bool) {
        self.time_ms = self.time_ms.max(time_ms);
        if new_leader {
            self.leases.keep_all(self.time_ms);
        }
        self.sessions.advance(self.time_ms);
        while let Some(lease) = self.leases.expired(self.time_ms) {
            self.end_lease(lease);
        }
    }

    /// Executes a proposal unless it was before.
    fn answer(&mut self, proposal: Proposal, fences: &[Fence]) -> Verdict {
        let Proposal {
            request,
            actor,
            command,
        } = proposal;
        let Some(request) = request else {
            return self.fenced(&actor, command, fences);
        };
        let digest = once::is_of_a_call(&request).then(|| once::digest(&command));
        if let Some(verdict) = self.sessions.begin(&request, digest, self.time_ms) {
            return verdict;
        }
        let verdict = self.fenced(&actor, command, fences);
        // That one run of a call was late says nothing about the others.
        let of_this_run = digest.is_some() && matches!(verdict, Err(Refusal::Fenced { .. }));
        if !of_this_run {
            self.sessions.remember(&request, digest, &verdict);
        }
        verdict
    }

    /// Executes a command that is made under `fences`, if they stand.
    fn fenced(&mut self, actor: &Actor, command: Command, fences: &[Fence]) -> Verdict {
        self.check_fences(fences)?;
        self.execute(actor, command)
    }

    fn execute(&mut self, actor: &Actor, command: Command) -> Verdict {
        command.check()?;
        match command {
            Command::Transact(transaction) => self.transact(actor, transaction),
            Command::CreateCollection(spec) => self.create(actor, spec),
            Command::DropCollection { name } => self.drop_collection(actor, &name),
            Command::GrantLease { ttl_ms } => {
                access::leasing(actor)?;
                let lease = self.leases.grant(actor, ttl_ms, self.time_ms)?;
                Ok(Outcome {
                    lease: Some(lease),
                    ..self.done()
                })
            }
            Command::KeepLease { lease } => {
                self.leases.of(actor, lease)?;
                self.leases.keep(lease, self.time_ms);
                Ok(self.done())
            }
            Command::EndLease { lease } => {
                self.leases.of(actor, lease)?;
                self.end_lease(lease);
                Ok(self.done())
            }
        }
    }

    fn done(&self) -> Outcome {
        Outcome::at(self.revision)
    }

    fn create(&mut self, actor: &Actor, spec: CollectionSpec) -> Verdict {
        access::administering(actor, &spec.name)?;
        let before = self.collections.get(spec.name.as_str());
        let collection = match before {
            Some(before) => before.redefined(spec)?,
            None => {
                let count = self.collections.len() + 1;
                check::bounded("the list of collections", count, limits::COLLECTIONS)?;
                Collection::new(spec)?
            }
        };
        let is_new = before.is_none();
        self.revision += 1;
        let name = Arc::clone(&collection.definition.name);
        if is_new {
            self.history.created(&name, self.revision);
        }
        self.collections.insert(name, Arc::new(collection));
        Ok(self.done())
    }

    fn drop_collection(&mut self, actor: &Actor, name: &str) -> Verdict {
        access::administering(actor, name)?;
        let Some(dropped) = self.collections.remove(name) else {
            return Err(super::no_collection(name));
        };
        self.revision += 1;
        let name = &dropped.definition.name;
        for entry in &dropped.documents {
            self.leases.rehang(name, &entry.0.id, entry.0.lease, None);
            self.history.record(
                name,
                Change {
                    revision: self.revision,
                    before: Some(Arc::clone(&entry.0)),
                    after: None,
                    expired: true,
                },
            );
        }
        self.history
            .dropped(name, self.revision, &dropped.spec().read);
        self.history.trim();
        Ok(self.done())
    }

    /// Ends a lease with its documents; a lease without documents changes no revision.
    fn end_lease(&mut self, lease: u64) {
        let Some(lease) = self.leases.end(lease) else {
            return;
        };
        let revision = self.revision + 1;
        for (name, id) in &lease.documents {
            let removed = match self.collection_mut(name) {
                Ok(collection) => collection.remove(id),
                Err(_) => None,
            };
            if let Some(before) = removed {
                self.revision = revision;
                let change = Change {
                    revision,
                    before: Some(before),
                    after: None,
                    expired: true,
                };
                self.history.record(name, change);
            }
        }
        self.history.trim();
    }

    fn transact(&mut self, actor: &Actor, transaction: Transaction) -> Verdict {
        for (index, condition) in transaction.conditions.iter().enumerate() {
            if !self.holds(actor, condition)? {
                return Err(Refusal::Condition {
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    what: shown(condition),
                });
            }
        }
        if transaction.operations.is_empty() {
            return Ok(self.done());
        }
        let mut work = Work {
            revision: self.revision + 1,
            steps: Vec::with_capacity(transaction.operations.len()),
            documents: Vec::new(),
            state: self,
            actor,
        };
        for operation in transaction.operations {
            if let Err(refusal) = work.operate(operation) {
                work.undo();
                return Err(refusal);
            }
        }
        Ok(work.commit())
    }

    fn holds(&self, actor: &Actor, condition: &Condition) -> Result<bool, Refusal> {
        let seen = |collection: &str, id: &str| -> Result<Option<&Arc<Record>>, Refusal> {
            let collection = self.collection(collection)?;
            let reach = access::reading(actor, collection.spec())?;
            Ok(collection.get(id).filter(|record| reach.covers(record)))
        };
        Ok(match condition {
            Condition::Matches {
                collection,
                id,
                filter,
            } => seen(collection, id)?
                .is_some_and(|record| Matcher::new(filter).matches(&record.facts())),
            Condition::Revision {
                collection,
                id,
                revision,
            } => seen(collection, id)?.is_some_and(|record| record.revision == *revision),
            Condition::Missing { collection, id } => seen(collection, id)?.is_none(),
            Condition::None { collection, filter } => {
                let collection = self.collection(collection)?;
                let reach = access::reading(actor, collection.spec())?;
                collection.matching(filter, reach).next().is_none()
            }
            Condition::Clock { from_ms, until_ms } => {
                from_ms.is_none_or(|from| from <= self.time_ms)
                    && until_ms.is_none_or(|until| self.time_ms < until)
            }
        })
    }
}

/// A transaction on its way: its operations have taken effect, and can be taken back.
struct Work<'s> {
    state: &'s mut State,
    actor: &'s Actor,
    /// The revision that the transaction will have.
    revision: u64,
    steps: Vec<Step>,
    documents: Vec<Document>,
}

/// What one operation did.
struct Step {
    collection: Arc<str>,
    before: Option<Arc<Record>>,
    after: Option<Arc<Record>>,
}

impl Work<'_> {
    /// Does the operation, or nothing.
    fn operate(&mut self, operation: Operation) -> Result<(), Refusal> {
        match operation {
            Operation::Insert {
                collection,
                id,
                value,
                lease,
            } => {
                if let Some(before) = self.writable(&collection, &id)? {
                    return Err(Refusal::Exists {
                        revision: before.revision,
                        collection,
                        id,
                    });
                }
                let lease = self.lease(lease)?;
                self.put(&collection, id, value, lease, None)
            }
            Operation::Put {
                collection,
                id,
                value,
                lease,
            } => {
                let before = self.owned(&collection, &id)?;
                let lease = self.lease(lease)?;
                self.put(&collection, id, value, lease, before)
            }
            Operation::Replace {
                collection,
                id,
                revision,
                value,
            } => {
                let before = self.at(&collection, &id, Some(revision))?;
                self.put(&collection, id, value, before.lease, Some(before))
            }
            Operation::Merge {
                collection,
                id,
                patch,
            } => {
                let before = self.readable(&collection, &id)?;
                let value = edit::merge(&before.value, &patch)
                    .map_err(|problem| check::invalid(problem.to_string()))?;
                self.put(&collection, id, value, before.lease, Some(before))?;
                self.tell();
                Ok(())
            }
            Operation::Add {
                collection,
                id,
                field,
                by,
                min,
                max,
            } => {
                let before = self.readable(&collection, &id)?;
                let addition = Addition {
                    field: &field,
                    by: &by,
                    min: min.as_ref(),
                    max: max.as_ref(),
                };
                let value = addition
                    .apply(&before.value)
                    .map_err(|problem| match problem {
                        NotAdded::Invalid(what) => check::invalid(what),
                        NotAdded::Bounds(value) => Refusal::Bounds {
                            collection: collection.clone(),
                            id: id.clone(),
                            value,
                            by: by.to_string(),
                            bounds: addition.bounds(),
                            field: field.clone(),
                        },
                    })?;
                self.put(&collection, id, value, before.lease, Some(before))?;
                self.tell();
                Ok(())
            }
            Operation::Delete {
                collection,
                id,
                revision,
            } => {
                self.at(&collection, &id, revision)?;
                let live = self.state.collection_mut(&collection)?;
                let before = live.remove(&id);
                let collection = Arc::clone(&live.definition.name);
                self.steps.push(Step {
                    collection,
                    before,
                    after: None,
                });
                Ok(())
            }
        }
    }

    /// The document as it stands, in a collection in which the actor may write something.
    fn writable(&self, collection: &str, id: &str) -> Result<Option<Arc<Record>>, Refusal> {
        let collection = self.state.collection(collection)?;
        access::writing(self.actor, collection.spec())?;
        Ok(collection.get(id).cloned())
    }

    /// The document as it stands, if the actor may change it where it is there.
    fn owned(&self, collection: &str, id: &str) -> Result<Option<Arc<Record>>, Refusal> {
        let collection = self.state.collection(collection)?;
        let reach = access::writing(self.actor, collection.spec())?;
        match collection.get(id) {
            Some(record) if !reach.covers(record) => {
                Err(access::not_theirs(self.actor, collection.spec()))
            }
            found => Ok(found.cloned()),
        }
    }

    /// The document, which must be there, and at the revision if one is given.
    fn at(
        &self,
        collection: &str,
        id: &str,
        revision: Option<u64>,
    ) -> Result<Arc<Record>, Refusal> {
        let record = self
            .owned(collection, id)?
            .ok_or_else(|| missing(collection, id))?;
        match revision {
            Some(expected) if expected != record.revision => Err(Refusal::Revision {
                collection: collection.into(),
                id: id.into(),
                expected,
                actual: record.revision,
            }),
            _ => Ok(record),
        }
    }

    /// The document, which must be there and which the actor may read as well, since they will be
    /// told what it became.
    fn readable(&self, collection: &str, id: &str) -> Result<Arc<Record>, Refusal> {
        let reach = access::reading(self.actor, self.state.collection(collection)?.spec())?;
        let record = self.at(collection, id, None)?;
        match reach.covers(&record) {
            true => Ok(record),
            false => Err(missing(collection, id)),
        }
    }

    fn lease(&self, lease: Option<u64>) -> Result<Option<NonZeroU64>, Refusal> {
        lease
            .map(|number| {
                self.state.leases.of(self.actor, number)?;
                NonZeroU64::new(number).ok_or(Refusal::NoLease { lease: number })
            })
            .transpose()
    }

    fn put(
        &mut self,
        collection: &str,
        id: String,
        value: Json,
        lease: Option<NonZeroU64>,
        before: Option<Arc<Record>>,
    ) -> Result<(), Refusal> {
        check::document(&id, value.as_str().len())?;
        let now = self.state.time_ms;
        let record = match &before {
            Some(before) => Record {
                id: before.id.clone(),
                owner: before.owner.clone(),
                created_revision: before.created_revision,
                created_ms: before.created_ms,
                revision: self.revision,
                updated_ms: now,
                value,
                lease,
            },
            None => Record {
                id: Id::new(&id),
                owner: inserter(self.actor).map(Box::new),
                created_revision: self.revision,
                created_ms: now,
                revision: self.revision,
                updated_ms: now,
                value,
                lease,
            },
        };
        let live = self.state.collection_mut(collection)?;
        live.admit(&record)?;
        let record = Arc::new(record);
        let before = live.insert(Arc::clone(&record));
        let collection = Arc::clone(&live.definition.name);
        self.steps.push(Step {
            collection,
            before,
            after: Some(record),
        });
        Ok(())
    }

    /// Puts the document of the last step into the reply.
    fn tell(&mut self) {
        let last = self.steps.last().and_then(|step| step.after.as_ref());
        self.documents.extend(last.map(|record| record.document()));
    }

    fn undo(self) {
        for step in self.steps.into_iter().rev() {
            let Ok(collection) = self.state.collection_mut(&step.collection) else {
                continue;
            };
            match (step.before, step.after) {
                (Some(before), _) => {
                    collection.insert(before);
                }
                (None, Some(after)) => {
                    collection.remove(&after.id);
                }
                (None, None) => {}
            }
        }
    }

    fn commit(mut self) -> Outcome {
        join(&mut self.steps);
        let Self {
            state,
            revision,
            steps,
            documents,
            ..
        } = self;
        state.revision = revision;
        for step in steps {
            let Step {
                collection,
                before,
                after,
            } = step;
            let lease_of = |record: &Option<Arc<Record>>| record.as_ref().and_then(|r| r.lease);
            let (from, to) = (lease_of(&before), lease_of(&after));
            if let Some(record) = after.as_ref().or(before.as_ref()) {
                state.leases.rehang(&collection, &record.id, from, to);
            }
            let change = Change {
                revision,
                before,
                after,
                expired: false,
            };
            state.history.record(&collection, change);
        }
        state.history.trim();
        Outcome {
            revision,
            documents,
            lease: None,
        }
    }
}

/// Makes one step of all those that touched one document.
fn join(steps: &mut Vec<Step>) {
    let mut n = 1;
    while n < steps.len() {
        let earlier = steps[..n]
            .iter()
            .position(|step| step.collection == steps[n].collection && step.id() == steps[n].id());
        match earlier {
            Some(earlier) => {
                let step = steps.remove(n);
                steps[earlier].after = step.after;
            }
            None => n += 1,
        }
    }
    // Inserted and deleted again.
    steps.retain(|step| step.before.is_some() || step.after.is_some());
}

impl Step {
    fn id(&self) -> &str {
        let version = self.after.as_ref().or(self.before.as_ref());
        version.map_or("", |record| &record.id)
    }
}

/// Whose a document is that the actor inserts.
fn inserter(actor: &Actor) -> Option<PublicKey> {
    match actor {
        Actor::Node => None,
        Actor::Client { key, .. } => Some(*key),
    }
}

fn missing(collection: &str, id: &str) -> Refusal {
    Refusal::Missing {
        collection: collection.into(),
        id: id.into(),
    }
}

/// What a condition says, for whoever it did not hold for.
fn shown(condition: &Condition) -> String {
    let matching = |filter: &Filter| {
        let mut text = filter.to_string();
        if let Some((end, _)) = text.char_indices().nth(200) {
            text.truncate(end);
            text.push('…');
        }
        text
    };
    match condition {
        Condition::Matches {
            collection,
            id,
            filter,
        } => format!("`{collection}/{id}` matches {}", matching(filter)),
        Condition::Revision {
            collection,
            id,
            revision,
        } => format!("`{collection}/{id}` is at revision {revision}"),
        Condition::Missing { collection, id } => format!("there is no `{collection}/{id}`"),
        Condition::None { collection, filter } => {
            format!("nothing in `{collection}` matches {}", matching(filter))
        }
        Condition::Clock { from_ms, until_ms } => match (from_ms, until_ms) {
            (Some(from), Some(until)) => format!("the clock is at {from} to {until}"),
            (Some(from), None) => format!("the clock has reached {from}"),
            (None, Some(until)) => format!("the clock has not reached {until}"),
            (None, None) => "the clock goes".to_owned(),
        },
    }
}
