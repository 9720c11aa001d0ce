//! `status` and `top`: the members of the cloud as they see each other: who is there, what each
//! offers, how busy it is.

use std::{cmp::Reverse, time::Duration};

use clap::Args;
use distri_core::{
    Client,
    client::NodeState,
    membership::{Member, MemberState},
};

use super::{
    Failure, Global,
    again::AgainArgs,
    amount,
    output::{self, Output, tell},
};

/// How long a node may take to say what troubles it.
const PATIENCE: Duration = Duration::from_millis(500);

/// What `status` takes.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Show them again and again
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    again: AgainArgs,
}

/// What `top` takes.
#[derive(Args, Clone, Debug)]
pub struct TopArgs {
    #[command(flatten)]
    again: AgainArgs,
}

/// In which order members are shown.
#[derive(Clone, Copy)]
enum Order {
    Name,
    Load,
}

pub(super) async fn status(args: StatusArgs, global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let output = Output::new(global);
    let show = || show(&client, Order::Name, global);
    if args.watch {
        return args.again.repeat(&output, global, show).await;
    }
    output.line(&show().await?.join("\n"))?;
    tell_troubles(&client).await;
    Ok(())
}

/// Says of each node that can be asked what keeps it from its cluster.
async fn tell_troubles(client: &Client) {
    let may_answer = |state| matches!(state, NodeState::Ready | NodeState::Standby);
    let nodes = client.nodes().into_iter();
    for node in nodes.filter(|node| may_answer(node.state)) {
        let asked = client.status(Some(node.key)).timeout(PATIENCE).await;
        if let Some(trouble) = asked.ok().and_then(|status| status.trouble) {
            let name = if node.name.is_empty() {
                node.key.short()
            } else {
                node.name
            };
            tell(&format!("{name}: {trouble}"));
        }
    }
}

pub(super) async fn top(args: TopArgs, global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let output = Output::new(global);
    let show = || async {
        let mut members = members(&client, Order::Load).await?;
        if global.json {
            return Ok(vec![output::to_json_line(&members)?]);
        }
        let mut lines = vec![summary(&members), String::new()];
        // Those that are not there use nothing.
        members.sort_by_key(|member| member.state != MemberState::Alive);
        lines.extend(table(&members));
        Ok(lines)
    };
    args.again.repeat(&output, global, show).await
}

async fn show(client: &Client, order: Order, global: &Global) -> Result<Vec<String>, Failure> {
    let members = members(client, order).await?;
    if global.json {
        return Ok(vec![output::to_json_line(&members)?]);
    }
    Ok(table(&members))
}

async fn members(client: &Client, order: Order) -> Result<Vec<Member>, Failure> {
    let mut members = client.members(None).await?;
    match order {
        Order::Name => members.sort_by(|a, b| (&a.name, a.key).cmp(&(&b.name, b.key))),
        Order::Load => members.sort_by_key(|member| {
            let load = (member.load.in_flight, member.load.cpu_percent);
            (Reverse(load), member.name.clone())
        }),
    }
    Ok(members)
}

/// All members in one line.
fn summary(members: &[Member]) -> String {
    let states = ["alive", "draining", "suspect", "down", "left", "unknown"];
    let states: Vec<String> = states
        .into_iter()
        .filter_map(|wanted| {
            let count = members.iter().filter(|member| state(member) == wanted);
            let count = count.count();
            (count > 0).then(|| format!("{count} {wanted}"))
        })
        .collect();
    let there: Vec<&Member> = members
        .iter()
        .filter(|member| member.state == MemberState::Alive)
        .collect();
    let calls: u32 = there.iter().map(|member| member.load.in_flight).sum();
    let cpu: Vec<u16> = there.iter().filter_map(|m| m.load.cpu_percent).collect();
    let cpu = if cpu.is_empty() {
        String::new()
    } else {
        let sum: u32 = cpu.iter().map(|cpu| u32::from(*cpu)).sum();
        format!("; {}.{:02} cores busy", sum / 100, sum % 100)
    };
    format!(
        "{}: {}; {}{cpu}",
        amount::of(members.len() as u64, "node"),
        states.join(", "),
        amount::of(u64::from(calls), "call"),
    )
}

fn table(members: &[Member]) -> Vec<String> {
    let rows: Vec<Vec<String>> = members.iter().map(row).collect();
    output::table(
        &[
            "NAME", "STATE", "FOR", "CALLS", "CPU", "ADDRESS", "KEY", "PROGRAM", "SERVICES",
        ],
        &rows,
    )
}

fn row(member: &Member) -> Vec<String> {
    let or_dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let address = member.address.as_ref().map(ToString::to_string);
    // What it last said of its load is no news of one that is gone.
    let is_there = matches!(member.state, MemberState::Alive | MemberState::Suspect);
    let of_load =
        |text: Option<String>| text.filter(|_| is_there).unwrap_or_else(|| "-".to_owned());
    let cpu = member.load.cpu_percent;
    vec![
        or_dash(&member.name),
        state(member).to_owned(),
        amount::since(member.state_ms),
        of_load(Some(member.load.in_flight.to_string())),
        of_load(cpu.map(|cpu| format!("{cpu}%"))),
        address.unwrap_or_else(|| "-".to_owned()),
        member.key.short(),
        or_dash(&member.program),
        or_dash(&services(member)),
    ]
}

pub(super) fn state(member: &Member) -> &'static str {
    match member.state {
        MemberState::Alive if member.draining => "draining",
        MemberState::Alive => "alive",
        MemberState::Suspect => "suspect",
        MemberState::Down => "down",
        MemberState::Left => "left",
        _ => "unknown",
    }
}

/// The services of a node but for those that every node has, with the calls that each is serving.
fn services(member: &Member) -> String {
    let shown =
        member.services.iter().enumerate().filter(|(_, service)| {
            service.name != "distri" && !service.name.starts_with("distri-")
        });
    let shown: Vec<String> = shown
        .map(|(place, service)| {
            let mut loads = member.load.services.iter();
            let calls = loads.find(|(of, _)| usize::from(*of) == place);
            let calls = calls.map_or_else(String::new, |(_, calls)| format!(" ({calls})"));
            let not = if service.serving {
                ""
            } else {
                " (not serving)"
            };
            format!("{}{calls}{not}", service.name)
        })
        .collect();
    shown.join(", ")
}
