//! Every endpoint with its state, weight, connections, last check and numbers.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::Admin;
use crate::state::{Endpoint, Snapshot};
use crate::telemetry::Timestamp;

/// What latencies and rates cover.
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
pub(super) struct Service {
    name: String,
    address: String,
    endpoints: Vec<Backend>,
}

#[derive(Debug, Serialize)]
struct Backend {
    address: String,
    node: String,
    subset: String,
    state: &'static str,
    ready: bool,
    weight: u32,
    active_connections: u64,
    requests: u64,
    failures: u64,
    requests_per_second: f64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    last_check: Option<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    at: String,
    result: String,
}

pub(super) fn list(admin: &Admin, snapshot: &Snapshot) -> Vec<Service> {
    let window = admin.rates.window(WINDOW);
    let backend = |endpoint: &Endpoint, subset: String| {
        let numbers = window.endpoint(endpoint);
        let last_check = admin.checks.last(endpoint.id).map(|check| {
            let since = check.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let nanos = u64::try_from(since.as_nanos()).unwrap_or_default();
            Check { at: Timestamp::from_nanos(nanos).to_string(), result: check.text }
        });
        Backend {
            address: endpoint.address.to_string(),
            node: endpoint.node.clone(),
            subset,
            state: endpoint.live.health().label(),
            ready: endpoint.live.is_ready(),
            weight: endpoint.weight,
            active_connections: numbers.open,
            requests: numbers.requests_total,
            failures: numbers.errors_total,
            requests_per_second: numbers.rps,
            p50_ms: numbers.p50,
            p95_ms: numbers.p95,
            p99_ms: numbers.p99,
            last_check,
        }
    };
    let declared = snapshot.services.iter().enumerate();
    let declared = declared.filter(|(_, service)| snapshot.by_name.contains_key(&service.name));
    let services = declared.map(|(index, service)| {
        let own = snapshot.endpoints.iter().filter(|endpoint| endpoint.service == index);
        let subset = |endpoint: &Endpoint| {
            service.subsets.get(endpoint.subset).map(|subset| subset.name.clone())
        };
        Service {
            name: service.name.to_string(),
            address: service.vip4.to_string(),
            endpoints: own
                .map(|endpoint| backend(endpoint, subset(endpoint).unwrap_or_default()))
                .collect(),
        }
    });
    services.collect()
}

pub(super) fn json(services: &[Service]) -> String {
    serde_json::json!({ "services": services }).to_string()
}

/// One line per endpoint: `web 127.0.0.1:8080 healthy subset=v1 weight=1 …`.
pub(super) fn text(services: &[Service]) -> String {
    let mut text = String::new();
    for service in services {
        for endpoint in &service.endpoints {
            line(&mut text, &service.name, endpoint);
        }
        if service.endpoints.is_empty() {
            text.push_str(&service.name);
            text.push_str(" - no endpoint\n");
        }
    }
    text
}

fn line(text: &mut String, service: &str, backend: &Backend) {
    let Backend { address, state, node, weight, active_connections, requests, failures, .. } =
        backend;
    let subset = if backend.subset.is_empty() { "-" } else { &backend.subset };
    let check = backend.last_check.as_ref().map_or_else(
        || "none".to_owned(),
        |check| format!("\"{}\" at {}", check.result.escape_debug(), check.at),
    );
    let latency = |millis: Option<f64>| millis.map_or("-".to_owned(), |ms| format!("{ms:.1}"));
    let (p50, p95, p99) =
        (latency(backend.p50_ms), latency(backend.p95_ms), latency(backend.p99_ms));
    text.push_str(&format!(
        "{service} {address} {state} subset={subset} node={node} weight={weight} \
         active_connections={active_connections} requests={requests} failures={failures} \
         p50_ms={p50} p95_ms={p95} p99_ms={p99} last_check={check}\n"
    ));
}
