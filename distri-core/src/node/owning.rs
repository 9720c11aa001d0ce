//! Services whose keys belong to one node each (`placement = key(…)`), where there is a directory.
//!
//! Each node that hosts such a service has a *hold* in the directory, under its lease, and follows the
//! ring of the service; [`crate::placement::ring`] says what it may serve meanwhile. Whichever node
//! comes first in the order of keys makes the next ring when nodes have come or gone; should it not, the
//! next in order does, a little later. The conditions of the write make it safe, whoever does.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the tasks that follow rings"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::{
    NodeHandle,
    gate::{Cut, KeyPass, OwnsKeys},
    host::Host,
};
use crate::{
    directory::{
        Actor, CollectionSpec, Command, Condition, Document, Filter, HOLDS, Json, Operation, Query,
        RINGS, Refusal, Replica, Server, Transaction, Who,
    },
    election::{Elections, Grant},
    error::{Error, Result},
    fence::Fence,
    id::PublicKey,
    placement::ring::{HoldRecord, Ownership, Ring},
    service::{Elsewhere, MethodDescriptor, Placement, ServiceDescriptor},
    watch, world,
};

/// How long calls may go on whose key moves to another node, before they are cut off. Longer is kinder
/// to long calls, and makes callers of keys that move wait.
const MOVE: Duration = Duration::from_secs(5);

/// How much later each node in the order of keys sees to a new ring.
const IN_ORDER: Duration = Duration::from_millis(500);

/// The pause after something that the directory could not do.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a node looks whether a service is well.
const LOOK: Duration = Duration::from_millis(500);

/// The services of this node whose keys have owners.
pub(super) struct Owning {
    gates: Vec<Arc<KeyGate>>,
}

/// Lets in calls whose key is this node's.
pub(super) struct KeyGate {
    service: String,
    key: PublicKey,
    elections: Elections,
    state: Mutex<State>,
    /// A call ended whose key moves.
    let_go: Notify,
    /// This node wants no keys any more.
    leaving: watch::Sender<bool>,
    left: watch::Sender<bool>,
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    hold: Option<Hold>,
    /// The calls that are served, each with its key.
    calls: BTreeMap<u64, (u64, Arc<Cut>)>,
    next_call: u64,
    /// Since when a ring has needed to be made anew.
    outdated: Option<(u64, Instant)>,
}

/// This node's hold, as it stands in the directory.
struct Hold {
    grant: Arc<Grant>,
    fence: Fence,
    ticket: u64,
    revision: u64,
    leaving: bool,
    ownership: Ownership,
}

/// What is to be done next.
enum Next {
    /// Something was done: there may be more.
    Again,
    /// Nothing until something changes.
    Rest,
    /// Nothing until then, or until something changes.
    At(Duration),
}

/// True if some method of the service is placed by a key.
fn is_keyed(service: &ServiceDescriptor) -> bool {
    let keyed = |method: &MethodDescriptor| matches!(method.placement, Placement::Key(_));
    service.methods.iter().any(keyed)
}

impl Owning {
    /// Puts gates before the services of `host` that are placed by keys. None where the node keeps no
    /// directory: there, keys meet the same node as long as nodes do not come and go.
    pub(super) fn new(node: &NodeHandle, host: &Host) -> Self {
        let Some(elections) = node.elections() else {
            return Self { gates: Vec::new() };
        };
        let mut gates = Vec::new();
        for service in host.descriptors().filter(|service| is_keyed(service)) {
            let gate = Arc::new(KeyGate {
                service: service.name.clone(),
                key: node.key(),
                elections: elections.clone(),
                state: Mutex::default(),
                let_go: Notify::new(),
                leaving: watch::Sender::new(false),
                left: watch::Sender::new(false),
                closing: AtomicBool::new(false),
            });
            let owns: Arc<dyn OwnsKeys> = gate.clone();
            host.own(&service.name, &owns);
            gates.push(gate);
        }
        Self { gates }
    }

    /// Shares in the keys from now on.
    pub(super) fn start(&self, host: &Weak<Host>) -> Vec<AbortHandle> {
        let gates = self.gates.iter().cloned();
        gates
            .flat_map(|gate| {
                let health = gate.clone().follow_health(host.clone());
                [
                    world::spawn(gate.run()).abort_handle(),
                    world::spawn(health).abort_handle(),
                ]
            })
            .collect()
    }

    /// Gives all keys to other nodes, and waits until they have them, at most for `wait`.
    pub(super) async fn hand_over(&self, wait: Duration) {
        for gate in &self.gates {
            gate.closing.store(true, Ordering::Release);
            gate.leaving.send_replace(true);
        }
        let left = async {
            for gate in &self.gates {
                let mut left = gate.left.subscribe();
                // The gate lives as long as this does.
                let _ = left.wait_for(|left| *left).await;
            }
        };
        if tokio::time::timeout(wait, left).await.is_err() {
            tracing::warn!(waited = ?wait, "keys could not be given to other nodes in time");
        }
    }
}

