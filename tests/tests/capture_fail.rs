//! The daemon dies or hangs: the workload goes on, or is refused, as the settings say.

use std::fs;
use std::time::Duration;

use mesh_tests::backends::{backends, each_beside_a_world};
use mesh_tests::wait::eventually;
use mesh_tests::{Backend, Node, Probe, needs_root};
use nix::sys::signal::Signal;

/// The service's virtual address, port 80.
fn virtual_address(client: &mut Probe) -> String {
    let found = client.resolve("web.mesh").unwrap();
    format!("{}:80", found.iter().find(|ip| ip.starts_with("240.")).unwrap())
}

/// By address: a question for a name waits for seconds while nobody answers.
fn captured_again(node: &Node, client: &mut Probe, address: &str) {
    eventually("captured again", Duration::from_secs(5), || {
        let carried = || node.metric("mesh_requests_total", &["service=\"web\"", "source=\"cli\""]);
        let before = carried();
        let served = client.is_served(address);
        if served && carried() > before { Ok(()) } else { Err(format!("served: {served}")) }
    });
}

fn settings(node_settings: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(&file, node_settings).unwrap();
    (folder, file.display().to_string())
}

//
#[test]
fn closed_keeps_refusing_what_would_have_been_captured() {
    needs_root!();
    let (_folder, file) = settings("capture: {fail_mode: closed}\n");
    each_beside_a_world(&["--config", &file], |node, world| {
        let _web = Backend::http(&node.netns, "v1", 8080);
        let _far = Backend::http(&world.netns, "far", 80);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let mut cli = node.run_as("cli");
        let address = virtual_address(&mut cli);
        assert!(cli.is_served(&address));
        node.kill();
        cli.is_refused_at_once("127.0.0.1:8080");
        cli.is_refused_at_once(&address);
        assert!(cli.is_served("10.88.0.10:80"), "this was never captured");
        assert!(node.outsider().is_served("127.0.0.1:8080"), "nor was this one");
        node.boot();
        captured_again(node, &mut cli, &address);
    });
}

// covers: ACC-10
#[test]
fn name_is_refused_at_once_while_no_daemon_carries_it() {
    needs_root!();
    for backend in backends().into_iter().filter(|&backend| backend != "ebpf") {
        eprintln!("capture by {backend}");
        let mut node = Node::with(&["--backend", backend]);
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let mut cli = node.run_as("cli");
        let address = virtual_address(&mut cli);
        node.signal(Signal::SIGSTOP);
        eventually("its lease runs out", Duration::from_secs(2), || {
            if cli.is_served("127.0.0.1:8080") { Ok(()) } else { Err("an endpoint's address") }
        });
        cli.is_refused_at_once(&address);
        node.signal(Signal::SIGCONT);
        captured_again(&node, &mut cli, &address);
        node.kill();
        eventually("rules let go", Duration::from_secs(1), || {
            if cli.is_served("127.0.0.1:8080") { Ok(()) } else { Err("an endpoint's address") }
        });
        cli.is_refused_at_once(&address);
        node.boot();
        captured_again(&node, &mut cli, &address);
    }
}
