//! Commands that change and show the mesh, against a running daemon.

use std::time::{Duration, Instant};

use mesh_tests::offline::{complete, finish};
use mesh_tests::programs::program;
use mesh_tests::schema::violations;
use mesh_tests::wait::eventually;
use mesh_tests::{Backend, Node, needs_root};

fn history(node: &Node) -> usize {
    let shown = node.meshctl(&["history", "-o", "json"]).exits(0).json();
    shown["items"].as_array().expect("items").len()
}

// covers: ACC-15 REG-02 REG-19
#[test]
fn registering_twice_changes_nothing_the_second_time() {
    needs_root!();
    let node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    let before = history(&node);
    let register = ["register", "web", "--port", "http:8080", "--subset", "v1"];
    node.meshctl(&register).exits(0).says(&["service/web created"]);
    node.meshctl(&register).exits(0).says(&["service/web unchanged"]);
    assert_eq!(history(&node), before + 1);
    let quiet = [&register[..], &["-q"]].concat();
    assert_eq!(node.meshctl(&quiet).exits(0).stdout, "");
}

// covers: ACC-16
#[test]
fn bad_port_is_named_and_dead_health_url_is_explained() {
    needs_root!();
    let node = Node::start();
    node.meshctl(&["register", "web", "--port", "http:70000"])
        .exits(2)
        .complains(&["--port", "70000"]);
    node.meshctl(&["register", "web", "--port", "http:8080", "--health", "http:/healthz"]).exits(0);
    let row = node.ok(&["get", "services"]);
    assert!(row.contains("0/1"), "{row}");
    let why = node.ok(&["describe", "service/web"]);
    assert!(why.to_lowercase().contains("refused"), "{why}");
}

// covers: ACC-17 X-108
#[test]
fn listings_are_one_object_in_every_format() {
    needs_root!();
    let node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let schema = node.meshctl(&["schema", "ServiceList"]).clean().json();
    let list = node.meshctl(&["get", "services", "-o", "json"]).clean().json();
    let wrong = violations(&schema, &schema, &list, "list");
    assert!(wrong.is_empty(), "{wrong:?}\n{list:#}");
    assert_eq!(list["kind"], "ServiceList");
    assert_eq!(node.ok(&["get", "services", "-o", "name"]), "service/web\n");
    let yaml = node.ok(&["get", "service/web", "-o", "yaml"]);
    let json = node.meshctl(&["get", "service/web", "-o", "json"]).json();
    for (key, value) in [("kind", "Service"), ("name", "web")] {
        assert!(yaml.contains(&format!("{key}: {value}")), "{yaml}");
    }
    assert_eq!(json["metadata"]["name"], "web");
    let jq = node.ok(&["get", "services", "-o", "json", "--jq", ".items[].metadata.name"]);
    assert_eq!(jq.trim().trim_matches('"'), "web");
}

#[test]
fn tables_are_not_cut_in_a_pipe() {
    needs_root!();
    let node = Node::start();
    let long = "a".repeat(60);
    node.ok(&["register", &long, "--port", "8080"]);
    let table = node.ok(&["get", "services"]);
    assert!(table.contains(&long), "{table}");
    assert!(table.lines().next().unwrap().starts_with("NAME"), "{table}");
    let bare = node.ok(&["get", "services", "--no-headers"]);
    assert!(bare.starts_with(&long), "{bare}");
}

// covers: ACC-21
#[test]
fn unknown_objects_are_not_found() {
    needs_root!();
    let node = Node::start();
    node.ok(&["register", "web", "--port", "http:8080"]);
    node.meshctl(&["get", "service/wep"]).exits(5).complains(&["web"]);
    node.meshctl(&["delete", "service/nope"]).exits(0);
    node.meshctl(&["delete", "service/nope", "--must-exist"]).exits(5);
    node.meshctl(&["deregister", "nope", "--all"]).exits(0);
    node.meshctl(&["get", "nonsense"]).exits(2);
}

// covers: ACC-22
#[test]
fn split_to_an_empty_subset_is_refused_with_the_way_out() {
    needs_root!();
    let node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080", "--subset", "v1"]);
    let refused = node.meshctl(&["split", "web", "v1=90", "v2=10"]).exits(3);
    let refused = refused.complains(&["MESH1204", "why: ", "fix: meshctl register web", "v2"]);
    assert!(refused.stdout.is_empty(), "{refused}");
    node.meshctl(&["split", "web", "v1=90", "v2=10", "--allow-empty"]).exits(0);
}

