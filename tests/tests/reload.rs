//! Changed settings, put in force by SIGHUP: without a restart and without a gap.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mesh_tests::backends::backends;
use mesh_tests::load::{Plan, Report};
use mesh_tests::mirror::{goes_direct, mirror};
use mesh_tests::wait::eventually;
use mesh_tests::{Backend, Node, Probe, needs_root};
use nix::sys::signal::Signal;
use serde_json::Value;

/// A node whose settings are those of a file.
struct Set {
    node: Node,
    file: PathBuf,
}

impl Set {
    fn up(settings: &str) -> Self {
        let node = Node::stopped(&[]);
        let file = node.file("meshd.yaml", settings);
        let mut node = node.also(&["--config", &file.display().to_string()]);
        node.boot();
        Self { node, file }
    }

    fn write(&self, settings: &str) {
        fs::write(&self.file, settings).unwrap();
        self.node.signal(Signal::SIGHUP);
    }

    /// Writes settings, and waits until they are in force or refused.
    fn set(&self, settings: &str) {
        let before = self.reloads();
        self.write(settings);
        eventually("a reload", Duration::from_secs(60), || {
            if self.reloads() > before { Ok(()) } else { Err(self.node.log_tail()) }
        });
    }

    fn reloads(&self) -> usize {
        let log = self.node.log();
        log.matches("\"config/reloaded\"").count() + log.matches("\"config/refused\"").count()
    }

    fn status(&self) -> Value {
        self.node.meshctl(&["status", "-o", "json"]).json()
    }

    fn problem(&self, id: &str) -> Option<String> {
        let problems = self.status()["problems"].as_array().unwrap().clone();
        let found = problems.into_iter().find(|problem| problem["id"] == id)?;
        Some(found["summary"].to_string())
    }
}

/// New connections to `address` all the time.
fn calls(address: &str, requests: u64) -> Plan {
    let rate = 150.0;
    let plan = Plan { close: true, timeout_ms: 5_000, rate, ..Plan::get("web", requests, 3) };
    Plan { address: address.to_owned(), ..plan }
}

/// Calls the service by its endpoint's address and by its name, over connections of their own,
/// while `meanwhile` happens; asserts that meshd carried every one.
fn carried_throughout(node: &Node, requests: u64, meanwhile: impl FnOnce()) {
    let web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut clients = [node.run_as("one"), node.run_as("two"), node.run_as("three")];
    let [by_address, by_name, kept] = &mut clients;
    let name = by_name.resolve("web.mesh").unwrap();
    let vip = format!("{}:80", name.iter().find(|ip| ip.starts_with("240.")).unwrap());
    let kept_plan = Plan { close: false, ..calls(&vip, requests) };
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let loads = [
            scope.spawn(|| by_address.load(&calls("127.0.0.1:8080", requests))),
            scope.spawn(|| by_name.load(&calls(&vip, requests))),
            scope.spawn(|| kept.load(&kept_plan)),
        ];
        meanwhile();
        loads.into_iter().map(|load| load.join().expect("a load")).collect()
    });
    for report in reports {
        assert_eq!(report.lost(), 0, "{:?}", report.fates);
    }
    let seen = web.seen();
    let direct = seen.iter().filter(|seen| seen.head.one("x-request-id").is_none()).count();
    assert_eq!(direct, 0, "of {} requests went past meshd", seen.len());
}

//
#[test]
fn exclusions_change_under_load_without_a_gap() {
    needs_root!();
    for backend in backends() {
        eprintln!("capture by {backend}");
        let set = Set::up(&format!("capture: {{backend: {backend}}}\n"));
        let _server = mirror(&set.node.netns, 9000);
        set.node.ok(&["register", "mirror", "--port", "http:9000"]);
        let mut other = set.node.run_as("other");
        let goes = |client: &mut Probe| goes_direct(client, "127.0.0.1:9000");
        assert!(!goes(&mut other));
        carried_throughout(&set.node, 600, || {
            let settings = [
                ("exclude: {ports: [\"tcp:9000\"]}", true),
                ("fail_mode: closed", false),
                ("exclude: {cidrs: [127.0.0.1/32], ports: [\"tcp:9000\"]}, scope: host", true),
                ("exclude: {uids: [4242]}", false),
            ];
            for (at, (change, direct)) in settings.into_iter().enumerate() {
                // All of loopback excluded would exclude what is called, too.
                let change = change.replace("cidrs: [127.0.0.1/32]", "cidrs: [10.9.9.9/32]");
                set.set(&format!("capture: {{backend: {backend}, {change}}}\n"));
                assert_eq!(goes(&mut other), direct, "after change {at}: {change}");
            }
        });
        assert_eq!(set.status()["problems"], Value::Array(Vec::new()));
    }
}

#[test]
fn another_backend_takes_over_under_load_without_a_gap() {
    needs_root!();
    let set = Set::up("capture: {backend: nft}\n");
    carried_throughout(&set.node, 1_200, || {
        for backend in ["ebpf", "nft", "iptables", "ebpf", "nft"] {
            set.set(&format!("capture: {{backend: {backend}}}\n"));
            assert_eq!(set.status()["capture"]["backend"], backend);
        }
        set.set("capture: {backend: ebpf}\n");
    });
    // Who was replaced leaves nothing once it has nothing to carry.
    eventually("nft and iptables to leave", Duration::from_secs(60), || {
        let rules = set.node.ok(&["debug", "rules"]);
        let left = ["table inet meshd", "MESHD_", "fwmark"];
        if left.iter().any(|word| rules.contains(word)) { Err(rules) } else { Ok(()) }
    });
    let mut cli = set.node.run_as("cli");
    let _web = Backend::http(&set.node.netns, "v2", 8081);
    set.node.ok(&["register", "other", "--port", "http:8081"]);
    assert!(cli.get("other.mesh", "/x").ends_with("v2 GET /x 0"));
    assert!(cli.refused("240.0.255.1:80").is_some(), "a virtual address nobody has");
    assert!(set.node.outsider().refused("240.0.255.1:80").is_some());
}

#[test]
fn file_that_cannot_be_used_changes_nothing_and_is_named() {
    needs_root!();
    let set = Set::up("capture: {exclude: {ports: [\"tcp:9000\"]}}\n");
    let _server = mirror(&set.node.netns, 9000);
    set.node.ok(&["register", "mirror", "--port", "http:9000"]);
    let mut cli = set.node.run_as("cli");
    for (file, why) in [("capture: {exlude: {}}\n", "exlude"), ("proxy: {workers: 0}\n", "workers")]
    {
        set.set(file);
        let summary = set.problem("settings/refused").unwrap();
        assert!(summary.contains(why) && summary.contains("old settings hold"), "{summary}");
        assert!(goes_direct(&mut cli, "127.0.0.1:9000"), "the exclusion is gone");
    }
    set.node.meshctl(&["events"]).exits(0).says(&["config/refused"]);

    // What only a start reads is named, what is not is in force.
    set.set("proxy: {workers: 3}\ncapture: {backend: netns}\n");
    let summary = set.problem("settings/restart").unwrap();
    assert!(summary.contains("proxy.workers") && summary.contains("capture.backend"), "{summary}");
    assert_eq!(set.problem("settings/refused"), None);
    assert!(!goes_direct(&mut cli, "127.0.0.1:9000"), "the exclusion is still there");
    let check = set.node.meshctl(&["check", "--category", "daemon"]);
    check.says(&["settings-restart", "restart"]);
    set.set("capture: {fail_mode: closed}\n");
    assert_eq!(set.problem("settings/restart"), None);
    assert_eq!(set.status()["capture"]["failMode"], "closed");
}
