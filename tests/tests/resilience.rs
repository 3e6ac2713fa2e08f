//! Limits in time, and what survives when an endpoint does not.

use std::time::{Duration, Instant};

use mesh_tests::backend::ok;
use mesh_tests::load::Plan;
use mesh_tests::{Backend, Node, Piece, needs_root};

// covers: RESIL-02 RESIL-03 RESIL-06
#[test]
fn route_timeout_answers_in_time_and_ends_the_upstream_request() {
    needs_root!();
    let node = Node::start();
    let web = Backend::scripted(&node.netns, "slow", 8080, |_| {
        vec![Piece::Wait(Duration::from_secs(3)), Piece::Bytes(ok("late", false))]
    });
    node.ok(&["register", "web", "--port", "http:8080"]);
    node.ok(&["route", "web", "--path-prefix", "/", "--to", "web", "--timeout", "500ms"]);
    let mut cli = node.run_as("cli");
    let start = Instant::now();
    let got = cli.get("web.mesh", "/slow");
    let took = start.elapsed();
    assert!(got.starts_with("HTTP/1.1 504"), "{got}");
    assert!(took > Duration::from_millis(450) && took < Duration::from_millis(900), "{took:?}");
    let timeouts =
        node.metric("mesh_timeouts_total", &["route=\"route/web\"", "limit=\"request\""]);
    assert_eq!(timeouts, 1.0);
    assert_eq!(web.served(), 1, "a timed out request is not tried again");
}

// covers: RESIL-01 RESIL-05
#[test]
fn black_hole_fails_within_the_default_connect_timeout() {
    needs_root!();
    let node = Node::start();
    let rule = "table inet faults { chain in { type filter hook input priority -300; tcp dport 8080 drop; }; }";
    let done = node.netns.command("nft").arg(rule).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut cli = node.run_as("cli");
    let start = Instant::now();
    let got = cli.get("web.mesh", "/");
    let took = start.elapsed();
    let removed = node.netns.command("nft").args(["delete", "table", "inet", "faults"]).status();
    assert!(removed.unwrap().success());
    assert!(got.starts_with("HTTP/1.1 503") || got.starts_with("HTTP/1.1 504"), "{got}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(node.metric("mesh_timeouts_total", &["limit=\"connect\""]) >= 1.0);
}

// covers: F-09
#[test]
fn dead_endpoint_costs_no_request_while_another_lives() {
    needs_root!();
    let node = Node::start();
    let one = Backend::http(&node.netns, "e1", 8081);
    let two = Backend::http(&node.netns, "e2", 8082);
    for port in ["http:8081", "http:8082"] {
        node.ok(&["register", "web", "--port", port]);
    }
    let mut cli = node.run_as("cli");
    let plan = Plan { rate: 800.0, ..Plan::get("web.mesh", 2_400, 4) };
    let (report, ()) = cli.load_meanwhile(&plan, || {
        mesh_tests::wait::until("traffic", Duration::from_secs(5), || one.served() > 50);
        drop(one);
    });
    assert_eq!(report.lost(), 0, "{}", report.summary());
    assert!(two.served() >= 1_200, "{}", two.served());
}

// covers: F-09
#[test]
fn post_is_never_executed_twice() {
    needs_root!();
    let node = Node::start();
    let backends: Vec<Backend> = (1..=2)
        .map(|number| {
            let backend = Backend::http(&node.netns, &format!("e{number}"), 8080 + number);
            node.ok(&["register", "web", "--port", &format!("http:{}", 8080 + number)]);
            backend
        })
        .collect();
    let mut cli = node.run_as("cli");
    let plan = Plan {
        method: "POST".to_owned(),
        body: "once".to_owned(),
        rate: 400.0,
        ..Plan::get("web.mesh", 1_200, 4)
    };
    let (report, ()) = cli.load_meanwhile(&plan, || {
        for _ in 0..20 {
            mesh_tests::wait::pause(Duration::from_millis(100));
            backends[0].hang_up();
        }
    });
    let mut seen: Vec<String> = Vec::new();
    for backend in &backends {
        seen.extend(backend.seen().into_iter().map(|seen| seen.head.target().to_owned()));
    }
    let executed = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(executed, seen.len(), "some POST was executed twice");
    for id in &report.ok {
        assert!(seen.contains(&format!("/r/{id}")), "{id} was answered and never executed");
    }
}
