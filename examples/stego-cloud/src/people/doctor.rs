//! `doctor`: looks at everything that has to be right for a person to share pictures, and says what to
//! do where it is not.
//!
//! It looks in the order in which things depend on each other, and goes on as far as it can: without a
//! home there are no keys to look at, without a cloud nobody to ask.

use std::{fs::File, path::Path, time::Duration};

use clap::Args;
use distri::{
    Client,
    cli::{Exit, Failure, Global},
    id::PublicKey,
    identity::Identity,
    peer::{PeerState, Presence},
    signed::Signed,
};
use distri_services::images::{
    person::{Person, Profile},
    record::Handle,
};
use example_stego_cloud::home::{Home, HomeArgs, is_inhabited};
use serde_json::json;

use super::moment;
use crate::show::Page;

/// What `doctor` takes.
#[derive(Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    home: HomeArgs,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// It works, and not for everybody.
    Middling,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    what: &'static str,
    health: Health,
    says: String,
    hint: Option<String>,
}

impl Finding {
    fn new(what: &'static str, health: Health, says: impl Into<String>) -> Self {
        Self {
            what,
            health,
            says: says.into(),
            hint: None,
        }
    }

    fn good(what: &'static str, says: impl Into<String>) -> Self {
        Self::new(what, Health::Good, says)
    }

