//! `inbox`, `approve`, `reject`, `extend`, `rekey` and `revoke`: the owner's side.

use std::path::PathBuf;

use clap::Args;
use distri::cli::{Failure, Global};
use distri_services::{
    images::{
        person::{Answer, Grant, GrantSide, State, Terms, Waiting},
        record::VIEWS_MAX,
    },
    permissions::RequestId,
};
use example_stego_cloud::home::HomeArgs;
use serde_json::json;

use super::{
    here::{Here, failed, note, refuse},
    moment::{self, Term},
    name::{self, Card},
    question::Yes,
    say,
};
use crate::{
    files,
    progress::Spinner,
    show::{Align, Table},
};

/// What `inbox` takes.
#[derive(Args)]
pub(crate) struct InboxArgs {
    #[command(flatten)]
    home: HomeArgs,
}

/// What `approve` takes.
#[derive(Args)]
pub(crate) struct ApproveArgs {
    /// The request: USER/IMAGE, the title, or the first letters of its id
    request: String,
    /// How often they may look [default: as often as they asked]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(VIEWS_MAX)))]
    views: Option<u32>,
    /// For how long, such as 2h or 7d, or never
    #[arg(long, value_name = "TIME", value_parser = moment::term, default_value = "30d")]
    expires: Term,
    /// The picture to hide it in [default: one of HOME/covers, or one that is drawn]
    #[arg(long, value_name = "FILE")]
    cover: Option<PathBuf>,
    #[command(flatten)]
    home: HomeArgs,
}

/// What `reject` takes.
#[derive(Args)]
pub(crate) struct RejectArgs {
    /// The request: USER/IMAGE, the title, or the first letters of its id
    request: String,
    /// Why, sealed to whoever asked [default: no word]
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    why: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// What `extend` takes.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("terms").required(true).multiple(true).args(["views", "expires"]))]
pub(crate) struct ExtendArgs {
    /// The grant: USER/IMAGE, the title, or the first letters of its id
    grant: String,
    /// So many views in all, those that are used included; +2 for two more
    #[arg(long, value_name = "COUNT", value_parser = change)]
    views: Option<Change>,
    /// For how long from now on, such as 2h or 7d, or never
    #[arg(long, value_name = "TIME", value_parser = moment::term)]
    expires: Option<Term>,
    #[command(flatten)]
    home: HomeArgs,
}

/// What `rekey` takes.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["grant", "older"]))]
pub(crate) struct RekeyArgs {
    /// The grant: USER/IMAGE, the title, or the first letters of its id
    grant: Option<String>,
    /// All grants whose keys are from before the cloud renewed its secret
    #[arg(long)]
    older: bool,
    #[command(flatten)]
    home: HomeArgs,
}

/// What `revoke` takes.
#[derive(Args)]
pub(crate) struct RevokeArgs {
    /// The grant: USER/IMAGE, the title, or the first letters of its id
    grant: String,
    #[command(flatten)]
    yes: Yes,
    #[command(flatten)]
    home: HomeArgs,
}

/// Another number of views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    To(u32),
    By(u32),
}

fn change(text: &str) -> Result<Change, String> {
    let read = |digits: &str| digits.parse().ok().filter(|count| *count > 0);
    let change = match text.strip_prefix('+') {
        Some(more) => read(more).map(Change::By),
        None => read(text).map(Change::To),
    };
    change.ok_or_else(|| "expected a number from 1 on, or +2 for two more".to_owned())
}

pub(crate) async fn inbox(args: InboxArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let waiting = here.person.inbox().await.map_err(failed)?;
    if here.is_json {
        let all: Vec<_> = waiting.iter().map(say::waiting_json).collect();
        here.page.json(&json!({ "requests": all }))?;
    } else if waiting.is_empty() {
        here.page.line("nobody waits for an answer")?;
    } else {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("VIEWS", Align::Right),
            ("ASKED", Align::Left),
            ("ID", Align::Left),
            ("NOTE", Align::Left),
        ]);
        for one in &waiting {
            let id = one.request.to_string();
            table.row([
                name::of(&one.from, &one.title, &id),
                one.views.to_string(),
                moment::ago(one.at_ms),
                name::short(&id).to_owned(),
                say::note(&one.note),
            ]);
        }
        here.page.fitted(&table)?;
        note(
            "`approve NAME` lets them look, `approve NAME --views 1` less often, `reject NAME` not",
        );
    }
    here.leave().await;
    Ok(())
}

pub(crate) async fn approve(args: ApproveArgs, global: &Global) -> Result<(), Failure> {
    let cover = match &args.cover {
        Some(path) => Some(files::read(path)?.to_vec()),
        None => None,
    };
    let mut here = Here::at(&args.home, global).await?;
    let waiting = waiting(&here, &args.request).await?;
    let views = args.views.unwrap_or(waiting.views);
    let cover = match cover {
        Some(cover) => Some(cover),
        None => here.home.cover()?,
    };
    let terms = Terms {
        views,
        expires_ms: args.expires.end_ms(),
    };
    let spinner = Spinner::start("sealing the picture and hiding it in its cover");
    let answer = Answer::Approve { terms, cover };
    let decided = here.person.decide(waiting.request, answer).await;
    spinner.stop();
    decided.map_err(failed)?;

    if here.is_json {
        let grant = here.again(waiting.request).await?;
        here.page.json(&say::grant_json(&grant))?;
    } else {
        let instead = if views == waiting.views {
            String::new()
        } else {
            format!(" instead of {}", waiting.views)
        };
        here.page.line(&format!(
            "{} may look at {} for {}{instead}, {}",
            waiting.from.handle,
            say::title(&waiting.title),
            say::views(views),
            moment::until(terms.expires_ms)
        ))?;
        note("it is fetched from your program: keep `watch` or `ui` running until they have it");
    }
    here.leave().await;
    Ok(())
}

