//! `meshctl check`: what it proves, and what it says when something is broken.

use mesh_tests::programs::program;
use mesh_tests::schema::violations;
use mesh_tests::{Backend, Node, Piece, needs_root};
use serde_json::Value;

fn statuses(report: &Value, wanted: &str) -> Vec<String> {
    let items = report["items"].as_array().expect("items");
    let found = items.iter().filter(|item| item["status"] == wanted);
    found.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

// covers: X-110 ACC-13
#[test]
fn a_healthy_mesh_passes_every_check_in_every_format() {
    needs_root!();
    for backend in ["ebpf", "nft"] {
        let node = Node::with(&["--backend", backend]);
        // With loopback's alone a datagram to elsewhere would have no source.
        node.netns.add_address("198.51.100.1/32");
        let report = node.meshctl(&["check", "-o", "json"]).exits(0).json();
        let schema = node.meshctl(&["schema", "CheckList"]).json();
        let wrong = violations(&schema, &schema, &report, "report");
        assert!(wrong.is_empty(), "{wrong:?}");
        let items = report["items"].as_array().unwrap();
        assert!(items.len() >= 30, "{} checks", items.len());
        for name in ["tcp4", "tcp6", "udp4", "udp6", "dns", "refusal", "foreign"] {
            let id = format!("capture/{name}");
            assert!(statuses(&report, "ok").contains(&id), "{backend} {id}: {report:#}");
        }
        for item in items.iter().filter(|item| item["status"] == "warn") {
            assert!(item["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{item}");
        }
        if backend == "nft" {
            continue;
        }
        for category in ["platform", "firewall,ports", "dns", "daemon", "capture", "services"] {
            let part = node.meshctl(&["check", "--category", category, "-o", "json"]).json();
            let all = part["items"].as_array().unwrap();
            let within = |item: &Value| category.contains(item["category"].as_str().unwrap());
            assert!(all.iter().all(within), "{category}: {part:#}");
        }
        let xml = node.ok(&["check", "-o", "junit"]);
        let file = node.file("check.xml", &xml);
        let parse = "import sys, xml.dom.minidom as x; x.parse(sys.argv[1])";
        let parsed = node.command("python3").args(["-c", parse]).arg(file).output().unwrap();
        assert!(parsed.status.success(), "{}\n{xml}", String::from_utf8_lossy(&parsed.stderr));
        assert!(node.ok(&["check", "-o", "short"]).lines().all(|line| line.contains('/')));
        node.meshctl(&["check", "--category", "captura"]).exits(2).complains(&["capture"]);
        node.meshctl(&["status", "-o", "junit"]).exits(2).complains(&["check"]);
    }
}

// covers: ACC-14
#[test]
fn one_broken_thing_fails_its_own_category_only() {
    needs_root!();
    let node = Node::start();
    let nft = |rules: &str| {
        let done = node.command("nft").arg(rules).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    nft("add table inet breaker");
    nft("add chain inet breaker in { type filter hook input priority 0; }");
    nft("add rule inet breaker in udp dport 15053 drop");
    nft("add rule inet breaker in tcp dport 15053 drop");
    let report = node.meshctl(&["check", "-o", "json"]).exits(1).json();
    let failed = statuses(&report, "fail");
    assert!(failed.iter().any(|id| id == "capture/dns"), "{failed:?}");
    assert!(failed.iter().all(|id| id.starts_with("capture/")), "{failed:?}");
    let table = node.meshctl(&["check"]).exits(1);
    table.says(&["capture/dns", "why: ", "fix: ", "all ok", "failed"]);
    nft("delete table inet breaker");
    node.meshctl(&["check", "--category", "capture,daemon"]).exits(0);
    node.ok(&["register", "lone", "--port", "tcp:4567", "--health", "tcp"]);
    let warned = node.meshctl(&["check", "--category", "services"]).exits(0);
    warned.says(&["services/lone", "1 warning"]);
    node.meshctl(&["check", "--category", "services", "--fail-on", "warn"]).exits(1);
}

// covers: OPS-02
#[test]
fn the_layer_at_which_a_service_fails_is_named() {
    needs_root!();
    let node = Node::start();
    let web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    node.meshctl(&["check", "--service", "web", "-v"])
        .exits(0)
        .says(&["answers 200", "web.mesh is"]);
    drop(web);
    node.meshctl(&["check", "--service", "web"]).exits(1).says(&[
        "fails at tcp",
        "127.0.0.1:8080",
        "refused",
    ]);
    let broken = |_: &mesh_tests::Seen| {
        vec![Piece::Bytes(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n".to_vec())]
    };
    let _broken = Backend::scripted(&node.netns, "broken", 8080, broken);
    node.meshctl(&["check", "--service", "web"]).exits(1).says(&["fails at http", "answers 500"]);
    node.meshctl(&["check", "--service", "nope"]).exits(5);
}

// covers: ACC-14
#[test]
fn check_waits_for_a_daemon_that_is_still_starting() {
    needs_root!();
    let mut node = Node::stopped(&[]);
    let down = node.meshctl(&["check", "--category", "daemon"]).exits(1);
    down.says(&["daemon/running", "fix: "]);
    let words = ["check", "--category", "daemon,capture", "--wait", "20s"];
    let mut waiting = node.command(program("meshctl")).args(words).spawn().unwrap();
    node.boot();
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
    node.ok(&["events"]);
}

#[test]
fn debug_shows_what_is_in_the_kernel() {
    needs_root!();
    let node = Node::with(&["--backend", "nft"]);
    node.meshctl(&["debug", "rules"]).exits(0).says(&[
        "table inet meshd",
        "table inet meshd_vip",
        "ip rule",
    ]);
    node.meshctl(&["debug", "ebpf"]).exits(0).says(&["the backend is nft"]);
    drop(node);
    let node = Node::with(&["--backend", "ebpf"]);
    let shown = node.meshctl(&["debug", "ebpf", "-o", "json"]).clean().json();
    let hooks: Vec<&str> = shown["programs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["hook"].as_str().unwrap())
        .collect();
    for hook in ["cgroup/connect4", "cgroup/connect6", "cgroup/sendmsg4", "cgroup/recvmsg6"] {
        assert!(hooks.contains(&hook), "{hooks:?}");
    }
    node.meshctl(&["debug", "ebpf"]).exits(0).says(&["HOOK", "cgroup/connect4", "meshd_c4"]);
}
