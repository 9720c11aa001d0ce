//! What this node campaigns for and holds, and what it must clear away.
//!
//! Each campaign has a *ticket*, which stands in the document that it inserts. A document of this
//! node's whose ticket nobody has any more (the campaign was dropped, the leadership given up or lost,
//! the node restarted) is deleted, so that nobody waits for a lease that others keep alive.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    Fence,
    lease::{Grant, NodeLease},
    records::{self, ElectionRecord},
};
use crate::{
    directory::{
        Command, Document, ELECTIONS, Json, Operation, Refusal, Replica, Server, Transaction,
    },
    error::{Code, Error, Result},
    id::PublicKey,
    world,
};

/// The pause before something is tried again that the directory could not do.
const PAUSE: Duration = Duration::from_millis(100);

/// A node's part in elections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Elections {
    shared: Arc<Shared>,
}

struct Shared {
    server: Server,
    key: PublicKey,
    name: String,
    lease: NodeLease,
    /// By ticket.
    seats: Mutex<BTreeMap<u64, Seat>>,
    /// A seat was given up.
    given_up: Notify,
    closed: AtomicBool,
    on_close: Notify,
}

/// A campaign, or what it has won.
struct Seat {
    /// The lease under which it has been claimed, or may have been.
    grant: Option<Arc<Grant>>,
    won: Option<Fence>,
    over: Arc<Over>,
}

/// Whether a leadership has ended otherwise than with the lease.
#[derive(Default)]
pub(super) struct Over {
    is: AtomicBool,
    changed: Notify,
}

impl Over {
    pub(super) fn is(&self) -> bool {
        self.is.load(Ordering::Acquire)
    }

