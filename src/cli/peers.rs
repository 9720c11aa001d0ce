//! `peers`: the peers of the cloud, as they say themselves; and a peer as one names it.

use distri_core::{Client, id::PublicKey, peer::Presence, signed::Signed};
use serde_json::{Value, json};

use super::{Failure, Global, describe, output::Output};

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let output = Output::new(global);
    let mut peers = client.peers().await?;
    peers.sort_by(|a, b| (name(a), a.key()).cmp(&(name(b), b.key())));
    if global.json {
        let all: Vec<Value> = peers.iter().map(as_json).collect();
        return output.json(&all);
    }
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            let addresses = &peer.unchecked().addresses;
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            vec![
                name(peer).to_owned(),
                peer.key().to_string(),
                addresses.join(", "),
            ]
        })
        .collect();
    output.table(&["NAME", "KEY", "ADDRESSES"], &rows)
}

fn name(peer: &Signed<Presence>) -> &str {
    // `Client::peers` has checked it.
    &peer.unchecked().name
}

fn as_json(peer: &Signed<Presence>) -> Value {
    let presence = peer.unchecked();
    json!({
        "name": presence.name,
        "key": peer.key().to_string(),
        "addresses": presence.addresses,
        "boot": presence.boot,
        "seq": peer.seq(),
    })
}

/// The peer that `text` names: by its key; by its name, or the first letters of its key, if it is there.
pub(super) async fn called(client: &Client, text: &str) -> Result<PublicKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let peers = client.peers().await?;
    let all = |is: &dyn Fn(&Signed<Presence>) -> bool| -> Vec<PublicKey> {
        let found = peers.iter().filter(|peer| is(peer));
        found.map(Signed::key).collect()
    };
    let by_name = all(&|peer| name(peer) == text);
    let found = if by_name.is_empty() {
        all(&|peer| !text.is_empty() && peer.key().to_string().starts_with(text))
    } else {
        by_name
    };
    match found.as_slice() {
        [key] => Ok(*key),
        [] => {
            let names: Vec<&str> = peers.iter().map(name).collect();
            Err(Failure::usage(format!("there is no peer `{text}`"))
                .with_remedy(describe::suggest(text, &names, "peers")))
        }
        several => {
            let keys: Vec<String> = several.iter().map(ToString::to_string).collect();
            let message = format!("`{text}` may be any of {} peers", several.len());
            Err(Failure::usage(message)
                .with_remedy(format!("give the key of one of: {}", keys.join(", "))))
        }
    }
}
