//! Who is who: users by their key, by their handle, by their device.

use distri::{
    Context, NodeHandle, Result,
    directory::{CollectionSpec, Condition, Directory, Json, Operation, Refusal, Transaction},
    id::PublicKey,
    signed::{RecordError, Signed},
};
use serde::{Deserialize, Serialize};

use super::{NoSettings, ShareRefusal, TRIES, only_nodes};
use crate::images::record::{Handle, User};

const USERS: &str = "image-users";
const HANDLES: &str = "image-handles";
const DEVICES: &str = "image-devices";

/// Keeps who is who.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageUsers {
    /// The node keeps no directory, so there is nothing to keep it in.
    idle: bool,
}

/// A user as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptUser {
    record: Signed<User>,
}

/// Whose a handle or a device is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Belongs {
    user: PublicKey,
}

/// Keeps who is who: users by key, handle and device, as they sign it themselves.
#[distri::service(init = Self::open, collections = Self::collections)]
impl ImageUsers {
    /// Keeps `record`, the first of a user or the next. New devices register themselves: the call
    /// that adds one is made by it. The same record again changes nothing.
    #[method(idempotent)]
    async fn register(&self, cx: &Context, record: Signed<User>) -> Result<()> {
        User::of(&record, record.key())?;
        for _ in 0..TRIES {
            let Some(change) = next(cx, &record).await? else {
                return Ok(());
            };
            let Err(error) = cx.directory().transaction(change).await else {
                return Ok(());
            };
            refused(error, &record)?;
        }
        Err(ShareRefusal::Contended.into())
    }

    /// The record of the user `key`.
    #[method(idempotent)]
    async fn user(&self, cx: &Context, key: PublicKey) -> Result<Option<Signed<User>>> {
        kept(&cx.directory(), key).await
    }

    /// The record of the user who is called so.
    #[method(idempotent)]
    async fn named(&self, cx: &Context, handle: Handle) -> Result<Option<Signed<User>>> {
        let handles = cx.directory().collection::<Belongs>(HANDLES);
        match handles.get(handle.folded()).await? {
            Some(belongs) => kept(&cx.directory(), belongs.value.user).await,
            None => Ok(None),
        }
    }
}

impl ImageUsers {
    #[allow(
        clippy::unused_async,
        reason = "a service is opened by an async function"
    )]
    async fn open(node: &NodeHandle, _: NoSettings) -> Result<Self> {
        let idle = !node.keeps_directory();
        Ok(Self { idle })
    }

    fn collections(&self) -> Vec<CollectionSpec> {
        let all = [USERS, HANDLES, DEVICES].map(CollectionSpec::new);
        only_nodes(self.idle, all)
    }
}

/// The record of the user `key`.
pub(super) async fn kept(directory: &Directory, key: PublicKey) -> Result<Option<Signed<User>>> {
    let users = directory.collection::<KeptUser>(USERS);
    let user = users.get(key.to_string()).await?;
    Ok(user.map(|document| document.value.record))
}

/// The user whose device it is.
pub(super) async fn of_device(
    directory: &Directory,
    device: PublicKey,
) -> Result<Option<PublicKey>> {
    let devices = directory.collection::<Belongs>(DEVICES);
    let belongs = devices.get(device.to_string()).await?;
    Ok(belongs.map(|document| document.value.user))
}

/// What has to be done so that `record` stands; `None` if it does.
async fn next(cx: &Context, record: &Signed<User>) -> Result<Option<Transaction>> {
    let (key, user) = (record.key(), record.unchecked());
    let users = cx.directory().collection::<KeptUser>(USERS);
    let held = users.get(key.to_string()).await?;
    let (held, revision) = match held {
        Some(document) => (Some(document.value.record), document.revision),
        None => (None, 0),
    };
    if let Some(held) = &held {
        follows(held, record)?;
        if held.unchecked() == user && held.seq() == record.seq() {
            return Ok(None);
        }
        let (is, wanted) = (&held.unchecked().handle, &user.handle);
        if is.folded() != wanted.folded() {
            let (is, wanted) = (is.to_string(), wanted.to_string());
            return Err(ShareRefusal::HandleFixed { is, wanted }.into());
        }
    } else if record.seq() != 1 {
        let (expected, found) = (1, record.seq());
        return Err(ShareRefusal::Gap { expected, found }.into());
    }

    let before = held
        .as_ref()
        .map_or(&[][..], |held| &held.unchecked().devices);
    let belongs = json(&Belongs { user: key })?;
    let document = json(&KeptUser {
        record: record.clone(),
    })?;
    let id = key.to_string();
    let mut change = match held {
        Some(_) => Transaction::new().then(Operation::Replace {
            collection: USERS.into(),
            id,
            revision,
            value: document,
        }),
        None => Transaction::new()
            .insert(HANDLES, user.handle.folded(), belongs.clone())
            .insert(USERS, id, document),
    };
    for &device in user
        .devices
        .iter()
        .filter(|device| !before.contains(device))
    {
        if device != cx.caller().key {
            return Err(ShareRefusal::NotFromDevice { device }.into());
        }
        change = change.insert(DEVICES, device.to_string(), belongs.clone());
    }
    for device in before
        .iter()
        .filter(|device| !user.devices.contains(device))
    {
        change = change.delete(DEVICES, device.to_string());
    }
    Ok(Some(change))
}

/// Refuses a record that is not the one after `held`, nor the same.
pub(super) fn follows<T: PartialEq>(held: &Signed<T>, record: &Signed<T>) -> Result<()> {
    let (key, held_seq, found) = (record.key(), held.seq(), record.seq());
    if found == held_seq {
        if held.unchecked() == record.unchecked() {
            return Ok(());
        }
        return Err(RecordError::Differs { key, seq: found }.into());
    }
    if found < held_seq {
        let held = held_seq;
        return Err(RecordError::Older { key, held, found }.into());
    }
    let expected = held_seq + 1;
    if found != expected {
        return Err(ShareRefusal::Gap { expected, found }.into());
    }
    Ok(())
}

/// Says why the directory refused, or that it is worth to look again.
fn refused(error: distri::Error, record: &Signed<User>) -> Result<()> {
    match error.details() {
        Some(Refusal::Exists { collection, .. }) if collection == HANDLES => {
            let handle = record.unchecked().handle.to_string();
            Err(ShareRefusal::HandleTaken { handle }.into())
        }
        Some(Refusal::Exists { collection, id, .. }) if collection == DEVICES => match id.parse() {
            Ok(device) => Err(ShareRefusal::DeviceTaken { device }.into()),
            Err(_) => Err(error),
        },
        Some(Refusal::Exists { .. } | Refusal::Revision { .. } | Refusal::Missing { .. }) => Ok(()),
        _ => Err(error),
    }
}

/// The condition that `user` is registered.
pub(super) fn is_registered(user: PublicKey) -> Condition {
    Condition::Matches {
        collection: USERS.into(),
        id: user.to_string(),
        filter: distri::directory::Filter::All,
    }
}

/// `value` as the content of a document.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Json> {
    Json::of(value).map_err(|error| distri::Error::internal("a record has no JSON form", error))
}
