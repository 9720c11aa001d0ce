//! `call`: calls a method by name, with arguments from the command line, and delivers the result.
//!
//! What the method takes and gives is read off its schema: from the service linked into this
//! program if there is one, else from the cloud. `arguments` makes values of texts and files,
//! `results` brings values, blobs and streams to where they were asked for.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use distri_core::{
    Client, Code, Error,
    client::NodeView,
    config::duration,
    id::PublicKey,
    node::introspect::{MethodInfo, ServiceInfo},
};

use super::{Failure, Global, ProgressLine, describe, output::Output, peers, schema::Schema};

mod arguments;
mod results;

use arguments::Arguments;
use results::{Destination, Results};

/// What `call` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = ARGUMENTS)]
pub struct CallArgs {
    /// The service, as `services` lists it
    pub service: String,
    /// Its method
    pub method: String,
    /// name=value …, {JSON}, @FILE.json, or - for JSON on stdin
    pub arguments: Vec<String>,
    /// Wait at most so long, as in 5s or 2m [default: the method's own timeout]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub timeout: Option<Duration>,
    /// Only this node: name, key or the key's first letters [default: least loaded]
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
    /// Only this peer: name, key or the key's first letters [default: the nodes]
    #[arg(long, value_name = "PEER", conflicts_with = "to")]
    pub peer: Option<String>,
    /// Find the peer on the local network; no cloud is asked
    #[cfg(feature = "lan")]
    #[arg(long, requires = "peer")]
    pub lan: bool,
    /// Write the result to a file; - is stdout [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Save blobs inside the result to files here [default: they stay where they are]
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
}

const ARGUMENTS: &str = "\
A value is JSON if it reads as JSON, else text. name=@FILE sends what is in a file, as the method
takes it: bytes, text, JSON, or a stream with one item for each line of JSON; name=@- sends stdin.
A text that begins with @ goes in quotes: 'name=\"@home\"'.";

pub(super) fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| "expected a duration such as 5s, 250ms or 2m".to_owned())
}

pub(super) async fn run(args: CallArgs, global: &Global) -> Result<(), Failure> {
    let (client, plan) = plan(&args, global).await?;
    let to = match &args.to {
        Some(text) => Some(node_called(&client, text).await?),
        None => None,
    };

    let progress = Arc::new(ProgressLine::new());
    let shown = progress.clone();
    let mut call = client
        .call_json(&args.service, &args.method, plan.arguments)
        .timeout(args.timeout.unwrap_or(plan.timeout))
        .on_progress(move |progress| shown.show(progress.fraction, &progress.note));
    if let Some(node) = to {
        call = call.to(node);
    }
    let started = Instant::now();
    let reply = call.await;
    progress.clear();
    let reply = reply.map_err(|error| refusal(error, &client))?;
    tracing::info!(node = %reply.node.short(), took = ?started.elapsed(), "answered");
    Results::new(
        &plan.result,
        plan.destination,
        args.output_dir.as_deref(),
        &progress,
    )
    .deliver(reply)
    .await
}

/// A call that is ready to be made.
struct Plan {
    arguments: Arguments,
    timeout: Duration,
    result: Schema,
    destination: Destination,
}

/// Reads the arguments by the method's schema. Mistakes that can be seen without a node are told
/// without one.
async fn plan(args: &CallArgs, global: &Global) -> Result<(Client, Plan), Failure> {
    let linked = describe::linked()?;
    let known = linked
        .iter()
        .find(|service| service.name == args.service)
        .and_then(|service| Some((service, describe::method(service, &args.method).ok()?)));
    // The cloud may run another version of the service, with other arguments.
    let mut misfit_here = None;
    if let Some((service, method)) = known {
        match plan_for(service, method, args, global).await {
            Ok(plan) => return Ok((connect(args, global).await?, plan)),
            Err(failure) if !failure.is_about_names => return Err(failure.failure),
            Err(misfit) => misfit_here = Some(misfit.failure),
        }
    }
    let client = match (connect(args, global).await, misfit_here) {
        (Ok(client), _) => client,
        (Err(_), Some(misfit)) => return Err(misfit),
        (Err(failure), None) => return Err(failure),
    };
    let remote = describe::remote(&client).await?;
    let service = describe::service(&remote, &args.service)?;
    let method = describe::method(service, &args.method)?;
    let plan = plan_for(service, method, args, global)
        .await
        .map_err(|failure| failure.failure)?;
    Ok((client, plan))
}

