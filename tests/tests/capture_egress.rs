//! Programs whose every connection is captured: what is allowed arrives as they see it, the rest is refused.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use mesh_tests::backends::each_beside_a_world;
use mesh_tests::dns::NameServer;
use mesh_tests::probe::{Answer, Ask};
use mesh_tests::{Backend, Netns, Node, Probe, Talk, UdpServer, World, needs_root};

/// An HTTP server that says who called.
fn caller(netns: &Netns, port: u16) -> Backend {
    Backend::tcp(netns, "caller", port, |mut stream| {
        let peer = stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", peer.len());
            let answer = format!("{head}Connection: close\r\n\r\n{peer}");
            stream.write_all(answer.as_bytes()).unwrap_or_default();
        }
    })
}

fn run_with_egress(node: &Node, egress: &str) -> Probe {
    node.run_with(&["--as", "cli", "--allow-egress", egress])
}

// covers: TP-02 X-082 X-060 L4-09
#[test]
fn every_family_and_transport_goes_through_and_looks_direct() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let _server = caller(&world.netns, 80);
        let one = UdpServer::start(&world.netns, "one", "10.88.0.10:9000");
        let _two = UdpServer::start(&world.netns, "two", "10.88.0.11:9000");
        let _six = UdpServer::start(&world.netns, "six", "[fd88::10]:9000");
        let mut cli = run_with_egress(node, "10.88.0.0/24,fd88::/64,10.99.9.9");
        let request = "GET / HTTP/1.1\r\nHost: far\r\nConnection: close\r\n\r\n";
        for (to, own) in [
            ("10.88.0.10:80", World::NODE[0]),
            ("[fd88::10]:80", World::NODE[1]),
            ("[::ffff:10.88.0.10]:80", World::NODE[0]),
        ] {
            let got = cli.exchange(to, vec![request.into()], 5_000);
            let seen = got.text().rsplit("\r\n\r\n").next().unwrap().to_owned();
            assert!(seen.contains(own), "{to}: the server saw {seen:?}");
            assert!(got.local.contains(own), "{to}: its own address is {}", got.local);
            assert_eq!(got.peer, to);
            let port = got.local.rsplit(':').next().unwrap();
            assert!(!seen.ends_with(&format!(":{port}")), "{to} went past the proxy");
        }
        for to in ["10.88.0.10:9000", "[fd88::10]:9000"] {
            let heard = cli.talk(&Talk::connected(to, b"x"));
            assert_eq!(heard.answers.len(), 1, "{heard:?}");
            assert_eq!((heard.answers[0].0.as_str(), heard.peer.as_deref()), (to, Some(to)));
        }
        let heard = cli.talk(&Talk::unconnected(&["10.88.0.10:9000", "10.88.0.11:9000"], b"y"));
        let wanted = [("10.88.0.10:9000", "one y"), ("10.88.0.11:9000", "two y")];
        assert_eq!(heard.texts(), wanted.map(|(from, text)| (from.to_owned(), text.to_owned())));
        let large = vec![7; 30_000];
        let heard = cli.talk(&Talk::connected("10.88.0.10:9000", &large));
        assert_eq!(heard.answers.first().map(|(_, bytes)| bytes.len()), Some(30_004), "intact");
        assert!(one.seen().iter().all(|(client, _)| !heard.local.ends_with(&client.to_string())));

        // Allowed, and nobody there: an end, not a hang in SYN-SENT.
        let start = Instant::now();
        let got = cli.ask(&Ask::Exchange {
            address: "10.99.9.9:1".to_owned(),
            parts: vec![request.into()],
            idle_ms: 12_000,
        });
        assert!(start.elapsed() < Duration::from_secs(11), "{got:?}");
    });
}

//
#[test]
fn what_is_not_on_the_list_is_refused_at_once() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let _names = NameServer::at(&world.netns, "10.88.0.12:53".parse().unwrap());
        world.netns.add_address("192.0.2.7");
        let server = caller(&world.netns, 80);
        let datagrams = UdpServer::start(&world.netns, "far", "10.88.0.11:9000");
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);

        let mut listed = run_with_egress(node, "10.88.0.10:80");
        let refused = |cli: &mut Probe, to: &str| {
            let start = Instant::now();
            let request = "GET / HTTP/1.1\r\nHost: far\r\nConnection: close\r\n\r\n";
            let parts = vec![request.into()];
            let asked = Ask::Exchange { address: to.into(), parts, idle_ms: 3_000 };
            let got = cli.ask(&asked);
            let said = match &got {
                Answer::Exchanged(got) => got.text(),
                _ => String::new(),
            };
            assert!(!said.contains("200 OK"), "{to} was served");
            assert!(
                start.elapsed() < Duration::from_secs(1),
                "{to}: {:?} {got:?}",
                start.elapsed()
            );
        };
        assert!(listed.get("10.88.0.10:80", "/").contains("200 OK"));
        let accepted = server.accepted();
        refused(&mut listed, "10.88.0.11:80");
        refused(&mut listed, "[fd88::10]:80");
        let heard = listed.talk(&Talk { wait_ms: 500, ..Talk::connected("10.88.0.11:9000", b"x") });
        assert_eq!((heard.answers.len(), datagrams.seen().len()), (0, 0), "{heard:?}");
        assert!(listed.get("web.mesh", "/in").ends_with("v1 GET /in 0"), "the mesh is always in");
        assert_eq!(server.accepted(), accepted, "somebody unlisted was called");

        let mut mesh_only = run_with_egress(node, "mesh");
        refused(&mut mesh_only, "10.88.0.10:80");
        assert!(mesh_only.get("web.mesh", "/in").ends_with("v1 GET /in 0"));

        // By name: what its name server said is where it may go.
        let script = "dig +short +time=2 @10.88.0.12 ok.example.com >/dev/null; \
                      curl -sS -m 4 --resolve ok.example.com:80:192.0.2.7 http://ok.example.com/";
        let run = ["run", "--as", "cli", "--allow-egress", "*.example.com,10.88.0.12", "--"];
        let words = [&run[..], &["sh", "-c", script]].concat();
        let allowed = node.meshctl(&words).exits(0);
        assert!(allowed.stdout.contains("10.77.0.1"), "{allowed}");
        let script = script.replace("ok.example.com", "no.example.org");
        let words = [&run[..], &["sh", "-c", &script]].concat();
        let denied = node.meshctl(&words);
        assert!(!denied.stdout.contains("10.77.0.1"), "{denied}");
    });
}

// covers: TP-02
#[test]
fn metadata_multicast_and_broadcast_never_reach_the_proxy() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        world.netns.add_address("169.254.169.254");
        let metadata = caller(&world.netns, 80);
        let mut cli = run_with_egress(node, "10.88.0.0/24");
        let got = cli.exchange(
            "169.254.169.254:80",
            vec!["GET / HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n".into()],
            3_000,
        );
        assert!(got.text().ends_with(got.local.rsplit(':').next().unwrap()), "{}", got.text());
        assert_eq!(metadata.accepted(), 1);
        for to in ["224.0.0.251:5353", "255.255.255.255:67", "[ff02::fb]:5353"] {
            let heard = cli.talk(&Talk { wait_ms: 100, ..Talk::unconnected(&[to], b"x") });
            assert!(!heard.errors.iter().any(|error| error == "ConnectionRefused"), "{heard:?}");
        }
        let carried = node.metric("mesh_connections_opened_total", &[])
            + node.metric("mesh_connections_refused_total", &[]);
        assert_eq!(carried, 0.0);
    });
}
