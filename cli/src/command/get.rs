//! `meshctl get`: objects as a table, or in full.

use clap_complete::ArgValueCompleter;
use serde_json::{Value, json};

use crate::args::target::{self, Target};
use crate::command::object::{self, Object, field};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::paint::Tone;
use crate::output::table::{Cell, Table, left, right};
use crate::output::{Answer, Human, Output, number};

/// Show objects: services, routes, runs, attachments
#[derive(clap::Args)]
#[command(
    visible_alias = "ls",
    before_help = "Examples:
  meshctl get services
  meshctl get service/web -o yaml
  meshctl get services -o json --jq '.items[] | select(.status.ready==0) | .metadata.name'"
)]
pub(crate) struct Args {
    /// What to show [default: services]
    #[arg(value_name = "KIND[/NAME]", add = ArgValueCompleter::new(complete::targets))]
    targets: Vec<String>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut targets = target::targets(&args.targets)?;
    if targets.is_empty() {
        targets.push(Target { kind: "service", name: None });
    }
    let client = context.client().await?;
    let mut objects = Vec::new();
    for Target { kind, name } in &targets {
        objects.extend(object::fetch(&client, context, kind, name.as_deref()).await?);
    }
    context.output.show(&Answer {
        document: document(&targets, &objects),
        names: objects.iter().map(Object::reference).collect(),
        human: Human::Text(tables(&objects, &context.output)),
    })?;
    if objects.is_empty() && !context.output.is_structured() {
        context.output.note(&nothing(&targets));
    }
    if let (false, Some(line)) = (context.output.is_structured(), bypassed(&objects)) {
        context.output.warn(&line);
    }
    Ok(Exit::DONE)
}

/// What goes direct has no traffic to show: the reader must know why.
fn bypassed(objects: &[Object]) -> Option<String> {
    let is_bypassed = |object: &&Object| !object.text("/status/bypassedUntil").is_empty();
    let names: Vec<_> = objects.iter().filter(is_bypassed).map(Object::name).collect();
    let until = objects.iter().map(|object| object.text("/status/bypassedUntil")).max()?;
    let verb = if names.len() == 1 { "goes" } else { "go" };
    let names = (!names.is_empty()).then(|| names.join(", "))?;
    Some(format!("{names} {verb} direct, not through meshd, until {until}: meshctl status"))
}

fn nothing(targets: &[Target]) -> String {
    let kinds: Vec<_> = targets.iter().map(|target| format!("{}s", target.kind)).collect();
    format!("no {}", kinds.join(", "))
}

/// One object asked for by name stands alone; everything else is a list.
fn document(targets: &[Target], objects: &[Object]) -> Value {
    if let ([Target { name: Some(_), .. }], [object]) = (targets, objects) {
        return object.0.clone();
    }
    let mut kinds = targets.iter().map(|target| target.kind);
    let first = kinds.next().unwrap_or("service");
    let kind = if kinds.all(|kind| kind == first) { list_kind(first) } else { "List" };
    let items: Vec<_> = objects.iter().map(|object| object.0.clone()).collect();
    json!({"apiVersion": "mesh/v1", "kind": kind, "items": items})
}

fn list_kind(kind: &str) -> &'static str {
    match kind {
        "service" => "ServiceList",
        "route" => "HTTPRouteList",
        "tcproute" => "TCPRouteList",
        "run" => "RunList",
        "attachment" => "AttachmentList",
        _ => "List",
    }
}

/// One table per kind, in the order the kinds first appear.
fn tables(objects: &[Object], output: &Output) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for kind in objects.iter().map(Object::kind) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let of_kind =
        |kind: &String| objects.iter().filter(|object| object.kind() == *kind).collect::<Vec<_>>();
    let table = |kind: &String| match kind.as_str() {
        "service" => services(&of_kind(kind), output.is_wide()),
        "run" => runs(&of_kind(kind)),
        "attachment" => attachments(&of_kind(kind)),
        _ => routes(&of_kind(kind)),
    };
    let rendered: Vec<_> = kinds.iter().map(|kind| output.render(&table(kind))).collect();
    rendered.join("\n")
}

fn services(objects: &[&Object], wide: bool) -> Table {
    let mut columns = vec![
        left("NAME"),
        left("READY"),
        left("SUBSETS"),
        left("PROTOCOL"),
        left("ADDRESS"),
        right("RPS"),
        right("SUCCESS"),
        right("P99"),
        left("AGE"),
    ];
    if wide {
        columns.extend([right("P50"), right("OPEN"), left("ENDPOINTS")]);
    }
    let mut table = Table::new(columns);
    for object in objects {
        let mut row = vec![
            object.name().into(),
            readiness(object.count("/status/ready"), object.count("/status/total")),
            or_dash(&subset_names(object)).into(),
            or_dash(&protocols(object)).into(),
            or_dash(object.text("/status/address")).into(),
            number::rate(object.number("/status/stats/rps").unwrap_or_default()).into(),
            number::share(object.number("/status/stats/success")).into(),
            number::milliseconds(object.number("/status/stats/p99Ms")).into(),
            object.age().into(),
        ];
        if wide {
            row.push(number::milliseconds(object.number("/status/stats/p50Ms")).into());
            row.push(object.count("/status/stats/open").to_string().into());
            row.push(or_dash(&endpoint_addresses(object)).into());
        }
        table.push(row);
    }
    table
}

