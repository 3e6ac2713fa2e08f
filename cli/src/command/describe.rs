//! `meshctl describe`: one object with everything known about it, for people.

use std::time::SystemTime;

use clap_complete::ArgValueCompleter;
use mesh_proto::v1::StreamEventsRequest;
use serde_json::{Value, json};

use crate::args::target;
use crate::client::Client;
use crate::command::get::{backend, or_dash, reasons};
use crate::command::object::{self, Object, field};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::paint::Tone;
use crate::output::table::{Cell, Table, left, right};
use crate::output::{Answer, Human, number};

const MOST_EVENTS: usize = 5;

/// Show one object with all that is known about it
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl describe service/web
  meshctl describe route/web")]
pub(crate) struct Args {
    /// What to describe
    #[arg(required = true, value_name = "KIND/NAME", add = ArgValueCompleter::new(complete::targets))]
    targets: Vec<String>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let targets = target::named_targets(&args.targets)?;
    let client = context.client().await?;
    let mut objects = Vec::new();
    for (kind, name) in &targets {
        objects.extend(object::fetch(&client, context, kind, Some(name)).await?);
    }
    let mut parts = Vec::new();
    for object in &objects {
        parts.push(described(object, &client, context).await?);
    }
    let documents: Vec<_> = objects.iter().map(|object| object.0.clone()).collect();
    let document = match documents.as_slice() {
        [one] => one.clone(),
        several => json!({"apiVersion": "mesh/v1", "kind": "List", "items": several}),
    };
    context.output.show(&Answer {
        document,
        names: objects.iter().map(Object::reference).collect(),
        human: Human::Text(parts.join("\n")),
    })?;
    Ok(Exit::DONE)
}

async fn described(object: &Object, client: &Client, context: &Context) -> Result<String, Failure> {
    match object.kind().as_str() {
        "service" => {
            let routes = object::fetch(client, context, "route", None).await?;
            Ok(service(object, &routes, context) + &events(object, client).await?)
        }
        "run" => Ok(run_text(object)),
        "attachment" => Ok(attachment_text(object)),
        _ => Ok(route(object)),
    }
}

/// What happened to the object last.
async fn events(object: &Object, client: &Client) -> Result<String, Failure> {
    let request = StreamEventsRequest::default();
    let mut events = client.call(client.events().stream(request)).await?;
    let mut about = Vec::new();
    while let Some(event) = events.message().await? {
        if event.subject.split(' ').next() == Some(&object.reference()) {
            about.push(event);
        }
    }
    let mut text = String::new();
    for event in about.iter().skip(about.len().saturating_sub(MOST_EVENTS)) {
        let time = event.time.and_then(|time| SystemTime::try_from(time).ok());
        let age = time.and_then(|time| time.elapsed().ok()).map(number::age).unwrap_or_default();
        text += &format!("\n{age} ago  {}  {}", event.kind, event.message);
    }
    Ok(if text.is_empty() { text } else { format!("\nEvents{text}\n") })
}

fn line(label: &str, text: &str) -> String {
    format!("{label:<11}{}\n", or_dash(text))
}

fn service(object: &Object, routes: &[Object], context: &Context) -> String {
    let ports = object.list("/spec/ports").iter().map(port);
    let mut text = line("Service", object.name());
    text += &line("Namespace", or_else(object.text("/metadata/namespace"), "default"));
    text += &line("Address", &addresses(object));
    text += &line("Ports", &ports.collect::<Vec<_>>().join(", "));
    text += &line("Health", &health(object));
    text += &line(
        "Ready",
        &format!("{}/{}", object.count("/status/ready"), object.count("/status/total")),
    );
    text += &line("Traffic", &traffic(object));
    let until = object.text("/status/bypassedUntil");
    if !until.is_empty() {
        text += &line("Bypassed", &format!("goes direct, not through meshd, until {until}"));
    }
    text += &line("Age", &object.age());
    text += &subsets(object);
    text += "\n";
    text += &context.output.render(&endpoints(object));
    let name = object.name();
    let own = routes.iter().filter(|route| {
        route.list("/spec/parentRefs").iter().any(|parent| field(parent, "name") == name)
    });
    for route_object in own {
        text += "\n";
        text += &route(route_object);
    }
    text
}

fn addresses(object: &Object) -> String {
    let of =
        |port: &Value| port.get("addresses").and_then(Value::as_array).cloned().unwrap_or_default();
    let all = object.list("/status/ports").iter().flat_map(of);
    let known: Vec<_> = all.filter_map(|address| address.as_str().map(str::to_owned)).collect();
    format!("{}.mesh -> {}", object.name(), or_dash(&known.join(", ")))
}

fn port(port: &Value) -> String {
    let number = port.get("port").and_then(Value::as_u64).unwrap_or_default();
    match field(port, "protocol") {
        "" => number.to_string(),
        protocol => format!("{number}/{protocol}"),
    }
}

fn health(object: &Object) -> String {
    match object.0.pointer("/spec/health") {
        None | Some(Value::Null) => "not probed".to_owned(),
        Some(health) => {
            let probe = match field(health, "http") {
                "" => "tcp connect".to_owned(),
                path => format!("GET {path}"),
            };
            format!("{probe} every {}", or_else(field(health, "interval"), "2s"))
        }
    }
}

fn or_else<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

