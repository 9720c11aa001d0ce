//! Flags that every command takes, and the configuration that they make.

use std::{io, path::PathBuf};

use clap::{ArgAction, Args};
use distri_core::{
    Client, Config,
    config::{Loader, Source},
    identity::{Identity, IdentityError},
    transport::{Address, Endpoint},
};

use super::{
    Exit, Failure,
    failure::program,
    log::{self, Verbosity},
};

/// Flags that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Configuration [default: $DISTRI_CONFIG, or distri.toml if there]
    #[arg(
        long,
        value_name = "FILE",
        env = "DISTRI_CONFIG",
        hide_env = true,
        global = true
    )]
    pub config: Option<PathBuf>,
    /// Any setting of `config show`; repeatable [default: none]
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting, global = true)]
    pub set: Vec<(String, String)>,
    /// A node to call; repeatable [default: cloud.nodes, or this folder's]
    #[arg(long, value_name = "KEY@HOST:PORT", global = true)]
    pub node: Vec<Endpoint>,
    /// Print for programs: compact JSON [default: if piped]
    #[arg(long, global = true)]
    pub json: bool,
    /// Log level [default: log.level; warn for one-off commands]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log: Option<String>,
    /// Form of log lines [default: log.format]
    #[arg(long, value_name = "FORMAT", value_parser = ["human", "json"], global = true)]
    pub log_format: Option<String>,
    /// Log one level more; twice: two [default: off]
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Log one level less [default: off]
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "verbose")]
    pub quiet: u8,
}

/// The file that is read if no other is named and it is there.
const FILE: &str = "distri.toml";

impl Global {
    /// The configuration: defaults, file, environment, flags.
    ///
    /// # Errors
    /// If a layer cannot be used; see [`distri_core::config::ConfigError`].
    pub fn load(&self) -> Result<Config, Failure> {
        Ok(self.loader().load()?)
    }

    /// The same before it is read, so that a command can add flags of its own.
    pub fn loader(&self) -> Loader {
        self.loader_over(match &self.config {
            Some(path) => Config::loader().file(path),
            None => Config::loader().optional_file(FILE),
        })
    }

    /// The file that a command writes, and others then read.
    pub(super) fn file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| FILE.into())
    }

    /// Environment and flags over what `loader` has.
    pub(super) fn loader_over(&self, loader: Loader) -> Loader {
        let mut loader = loader.env();
        if !self.node.is_empty() {
            loader = loader.flag("--node", "cloud.nodes", join(&self.node));
        }
        if let Some(level) = &self.log {
            loader = loader.flag("--log", "log.level", level);
        }
        if let Some(format) = &self.log_format {
            loader = loader.flag("--log-format", "log.format", format);
        }
        for (key, value) in &self.set {
            loader = loader.flag("--set", key, value);
        }
        loader
    }

    /// A client of the cloud that the configuration names, with logs on stderr. Without
    /// `cloud.nodes`, of the node that this folder's configuration starts.
    ///
    /// # Errors
    /// If the configuration cannot be used, or no node answers.
    pub async fn connect(&self) -> Result<Client, Failure> {
        let mut config = self.load()?;
        self.start_log(&config)?;
        if config.cloud.nodes.is_empty() {
            config.cloud.nodes.push(own_node(&config)?);
        }
        Ok(Client::connect(&config).await?)
    }

    /// Starts to write logs to stderr as configuration and flags say: warnings, if they say
    /// nothing. [`Global::connect`] does so too; only the first start in a process counts.
    ///
    /// # Errors
    /// If the log level cannot be used.
    pub fn start_log(&self, config: &Config) -> Result<(), Failure> {
        self.start_log_for(config, Verbosity::Brief)
    }

    pub(super) fn start_log_for(&self, config: &Config, usual: Verbosity) -> Result<(), Failure> {
        let steps = i16::from(self.verbose) - i16::from(self.quiet);
        log::start(config, usual, steps)
    }
}

pub(super) fn join(nodes: &[Endpoint]) -> String {
    let texts: Vec<String> = nodes.iter().map(Endpoint::to_string).collect();
    texts.join(",")
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected KEY=VALUE, such as limits.calls=100".to_owned()),
    }
}

/// The node that `PROGRAM node` starts with this configuration: on this machine, with the key in
/// its file.
fn own_node(config: &Config) -> Result<Endpoint, Failure> {
    let remedy = || {
        format!(
            "start one here with `{} node`, or name one with --node KEY@HOST:PORT, \
             DISTRI_CLOUD__NODES or cloud.nodes in {FILE}",
            program()
        )
    };
    let identity = match Identity::load(&config.node.identity) {
        Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::new(Exit::Unreachable, "no node is known").with_remedy(remedy()));
        }
        other => other?,
    };
    let address = config
        .node
        .advertise
        .as_ref()
        .unwrap_or(&config.node.listen);
    if address.as_str().ends_with(":0") {
        let message = "the node of this folder listens on a port that it picks at its start";
        return Err(Failure::new(Exit::Unreachable, message).with_remedy(remedy()));
    }
    Ok(Endpoint {
        key: identity.public(),
        address: on_this_machine(address),
    })
}

/// The same, if there is one that can be found.
#[cfg(feature = "peer")]
pub(super) fn node_of_folder(config: &Config) -> Option<Endpoint> {
    own_node(config).ok()
}

/// An address that stands for all addresses of this machine cannot be dialled everywhere.
fn on_this_machine(address: &Address) -> Address {
    match address.as_str().rsplit_once(':') {
        Some(("0.0.0.0", port)) => Address::new(format!("127.0.0.1:{port}")),
        Some(("[::]", port)) => Address::new(format!("[::1]:{port}")),
        _ => address.clone(),
    }
}

/// True if the operator said nothing about the log level.
pub(super) fn is_level_unset(config: &Config) -> bool {
    config
        .explain()
        .iter()
        .any(|setting| setting.key == "log.level" && setting.source == Source::Default)
}
