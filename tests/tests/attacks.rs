//! HTTP/1.1 attacks through a captured connection: the table is `tests/src/attack/`.

use std::thread;
use std::time::Duration;

use mesh_tests::attack::{Lane, cases};
use mesh_tests::{Node, needs_root};

/// Cases mostly wait for silence, so they run side by side, each lane with its own backend.
const LANES: usize = 4;

// covers: H1-01 H1-02 H1-03 H1-04 H1-05 H1-06 H1-07 H1-08 H1-09 H1-10 H1-11 H1-12 H1-13 H1-14
// covers: H1-15 H1-16 H1-17 H1-18 H1-19 H1-20 H1-21 H1-22 H1-23 H1-24 H1-25 H1-26 H1-27 H1-28
// covers: H1-29 H1-30 H1-31 H1-32 H1-33 H1-34 H1-35 H1-36 H1-37 H1-38 H1-39 H1-40 H1-41 H1-42
// covers: H1-43 H1-44 H1-45 H1-46 H1-47 H1-48 H1-49 H1-50 H1-51 H1-52 H1-53 H1-54 H1-55 H1-56
// covers: H1-57 H1-58 H1-59 H1-60 H1-61 H1-62 H1-63 H1-64 H1-65 H1-66 H1-67 H1-68 H1-69 H1-70
// covers: H1-71 H1-72 H1-73 H1-74 H1-75 H1-76 H1-77 H1-78 H1-79 H1-80 H1-81 H1-82 H1-83 H1-84
// covers: H1-86 H1-87 H1-88 H1-100 H1-101 H1-102 H1-103 H1-104 H1-105 H1-106 H1-107 H1-108
// covers: H1-109 H1-110 H1-111 H1-112 H1-113 H1-114 H1-115 H1-116 H1-117 H1-118 H1-119 H1-120
// covers: H1-121 H1-122 HTTP-02
#[test]
fn no_attack_is_forwarded_or_left_unanswered() {
    needs_root!();
    let node = Node::start();
    let failures: Vec<String> = thread::scope(|scope| {
        let lanes = (0..LANES).map(|number| {
            scope.spawn({
                let node = &node;
                move || run_lane(node, number)
            })
        });
        let lanes: Vec<_> = lanes.collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

fn run_lane(node: &Node, number: usize) -> Vec<String> {
    let service = format!("lane{number}");
    let port = 8080 + u16::try_from(number).unwrap();
    let lane = Lane::new(&node.netns, &service, port);
    node.ok(&["register", &service, "--port", &format!("http:{port}")]);
    let mut probe = node.run_as("cli");
    let mut failures = Vec::new();
    let mine = cases(&lane.host).into_iter().filter(|case| usize::from(case.id) % LANES == number);
    for case in mine {
        let (id, name) = (case.id, case.name);
        if let Err(why) = lane.play(&mut probe, case) {
            failures.push(format!("H1-{id:02} {name}: {why}"));
        }
    }
    failures
}

/// Garbage instead of a request is answered 400 or closed, and hurts nobody else.
// covers: CAP-01
#[test]
fn proxy_port_called_directly_forwards_nothing() {
    needs_root!();
    let node = Node::start();
    let lane = Lane::new(&node.netns, "web", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut outsider = node.outsider();
    let request = "GET /t HTTP/1.1\r\nHost: web.mesh\r\n\r\n";
    if outsider.refused("127.0.0.1:15001").is_none() {
        let got = outsider.exchange("127.0.0.1:15001", vec![request.into()], 2_000);
        assert!(got.closed, "left open: {}", got.text());
        assert!(!got.text().starts_with("HTTP/1.1 200"), "{}", got.text());
    }
    assert_eq!(lane.backend.served(), 0, "uncaptured bytes were forwarded");
}

// covers: F-21
#[test]
fn slow_heads_are_ended_and_do_not_slow_others() {
    needs_root!();
    let config = "proxy: {header_timeout_secs: 1}\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config).unwrap();
    let node = Node::with(&["--config", &file.display().to_string()]);
    let lane = Lane::new(&node.netns, "web", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut slow = node.run_as("cli");
    let start = std::time::Instant::now();
    let parts = vec!["GET /t HTTP/1.1\r\nHost: web.mesh\r\n".into()];
    let got = slow.exchange(&format!("{}:80", lane.host), parts, 8_000);
    assert!(got.closed && start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(got.received.is_empty() || got.text().starts_with("HTTP/1.1 408"), "{}", got.text());
    assert!(slow.get("web.mesh", "/after").starts_with("HTTP/1.1 200"));
}
