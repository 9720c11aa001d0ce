//! `init` and `join`: make this folder the home of a cluster's node, with keys and configuration.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use distri_core::{
    Client, Config,
    cluster::JoinToken,
    id::PublicKey,
    identity::Identity,
    node::{found_cluster, join_cluster},
    transport::{Address, Endpoint},
};
use serde_json::json;

use super::{
    Exit, Failure, Global,
    failure::program,
    output::{Output, tell},
    shell::{quote, quote_path},
};

/// What `init` takes.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// What `join` takes.
#[derive(Clone, Debug, Args)]
pub struct JoinArgs {
    /// The token, as `token` prints it; - reads it from stdin
    token: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Who and where the node is.
#[derive(Clone, Debug, Args)]
struct PlaceArgs {
    /// Where it listens [default: node.listen, 127.0.0.1:4600]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// The address others dial [default: node.advertise, or where it listens]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Name for people [default: node.name, or the key's first letters]
    #[arg(long)]
    name: Option<String>,
}

pub(super) async fn init(args: InitArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::find(&args.place, global)?;
    let (node, admin) = home.make_keys()?;
    let endpoint = home.endpoint(node);
    home.write_config(std::slice::from_ref(&endpoint))?;
    let cluster = found_cluster(&home.config, admin).map_err(|error| home.undo(error.into()))?;

    let output = Output::new(global);
    if global.json {
        return output.json(&json!({
            "cluster": cluster,
            "number": 1,
            "endpoint": endpoint.to_string(),
            "admin": admin.map(|key| key.to_string()),
            "config": home.file.display().to_string(),
        }));
    }
    tell(&format!(
        "made a cluster, whose first node is {}\n{}\nnext: start the node, then let others join",
        endpoint.address,
        home.files()
    ));
    home.next(&output, &["node", "token"])?;
    if is_loopback(&endpoint.address) {
        tell(
            "only nodes on this machine can join it: for others, start anew in an empty folder \
             with\n  --listen 0.0.0.0:4600 --advertise HOST:4600, HOST being how they reach this \
             machine",
        );
    }
    Ok(())
}

pub(super) async fn join(args: JoinArgs, global: &Global) -> Result<(), Failure> {
    let token = read_token(&args.token)?;
    let home = Home::find(&args.place, global)?;
    global.start_log(&home.config)?;
    let address = home.address();
    refuse_unreachable(address, token.nodes())?;
    let (node, admin) = home.make_keys()?;
    let endpoint = home.endpoint(node);
    let mut nodes = token.nodes().to_vec();
    nodes.push(endpoint.clone());
    home.write_config(&nodes)?;
    let joined = join_cluster(&home.config, &token, admin).await;
    let number = joined.map_err(|error| home.undo(error.into()))?;
    // The token names two nodes at most; with all of them commands go on when those are down.
    if let Some(all) = all_nodes(&home.config, &nodes).await {
        nodes = all;
        home.write_config(&nodes)?;
    }

    let output = Output::new(global);
    if global.json {
        let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        return output.json(&json!({
            "number": number,
            "endpoint": endpoint.to_string(),
            "admin": admin.map(|key| key.to_string()),
            "config": home.file.display().to_string(),
            "nodes": nodes,
        }));
    }
    tell(&format!(
        "joined a cluster as node {number}, at {}\n{}\nnext: start the node",
        endpoint.address,
        home.files()
    ));
    home.next(&output, &["node"])
}

/// The text of a token is a secret: stdin keeps it out of the list of processes.
fn read_token(text: &str) -> Result<JoinToken, Failure> {
    let mut text = text.to_owned();
    if text == "-" {
        text.clear();
        // Longer than any token; whatever is longer is none.
        let mut stdin = io::Read::take(io::stdin().lock(), 1 << 20);
        io::Read::read_to_string(&mut stdin, &mut text)
            .map_err(|error| Failure::usage(format!("could not read the token: {error}")))?;
    }
    text.parse()
        .map_err(|error: distri_core::cluster::InvalidToken| {
            Failure::new(Exit::Usage, error).with_remedy(format!(
                "`{} token`, where a node of the cluster is, prints one",
                program()
            ))
        })
}

/// Refuses an address at which the nodes of a cluster cannot reach a new one.
fn refuse_unreachable(address: &Address, nodes: &[Endpoint]) -> Result<(), Failure> {
    if let Some(node) = nodes.iter().find(|node| node.address == *address) {
        let message = format!(
            "{address} is the address of a node of the cluster, {}",
            node.key.short()
        );
        return Err(Failure::usage(message)
            .with_remedy("--listen HOST:PORT gives this node another, such as 127.0.0.1:4601"));
    }
    if is_loopback(address) && nodes.iter().any(|node| !is_loopback(&node.address)) {
        let message = format!("{address} can be dialled from this machine only");
        return Err(Failure::usage(message).with_remedy(
            "--listen 0.0.0.0:4600 --advertise HOST:4600, HOST being how the other nodes reach \
             this machine",
        ));
    }
    Ok(())
}

/// All nodes of the cluster, if one of `known` answers.
async fn all_nodes(config: &Config, known: &[Endpoint]) -> Option<Vec<Endpoint>> {
    let mut config = config.clone();
    config.cloud.nodes = known.to_vec();
    let client = Client::connect(&config).await.ok()?;
    let cluster = client.cluster().await.ok()?;
    let endpoints = cluster.nodes.into_iter().map(|node| Endpoint {
        key: node.key,
        address: node.address,
    });
    Some(endpoints.collect())
}

/// The folder that a node is to live in, which is of no cluster yet.
struct Home {
    file: PathBuf,
    /// The configuration file is made; else it is the operator's and stays as it is.
    is_new: bool,
    config: Config,
    global: Global,
}

impl Home {
    fn find(args: &PlaceArgs, global: &Global) -> Result<Self, Failure> {
        let file = global.file();
        let is_new = !file.exists();
        let config = if is_new {
            new_config(args, global, folder_of(&file))?
        } else {
            existing_config(args, global, &file)?
        };
        if let Some(data) = &config.directory.path
            && data.join("cluster.json").exists()
        {
            let message = format!("this folder has a cluster already, in `{}`", data.display());
            return Err(Failure::usage(message).with_remedy(format!(
                "`{0} node` starts its node; `{0} token` lets others join; a new cluster needs \
                 another folder",
                program()
            )));
        }
        refuse_undialable(&config)?;
        Ok(Self {
            file,
            is_new,
            config,
            global: global.clone(),
        })
    }

