//! `meshctl bypass`: traffic goes direct for a time, and is captured again.

use std::time::{Duration, Instant};

use mesh_tests::backends::{backends, each_beside_a_world};
use mesh_tests::mirror::{goes_direct, mirror};
use mesh_tests::wait::eventually;
use mesh_tests::{Node, Probe, Talk, UdpServer, needs_root};
use serde_json::Value;

/// Connections and sessions meshd has carried for anybody.
fn carried(node: &Node) -> f64 {
    node.metric("mesh_connections_opened_total", &[])
}

/// The problem `status` reports under this id.
fn problem(node: &Node, id: &str) -> Option<Value> {
    let status = node.meshctl(&["status", "-o", "json"]).json();
    let problems = status["problems"].as_array().unwrap().clone();
    problems.into_iter().find(|problem| problem["id"] == id)
}

#[track_caller]
fn captured_again(client: &mut Probe, address: &str) {
    eventually("captured again", Duration::from_secs(8), || {
        if goes_direct(client, address) { Err("direct") } else { Ok(()) }
    });
}

/// Whatever becomes of a refused connection, it is at once.
#[track_caller]
fn refused_at_once(client: &mut Probe, address: &str) {
    let began = Instant::now();
    let why = client.refused(address).unwrap_or_else(|| panic!("{address} is not refused"));
    assert!(why.contains("ConnectionRefused"), "{address}: {why}");
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

#[test]
fn service_goes_direct_until_it_is_told_to_end() {
    needs_root!();
    for backend in backends() {
        eprintln!("capture by {backend}");
        let node = Node::with(&["--backend", backend]);
        let _servers = [mirror(&node.netns, 9000), mirror(&node.netns, 9001)];
        node.ok(&["register", "mirror", "--port", "http:9000"]);
        node.ok(&["register", "other", "--port", "http:9001"]);
        let mut cli = node.run_as("cli");
        assert!(!goes_direct(&mut cli, "127.0.0.1:9000"));

        let told = node.meshctl(&["bypass", "mirror", "--for", "1h"]).exits(0);
        told.clone().says(&["bypass/mirror created: until ", "undo: meshctl undo 3"]);
        let before = carried(&node);
        assert!(goes_direct(&mut cli, "127.0.0.1:9000"));
        if backend == "ebpf" {
            assert!(goes_direct(&mut cli, "mirror.mesh:80"));
            assert!(goes_direct(&mut cli, "0.mirror.mesh:80"));
            told.complains(&["mirror.mesh leads to a ready endpoint"]);
            assert_eq!(carried(&node), before, "meshd carried what was to go direct");
        } else {
            // No outage: what cannot go around meshd goes on through it, and the user knows.
            assert!(!goes_direct(&mut cli, "mirror.mesh:80"));
            told.complains(&["mirror.mesh still passes meshd"]);
        }
        assert!(!goes_direct(&mut cli, "127.0.0.1:9001"), "another service went direct");

        node.meshctl(&["bypass", "mirror", "--end"]).clean().says(&["bypass/mirror deleted"]);
        assert!(!goes_direct(&mut cli, "127.0.0.1:9000"));
        assert!(!goes_direct(&mut cli, "mirror.mesh:80"));
        let again = node.meshctl(&["bypass", "mirror", "--end"]).clean();
        again.says(&["bypass/mirror not found (nothing to do)"]);
    }
}

#[test]
fn nobody_overlooks_a_bypass() {
    needs_root!();
    let node = Node::start();
    node.ok(&["register", "web", "--port", "http:8080"]);
    node.meshctl(&["bypass", "web", "--for", "1h"]).exits(0);
    let summary = problem(&node, "bypass/web").unwrap()["summary"].to_string();
    assert!(summary.contains("web goes direct, not through meshd, until 2"), "{summary}");
    node.meshctl(&["get", "services"]).exits(0).complains(&["web goes direct"]);
    node.meshctl(&["describe", "service/web"]).clean().says(&["Bypassed"]);
    let check = node.meshctl(&["check", "--category", "daemon", "-v"]);
    check.says(&["meshctl bypass web --end"]);
    assert_eq!(node.metric("mesh_service_bypassed", &["service=\"web\""]), 1.0);
    node.meshctl(&["history"]).clean().says(&["bypass/web created until"]);
    let events = node.ok(&["events"]);
    assert!(events.contains("goes direct for 1h by root, until 2"), "{events}");
    node.ok(&["bypass", "web", "--end"]);
    assert_eq!(problem(&node, "bypass/web"), None);
    node.meshctl(&["get", "services"]).clean();
}

#[test]
fn everything_goes_direct_until_its_time_is_over() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let _servers = [mirror(&node.netns, 9000), mirror(&world.netns, 80)];
        let mut server = node.run_with(&["--as", "echo", "--port", "tcp:8080"]);
        server.serve("0.0.0.0:8080");
        node.ok(&["register", "mirror", "--port", "http:9000"]);
        let mut cli = node.run_with(&["--as", "cli", "--allow-egress", "mesh,10.88.0.10"]);
        let vip = virtual_address(&mut cli, "mirror.mesh");
        let addresses = ["127.0.0.1:9000", "10.77.0.1:9000", "10.88.0.10:80"];
        for address in addresses {
            assert!(!goes_direct(&mut cli, address), "{address}");
        }
        let told = node.meshctl(&["bypass", "--all", "--for", "4s"]).exits(0);
        let told = told.says(&["bypass/* created: until "]);
        let before = carried(node);
        for address in addresses {
            assert!(goes_direct(&mut cli, address), "{address}");
        }
        assert_eq!(world.call("10.77.0.1:8080"), "hello");
        let status = node.meshctl(&["status", "-o", "json"]).json();
        if status["capture"]["backend"] == "ebpf" {
            assert!(goes_direct(&mut cli, "mirror.mesh:80"));
            told.complains(&["names still resolve and lead to a ready endpoint"]);
        } else {
            refused_at_once(&mut cli, &vip);
            told.complains(&["their addresses are refused"]);
        }
        assert_eq!(carried(node), before, "meshd carried something");
        let check = node.meshctl(&["check", "--category", "capture"]).exits(0);
        check.says(&["capture/bypass", "meshctl bypass --all --end"]);

        for address in addresses {
            captured_again(&mut cli, address);
        }
        assert!(!goes_direct(&mut cli, &vip));
        eventually("an event of the end", Duration::from_secs(3), || {
            let events = node.ok(&["events"]);
            if events.contains("its time is over; captured again") { Ok(()) } else { Err(events) }
        });
        let history = node.ok(&["history", "--limit", "1"]);
        assert!(history.contains("bypass/* deleted") && history.contains("meshd"), "{history}");
    });
}

