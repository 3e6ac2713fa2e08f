//! Whose traffic is taken, whose is not, and what remains: each rule with every backend.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mesh_tests::dns::NameServer;
use mesh_tests::wait::eventually;
use mesh_tests::{Backend, Node, needs_root};

const BACKENDS: [&str; 4] = ["ebpf", "nft", "iptables-nft", "iptables-legacy"];

/// A node per capture backend, with `web` registered at 8080.
fn each(check: impl Fn(Node, Backend)) {
    for capture in BACKENDS {
        eprintln!("capture by {capture}");
        let node = Node::with(&["--backend", capture]);
        let web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        check(node, web);
    }
}

/// Waits for the count: a request is counted when its last byte is out, maybe after the client left.
fn counts(node: &Node, wanted: f64) {
    eventually("requests counted", Duration::from_secs(2), || {
        let count = node.metric("mesh_requests_total", &["service=\"web\"", "source=\"cli\""]);
        if count == wanted { Ok(()) } else { Err(format!("{count} instead of {wanted}")) }
    });
}

// covers: REG-10 REG-20 X-065 MET-27
#[test]
fn unmodified_curl_reaches_the_name_over_both_families() {
    needs_root!();
    each(|node, web| {
        for family in ["-4", "-6"] {
            let curl = node.run("cli", &["curl", "-sS", family, "-m", "5", "http://web.mesh/x"]);
            assert_eq!(curl.exits(0).stdout, "v1 GET /x 0");
        }
        assert_eq!(web.served(), 2);
        counts(&node, 2.0);
    });
}

//
#[test]
fn known_endpoints_real_address_is_captured_too() {
    needs_root!();
    each(|node, _web| {
        for url in ["http://127.0.0.1:8080/x", "http://[::1]:8080/x"] {
            let curl = node.run("cli", &["curl", "-sS", "-m", "5", url]);
            assert_eq!(curl.exits(0).stdout, "v1 GET /x 0");
        }
        // Declared at 127.0.0.1: `localhost` under its other family is the same endpoint.
        counts(&node, 2.0);
    });
}

// covers: X-065 CAP-09
#[test]
fn nobody_else_is_captured() {
    needs_root!();
    each(|node, web| {
        let mut outsider = node.outsider();
        let answer = outsider.get("127.0.0.1:8080", "/direct");
        assert!(answer.ends_with("v1 GET /direct 0"), "{answer}");
        let seen = web.seen().pop().expect("one request");
        assert!(seen.head.one("x-request-id").is_none(), "the proxy touched it: {seen:?}");
        assert_eq!(node.metric("mesh_requests_total", &["service=\"web\""]), 0.0);
    });
}

#[test]
fn application_sees_the_address_it_asked_for() {
    needs_root!();
    each(|node, _web| {
        let mut cli = node.run_as("cli");
        let vip = cli.resolve("web.mesh").unwrap();
        assert!(vip.iter().any(|address| address.starts_with("240.")), "{vip:?}");
        assert!(vip.iter().any(|address| address.contains(':')), "{vip:?}");
        let request = "GET / HTTP/1.1\r\nHost: web.mesh\r\nConnection: close\r\n\r\n";
        for ip in &vip {
            let asked = if ip.contains(':') { format!("[{ip}]:80") } else { format!("{ip}:80") };
            let got = cli.exchange(&asked, vec![request.into()], 5_000);
            assert_eq!(got.peer, asked);
        }
        let got = cli.exchange("127.0.0.1:8080", vec![request.into()], 5_000);
        assert_eq!(got.peer, "127.0.0.1:8080");
    });
}

// covers: CAP-16
#[test]
fn port_22_is_never_captured() {
    needs_root!();
    each(|node, _web| {
        let peers = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&peers);
        let _ssh = Backend::tcp(&node.netns, "ssh", 22, move |mut stream: TcpStream| {
            log.lock().unwrap().push(stream.peer_addr().unwrap().port());
            stream.write_all(b"SSH-2.0-test\r\n").unwrap_or_default();
        });
        node.ok(&["register", "ssh", "--port", "tcp:22"]);
        let mut cli = node.run_as("cli");
        let got = cli.exchange("127.0.0.1:22", vec![], 2_000);
        assert_eq!(got.text(), "SSH-2.0-test\r\n");
        let own_port: u16 = got.local.rsplit(':').next().unwrap().parse().unwrap();
        assert!(peers.lock().unwrap().contains(&own_port), "the client did not come itself");
    });
}