impl KeyGate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self) -> &Server {
        self.elections.server()
    }

    fn replica(&self) -> &Arc<Replica> {
        self.server().replica()
    }

    fn id(&self) -> String {
        format!("{}/{}", self.service, self.key)
    }

    /// A service that is not well leaves its keys to others.
    async fn follow_health(self: Arc<Self>, host: Weak<Host>) {
        let mut was_well = true;
        while let Some(host) = host.upgrade() {
            let is_well = !host.not_serving().contains(&self.service);
            drop(host);
            if is_well != was_well && !self.closing.load(Ordering::Acquire) {
                self.leaving.send_replace(!is_well);
                was_well = is_well;
            }
            world::pause(LOOK).await;
        }
    }

    /// Follows the ring until this node has left it for good.
    async fn run(self: Arc<Self>) {
        let mut rings = self.replica().subscribe(RINGS);
        let mut holds = self.replica().subscribe(HOLDS);
        let mut leaving = self.leaving.subscribe();
        loop {
            rings.borrow_and_update();
            holds.borrow_and_update();
            leaving.borrow_and_update();
            let next = match self.turn().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::debug!(service = self.service, %error, "keys cannot be seen to now");
                    Next::At(PAUSE)
                }
            };
            let wait = match next {
                Next::Again => continue,
                Next::Rest => None,
                Next::At(wait) => Some(wait),
            };
            let timer = async {
                match wait {
                    Some(wait) => world::pause(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                more = rings.changed() => if more.is_err() { return },
                more = holds.changed() => if more.is_err() { return },
                _ = leaving.changed() => {}
                () = self.let_go.notified() => {}
                () = self.lost() => {}
                () = timer => {}
            }
        }
    }

    /// Waits until the lease of the hold is lost.
    async fn lost(&self) {
        let grant = self.state().hold.as_ref().map(|hold| hold.grant.clone());
        match grant {
            Some(grant) => grant.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Does one thing that is to be done.
    async fn turn(&self) -> Result<Next> {
        let wants = !*self.leaving.borrow();
        self.forget_lost();
        // The revision first, then the ring, then the holds: each is at least as new as the one before.
        let revision = self.replica().read(|state| state.revision());
        let Some(ring) = self.ring() else {
            self.make_first_ring().await?;
            return Ok(Next::Again);
        };
        if self.state().hold.is_none() {
            if !wants {
                self.left.send_replace(true);
                return Ok(Next::Rest);
            }
            self.left.send_replace(false);
            self.take_hold(ring).await?;
            return Ok(Next::Again);
        }
        let holds = self.holds();
        self.hear(&holds, revision);
        if let Some(next) = self.follow(&ring, wants).await? {
            return Ok(next);
        }
        let all_say = |number| holds.iter().all(|hold| hold.value.ring >= number);
        if all_say(ring.number) {
            if let Some(hold) = &mut self.state().hold
                && hold.ownership.taken().number == ring.number
            {
                hold.ownership.settle();
            }
            if !wants && !ring.members.contains(&self.key) {
                self.let_go_of_hold().await?;
                return Ok(Next::Again);
            }
            return self.renew(&ring, &holds).await;
        }
        Ok(Next::Rest)
    }

    /// Forgets a hold whose lease is lost: nothing is served under it any more.
    fn forget_lost(&self) {
        let now = world::now();
        let lost = |hold: &mut Hold| !hold.grant.is_held(now);
        if self.state().hold.take_if(lost).is_some() {
            tracing::warn!(
                service = self.service,
                "this node's keys are lost with its lease"
            );
            self.cut_all();
        }
    }

    /// Cuts off all calls: the hold that they are served under is no more.
    fn cut_all(&self) {
        let calls: Vec<_> = self
            .state()
            .calls
            .values()
            .map(|(_, cut)| cut.clone())
            .collect();
        calls.iter().for_each(|cut| cut.cut());
    }

    /// The ring as this node has it.
    fn ring(&self) -> Option<Ring> {
        let found = self
            .replica()
            .read(|state| state.get(&Actor::Node, RINGS, &self.service));
        let document = found.ok()??;
        Some(Ring {
            number: document.revision,
            members: document.value.to().ok()?,
        })
    }

    /// The holds of all nodes as this one has them.
    fn holds(&self) -> Vec<Document<HoldRecord>> {
        let mut query = Query::new(HOLDS);
        query.filter = Filter::eq("service", self.service.as_str());
        query.limit = 10_000;
        let Ok(view) = self.replica().read(|state| state.view(HOLDS)) else {
            return Vec::new();
        };
        let found = view.find(&Actor::Node, &query);
        let documents = found.map_or_else(|_| Vec::new(), |page| page.documents);
        documents
            .into_iter()
            .filter_map(|document| document.typed().ok())
            .collect()
    }

    async fn transact(&self, transaction: Transaction) -> Result<u64> {
        let outcome = self.server().command(Command::Transact(transaction)).await;
        let error = match outcome {
            Ok(outcome) => return Ok(outcome.revision),
            Err(error) => error,
        };
        if let Some(Refusal::NoCollection { .. }) = error.details() {
            for name in [RINGS, HOLDS] {
                let spec = CollectionSpec::new(name).read(Who::Node).write(Who::Node);
                self.server()
                    .command(Command::CreateCollection(spec))
                    .await?;
            }
        }
        Err(error)
    }

    async fn make_first_ring(&self) -> Result<()> {
        let nobody =
            Transaction::new().insert(RINGS, self.service.as_str(), json::<[PublicKey]>(&[])?);
        self.transact(nobody).await.map(drop)
    }

    /// Takes a hold, which begins with `ring`; should that be outdated, it is refused.
    async fn take_hold(&self, ring: Ring) -> Result<()> {
        let grant = self.elections.lease().await?;
        let ticket = world::dice();
        let record = HoldRecord {
            service: self.service.clone(),
            key: self.key,
            ticket,
            ring: ring.number,
            members: ring.members.clone(),
            leaving: false,
        };
        let id = self.id();
        let mut transaction = Transaction::new().require(Condition::Revision {
            collection: RINGS.to_owned(),
            id: self.service.clone(),
            revision: ring.number,
        });
        // Of a life before this one, or of a lease that was lost.
        let found = self
            .replica()
            .read(|state| state.get(&Actor::Node, HOLDS, &id));
        if let Ok(Some(former)) = found {
            transaction = transaction.then(Operation::Delete {
                collection: HOLDS.to_owned(),
                id: id.clone(),
                revision: Some(former.revision),
            });
        }
        let transaction = transaction.then(Operation::Insert {
            collection: HOLDS.to_owned(),
            id: id.clone(),
            value: json(&record)?,
            lease: Some(grant.id()),
        });
        let revision = self.transact(transaction).await?;
        self.state().hold = Some(Hold {
            grant,
            fence: Fence::new(id, revision),
            ticket,
            revision,
            leaving: false,
            ownership: Ownership::new(self.key, ring),
        });
        Ok(())
    }

    /// Takes in what the directory, as it stood at the revision `known` or later, says of this node's
    /// own hold: a write whose answer was lost, or its end.
    fn hear(&self, holds: &[Document<HoldRecord>], known: u64) {
        let own = holds.iter().find(|document| document.value.key == self.key);
        let mut state = self.state();
        let Some(hold) = &mut state.hold else { return };
        match own.filter(|own| own.value.ticket == hold.ticket) {
            Some(own) if own.revision > hold.revision => {
                hold.revision = own.revision;
                hold.leaving = own.value.leaving;
                if own.value.ring > hold.ownership.taken().number {
                    hold.ownership.take_over();
                }
            }
            Some(_) => {}
            // Gone, unless it is not here yet.
            None if known >= hold.revision => {
                state.hold = None;
                drop(state);
                self.cut_all();
            }
            None => {}
        }
    }

    /// Takes over the ring, if it is another, once no call is served any more whose key it gives away;
    /// tells the others if this node wants to leave.
    async fn follow(&self, ring: &Ring, wants: bool) -> Result<Option<Next>> {
        let moving = {
            let mut state = self.state();
            let State { hold, calls, .. } = &mut *state;
            let Some(hold) = hold else {
                return Ok(Some(Next::Again));
            };
            hold.ownership.prepare(ring.clone());
            let moving = calls.values().filter(|(key, _)| hold.ownership.loses(*key));
            moving.map(|(_, cut)| cut.clone()).collect::<Vec<_>>()
        };
        let now = world::now();
        let left = |cut: &Arc<Cut>| cut.by(now + MOVE).saturating_duration_since(now);
        if let Some(left) = moving.iter().map(left).max() {
            if left.is_zero() {
                moving.iter().for_each(|cut| cut.cut());
            }
            return Ok(Some(Next::At(left.max(PAUSE))));
        }
        let Some((record, revision)) = self.to_be_said(ring, wants) else {
            return Ok(None);
        };
        let leaving = record.leaving;
        let transaction = Transaction::new().then(Operation::Replace {
            collection: HOLDS.to_owned(),
            id: self.id(),
            revision,
            value: json(&record)?,
        });
        let revision = self.transact(transaction).await?;
        if let Some(hold) = &mut self.state().hold {
            hold.revision = revision;
            hold.leaving = leaving;
            hold.ownership.take_over();
        }
        Ok(Some(Next::Again))
    }

    /// What the hold is to say, if it says something else, and its revision.
    fn to_be_said(&self, ring: &Ring, wants: bool) -> Option<(HoldRecord, u64)> {
        let state = self.state();
        let hold = state.hold.as_ref()?;
        if hold.ownership.taken().number == ring.number && hold.leaving != wants {
            return None;
        }
        let record = HoldRecord {
            service: self.service.clone(),
            key: self.key,
            ticket: hold.ticket,
            ring: ring.number,
            members: ring.members.clone(),
            leaving: !wants,
        };
        Some((record, hold.revision))
    }

    /// Makes a new ring, if nodes have come or gone and it is this one's turn.
    async fn renew(&self, ring: &Ring, holds: &[Document<HoldRecord>]) -> Result<Next> {
        let mut members: Vec<PublicKey> = holds
            .iter()
            .filter(|hold| !hold.value.leaving)
            .map(|hold| hold.value.key)
            .collect();
        members.sort();
        if members == ring.members {
            return Ok(Next::Rest);
        }
        let before = holds.iter().filter(|hold| hold.value.key < self.key);
        let wait = self.left_to_wait(ring, before.count());
        if !wait.is_zero() {
            return Ok(Next::At(wait));
        }
        let others = Filter::And(vec![
            Filter::eq("service", self.service.as_str()),
            Filter::ne("ring", ring.number),
        ]);
        let transaction = Transaction::new()
            .require(Condition::None {
                collection: HOLDS.to_owned(),
                filter: others,
            })
            .then(Operation::Replace {
                collection: RINGS.to_owned(),
                id: self.service.clone(),
                revision: ring.number,
                value: json(&members)?,
            });
        match self.transact(transaction).await {
            Ok(_) => Ok(Next::Again),
            // Somebody else was faster, or a hold has come: it will be heard of.
            Err(error) if error.details::<Refusal>().is_some() => Ok(Next::At(IN_ORDER)),
            Err(error) => Err(error),
        }
    }

    /// How long others, who come before this node in the order of keys, may still take to make a ring
    /// in the place of this one.
    fn left_to_wait(&self, ring: &Ring, before: usize) -> Duration {
        let now = world::now();
        let mut state = self.state();
        let outdated = state.outdated.filter(|(number, _)| *number == ring.number);
        let (_, since) = *state
            .outdated
            .insert(outdated.unwrap_or((ring.number, now)));
        let until = since + IN_ORDER * u32::try_from(before).unwrap_or(u32::MAX);
        until.saturating_duration_since(now)
    }

    /// Ends the hold of a node that is in no ring any more.
    async fn let_go_of_hold(&self) -> Result<()> {
        let revision = self.state().hold.as_ref().map(|hold| hold.revision);
        let delete = Transaction::new().then(Operation::Delete {
            collection: HOLDS.to_owned(),
            id: self.id(),
            revision,
        });
        self.transact(delete).await?;
        self.state().hold = None;
        self.cut_all();
        Ok(())
    }
}

impl OwnsKeys for KeyGate {
    fn admit(self: Arc<Self>, key: u64) -> Result<KeyPass> {
        let mut state = self.state();
        let refused = |by| {
            let service = self.service.clone();
            Error::from(Elsewhere::Owned { service, by })
        };
        let now = world::now();
        let hold = state.hold.as_ref().filter(|hold| hold.grant.is_held(now));
        let Some(hold) = hold else {
            return Err(refused(None));
        };
        hold.ownership.check(key).map_err(refused)?;
        let fence = Fence {
            key: Some(key),
            ..hold.fence.clone()
        };
        let (grant, cut) = (hold.grant.clone(), Arc::new(Cut::default()));
        let number = state.next_call;
        state.next_call += 1;
        state.calls.insert(number, (key, cut.clone()));
        drop(state);
        let over = async move {
            tokio::select! {
                biased;
                () = cut.wait() => {}
                () = grant.lost() => {}
            }
        };
        Ok(KeyPass {
            fence,
            over: Box::pin(over),
            pass: Arc::new(Served {
                gate: self.clone(),
                number,
            }),
        })
    }
}

/// A call that is served.
struct Served {
    gate: Arc<KeyGate>,
    number: u64,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.gate.state().calls.remove(&self.number);
        self.gate.let_go.notify_one();
    }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Json> {
    let broken = |error| Error::internal("a hold or a ring cannot be written as JSON", error);
    Json::of(value).map_err(broken)
}