    /// The keys of the node and of whoever works in this folder.
    fn make_keys(&self) -> Result<(PublicKey, Option<PublicKey>), Failure> {
        let node = Identity::load_or_create(&self.config.node.identity)?;
        let Some(path) = &self.config.client.identity else {
            tell(&format!(
                "note: {} sets no client.identity, so nobody becomes an admin of the cluster",
                self.file.display()
            ));
            return Ok((node.public(), None));
        };
        let client = Identity::load_or_create(path)?;
        Ok((node.public(), Some(client.public())))
    }

    fn address(&self) -> &Address {
        let node = &self.config.node;
        node.advertise.as_ref().unwrap_or(&node.listen)
    }

    fn endpoint(&self, key: PublicKey) -> Endpoint {
        Endpoint {
            key,
            address: self.address().clone(),
        }
    }

    fn write_config(&self, nodes: &[Endpoint]) -> Result<(), Failure> {
        if !self.is_new {
            return Ok(());
        }
        fs::write(&self.file, config_text(&self.config, nodes)).map_err(|error| {
            let message = format!("could not write `{}`: {error}", self.file.display());
            Failure::new(Exit::Failed, message)
        })
    }

    /// Takes back the configuration, so that the command can be given again. Keys stay: a second
    /// try goes on with them.
    fn undo(&self, failure: Failure) -> Failure {
        if self.is_new {
            // Where it cannot be removed, what failed is told all the same.
            let _ = fs::remove_file(&self.file);
        }
        failure
    }

    fn files(&self) -> String {
        let config = &self.config;
        let mut files = vec![(config.node.identity.clone(), "the node's secret key")];
        if let Some(path) = &config.client.identity {
            files.push((path.clone(), "your secret key: an admin of the cluster"));
        }
        let secret = config.node.identity.with_extension("secret");
        files.push((secret, "the secret that the cluster's nodes share"));
        if self.is_new {
            files.push((self.file.clone(), "the configuration"));
        }
        if let Some(path) = &config.directory.path {
            files.push((path.clone(), "what the node keeps; never copy it"));
        }
        let lines: Vec<String> = files
            .iter()
            .map(|(path, what)| format!("  {:<12} {what}", path.display().to_string()))
            .collect();
        lines.join("\n")
    }

