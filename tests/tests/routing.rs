//! Which backend a request meets.

use mesh_tests::load::Plan;
use mesh_tests::{Backend, Node, Probe, needs_root};

/// `web` with subsets v1 at 8080 and v2 at 8081.
fn canary() -> (Node, Backend, Backend) {
    let node = Node::start();
    let v1 = Backend::http(&node.netns, "v1", 8080);
    let v2 = Backend::http(&node.netns, "v2", 8081);
    for (subset, port) in [("v1", "http:8080"), ("v2", "http:8081")] {
        node.ok(&["register", "web", "--port", port, "--subset", subset]);
    }
    (node, v1, v2)
}

#[track_caller]
fn lands(cli: &mut Probe, request_line: &str, fields: &str, backend: &str) {
    let request =
        format!("{request_line} HTTP/1.1\r\nHost: web.mesh\r\n{fields}Connection: close\r\n\r\n");
    let got = cli.exchange("web.mesh:80", vec![request.as_str().into()], 3_000).text();
    assert!(got.contains(&format!("\r\n\r\n{backend} ")), "{request_line} {fields}: {got}");
}

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{kind: Service, name: web}]
  rules:
";

// covers: ROUTE-03 ROUTE-05 ROUTE-06 ROUTE-08
#[test]
fn path_rules_go_by_precedence_and_whole_segments() {
    needs_root!();
    let (node, _v1, _v2) = canary();
    let rules = "  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: web, subset: v1}]
  - matches: [{path: {type: PathPrefix, value: /api/users}}]
    backendRefs: [{name: web, subset: v2}]
  - matches: [{path: {type: Exact, value: /api/users/me}}]
    backendRefs: [{name: web, subset: v1}]
  - matches: [{path: {type: RegularExpression, value: '/r/[0-9]+'}}]
    backendRefs: [{name: web, subset: v2}]
";
    node.meshctl_with(&["apply", "-f", "-"], &format!("{ROUTE}{rules}")).exits(0);
    let mut cli = node.run_as("cli");
    for (path, backend) in [
        ("/api/users", "v2"),
        ("/api/users/7", "v2"),
        ("/api/users?x=1", "v2"),
        ("/api/users/me", "v1"),
        ("/api/userships", "v1"),
        ("/r/42", "v2"),
        ("/r/42x", "v1"),
        ("/anything", "v1"),
    ] {
        lands(&mut cli, &format!("GET {path}"), "", backend);
    }
}

// covers: ROUTE-03
#[test]
fn no_rule_no_backend() {
    needs_root!();
    let (node, v1, v2) = canary();
    let rules =
        "  - matches: [{path: {type: PathPrefix, value: /only}}]\n    backendRefs: [{name: web}]\n";
    node.meshctl_with(&["apply", "-f", "-"], &format!("{ROUTE}{rules}")).exits(0);
    let mut cli = node.run_as("cli");
    assert!(cli.get("web.mesh", "/else").starts_with("HTTP/1.1 404"));
    assert_eq!(v1.served() + v2.served(), 0);
}

// covers: ROUTE-03
#[test]
fn methods_headers_and_queries_match() {
    needs_root!();
    let (node, _v1, _v2) = canary();
    let rules = "  - matches: [{method: DELETE}, {headers: [{name: X-Variant, value: b}]}, {queryParams: [{name: beta, value: '1'}]}, {headers: [{name: x-age, type: RegularExpression, value: '[0-9]+'}]}]
    backendRefs: [{name: web, subset: v2}]
  - backendRefs: [{name: web, subset: v1}]
";
    node.meshctl_with(&["apply", "-f", "-"], &format!("{ROUTE}{rules}")).exits(0);
    let mut cli = node.run_as("cli");
    for (line, fields, backend) in [
        ("DELETE /x", "", "v2"),
        ("GET /x", "x-variant: b\r\n", "v2"),
        ("GET /x", "X-Variant: B\r\n", "v1"),
        ("GET /x?a=2&beta=1", "", "v2"),
        ("GET /x?beta=11", "", "v1"),
        ("GET /x", "X-Age: 42\r\n", "v2"),
        ("GET /x", "X-Age: 42y\r\n", "v1"),
        ("GET /x", "", "v1"),
    ] {
        lands(&mut cli, line, fields, backend);
    }
}

