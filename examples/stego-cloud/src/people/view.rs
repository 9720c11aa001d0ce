//! `view`: looking, which spends a view.
//!
//! Everything that can fail without the cloud is tried first: the grant is found, the picture
//! fetched, the file that is to be written can be. Then the person is told what it costs and asked.
//! What is begun is noted in the home, under the name of the attempt, until the file is written: after
//! a crash in between, the same view is had again, for a quarter of an hour.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use distri::cli::{Exit, Failure, Global};
use distri_services::{
    images::{
        media::Format,
        person::{Grant, GrantSide, PersonError, Seen, State, View},
    },
    permissions::RequestId,
};
use example_stego_cloud::home::{Home, HomeArgs};
use serde_json::{Value, json};

use super::{
    here::{Here, failed, note, refuse},
    moment::{self, NEVER},
    question::Yes,
    say,
};
use crate::{files, show};

/// What `view` takes.
#[derive(Args)]
pub(crate) struct ViewArgs {
    /// The grant: USER/IMAGE, the title, or the first letters of its id
    grant: String,
    /// Where the picture goes, an ordinary file from then on; replaced if it exists
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    yes: Yes,
    #[command(flatten)]
    home: HomeArgs,
}

pub(crate) async fn view(args: ViewArgs, global: &Global) -> Result<(), Failure> {
    files::check_writable(&args.out)?;
    let mut here = Here::reaching(&args.home, global).await?;
    let mut grant = here.grant(&args.grant, GrantSide::Viewer).await?;
    match grant.state {
        State::Requested | State::Rejected => {
            return Err(refuse(format!(
                "there is nothing to look at: {}",
                say::end(&grant, grant.state)
            )));
        }
        State::Approved => {
            here.fetch(&grant).await?;
        }
        State::Active => {}
        State::Exhausted | State::Expired | State::Revoked => {
            return over(here, &grant, grant.state, &args.out).await;
        }
    }

    let attempt = Attempt::of(&here.home, grant.request)?;
    args.yes.or_ask(&cost(&grant, &attempt, &args.out)).await?;
    let viewed = look(&here, &grant, attempt).await?;
    let (seen, attempt) = match viewed {
        (View::Shown(seen), attempt) => (seen, attempt),
        (View::Over { state, .. }, attempt) => {
            attempt.over();
            grant = here.again(grant.request).await?;
            return over(here, &grant, state, &args.out).await;
        }
    };
    // Until this is done, the same view is had again.
    files::write(&args.out, &seen.file).map_err(|failure| {
        failure.with_remedy("within a quarter of an hour, the same command costs no other view")
    })?;
    attempt.over();
    // It closes by itself soon, if the cloud is away now.
    let _ = here.person.looked(grant.request).await;
    tell(&mut here, &grant, &seen, &args.out)?;
    here.leave().await;
    Ok(())
}

/// Looks. An attempt whose view was closed in between is followed by a new one: the person agreed to
/// spend a view.
async fn look(here: &Here, grant: &Grant, attempt: Attempt) -> Result<(View, Attempt), Failure> {
    attempt.begin()?;
    let viewed = here.person.view(grant.request, &attempt.name).await;
    match viewed {
        Ok(view) => Ok((view, attempt)),
        Err(error)
            if attempt.was_begun
                && matches!(error.details(), Some(PersonError::ViewClosed { .. })) =>
        {
            attempt.over();
            let attempt = Attempt::of(&here.home, grant.request)?;
            attempt.begin()?;
            let viewed = here.person.view(grant.request, &attempt.name).await;
            Ok((viewed.map_err(failed)?, attempt))
        }
        Err(error) => Err(failed(error)),
    }
}

