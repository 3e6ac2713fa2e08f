//! Capture under many connections and destinations: nothing is miscounted, nothing grows for ever.

use std::time::Duration;

use mesh_tests::backends::{backends, each_beside_a_world};
use mesh_tests::load::Plan;
use mesh_tests::probe::Ask;
use mesh_tests::wait::eventually;
use mesh_tests::{Backend, Node, Probe, Talk, UdpServer, needs_root};

fn opened(node: &Node, service: &str, wanted: f64) {
    let label = format!("service=\"{service}\"");
    eventually(&format!("{wanted} of {service}"), Duration::from_secs(3), || {
        let count = node.metric("mesh_connections_opened_total", &[&label]);
        if count == wanted { Ok(()) } else { Err(format!("{count} instead of {wanted}")) }
    });
}

// covers: TP-03
#[test]
fn ten_of_each_are_counted_as_ten_of_each() {
    needs_root!();
    each_beside_a_world(&[], |node, _world| {
        let _web = Backend::http(&node.netns, "v1", 8080);
        let _one = UdpServer::start(&node.netns, "one", "127.0.0.1:9001");
        node.ok(&["register", "web", "--port", "http:8080"]);
        node.ok(&["register", "one", "--port", "udp:9001"]);
        let mut cli = node.run_as("cli");
        let mut other = node.outsider();
        for _ in 0..10 {
            assert!(cli.get("web.mesh", "/x").ends_with("v1 GET /x 0"));
            assert!(other.get("127.0.0.1:8080", "/x").ends_with("v1 GET /x 0"));
            let heard = cli.talk(&Talk::connected("127.0.0.1:9001", b"x"));
            assert_eq!(heard.answers.len(), 1, "{heard:?}");
        }
        opened(node, "web", 10.0);
        opened(node, "one", 10.0);
    });
}

// covers: TP-02 X-010
#[test]
fn connects_at_the_same_time_are_not_taken_for_each_other() {
    needs_root!();
    for backend in backends() {
        let mut node = Node::stopped(&["--backend", backend]);
        node.boot();
        let _web = Backend::http(&node.netns, "v1", 8080);
        let _api = Backend::http(&node.netns, "v2", 8081);
        node.ok(&["register", "web", "--port", "http:8080"]);
        node.ok(&["register", "api", "--port", "http:8081"]);
        let (mut shop, mut till) = (node.run_as("shop"), node.run_as("till"));
        let many = |host| Plan { close: true, ..Plan::get(host, 5_000, 4) };
        let to_api = many("api.mesh");
        let (web, api) = shop.load_meanwhile(&many("web.mesh"), || till.load(&to_api));
        // Under nft and iptables about one in 20,000 of these was reset, on a busy machine.
        let most = if backend == "ebpf" { 0 } else { 3 };
        for (source, service, version, report) in
            [("shop", "web", "v1", &web), ("till", "api", "v2", &api)]
        {
            assert!(report.lost() <= most, "{source}: {}", report.summary());
            let answered = report.fate("ok");
            assert_eq!(report.shares()[version], answered, "{source}");
            let labels = [format!("source=\"{source}\""), format!("service=\"{service}\"")];
            let labels = labels.each_ref().map(String::as_str);
            // The last one is counted when its last byte is out, maybe after the client left.
            eventually("requests counted", Duration::from_secs(3), || {
                let counted = node.metric("mesh_requests_total", &labels) as u64;
                let all = (answered..=5_000).contains(&counted);
                if all { Ok(()) } else { Err(format!("{source}: {counted} of {answered}")) }
            });
        }
    }
}

// covers: TP-02
#[test]
fn ten_thousand_destinations_leave_no_memory_and_confuse_nobody() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        world.netns.ip(&["route", "add", "local", "10.90.0.0/16", "dev", "lo"]);
        let _far = UdpServer::start(&world.netns, "far", "10.88.0.10:9000");
        let _web = Backend::tcp(&world.netns, "far", 80, drop);
        let mut cli = node.run_with(&["--as", "cli", "--allow-egress", "10.0.0.0/8"]);
        let mut held = node.run_as("held");
        held.ask(&Ask::Hold { address: "10.88.0.10:80".to_owned(), count: 1 });
        let memory = || node.metric("process_resident_memory_bytes", &[]);
        let to = |n: u32| format!("10.90.{}.{}:9", n / 250, 1 + n % 250);
        let round = |cli: &mut Probe, from: u32| {
            let addresses: Vec<String> = (from..from + 1_000).map(to).collect();
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let talk = Talk { wait_ms: 50, expect: 1_000, ..Talk::unconnected(&addresses, b"x") };
            cli.talk(&talk);
        };
        (0..4).for_each(|n| round(&mut cli, n * 1_000));
        let before = memory();
        (4..10).for_each(|n| round(&mut cli, n * 1_000));
        let grown = memory() - before;
        assert!(grown < 24e6, "grew by {grown} bytes");
        let heard = cli.talk(&Talk::connected("10.88.0.10:9000", b"after"));
        let answer = [("10.88.0.10:9000".to_owned(), "far after".to_owned())];
        assert_eq!(
            (heard.texts(), heard.peer.as_deref()),
            (answer.to_vec(), Some("10.88.0.10:9000"))
        );
    });
}
