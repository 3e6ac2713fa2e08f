//! Manifests: apply, diff, export, history, undo.

use std::fs;
use std::time::Duration;

use mesh_tests::load::Plan;
use mesh_tests::wait::eventually;
use mesh_tests::{Backend, Node, needs_root};

const MESH: &str = "\
apiVersion: mesh/v1
kind: Service
metadata: {name: web}
spec:
  ports: [{port: 80, protocol: http}]
  endpoints:
  - {node: n1, address: 127.0.0.1, port: 8080, subset: v1}
  - {node: n1, address: 127.0.0.1, port: 8081, subset: v2}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{kind: Service, name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /v2}}]
    backendRefs: [{name: web, subset: v2}]
  - backendRefs:
    - {name: web, subset: v1, weight: 90}
    - {name: web, subset: v2, weight: 10}
";

fn node_with(text: &str) -> (Node, String) {
    let node = Node::start();
    let file = node.file("mesh/mesh.yaml", text);
    let folder = file.parent().unwrap().display().to_string();
    (node, folder)
}

// covers: ACC-27 CP-18
#[test]
fn applying_again_changes_nothing_and_drift_is_seen() {
    needs_root!();
    let (node, folder) = node_with(MESH);
    node.meshctl(&["apply", "-f", &folder])
        .exits(0)
        .says(&["service/web created", "route/web created"]);
    node.meshctl(&["apply", "-f", &folder])
        .exits(0)
        .says(&["service/web unchanged", "route/web unchanged"]);
    node.meshctl(&["diff", "-f", &folder]).exits(0);
    node.ok(&["split", "web", "v1=70", "v2=30"]);
    node.meshctl(&["diff", "-f", &folder]).exits(1).says(&["route/web", "30"]);
    node.meshctl(&["apply", "-f", &folder]).exits(0).says(&["route/web configured"]);
    node.meshctl(&["diff", "-f", &folder]).exits(0);
}

// covers: ACC-28 CLI-11
#[test]
fn one_invalid_object_and_nothing_is_applied() {
    needs_root!();
    let (node, folder) = node_with(MESH);
    let bad = MESH.replace("port: 80,", "port: 80000,").replace("name: web", "name: shop");
    node.file("mesh/shop.yaml", &bad);
    node.meshctl(&["apply", "-f", &folder]).exits(2).complains(&["shop.yaml:5:", "port"]);
    node.meshctl(&["get", "service/web"]).exits(5);
}

// covers: ACC-29
#[test]
fn export_and_dry_run_are_manifests() {
    needs_root!();
    let (node, folder) = node_with(MESH);
    node.ok(&["apply", "-f", &folder]);
    node.ok(&["register", "db", "--port", "tcp:5432"]);
    let export = node.ok(&["export"]);
    let again = node.meshctl_with(&["apply", "-f", "-"], &export).exits(0);
    for line in again.stdout.lines() {
        assert!(line.ends_with("unchanged"), "{again}\n{export}");
    }
    let route = ["route", "web", "--path-prefix", "/x", "--to", "web:v1"];
    let dry = node.ok(&[&route[..], &["--dry-run=client", "-o", "yaml"]].concat());
    node.meshctl_with(&["lint", "-f", "-"], &dry).exits(0);
    assert_eq!(node.ok(&["export"]), export, "a dry run changed something");
}