    fn bad(what: &'static str, says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(what, Health::Bad, says).with_hint(hint)
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A clock before this is not set: this program was made later.
const MADE_MS: u64 = 1_767_225_600_000;

/// How long a peer is waited for.
const DIAL: Duration = Duration::from_secs(5);

pub(crate) async fn doctor(args: DoctorArgs, global: &Global) -> Result<(), Failure> {
    let mut findings = Vec::new();
    look(&args.home, global, &mut findings).await;

    let mut page = Page::stdout();
    let worst = findings.iter().any(|finding| finding.health == Health::Bad);
    if global.json {
        let checks: Vec<_> = findings.iter().map(as_json).collect();
        page.json(&json!({ "healthy": !worst, "checks": checks }))?;
    } else {
        for finding in &findings {
            tell(&mut page, finding)?;
        }
    }
    if worst {
        return Err(Failure::new(
            Exit::Failed,
            "not everything is as it should be",
        ));
    }
    Ok(())
}

fn as_json(finding: &Finding) -> serde_json::Value {
    json!({
        "check": finding.what,
        "health": match finding.health {
            Health::Good => "good",
            Health::Middling => "middling",
            Health::Bad => "bad",
        },
        "says": finding.says,
        "hint": finding.hint,
    })
}

fn tell(page: &mut Page, finding: &Finding) -> Result<(), Failure> {
    let style = page.style();
    let mark = match finding.health {
        Health::Good => style.good("ok  "),
        Health::Middling => style.strong("note"),
        Health::Bad => style.bad("BAD "),
    };
    page.line(&format!("{mark} {:<11} {}", finding.what, finding.says))?;
    match &finding.hint {
        Some(hint) => page.line(&style.faint(&format!("{:>16} {hint}", "->"))),
        None => Ok(()),
    }
}

async fn look(args: &HomeArgs, global: &Global, findings: &mut Vec<Finding>) {
    let folder = match args.folder() {
        Ok(folder) => folder,
        Err(failure) => {
            findings.push(Finding::bad(
                "home",
                brief(&failure),
                "--home FOLDER names one",
            ));
            return;
        }
    };
    if !is_inhabited(&folder) {
        let says = format!("nobody lives in {}", folder.display());
        findings.push(Finding::bad(
            "home",
            says,
            "`join TOKEN --as HANDLE` moves in",
        ));
        return;
    }
    let home = match Home::open(args, global) {
        Ok(home) => home,
        Err(failure) => {
            let hint = "distri.toml in the home says where the cloud is: `join` writes it";
            findings.push(Finding::bad("home", brief(&failure), hint));
            return;
        }
    };
    findings.push(Finding::good("home", folder.display().to_string()));
    findings.push(keys(&home));
    findings.push(clock(moment::now_ms()));
    let profile = match home.profile().await {
        Ok(profile) => profile,
        Err(failure) => {
            let hint = "if a file of it is damaged, bring back that file from a copy";
            findings.push(Finding::bad("profile", brief(&failure), hint));
            return;
        }
    };
    let handle = profile.handle().await;
    findings.push(match &handle {
        Ok(Some(handle)) => Finding::good("profile", format!("{handle}, {}", profile.key())),
        Ok(None) => Finding::bad(
            "profile",
            "nobody yet",
            "`join --as HANDLE` gives it a name",
        ),
        Err(error) => {
            let hint = "profile.json says the name: `join --as HANDLE` writes it anew";
            Finding::bad("profile", distri::error::chain(error), hint)
        }
    });
    in_cloud(&home, profile, handle.ok().flatten(), findings).await;
}

/// Secrets that others may read are no secrets.
fn keys(home: &Home) -> Finding {
    let profile = home.profile_folder();
    let secrets = ["user.key", "device.key", "sealing.key"].map(|name| profile.join(name));
    let missing = secrets.iter().find(|path| !path.exists());
    if let Some(path) = missing {
        let says = format!("{} is missing", path.display());
        return Finding::bad(
            "keys",
            says,
            "bring it back from a copy: without it, all is lost",
        );
    }
    let folders = [home.folder().to_owned(), profile];
    match secrets
        .iter()
        .chain(&folders)
        .find(|path| is_open_to_others(path))
    {
        Some(path) => Finding::bad(
            "keys",
            format!("others on this machine may open {}", path.display()),
            format!("chmod -R go= {}", home.folder().display()),
        ),
        None => Finding::good("keys", "nobody else on this machine may read them"),
    }
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    // What the user's own folder lets others do there, it says itself.
    false
}

fn clock(now_ms: u64) -> Finding {
    let says = moment::at(now_ms);
    if now_ms < MADE_MS {
        return Finding::bad(
            "clock",
            says,
            "it is not set: set it, or let it be set (NTP)",
        );
    }
    Finding::good("clock", says)
}

/// What can only be looked at in the cloud.
async fn in_cloud(
    home: &Home,
    profile: Profile,
    handle: Option<Handle>,
    findings: &mut Vec<Finding>,
) {
    let device = profile.device().public();
    let person = match home.person().await {
        Ok(person) => person,
        Err(failure) => {
            let hint =
                "are its nodes up, and is distri.toml in the home right about where they are?";
            findings.push(Finding::bad("cloud", brief(&failure), hint));
            return;
        }
    };
    // Any client of the cloud, as others are: what it reaches, others reach.
    let stranger = Client::builder()
        .identity(Identity::generate())
        .nodes(home.config().cloud.nodes.iter().cloned())
        .connect()
        .await;
    let client = match stranger {
        Ok(client) => client,
        Err(error) => {
            let hint = "the nodes know this person and admit no others";
            let says = distri::error::chain(&error);
            findings.push(Finding::new("cloud", Health::Middling, says).with_hint(hint));
            return;
        }
    };
    let nodes = client.nodes();
    findings.push(Finding::good(
        "cloud",
        format!("reached, {} of its nodes known", nodes.len()),
    ));
    findings.push(registered(&person, device, handle).await);

    let presence = match client.peers().await {
        Ok(peers) => peers.into_iter().find(|peer| peer.key() == device),
        Err(error) => {
            let says = format!("the cloud does not say: {}", distri::error::chain(&error));
            findings.push(Finding::new("presence", Health::Middling, says));
            return;
        }
    };
    let is_running = is_locked(&home.folder().join("online"));
    let Some(presence) = presence else {
        findings.push(if is_running {
            let says = "your program runs, and the cloud does not know where";
            Finding::bad(
                "presence",
                says,
                "look at what `watch` says; does the cloud admit peers?",
            )
        } else {
            let says = "nobody can fetch from you now";
            Finding::new("presence", Health::Middling, says).with_hint("`watch` or `ui` delivers")
        });
        return;
    };
    findings.push(present(&presence, is_running));
    findings.push(reached(&client, device).await);
}

async fn registered(person: &Person, device: PublicKey, handle: Option<Handle>) -> Finding {
    match person.user(person.key()).await {
        Ok(user) if Some(&user.handle) != handle.as_ref() => {
            let says = format!("the cloud calls you {}", user.handle);
            Finding::bad("registered", says, "`join --as` with that name")
        }
        Ok(user) if !user.devices.contains(&device) => {
            let says = "the cloud does not know this device";
            Finding::bad("registered", says, "`join` adds it")
        }
        Ok(user) => {
            let devices = user.devices.len();
            let plural = crate::show::plural(devices as u64);
            Finding::good(
                "registered",
                format!("as {}, {devices} device{plural}", user.handle),
            )
        }
        Err(error) => {
            let says = distri::error::chain(&error);
            Finding::bad("registered", says, "`join` registers you")
        }
    }
}

fn present(presence: &Signed<Presence>, is_running: bool) -> Finding {
    // `Client::peers` has checked it.
    let addresses = &presence.unchecked().addresses;
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let says = if texts.is_empty() {
        "known, without an address".to_owned()
    } else {
        format!("known at {}", texts.join(", "))
    };
    if !is_running {
        let says = format!("{says}, and no program of this home runs");
        let hint = "it will be forgotten within two minutes, or another machine has the same keys";
        return Finding::new("presence", Health::Middling, says).with_hint(hint);
    }
    let is_local = |text: &String| text.contains("127.0.0.1") || text.contains("[::1]");
    if texts.is_empty() || texts.iter().all(is_local) {
        let hint = "others on this machine only: `join --listen 0.0.0.0:4700 --advertise HOST:4700` \
                    opens it";
        return Finding::new("presence", Health::Middling, says).with_hint(hint);
    }
    Finding::good("presence", says)
}

async fn reached(client: &Client, device: PublicKey) -> Finding {
    let peer = client.peer(device);
    let linked = peer.wait_for(|state| match state {
        PeerState::Linked(address) => Some(address.to_string()),
        _ => None,
    });
    match tokio::time::timeout(DIAL, linked).await {
        Ok(address) => Finding::good("peer", format!("reached at {address} from here")),
        Err(_) => {
            let says = format!(
                "not reached within {} s: {:?}",
                DIAL.as_secs(),
                peer.state()
            );
            Finding::bad(
                "peer",
                says,
                "does a firewall stand between, or does `advertise` lie?",
            )
        }
    }
}

/// A failure in one line.
fn brief(failure: &Failure) -> String {
    let text = failure.to_string();
    let lines = text.strip_prefix("error: ").unwrap_or(&text).lines();
    lines.map(str::trim).collect::<Vec<_>>().join("; ")
}

/// True if a program holds the lock `path`.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_set_is_noticed() {
        assert_eq!(clock(0).health, Health::Bad);
        assert_eq!(clock(MADE_MS).health, Health::Good);
    }
}
