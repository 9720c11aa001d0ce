//! `join` and `whoami`: becoming somebody in a cloud, and saying who.

use std::io;

use clap::Args;
use distri::{
    cli::{Exit, Failure, Global},
    cluster::{InvalidToken, JoinToken},
    transport::Endpoint,
};
use distri_services::images::record::Handle;
use example_stego_cloud::home::{Home, HomeArgs, Listening, is_inhabited};
use serde_json::json;

use super::here::{failed, note};
use crate::show::Page;

/// What `join` takes.
#[derive(Args)]
pub(crate) struct JoinArgs {
    /// A token that says where the cloud is; - reads it from stdin [default: --node, --config, or this
    /// folder's distri.toml]
    token: Option<String>,
    /// The name by which others call you: 2 to 32 letters of one script, digits, -, _ and .
    #[arg(long = "as", value_name = "HANDLE")]
    handle: Option<Handle>,
    #[command(flatten)]
    listening: Listening,
    #[command(flatten)]
    home: HomeArgs,
}

/// What `whoami` takes.
#[derive(Args)]
pub(crate) struct WhoamiArgs {
    #[command(flatten)]
    home: HomeArgs,
}

pub(crate) async fn join(args: JoinArgs, global: &Global) -> Result<(), Failure> {
    let folder = args.home.folder()?;
    let was_inhabited = is_inhabited(&folder);
    if args.handle.is_none() && !was_inhabited {
        return Err(Failure::usage("nobody is called nothing").with_remedy(
            "--as HANDLE says who you are. To make this folder's node a member of a cluster, use \
             `join-node TOKEN`",
        ));
    }
    let named = match &args.token {
        Some(text) => read_token(text)?.nodes().to_vec(),
        None => named_nodes(global)?,
    };
    let listens = args.listening.listen.is_some() || args.listening.advertise.is_some();
    let home = if was_inhabited && named.is_empty() && !listens {
        Home::open(&args.home, global)?
    } else {
        let (mut nodes, mut listening) = (named, args.listening);
        if was_inhabited {
            // What is not said anew stays as it was.
            let before = Home::open(&args.home, &without_nodes(global))?;
            let config = before.config();
            if nodes.is_empty() {
                nodes.clone_from(&config.cloud.nodes);
            }
            listening.listen = listening.listen.or(Some(config.peer.listen.clone()));
            listening.advertise = listening.advertise.or(config.peer.advertise.clone());
        }
        if nodes.is_empty() {
            // Somebody new is probably where a node of theirs is.
            nodes = global.load()?.cloud.nodes;
        }
        if nodes.is_empty() {
            return Err(Failure::usage("no cloud is named").with_remedy(
                "give a token, --node KEY@HOST:PORT, or the --config of those who call the cloud",
            ));
        }
        Home::make(folder, &nodes, &listening, global)?
    };

    let person = home.person().await?;
    let handle = match args.handle {
        Some(handle) => handle,
        None => person.me().await.map_err(failed)?.handle,
    };
    let me = person.join(&handle).await.map_err(failed)?;
    let mut page = Page::stdout();
    if global.json {
        return page.json(&json!({
            "handle": me.handle.as_str(),
            "key": me.key.to_string(),
            "device": person.profile().device().public().to_string(),
            "home": home.folder().display().to_string(),
        }));
    }
    page.line(&format!(
        "you are {}, at home in {}",
        me.handle,
        home.folder().display()
    ))?;
    if !was_inhabited {
        note(
            "that folder has your keys: keep it to yourself, and keep a copy\n\
             next: `publish FILE` offers a picture, `ls` lists what others offer, `watch` serves",
        );
    }
    Ok(())
}

pub(crate) async fn whoami(args: WhoamiArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&args.home, global)?;
    let profile = home.profile().await?;
    let handle = profile.handle().await?;
    let (key, device) = (profile.key(), profile.device().public());
    let mut page = Page::stdout();
    if global.json {
        return page.json(&json!({
            "handle": handle.as_ref().map(Handle::as_str),
            "key": key.to_string(),
            "device": device.to_string(),
            "home": home.folder().display().to_string(),
        }));
    }
    let handle = handle.map_or_else(
        || "(not joined yet)".to_owned(),
        |handle| handle.to_string(),
    );
    page.line(&handle)?;
    let style = page.style();
    page.line(&style.faint(&format!("key    {key}")))?;
    page.line(&style.faint(&format!("device {device}")))?;
    page.line(&style.faint(&format!("home   {}", home.folder().display())))
}

/// The nodes that the command line or the environment name, not those of a home.
fn named_nodes(global: &Global) -> Result<Vec<Endpoint>, Failure> {
    if global.config.is_none() && global.node.is_empty() {
        let variable = std::env::var_os("DISTRI_CLOUD__NODES");
        if variable.is_none_or(|value| value.is_empty()) {
            return Ok(Vec::new());
        }
    }
    Ok(global.load()?.cloud.nodes)
}

fn without_nodes(global: &Global) -> Global {
    let mut global = global.clone();
    global.node.clear();
    global.config = None;
    global
}

/// The text of a token is a secret: stdin keeps it out of the list of processes.
fn read_token(text: &str) -> Result<JoinToken, Failure> {
    /// Longer than any token; whatever is longer is none.
    const TOKEN_MAX: u64 = 1 << 20;

    let mut text = text.to_owned();
    if text == "-" {
        text.clear();
        let mut stdin = io::Read::take(io::stdin().lock(), TOKEN_MAX);
        io::Read::read_to_string(&mut stdin, &mut text)
            .map_err(|error| Failure::usage(format!("could not read the token: {error}")))?;
    }
    text.parse().map_err(|error: InvalidToken| {
        Failure::new(Exit::Usage, error)
            .with_remedy("`token`, where a node of the cluster is, prints one")
    })
}
