//! `renew-secret`: has a new epoch of the cluster's secret made, and waits until it is in use.

use std::time::Duration;

use distri_core::Client;
use serde_json::json;

use super::{
    Exit, Failure, Global, member,
    output::{Output, tell},
};

/// How long the new epoch is waited for. It takes a second where a majority of the members is up.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is asked for meanwhile.
const EVERY: Duration = Duration::from_millis(100);

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let before = member::cluster(&client).await?.secret_epoch;
    let renewed = client.renew_secret().await;
    renewed.map_err(|error| member::refused(error, client.key()))?;
    let made = tokio::time::timeout(PATIENCE, newer(&client, before)).await;
    let epoch = made.map_err(|_| {
        let message = format!(
            "a new epoch of the secret was asked for, and is not there after {PATIENCE:?}; until it \
             is, epoch {before} is in use"
        );
        Failure::new(Exit::Unknown, message).with_remedy(
            "it is made when the leader and a majority of the members are up: nothing needs to be \
             asked again",
        )
    })??;
    let output = Output::new(global);
    if global.json {
        return output.json(&json!({ "epoch": epoch, "before": before }));
    }
    output.line(&format!(
        "epoch {epoch} of the cluster's secret is in use, epoch {before} was before"
    ))?;
    tell(
        "what was sealed to older epochs still opens, also to whoever knows those: have what matters \
         sealed anew. Keep a copy of a `node.secret` that has this epoch",
    );
    Ok(())
}

/// The epoch after `before`, when it is there.
async fn newer(client: &Client, before: u32) -> Result<u32, Failure> {
    loop {
        let epoch = member::cluster(client).await?.secret_epoch;
        if epoch > before {
            return Ok(epoch);
        }
        tokio::time::sleep(EVERY).await;
    }
}
