//! `watch`: being there. Others fetch what was granted from this program, and what others granted is
//! fetched; what happens is shown as it happens.

use clap::Args;
use distri::cli::{Failure, Global, Stop};
use distri_services::images::person::{
    Grant, GrantSide, Person, PersonEvent, State, Told, Waiting,
};
use example_stego_cloud::home::{Home, HomeArgs};
use serde_json::{Value, json};

use super::{
    here::{failed, note},
    moment, name, say,
};
use crate::show::Page;

/// What `watch` takes.
#[derive(Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    home: HomeArgs,
}

pub(crate) async fn watch(args: WatchArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&args.home, global)?;
    // From here on a signal stops it in good order, however early it comes.
    let mut stop = Stop::listen()?;
    let online = home.online().await?;
    let me = online.person.me().await.map_err(failed)?;
    let addresses: Vec<String> = online
        .peer
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut out = Out {
        page: Page::stdout(),
        is_json: global.json,
    };
    out.tell(
        &format!(
            "{} is here, at {}; ctrl-c ends it",
            me.handle,
            addresses.join(", ")
        ),
        json!({
            "event": "online",
            "handle": me.handle.as_str(),
            "key": me.key.to_string(),
            "addresses": addresses,
        }),
    )?;

    let known = async {
        match online.peer.wait_announced().await {
            Ok(_) => note("the cloud knows where you are"),
            Err(error) => note(&format!("the cloud does not take this program: {error}")),
        }
        std::future::pending::<()>().await;
    };
    let person = &online.person;
    let told = tokio::select! {
        () = stop.asked() => Ok(()),
        told = tell_all(person, &mut out) => told,
        () = person.follow() => Ok(()),
        () = person.fetch_all() => Ok(()),
        () = known => Ok(()),
    };
    note("stopping: what others are fetching is finished; once more stops at once");
    tokio::select! {
        () = online.shutdown() => {}
        () = stop.asked() => {}
    }
    told
}

/// Where it is told.
struct Out {
    page: Page,
    is_json: bool,
}

impl Out {
    fn tell(&mut self, text: &str, value: Value) -> Result<(), Failure> {
        if self.is_json {
            self.page.json(&value)
        } else {
            self.page.line(text)
        }
    }
}

/// Tells what happens, for as long as it is let.
async fn tell_all(person: &Person, out: &mut Out) -> Result<(), Failure> {
    let mut cursor = 0;
    loop {
        match person.log().after(cursor).await {
            Told::Events {
                cursor: last,
                events,
            } => {
                cursor = last;
                let known = Known::of(person).await?;
                for event in events {
                    let Some((text, value)) = known.say(&event) else {
                        continue;
                    };
                    out.tell(&text, value)?;
                }
            }
            Told::Forgotten { cursor: last } => {
                cursor = last;
                let text = "more happened than is remembered: look at `inbox` and `grants`";
                out.tell(text, json!({ "event": "forgotten" }))?;
            }
        }
    }
}

/// How things stand when something has happened.
struct Known {
    waiting: Vec<Waiting>,
    grants: Vec<Grant>,
}

impl Known {
    async fn of(person: &Person) -> Result<Self, Failure> {
        Ok(Self {
            waiting: person.inbox().await.map_err(failed)?,
            grants: person.grants().await.map_err(failed)?,
        })
    }

