//! What can be seen afterwards: metrics, logs, records, traces, the admin pages.

use std::process::Stdio;
use std::time::Duration;

use mesh_tests::backend::ok;
use mesh_tests::host::installed;
use mesh_tests::load::Plan;
use mesh_tests::wait::eventually;
use mesh_tests::{Backend, Node, Piece, needs_root};
use serde_json::Value;

fn node_with_web(flags: &[&str]) -> (Node, Backend) {
    let node = Node::with(flags);
    let web = Backend::scripted(&node.netns, "web", 8080, |seen| match seen.head.target() {
        "/404" => {
            vec![Piece::Bytes(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec())]
        }
        "/500" => vec![Piece::Bytes(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec())],
        _ => vec![Piece::Bytes(ok("web", seen.head.method() == "HEAD"))],
    });
    node.ok(&["register", "web", "--port", "http:8080", "--subset", "v1"]);
    (node, web)
}

// covers: MET-01 MET-02 MET-24 MET-27 MET-28 MET-41 MET-25 MET-26
#[test]
fn scripted_requests_give_the_golden_scrape() {
    needs_root!();
    let settings = tempfile::tempdir().unwrap();
    let file = settings.path().join("config.yaml");
    std::fs::write(&file, "metrics: {compat: gomesh}\n").unwrap();
    let (node, _web) = node_with_web(&["--config", &file.display().to_string()]);
    let mut cli = node.run_as("cli");
    for path in ["/1", "/2", "/3", "/4", "/5", "/404"] {
        cli.get("web.mesh", path);
    }
    let count = |name: &str, status: &str| node.metric(name, &["service=\"web\"", status]);
    for name in ["mesh_requests_total", "gomesh_requests_total"] {
        assert_eq!(count(name, "status=\"2xx\""), 5.0, "{name}");
        assert_eq!(count(name, "status=\"4xx\""), 1.0, "{name}");
        assert_eq!(count(name, "status=\"5xx\""), 0.0, "{name}");
    }
    for name in ["mesh_request_duration_seconds", "gomesh_request_duration_seconds"] {
        let bucket = |le: &str| {
            node.metric(&format!("{name}_bucket"), &["service=\"web\"", &format!("le=\"{le}\"")])
        };
        assert!(bucket("0.005") <= bucket("0.01") && bucket("0.01") <= bucket("0.05"), "{name}");
        assert_eq!(bucket("+Inf"), 6.0, "{name}");
        assert_eq!(node.metric(&format!("{name}_count"), &["service=\"web\""]), 6.0, "{name}");
        assert!(node.metric(&format!("{name}_sum"), &["service=\"web\""]) < 6.0, "{name}");
    }
}

// covers: MET-05 MET-06 MET-07 MET-08 MET-15 ADM-04
#[test]
fn scrape_is_well_formed_before_the_first_request() {
    needs_root!();
    let (node, _web) = node_with_web(&[]);
    let (status, text) = node.admin("/metrics").unwrap();
    assert_eq!(status, 200);
    for series in ["status=\"2xx\"", "status=\"4xx\"", "status=\"5xx\""] {
        let zero = text.lines().any(|line| {
            line.starts_with("mesh_requests_total{")
                && line.contains("service=\"web\"")
                && line.contains(series)
                && line.ends_with(" 0")
        });
        assert!(zero, "no zero series {series}");
    }
    let (_, alias) = node.admin("/stats/prometheus").unwrap();
    assert_eq!(alias.lines().count(), text.lines().count());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().fold(name, |name, end| name.trim_end_matches(end));
        let typed = |name: &str| text.contains(&format!("# TYPE {name} "));
        assert!(typed(name) || typed(family), "{name} has no TYPE");
    }
    if installed("promtool") {
        let mut promtool = std::process::Command::new("promtool");
        let mut child = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    let shown = node.meshctl(&["metrics"]).clean().stdout;
    assert!(shown.contains("# TYPE mesh_requests_total counter"), "{shown}");
}

