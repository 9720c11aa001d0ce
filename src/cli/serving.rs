//! What `node` and `peer` share: settings from their flags, the line that says what was started, and
//! serving until somebody asks to stop.

use std::future::Future;

use distri_core::{
    Config,
    config::{ClientAccess, Loader, LogFormat, duration},
    transport::Endpoint,
};

use super::{
    Exit, Failure, Global,
    global::join,
    output::{Output, tell},
    stop::Stop,
};

/// Flags with the names of settings in one section.
pub(super) struct Flags<'a> {
    /// `node` or `peer`.
    pub(super) section: &'static str,
    pub(super) listen: &'a Option<String>,
    pub(super) advertise: &'a Option<String>,
    pub(super) name: &'a Option<String>,
    pub(super) identity: &'a Option<String>,
    /// Nodes beside those of `--node`.
    pub(super) cloud_node: &'a [Endpoint],
}

impl Flags<'_> {
    /// The loader of `global` with what was given here.
    pub(super) fn loader(&self, global: &Global) -> Loader {
        let mut loader = global.loader();
        for (name, value) in [
            ("listen", self.listen),
            ("advertise", self.advertise),
            ("name", self.name),
            ("identity", self.identity),
        ] {
            if let Some(value) = value {
                let key = format!("{}.{name}", self.section);
                loader = loader.flag(format!("--{name}"), key, value);
            }
        }
        if !self.cloud_node.is_empty() {
            let nodes: Vec<Endpoint> = global.node.iter().chain(self.cloud_node).cloned().collect();
            loader = loader.flag("--cloud-node", "cloud.nodes", join(&nodes));
        }
        loader
    }
}

/// Prints the first line of stdout, by which programs that start this one learn what it is.
pub(super) fn first_line(
    global: &Global,
    text: &str,
    json: &serde_json::Value,
) -> Result<(), Failure> {
    let output = Output::new(global);
    let line = if global.json {
        output.json_line(json)
    } else {
        output.line(text)
    };
    match line {
        // Who started it may not care for the line.
        Err(failure) if failure.exit() == Exit::Done => Ok(()),
        other => other,
    }
}

/// Stops in good order, or at once when asked again.
pub(super) async fn stop_with(
    config: &Config,
    stop: &mut Stop,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let wait = duration::format(config.limits.drain);
    talk(
        config,
        &format!("stopping: finishing calls for at most {wait}; once more stops at once"),
    );
    tokio::select! {
        () = shutdown => {
            talk(config, "stopped");
            Ok(())
        }
        () = stop.asked() => {
            talk(config, "stopped at once");
            Err(Failure::silent(Exit::Interrupted))
        }
    }
}

/// Who may link, for people.
pub(super) fn clients(config: &Config) -> &'static str {
    match config.access.clients {
        ClientAccess::Open => "any key",
        ClientAccess::Listed => "listed keys",
    }
}

/// Things in a row, for people; "none" if there are none.
pub(super) fn row(things: &[impl AsRef<str>], none: &str) -> String {
    if things.is_empty() {
        return none.to_owned();
    }
    let things: Vec<&str> = things.iter().map(AsRef::as_ref).collect();
    things.join(", ")
}

/// Talks to people, unless stderr is for programs.
pub(super) fn talk(config: &Config, text: &str) {
    if config.log.format != LogFormat::Json {
        tell(text);
    }
}
