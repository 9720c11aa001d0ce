//! `stats`: what a node, or all of them, have done since they started, method by method, and what
//! they cost.

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use distri_core::{
    Client, Error,
    id::PublicKey,
    membership::{Member, MemberState},
    stats::{Latency, MethodStats, NodeStats},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Failure, Global,
    again::AgainArgs,
    amount, describe,
    output::{self, Output},
    status,
};

/// How long a node may take to answer before the others are shown without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `stats` takes.
#[derive(Args, Clone, Debug)]
pub struct StatsArgs {
    /// A node: its name, or the first letters of its key [default: one that takes calls]
    #[arg(value_name = "NODE")]
    which: Option<String>,
    /// All nodes, and what they come to together
    #[arg(long, conflicts_with = "which")]
    all: bool,
    /// Only the methods of this service [default: all but distri's own]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The methods of distri's own services as well
    #[arg(long, conflicts_with = "service")]
    own: bool,
    /// The calls that nodes made, instead of those that they served
    #[arg(long)]
    made: bool,
    /// As Prometheus reads it, all methods
    #[arg(long, conflicts_with_all = ["all", "watch", "own", "service", "made"])]
    prometheus: bool,
    /// Show them again and again
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    again: AgainArgs,
}

pub(super) async fn run(args: StatsArgs, global: &Global) -> Result<(), Failure> {
    let client = global.connect().await?;
    let output = Output::new(global);
    let show = || show(&client, &args, global);
    if args.watch {
        return args.again.repeat(&output, global, show).await;
    }
    output.line(&show().await?.join("\n"))
}

async fn show(client: &Client, args: &StatsArgs, global: &Global) -> Result<Vec<String>, Failure> {
    if args.all {
        let nodes = gather(client).await?;
        return if global.json {
            Ok(vec![output::to_json_line(&all_as_json(&nodes, args))?])
        } else {
            Ok(all_as_text(&nodes, args))
        };
    }
    let node = match &args.which {
        Some(text) => Some(called(&client.members(None).await?, text)?),
        None => None,
    };
    let stats = client.node_stats(node).timeout(PATIENCE).await?;
    if args.prometheus {
        return Ok(vec![stats.to_prometheus().trim_end().to_owned()]);
    }
    if global.json {
        return Ok(vec![output::to_json_line(&as_json(&stats, args))?]);
    }
    let mut lines = about(&stats);
    lines.push(String::new());
    lines.extend(methods_table(shown(&stats, args), args));
    Ok(lines)
}

/// The node that `text` means: its name, its key or the first letters of that.
fn called(members: &[Member], text: &str) -> Result<PublicKey, Failure> {
    let named: Vec<_> = members
        .iter()
        .filter(|member| member.name == text)
        .collect();
    let keyed = members
        .iter()
        .filter(|member| !text.is_empty() && member.key.to_string().starts_with(text));
    let found = if named.is_empty() {
        keyed.collect()
    } else {
        named
    };
    match found.as_slice() {
        [member] => Ok(member.key),
        [] => {
            let known: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
            Err(Failure::usage(format!("there is no node `{text}`"))
                .with_remedy(describe::suggest(text, &known, "nodes")))
        }
        several => {
            let keys: Vec<String> = several.iter().map(|member| member.key.short()).collect();
            let message = format!("`{text}` may be any of {} nodes", several.len());
            let remedy = format!("give the key of one of: {}", keys.join(", "));
            Err(Failure::usage(message).with_remedy(remedy))
        }
    }
}

/// A member, and what it said or why it did not.
type Gathered = (Member, Result<NodeStats, String>);

/// What all members say, those that do not among them; by name.
async fn gather(client: &Client) -> Result<Vec<Gathered>, Failure> {
    let members = client.members(None).await?;
    let mut asked = JoinSet::new();
    for member in members {
        let client = client.clone();
        asked.spawn(async move {
            let stats = match member.state {
                MemberState::Alive | MemberState::Suspect => {
                    let stats = client.node_stats(Some(member.key)).timeout(PATIENCE).await;
                    stats.map_err(|error: Error| error.to_string())
                }
                _ => Err(status::state(&member).to_owned()),
            };
            (member, stats)
        });
    }
    let mut nodes = asked.join_all().await;
    nodes.sort_by(|(a, _), (b, _)| (&a.name, a.key).cmp(&(&b.name, b.key)));
    Ok(nodes)
}