/// A client of the cloud, or of the peer that is asked for.
async fn connect(args: &CallArgs, global: &Global) -> Result<Client, Failure> {
    #[cfg(feature = "lan")]
    if let (Some(text), true) = (&args.peer, args.lan) {
        let client = peers::listening(global).await?;
        let key = peers::called_nearby(&client, text).await?;
        return Ok(client.peer(key).into());
    }
    let client = global.connect().await?;
    match &args.peer {
        Some(text) => {
            let key = peers::called(&client, text).await?;
            Ok(client.peer(key).into())
        }
        None => Ok(client),
    }
}

/// Why arguments do not fit a method.
struct Misfit {
    failure: Failure,
    /// A name is unknown or missing, which another version of the service may see differently.
    is_about_names: bool,
}

impl From<Failure> for Misfit {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            is_about_names: false,
        }
    }
}

async fn plan_for(
    service: &ServiceInfo,
    method: &MethodInfo,
    args: &CallArgs,
    global: &Global,
) -> Result<Plan, Misfit> {
    let output = Output::new(global);
    let result = Schema::parse(&method.result);
    let destination = Destination::choose(args.output.as_deref(), output, &result)?;
    let schema = Schema::parse(&method.arguments);
    let texts = arguments::split(&args.arguments)?;
    arguments::check_names(&texts, &schema).map_err(|failure| Misfit {
        failure: failure.with_example(&describe::example(service, method)),
        is_about_names: true,
    })?;
    let arguments = Arguments::read(texts, &schema).await?;
    let timeout = Duration::from_millis(method.timeout_ms);
    Ok(Plan {
        arguments,
        timeout,
        result,
        destination,
    })
}

/// How long a node is waited for that has not told its name yet.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The node that `text` names: by name, by key, or by the first letters of its key.
async fn node_called(client: &Client, text: &str) -> Result<PublicKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    if let Ok(key) = find(&client.nodes(), text) {
        return Ok(key);
    }
    // Names are learnt when nodes say hello. One that stays silent is one that cannot be meant.
    let _ = client.wait_for_nodes(client.nodes().len(), PATIENCE).await;
    find(&client.nodes(), text)
}

fn find(nodes: &[NodeView], text: &str) -> Result<PublicKey, Failure> {
    let by_name: Vec<&NodeView> = nodes.iter().filter(|node| node.name == text).collect();
    let found: Vec<&NodeView> = if by_name.is_empty() {
        nodes
            .iter()
            .filter(|node| node.key.to_string().starts_with(text))
            .collect()
    } else {
        by_name
    };
    match found.as_slice() {
        [node] => Ok(node.key),
        [] => {
            let known: Vec<String> = nodes.iter().map(known_as).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Err(Failure::usage(format!("there is no node `{text}`"))
                .with_remedy(describe::suggest(text, &known, "nodes")))
        }
        several => {
            let message = format!("`{text}` may be any of {} nodes", several.len());
            Err(Failure::usage(message).with_remedy("give more letters of the key"))
        }
    }
}

fn known_as(node: &NodeView) -> String {
    if node.name.is_empty() {
        node.key.short()
    } else {
        node.name.clone()
    }
}

/// Adds to a refusal what the caller needs to have it lifted.
fn refusal(error: Error, client: &Client) -> Failure {
    let is_denied = error.code() == Code::Denied;
    let failure = Failure::from(error);
    if is_denied {
        return failure.with_remedy(format!(
            "this client's key is {}; an operator lists keys in `access.keys` or `access.roles`, \
             and `client.identity` keeps the key the same in each run",
            client.key()
        ));
    }
    failure
}