// covers: MET-40
#[test]
fn every_series_is_documented() {
    needs_root!();
    let (node, _web) = node_with_web(&[]);
    node.run_as("cli").get("web.mesh", "/x");
    let page =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, text) = node.admin("/metrics").unwrap();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(page.contains(name), "{name} is not in docs/metrics.md");
    }
}

// covers: MET-03 MET-11
#[test]
fn in_flight_returns_to_zero_when_clients_give_up() {
    needs_root!();
    let node = Node::start();
    let _slow = Backend::scripted(&node.netns, "web", 8080, |_| {
        vec![Piece::Wait(Duration::from_millis(500)), Piece::Bytes(ok("late", false))]
    });
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut cli = node.run_as("cli");
    let plan = Plan { timeout_ms: 50, ..Plan::get("web.mesh", 50, 10) };
    let report = cli.load(&plan);
    assert_eq!(report.fate("timeout"), 50, "{}", report.summary());
    eventually("no request in flight", Duration::from_secs(10), || {
        let now = node.metric("mesh_requests_in_flight", &["service=\"web\""]);
        if now == 0.0 { Ok(()) } else { Err(now) }
    });
}

fn completed(node: &Node, count: usize) -> Vec<Value> {
    eventually("the access log", Duration::from_secs(5), || {
        let lines = node.access_log("request completed");
        if lines.len() >= count { Ok(lines) } else { Err(format!("{} lines", lines.len())) }
    })
}