/// What is asked of the person.
fn cost(grant: &Grant, attempt: &Attempt, out: &Path) -> String {
    let (owner, views) = (&grant.other.handle, grant.views);
    let next = grant.used.saturating_add(1).min(views);
    let which = if attempt.was_begun {
        format!("This goes on with a look that was interrupted, or uses view {next} of {views}")
    } else {
        format!("This uses view {next} of {views}")
    };
    let until = match grant.expires_ms {
        Some(ms) if ms != NEVER => format!(" (the grant is {})", moment::until(ms)),
        _ => String::new(),
    };
    format!(
        "{which}{until}.\nThe picture is written to {} as an ordinary file: from then on it is out of \
         the hands of {owner},\nand of this program. `ui` shows it without leaving a file.\nLook?",
        out.display()
    )
}

fn tell(here: &mut Here, grant: &Grant, seen: &Seen, out: &Path) -> Result<(), Failure> {
    let (width, height) = (seen.picture.width(), seen.picture.height());
    let format = Format::sniff(&seen.file);
    if here.is_json {
        return here.page.json(&json!({
            "shown": true,
            "grant": grant.request.to_string(),
            "view": seen.view,
            "of": seen.of,
            "left": seen.of.saturating_sub(seen.view),
            "out": out.display().to_string(),
            "bytes": seen.file.len(),
            "format": format,
            "width": width,
            "height": height,
        }));
    }
    let format = format.map_or_else(String::new, |format| format!("{format}, "));
    here.page.line(&format!(
        "view {} of {}: {} by {}, {format}{}, in {}",
        seen.view,
        seen.of,
        say::title(&grant.title),
        grant.other.handle,
        show::size(width, height),
        out.display()
    ))?;
    note(&format!(
        "{} can no longer take this file back; delete it when you have looked",
        grant.other.handle
    ));
    Ok(())
}

/// Nothing is left but the cover: it is written where the picture would have gone, unless something
/// is there. That no picture was shown is a failure.
async fn over(mut here: Here, grant: &Grant, state: State, out: &Path) -> Result<(), Failure> {
    let cover = here.person.cover(grant.request).await;
    let written = match cover {
        Ok(cover) if !out.exists() => {
            files::write(out, &cover)?;
            true
        }
        // One that was never fetched has none here.
        Ok(_) | Err(_) => false,
    };
    let why = say::end(grant, state);
    if here.is_json {
        let cover: Value = if written {
            out.display().to_string().into()
        } else {
            Value::Null
        };
        here.page.json(&json!({
            "shown": false,
            "grant": grant.request.to_string(),
            "state": say::state(state),
            "why": why,
            "cover": cover,
        }))?;
    }
    here.leave().await;
    let message = format!(
        "nothing is left to see of {}: {why}",
        say::title(&grant.title)
    );
    let failure = Failure::new(Exit::Failed, message);
    if written {
        return Err(failure.with_remedy(format!("its cover is in {}", out.display())));
    }
    Err(failure)
}

/// A look that is under way, noted in the home until the picture is in its file.
struct Attempt {
    name: String,
    was_begun: bool,
    path: PathBuf,
}

impl Attempt {
    /// The attempt that was interrupted, or a new one.
    fn of(home: &Home, request: RequestId) -> Result<Self, Failure> {
        let folder = home.folder().join("looking");
        files::make_folder(&folder)?;
        let path = folder.join(request.to_string());
        match fs::read_to_string(&path) {
            Ok(name) if !name.is_empty() => {
                return Ok(Self {
                    name,
                    was_begun: true,
                    path,
                });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let message = format!("could not read `{}`: {error}", path.display());
                return Err(refuse(message));
            }
            Ok(_) | Err(_) => {}
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Failure::new(Exit::Failed, error))?;
        Ok(Self {
            name: data_encoding::HEXLOWER.encode(&random),
            was_begun: false,
            path,
        })
    }

    /// Notes it, before anything is asked of the cloud.
    fn begin(&self) -> Result<(), Failure> {
        if self.was_begun {
            return Ok(());
        }
        files::write(&self.path, self.name.as_bytes())
    }

    fn over(self) {
        // What stays is asked for again, and refused as closed.
        let _ = fs::remove_file(self.path);
    }
}