// covers: ROUTE-04
#[test]
fn host_chooses_among_routes_of_one_service() {
    needs_root!();
    let (node, _v1, _v2) = canary();
    let hosted = ROUTE.replace("spec:\n", "spec:\n  hostnames: [\"*.a.test\", b.test]\n");
    let rules = "  - backendRefs: [{name: web, subset: v2}]\n";
    node.meshctl_with(&["apply", "-f", "-"], &format!("{hosted}{rules}")).exits(0);
    let mut cli = node.run_as("cli");
    for (host, status) in [
        ("x.a.test", "200"),
        ("b.test:80", "200"),
        ("B.TEST", "200"),
        ("a.test", "404"),
        ("c.test", "404"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let got = cli.exchange("web.mesh:80", vec![request.as_str().into()], 3_000).text();
        assert!(got.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {got}");
    }
}

// covers: ACC-23 ROUTE-10 CP-06
#[test]
fn split_is_live_when_the_command_returns() {
    needs_root!();
    let (node, _v1, _v2) = canary();
    let mut cli = node.run_as("cli");
    for (first, second, expected) in
        [("v1=90", "v2=10", 100), ("v1=50", "v2=50", 500), ("v1=100", "v2=0", 0)]
    {
        node.ok(&["split", "web", first, second]);
        let report = cli.load(&Plan::get("web.mesh", 1_000, 4));
        assert_eq!(report.lost(), 0, "{}", report.summary());
        let share = report.shares().get("v2").copied().unwrap_or(0);
        assert!(share.abs_diff(expected) <= 30, "{share} of 1,000 went to v2, wanted {expected}");
    }
}

// covers: ROUTE-10 ROUTE-11
#[test]
fn weights_are_kept_over_ten_thousand_and_never_in_bursts() {
    needs_root!();
    let node = Node::with(&["--workers", "1"]);
    let _v1 = Backend::http(&node.netns, "v1", 8080);
    let _v2 = Backend::http(&node.netns, "v2", 8081);
    for (subset, port) in [("v1", "http:8080"), ("v2", "http:8081")] {
        node.ok(&["register", "web", "--port", port, "--subset", subset]);
    }
    node.ok(&["split", "web", "v1=80", "v2=20"]);
    let mut cli = node.run_as("cli");
    let report = cli.load(&Plan::get("web.mesh", 10_000, 1));
    let share = report.shares()["v2"];
    assert!(share.abs_diff(2_000) <= 100, "{share} of 10,000");
    let burst =
        report.order.windows(4).filter(|four| four.iter().filter(|name| *name == "v2").count() > 1);
    assert_eq!(burst.count(), 0, "two of four in a row went to the smaller subset");
}

// covers: CP-06 LB-13
#[test]
fn changing_weights_under_load_loses_nothing() {
    needs_root!();
    let (node, v1, v2) = canary();
    let mut cli = node.run_as("cli");
    let plan = Plan { rate: 800.0, ..Plan::get("web.mesh", 2_400, 4) };
    let (report, ()) = cli.load_meanwhile(&plan, || {
        for round in 0..20 {
            let weight = format!("v2={}", round * 5);
            node.ok(&["split", "web", "v1=50", &weight]);
        }
    });
    assert_eq!(report.lost(), 0, "{}", report.summary());
    assert_eq!(v1.served() + v2.served(), 2_400, "each request was executed once");
}

// covers: ROUTE-15 X-036 REG-06
#[test]
fn subsets_follow_registration() {
    needs_root!();
    let (node, _v1, v2) = canary();
    node.ok(&["split", "web", "v1=50", "v2=50"]);
    let listed = node.meshctl(&["get", "service/web", "-o", "json"]).json();
    let names: Vec<_> =
        listed["status"]["subsets"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    assert_eq!(names, ["v1", "v2"]);
    node.ok(&["deregister", "web", "--port", "8081"]);
    v2.forget();
    let mut cli = node.run_as("cli");
    let report = cli.load(&Plan::get("web.mesh", 100, 2));
    assert_eq!(v2.served(), 0, "{}", report.summary());
}

//
#[test]
fn tcp_connections_are_split_by_weight() {
    needs_root!();
    use std::io::Write as _;
    let node = Node::start();
    let greet = |name: &'static str| {
        move |mut stream: std::net::TcpStream| stream.write_all(name.as_bytes()).unwrap_or_default()
    };
    let _v1 = Backend::tcp(&node.netns, "v1", 7001, greet("v1"));
    let _v2 = Backend::tcp(&node.netns, "v2", 7002, greet("v2"));
    let service_port = ["--service-port", "7000"];
    for (subset, port) in [("v1", "tcp:7001"), ("v2", "tcp:7002")] {
        let register = ["register", "db", "--port", port, "--subset", subset];
        node.ok(&[&register[..], &service_port].concat());
    }
    let route = "\
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: db}
spec:
  parentRefs: [{kind: Service, name: db}]
  rules:
  - backendRefs: [{name: db, subset: v1, weight: 80}, {name: db, subset: v2, weight: 20}]
";
    node.meshctl_with(&["apply", "-f", "-"], route).exits(0);
    let mut cli = node.run_as("cli");
    let second =
        (0..200).filter(|_| cli.exchange("db.mesh:7000", vec![], 2_000).text() == "v2").count();
    assert!(second.abs_diff(40) <= 6, "{second} of 200 went to v2");
}
