//! `ui`: serves the page of a person until it is told to stop, or those of Alice and Bob.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Instant};

use clap::Args;
use distri::cli::{Exit, Failure, Global, Stop};
use distri_services::images::person::Person;
use example_stego_cloud::{
    home::{Home, HomeArgs},
    ui::{InCloud, Ui},
};
use serde_json::json;

use crate::{
    demo::{self, cast::Cast, folder::Folder},
    show::{self, Page},
};

/// What `ui` takes.
#[derive(Args)]
pub(crate) struct UiArgs {
    /// Port of 127.0.0.1 on which the page is served [default: a free one]
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    port: u16,
    /// Start the cloud, Alice and Bob of the demonstration again, from its folder: a page for each
    #[arg(long, value_name = "DIR", conflicts_with = "home")]
    story: Option<PathBuf>,
    /// Open the page in the browser too [default: print the link]
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    home: HomeArgs,
}

/// A page that is served.
struct Served {
    ui: Ui,
    handle: String,
}

pub(crate) async fn run(args: UiArgs, global: &Global) -> Result<(), Failure> {
    let began = Instant::now();
    let mut stop = Stop::listen()?;
    match &args.story {
        Some(story) => {
            let folder = Folder::open(story)?;
            let started = async {
                let mut cast = Cast::open(&folder, &demo::settings(global)).await?;
                cast.alice.come().await?;
                cast.bob.come().await?;
                cast.alice.is_known().await?;
                cast.bob.is_known().await?;
                Ok::<_, Failure>(cast)
            };
            let cast = tokio::select! {
                cast = started => cast?,
                () = stop.asked() => return Err(interrupted()),
            };
            let mut pages = Vec::new();
            for (actor, port) in [(&cast.alice, 0), (&cast.bob, 1)] {
                // A free one for each, or two in a row.
                let port = if args.port == 0 {
                    0
                } else {
                    args.port.saturating_add(port)
                };
                pages.push(serve(actor.person()?, &actor.home, port).await?);
            }
            tell(&pages, &args, global, began)?;
            stop.asked().await;
            drop(pages);
            stopping(&mut stop, cast.stop()).await
        }
        None => {
            let home = Home::open(&args.home, global)?;
            let online = home.online().await?;
            let pages = [serve(&online.person, &home, args.port).await?];
            tell(&pages, &args, global, began)?;
            stop.asked().await;
            drop(pages);
            stopping(&mut stop, online.shutdown()).await
        }
    }
}

async fn serve(person: &Person, home: &Home, port: u16) -> Result<Served, Failure> {
    let handle = person.me().await?.handle.to_string();
    let in_cloud = InCloud::new(person.clone(), home.clone())?;
    let ui = Ui::open(Arc::new(in_cloud), port)
        .await
        .map_err(|error| Failure::new(Exit::Failed, error))?;
    Ok(Served { ui, handle })
}

/// The links, on stdout; the rest is talk.
fn tell(pages: &[Served], args: &UiArgs, global: &Global, began: Instant) -> Result<(), Failure> {
    let links: Vec<(&str, String)> = pages
        .iter()
        .map(|page| (page.handle.as_str(), page.ui.link()))
        .collect();
    let mut page = Page::stdout();
    if global.json {
        let links: Vec<_> = links
            .iter()
            .map(|(handle, link)| json!({ "handle": handle, "link": link }))
            .collect();
        page.json(&json!({ "pages": links }))?;
    } else {
        let wide = links.iter().map(|(handle, _)| handle.chars().count()).max();
        let wide = wide.unwrap_or_default();
        for (handle, link) in &links {
            let handle = format!("{handle:<wide$}");
            page.line(&format!("{}  {link}", page.style().strong(&handle)))?;
        }
        eprintln!(
            "{} good for one browser, within ten minutes; ready after {}. Ctrl-C ends it.",
            if links.len() == 1 {
                "The link is"
            } else {
                "Each link is"
            },
            show::time(began.elapsed()),
        );
    }
    if args.open {
        for (_, link) in &links {
            open(link)?;
        }
    }
    Ok(())
}

/// Hands the link to the system's browser.
fn open(link: &str) -> Result<(), Failure> {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let started = std::process::Command::new(program)
        .arg(link)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.map(|_| ()).map_err(|error| {
        let message = format!("could not start `{program}`: {error}");
        Failure::new(Exit::Failed, message).with_remedy("open the link yourself")
    })
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "it was ended before it was done")
}

/// Ends in good order; at once when it is asked a second time.
async fn stopping(stop: &mut Stop, done: impl Future<Output = ()>) -> Result<(), Failure> {
    tokio::select! {
        () = done => Ok(()),
        () = stop.asked() => Err(interrupted()),
    }
}
