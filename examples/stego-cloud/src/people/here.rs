//! Where a verb begins: a person at home, in a cloud that answers, with what was begun before done.

use std::io::{self, Write};

use distri::{
    Error,
    cli::{Exit, Failure, Global},
};
use distri_services::{
    images::{
        cloud::ShareRefusal,
        person::{Grant, GrantSide, Person, PersonError, Who},
    },
    permissions::RequestId,
};
use example_stego_cloud::home::{Home, HomeArgs, Online};

use super::{
    name::{self, Card},
    say,
};
use crate::{progress::Progress, show::Page};

/// A person about to do something.
pub(crate) struct Here {
    pub(crate) home: Home,
    pub(crate) person: Person,
    pub(crate) me: Who,
    pub(crate) page: Page,
    pub(crate) is_json: bool,
    /// The person's peer, if this verb needs one.
    online: Option<Online>,
}

impl Here {
    /// The person of the home that `args` name, who has joined. What was begun before, and letters
    /// that wait, are seen to first.
    pub(crate) async fn at(args: &HomeArgs, global: &Global) -> Result<Self, Failure> {
        let home = Home::open(args, global)?;
        let person = home.person().await?;
        Self::with(home, person, None, global).await
    }

    /// As [`Here::at`], for a verb that calls other people's peers.
    pub(crate) async fn reaching(args: &HomeArgs, global: &Global) -> Result<Self, Failure> {
        let home = Home::open(args, global)?;
        let (person, online) = home.reaching().await?;
        Self::with(home, person, online, global).await
    }

    async fn with(
        home: Home,
        person: Person,
        online: Option<Online>,
        global: &Global,
    ) -> Result<Self, Failure> {
        let me = person.me().await.map_err(failed)?;
        if let Err(error) = person.settle().await {
            if error.is_retryable() {
                return Err(failed(error));
            }
            let causes = distri::error::chain(&error);
            note(&format!(
                "what was begun before could not be finished: {causes}"
            ));
        }
        Ok(Self {
            home,
            person,
            me,
            page: Page::stdout(),
            is_json: global.json,
            online,
        })
    }

    /// The verb is done.
    pub(crate) async fn leave(self) {
        if let Some(online) = self.online {
            online.shutdown().await;
        }
    }

    /// The grant, or request, that `text` names, of those on this side.
    pub(crate) async fn grant(&self, text: &str, side: GrantSide) -> Result<Grant, Failure> {
        let all = self.person.grants().await.map_err(failed)?;
        let (ours, others): (Vec<Grant>, Vec<Grant>) =
            all.into_iter().partition(|grant| grant.side == side);
        let found = name::pick("grant", text, &ours, card);
        if found.is_err() && name::pick("grant", text, &others, card).is_ok() {
            let message = match side {
                GrantSide::Viewer => format!("`{text}` is a picture of yours, which others see"),
                GrantSide::Owner => format!("`{text}` is a picture of somebody else"),
            };
            return Err(Failure::usage(message).with_remedy("`grants` lists both"));
        }
        found.cloned()
    }

    /// The grant on whichever side.
    pub(crate) async fn any_grant(&self, text: &str) -> Result<Grant, Failure> {
        let all = self.person.grants().await.map_err(failed)?;
        name::pick("grant", text, &all, card).cloned()
    }

    /// How a grant stands now.
    pub(crate) async fn again(&self, request: RequestId) -> Result<Grant, Failure> {
        let all = self.person.grants().await.map_err(failed)?;
        let found = all.into_iter().find(|grant| grant.request == request);
        found.ok_or_else(|| failed(PersonError::NoRequest { request }.into()))
    }

    /// Fetches the picture of a grant, with a bar.
    pub(crate) async fn fetch(&self, grant: &Grant) -> Result<u64, Failure> {
        let mut bar = Progress::bar();
        let note = format!("from {}", grant.other.handle);
        let mut length = 0;
        let fetched = self
            .person
            .fetch(grant.request, &mut |progress| {
                length = progress.of;
                bar.show(progress.done, progress.of, &note);
            })
            .await;
        bar.clear();
        fetched.map_err(|error| {
            let is_away = error.is_retryable() || error.is_unknown_outcome();
            let failure = failed(error);
            if is_away {
                let handle = &grant.other.handle;
                return failure.with_remedy(format!(
                    "it comes from the program of {handle}, who has to run `watch` or `ui`; no view \
                     was spent"
                ));
            }
            failure
        })?;
        Ok(length)
    }
}

/// By what a grant is called.
fn card(grant: &Grant) -> Card {
    Card {
        id: grant.request.to_string(),
        user: grant.other.clone(),
        title: grant.title.clone(),
        is_open: !say::is_over(grant.state),
    }
}

/// An error, with what to do about it where that is known.
pub(crate) fn failed(error: Error) -> Failure {
    let remedy = match error.details() {
        Some(PersonError::NotJoined) => Some("`join TOKEN --as HANDLE` joins one"),
        Some(PersonError::NoUser { .. } | PersonError::NotOffered { .. }) => {
            Some("`ls` lists what is offered, and by whom")
        }
        Some(PersonError::NoRequest { .. }) => Some("`inbox` and `grants` list what there is"),
        Some(PersonError::Answered { .. }) => {
            Some("`extend` gives other terms, `revoke` takes the grant back")
        }
        Some(PersonError::Over { .. }) => Some("only another request can be approved: ask for one"),
        _ => None,
    };
    let remedy = remedy.or_else(|| match error.details() {
        Some(ShareRefusal::HandleTaken { .. }) => Some("choose another with --as"),
        Some(ShareRefusal::HandleFixed { .. }) => {
            Some("handles are for good; another person needs another --home")
        }
        Some(ShareRefusal::NotRegistered { .. }) => {
            Some("this cloud does not know this person: `join --as HANDLE` again")
        }
        _ => None,
    });
    let failure = Failure::from(error);
    match remedy {
        Some(remedy) => failure.with_remedy(remedy),
        None => failure,
    }
}

/// A failure of this program's own, without an error of others.
pub(crate) fn refuse(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, message.into())
}

/// A word on the way, which is no result.
pub(crate) fn note(text: &str) {
    // Where nobody listens on stderr there is nobody to tell that.
    let _ = writeln!(io::stderr(), "{text}");
}
