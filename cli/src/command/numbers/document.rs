//! A frame of numbers as JSON.

use mesh_proto::v1::{EndpointNumbers, MetricsFrame, Numbers, ServiceNumbers, SubsetNumbers};
use serde_json::{Value, json};

pub(crate) fn of(frame: &MetricsFrame, shown: &dyn Fn(&str) -> bool) -> Value {
    let services = frame.services.iter().filter(|service| shown(&service.name));
    json!({
        "apiVersion": "mesh/v1",
        "kind": "MetricsFrame",
        "time": frame.time.map(|time| time.to_string()),
        "mesh": frame.mesh,
        "node": frame.node,
        "generation": frame.generation,
        "windowS": frame.window_s,
        "total": stats(frame.total.as_ref()),
        "services": services.map(service).collect::<Vec<_>>(),
    })
}

fn service(service: &ServiceNumbers) -> Value {
    json!({
        "namespace": service.namespace,
        "name": service.name,
        "protocol": service.protocol,
        "address": service.address,
        "ready": service.ready,
        "total": service.total,
        "stats": stats(service.numbers.as_ref()),
        "subsets": service.subsets.iter().map(subset).collect::<Vec<_>>(),
    })
}

fn subset(subset: &SubsetNumbers) -> Value {
    json!({
        "name": subset.name,
        "weight": subset.weight,
        "ready": subset.ready,
        "total": subset.total,
        "stats": stats(subset.numbers.as_ref()),
        "endpoints": subset.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn endpoint(endpoint: &EndpointNumbers) -> Value {
    json!({
        "address": endpoint.address,
        "node": endpoint.node,
        "health": endpoint.state,
        "stats": stats(endpoint.numbers.as_ref()),
    })
}

fn stats(numbers: Option<&Numbers>) -> Value {
    let numbers = numbers.copied().unwrap_or_default();
    json!({
        "rps": numbers.rps,
        "success": numbers.success,
        "p50Ms": numbers.p50_ms,
        "p95Ms": numbers.p95_ms,
        "p99Ms": numbers.p99_ms,
        "open": numbers.open,
        "receivedBytesPerSec": numbers.received_bytes_per_second,
        "sentBytesPerSec": numbers.sent_bytes_per_second,
        "connectionsPerSec": numbers.connections_per_second,
        "requestsTotal": numbers.requests_total,
        "errorsTotal": numbers.errors_total,
    })
}