    pub(super) fn set(&self) {
        self.is.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(super) async fn wait(&self) {
        let mut changed = std::pin::pin!(self.changed.notified());
        changed.as_mut().enable();
        if !self.is() {
            changed.await;
        }
    }
}

/// One's place in a campaign; dropping it gives up what was won.
pub(super) struct Ticket {
    elections: Elections,
    number: u64,
    over: Arc<Over>,
}

/// What came of a claim.
pub(super) enum Claim {
    Won(Fence, Arc<Grant>),
    /// Somebody else was faster, or the lease ended: to be tried again when things have changed.
    Lost,
}

impl Elections {
    pub(crate) fn new(server: Server, key: PublicKey, name: String, ttl: Duration) -> Self {
        let shared = Shared {
            lease: NodeLease::new(server.clone(), ttl),
            server,
            key,
            name,
            seats: Mutex::default(),
            given_up: Notify::new(),
            closed: AtomicBool::new(false),
            on_close: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.shared.server
    }

    /// The node's lease, for whatever else it holds. It is renewed as long as somebody has it.
    pub(crate) async fn lease(&self) -> Result<Arc<Grant>> {
        if self.is_closed() {
            return Err(stopping());
        }
        self.shared.lease.get().await
    }

    pub(super) fn key(&self) -> PublicKey {
        self.shared.key
    }

    pub(super) fn replica(&self) -> &Arc<Replica> {
        self.shared.server.replica()
    }

    /// Refuses what is known to be outdated.
    pub(crate) fn check(&self, fences: &[Fence]) -> Result<(), Refusal> {
        self.replica()
            .read(|state| state.check_known_fences(fences))
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<u64, Seat>> {
        let seats = &self.shared.seats;
        seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the lease, and clears away. Runs until dropped.
    pub(crate) async fn run(self) {
        tokio::join!(self.shared.lease.run(), self.tend());
    }

    /// Gives up all that the node holds, waits until others can take over, at most for `wait`, and
    /// campaigns no more.
    pub(crate) async fn close(&self, wait: Duration) {
        self.shut();
        let mut changes = self.replica().subscribe(ELECTIONS);
        let cleared = async {
            loop {
                changes.borrow_and_update();
                if self.own().is_empty() || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(wait, cleared).await.is_err() {
            tracing::warn!("elections that this node holds could not be given up in {wait:?}");
        }
    }

    /// Gives up all at once, without telling the directory.
    pub(crate) fn abandon(&self) {
        self.shut();
        self.shared.lease.abandon();
    }

    fn shut(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.on_close.notify_waiters();
        let held: Vec<_> = self
            .seats()
            .values()
            .map(|seat| seat.over.clone())
            .collect();
        held.iter().for_each(|over| over.set());
        self.shared.given_up.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Waits until the node gives up all.
    pub(super) async fn closed(&self) {
        let mut closed = std::pin::pin!(self.shared.on_close.notified());
        closed.as_mut().enable();
        if !self.is_closed() {
            closed.await;
        }
    }

    /// A place in a campaign.
    pub(super) fn ticket(&self) -> Ticket {
        let over = Arc::new(Over::default());
        let number = world::dice();
        let seat = Seat {
            grant: None,
            won: None,
            over: over.clone(),
        };
        self.seats().insert(number, seat);
        Ticket {
            elections: self.clone(),
            number,
            over,
        }
    }

    /// The documents of this node's.
    fn own(&self) -> Vec<Document<ElectionRecord>> {
        let mut all = records::all(self.replica());
        all.retain(|document| document.value.key == self.shared.key);
        all
    }

    /// Deletes what nobody here has any more, and tells those whose document is gone. Runs until
    /// dropped.
    async fn tend(&self) {
        let mut changes = self.replica().subscribe(ELECTIONS);
        loop {
            changes.borrow_and_update();
            let mut is_clear = true;
            for document in self.look() {
                is_clear &= self.delete(document.id, document.revision).await.is_ok();
            }
            if !is_clear {
                world::pause(PAUSE).await;
                continue;
            }
            tokio::select! {
                biased;
                changed = changes.changed() => if changed.is_err() { return },
                () = self.shared.given_up.notified() => {}
            }
        }
    }

    /// Compares the seats with the documents. Returns those that are to be deleted.
    fn look(&self) -> Vec<Document<ElectionRecord>> {
        // The revision first: what is missing at it, and was won before it, is gone.
        let revision = self.replica().read(|state| state.revision());
        let mut own = self.own();
        let now = world::now();
        let gone: Vec<_> = {
            let seats = self.seats();
            let gone = seats.values().filter(|seat| {
                let won = seat.won.as_ref().filter(|won| won.number <= revision);
                won.is_some_and(|fence| {
                    let stands = |document: &Document<ElectionRecord>| {
                        document.id == fence.election && document.created_revision == fence.number
                    };
                    !own.iter().any(stands)
                })
            });
            gone.map(|seat| seat.over.clone()).collect()
        };
        gone.iter().for_each(|over| over.set());
        let seats = self.seats();
        own.retain(|document| {
            let seat = seats.get(&document.value.ticket);
            !seat.is_some_and(|seat| {
                let grant = seat.grant.as_ref();
                let is_ours =
                    |grant: &&Arc<Grant>| document.lease == Some(grant.id()) && grant.is_held(now);
                !seat.over.is() && grant.is_some_and(|grant| is_ours(&grant))
            })
        });
        own
    }

    /// Deletes the document of an election, unless it is another by now.
    async fn delete(&self, id: String, revision: u64) -> Result<()> {
        let transaction = Transaction::new().then(Operation::Delete {
            collection: ELECTIONS.to_owned(),
            id,
            revision: Some(revision),
        });
        let command = Command::Transact(transaction);
        match self.shared.server.command(command).await {
            Ok(_) => Ok(()),
            // Gone already, or another's.
            Err(error) if error.details::<Refusal>().is_some() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Ticket {
    /// True if the document is this campaign's, under a lease that is there.
    pub(super) fn has(&self, document: &Document<ElectionRecord>) -> Option<Arc<Grant>> {
        let seats = self.elections.seats();
        let grant = seats.get(&self.number)?.grant.as_ref()?;
        let is_ours = document.value.ticket == self.number
            && document.lease == Some(grant.id())
            && grant.is_held(world::now());
        is_ours.then(|| grant.clone())
    }

    /// The election is this campaign's.
    pub(super) fn won(&self, fence: &Fence) {
        if let Some(seat) = self.elections.seats().get_mut(&self.number) {
            seat.won = Some(fence.clone());
        }
    }

    pub(super) fn over(&self) -> &Over {
        &self.over
    }

    fn set_grant(&self, grant: Option<Arc<Grant>>) {
        if let Some(seat) = self.elections.seats().get_mut(&self.number) {
            seat.grant = grant;
        }
    }

    /// Tries to win the election `name`.
    ///
    /// # Errors
    /// What the directory could not do now. The election may have been won: then its document has
    /// this ticket.
    pub(super) async fn claim(&self, name: &str) -> Result<Claim> {
        let shared = &self.elections.shared;
        let grant = shared.lease.get().await?;
        self.set_grant(Some(grant.clone()));
        let record = ElectionRecord {
            key: shared.key,
            name: shared.name.clone(),
            ticket: self.number,
        };
        let broken = |error| Error::internal("who campaigns cannot be written as JSON", error);
        let value = Json::of(&record).map_err(broken)?;
        let transaction = Transaction::new().then(Operation::Insert {
            collection: ELECTIONS.to_owned(),
            id: name.to_owned(),
            value,
            lease: Some(grant.id()),
        });
        let claimed = shared.server.command(Command::Transact(transaction)).await;
        let error = match claimed {
            Ok(outcome) => return Ok(Claim::Won(Fence::new(name, outcome.revision), grant)),
            Err(error) => error,
        };
        match error.details::<Refusal>() {
            // An earlier claim of this very campaign may be what it met.
            Some(Refusal::Exists { .. }) => Ok(Claim::Lost),
            Some(Refusal::NoLease { .. }) => {
                grant.lose();
                Ok(Claim::Lost)
            }
            Some(Refusal::NoCollection { .. }) => {
                let create = Command::CreateCollection(records::collection());
                shared.server.command(create).await.map(|_| Claim::Lost)
            }
            _ => Err(error),
        }
    }

    /// The claim was lost for good: the lease is not needed for it.
    pub(super) fn stand_back(&self) {
        self.set_grant(None);
    }

    /// Gives up what was won, and waits until the directory knows.
    pub(super) async fn give_up(self, fence: Fence) -> Result<()> {
        self.over.set();
        let elections = self.elections.clone();
        // Also tended to by the node, should this wait be dropped.
        drop(self);
        elections.delete(fence.election, fence.number).await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.elections.seats().remove(&self.number);
        self.elections.shared.given_up.notify_one();
    }
}

pub(super) fn stopping() -> Error {
    Error::new(Code::Unavailable, "the node is stopping")
}

impl fmt::Debug for Elections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.seats();
        let held = held.values().filter_map(|seat| seat.won.as_ref());
        f.debug_list().entries(held).finish()
    }
}
