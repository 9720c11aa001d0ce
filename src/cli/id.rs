//! `id`: the key by which this folder's node, or its client, is known.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use distri_core::{
    Config,
    identity::{Identity, IdentityError},
};
use serde_json::json;

use super::{Exit, Failure, Global, failure::program, output::Output};

/// What `id` takes.
#[derive(Clone, Debug, Args)]
pub struct IdArgs {
    /// Make the key file if there is none [default: off]
    #[arg(long)]
    pub create: bool,
    /// Make a new key in this file, which must not exist
    #[arg(long, value_name = "FILE", conflicts_with = "create")]
    pub new: Option<PathBuf>,
    /// The client's key, client.identity [default: the node's]
    #[arg(long, conflicts_with = "new")]
    pub client: bool,
}

pub(super) fn run(args: &IdArgs, global: &Global) -> Result<(), Failure> {
    let (path, identity) = match &args.new {
        Some(path) => (path.clone(), new(path)?),
        None => {
            let path = file(args, &global.load()?)?;
            let identity = if args.create {
                Identity::load_or_create(&path)?
            } else {
                load(&path)?
            };
            (path, identity)
        }
    };
    let output = Output::new(global);
    if global.json {
        return output.json(&json!({
            "key": identity.public().to_string(),
            "file": path.display().to_string(),
        }));
    }
    output.line(&identity.public().to_string())
}

fn file(args: &IdArgs, config: &Config) -> Result<PathBuf, Failure> {
    if !args.client {
        return Ok(config.node.identity.clone());
    }
    config.client.identity.clone().ok_or_else(|| {
        let failure =
            Failure::usage("client.identity is not set: this client has a new key each run");
        failure.with_remedy("write `identity = \"client.key\"` under [client] in distri.toml")
    })
}

fn new(path: &Path) -> Result<Identity, Failure> {
    // `load_or_create` never overwrites, so this only makes the refusal plain.
    if path.exists() {
        let message = format!("`{}` exists; a key is never overwritten", path.display());
        return Err(Failure::usage(message));
    }
    Ok(Identity::load_or_create(path)?)
}

fn load(path: &Path) -> Result<Identity, Failure> {
    Identity::load(path).map_err(|error| {
        let missing = matches!(&error, IdentityError::Read { source, .. }
            if source.kind() == io::ErrorKind::NotFound);
        let failure = Failure::new(Exit::Usage, error);
        if missing {
            failure.with_remedy(format!("`{} id --create` makes one", program()))
        } else {
            failure
        }
    })
}
