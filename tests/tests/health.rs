//! Active checks: who is probed, how, and what follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use mesh_tests::load::Plan;
use mesh_tests::wait::{eventually, until};
use mesh_tests::{Backend, Node, Piece, Seen, needs_root};

/// A backend whose `/health` answers with a status the test sets; 0 hangs.
struct Patient {
    backend: Backend,
    status: Arc<AtomicU16>,
}

impl Patient {
    fn new(node: &Node, name: &'static str, port: u16) -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let shown = Arc::clone(&status);
        let backend = Backend::scripted(&node.netns, name, port, move |seen: &Seen| {
            let is_probe = seen.head.target().starts_with("/health");
            let text = match (is_probe, shown.load(Ordering::SeqCst)) {
                (true, 0) => return vec![Piece::Wait(Duration::from_secs(2)), Piece::Close],
                (true, status) => format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
                (false, _) => {
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len())
                }
            };
            vec![Piece::Bytes(text.into_bytes())]
        });
        Self { backend, status }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn probes(&self) -> usize {
        let seen = self.backend.seen();
        seen.iter().filter(|seen| seen.head.target().starts_with("/health")).count()
    }
}

const CHECK: &str =
    "health: {http: /health, interval: 100ms, timeout: 300ms, unhealthyAfter: 3, healthyAfter: 2}";

fn apply(node: &Node, health: &str, endpoints: &[u16]) {
    let endpoint = |port: &u16| format!("  - {{node: n1, address: 127.0.0.1, port: {port}}}\n");
    let endpoints: String = endpoints.iter().map(endpoint).collect();
    let text = format!(
        "apiVersion: mesh/v1\nkind: Service\nmetadata: {{name: web}}\nspec:\n  ports: [{{port: 80, protocol: http}}]\n  {health}\n  endpoints:\n{endpoints}"
    );
    node.meshctl_with(&["apply", "-f", "-"], &text).exits(0);
}

// covers: HEALTH-02 HEALTH-03 HEALTH-05 HEALTH-08 HEALTH-10 HEALTH-11 HEALTH-12 HEALTH-14
// covers: HEALTH-15 HEALTH-17 HEALTH-18 HEALTH-19
#[test]
fn failing_endpoint_leaves_and_returns_by_the_thresholds() {
    needs_root!();
    let node = Node::start();
    let (good, sick) = (Patient::new(&node, "good", 8080), Patient::new(&node, "sick", 8081));
    apply(&node, CHECK, &[8080, 8081]);
    node.until_ready("web", 2);
    sick.answers(500);
    let before = sick.probes();
    node.until_ready("web", 1);
    let failures = sick.probes() - before;
    assert!((3..=5).contains(&failures), "out after {failures} failed probes, wanted 3");
    sick.backend.forget();
    let mut cli = node.run_as("cli");
    let report = cli.load(&Plan::get("web.mesh", 100, 2));
    assert_eq!(report.lost(), 0, "{}", report.summary());
    assert_eq!(sick.backend.served(), 0, "an unhealthy endpoint was asked");
    until("probes go on", Duration::from_secs(2), || sick.probes() >= 3);
    sick.answers(204);
    node.until_ready("web", 2);
    let after = cli.load(&Plan::get("web.mesh", 100, 2));
    assert!(after.shares().get("sick").is_some_and(|share| *share > 20), "{:?}", after.shares());
    assert!(good.probes() > 3);
}

// covers: HEALTH-07
#[test]
fn late_answer_is_a_failure() {
    needs_root!();
    let node = Node::start();
    let slow = Patient::new(&node, "slow", 8080);
    apply(&node, CHECK, &[8080]);
    node.until_ready("web", 1);
    slow.answers(0);
    node.until_ready("web", 0);
    let why = node.ok(&["describe", "service/web"]).to_lowercase();
    assert!(
        why.contains("timeout") || why.contains("timed out") || why.contains("answer"),
        "{why}"
    );
}

// covers: HEALTH-01 HEALTH-13
#[test]
fn closed_port_is_not_ready_until_it_opens() {
    needs_root!();
    let node = Node::start();
    apply(
        &node,
        "health: {tcp: true, interval: 100ms, unhealthyAfter: 2, healthyAfter: 1}",
        &[8080],
    );
    node.until_ready("web", 0);
    let mut cli = node.run_as("cli");
    assert!(cli.get("web.mesh", "/").starts_with("HTTP/1.1 503"));
    let web = Backend::http(&node.netns, "v1", 8080);
    node.until_ready("web", 1);
    assert!(cli.get("web.mesh", "/").ends_with("v1 GET / 0"));
    drop(web);
    node.until_ready("web", 0);
}

// covers: HEALTH-13
#[test]
fn first_probe_is_made_at_once() {
    needs_root!();
    let node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    let slow = "health: {http: /health, interval: 60s}";
    let start = Instant::now();
    apply(&node, slow, &[8080]);
    node.until_ready("web", 1);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

// covers: HEALTH-16
#[test]
fn alternating_results_change_nothing() {
    needs_root!();
    let node = Node::start();
    let turn = Arc::new(AtomicU16::new(0));
    let count = Arc::clone(&turn);
    let _web = Backend::scripted(&node.netns, "flaky", 8080, move |_| {
        let status = if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { 200 } else { 500 };
        vec![Piece::Bytes(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes())]
    });
    apply(
        &node,
        "health: {http: /health, interval: 50ms, unhealthyAfter: 2, healthyAfter: 1}",
        &[8080],
    );
    node.until_ready("web", 1);
    until("twenty probes", Duration::from_secs(10), || {
        let (_, shown) = node.admin("/backends").unwrap();
        assert!(!shown.is_empty());
        turn.load(Ordering::SeqCst) >= 20
    });
    let json = node.meshctl(&["get", "service/web", "-o", "json"]).json();
    assert_eq!(json["status"]["ready"], 1, "{json}");
    let history = node.log();
    assert!(!history.contains("unhealthy"), "a single failure was enough\n{}", node.log_tail());
}

// covers: HEALTH-06
#[test]
fn probes_keep_their_interval() {
    needs_root!();
    let node = Node::start();
    let web = Patient::new(&node, "web", 8080);
    apply(&node, "health: {http: /health, interval: 200ms}", &[8080]);
    node.until_ready("web", 1);
    let (start, before) = (Instant::now(), web.probes());
    let probes = eventually("ten more probes", Duration::from_secs(10), || {
        let more = web.probes() - before;
        if more >= 10 { Ok(more) } else { Err(more) }
    });
    let each = start.elapsed().as_secs_f64() / probes as f64;
    assert!((0.15..0.30).contains(&each), "{each} s between probes, wanted 0.2");
}
