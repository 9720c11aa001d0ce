//! `status` and `top`: the members of the cloud as they see each other: who is there, what each
//! offers, how busy it is.

use std::{cmp::Reverse, time::Duration};

use clap::Args;
use distri_core::{
    Client,
    membership::{Member, MemberState},
};

use super::{Failure, Global, output::Output, token::time_text};

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

#[derive(Args, Clone, Debug)]
struct AgainArgs {
    /// How long after each other
    #[arg(long, value_name = "TIME", value_parser = time_text, default_value = "1s")]
    every: Duration,
    /// How often; without it, until interrupted
    #[arg(long, value_name = "TIMES")]
    count: Option<u64>,
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
    if args.watch {
        return again(&client, &args.again, Order::Name, &output, global).await;
    }
    show(&client, Order::Name, &output, global).await
}

pub(super) async fn top(args: TopArgs, global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let output = Output::new(global);
    again(&client, &args.again, Order::Load, &output, global).await
}

async fn again(
    client: &Client,
    args: &AgainArgs,
    order: Order,
    output: &Output,
    global: &Global,
) -> Result<(), Failure> {
    let mut shown = 0;
    loop {
        if output.is_terminal() && !global.json {
            // To the upper left corner, with nothing below.
            output.bytes(b"\x1b[H\x1b[J")?;
        }
        show(client, order, output, global).await?;
        shown += 1;
        if args.count.is_some_and(|count| shown >= count) {
            return Ok(());
        }
        tokio::time::sleep(args.every).await;
        if !output.is_terminal() && !global.json {
            output.line("")?;
        }
    }
}

async fn show(
    client: &Client,
    order: Order,
    output: &Output,
    global: &Global,
) -> Result<(), Failure> {
    let mut members = client.members(None).await?;
    match order {
        Order::Name => members.sort_by(|a, b| (&a.name, a.key).cmp(&(&b.name, b.key))),
        Order::Load => {
            members.sort_by_key(|member| (Reverse(member.load.in_flight), member.name.clone()));
        }
    }
    if global.json {
        return output.json_line(&members);
    }
    let rows: Vec<Vec<String>> = members.iter().map(row).collect();
    output.table(
        &[
            "NAME", "STATE", "FOR", "CALLS", "ADDRESS", "KEY", "PROGRAM", "SERVICES",
        ],
        &rows,
    )
}

fn row(member: &Member) -> Vec<String> {
    let or_dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let address = member.address.as_ref().map(ToString::to_string);
    vec![
        or_dash(&member.name),
        state(member).to_owned(),
        since(member.state_ms),
        member.load.in_flight.to_string(),
        address.unwrap_or_else(|| "-".to_owned()),
        member.key.short(),
        or_dash(&member.program),
        or_dash(&services(member)),
    ]
}

fn state(member: &Member) -> &'static str {
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

/// A length of time in its greatest unit.
fn since(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
