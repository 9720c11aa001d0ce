//! Tables that are shown again and again: `top`, `status --watch`, `stats --watch`.

use std::{future::Future, time::Duration};

use clap::Args;

use super::{Failure, Global, output::Output, token::time_text};

/// How often something is shown.
#[derive(Args, Clone, Debug)]
pub(super) struct AgainArgs {
    /// How long after each other
    #[arg(long, value_name = "TIME", value_parser = time_text, default_value = "1s")]
    every: Duration,
    /// How often; without it, until interrupted
    #[arg(long, value_name = "TIMES")]
    count: Option<u64>,
}

impl AgainArgs {
    /// Does `show` so often. On a terminal each takes the place of the one before.
    pub(super) async fn repeat<F>(
        &self,
        output: &Output,
        global: &Global,
        show: impl Fn() -> F,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<Vec<String>, Failure>>,
    {
        let mut shown = 0;
        loop {
            let lines = show().await?;
            output.screen(&lines, global.json)?;
            shown += 1;
            if self.count.is_some_and(|count| shown >= count) {
                return Ok(());
            }
            tokio::time::sleep(self.every).await;
        }
    }
}
