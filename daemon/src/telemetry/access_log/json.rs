//! Two JSON objects per request: when it started, and how it was completed.

use serde::Serialize;

use super::template::upstream;
use crate::record::{Entry, Kind, unpadded};
use crate::state::Interner;
use crate::telemetry::Timestamp;

/// One line; what a kind of traffic does not have is left out.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    msg: &'a str,
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    remote_addr: String,
    destination: String,
    source: &'a str,
    pid: u32,
    process: &'a str,
    #[serde(flatten)]
    end: Option<End<'a>>,
}

#[derive(Debug, Serialize)]
struct End<'a> {
    protocol: &'a str,
    /// 0 when no answer was sent.
    status: u16,
    latency_ms: f64,
    bytes_sent: u64,
    bytes_received: u64,
    upstream_cluster: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_subset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_host: Option<String>,
    route: &'a str,
    response_flags: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

pub(super) fn write(entry: &Entry, names: &Interner, lines: &mut Vec<u8>) {
    let record = &entry.record;
    let is_http = record.kind == Kind::Http;
    let (trace, request_id) = (entry.trace_id(), entry.request_id());
    let (method, path) = (entry.method(), String::from_utf8_lossy(entry.path()));
    let (host, process) = (String::from_utf8_lossy(&entry.host), unpadded(&record.source.process));
    let source = names.name(record.source.service);
    let start = |msg| Line {
        timestamp: Timestamp::from_nanos(record.start).to_string(),
        level: "info",
        msg,
        trace_id: trace.as_deref().unwrap_or("none"),
        request_id: request_id.as_deref(),
        method: is_http.then_some(method.as_ref()),
        path: is_http.then_some(path.as_ref()),
        host: is_http.then_some(host.as_ref()),
        remote_addr: record.source.address.to_string(),
        destination: record.destination.to_string(),
        source: &source,
        pid: record.source.pid,
        process: &process,
        end: None,
    };
    let (cluster, route) = (upstream(entry, names), names.name(record.route));
    let subset = record.pick.filter(|pick| pick.subset != 0).map(|pick| names.name(pick.subset));
    let took = record.steps.total();
    let end = End {
        protocol: entry.protocol(),
        status: record.status,
        latency_ms: (took / 1000) as f64 / 1000.0,
        bytes_sent: record.sent,
        bytes_received: record.received,
        upstream_cluster: &cluster,
        upstream_subset: subset.as_deref(),
        upstream_host: record.pick.map(|pick| pick.address.to_string()),
        route: &route,
        response_flags: record.flag.code(),
        reason: record.flag.reason(),
    };
    let (started, completed) = match record.kind {
        Kind::Http => ("request started", "request completed"),
        Kind::Udp => ("session opened", "session closed"),
        Kind::Tcp | Kind::Dns => ("connection opened", "connection closed"),
    };
    append(&start(started), lines);
    let timestamp = Timestamp::from_nanos(record.start + took).to_string();
    append(&Line { timestamp, end: Some(end), ..start(completed) }, lines);
}

fn append(line: &Line<'_>, lines: &mut Vec<u8>) {
    let before = lines.len();
    if serde_json::to_writer(&mut *lines, line).is_err() {
        lines.truncate(before);
        return;
    }
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::record::Record;
    use crate::telemetry::testing;

    fn lines(record: Record, path: &[u8]) -> Vec<Value> {
        let entry = Entry { record, host: b"web.mesh".to_vec(), path: path.to_vec() };
        let mut lines = Vec::new();
        write(&entry, &Interner::new(), &mut lines);
        let text = String::from_utf8(lines).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    // covers: LOG-03, LOG-04, LOG-06, LOG-08, LOG-26
    #[test]
    fn a_request_has_two_lines_its_latency_apart() {
        let both = lines(testing::answered(200, 45_000_000), b"/api/users");
        let (started, completed) = (&both[0], &both[1]);
        assert_eq!(started["msg"], "request started");
        assert_eq!(started["timestamp"], "2024-02-29T12:34:56.789Z");
        assert_eq!(started["remote_addr"], "127.0.0.1:40000");
        assert_eq!(completed["msg"], "request completed");
        assert_eq!(completed["timestamp"], "2024-02-29T12:34:56.834Z");
        assert_eq!((&completed["latency_ms"], &completed["status"]), (&45.0.into(), &200.into()));
        assert_eq!(started["trace_id"], completed["trace_id"]);
        assert_eq!(completed["method"], "GET");
    }

    // covers: LOG-05
    #[test]
    fn without_a_trace_the_id_says_none() {
        let record = Record { trace: 0, ..testing::answered(200, 1) };
        assert_eq!(lines(record, b"/\xff\n")[1]["trace_id"], "none");
    }
}
