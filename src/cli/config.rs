//! `config show` and `config check`: what holds, and where it was said.

use clap::Subcommand;
use distri_core::{
    Config,
    config::{Setting, Source},
    identity::Identity,
};
use serde_json::{Value, json};

use super::{
    Failure, Global, describe,
    output::{Output, tell},
};

/// What `config` does.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting with where it came from
    Show,
    /// Check file, environment and flags without starting anything
    Check,
}

pub(super) fn run(command: &ConfigCommand, global: &Global) -> Result<(), Failure> {
    let config = global.load()?;
    match command {
        ConfigCommand::Show => show(&config, global),
        ConfigCommand::Check => check(&config, global),
    }
}

fn show(config: &Config, global: &Global) -> Result<(), Failure> {
    let settings = config.explain();
    let output = Output::new(global);
    if global.json {
        let all: Vec<Value> = settings.iter().map(as_json).collect();
        return output.json(&all);
    }
    // What is printed is TOML again, so that it can be pasted into a file.
    let lines: Vec<(String, String)> = settings
        .iter()
        .map(|setting| {
            let line = match &setting.value {
                Value::Null => format!("# {} is not set", setting.key),
                value => format!("{} = {value}", setting.key),
            };
            (line, setting.source.to_string())
        })
        .collect();
    let width = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .filter(|w| *w <= 60)
        .max();
    let width = width.unwrap_or(0);
    let text: Vec<String> = lines
        .iter()
        .map(|(line, source)| format!("{line:<width$}  # {source}"))
        .collect();
    output.line(&text.join("\n"))
}

fn as_json(setting: &Setting) -> Value {
    json!({
        "key": setting.key,
        "value": setting.value,
        "source": setting.source.to_string(),
    })
}

/// Refuses configuration for services that this program does not have: nobody would read it.
pub(super) fn check_linked(config: &Config) -> Result<(), Failure> {
    let linked = describe::linked()?;
    let unlinked: Vec<&str> = config
        .configured_services()
        .filter(|name| !linked.iter().any(|service| service.name == *name))
        .collect();
    if let Some(name) = unlinked.first() {
        let place = config
            .service_source(name)
            .map_or(String::new(), |place| format!(" ({place})"));
        let names: Vec<&str> = linked.iter().map(|service| service.name.as_str()).collect();
        return Err(Failure::usage(format!(
            "services.{name}{place}: no service `{name}` is linked into this program"
        ))
        .with_remedy(format!(
            "{}\n  a service's crate is linked by naming it in distri::main!(…)",
            describe::suggest(name, &names, "linked services")
        )));
    }
    Ok(())
}

fn check(config: &Config, global: &Global) -> Result<(), Failure> {
    check_linked(config)?;
    if config.node.identity.exists() {
        Identity::load(&config.node.identity)?;
    }
    if let Some(path) = config.client.identity.as_ref().filter(|path| path.exists()) {
        Identity::load(path)?;
    }
    let listen = config.node.listen.as_str();
    let is_wildcard = listen.starts_with("0.0.0.0:") || listen.starts_with("[::]:");
    if is_wildcard && config.node.advertise.is_none() {
        tell(&format!(
            "note: node.listen is {listen}, which others cannot dial: set node.advertise to the \
             address under which they reach this node"
        ));
    }
    let set = config
        .explain()
        .iter()
        .filter(|setting| setting.source != Source::Default)
        .count();
    let output = Output::new(global);
    if global.json {
        return output.json(&json!({ "ok": true, "set": set }));
    }
    output.line(&format!("ok: {set} settings besides the defaults"))
}
