//! Datagrams of captured programs, and of servers that are captured themselves.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use mesh_tests::backends::each_beside_a_world;
use mesh_tests::wait::{eventually, pause, until};
use mesh_tests::{Netns, Talk, UdpServer, needs_program, needs_root};

// covers: L4-08 L4-09 TP-03 X-060 X-069
#[test]
fn datagrams_reach_the_service_and_answers_come_from_where_they_were_sent() {
    needs_root!();
    each_beside_a_world(&[], |node, _world| {
        let one = UdpServer::start(&node.netns, "one", "127.0.0.1:9001");
        let two = UdpServer::start(&node.netns, "two", "[::1]:9002");
        node.ok(&["register", "one", "--port", "udp:9001"]);
        node.ok(&["register", "two", "--port", "udp:9002", "--address", "::1"]);
        let mut cli = node.run_as("cli");
        let [one4, one6] = addresses(&cli.resolve("one.mesh").unwrap(), 9001);
        let [two4, two6] = addresses(&cli.resolve("two.mesh").unwrap(), 9002);

        for to in [&one4, &one6, "127.0.0.1:9001"] {
            let heard = cli.talk(&Talk::connected(to, b"ping"));
            assert_eq!(heard.texts(), [(to.to_owned(), "one ping".to_owned())], "{heard:?}");
            assert_eq!(heard.peer.as_deref(), Some(to));
            assert_eq!(heard.errors, [""; 0]);
        }
        for (first, second) in [(&one4, &two4), (&one6, &two6)] {
            let heard = cli.talk(&Talk::unconnected(&[first, second], b"x"));
            let mut wanted =
                [(first.clone(), "one x".to_owned()), (second.clone(), "two x".to_owned())];
            wanted.sort();
            assert_eq!(heard.texts(), wanted, "{heard:?}");
        }
        let mapped = format!("[::ffff:{}", one4.replace(':', "]:"));
        let heard = cli.talk(&Talk::connected(&mapped, b"mapped"));
        assert_eq!(heard.texts(), [(mapped, "one mapped".to_owned())], "{heard:?}");

        let large: Vec<u8> = (0..30_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let heard = cli.talk(&Talk::connected(&one4, &large));
        assert_eq!(heard.answers.len(), 1, "{:?}", heard.errors);
        assert!(heard.answers[0].1 == [b"one ", &large[..]].concat(), "30,000 bytes changed");
        let heard = cli.talk(&Talk::connected(&one4, b""));
        assert_eq!(heard.texts(), [(one4, "one ".to_owned())], "an empty datagram is one");

        // As the mesh's own, not the client's: each went through the proxy.
        assert_eq!((one.seen().len(), two.seen().len()), (8, 2));
        let own = format!(":{}", heard.local.rsplit(':').next().unwrap());
        assert!(!one.seen().iter().any(|(client, _)| client.to_string().ends_with(&own)));
    });
}

// covers: CAP-09
#[test]
fn nobody_elses_datagrams_are_touched() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let server = UdpServer::start(&node.netns, "one", "127.0.0.1:9001");
        let far = UdpServer::start(&world.netns, "far", "10.88.0.10:9001");
        node.ok(&["register", "one", "--port", "udp:9001"]);
        let mut outsider = node.outsider();
        let heard = outsider.talk(&Talk::connected("127.0.0.1:9001", b"x"));
        assert_eq!(heard.answers.len(), 1, "{heard:?}");
        assert_eq!(server.seen()[0].0.to_string(), heard.local, "it did not come itself");
        // Nor is what a captured program sends to somebody the mesh does not know.
        let mut cli = node.run_as("cli");
        let heard = cli.talk(&Talk::connected("10.88.0.10:9001", b"x"));
        assert_eq!(heard.answers.len(), 1, "{heard:?}");
        assert_eq!(far.seen()[0].0.to_string(), heard.local, "it did not come itself");
    });
}

