//! `peers`: the peers of the cloud, or of the local network, as they say themselves; and a peer as one
//! names it.

#[cfg(feature = "lan")]
use std::time::Duration;

use clap::Args;
use distri_core::{Client, id::PublicKey, peer::Presence, signed::Signed};
use serde_json::{Value, json};

#[cfg(feature = "lan")]
use super::call::time;
use super::{Failure, Global, describe, output::Output};

/// What `peers` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct PeersArgs {
    /// Those of the local network instead of those of the cloud
    #[cfg(feature = "lan")]
    #[arg(long)]
    pub lan: bool,
    /// Listen so long
    #[cfg(feature = "lan")]
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "2s", requires = "lan")]
    pub wait: Duration,
}

pub(super) async fn run(args: PeersArgs, global: &Global) -> Result<(), Failure> {
    let output = Output::new(global);
    #[cfg(not(feature = "lan"))]
    let PeersArgs {} = args;
    #[cfg(feature = "lan")]
    let nearby = if args.lan {
        let client = listening(global).await?;
        // Who is there answers within a second or so; that all have, nobody can know.
        tokio::time::sleep(args.wait).await;
        Some(client.peers_nearby())
    } else {
        None
    };
    #[cfg(not(feature = "lan"))]
    let nearby = None;
    let mut peers = match nearby {
        Some(peers) => peers,
        None => global.connect().await?.peers().await?,
    };
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

/// A client that listens to the local network, and needs no cloud.
#[cfg(feature = "lan")]
pub(super) async fn listening(global: &Global) -> Result<Client, Failure> {
    let config = global.load()?;
    global.start_log(&config)?;
    let mut builder = Client::builder()
        .limits(config.limits.clone())
        .on_lan(config.peer.lan_at.iter().copied());
    if let Some(path) = &config.client.identity {
        builder = builder.identity(distri_core::identity::Identity::load_or_create(path)?);
    }
    Ok(builder.connect().await?)
}

/// The peer of the local network that `text` names: by its key, its name or the first letters of its key.
#[cfg(feature = "lan")]
pub(super) async fn called_nearby(client: &Client, text: &str) -> Result<PublicKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let until = tokio::time::Instant::now() + NEARBY;
    loop {
        let found = chosen(&client.peers_nearby(), text);
        if found.is_ok() || tokio::time::Instant::now() >= until {
            return found;
        }
        tokio::time::sleep(NEARBY / 40).await;
    }
}

/// How long a peer of the local network is listened for.
#[cfg(feature = "lan")]
const NEARBY: Duration = Duration::from_secs(4);

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
    chosen(&client.peers().await?, text)
}

/// The one of `peers` that `text` names.
fn chosen(peers: &[Signed<Presence>], text: &str) -> Result<PublicKey, Failure> {
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