// covers: ACC-30 CLI-05
#[test]
fn unknown_fields_get_a_suggestion_and_upstream_routes_apply_as_they_are() {
    needs_root!();
    let (node, folder) = node_with(&MESH.replace("backendRefs: [{name", "backendRef: [{name"));
    node.meshctl(&["apply", "-f", &folder]).exits(2).complains(&["backendRef", "backendRefs"]);
    let upstream = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: http-app-1
spec:
  parentRefs:
  - name: my-gateway
  hostnames:
  - \"foo.com\"
  rules:
  - matches:
    - path:
        type: PathPrefix
        value: /bar
    backendRefs:
    - name: my-service1
      port: 8080
  - matches:
    - headers:
      - type: Exact
        name: magic
        value: foo
      queryParams:
      - type: Exact
        name: great
        value: example
      path:
        type: PathPrefix
        value: /some/thing
      method: GET
    backendRefs:
    - name: my-service2
      port: 8080
";
    node.meshctl_with(&["apply", "-f", "-"], upstream).exits(0).says(&["http-app-1 created"]);
    let shown = node.ok(&["describe", "route/http-app-1"]);
    assert!(shown.contains("not attached") && shown.contains("my-gateway"), "{shown}");
}

// covers: ACC-26 CP-07
#[test]
fn every_change_can_be_undone() {
    needs_root!();
    let (node, folder) = node_with(MESH);
    node.ok(&["apply", "-f", &folder]);
    let first = node.ok(&["export"]);
    let generation = |node: &Node| {
        let history = node.meshctl(&["history", "-o", "json"]).exits(0).json();
        history["items"][0]["generation"].as_u64().expect("a generation")
    };
    let at = generation(&node);
    node.ok(&["split", "web", "v1=50", "v2=50", "--reason", "try"]);
    let second = node.ok(&["export"]);
    assert_ne!(first, second);
    node.ok(&["undo"]);
    assert_eq!(node.ok(&["export"]), first);
    node.ok(&["undo"]);
    assert_eq!(node.ok(&["export"]), second, "undo of undo is redo");
    node.ok(&["undo", "--to", &at.to_string()]);
    assert_eq!(node.ok(&["export"]), first);
    let history = node.ok(&["history"]);
    assert!(history.contains("split web v1=50 v2=50") && history.contains("try"), "{history}");
}

#[test]
fn moved_generation_is_a_conflict() {
    needs_root!();
    let (node, folder) = node_with(MESH);
    node.ok(&["apply", "-f", &folder]);
    let split = ["split", "web", "v1=1", "v2=1", "--if-generation"];
    node.meshctl(&[&split[..], &["1000"]].concat()).exits(6);
}

// covers: CP-06 CP-08 CP-07
#[test]
fn hangup_rereads_the_manifests_and_keeps_the_old_ones_when_they_are_bad() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mesh.yaml");
    fs::write(&file, MESH).unwrap();
    let node = Node::with(&["--manifests", &folder.path().display().to_string()]);
    let (_v1, _v2) =
        (Backend::http(&node.netns, "v1", 8080), Backend::http(&node.netns, "v2", 8081));
    let mut cli = node.run_as("cli");
    assert!(cli.get("web.mesh", "/v2/x").contains("v2 GET /v2/x"));
    let mut load = node.run_as("load");
    let plan = Plan { rate: 500.0, ..Plan::get("web.mesh", 1_500, 4) };
    let (report, ()) = load.load_meanwhile(&plan, || {
        fs::write(&file, MESH.replace("value: /v2", "value: /beta")).unwrap();
        node.signal(nix::sys::signal::Signal::SIGHUP);
        eventually("the new route", Duration::from_secs(5), || {
            let answer = cli.get("web.mesh", "/beta/x");
            if answer.contains("v2 GET /beta/x") { Ok(()) } else { Err(answer) }
        });
        fs::write(&file, MESH.replace("kind: HTTPRoute", "kind: HTTPRuote")).unwrap();
        node.signal(nix::sys::signal::Signal::SIGHUP);
        eventually("the refusal in the log", Duration::from_secs(5), || {
            let log = node.log();
            if log.contains("HTTPRuote") { Ok(()) } else { Err(node.log_tail()) }
        });
        assert!(cli.get("web.mesh", "/beta/x").contains("v2 GET /beta/x"), "old one was dropped");
    });
    assert_eq!(report.lost(), 0, "{}", report.summary());
}
