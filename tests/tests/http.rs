//! HTTP/1.1 carried end to end.

use std::thread;
use std::time::Duration;

use mesh_tests::backend::ok;
use mesh_tests::load::Plan;
use mesh_tests::mixed;
use mesh_tests::probe::{Answer, Ask, Part};
use mesh_tests::wait::{eventually, until};
use mesh_tests::{Backend, Node, Piece, needs_root};

fn node_with_web(
    answer: impl Fn(&mesh_tests::Seen) -> Vec<Piece> + Send + Sync + 'static,
) -> (Node, Backend) {
    let node = Node::start();
    let web = Backend::scripted(&node.netns, "web", 8080, answer);
    node.ok(&["register", "web", "--port", "http:8080"]);
    (node, web)
}

fn says(text: &str) -> Vec<Piece> {
    vec![Piece::Bytes(text.as_bytes().to_vec())]
}

// covers: HTTP-01 HTTP-02 HTTP-03
#[test]
fn ten_thousand_mixed_requests_arrive_as_sent() {
    needs_root!();
    let (node, web) = node_with_web(mixed::mirror);
    let wrong: Vec<String> = thread::scope(|scope| {
        let clients = (0..4_u64).map(|part| {
            scope.spawn({
                let node = &node;
                move || {
                    let mut probe = node.run_as("cli");
                    let (from, to) = (part * 2_500, (part + 1) * 2_500);
                    let (address, host) = ("web.mesh:80".to_owned(), "web.mesh".to_owned());
                    match probe.ask(&Ask::Mixed { address, host, from, to }) {
                        Answer::Mixed(wrong) => wrong,
                        other => vec![format!("{other:?}")],
                    }
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
    assert_eq!(web.served(), 10_000);
    assert_eq!(web.dirt(), Vec::<String>::new());
}

// covers: HTTP-03
#[test]
fn large_bodies_stream_without_growing_the_daemon() {
    needs_root!();
    let (node, web) = node_with_web(|seen| {
        says(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            if seen.length > 0 { "ok" } else { "no" }
        ))
    });
    let mut cli = node.run_as("cli");
    cli.get("web.mesh", "/warm");
    let before = node.metric("process_resident_memory_bytes", &[]);
    let size = 10 << 20;
    let head = format!(
        "POST /big HTTP/1.1\r\nHost: web.mesh\r\nContent-Type: application/json\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    );
    let mut parts: Vec<Part> = vec![head.as_str().into()];
    parts.extend((0..10).map(|_| Part::Send(vec![b'x'; 1 << 20])));
    let got = cli.exchange("web.mesh:80", parts, 10_000);
    assert!(got.text().starts_with("HTTP/1.1 200") && got.text().ends_with("ok"), "{}", got.text());
    let seen = web.seen().pop().unwrap();
    assert_eq!(seen.length, size);
    assert_eq!(seen.head.one("content-type").unwrap(), "application/json");
    let grown = node.metric("process_resident_memory_bytes", &[]) - before;
    assert!(grown < 6e6, "grew by {grown} bytes");
}

// covers: L4-05
#[test]
fn connections_are_reused_on_both_sides() {
    needs_root!();
    let (node, web) = node_with_web(|_| vec![Piece::Bytes(ok("web", false))]);
    let mut cli = node.run_as("cli");
    let report = cli.load(&Plan::get("web.mesh", 1_000, 1));
    assert_eq!(report.lost(), 0, "{}", report.summary());
    assert!(web.accepted() <= 4, "{} connections for 1,000 requests", web.accepted());
    assert!(node.metric("mesh_connections_opened_total", &["service=\"web\""]) <= 2.0);
}

// covers: L4-05
#[test]
fn stale_pooled_connection_is_not_the_callers_problem() {
    needs_root!();
    let (node, web) = node_with_web(|_| vec![Piece::Bytes(ok("web", false))]);
    let mut cli = node.run_as("cli");
    for round in 0..20 {
        assert!(cli.get("web.mesh", "/x").ends_with("web"), "round {round}");
        web.hang_up();
    }
}

// covers: HTTP-02
#[test]
fn upgrade_becomes_a_tunnel_both_ways() {
    needs_root!();
    let (node, web) = node_with_web(|seen| {
        let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi ";
        assert_eq!(seen.head.one("upgrade").as_deref(), Some("websocket"));
        vec![Piece::Bytes(switch.as_bytes().to_vec()), Piece::Echo]
    });
    let mut cli = node.run_as("cli");
    let offer = "GET /ws HTTP/1.1\r\nHost: web.mesh\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
    let parts =
        vec![offer.into(), Part::Wait(100), "\u{1}ping".into(), Part::Wait(50), Part::HalfClose];
    let got = cli.exchange("web.mesh:80", parts, 3_000);
    assert!(got.text().starts_with("HTTP/1.1 101"), "{}", got.text());
    assert!(got.text().ends_with("hi \u{1}ping") && got.closed, "{}", got.text());
    assert_eq!(web.served(), 1);
}

// covers: HTTP-02 X-052
#[test]
fn interim_answers_and_trailers_pass() {
    needs_root!();
    let (node, web) = node_with_web(|_| {
        says(
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
        )
    });
    let mut cli = node.run_as("cli");
    let request = "POST /t HTTP/1.1\r\nHost: web.mesh\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Up: 1\r\n\r\n";
    let got = cli.exchange("web.mesh:80", vec![request.into()], 500).text();
    assert!(got.starts_with("HTTP/1.1 103") && got.contains("</a>"), "{got}");
    assert!(got.to_lowercase().contains("x-sum: 7"), "{got}");
    let seen = web.seen().pop().unwrap();
    assert_eq!(seen.body, b"hi");
    assert_eq!(seen.trailers.len(), 1, "{:?}", seen.trailers);
}

// covers: HTTP-15 HTTP-12 X-093 MET-04
#[test]
fn every_upstream_failure_has_its_status_and_its_reason() {
    needs_root!();
    let (node, web) = node_with_web(|seen| match seen.head.target() {
        "/reset" => vec![Piece::Reset],
        "/close" => vec![Piece::Close],
        "/hang" => vec![Piece::Wait(Duration::from_secs(4)), Piece::Close],
        _ => vec![Piece::Bytes(ok("web", false))],
    });
    node.ok(&["route", "web", "--path-prefix", "/hang", "--to", "web", "--timeout", "300ms"]);
    let mut cli = node.run_as("cli");
    let mut reasons = Vec::new();
    let mut failed = |path: &str, status: &str| {
        let got = cli.get("web.mesh", path);
        assert!(got.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {got}");
        let reason = got.lines().find(|line| line.to_lowercase().starts_with("x-mesh-error:"));
        reasons.push(reason.unwrap_or_else(|| panic!("{path}: no reason in {got}")).to_owned());
    };
    failed("/reset", "502");
    failed("/close", "502");
    failed("/hang", "504");
    drop(web);
    failed("/refused", "503");
    let statuses = eventually("four log lines", Duration::from_secs(5), || {
        let log = node.access_log("request completed");
        let mut statuses: Vec<_> = log.iter().filter_map(|line| line["status"].as_u64()).collect();
        statuses.sort_unstable(); // each worker writes its own in order
        if statuses.len() >= 4 { Ok(statuses) } else { Err(format!("{log:?}")) }
    });
    assert_eq!(statuses, [502, 502, 503, 504]);
    assert_eq!(
        node.metric("mesh_errors_total", &["service=\"web\"", "error_type=\"timeout\""]),
        1.0
    );
    assert_eq!(
        node.metric("mesh_errors_total", &["service=\"web\"", "error_type=\"connect\""]),
        1.0
    );
    for code in reasons.iter().filter_map(|line| line.split(": ").nth(1)) {
        node.meshctl(&["explain", code.trim()]).exits(0);
    }
}

// covers: HTTP-15
#[test]
fn answer_cut_short_is_seen_as_cut() {
    needs_root!();
    let (node, _web) = node_with_web(|_| {
        vec![
            Piece::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf".to_vec()),
            Piece::Close,
        ]
    });
    let mut cli = node.run_as("cli");
    let request = "GET /half HTTP/1.1\r\nHost: web.mesh\r\n\r\n";
    let got = cli.exchange("web.mesh:80", vec![request.into()], 3_000);
    assert!(got.closed && got.text().ends_with("half"), "{}", got.text());
    let line = eventually("the log line", Duration::from_secs(5), || {
        node.access_log("request completed").pop().ok_or("no line yet")
    });
    let text = line.to_string();
    assert!(text.contains("UC") || text.contains("reset"), "no reason: {text}");
}

// covers: HTTP-18
#[test]
fn undeclared_protocol_is_recognised_from_its_first_bytes() {
    needs_root!();
    let node = Node::start();
    let _any = Backend::http(&node.netns, "any", 8080);
    node.ok(&["register", "any", "--port", "8080", "--service-port", "80"]);
    let mut cli = node.run_as("cli");
    assert!(cli.get("any.mesh", "/x").ends_with("any GET /x 0"));
    assert_eq!(node.metric("mesh_requests_total", &["service=\"any\""]), 1.0, "carried as HTTP");
}

// covers: HTTP-14 CP-14
#[test]
fn stopping_lets_the_request_in_flight_finish() {
    needs_root!();
    let (mut node, web) = node_with_web(|_| {
        vec![Piece::Wait(Duration::from_millis(600)), Piece::Bytes(ok("done", false))]
    });
    let mut cli = node.run_as("cli");
    let mut hold = node.run_as("cli");
    hold.ask(&Ask::Hold { address: "web.mesh:80".to_owned(), count: 500 });
    let answer = thread::scope(|scope| {
        let asking = scope.spawn(|| cli.get("web.mesh", "/slow"));
        until("the request at the backend", Duration::from_secs(5), || web.served() == 1);
        assert_eq!(node.stop(), Some(0));
        asking.join().unwrap()
    });
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
}

// covers: TRACE-01 TRACE-02 TRACE-06
#[test]
fn trace_context_is_made_or_continued() {
    needs_root!();
    let (node, web) = node_with_web(|_| vec![Piece::Bytes(ok("web", false))]);
    let mut cli = node.run_as("cli");
    let answer = cli.get("web.mesh", "/made");
    let made = web.seen().pop().unwrap().head;
    let (trace, id) = (made.one("traceparent").unwrap(), made.one("x-request-id").unwrap());
    let parts: Vec<&str> = trace.split('-').collect();
    assert!(parts.len() == 4 && parts[1].len() == 32 && parts[2].len() == 16, "{trace}");
    assert!(answer.to_lowercase().contains(&format!("x-request-id: {id}")), "not echoed: {answer}");
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = format!(
        "GET /kept HTTP/1.1\r\nHost: web.mesh\r\nTraceParent: {given}\r\ntracestate: a=1\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n"
    );
    cli.exchange("web.mesh:80", vec![request.as_str().into()], 3_000);
    let kept = web.seen().pop().unwrap().head;
    let span = kept.one("traceparent").unwrap();
    assert!(span.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{span}");
    assert!(!span.contains("00f067aa0ba902b7"), "the span is the caller's: {span}");
    assert_eq!(kept.one("x-request-id").as_deref(), Some("mine"));
    assert_eq!(kept.one("tracestate").as_deref(), Some("a=1"));
    for bad in [
        "",
        "00-zz",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    ] {
        let request = format!(
            "GET /bad HTTP/1.1\r\nHost: web.mesh\r\ntraceparent: {bad}\r\nConnection: close\r\n\r\n"
        );
        cli.exchange("web.mesh:80", vec![request.as_str().into()], 3_000);
        let seen = web.seen().pop().unwrap().head;
        let all = seen.all("traceparent");
        assert_eq!(all.len(), 1, "{bad}");
        assert!(all[0].len() == 55 && all[0] != bad.as_bytes(), "{bad} -> {all:?}");
    }
}