/// The methods that are to be shown.
fn shown<'a>(stats: &'a NodeStats, args: &'a StatsArgs) -> impl Iterator<Item = &'a MethodStats> {
    let methods = if args.made {
        &stats.made
    } else {
        &stats.served
    };
    methods.iter().filter(move |method| match &args.service {
        Some(service) => method.service == *service,
        None => args.own || !(method.service == "distri" || method.service.starts_with("distri-")),
    })
}

/// What the nodes that answered come to together, by service and method.
fn together(nodes: &[Gathered], args: &StatsArgs) -> Vec<MethodStats> {
    let mut merged = BTreeMap::<(&str, &str), MethodStats>::new();
    let answers = nodes.iter().filter_map(|(_, stats)| stats.as_ref().ok());
    for method in answers.flat_map(|stats| shown(stats, args)) {
        merged
            .entry((&method.service, &method.method))
            .and_modify(|sum| sum.merge(method))
            .or_insert_with(|| method.clone());
    }
    merged.into_values().collect()
}

/// A node in a few lines.
fn about(stats: &NodeStats) -> Vec<String> {
    let draining = if stats.draining { "  draining" } else { "" };
    let mut lines = vec![format!(
        "node {} ({})  {}  up {}{draining}",
        stats.name,
        stats.key.get(..8).unwrap_or(&stats.key),
        stats.program,
        amount::since(stats.uptime_ms),
    )];
    if let Some(process) = &stats.process {
        lines.push(format!(
            "  process    {}% of a core, {} resident, timers at most {} ms late",
            process.cpu_percent,
            amount::bytes(process.resident),
            stats.loop_lag_ms,
        ));
    }
    let links = &stats.links;
    lines.push(format!(
        "  links      {} open, {} came in, {} refused; {} in, {} out",
        links.open,
        links.accepted,
        links.refused,
        amount::bytes(links.bytes_in),
        amount::bytes(links.bytes_out),
    ));
    let members = &stats.members;
    let states = [
        (members.alive, "alive"),
        (members.suspect, "suspect"),
        (members.down, "down"),
        (members.left, "left"),
        (members.unknown, "unknown"),
    ];
    let states = states.into_iter().filter(|(count, _)| *count > 0);
    let states: Vec<String> = states
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
    lines.push(format!("  members    {}", states.join(", ")));
    if let Some(directory) = &stats.directory {
        let role = match (&directory.stopped, &directory.leader) {
            (Some(why), _) => format!("stopped: {why}"),
            (None, _) if directory.leads => "leads".to_owned(),
            (None, Some(leader)) => format!("follows {}", leader.get(..8).unwrap_or(leader)),
            (None, None) => "no leader".to_owned(),
        };
        lines.push(format!(
            "  directory  {role}, term {}, {} in {}, entry {}, {} behind",
            directory.term,
            amount::bytes(directory.bytes),
            amount::of(directory.documents, "document"),
            directory.applied_index,
            directory.lag(),
        ));
    }
    if !stats.not_serving.is_empty() {
        lines.push(format!("  not ready  {}", stats.not_serving.join(", ")));
    }
    lines
}

fn all_as_text(nodes: &[Gathered], args: &StatsArgs) -> Vec<String> {
    let rows: Vec<Vec<String>> = nodes.iter().map(|node| node_row(node, args)).collect();
    let mut lines = output::table(
        &[
            "NODE",
            "STATE",
            "UP",
            "CPU",
            "MEMORY",
            "LINKS",
            "CALLS",
            "FAILED",
            "BUSY",
            "NOW",
            "BYTES IN",
            "BYTES OUT",
            "KEY",
        ],
        &rows,
    );
    lines.push(String::new());
    lines.extend(methods_table(together(nodes, args).iter(), args));
    for (member, stats) in nodes {
        if let Err(why) = stats {
            lines.push(format!("no answer from {}: {why}", member.name));
        }
    }
    lines
}

fn node_row((member, stats): &Gathered, args: &StatsArgs) -> Vec<String> {
    let dash = || "-".to_owned();
    let mut row = vec![member.name.clone(), status::state(member).to_owned()];
    match stats {
        Ok(stats) => {
            let sum = |count: fn(&MethodStats) -> u64| -> String {
                let sum: u64 = shown(stats, args).map(count).sum();
                sum.to_string()
            };
            let process = stats.process;
            row.extend([
                amount::since(stats.uptime_ms),
                process.map_or_else(dash, |process| format!("{}%", process.cpu_percent)),
                process.map_or_else(dash, |process| amount::bytes(process.resident)),
                stats.links.open.to_string(),
                sum(MethodStats::calls),
                sum(MethodStats::failures),
                sum(MethodStats::busy),
                stats.in_flight.to_string(),
                amount::bytes(stats.links.bytes_in),
                amount::bytes(stats.links.bytes_out),
            ]);
        }
        Err(_) => {
            if matches!(member.state, MemberState::Alive | MemberState::Suspect) {
                "no answer".clone_into(&mut row[1]);
            }
            row.extend(std::iter::repeat_with(dash).take(10));
        }
    }
    row.push(member.key.short());
    row
}