// covers: TP-02
#[test]
fn captured_server_answers_once_and_starts_no_storm() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let mut server = node.run_as("srv");
        server.serve("10.77.0.1:7777");
        let asked = Talk { expect: 2, wait_ms: 700, ..Talk::connected("10.77.0.1:7777", b"ping") };
        let heard = world.netns.inside(move || mesh_tests::datagram::talk(&asked).unwrap());
        let answer = [("10.77.0.1:7777".to_owned(), "ping".to_owned())];
        assert_eq!(heard.texts(), answer, "{heard:?}");
        let said = world.netns.inside(|| {
            let mut stream = TcpStream::connect("10.77.0.1:7777").unwrap();
            stream.write_all(b"hello").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            said
        });
        assert_eq!(said, "hello");
        let before = packets(&node.netns);
        pause(Duration::from_secs(1));
        let after = packets(&node.netns);
        assert!(after - before <= 40, "{} packets on an idle loopback in a second", after - before);
    });
}

//
#[test]
fn excluded_ports_are_of_one_transport() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(&file, "capture:\n  exclude:\n    ports: [\"tcp:9004\", \"udp:9005\"]\n").unwrap();
    each_beside_a_world(&["--config", &file.display().to_string()], |node, _world| {
        let mut cli = node.run_as("cli");
        for (port, excluded) in [(9004, false), (9005, true)] {
            let address = format!("127.0.0.1:{port}");
            let server = UdpServer::start(&node.netns, "udp", &address);
            node.ok(&["register", &format!("u{port}"), "--port", &format!("udp:{port}")]);
            let heard = cli.talk(&Talk::connected(&address, b"x"));
            assert_eq!(heard.answers.len(), 1, "{heard:?}");
            let (client, own) = (server.seen()[0].0.port().to_string(), &heard.local);
            assert_eq!(own.ends_with(&format!(":{client}")), excluded, "{port}: {heard:?}");
        }
    });
}

/// The service's virtual address of each family, IPv4 first, with a port.
fn addresses(resolved: &[String], port: u16) -> [String; 2] {
    let of = |wanted: bool| resolved.iter().find(|ip| ip.contains(':') == wanted).unwrap();
    [format!("{}:{port}", of(false)), format!("[{}]:{port}", of(true))]
}

/// Packets loopback has carried.
fn packets(netns: &Netns) -> u64 {
    let command = netns.command("cat").arg("/proc/net/dev").output().unwrap();
    let text = String::from_utf8_lossy(&command.stdout).into_owned();
    let line = text.lines().find(|line| line.trim_start().starts_with("lo:")).unwrap();
    line.split_whitespace().nth(2).unwrap().parse().unwrap()
}

/// One number, two ports: its connection says when it begins, its datagrams are counted.
// covers: L4-10
#[test]
fn program_that_speaks_both_over_one_port_number_has_one_name() {
    needs_root!();
    needs_program!("iperf3");
    each_beside_a_world(&[], |node, _world| {
        let mut iperf = node.netns.command("iperf3");
        let mut server = iperf.args(["-s", "-p", "5201"]).stdout(Stdio::null()).spawn().unwrap();
        until("iperf3 listens", Duration::from_secs(5), || {
            node.netns.inside(|| TcpStream::connect("127.0.0.1:5201")).is_ok()
        });
        node.ok(&["register", "perf", "--port", "tcp:5201"]);
        let both = node.ok(&["register", "perf", "--port", "udp:5201", "--label", "kind=load"]);
        assert!(both.contains("udp:127.0.0.1:5201"), "{both}");
        let load = ["iperf3", "-u", "-c", "perf.mesh", "-b", "2M", "-t", "1", "-l", "1000", "-J"];
        let report = node.run("cli", &load).exits(0).stdout;
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let sum = |key: &str| report["end"]["sum"][key].as_f64().unwrap();
        let (sent, lost) = (sum("packets"), sum("lost_packets"));
        // Those under way when the connection says it is over count as lost.
        assert!(sent > 100.0 && lost < sent / 2.0, "{}", report["end"]);
        eventually("its datagrams passed meshd", Duration::from_secs(3), || {
            let seen = node.metric("mesh_datagrams_received_total", &["service=\"perf\""]);
            if seen >= sent - lost { Ok(()) } else { Err(format!("{seen} of {sent}")) }
        });
        let exported = node.ok(&["export", "service/perf"]);
        node.meshctl_with(&["diff", "-f", "-"], &exported).exits(0);
        node.ok(&["deregister", "perf", "--port", "udp:5201"]);
        let left = node.ok(&["get", "service/perf", "-o", "json", "--jq", ".spec.ports"]);
        assert!(left.contains("tcp") && !left.contains("udp"), "{left}");
        server.kill().unwrap();
        server.wait().unwrap();
    });
}
