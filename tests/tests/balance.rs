//! Who gets the next request.

use std::time::Duration;

use mesh_tests::load::Plan;
use mesh_tests::{Backend, Node, needs_root};

/// `web` served by `count` endpoints `e1`, `e2`, … on one worker, so that the order shows.
fn node_with(count: u16, weights: &[&str]) -> (Node, Vec<Backend>) {
    let node = Node::with(&["--workers", "1"]);
    let serve = |number: u16| Backend::http(&node.netns, &format!("e{number}"), 8080 + number);
    let backends: Vec<Backend> = (1..=count).map(serve).collect();
    for number in 1..=count {
        let port = format!("http:{}", 8080 + number);
        let weight = weights.get(usize::from(number) - 1).copied().unwrap_or("1");
        node.ok(&["register", "web", "--port", &port, "--weight", weight]);
    }
    (node, backends)
}

// covers: LB-01 LB-02 LB-12 ROUTE-17
#[test]
fn requests_rotate_exactly() {
    needs_root!();
    let (node, _backends) = node_with(3, &[]);
    let mut cli = node.run_as("cli");
    let report = cli.load(&Plan::get("web.mesh", 300, 1));
    let first: Vec<&str> = report.order[..4].iter().map(String::as_str).collect();
    let rotation = |order: &[String]| {
        order
            .windows(3)
            .all(|three| three[0] != three[1] && three[1] != three[2] && three[0] != three[2])
    };
    assert!(rotation(&report.order), "{first:?}…");
    assert!(report.shares().values().all(|share| *share == 100), "{:?}", report.shares());
}

// covers: LB-03 LB-04
#[test]
fn weights_interleave_smoothly() {
    needs_root!();
    let (node, _backends) = node_with(3, &["5", "1", "1"]);
    let mut cli = node.run_as("cli");
    let report = cli.load(&Plan::get("web.mesh", 7_000, 1));
    let shares = report.shares();
    assert_eq!((shares["e1"], shares["e2"], shares["e3"]), (5_000, 1_000, 1_000));
    let round: Vec<&str> = report.order[..7].iter().map(String::as_str).collect();
    let runs = round.windows(3).filter(|three| three.iter().all(|name| *name == "e1")).count();
    assert!(runs <= 1, "not smooth: {round:?}");
}

// covers: LB-11
#[test]
fn every_endpoint_gets_its_part_over_many_connections() {
    needs_root!();
    let node = Node::start();
    let _backends: Vec<Backend> = (1..=3)
        .map(|number| {
            let backend = Backend::http(&node.netns, &format!("e{number}"), 8080 + number);
            node.ok(&["register", "web", "--port", &format!("http:{}", 8080 + number)]);
            backend
        })
        .collect();
    let mut cli = node.run_as("cli");
    let report = cli.load(&Plan { close: true, ..Plan::get("web.mesh", 3_000, 8) });
    assert_eq!(report.lost(), 0, "{}", report.summary());
    // Chi-square over three cells, p > 0.01: below 9.21.
    let chi: f64 =
        report.shares().values().map(|got| (*got as f64 - 1_000.0).powi(2) / 1_000.0).sum();
    assert!(chi < 9.21, "{chi}: {:?}", report.shares());
}

// covers: LB-07 LB-13 L4-07
#[test]
fn endpoints_come_and_go_under_load() {
    needs_root!();
    let (node, backends) = node_with(3, &[]);
    let fourth = Backend::http(&node.netns, "e4", 8084);
    let mut cli = node.run_as("cli");
    let plan = Plan { rate: 800.0, ..Plan::get("web.mesh", 2_400, 4) };
    let (report, ()) = cli.load_meanwhile(&plan, || {
        node.ok(&["register", "web", "--port", "http:8084"]);
        node.ok(&["deregister", "web", "--port", "8081"]);
    });
    assert_eq!(report.lost(), 0, "{}", report.summary());
    backends[0].forget();
    fourth.forget();
    let after = cli.load(&Plan::get("web.mesh", 300, 1));
    assert_eq!(backends[0].served(), 0, "the one that left is still asked");
    assert!(after.shares()["e4"].abs_diff(100) <= 2, "{:?}", after.shares());
    mesh_tests::wait::until("its idle connections to close", Duration::from_secs(5), || {
        backends[0].open() == 0
    });
}