#[test]
fn restart_of_the_daemon_changes_neither_a_bypass_nor_its_end() {
    needs_root!();
    for backend in backends() {
        eprintln!("capture by {backend}");
        let mut node = Node::with(&["--backend", backend]);
        let _server = mirror(&node.netns, 9000);
        node.ok(&["register", "mirror", "--port", "http:9000"]);
        let mut cli = node.run_as("cli");
        node.meshctl(&["bypass", "mirror", "--for", "1h"]).exits(0);
        let said = problem(&node, "bypass/mirror");
        node.kill();
        node.boot();
        assert!(goes_direct(&mut cli, "127.0.0.1:9000"));
        assert_eq!(problem(&node, "bypass/mirror"), said);
        // Its end may come while no daemon runs.
        node.meshctl(&["bypass", "mirror", "--for", "1s"]).exits(0).says(&["configured"]);
        node.kill();
        mesh_tests::wait::pause(Duration::from_secs(1));
        node.boot();
        assert!(!goes_direct(&mut cli, "127.0.0.1:9000"));
        assert_eq!(problem(&node, "bypass/mirror"), None);
    }
}

#[test]
fn datagrams_go_direct_too() {
    needs_root!();
    for backend in backends() {
        eprintln!("capture by {backend}");
        let node = Node::with(&["--backend", backend]);
        let server = UdpServer::start(&node.netns, "u", "127.0.0.1:9001");
        node.ok(&["register", "u", "--port", "udp:9001"]);
        let mut cli = node.run_as("cli");
        let vip = virtual_address(&mut cli, "u.mesh").replace(":80", ":9001");
        node.meshctl(&["bypass", "u", "--for", "1h"]).exits(0);
        let led = if backend == "ebpf" { vip.as_str() } else { "127.0.0.1:9001" };
        for to in ["127.0.0.1:9001", led] {
            for talk in [Talk::connected(to, b"x"), Talk::unconnected(&[to], b"x")] {
                let heard = cli.talk(&talk);
                assert_eq!(heard.texts(), [(to.to_owned(), "u x".to_owned())], "{heard:?}");
                let (client, _) = server.seen().pop().unwrap();
                assert!(heard.local.ends_with(&format!(":{}", client.port())), "{heard:?}");
            }
        }
        assert_eq!(carried(&node), 0.0);
    }
}

#[test]
fn what_cannot_be_bypassed_is_refused_and_nothing_changes() {
    needs_root!();
    let strict = Node::stopped(&[]);
    let settings = strict.file("meshd.yaml", "mtls: {mode: strict}\n").display().to_string();
    let mut strict = strict.also(&["--config", &settings]);
    strict.boot();
    strict.ok(&["register", "web", "--port", "http:8080"]);
    for line in [["bypass", "web", "--for", "5m"], ["bypass", "--all", "--for", "5m"]] {
        let refused = strict.meshctl(&line).exits(3);
        refused.complains(&["MESH1413", "mtls.mode is strict", "plain text"]);
    }
    assert_eq!(strict.meshctl(&["history", "-o", "json"]).json()["items"][0]["generation"], 1);
    strict.stop();
    drop(strict);

    let node = Node::start();
    node.ok(&["register", "web", "--port", "http:8080"]);
    let unknown = node.meshctl(&["bypass", "wbe", "--for", "5m"]).exits(5);
    unknown.complains(&["MESH1201", "did you mean \"web\"?"]);
    node.meshctl(&["bypass", "wbe", "--end"]).exits(5).complains(&["did you mean \"web\"?"]);
    node.meshctl(&["bypass", "web"]).exits(2).complains(&["--for"]);
    node.meshctl(&["bypass", "--for", "5m"]).exits(2);
    node.meshctl(&["bypass", "web", "--all", "--for", "5m"]).exits(2);
    node.meshctl(&["bypass", "web", "--for", "25h"]).exits(2).complains(&["1s to 24h"]);
    let tried = node.meshctl(&["bypass", "web", "--for", "5m", "--dry-run", "-o", "json"]);
    assert_eq!(tried.exits(0).json()["items"][0]["kind"], "bypass");
    assert_eq!(problem(&node, "bypass/web"), None);
    // A change like any other.
    node.meshctl(&["bypass", "web", "--for", "5m", "--reason", "is it us?"]).exits(0);
    node.ok(&["undo"]);
    assert_eq!(problem(&node, "bypass/web"), None);
}

/// Port 80 of the name's virtual IPv4 address.
fn virtual_address(client: &mut Probe, name: &str) -> String {
    let found = client.resolve(name).unwrap();
    format!("{}:80", found.iter().find(|ip| ip.starts_with("240.")).unwrap())
}