// covers: ACC-31
#[test]
fn wait_may_start_before_the_service_exists() {
    needs_root!();
    let node = Node::start();
    let _late = Backend::http(&node.netns, "v1", 8080);
    let found = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            node.meshctl(&["wait", "service/late", "--for", "healthy", "--timeout", "20s"])
        });
        let register = ["register", "late", "--port", "http:8080", "--health", "http:/health"];
        node.ok(&register);
        waiting.join().unwrap()
    });
    found.exits(0);
    let start = Instant::now();
    let never = ["wait", "service/never", "--for", "exists", "--timeout", "2s"];
    node.meshctl(&never).exits(124).complains(&["never"]);
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(4), "{took:?}");
}

// covers: ACC-42 X-090 MET-10
#[test]
fn top_needs_no_terminal() {
    needs_root!();
    let node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut cli = node.run_as("cli");
    let report = cli.load(&mesh_tests::load::Plan::get("web.mesh", 200, 2));
    assert_eq!(report.lost(), 0, "{}", report.summary());
    let row = eventually("web in top", Duration::from_secs(10), || {
        let top = node.meshctl(&["top", "--once", "-o", "json"]).clean().json();
        let services = top["services"].as_array().cloned().unwrap_or_default();
        let found = services.into_iter().find(|row| {
            row["name"] == "web" && row["stats"]["rps"].as_f64().is_some_and(|rps| rps > 0.0)
        });
        found.ok_or_else(|| top.to_string())
    });
    assert_eq!(row["stats"]["success"].as_f64(), Some(1.0), "{row}");
    assert!(row["stats"]["p99Ms"].as_f64().is_some(), "{row}");
    node.meshctl(&["stat", "web"]).exits(0).says(&["web"]);
}

// covers: ACC-48
#[test]
fn completion_offers_service_names() {
    needs_root!();
    let node = Node::start();
    node.ok(&["register", "web", "--port", "http:8080"]);
    let offered = complete(&["split", "w"], &node.socket());
    assert!(offered.stdout.lines().any(|word| word.trim() == "web"), "{offered}");
    assert!(offered.stderr.is_empty(), "{offered}");
}

// covers: ACC-05
#[test]
fn stranger_is_told_how_to_get_in() {
    needs_root!();
    let node = Node::start();
    // The test's folder and target/ may be closed to others; the socket's own rule is meant.
    let open = |path: &std::path::Path| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).unwrap();
    };
    open(node.dir.path());
    let copy = node.dir.path().join("meshctl");
    std::fs::copy(program("meshctl"), &copy).unwrap();
    open(&copy);
    for args in [&["register", "web", "--port", "8080"][..], &["get", "services"]] {
        // The namespace is entered first, which a stranger may not.
        let mut command = node.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
        command.args(args).current_dir("/");
        finish(args, &mut command).exits(7).complains(&["fix: ", "mesh"]);
    }
}

// covers: CLI-02
#[test]
fn hostile_names_are_refused() {
    needs_root!();
    let node = Node::start();
    let long = "a".repeat(200);
    for name in ["we\nb", "we\x1b[31mb", "\u{202e}bew", "Web", "-web", "we b", "a/b", "", &long] {
        let refused = node.meshctl(&["register", name, "--port", "8080"]);
        assert_eq!(refused.code, 2, "{name:?}\n{refused}");
        assert!(!refused.stderr.contains('\x1b'), "{refused}");
    }
    let list = node.meshctl(&["get", "services", "-o", "json"]).json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(0), "{list}");
}

// covers: CP-10
#[test]
fn settings_are_shown_with_their_origin() {
    needs_root!();
    let node = Node::start();
    let shown = node.meshctl(&["env", "-o", "json"]).exits(0).stdout;
    assert!(shown.contains("proxy.header_timeout_secs") && shown.contains("default"), "{shown}");
    let table = node.ok(&["env"]);
    assert!(table.contains("MESHCTL_SOCKET"), "{table}");
}

//
#[test]
fn status_fits_one_screen() {
    needs_root!();
    let node = Node::start();
    let status = node.meshctl(&["status"]).exits(0);
    assert!(status.stdout.lines().count() <= 25, "{status}");
    let json = node.meshctl(&["status", "-o", "json"]).clean().json();
    assert_eq!(json["node"], "n1", "{json}");
}
