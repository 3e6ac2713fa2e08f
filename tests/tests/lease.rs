//! meshd dies or hangs: who still gets where, how soon, and what the next one finds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mesh_tests::backends::backends;
use mesh_tests::load::Plan;
use mesh_tests::wait::{pause, until};
use mesh_tests::watch::Watch;
use mesh_tests::world::World;
use mesh_tests::{Backend, Node, Probe, needs_root};
use nix::sys::signal::Signal;

const FOREIGN: &str = "10.88.0.10:80";

/// Ends or stops the daemon while a run calls a foreign address that is captured, and another one
/// loads the mesh; the foreign calls must go on within a second.
fn foreign_calls_go_on(backend: &str, end: impl FnOnce(&mut Node)) {
    let mut node = Node::stopped(&["--backend", backend]);
    let world = World::beside(&node);
    node.boot();
    let _web = Backend::http(&node.netns, "v1", 8080);
    let _foreign = Backend::http(&world.netns, "foreign", 80);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut caller = node.run_with(&["--as", "cli", "--allow-egress", "10.88.0.0/16"]);
    let mut crowd = node.run_as("crowd");
    let address: SocketAddr = FOREIGN.parse().unwrap();
    // By address: who asks for a name waits for a name server that this namespace does not have.
    let vip = crowd.resolve("web.mesh").unwrap().into_iter().find(|ip| ip.starts_with("240."));
    let load = Plan { rate: 300.0, ..Plan::get(&vip.expect("a virtual address"), 900, 4) };
    let before = caller.watch(&Watch { address, for_ms: 300 });
    assert!(before.answered > 0 && before.failed == 0, "{before:?}");
    let watch = Watch { address, for_ms: 2_500 };
    let watched = std::thread::scope(|scope| {
        scope.spawn(|| crowd.load(&load));
        let watched = scope.spawn(|| caller.watch(&watch));
        pause(Duration::from_millis(500));
        end(&mut node);
        watched.join().expect("watch")
    });
    if node.runs() {
        node.signal(Signal::SIGCONT);
    } else {
        node.boot();
    }
    eprintln!("{backend}: {watched:?}");
    assert!(watched.answered > 100, "{watched:?}");
    assert!(watched.longest_gap_ms < 1_000, "{watched:?}");
}

// covers: X-070 ACC-10
#[test]
fn foreign_traffic_outlives_a_killed_daemon() {
    needs_root!();
    for backend in backends() {
        foreign_calls_go_on(backend, Node::kill);
    }
}

// covers: X-070 ACC-10
#[test]
fn foreign_traffic_outlives_a_daemon_that_hangs() {
    needs_root!();
    for backend in backends() {
        foreign_calls_go_on(backend, |node| node.signal(Signal::SIGSTOP));
    }
}

/// A node with `web`, and a client of it that knows its virtual addresses.
fn caller_of_web(mode: &str) -> (Node, Backend, Probe, Vec<String>) {
    let mut node = Node::stopped(&[]);
    let settings = node.file("meshd.yaml", &format!("mtls: {{mode: {mode}}}\n"));
    node = node.also(&["--backend", "ebpf", "--config", &settings.display().to_string()]);
    node.boot();
    let web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080", "--health", "tcp"]);
    node.until_ready("web", 1);
    let mut cli = node.run_as("cli");
    let vips = cli.resolve("web.mesh").unwrap();
    let vips = vips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80).to_string());
    let vips: Vec<String> = vips.collect();
    assert_eq!(vips.len(), 2, "{vips:?}");
    (node, web, cli, vips)
}

/// The request as one who has resolved the name already sends it.
fn get(cli: &mut Probe, address: &str) -> Result<String, String> {
    if let Some(why) = cli.refused(address) {
        return Err(why);
    }
    let request = "GET /x HTTP/1.1\r\nHost: web.mesh\r\nConnection: close\r\n\r\n";
    Ok(cli.exchange(address, vec![request.into()], 300).text())
}

// covers: X-070 ACC-10
#[test]
fn name_leads_to_a_ready_endpoint_while_meshd_is_gone() {
    needs_root!();
    let (mut node, web, mut cli, vips) = caller_of_web("permissive");
    // The programs learn of endpoints' health within a second.
    pause(Duration::from_millis(1_200));
    node.kill();
    for vip in &vips {
        until("the endpoint itself answers", Duration::from_secs(1), || {
            get(&mut cli, vip).is_ok_and(|text| text.ends_with("v1 GET /x 0"))
        });
        let request = "GET /y HTTP/1.1\r\nHost: web.mesh\r\nConnection: close\r\n\r\n";
        let got = cli.exchange(vip, vec![request.into()], 300);
        assert_eq!(got.peer, *vip, "the application sees another address than it asked for");
    }
    let seen = web.seen().pop().expect("a request");
    assert!(seen.head.one("x-request-id").is_none(), "the proxy touched it: {seen:?}");
    let mut outsider = node.outsider();
    assert!(outsider.refused(&vips[0]).is_some(), "somebody outside reaches a name");
    assert!(cli.refused(&vips[0].replace(":80", ":81")).is_some(), "an undeclared port answers");
    let pins = pins(&node);
    node.boot();
    assert!(cli.get("web.mesh", "/after").ends_with("v1 GET /after 0"));
    assert_eq!(self::pins(&node), pins, "the next daemon did not take the old one's place");
}

// covers: X-070 ACC-10
#[test]
fn name_is_refused_at_once_while_meshd_is_gone_where_plaintext_is_forbidden() {
    needs_root!();
    let (mut node, _web, mut cli, vips) = caller_of_web("strict");
    pause(Duration::from_millis(1_200));
    node.kill();
    pause(Duration::from_secs(1));
    for vip in &vips {
        let start = Instant::now();
        assert!(cli.refused(vip).is_some(), "{vip} answers");
        assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    }
    // What is no name of the mesh is no business of the mesh.
    assert!(cli.get("127.0.0.1:8080", "/x").ends_with("v1 GET /x 0"));
    node.boot();
}

/// What is pinned for the node's daemon.
fn pins(node: &Node) -> Vec<PathBuf> {
    let folder = PathBuf::from("/sys/fs/bpf/meshd").join(node.cgroup.replace('.', "_"));
    let mut found: Vec<PathBuf> = ["links", "maps"]
        .iter()
        .flat_map(|part| std::fs::read_dir(folder.join(part)).expect("pins"))
        .map(|entry| entry.expect("pin").path())
        .collect();
    found.sort();
    assert_eq!(found.len(), 14, "{found:?}");
    found
}
