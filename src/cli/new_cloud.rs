//! `new-cloud`: keys and configuration for a cloud of several nodes, ready to start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use distri_core::{
    identity::Identity,
    transport::{Address, Endpoint},
};
use serde_json::json;

use super::{
    Exit, Failure, Global,
    failure::program,
    output::{Output, tell},
    shell::{quote, quote_path},
};

/// What `new-cloud` takes.
#[derive(Clone, Debug, Args)]
pub struct NewCloudArgs {
    /// The folder to write to; it is made
    pub dir: PathBuf,
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub nodes: u16,
    /// The host on which they listen and are dialled
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// The port of the first; the others take the next ones
    #[arg(long, default_value_t = 4600, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
}

/// One node to be.
struct NewNode {
    name: String,
    file: PathBuf,
    endpoint: Endpoint,
}

pub(super) fn run(args: &NewCloudArgs, global: &Global) -> Result<(), Failure> {
    if args.port.checked_add(args.nodes - 1).is_none() {
        let message = format!("{} ports from {} on go beyond 65535", args.nodes, args.port);
        return Err(Failure::usage(message));
    }
    let client_file = args.dir.join("client.toml");
    refuse_existing(&client_file)?;
    let nodes = (1..=args.nodes)
        .map(|nr| new_node(args, nr))
        .collect::<Result<Vec<_>, _>>()?;
    let list: String = nodes
        .iter()
        .map(|node| format!("    \"{}\",\n", node.endpoint))
        .collect();
    for node in &nodes {
        write(&node.file, &node_text(node, &list))?;
    }
    write(&client_file, &client_text(&list))?;
    report(&nodes, &client_file, global)
}

fn new_node(args: &NewCloudArgs, nr: u16) -> Result<NewNode, Failure> {
    let name = format!("node-{nr}");
    let folder = args.dir.join(&name);
    let file = folder.join("distri.toml");
    refuse_existing(&file)?;
    let key = folder.join("node.key");
    refuse_existing(&key)?;
    let host = match args.host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) => args.host.clone(),
    };
    let identity = Identity::load_or_create(&key)?;
    let address = Address::new(format!("{host}:{}", args.port + nr - 1));
    Ok(NewNode {
        name,
        file,
        endpoint: Endpoint {
            key: identity.public(),
            address,
        },
    })
}

fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        let message = format!("`{}` exists; nothing is overwritten", path.display());
        return Err(Failure::usage(message).with_remedy("give a folder that is new or empty"));
    }
    Ok(())
}

fn node_text(node: &NewNode, list: &str) -> String {
    format!(
        "# One node of a cloud. `config show` prints every other setting with its default.\n\
         \n\
         [node]\n\
         name = \"{}\"\n\
         listen = \"{}\"\n\
         # The node's secret key; whoever has this file is the node.\n\
         identity = \"node.key\"\n\
         \n\
         [cloud]\n\
         # All nodes, this one too: KEY@HOST:PORT. Only these keys are admitted as nodes.\n\
         nodes = [\n{list}]\n",
        node.name, node.endpoint.address
    )
}

fn client_text(list: &str) -> String {
    format!(
        "# For programs that call the cloud.\n\
         \n\
         [cloud]\n\
         nodes = [\n{list}]\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let refused = |error: io::Error| {
        Failure::new(
            Exit::Failed,
            format!("could not write `{}`: {error}", path.display()),
        )
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(refused)?;
    }
    fs::write(path, text).map_err(refused)
}

fn report(nodes: &[NewNode], client_file: &Path, global: &Global) -> Result<(), Failure> {
    let output = Output::new(global);
    if global.json {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|node| {
                json!({
                    "name": node.name,
                    "config": node.file.display().to_string(),
                    "endpoint": node.endpoint.to_string(),
                })
            })
            .collect();
        return output.json(&json!({
            "nodes": nodes,
            "client": client_file.display().to_string(),
        }));
    }
    let program = quote(&program());
    tell(&format!(
        "wrote {} nodes and {}",
        nodes.len(),
        client_file.display()
    ));
    tell("start each in a shell of its own, then look at them:\n");
    for node in nodes {
        output.line(&format!(
            "{program} node --config {}",
            quote_path(&node.file)
        ))?;
    }
    output.line(&format!(
        "{program} nodes --config {}",
        quote_path(client_file)
    ))
}
