//! Who may do what.

use crate::{
    directory::{Actor, CollectionSpec, Refusal, Who},
    id::PublicKey,
};

use super::record::Record;

/// The role that may create, change and drop collections.
const ADMIN: &str = "admin";

/// The documents of a collection that an actor may read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    All,
    /// Those of this owner.
    Own(PublicKey),
}

impl Reach {
    pub(super) fn covers(self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::Own(key) => record.owner.as_deref() == Some(&key),
        }
    }
}

pub(super) fn reading(actor: &Actor, spec: &CollectionSpec) -> Result<Reach, Refusal> {
    reach(actor, &spec.name, &spec.read).ok_or_else(|| denied(actor, "read", spec, &spec.read))
}

pub(super) fn writing(actor: &Actor, spec: &CollectionSpec) -> Result<Reach, Refusal> {
    match reach(actor, &spec.name, &spec.write) {
        Some(Reach::Own(_)) if is_admin(actor) => Ok(Reach::All),
        Some(reach) => Ok(reach),
        None => Err(denied(actor, "write", spec, &spec.write)),
    }
}

/// May the actor change or delete this document, which is out of their reach?
pub(super) fn not_theirs(actor: &Actor, spec: &CollectionSpec) -> Refusal {
    denied(actor, "write", spec, &spec.write)
}

/// May the actor create, change or drop the collection?
pub(super) fn administering(actor: &Actor, collection: &str) -> Result<(), Refusal> {
    let open_to = match is_internal(collection) {
        _ if *actor == Actor::Node => return Ok(()),
        true => shown(&Who::Node),
        false if is_admin(actor) => return Ok(()),
        false => shown(&Who::Role(ADMIN.into())),
    };
    Err(Refusal::Denied {
        who: name_of(actor),
        verb: "administer".into(),
        collection: collection.into(),
        open_to,
    })
}

/// May the actor hold leases? They cost memory, so strangers may not.
pub(super) fn leasing(actor: &Actor) -> Result<(), Refusal> {
    match actor {
        Actor::Node | Actor::Client { known: true, .. } => Ok(()),
        Actor::Client { .. } => Err(Refusal::Denied {
            who: name_of(actor),
            verb: "hold leases in".into(),
            collection: "*".into(),
            open_to: shown(&Who::Authenticated),
        }),
    }
}

pub(super) fn is_internal(collection: &str) -> bool {
    collection.starts_with('_')
}

fn reach(actor: &Actor, collection: &str, who: &Who) -> Option<Reach> {
    let Actor::Client { key, known, roles } = actor else {
        return Some(Reach::All);
    };
    if is_internal(collection) {
        return None;
    }
    match who {
        Who::Public => Some(Reach::All),
        Who::Authenticated => known.then_some(Reach::All),
        Who::Role(role) => roles.contains(role).then_some(Reach::All),
        Who::Owner => known.then_some(Reach::Own(*key)),
        Who::Node => None,
    }
}

fn is_admin(actor: &Actor) -> bool {
    match actor {
        Actor::Node => true,
        Actor::Client { roles, .. } => roles.iter().any(|role| role == ADMIN),
    }
}

fn denied(actor: &Actor, verb: &str, spec: &CollectionSpec, who: &Who) -> Refusal {
    let who = match is_internal(&spec.name) {
        true => &Who::Node,
        false => who,
    };
    Refusal::Denied {
        who: name_of(actor),
        verb: verb.into(),
        collection: spec.name.clone(),
        open_to: shown(who),
    }
}

fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::Node => "a node".into(),
        Actor::Client { key, .. } => key.to_string(),
    }
}

fn shown(who: &Who) -> String {
    match who {
        Who::Public => "everybody".into(),
        Who::Authenticated => "listed keys".into(),
        Who::Role(role) => format!("keys with the role `{role}`"),
        Who::Owner => "the document's owner".into(),
        Who::Node => "nodes of the cloud".into(),
    }
}
