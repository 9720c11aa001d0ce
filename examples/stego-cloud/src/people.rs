//! The verbs of people: what somebody types who offers pictures, asks for others', and looks.
//!
//! Each is one conversation with a [`Person`] in a [`Home`]. `here` is where they begin, `name` how
//! pictures, requests and grants are called, `say` and `moment` how they are told, `question` how a
//! person is asked first. The verbs themselves: `join`, `offer`, `asking`, `view`, `answer`, `grants`,
//! `watch`, `doctor`.
//!
//! What is told to people goes to stdout as text, with `--json` as one line of JSON whose fields are
//! listed in the README; words on the way go to stderr.
//!
//! [`Person`]: distri_services::images::person::Person
//! [`Home`]: example_stego_cloud::home::Home

use clap::Subcommand;
use distri::cli::{Failure, Global};

mod answer;
mod asking;
mod doctor;
mod grants;
mod here;
mod join;
mod moment;
mod name;
mod offer;
mod question;
mod say;
mod view;
mod watch;

/// What people do.
#[derive(Subcommand)]
pub(crate) enum People {
    /// Join a cloud as a person, under a name
    Join(join::JoinArgs),
    /// Say who you are
    Whoami(join::WhoamiArgs),
    /// Offer a picture; shows first what becomes public
    Publish(offer::PublishArgs),
    /// Offer a picture no longer
    Unpublish(offer::UnpublishArgs),
    /// List what is offered, by all or by one person
    Ls(offer::LsArgs),
    /// Ask to see a picture so many times: request USER/IMAGE --views 3
    Request(asking::RequestArgs),
    /// Fetch a picture that was granted; looking is `view`
    Fetch(asking::FetchArgs),
    /// Look at a picture that was granted: spends a view
    View(view::ViewArgs),
    /// List the requests that wait for your answer
    Inbox(answer::InboxArgs),
    /// Let somebody look, as often as they asked or less
    Approve(answer::ApproveArgs),
    /// Refuse a request
    Reject(answer::RejectArgs),
    /// List what you asked for and what you let others see
    Grants(grants::GrantsArgs),
    /// Give somebody more views or more time, or less
    Extend(answer::ExtendArgs),
    /// Give a grant new keys, after the cloud renewed its secret
    Rekey(answer::RekeyArgs),
    /// Take a grant back, for good
    Revoke(answer::RevokeArgs),
    /// Show who looked when, as the cloud proves it
    Audit(grants::AuditArgs),
    /// Deliver what you granted, fetch what was granted, and show what happens
    Watch(watch::WatchArgs),
    /// Check home, keys, clock, cloud and peer, and say what to do
    Doctor(doctor::DoctorArgs),
}

impl People {
    /// The names of the verbs, in the order of a story.
    pub(crate) const NAMES: [&str; 18] = [
        "join",
        "whoami",
        "publish",
        "unpublish",
        "ls",
        "request",
        "fetch",
        "view",
        "inbox",
        "approve",
        "reject",
        "grants",
        "extend",
        "rekey",
        "revoke",
        "audit",
        "watch",
        "doctor",
    ];

    /// Does it.
    ///
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Join(args) => join::join(args, global).await,
            Self::Whoami(args) => join::whoami(args, global).await,
            Self::Publish(args) => offer::publish(args, global).await,
            Self::Unpublish(args) => offer::unpublish(args, global).await,
            Self::Ls(args) => offer::ls(args, global).await,
            Self::Request(args) => asking::request(args, global).await,
            Self::Fetch(args) => asking::fetch(args, global).await,
            Self::View(args) => view::view(args, global).await,
            Self::Inbox(args) => answer::inbox(args, global).await,
            Self::Approve(args) => answer::approve(args, global).await,
            Self::Reject(args) => answer::reject(args, global).await,
            Self::Grants(args) => grants::grants(args, global).await,
            Self::Extend(args) => answer::extend(args, global).await,
            Self::Rekey(args) => answer::rekey(args, global).await,
            Self::Revoke(args) => answer::revoke(args, global).await,
            Self::Audit(args) => grants::audit(args, global).await,
            Self::Watch(args) => watch::watch(args, global).await,
            Self::Doctor(args) => doctor::doctor(args, global).await,
        }
    }
}
