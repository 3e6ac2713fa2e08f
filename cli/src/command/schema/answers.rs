//! JSON Schemas of the answers that are no manifests: changes, status, numbers, traces.
//!
//! Written as field lists, `name:type`, where `?` allows null; fields are only ever added.

use serde_json::{Map, Value, json};

const CHANGE: &str =
    "kind:string namespace:string name:string action:string detail:string diff:string";
const STATS: &str = "rps:number success:number? p50Ms:number? p95Ms:number? p99Ms:number? \
    open:integer receivedBytesPerSec:number sentBytesPerSec:number connectionsPerSec:number \
    requestsTotal:integer errorsTotal:integer";
const SERVICE: &str = "namespace:string name:string protocol:string address:string ready:integer \
    total:integer stats:object subsets:array";
const STEP: &str = "node:string service:string name:string offsetUs:integer durationUs:integer \
     detail:string inner:boolean";
const RECORD: &str = "kind:string id:string traceId:string spanId:string requestId:string \
    start:string? node:string source:object destination:string service:string protocol:string \
    method:string host:string path:string status:integer? flag:string flagReason:string \
    route:object endpoint:object? tries:integer bytesSent:integer bytesReceived:integer \
    durationUs:integer generation:integer answer:string steps:array";
const CHECK: &str = "id:string category:string status:string summary:string why:string fix:string \
    doc:string";
const EVENT: &str = "time:string? kind:string subject:string message:string severity:string";
const INSTALLATION: &str = "apiVersion:string kind:string action:string version:string \
    backend:string? receipt:string unit:string?";
const INSTALL_PLAN: &str = "apiVersion:string kind:string host:string backend:string? files:array \
    group:string? unit:string? steps:array rules:string sysctls:array checks:array";
const HISTORY: &str = "generation:integer time:string? user:string uid:integer pid:integer \
    commandLine:string reason:string changes:array";

pub(super) const NAMES: [&str; 16] = [
    "AttachmentList",
    "ChangeList",
    "CheckList",
    "DiffList",
    "Error",
    "Event",
    "HistoryList",
    "InstallPlan",
    "Installation",
    "MetricsFrame",
    "RecordList",
    "Removal",
    "RunList",
    "Status",
    "Trace",
    "Version",
];

/// The schema of one of [`NAMES`], in any letter case.
pub(super) fn schema(name: &str) -> Option<Value> {
    let name = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name))?;
    let mut schema = match *name {
        "ChangeList" => {
            listed(CHANGE, "generation:integer live:object? undo:integer? warnings:array")
        }
        "CheckList" => {
            listed(CHECK, "passed:integer warnings:integer failed:integer durationMs:integer")
        }
        "Event" => object(EVENT),
        "Installation" => object(INSTALLATION),
        "InstallPlan" => object(INSTALL_PLAN),
        "Removal" => object("apiVersion:string kind:string action:string dataKept:boolean"),
        "DiffList" => listed(CHANGE, "generation:integer"),
        "HistoryList" => listed(HISTORY, ""),
        "RecordList" => listed(RECORD, ""),
        "RunList" | "AttachmentList" => {
            listed("apiVersion:string kind:string metadata:object spec:object status:object", "")
        }
        "Error" => with(
            object(""),
            "error",
            object("code:string? message:string why:array fix:array exit:integer"),
        ),
        "Version" => with(object("daemon:object?"), "client", object("version:string")),
        "Status" => status(),
        "MetricsFrame" => metrics(),
        _ => trace(),
    };
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        fields.insert("title".to_owned(), json!(name));
    }
    Some(schema)
}

fn status() -> Value {
    object(
        "apiVersion:string kind:string mesh:string node:string trustDomain:string version:string \
         pid:integer started:string? ready:boolean readOnly:boolean generation:integer \
         workers:integer residentBytes:integer cpu:number capture:object? traffic:object \
         problems:array",
    )
}

fn metrics() -> Value {
    let frame = object(
        "apiVersion:string kind:string time:string? mesh:string node:string generation:integer \
         windowS:number",
    );
    let service = with(object(SERVICE), "stats", object(STATS));
    with(with(frame, "total", object(STATS)), "services", array(&service))
}

fn trace() -> Value {
    let story = object(
        "apiVersion:string kind:string traceId:string method:string url:string status:integer? \
         bytes:integer durationUs:integer",
    );
    with(story, "steps", array(&object(STEP)))
}

/// A list of objects with the fields of `item`, beside the fields of `more`.
fn listed(item: &str, more: &str) -> Value {
    let list = object(&format!("apiVersion:string kind:string {more}"));
    with(list, "items", array(&object(item)))
}

fn array(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

/// An object with every field required.
fn object(fields: &str) -> Value {
    let named = fields.split_whitespace().filter_map(|field| field.split_once(':'));
    let required: Vec<_> = named.clone().map(|(name, _)| name).collect();
    let properties: Map<_, _> = named.map(|(name, kind)| (name.to_owned(), typed(kind))).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn typed(kind: &str) -> Value {
    match kind.strip_suffix('?') {
        Some(kind) => json!({"type": [kind, "null"]}),
        None => json!({"type": kind}),
    }
}

/// The object with one more required field, or with that field described better.
fn with(mut object: Value, name: &str, field: Value) -> Value {
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(name.to_owned(), field);
    }
    if let Some(required) = object.get_mut("required").and_then(Value::as_array_mut)
        && !required.iter().any(|known| known == name)
    {
        required.push(json!(name));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_schema_that_says_so() {
        for name in NAMES {
            let schema = schema(name).unwrap();
            assert_eq!(schema["title"], name);
            assert!(!schema["required"].as_array().unwrap().is_empty(), "{name}");
        }
    }
}
