//! `token`: lets one node join the cluster.

use std::time::Duration;

use clap::Args;
use distri_core::config::duration;
use serde_json::json;

use super::{
    Failure, Global, member,
    output::{Output, tell},
    time,
};

/// What `token` takes.
#[derive(Clone, Debug, Args)]
pub struct TokenArgs {
    /// How long it may be used, at most 30d
    #[arg(long, value_name = "TIME", value_parser = time_text, default_value = "1h")]
    pub valid: Duration,
}

pub(super) fn time_text(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| "expected a duration such as 30s, 10m or 2h".to_owned())
}

pub(super) async fn run(args: TokenArgs, global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let asked = client.join_token(args.valid).await;
    let token = asked.map_err(|error| member::refused(error, client.key()))?;
    let expires_ms = time::unix_ms_in(args.valid);
    let output = Output::new(global);
    if global.json {
        return output.json(&json!({
            "token": token.reveal(),
            "expires_ms": expires_ms,
            "nodes": token.nodes().iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    }
    // Before the token, so that on a terminal the token stands last, ready to be copied.
    tell(&format!(
        "a secret: whoever has it may join one node, once, until {} (in {})",
        time::utc(expires_ms),
        duration::format(args.valid)
    ));
    output.line(&token.reveal())
}