    /// The commands to type next.
    fn next(&self, output: &Output, commands: &[&str]) -> Result<(), Failure> {
        let program = quote(&program());
        let config = match &self.global.config {
            Some(path) => format!(" --config {}", quote_path(path)),
            None => String::new(),
        };
        for command in commands {
            output.line(&format!("{program} {command}{config}"))?;
        }
        Ok(())
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn new_config(args: &PlaceArgs, global: &Global, folder: &Path) -> Result<Config, Failure> {
    let mut loader = global.loader_over(Config::loader());
    for (flag, key, value) in args.flags() {
        if let Some(value) = value {
            loader = loader.flag(flag, key, value);
        }
    }
    let mut config = loader.load()?;
    config.node.identity = folder.join("node.key");
    config.client.identity = Some(folder.join("client.key"));
    config.directory.path = Some(folder.join("data"));
    Ok(config)
}

/// What the operator wrote, which is not changed: flags must say the same.
fn existing_config(args: &PlaceArgs, global: &Global, file: &Path) -> Result<Config, Failure> {
    let config = global.load()?;
    if config.directory.path.is_none() {
        let message = format!(
            "{} does not say where the node keeps its data",
            file.display()
        );
        return Err(Failure::usage(message)
            .with_remedy("write `path = \"data\"` under [directory], or use an empty folder"));
    }
    let node = &config.node;
    let held = [
        Some(node.listen.to_string()),
        node.advertise.as_ref().map(ToString::to_string),
        node.name.clone(),
    ];
    for ((flag, key, value), held) in args.flags().into_iter().zip(held) {
        if value.is_some() && *value != held {
            let message = format!("{flag} does not change {}, which is there", file.display());
            return Err(Failure::usage(message).with_remedy(format!("set {key} there")));
        }
    }
    Ok(config)
}

impl PlaceArgs {
    fn flags(&self) -> [(&'static str, &'static str, &Option<String>); 3] {
        [
            ("--listen", "node.listen", &self.listen),
            ("--advertise", "node.advertise", &self.advertise),
            ("--name", "node.name", &self.name),
        ]
    }
}

/// Other nodes, and commands in this folder, must be able to dial the node, also after a restart.
fn refuse_undialable(config: &Config) -> Result<(), Failure> {
    let node = &config.node;
    let address = node.advertise.as_ref().unwrap_or(&node.listen);
    let (host, port) = split(address);
    if port == "0" {
        let message =
            format!("{address} is another port at each start, where others do not find the node");
        return Err(Failure::usage(message)
            .with_remedy("--listen HOST:PORT with a fixed port, such as 4600"));
    }
    if matches!(host, "0.0.0.0" | "[::]") {
        let message = format!("{address} stands for all addresses, which others cannot dial");
        return Err(Failure::usage(message).with_remedy(format!(
            "--advertise HOST:{port} as well, HOST being how the others reach this machine"
        )));
    }
    Ok(())
}

fn split(address: &Address) -> (&str, &str) {
    address
        .as_str()
        .rsplit_once(':')
        .unwrap_or((address.as_str(), ""))
}

fn is_loopback(address: &Address) -> bool {
    let (host, _) = split(address);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// The configuration as a file. Paths in it are relative to its folder.
fn config_text(config: &Config, nodes: &[Endpoint]) -> String {
    // Texts of JSON are texts of TOML.
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let mut node = String::new();
    if let Some(name) = &config.node.name {
        node.push_str(&format!("name = {}\n", text(name)));
    }
    node.push_str(&format!("listen = {}\n", text(config.node.listen.as_str())));
    if let Some(advertise) = &config.node.advertise {
        node.push_str(&format!("advertise = {}\n", text(advertise.as_str())));
    }
    let list: String = nodes
        .iter()
        .map(|node| format!("    {},\n", text(&node.to_string())))
        .collect();
    format!(
        "# A node of a cluster. `config show` prints every other setting with its default.\n\
         \n\
         [node]\n\
         {node}\
         # The node's secret key; whoever has this file is the node.\n\
         identity = \"node.key\"\n\
         \n\
         [directory]\n\
         # Log and snapshots. Never copy this folder, and never bring back an old copy.\n\
         path = \"data\"\n\
         \n\
         [client]\n\
         # Whom commands in this folder act for: an admin of the cluster.\n\
         identity = \"client.key\"\n\
         \n\
         [cloud]\n\
         # Where commands in this folder find the cluster: KEY@HOST:PORT. Nodes know from the\n\
         # directory who else is one.\n\
         nodes = [\n{list}]\n"
    )
}