#[test]
fn undeclared_port_of_a_name_is_refused_at_once() {
    needs_root!();
    each(|node, _web| {
        let mut cli = node.run_as("cli");
        let start = Instant::now();
        let request = "GET / HTTP/1.1\r\nHost: web.mesh\r\n\r\n";
        let refused = cli.refused("web.mesh:81").is_some() || {
            let got = cli.exchange("web.mesh:81", vec![request.into()], 2_000);
            got.closed && got.received.is_empty()
        };
        assert!(refused && start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    });
}

// covers: F-01 X-070
#[test]
fn killed_daemon_leaves_foreign_traffic_alone_and_the_next_one_resumes() {
    needs_root!();
    each(|mut node, _web| {
        let _foreign = Backend::http(&node.netns, "foreign", 9999);
        let mut cli = node.run_as("cli");
        assert!(cli.get("web.mesh", "/before").ends_with("v1 GET /before 0"));
        node.kill();
        let start = Instant::now();
        assert!(cli.get("127.0.0.1:9999", "/x").ends_with("foreign GET /x 0"));
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        let mut outsider = node.outsider();
        assert!(outsider.get("127.0.0.1:8080", "/y").ends_with("v1 GET /y 0"));
        node.boot();
        eventually("the old run is captured again", Duration::from_secs(5), || {
            match cli.resolve("web.mesh") {
                Ok(_) => Ok(()),
                Err(why) => Err(why),
            }
        });
        assert!(cli.get("web.mesh", "/after").ends_with("v1 GET /after 0"));
        counts(&node, 1.0); // by the new daemon, as the same service
    });
}

// covers: CP-14 X-070
#[test]
fn stopped_daemon_leaves_nothing_and_lets_its_runs_go_on() {
    needs_root!();
    each(|mut node, _web| {
        let mut cli = node.run_as("cli");
        assert!(cli.get("web.mesh", "/before").ends_with("v1 GET /before 0"));
        assert_eq!(node.stop(), Some(0));
        let left = node.leftovers();
        assert!(left.is_empty(), "{left:?}");
        assert!(!node.socket().exists());
        assert!(cli.get("127.0.0.1:8080", "/direct").ends_with("v1 GET /direct 0"));
    });
}

#[test]
fn cleanup_removes_what_a_killed_daemon_left() {
    needs_root!();
    each(|mut node, _web| {
        node.run("cli", &["curl", "-sS", "-m", "5", "http://web.mesh/x"]).exits(0);
        node.kill();
        let done = node.daemon_command().arg("--cleanup").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let left = node.leftovers();
        assert!(left.is_empty(), "{left:?}");
        let again = node.daemon_command().arg("--cleanup").output().unwrap();
        assert!(again.status.success(), "cleaning a clean host fails");
    });
}

// covers: REG-10
#[test]
fn foreign_names_go_where_they_went_before() {
    needs_root!();
    each(|node, _web| {
        let server = NameServer::start(&node.netns);
        let mut cli = node.run_as("cli");
        assert_eq!(cli.resolve("example.com").unwrap(), ["192.0.2.7"]);
        cli.resolve("web.mesh").unwrap();
        assert!(cli.resolve("nope.mesh").is_err(), "a name nobody declared resolves");
        let asked = server.asked();
        assert!(asked.iter().any(|name| name == "example.com"), "{asked:?}");
        assert!(!asked.iter().any(|name| name.ends_with(".mesh")), "left the host: {asked:?}");
    });
}

// covers: CAP-18
#[test]
fn second_daemon_refuses_and_names_the_first() {
    needs_root!();
    let node = Node::start();
    let output = node.daemon_command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains(&node.pid().to_string()), "{said}");
    node.ok(&["get", "services"]);
}