// covers: LOG-01 LOG-02 LOG-03 LOG-04 LOG-06 LOG-07 LOG-08 LOG-10 LOG-16 LOG-17 LOG-18 LOG-19
// covers: LOG-20 LOG-21 LOG-22 LOG-23 LOG-26 TRACE-04
#[test]
fn each_request_has_a_pair_of_lines() {
    needs_root!();
    let (node, web) = node_with_web(&[]);
    let mut cli = node.run_as("cli");
    let request = "POST /a/b?c=1 HTTP/1.1\r\nHost: web.mesh\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let got = cli.exchange("web.mesh:80", vec![request.into()], 3_000);
    let line = completed(&node, 1).remove(0);
    for (key, value) in [
        ("method", "POST"),
        ("path", "/a/b?c=1"),
        ("protocol", "HTTP/1.1"),
        ("upstream_cluster", "web"),
        ("source", "cli"),
        ("upstream_host", "127.0.0.1:8080"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!(
        (&line["status"], &line["bytes_sent"], &line["bytes_received"]),
        (&200.into(), &3.into(), &5.into())
    );
    assert_eq!(line["remote_addr"], got.local, "{line}");
    assert!(line["latency_ms"].is_number(), "{line}");
    let stamp = line["timestamp"].as_str().unwrap();
    assert!(stamp.len() == 24 && stamp.ends_with('Z') && stamp.as_bytes()[19] == b'.', "{stamp}");
    let trace = line["trace_id"].as_str().unwrap();
    let sent = web.seen().pop().unwrap().head.one("traceparent").unwrap();
    assert_eq!(sent.split('-').nth(1), Some(trace));
    let started = node.access_log("request started");
    assert!(
        started.iter().any(|start| start["trace_id"] == trace && start["remote_addr"] == got.local)
    );
    let record = node.meshctl(&["trace", "get", trace]).exits(0).stdout;
    assert!(record.contains("/a/b?c=1"), "{record}");
    for line in node.log().lines() {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(parsed["level"].is_string() && parsed["timestamp"].is_string(), "{line}");
    }
}

// covers: LOG-14 LOG-15
#[test]
fn text_line_has_the_fields_in_order() {
    needs_root!();
    let node = Node::with(&["--access-log", "text"]);
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    node.run_as("cli").get("web.mesh", "/api/users");
    let line = eventually("a line", Duration::from_secs(5), || {
        let log = std::fs::read_to_string(node.dir.path().join("access.log")).unwrap_or_default();
        log.lines().next().map(str::to_owned).ok_or("none yet")
    });
    let (stamp, rest) = line.split_once("] ").unwrap();
    assert!(stamp.starts_with("[2") && stamp.ends_with('Z'), "{line}");
    let rest =
        rest.strip_prefix("\"GET /api/users HTTP/1.1\" 200 ").unwrap_or_else(|| panic!("{line}"));
    let words: Vec<&str> = rest.split(' ').collect();
    assert!(words.len() == 4 && words[0].parse::<f64>().is_ok(), "{line}");
    assert_eq!(words[1..], ["19", "0", "\"web\""], "{line}");
}

// covers: LOG-12
#[test]
fn stopping_writes_what_was_recorded() {
    needs_root!();
    let (mut node, _web) = node_with_web(&[]);
    let mut cli = node.run_as("cli");
    let report = cli.load(&Plan::get("web.mesh", 2_000, 4));
    assert_eq!(node.stop(), Some(0));
    assert_eq!(report.lost(), 0, "{}", report.summary());
    assert_eq!(node.access_log("request completed").len(), 2_000);
}

// covers: ROUTE-16 X-090
#[test]
fn traced_request_shows_every_decision_and_its_time() {
    needs_root!();
    let (node, _web) = node_with_web(&[]);
    node.ok(&["route", "web", "--path-prefix", "/v1", "--to", "web:v1"]);
    let url = "http://web.mesh/v1/x";
    let traced =
        node.meshctl(&["trace", "request", url, "--from", "cli", "-o", "json"]).exits(0).json();
    let text = traced.to_string();
    for part in ["route/web", "PathPrefix /v1", "v1", "127.0.0.1:8080"] {
        assert!(text.contains(part), "no {part} in {traced:#}");
    }
    let steps = traced["steps"].as_array().unwrap_or_else(|| panic!("{traced:#}"));
    let names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    for name in ["capture", "route", "balance", "app"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let sum: f64 = steps.iter().filter_map(|step| step["durationUs"].as_f64()).sum();
    let total = traced["durationUs"].as_f64().unwrap_or_else(|| panic!("{traced:#}"));
    assert!((sum - total).abs() <= 0.05 * total, "{sum} of {total} µs\n{traced:#}");
    let table = node.ok(&["trace", "request", url, "--from", "cli"]);
    assert!(table.contains("PathPrefix /v1"), "{table}");
    node.meshctl(&["trace", "request", "http://web.mesh/404", "--from", "cli", "--expect", "200"])
        .exits(1);
    let listed = node.ok(&["trace", "list"]);
    assert!(listed.contains("/v1/x"), "{listed}");
}

// covers: ADM-01 ADM-02 ADM-03 ADM-05 MET-13 MET-14
#[test]
fn admin_pages_answer() {
    needs_root!();
    let (node, _web) = node_with_web(&[]);
    node.run_as("cli").get("web.mesh", "/x");
    for (path, part) in [
        ("/stats", "web"),
        ("/stats?filter=requests", "requests"),
        ("/backends", "127.0.0.1:8080"),
        ("/clusters", "127.0.0.1:8080"),
        ("/health", ""),
        ("/ready", ""),
    ] {
        let (status, body) = node.admin(path).unwrap();
        assert!(status == 200 && body.contains(part), "{path}: {status} {body}");
    }
    assert_eq!(node.admin("/nope").unwrap().0, 404);
}

// covers: CP-16
#[test]
fn daemon_says_once_that_it_is_ready() {
    needs_root!();
    let node = Node::start();
    let lines = node.log();
    let ready: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["msg"] == "ready")
        .collect();
    assert_eq!(ready.len(), 1, "{lines}");
    assert_eq!(ready[0]["socket"], node.socket().display().to_string());
    node.meshctl(&["status"]).exits(0);
}

// covers: ADM-07
#[test]
fn admin_refuses_strangers() {
    needs_root!();
    let node = Node::start();
    let mut outsider = node.outsider();
    for (request, status) in [
        (
            "POST /stats HTTP/1.1\r\nHost: 127.0.0.1:15020\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "405",
        ),
        ("GET /stats HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "403"),
        (
            "GET /stats HTTP/1.1\r\nHost: 127.0.0.1:15020\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n",
            "403",
        ),
    ] {
        let got = outsider.exchange("127.0.0.1:15020", vec![request.into()], 3_000).text();
        assert!(got.starts_with(&format!("HTTP/1.1 {status}")), "{request} -> {got}");
    }
}
