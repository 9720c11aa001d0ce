//! `node`: starts a node, says what it is, and serves until it is told to stop.

use clap::Args;
use distri_core::{
    Config, Node,
    config::{ClientAccess, LogFormat, duration},
    transport::Endpoint,
};
use serde_json::json;

use super::{
    Exit, Failure, Global,
    failure::program,
    global::join,
    log::Verbosity,
    output::{Output, tell},
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
    let wait = duration::format(config.limits.drain);
    talk(
        &config,
        &format!("stopping: finishing calls for at most {wait}; once more stops at once"),
    );
    tokio::select! {
        () = node.shutdown() => {
            talk(&config, "stopped");
            Ok(())
        }
        () = stop.asked() => {
            talk(&config, "stopped at once");
            Err(Failure::silent(Exit::Interrupted))
        }
    }
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
    let mut loader = global.loader();
    for (flag, key, value) in [
        ("--listen", "node.listen", &args.listen),
        ("--advertise", "node.advertise", &args.advertise),
        ("--name", "node.name", &args.name),
        ("--identity", "node.identity", &args.identity),
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
    Ok(loader.load()?)
}

/// Says what the node is: its endpoint as the first line of stdout, for programs that start nodes,
/// and the rest to people.
fn announce(node: &Node, config: &Config, global: &Global) -> Result<(), Failure> {
    let output = Output::new(global);
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
            if services.is_empty() {
                "none".to_owned()
            } else {
                services.join(", ")
            },
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
            match config.access.clients {
                ClientAccess::Open => "any key",
                ClientAccess::Listed => "listed keys",
            },
            match node.admin_address() {
                Some(address) => format!("http://{address}/metrics, /healthz, /readyz"),
                None => "none".to_owned(),
            },
        ),
    );
    let line = if global.json {
        output.json_line(&json!({
            "endpoint": endpoint.to_string(),
            "key": node.key().to_string(),
            "address": endpoint.address.to_string(),
            "name": node.name(),
            "services": services,
            "admin": node.admin_address().map(|address| address.to_string()),
        }))
    } else {
        output.line(&endpoint.to_string())
    };
    match line {
        // Who started the node may not care for the line.
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

/// The signals by which a node is asked to stop.
struct Stop {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Stop {
    fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};

        let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::Failed, error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Stop {
    fn listen() -> Result<Self, Failure> {
        Ok(Self {})
    }

    async fn asked(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals the node serves until it is ended from outside.
            std::future::pending::<()>().await;
        }
    }
}