pub(crate) async fn reject(args: RejectArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let waiting = waiting(&here, &args.request).await?;
    let answer = Answer::Reject {
        why: args.why.clone(),
    };
    here.person
        .decide(waiting.request, answer)
        .await
        .map_err(failed)?;
    if here.is_json {
        let grant = here.again(waiting.request).await?;
        here.page.json(&say::grant_json(&grant))?;
    } else {
        let title = say::title(&waiting.title);
        here.page
            .line(&format!("{} may not look at {title}", waiting.from.handle))?;
    }
    here.leave().await;
    Ok(())
}

pub(crate) async fn extend(args: ExtendArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let grant = granted(&here, &args.grant).await?;
    let views = match args.views {
        None => grant.views,
        Some(Change::To(views)) => views,
        Some(Change::By(more)) => grant.views.saturating_add(more),
    };
    let expires_ms = match args.expires {
        Some(term) => term.end_ms(),
        None => grant.expires_ms.unwrap_or(moment::NEVER),
    };
    if args.expires.is_none() && grant.state == State::Expired {
        return Err(
            Failure::usage("the time of this grant is over").with_remedy(
                "--expires 7d gives it more; the views stay as they are without --views",
            ),
        );
    }
    let terms = Terms { views, expires_ms };
    here.person
        .extend(grant.request, terms)
        .await
        .map_err(failed)?;
    let grant = here.again(grant.request).await?;
    if here.is_json {
        here.page.json(&say::grant_json(&grant))?;
    } else {
        here.page.line(&format!(
            "{} may look at {} for {} in all, {} of them left, {}",
            grant.other.handle,
            say::title(&grant.title),
            say::views(grant.views),
            say::left(&grant),
            moment::until(expires_ms)
        ))?;
    }
    here.leave().await;
    Ok(())
}

pub(crate) async fn rekey(args: RekeyArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let requests = match &args.grant {
        Some(text) => vec![granted(&here, text).await?.request],
        None => here.person.older_keys().await.map_err(failed)?,
    };
    let mut grants = Vec::new();
    for request in requests {
        here.person.rekey(request).await.map_err(failed)?;
        let grant = here.again(request).await?;
        if !here.is_json {
            here.page.line(&format!(
                "{} has new keys for {}",
                grant.other.handle,
                say::title(&grant.title)
            ))?;
        }
        grants.push(say::grant_json(&grant));
    }
    if here.is_json {
        here.page.json(&json!({ "grants": grants }))?;
    } else if grants.is_empty() {
        here.page
            .line("no grant has keys from before the cloud renewed its secret")?;
    } else {
        note("views and time are as they were, and nothing is fetched again");
    }
    here.leave().await;
    Ok(())
}

pub(crate) async fn revoke(args: RevokeArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let grant = granted(&here, &args.grant).await?;
    let title = say::title(&grant.title);
    let question = format!(
        "{} has looked {} of {} times at {title}. What was seen was seen; nothing more is shown from \
         now on,\nand only another request can be approved. Take the grant back?",
        grant.other.handle, grant.used, grant.views
    );
    args.yes.or_ask(&question).await?;
    here.person.revoke(grant.request).await.map_err(failed)?;
    if here.is_json {
        let grant = here.again(grant.request).await?;
        here.page.json(&say::grant_json(&grant))?;
    } else {
        here.page.line(&format!(
            "{} may no longer look at {title}",
            grant.other.handle
        ))?;
    }
    here.leave().await;
    Ok(())
}

/// The request that waits and that `text` names.
async fn waiting(here: &Here, text: &str) -> Result<Waiting, Failure> {
    let all = here.person.inbox().await.map_err(failed)?;
    let card = |waiting: &Waiting| Card {
        id: waiting.request.to_string(),
        user: waiting.from.clone(),
        title: waiting.title.clone(),
        is_open: true,
    };
    let missing = match name::pick("request", text, &all, card) {
        Ok(found) => return Ok(found.clone()),
        Err(missing) => missing,
    };
    // One that was answered is named by its answer.
    match here.grant(text, GrantSide::Owner).await {
        Ok(grant) if grant.state != State::Requested => Err(answered(&grant)),
        Ok(_) | Err(_) => Err(missing),
    }
}

fn answered(grant: &Grant) -> Failure {
    let request: RequestId = grant.request;
    let message = format!(
        "{} ({}) was answered: it is {}",
        say::name_of(grant),
        name::short(&request.to_string()),
        say::state(grant.state)
    );
    refuse(message).with_remedy("`extend` gives other terms, `revoke` takes a grant back")
}

/// The grant that was given and that `text` names.
async fn granted(here: &Here, text: &str) -> Result<Grant, Failure> {
    let grant = here.grant(text, GrantSide::Owner).await?;
    match grant.state {
        State::Requested => {
            let name = say::name_of(&grant);
            Err(
                refuse(format!("{name} is a request that waits for an answer"))
                    .with_remedy(format!("`approve {name}` or `reject {name}`")),
            )
        }
        State::Rejected => Err(refuse(format!("{} was rejected", say::name_of(&grant)))),
        State::Approved | State::Active | State::Exhausted | State::Expired | State::Revoked => {
            Ok(grant)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_given_in_all_or_added() {
        assert_eq!(change("3"), Ok(Change::To(3)));
        assert_eq!(change("+2"), Ok(Change::By(2)));
        for wrong in ["", "0", "+0", "-1", "+", "two"] {
            assert!(change(wrong).is_err(), "{wrong}");
        }
    }
}