    /// What happened, in a sentence and as JSON; `None` of what is not worth one.
    fn say(&self, event: &PersonEvent) -> Option<(String, Value)> {
        match event {
            PersonEvent::Requested { request } => {
                let waiting = self.waiting.iter().find(|one| one.request == *request)?;
                Some(requested(waiting))
            }
            PersonEvent::Decided { request } => self.of_grant("decided", *request, decided),
            PersonEvent::Delivered { request } => self.of_grant("delivered", *request, |grant| {
                let (name, title) = (say::name_of(grant), say::title(&grant.title));
                format!("{title} is here: `view {name} -o FILE` looks at it, and spends a view")
            }),
            PersonEvent::Changed { request } => self.of_grant("changed", *request, changed),
            PersonEvent::Viewed {
                request,
                view,
                of,
                at_ms,
                ..
            } => {
                let looked = |grant: &Grant| looked(grant, *view, *of);
                let (text, mut value) = self.of_grant("viewed", *request, looked)?;
                let fields = value.as_object_mut()?;
                fields.insert("view".to_owned(), (*view).into());
                fields.insert("of".to_owned(), (*of).into());
                fields.insert("at_ms".to_owned(), (*at_ms).into());
                Some((text, value))
            }
            PersonEvent::Ended { request, state } => self.of_grant("ended", *request, |grant| {
                format!("{}: {}", say::name_of(grant), say::end(grant, *state))
            }),
            PersonEvent::FalseAudit { request, what } => {
                let what = say::note(what);
                let (text, mut value) = self.of_grant("false-audit", *request, |grant| {
                    format!("the cloud tells falsely of {}: {what}", say::name_of(grant))
                })?;
                let fields = value.as_object_mut()?;
                fields.insert("what".to_owned(), what.clone().into());
                Some((text, value))
            }
            PersonEvent::Catalog => Some((
                "what is offered has changed: `ls`".to_owned(),
                json!({ "event": "catalog" }),
            )),
            PersonEvent::LetterRefused { to, why } => Some((
                format!("a letter to {} was refused: {}", to.short(), say::note(why)),
                json!({ "event": "letter-refused", "to": to.to_string(), "why": say::note(why) }),
            )),
            PersonEvent::LetterUnread { why } => Some((
                format!("a letter was put aside: {}", say::note(why)),
                json!({ "event": "letter-unread", "why": say::note(why) }),
            )),
            PersonEvent::Failed { why } => Some((
                format!("something could not be done: {}", say::note(why)),
                json!({ "event": "failed", "why": say::note(why) }),
            )),
            // `Viewed` says the same, also of looks in other programs; what newer versions tell is not
            // known here.
            _ => None,
        }
    }

    fn of_grant(
        &self,
        event: &str,
        request: distri_services::permissions::RequestId,
        text: impl Fn(&Grant) -> String,
    ) -> Option<(String, Value)> {
        let grant = self.grants.iter().find(|grant| grant.request == request)?;
        let mut value = say::grant_json(grant);
        value
            .as_object_mut()?
            .insert("event".to_owned(), event.into());
        Some((text(grant), value))
    }
}

fn requested(waiting: &Waiting) -> (String, Value) {
    let id = waiting.request.to_string();
    let word = match say::note(&waiting.note) {
        note if note.is_empty() => String::new(),
        note => format!(" (\"{note}\")"),
    };
    let text = format!(
        "{} asks for {} of {}{word}: `approve {}`",
        waiting.from.handle,
        say::views(waiting.views),
        say::title(&waiting.title),
        name::of(&waiting.from, &waiting.title, &id)
    );
    let mut value = say::waiting_json(waiting);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("event".to_owned(), "requested".into());
    }
    (text, value)
}

fn decided(grant: &Grant) -> String {
    let (owner, title) = (&grant.other.handle, say::title(&grant.title));
    if grant.state == State::Rejected {
        return format!("{title}: {}", say::end(grant, State::Rejected));
    }
    let until = grant
        .expires_ms
        .map_or_else(String::new, |ms| format!(", {}", moment::until(ms)));
    format!(
        "{owner} lets you look at {title} for {}{until}",
        say::views(grant.views)
    )
}

fn looked(grant: &Grant, view: u32, of: u32) -> String {
    let title = say::title(&grant.title);
    match grant.side {
        GrantSide::Owner => format!(
            "{} looked at {title}: view {view} of {of}",
            grant.other.handle
        ),
        GrantSide::Viewer => format!("you looked at {title}: view {view} of {of}"),
    }
}

fn changed(grant: &Grant) -> String {
    let (name, left) = (say::name_of(grant), say::left(grant));
    if say::is_over(grant.state) {
        return format!("{name}: {}", say::end(grant, grant.state));
    }
    let until = grant
        .expires_ms
        .map_or_else(String::new, |ms| format!(", {}", moment::until(ms)));
    format!(
        "{name} changed: {left} of {} left{until}",
        say::views(grant.views)
    )
}
