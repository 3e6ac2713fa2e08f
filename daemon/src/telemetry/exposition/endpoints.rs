//! What each endpoint did.

use super::View;
use super::family::{Families, Labels};
use crate::telemetry::cells::Load;

struct Row<'a> {
    labels: Labels,
    load: &'a Load,
    ready: bool,
}

type Pick = fn(&Load) -> u64;

const COUNTERS: [(&str, &str, Pick); 4] = [
    ("mesh_endpoint_requests_total", "HTTP requests sent to the endpoint.", |load| load.requests),
    (
        "mesh_endpoint_failures_total",
        "HTTP requests to the endpoint that ended with a 5xx or a response flag.",
        |load| load.failed,
    ),
    ("mesh_endpoint_connections_opened_total", "Connections opened to the endpoint.", |load| {
        load.opened
    }),
    ("mesh_endpoint_connections_closed_total", "Connections to the endpoint that ended.", |load| {
        load.closed
    }),
];

const GAUGES: [(&str, &str, Pick); 2] = [
    ("mesh_endpoint_requests_in_flight", "HTTP requests the endpoint is answering now.", |load| {
        load.in_flight
    }),
    (
        "mesh_endpoint_connections_active",
        "Connections to the endpoint that are open now, idle ones included.",
        Load::open,
    ),
];

pub(super) fn families(view: &View<'_>, out: &mut Families) {
    let rows = rows(view);
    for (name, help, pick) in COUNTERS {
        out.counter(name, help, rows.iter().map(|row| (row.labels.clone(), pick(row.load))));
    }
    for (name, help, pick) in GAUGES {
        out.gauge(name, help, rows.iter().map(|row| (row.labels.clone(), pick(row.load) as f64)));
    }
    out.histogram(
        "mesh_endpoint_request_duration_seconds",
        "Time from the first byte of a request to the last byte of its answer.",
        rows.iter().map(|row| (row.labels.clone(), row.load)),
    );
    out.gauge(
        "mesh_endpoint_ready",
        "1 when the endpoint may get traffic, 0 when its check says no.",
        rows.iter().map(|row| (row.labels.clone(), f64::from(u8::from(row.ready)))),
    );
}

/// Only what is declared now: an endpoint that went leaves no series behind.
fn rows<'a>(view: &'a View<'_>) -> Vec<Row<'a>> {
    let rows = view.snapshot.endpoints.iter().filter_map(|endpoint| {
        let service = view.snapshot.services.get(endpoint.service)?;
        let subset = service.subsets.get(endpoint.subset)?;
        let labels = vec![
            ("service", view.name(service.id)),
            ("subset", view.name(subset.id)),
            ("endpoint", endpoint.address.to_string()),
        ];
        let load = view.totals.endpoints.get(&endpoint.id)?;
        Some(Row { labels, load, ready: endpoint.live.is_ready() })
    });
    rows.collect()
}
