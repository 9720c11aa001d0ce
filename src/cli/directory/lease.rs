//! `directory lease`: grants, renews and ends leases.

use std::time::Duration;

use clap::Subcommand;
use distri_core::{config::duration, directory::Lease};
use serde_json::json;

use super::{Session, Start};
use crate::cli::{Exit, Failure, output::tell, token::time_text};

/// What `directory lease` does.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum LeaseCommand {
    /// Grant a lease and print its number
    Grant {
        /// How long it lasts after it was granted or last renewed
        #[arg(value_name = "TIME", value_parser = time_text)]
        ttl: Duration,
        /// Renew it until ctrl-c, which ends it [default: off]
        #[arg(long)]
        hold: bool,
    },
    /// Renew a lease
    Keep {
        /// Its number
        lease: u64,
    },
    /// End a lease, and delete its documents
    End {
        /// Its number
        lease: u64,
    },
}

pub(super) async fn run(command: LeaseCommand, start: Start<'_>) -> Result<(), Failure> {
    let session = start.connect().await?;
    match command {
        LeaseCommand::Grant { ttl, hold } => session.grant(ttl, hold).await,
        LeaseCommand::Keep { lease } => {
            let kept = session.lease(lease).keep_alive().await;
            kept.map_err(|error| session.refused(error))?;
            session.report_lease("renewed", lease)
        }
        LeaseCommand::End { lease } => {
            let ended = session.lease(lease).end().await;
            ended.map_err(|error| session.refused(error))?;
            session.report_lease("ended", lease)
        }
    }
}

impl Session {
    async fn grant(&self, ttl: Duration, hold: bool) -> Result<(), Failure> {
        let granted = self.directory.lease(ttl).await;
        let lease = granted.map_err(|error| self.refused(error))?;
        if self.json {
            let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            self.output
                .json(&json!({ "lease": lease.id(), "ttl_ms": ttl_ms }))?;
        } else {
            self.output.line(&lease.id().to_string())?;
        }
        if !hold {
            return Ok(());
        }
        tell(&format!(
            "renewed until ctrl-c; without this program it ends within {}",
            duration::format(ttl)
        ));
        tokio::select! {
            lost = lease.hold() => match lost {
                Ok(never) => match never {},
                Err(error) => Err(self.refused(error)),
            },
            _ = tokio::signal::ctrl_c() => {
                lease.end().await.map_err(|error| self.refused(error))?;
                Err(Failure::silent(Exit::Interrupted))
            }
        }
    }

    /// A lease that another program holds. How long it lasts is known there; here it is renewed once
    /// or ended.
    fn lease(&self, number: u64) -> Lease {
        self.directory.lease_of(number, Duration::ZERO)
    }

    fn report_lease(&self, what: &str, lease: u64) -> Result<(), Failure> {
        if self.json {
            return self.output.json(&json!({ "lease": lease }));
        }
        self.output.line(&format!("{what} lease {lease}"))
    }
}
