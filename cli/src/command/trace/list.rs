//! `meshctl trace list`: recent requests and connections, newest first.

use std::time::SystemTime;

use clap_complete::ArgValueCandidates;
use mesh_proto::v1::record::Kind;
use mesh_proto::v1::{Record, RecordFilter};
use serde_json::{Value, json};

use super::newest;
use crate::args::duration::Limit;
use crate::command::get::or_dash;
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::paint::Tone;
use crate::output::table::{Cell, Table, left, right};
use crate::output::{Answer, Human, number};

/// List recent requests and connections
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl trace list
  meshctl trace list --to web --failed
  meshctl trace list --slow 200ms -o json --jq '.items[].traceId'")]
pub(crate) struct Args {
    /// Sent by this service
    #[arg(long, value_name = "SERVICE", default_value = "", hide_default_value = true,
          add = ArgValueCandidates::new(complete::services))]
    from: String,
    /// Sent to this service
    #[arg(long, value_name = "SERVICE", default_value = "", hide_default_value = true,
          add = ArgValueCandidates::new(complete::services))]
    to: String,
    /// Served by this subset
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    subset: String,
    /// Only those that failed
    #[arg(long)]
    failed: bool,
    /// Only those that took at least this long
    #[arg(long, value_name = "DUR")]
    slow: Option<Limit>,
    /// At most N
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let slow = args.slow.map(|slow| slow.0.as_millis()).unwrap_or_default();
    let filter = RecordFilter {
        from: args.from.clone(),
        to: args.to.clone(),
        subset: args.subset.clone(),
        failed: args.failed,
        slower_than_ms: u32::try_from(slow).unwrap_or(u32::MAX),
        ..RecordFilter::default()
    };
    let client = context.client().await?;
    let mut records = newest(&client, filter, args.limit).await?;
    records.reverse();
    let mut table = Table::new([
        left("WHEN"),
        left("TRACE"),
        left("FROM"),
        left("TO"),
        left("REQUEST"),
        right("STATUS"),
        right("TIME"),
        left("ENDPOINT"),
        left("FLAG"),
    ]);
    for record in &records {
        table.push(row(record, context.output.is_wide()));
    }
    context.output.show(&Answer {
        document: json!({
            "apiVersion": "mesh/v1",
            "kind": "RecordList",
            "items": records.iter().map(document).collect::<Vec<_>>(),
        }),
        names: records.iter().map(|record| format!("trace/{}", record.trace_id)).collect(),
        human: Human::Table(table),
    })?;
    Ok(Exit::DONE)
}

fn row(record: &Record, wide: bool) -> Vec<Cell> {
    let time = record.start.and_then(|start| SystemTime::try_from(start).ok());
    let age = time.and_then(|time| time.elapsed().ok()).map(number::age);
    let id: String =
        if wide { record.trace_id.clone() } else { record.trace_id.chars().take(8).collect() };
    let source = record.source.as_ref();
    let from = source.map(|source| match source.service.as_str() {
        "" if source.process.is_empty() => source.address.clone(),
        "" => source.process.clone(),
        service => service.to_owned(),
    });
    let failed = !record.flag.is_empty() || record.status >= 500;
    let tone = if failed { Tone::Bad } else { Tone::Plain };
    let status =
        if record.status == 0 { number::NO_DATA.to_owned() } else { record.status.to_string() };
    let endpoint = record.endpoint.as_ref().map(|endpoint| endpoint.address.clone());
    vec![
        age.map_or_else(|| number::NO_DATA.to_owned(), |age| format!("{age} ago")).into(),
        or_dash(&id).into(),
        or_dash(&from.unwrap_or_default()).into(),
        or_dash(if record.service.is_empty() { &record.destination } else { &record.service })
            .into(),
        request(record).into(),
        Cell::toned(status, tone),
        number::step(record.duration_us).into(),
        or_dash(&endpoint.unwrap_or_default()).into(),
        or_dash(&record.flag).into(),
    ]
}

fn request(record: &Record) -> String {
    match record.kind() {
        Kind::Http => format!("{} {}", record.method, record.path),
        Kind::Dns => format!("dns {} -> {}", record.host, or_dash(&record.answer)),
        Kind::Tcp | Kind::Udp | Kind::Unspecified => record.protocol.clone(),
    }
}

fn document(record: &Record) -> Value {
    let source = record.source.clone().unwrap_or_default();
    let route = record.route.clone().unwrap_or_default();
    let endpoint = record.endpoint.as_ref().map(|endpoint| {
        json!({
            "service": endpoint.service, "subset": endpoint.subset, "node": endpoint.node,
            "address": endpoint.address, "reason": endpoint.reason, "ready": endpoint.ready,
            "reused": endpoint.reused,
        })
    });
    let step = |step: &mesh_proto::v1::Step| json!({"name": step.name, "durationUs": step.micros, "detail": step.detail});
    json!({
        "kind": match record.kind() {
            Kind::Http => "http", Kind::Tcp => "tcp", Kind::Dns => "dns", Kind::Udp => "udp", Kind::Unspecified => "unknown",
        },
        "id": record.id,
        "traceId": record.trace_id,
        "spanId": record.span_id,
        "requestId": record.request_id,
        "start": record.start.map(|start| start.to_string()),
        "node": record.node,
        "source": {
            "service": source.service, "identity": source.identity, "pid": source.pid,
            "process": source.process, "uid": source.uid, "cgroup": source.cgroup,
            "run": source.run, "address": source.address,
        },
        "destination": record.destination,
        "service": record.service,
        "protocol": record.protocol,
        "method": record.method,
        "host": record.host,
        "path": record.path,
        "status": (record.status > 0).then_some(record.status),
        "flag": record.flag,
        "flagReason": record.flag_reason,
        "route": {"route": route.route, "rule": route.rule, "rules": route.rules, "match": route.r#match},
        "endpoint": endpoint,
        "tries": record.tries,
        "bytesSent": record.bytes_sent,
        "bytesReceived": record.bytes_received,
        "durationUs": record.duration_us,
        "generation": record.generation,
        "answer": record.answer,
        "steps": record.steps.iter().map(step).collect::<Vec<_>>(),
    })
}
