//! `services`: which services there are, and how to call them.

use clap::Args;
use distri_core::node::introspect::{MethodInfo, ServiceInfo};
use serde_json::{Value, json};

use super::{
    Failure, Global, describe,
    output::{Output, tell},
    schema::Schema,
};

/// What `services` takes.
#[derive(Clone, Debug, Args)]
pub struct ServicesArgs {
    /// Show the methods of this one [default: list all]
    pub service: Option<String>,
    /// Ask the cloud [default: look into this program]
    #[arg(long)]
    pub remote: bool,
}

pub(super) async fn run(args: ServicesArgs, global: &Global) -> Result<(), Failure> {
    let services = if args.remote || !global.node.is_empty() {
        describe::remote(&global.connect().await?).await?
    } else {
        describe::linked()?
    };
    let output = Output::new(global);
    match args.service {
        Some(name) => show(&output, describe::service(&services, &name)?, global),
        None => list(&output, &services, global),
    }
}

fn list(output: &Output, services: &[ServiceInfo], global: &Global) -> Result<(), Failure> {
    if global.json {
        let all: Vec<Value> = services.iter().map(as_json).collect();
        return output.json(&all);
    }
    if services.is_empty() {
        tell(
            "no services are linked into this program; name their crates in distri::main!(…), or \
             ask the cloud with --remote",
        );
        return Ok(());
    }
    let rows: Vec<Vec<String>> = services
        .iter()
        .map(|service| {
            let methods: Vec<&str> = service
                .methods
                .iter()
                .map(|method| method.name.as_str())
                .collect();
            vec![
                service.name.clone(),
                service.version.to_string(),
                methods.join(", "),
                first_sentence(&service.docs),
            ]
        })
        .collect();
    output.table(&["SERVICE", "VERSION", "METHODS", "ABOUT"], &rows)
}

fn show(output: &Output, service: &ServiceInfo, global: &Global) -> Result<(), Failure> {
    if global.json {
        return output.json(&as_json(service));
    }
    let mut text = format!("{} (version {})", service.name, service.version);
    if !service.docs.trim().is_empty() {
        text.push_str(&format!("\n{}", indent(&service.docs, "  ")));
    }
    for method in &service.methods {
        text.push_str("\n\n");
        text.push_str(&method_text(service, method));
    }
    output.line(&text)
}

/// Results longer than this are told member by member.
const RESULT_WIDTH: usize = 60;

fn method_text(service: &ServiceInfo, method: &MethodInfo) -> String {
    let arguments = Schema::parse(&method.arguments);
    let properties = arguments.properties();
    let required = arguments.required();
    let names: Vec<String> = properties
        .iter()
        .map(|(name, _)| {
            if required.contains(name) {
                name.clone()
            } else {
                format!("{name}?")
            }
        })
        .collect();
    let result = Schema::parse(&method.result).lines(RESULT_WIDTH);

    let mut text = format!("  {}({})", method.name, names.join(", "));
    if let [line] = result.as_slice() {
        text.push_str(&format!(" → {line}"));
    }
    if !method.docs.trim().is_empty() {
        text.push_str(&format!("\n{}", indent(&method.docs, "    ")));
    }
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, (_, schema)) in names.iter().zip(&properties) {
        text.push_str(&format!("\n    {name:<width$}  {}", schema.words()));
    }
    if result.len() > 1 {
        result
            .iter()
            .for_each(|line| text.push_str(&format!("\n    → {line}")));
    }
    text.push_str(&format!("\n    $ {}", describe::example(service, method)));
    text
}

fn as_json(service: &ServiceInfo) -> Value {
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let methods: Vec<Value> = service
        .methods
        .iter()
        .map(|method| {
            json!({
                "name": method.name,
                "docs": method.docs,
                "shape": method.shape,
                "idempotent": method.idempotent,
                "timeout_ms": method.timeout_ms,
                "hedge_ms": method.hedge_ms,
                "arguments": parsed(&method.arguments),
                "result": parsed(&method.result),
                "example": describe::example(service, method),
            })
        })
        .collect();
    json!({
        "name": service.name,
        "version": service.version,
        "docs": service.docs,
        "methods": methods,
    })
}

/// The first sentence, cut where a table would become unreadable.
fn first_sentence(text: &str) -> String {
    const LENGTH_MAX: usize = 72;
    let paragraph = text.trim().split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    let sentence = line
        .split_inclusive(". ")
        .next()
        .unwrap_or_default()
        .trim_end();
    if sentence.chars().count() <= LENGTH_MAX {
        return sentence.to_owned();
    }
    let cut: String = sentence.chars().take(LENGTH_MAX - 1).collect();
    format!(
        "{}…",
        cut.rsplit_once(' ')
            .map_or(cut.as_str(), |(words, _)| words)
    )
}

fn indent(text: &str, by: &str) -> String {
    let lines: Vec<String> = text
        .trim()
        .lines()
        .map(|line| format!("{by}{}", line.trim()).trim_end().to_owned())
        .collect();
    lines.join("\n")
}