/// Methods that have been called, the most called first.
fn methods_table<'a>(
    methods: impl Iterator<Item = &'a MethodStats>,
    args: &StatsArgs,
) -> Vec<String> {
    let mut methods: Vec<&MethodStats> = methods
        .filter(|method| method.calls() > 0 || method.in_flight > 0 || !method.refused.is_empty())
        .collect();
    if methods.is_empty() {
        return vec!["no calls yet".to_owned()];
    }
    methods.sort_by_key(|method| std::cmp::Reverse(method.calls()));
    let last: &[&str] = if args.made {
        &["RETRIES", "HEDGES", "FAILURES"]
    } else {
        &["BUSY", "BYTES IN", "BYTES OUT", "FAILURES"]
    };
    let head = [
        &[
            "METHOD", "CALLS", "FAILED", "NOW", "P50", "P90", "P99", "MAX",
        ],
        last,
    ];
    let rows: Vec<Vec<String>> = methods
        .iter()
        .map(|method| method_row(method, args))
        .collect();
    output::table(&head.concat(), &rows)
}

fn method_row(method: &MethodStats, args: &StatsArgs) -> Vec<String> {
    let percentile = |share| amount::took(method.latency.percentile(share));
    let mut row = vec![
        format!("{}.{}", method.service, method.method),
        method.calls().to_string(),
        method.failures().to_string(),
        method.in_flight.to_string(),
        percentile(0.5),
        percentile(0.9),
        percentile(0.99),
        amount::took(method.latency.max()),
    ];
    if args.made {
        row.push(method.retries.to_string());
        row.push(method.hedges.to_string());
    } else {
        row.extend([
            method.busy().to_string(),
            amount::bytes(method.bytes_in),
            amount::bytes(method.bytes_out),
        ]);
    }
    let failed = method
        .failed
        .iter()
        .map(|(code, count)| format!("{count} {code}"));
    // `busy` has a column of its own.
    let refused = method.refused.iter().filter(|(code, _)| *code != "busy");
    let refused = refused.map(|(code, count)| format!("{count} refused: {code}"));
    row.push(failed.chain(refused).collect::<Vec<_>>().join(", "));
    row
}

fn as_json(stats: &NodeStats, args: &StatsArgs) -> Value {
    let mut value = serde_json::to_value(stats).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        // Percentiles say more than buckets.
        members.remove("served");
        members.remove("made");
        members.insert(
            "methods".to_owned(),
            shown(stats, args).map(method_as_json).collect(),
        );
    }
    value
}

fn all_as_json(nodes: &[Gathered], args: &StatsArgs) -> Value {
    let each: Vec<Value> = nodes
        .iter()
        .map(|(member, stats)| match stats {
            Ok(stats) => as_json(stats, args),
            Err(why) => json!({
                "key": member.key.to_string(),
                "name": member.name,
                "state": status::state(member),
                "error": why,
            }),
        })
        .collect();
    let together: Vec<Value> = together(nodes, args).iter().map(method_as_json).collect();
    json!({ "nodes": each, "methods": together })
}

fn method_as_json(method: &MethodStats) -> Value {
    let seconds = |latency: &Latency, share| latency.percentile(share).as_secs_f64();
    let latency = &method.latency;
    json!({
        "service": method.service,
        "method": method.method,
        "calls": method.calls(),
        "in_flight": method.in_flight,
        "failed": method.failed,
        "refused": method.refused,
        "retries": method.retries,
        "hedges": method.hedges,
        "bytes_in": method.bytes_in,
        "bytes_out": method.bytes_out,
        "seconds": {
            "sum": Duration::from_nanos(latency.sum_ns).as_secs_f64(),
            "mean": latency.mean().as_secs_f64(),
            "p50": seconds(latency, 0.5),
            "p90": seconds(latency, 0.9),
            "p99": seconds(latency, 0.99),
            "max": latency.max().as_secs_f64(),
        },
    })
}