fn traffic(object: &Object) -> String {
    let rate = object.number("/status/stats/rps").unwrap_or_default();
    if rate <= 0.0 {
        return "none".to_owned();
    }
    format!(
        "{} req/s, {} ok, p50 {}, p99 {}",
        number::rate(rate),
        number::share(object.number("/status/stats/success")),
        number::milliseconds(object.number("/status/stats/p50Ms")),
        number::milliseconds(object.number("/status/stats/p99Ms")),
    )
}

fn subsets(object: &Object) -> String {
    let subset = |subset: &Value| {
        let name = field(subset, "name");
        let ready = subset.get("ready").and_then(Value::as_u64).unwrap_or_default();
        let weight = subset.get("weight").and_then(Value::as_u64);
        let weight = weight.map(|weight| format!(" {weight}%")).unwrap_or_default();
        (!name.is_empty()).then(|| format!("{name}{weight} ({ready} ready)"))
    };
    let subsets: Vec<_> = object.list("/status/subsets").iter().filter_map(subset).collect();
    if subsets.is_empty() { String::new() } else { line("Subsets", &subsets.join(", ")) }
}

fn endpoints(object: &Object) -> Table {
    let mut table = Table::new([
        left("ENDPOINT"),
        left("NODE"),
        left("SUBSET"),
        left("STATE"),
        right("WEIGHT"),
        left("REASON"),
    ]);
    for endpoint in object.list("/status/endpoints") {
        let state = field(endpoint, "health");
        let tone = match state {
            "healthy" => Tone::Good,
            "unhealthy" => Tone::Bad,
            _ => Tone::Plain,
        };
        let port = endpoint.get("port").and_then(Value::as_u64).unwrap_or_default();
        let weight = endpoint.get("weight").and_then(Value::as_u64).unwrap_or(1);
        table.push(vec![
            format!("{}:{port}", field(endpoint, "address")).into(),
            or_else(field(endpoint, "node"), number::NO_DATA).into(),
            or_else(field(endpoint, "subset"), number::NO_DATA).into(),
            Cell::toned(or_else(state, number::NO_DATA), tone),
            weight.to_string().into(),
            or_else(field(endpoint, "reason"), number::NO_DATA).into(),
        ]);
    }
    table
}

fn route(object: &Object) -> String {
    let parents = object.list("/spec/parentRefs").iter().map(|parent| {
        format!("{}/{}", or_else(field(parent, "kind"), "Gateway"), field(parent, "name"))
    });
    let mut text = line("Route", object.name());
    text += &line("Kind", object.text("/kind"));
    text += &line("Parents", &parents.collect::<Vec<_>>().join(", "));
    if let Some(false) = object.0.pointer("/status/attached").and_then(Value::as_bool) {
        text += &line("Status", &reasons(object));
    }
    for (index, rule) in object.list("/spec/rules").iter().enumerate() {
        text += &format!("  rule {}   {}\n", index + 1, rule_text(rule));
    }
    text
}

fn rule_text(rule: &Value) -> String {
    let items = |key: &str| rule.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let matches = items("matches").iter().map(match_text).collect::<Vec<_>>().join(" or ");
    let backends = items("backendRefs").iter().map(backend).collect::<Vec<_>>().join(" ");
    let mut text = format!("{} -> {}", or_else(&matches, "any request"), or_dash(&backends));
    if let Some(timeout) = rule.pointer("/timeouts/request").and_then(Value::as_str) {
        text += &format!(", timeout {timeout}");
    }
    if let Some(attempts) = rule.pointer("/retry/attempts").and_then(Value::as_u64) {
        text += &format!(", {attempts} retries");
    }
    text
}

fn match_text(matched: &Value) -> String {
    let mut parts = Vec::new();
    if !field(matched, "method").is_empty() {
        parts.push(field(matched, "method").to_owned());
    }
    if let Some(path) = matched.get("path") {
        parts.push(format!(
            "{} {}",
            or_else(field(path, "type"), "PathPrefix"),
            field(path, "value")
        ));
    }
    for (key, what) in [("headers", "header"), ("queryParams", "query")] {
        for pair in matched.get(key).and_then(Value::as_array).into_iter().flatten() {
            parts.push(format!("{what} {}={}", field(pair, "name"), field(pair, "value")));
        }
    }
    parts.join(", ")
}

fn run_text(object: &Object) -> String {
    let pids = object.list("/status/pids").iter().map(ToString::to_string);
    let command = object.list("/spec/command").iter().filter_map(Value::as_str);
    let mut text = line("Run", object.name());
    text += &line("As", object.text("/spec/as"));
    text += &line("Cgroup", object.text("/status/cgroup"));
    text += &line("Uid", &object.count("/status/uid").to_string());
    text += &line("Pids", &pids.collect::<Vec<_>>().join(" "));
    text += &line("Command", &command.collect::<Vec<_>>().join(" "));
    text
}

fn attachment_text(object: &Object) -> String {
    let pids = object.list("/status/pids").iter().map(ToString::to_string);
    let mut text = line("Attachment", object.name());
    text += &line("As", object.text("/spec/as"));
    text += &line("State", object.text("/status/state"));
    text += &line("Egress", object.text("/spec/allowEgress"));
    text += &line("Cgroup", object.text("/status/cgroup"));
    text += &line("Uid", &object.count("/status/uid").to_string());
    text += &line("Pids", &pids.collect::<Vec<_>>().join(" "));
    text
}
