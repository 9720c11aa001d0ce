//! `peer`: starts a peer, says what it is, and serves until it is told to stop.

use clap::Args;
use distri_core::{
    Config,
    config::{ClientAccess, LogFormat, duration},
    peer::Peer,
    transport::Endpoint,
};
use serde_json::json;

use super::{
    Exit, Failure, Global,
    global::{join, node_of_folder},
    log::Verbosity,
    output::{Output, tell},
    stop::Stop,
};

/// What `peer` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct PeerArgs {
    /// Where to listen over TCP; port 0 picks a free one [default: peer.listen, 127.0.0.1:0]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// The address others dial [default: peer.advertise, or where it listens]
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Name for people [default: peer.name, or the key's first letters]
    #[arg(long)]
    pub name: Option<String>,
    /// Secret key file; made if missing [default: peer.identity, peer.key]
    #[arg(long, value_name = "FILE")]
    pub identity: Option<String>,
    /// A node of the cloud; repeatable [default: cloud.nodes, or this folder's node]
    #[arg(long, value_name = "KEY@HOST:PORT")]
    pub cloud_node: Vec<Endpoint>,
}

pub(super) async fn run(args: PeerArgs, global: &Global) -> Result<(), Failure> {
    let config = load(&args, global)?;
    global.start_log_for(&config, Verbosity::Configured)?;
    super::config::check_linked(&config)?;
    // From here on a signal stops the peer in good order, however early it comes.
    let mut stop = Stop::listen()?;
    let peer = tokio::select! {
        peer = Peer::start(config.clone()) => peer?,
        () = stop.asked() => return Err(Failure::silent(Exit::Interrupted)),
    };
    announce(&peer, &config, global)?;
    let heard = async {
        match peer.wait_announced().await {
            Ok(_) => talk(&config, "the cloud knows where this peer is"),
            Err(error) => talk(
                &config,
                &format!("the cloud does not take this peer: {error}"),
            ),
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = stop.asked() => {}
        () = heard => {}
    }
    let wait = duration::format(config.limits.drain);
    talk(
        &config,
        &format!("stopping: finishing calls for at most {wait}; once more stops at once"),
    );
    tokio::select! {
        () = peer.shutdown() => {
            talk(&config, "stopped");
            Ok(())
        }
        () = stop.asked() => {
            talk(&config, "stopped at once");
            Err(Failure::silent(Exit::Interrupted))
        }
    }
}

fn load(args: &PeerArgs, global: &Global) -> Result<Config, Failure> {
    let mut loader = global.loader();
    for (flag, key, value) in [
        ("--listen", "peer.listen", &args.listen),
        ("--advertise", "peer.advertise", &args.advertise),
        ("--name", "peer.name", &args.name),
        ("--identity", "peer.identity", &args.identity),
    ] {
        if let Some(value) = value {
            loader = loader.flag(flag, key, value);
        }
    }
    if !args.cloud_node.is_empty() {
        let nodes: Vec<Endpoint> = global
            .node
            .iter()
            .chain(&args.cloud_node)
            .cloned()
            .collect();
        loader = loader.flag("--cloud-node", "cloud.nodes", join(&nodes));
    }
    let mut config = loader.load()?;
    if config.cloud.nodes.is_empty() {
        config.cloud.nodes.extend(node_of_folder(&config));
    }
    Ok(config)
}

/// Says what the peer is: its key and address as the first line of stdout, for programs that start
/// peers, and the rest to people.
fn announce(peer: &Peer, config: &Config, global: &Global) -> Result<(), Failure> {
    let output = Output::new(global);
    let services: Vec<&str> = peer
        .services()
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    let addresses = peer.addresses();
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    talk(
        config,
        &format!(
            "peer {} ({})\n  addresses {}\n  services  {}\n  cloud     {}\n  clients   {}\n  \
             stop      ctrl-c, which finishes calls in flight; twice stops at once",
            peer.name(),
            peer.key(),
            if texts.is_empty() {
                "none that others can dial".to_owned()
            } else {
                texts.join(", ")
            },
            services.join(", "),
            match config.cloud.nodes.len() {
                0 => "none: nobody will find this peer".to_owned(),
                1 => "1 node".to_owned(),
                many => format!("{many} nodes"),
            },
            match config.access.clients {
                ClientAccess::Open => "any key",
                ClientAccess::Listed => "listed keys",
            },
        ),
    );
    let line = if global.json {
        output.json_line(&json!({
            "key": peer.key().to_string(),
            "name": peer.name(),
            "addresses": addresses,
            "services": services,
        }))
    } else {
        output.line(&peer.key().to_string())
    };
    match line {
        // Who started the peer may not care for the line.
        Err(failure) if failure.exit() == Exit::Done => Ok(()),
        other => other,
    }
}

/// Talks to people, unless stderr is for programs.
fn talk(config: &Config, text: &str) {
    if config.log.format != LogFormat::Json {
        tell(text);
    }
}
