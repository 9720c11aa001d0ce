//! `grants` and `audit`: how things stand, and who did what.

use clap::Args;
use distri::cli::{Failure, Global};
use distri_services::images::person::{Grant, GrantSide, State};
use example_stego_cloud::home::HomeArgs;
use serde_json::{Value, json};

use super::{
    here::{Here, failed},
    moment::{self, NEVER},
    name, say,
};
use crate::show::{Align, Page, Table};

/// What `grants` takes.
#[derive(Args)]
pub(crate) struct GrantsArgs {
    /// Only those that go on [default: all]
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    home: HomeArgs,
}

/// What `audit` takes.
#[derive(Args)]
pub(crate) struct AuditArgs {
    /// The grant: USER/IMAGE, the title, or the first letters of its id
    grant: String,
    #[command(flatten)]
    home: HomeArgs,
}

pub(crate) async fn grants(args: GrantsArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let mut all = here.person.grants().await.map_err(failed)?;
    all.retain(|grant| !args.open || !say::is_over(grant.state));
    let (mine, given): (Vec<Grant>, Vec<Grant>) = all
        .into_iter()
        .partition(|grant| grant.side == GrantSide::Viewer);
    if here.is_json {
        let values = |some: &[Grant]| -> Vec<Value> { some.iter().map(say::grant_json).collect() };
        here.page
            .json(&json!({ "mine": values(&mine), "given": values(&given) }))?;
    } else if mine.is_empty() && given.is_empty() {
        here.page
            .line("nothing was asked for and nothing granted")?;
    } else {
        tell(&mut here.page, "what you asked for", &mine)?;
        tell(&mut here.page, "what others asked of you", &given)?;
    }
    here.leave().await;
    Ok(())
}

fn tell(page: &mut Page, heading: &str, grants: &[Grant]) -> Result<(), Failure> {
    if grants.is_empty() {
        return Ok(());
    }
    let heading = page.style().strong(heading);
    page.line(&heading)?;
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("LEFT", Align::Left),
        ("ENDS", Align::Left),
        ("ID", Align::Left),
        ("TITLE", Align::Left),
    ]);
    for grant in grants {
        let (left, ends) = terms(grant);
        let why = grant
            .why
            .as_deref()
            .map(say::note)
            .filter(|why| !why.is_empty());
        let title = say::title(&grant.title);
        table.row([
            say::name_of(grant),
            say::state(grant.state).to_owned(),
            left,
            ends,
            name::short(&grant.request.to_string()).to_owned(),
            why.map_or_else(|| title.clone(), |why| format!("{title}: {why}")),
        ]);
    }
    page.fitted(&table)
}

/// What is left of the views, and of the time; of what is over, how often was looked.
fn terms(grant: &Grant) -> (String, String) {
    match grant.state {
        State::Requested | State::Rejected => (format!("{} asked", grant.asked), "-".to_owned()),
        State::Approved | State::Active => {
            let left = format!("{} of {}", say::left(grant), grant.views);
            (left, moment::left(grant.expires_ms.unwrap_or(NEVER)))
        }
        State::Exhausted | State::Expired | State::Revoked => {
            let used = format!("{} of {} used", grant.used, grant.views);
            (used, "-".to_owned())
        }
    }
}

pub(crate) async fn audit(args: AuditArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let grant = here.any_grant(&args.grant).await?;
    let entries = here.person.audit(grant.request).await.map_err(failed)?;
    let who = |role: &str| match (role, grant.side) {
        ("owner", GrantSide::Owner) | ("viewer", GrantSide::Viewer) => here.me.handle.to_string(),
        ("owner" | "viewer", _) => grant.other.handle.to_string(),
        (other, _) => format!("the {other}"),
    };
    if here.is_json {
        let entries = entries.iter().map(|entry| {
            json!({
                "at_ms": entry.at_ms,
                "role": entry.who,
                "who": who(&entry.who),
                "what": entry.what,
                "proof": entry.proof,
            })
        });
        let entries: Vec<Value> = entries.collect();
        here.page
            .json(&json!({ "grant": say::grant_json(&grant), "entries": entries }))?;
    } else {
        let mut table = Table::new(&[
            ("WHEN", Align::Left),
            ("WHO", Align::Left),
            ("PROOF", Align::Left),
            ("WHAT", Align::Left),
        ]);
        for entry in &entries {
            let proof = match &entry.proof {
                Some(_) => "signed",
                None => "the log",
            };
            table.row([
                moment::at(entry.at_ms),
                who(&entry.who),
                proof.to_owned(),
                entry.what.clone(),
            ]);
        }
        here.page.fitted(&table)?;
        let note = "checked: every signature, and that nothing is missing or changed in between";
        let note = here.page.style().faint(note);
        here.page.line(&note)?;
    }
    here.leave().await;
    Ok(())
}
