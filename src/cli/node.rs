//! `node`: starts a node, says what it is, and serves until it is told to stop.

use clap::Args;
use distri_core::{Config, Node, transport::Endpoint};
use serde_json::json;

use super::{
    Exit, Failure, Global,
    failure::program,
    log::Verbosity,
    serving::{Flags, clients, first_line, row, stop_with, talk},
    stop::Stop,
};

/// What `node` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct NodeArgs {
    /// Where to listen; port 0 picks a free one [default: node.listen, 127.0.0.1:4600]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// The address others dial [default: node.advertise, or where it listens]
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Name for people [default: node.name, or the key's first letters]
    #[arg(long)]
    pub name: Option<String>,
    /// Secret key file; made if missing [default: node.identity, node.key]
    #[arg(long, value_name = "FILE")]
    pub identity: Option<String>,
    /// A node of the cloud; repeatable [default: cloud.nodes]
    #[arg(long, value_name = "KEY@HOST:PORT")]
    pub cloud_node: Vec<Endpoint>,
}

pub(super) async fn run(args: NodeArgs, global: &Global) -> Result<(), Failure> {
    let config = load(&args, global)?;
    global.start_log_for(&config, Verbosity::Configured)?;
    super::config::check_linked(&config)?;
    // From here on a signal stops the node in good order, however early it comes.
    let mut stop = Stop::listen()?;
    let node = tokio::select! {
        node = Node::start(config.clone()) => node?,
        () = stop.asked() => return Err(Failure::silent(Exit::Interrupted)),
    };
    announce(&node, &config, global)?;

    tokio::select! {
        () = stop.asked() => {}
        () = node.removed() => return Err(leave(&node, &config).await),
    }
    stop_with(&config, &mut stop, node.shutdown()).await
}

/// The end of a node that its cluster no longer has.
async fn leave(node: &Node, config: &Config) -> Failure {
    node.shutdown().await;
    let data = config.directory.path.as_deref();
    let data = data.map_or_else(String::new, |path| {
        format!("remove `{}`, then ", path.display())
    });
    let message = "this node has been removed from its cluster";
    Failure::new(Exit::Failed, message).with_remedy(format!(
        "what it kept is of no more use; to join again as a new node, {data}`{} join TOKEN`",
        program()
    ))
}

fn load(args: &NodeArgs, global: &Global) -> Result<Config, Failure> {
    let flags = Flags {
        section: "node",
        listen: &args.listen,
        advertise: &args.advertise,
        name: &args.name,
        identity: &args.identity,
        cloud_node: &args.cloud_node,
    };
    Ok(flags.loader(global).load()?)
}

/// Says what the node is: its endpoint as the first line of stdout, for programs that start nodes,
/// and the rest to people.
fn announce(node: &Node, config: &Config, global: &Global) -> Result<(), Failure> {
    let services: Vec<&str> = node
        .services()
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    let endpoint = node.endpoint();
    let listed = config
        .cloud
        .nodes
        .iter()
        .filter(|other| other.key != node.key())
        .count();

    talk(
        config,
        &format!(
            "node {} ({}) listens on {}\n  services  {}\n  cloud     {}\n  directory {}\n  \
             clients   {}\n  admin     {}\n  stop      ctrl-c, which finishes calls in flight; twice stops at once",
            node.name(),
            node.key().short(),
            node.address(),
            row(&services, "none"),
            match listed {
                0 => "this node alone".to_owned(),
                1 => "1 other node".to_owned(),
                many => format!("{many} other nodes"),
            },
            match &config.directory.path {
                Some(path) => format!("in {}, with the cluster", path.display()),
                None if listed == 0 => "in memory, gone when the node ends".to_owned(),
                None => "none".to_owned(),
            },
            clients(config),
            match node.admin_address() {
                Some(address) => format!("http://{address}/metrics, /healthz, /readyz"),
                None => "none".to_owned(),
            },
        ),
    );
    first_line(
        global,
        &endpoint.to_string(),
        &json!({
            "endpoint": endpoint.to_string(),
            "key": node.key().to_string(),
            "address": endpoint.address.to_string(),
            "name": node.name(),
            "services": services,
            "admin": node.admin_address().map(|address| address.to_string()),
        }),
    )
}