pub(crate) fn readiness(ready: u64, total: u64) -> Cell {
    let tone = match ready {
        0 => Tone::Bad,
        ready if ready < total => Tone::Warn,
        _ => Tone::Plain,
    };
    Cell::toned(format!("{ready}/{total}"), tone)
}

pub(crate) fn or_dash(text: &str) -> String {
    if text.is_empty() { number::NO_DATA.to_owned() } else { text.to_owned() }
}

fn subset_names(object: &Object) -> String {
    let names = object.list("/status/subsets").iter().map(|subset| field(subset, "name"));
    names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(",")
}

fn protocols(object: &Object) -> String {
    let declared = object.list("/spec/ports").iter().map(|port| field(port, "protocol"));
    let mut protocols: Vec<&str> = declared.filter(|protocol| !protocol.is_empty()).collect();
    protocols.dedup();
    protocols.join(",")
}

pub(crate) fn endpoint_addresses(object: &Object) -> String {
    let address = |endpoint: &Value| {
        let port = endpoint.get("port").and_then(Value::as_u64).unwrap_or_default();
        format!("{}:{port}", field(endpoint, "address"))
    };
    let endpoints = object.list("/status/endpoints");
    let endpoints = if endpoints.is_empty() { object.list("/spec/endpoints") } else { endpoints };
    endpoints.iter().map(address).collect::<Vec<_>>().join(",")
}

fn routes(objects: &[&Object]) -> Table {
    let mut table = Table::new([
        left("NAME"),
        left("SERVICE"),
        left("HOSTNAMES"),
        right("RULES"),
        left("BACKENDS"),
        left("STATUS"),
        left("AGE"),
    ]);
    for object in objects {
        let parents = object.list("/spec/parentRefs").iter().map(|parent| field(parent, "name"));
        let hostnames = object.list("/spec/hostnames").iter().filter_map(Value::as_str);
        let attached = object.0.pointer("/status/attached").and_then(Value::as_bool);
        let status = match attached {
            Some(true) => Cell::from("attached"),
            Some(false) => Cell::toned(reasons(object), Tone::Warn),
            None => Cell::from(number::NO_DATA),
        };
        table.push(vec![
            object.name().into(),
            or_dash(&parents.collect::<Vec<_>>().join(",")).into(),
            or_dash(&hostnames.collect::<Vec<_>>().join(",")).into(),
            object.list("/spec/rules").len().to_string().into(),
            or_dash(&backends(object)).into(),
            status,
            object.age().into(),
        ]);
    }
    table
}

/// Why parents do not take the route, "not attached: no Gateway \"x\"".
pub(crate) fn reasons(object: &Object) -> String {
    let reasons = object.list("/status/parents").iter().map(|parent| field(parent, "reason"));
    reasons.filter(|reason| !reason.is_empty()).collect::<Vec<_>>().join(", ")
}

/// "web:v1=90 web:v2=10 | web": the backends, rule by rule.
fn backends(object: &Object) -> String {
    let rules = object.list("/spec/rules").iter().map(|rule| {
        let refs = rule.get("backendRefs").and_then(Value::as_array);
        refs.map(|refs| refs.iter().map(backend).collect::<Vec<_>>().join(" ")).unwrap_or_default()
    });
    rules.collect::<Vec<_>>().join(" | ")
}

pub(crate) fn backend(backend: &Value) -> String {
    let mut text = field(backend, "name").to_owned();
    let subset = field(backend, "subset");
    if !subset.is_empty() {
        text.push_str(&format!(":{subset}"));
    }
    if let Some(weight) = backend.get("weight").and_then(Value::as_u64) {
        text.push_str(&format!("={weight}"));
    }
    text
}

fn runs(objects: &[&Object]) -> Table {
    let mut table = Table::new([
        left("NAME"),
        left("AS"),
        right("UID"),
        right("PIDS"),
        left("CGROUP"),
        left("COMMAND"),
    ]);
    for object in objects {
        let command = object.list("/spec/command").iter().filter_map(Value::as_str);
        table.push(vec![
            object.name().into(),
            or_dash(object.text("/spec/as")).into(),
            object.count("/status/uid").to_string().into(),
            object.list("/status/pids").len().to_string().into(),
            object.text("/status/cgroup").into(),
            command.collect::<Vec<_>>().join(" ").into(),
        ]);
    }
    table
}

fn attachments(objects: &[&Object]) -> Table {
    let mut table = Table::new([
        left("NAME"),
        left("AS"),
        left("STATE"),
        left("EGRESS"),
        right("PIDS"),
        left("CGROUP"),
    ]);
    for object in objects {
        let state = object.text("/status/state");
        let tone = if state == "present" { Tone::Plain } else { Tone::Warn };
        table.push(vec![
            object.name().into(),
            or_dash(object.text("/spec/as")).into(),
            Cell::toned(state.to_owned(), tone),
            object.text("/spec/allowEgress").into(),
            object.list("/status/pids").len().to_string().into(),
            or_dash(object.text("/status/cgroup")).into(),
        ]);
    }
    table
}
