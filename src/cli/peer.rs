//! `peer`: starts a peer, says what it is, and serves until it is told to stop.

use clap::Args;
use distri_core::{Config, peer::Peer, transport::Endpoint};
use serde_json::json;

use super::{
    Exit, Failure, Global,
    global::node_of_folder,
    log::Verbosity,
    serving::{Flags, clients, first_line, row, stop_with, talk},
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
    /// Announce it on the local network too, to everybody there, and find others there [default: peer.lan]
    #[cfg(feature = "lan")]
    #[arg(long)]
    pub lan: bool,
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
    stop_with(&config, &mut stop, peer.shutdown()).await
}

fn load(args: &PeerArgs, global: &Global) -> Result<Config, Failure> {
    let flags = Flags {
        section: "peer",
        listen: &args.listen,
        advertise: &args.advertise,
        name: &args.name,
        identity: &args.identity,
        cloud_node: &args.cloud_node,
    };
    let loader = flags.loader(global);
    #[cfg(feature = "lan")]
    let loader = if args.lan {
        loader.flag("--lan", "peer.lan", "true")
    } else {
        loader
    };
    let mut config = loader.load()?;
    if config.cloud.nodes.is_empty() {
        config.cloud.nodes.extend(node_of_folder(&config));
    }
    Ok(config)
}

/// Says what the peer is: its key and address as the first line of stdout, for programs that start
/// peers, and the rest to people.
fn announce(peer: &Peer, config: &Config, global: &Global) -> Result<(), Failure> {
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
            row(&texts, "none that others can dial"),
            row(&services, "none"),
            match config.cloud.nodes.len() {
                0 if config.peer.lan =>
                    "none: who is on the local network finds this peer".to_owned(),
                0 => "none: nobody will find this peer".to_owned(),
                1 => "1 node".to_owned(),
                many => format!("{many} nodes"),
            },
            clients(config),
        ),
    );
    first_line(
        global,
        &peer.key().to_string(),
        &json!({
            "key": peer.key().to_string(),
            "name": peer.name(),
            "addresses": addresses,
            "services": services,
        }),
    )
}
