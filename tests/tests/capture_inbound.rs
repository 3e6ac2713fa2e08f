//! Traffic from outside the mesh to the ports of services whose processes are known.

use std::fs;
use std::time::Duration;

use mesh_tests::backends::each_beside_a_world;
use mesh_tests::datagram::{WHO, talk};
use mesh_tests::wait::eventually;
use mesh_tests::{Node, Probe, Talk, needs_root};

/// A captured server of TCP and UDP on every address; its declared ports are 8080 and 8082.
fn server(node: &Node) -> Probe {
    server_at(node, "0.0.0.0")
}

fn server_at(node: &Node, address: &str) -> Probe {
    let mut server = node.run_with(&["--as", "echo", "--port", "tcp:8080"]);
    for port in [8080, 8081, 8082] {
        server.serve(&format!("{address}:{port}"));
    }
    let pid = server.pid().to_string();
    node.ok(&["register", "echo", "--port", "udp:8082", "--pid", &pid]);
    node.until_ready("echo", 2);
    server
}

fn unmeshed(node: &Node, wanted: f64) {
    eventually("strangers counted", Duration::from_secs(3), || {
        let seen = node.metric("mesh_connections_unmeshed_total", &["service=\"echo\""]);
        if seen == wanted { Ok(()) } else { Err(format!("{seen} instead of {wanted}")) }
    });
}

//
#[test]
fn strangers_are_served_and_counted() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let _server = server(node);
        assert_eq!(world.call("10.77.0.1:8080"), "hello");
        unmeshed(node, 1.0);
        assert_eq!(world.call("10.77.0.1:8081"), "hello", "another port of the same process");
        unmeshed(node, 1.0);
        let heard =
            world.netns.inside(|| talk(&Talk::connected("10.77.0.1:8082", b"ping")).unwrap());
        let answer = [("10.77.0.1:8082".to_owned(), "ping".to_owned())];
        assert_eq!(heard.texts(), answer, "{heard:?}");
        unmeshed(node, 2.0);
        // From inside the mesh it is no stranger.
        let mut cli = node.run_as("cli");
        let got = cli.exchange("echo.mesh:8080", vec!["hello".into()], 500);
        assert_eq!(got.text(), "hello");
        unmeshed(node, 2.0);
    });
}

const PRESERVING: &str = "apiVersion: mesh/v1
kind: Service
metadata: {name: echo}
spec:
  ports: [{port: 8080, protocol: PROTOCOL}, {port: 8082, protocol: udp}]
  inbound: {preserveClient: true}
";

// covers: X-057 L4-08
#[test]
fn application_that_asks_for_it_sees_the_client_itself() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let _server = server_at(node, "[::]");
        assert!(!world.say("10.77.0.1:8080", WHO).contains("10.77.0.2"), "unless it asks");
        node.meshctl_with(&["apply", "-f", "-"], &PRESERVING.replace("PROTOCOL", "tcp")).exits(0);
        for (address, client) in [("10.77.0.1", "::ffff:10.77.0.2"), ("[fd77::1]", "fd77::2")] {
            let client = format!("[{client}]:");
            let seen = world.say(&format!("{address}:8080"), WHO);
            let seen: Vec<_> = seen.split(' ').collect();
            assert!(seen.iter().all(|by| by.starts_with(&client)), "accept, getpeername: {seen:?}");
            assert_eq!(seen.len(), 2);
            let asked = Talk::connected(&format!("{address}:8082"), WHO);
            let heard = world.netns.inside(move || talk(&asked).unwrap());
            let texts = heard.texts();
            assert!(texts.iter().all(|(_, seen)| seen.starts_with(&client)), "{heard:?}");
            assert_eq!(texts.len(), 1, "{heard:?}");
        }
        eventually("answers pass meshd as well", Duration::from_secs(3), || {
            let seen = node.metric("mesh_datagrams_sent_total", &["service=\"echo\""]);
            if seen == 2.0 { Ok(()) } else { Err(format!("{seen}")) }
        });
    });
}

#[test]
fn connection_that_shows_its_client_serves_no_other() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let _server = server_at(node, "[::]");
        node.meshctl_with(&["apply", "-f", "-"], &PRESERVING.replace("PROTOCOL", "http")).exits(0);
        let ask = |from: &'static str| {
            let shown = world.netns.inside(move || {
                let mut curl = std::process::Command::new("curl");
                let url = "http://10.77.0.1:8080/whoami";
                curl.args(["-s", "--interface", from, url, url]).output().unwrap()
            });
            String::from_utf8_lossy(&shown.stdout).into_owned()
        };
        for client in ["10.88.0.10", "10.88.0.11", "10.88.0.10"] {
            let seen = ask(client);
            assert_eq!(seen.matches(&format!("[::ffff:{client}]:")).count(), 4, "{seen}");
        }
    });
}

#[test]
fn strict_refuses_strangers_but_for_services_that_allow_them() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(&file, "mtls: {mode: strict}\n").unwrap();
    each_beside_a_world(&["--config", &file.display().to_string()], |node, world| {
        let _server = server(node);
        assert_eq!(world.call("10.77.0.1:8080"), "");
        unmeshed(node, 1.0);
        assert_eq!(world.call("10.77.0.1:8081"), "hello", "another port of the same process");
    });
}

#[test]
fn bare_registration_intercepts_nothing_inbound() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let mut server = node.outsider();
        server.serve("0.0.0.0:8080");
        node.ok(&["register", "echo", "--port", "tcp:8080"]);
        assert_eq!(world.call("10.77.0.1:8080"), "hello");
        assert_eq!(node.metric("mesh_connections_unmeshed_total", &[]), 0.0);
    });
}
