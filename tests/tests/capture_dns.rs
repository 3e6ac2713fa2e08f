//! Names, as captured programs ask for them: whichever name server they were told to use.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mesh_tests::backends::each_beside_a_world;
use mesh_tests::dns::NameServer;
use mesh_tests::{Backend, Node, Ran, Talk, World, needs_root};

/// Name servers a host may be told to use: far and near, of both families, a stub, Docker's.
const SERVERS: [&str; 5] = ["10.88.0.10", "fd88::10", "127.0.0.53", "127.0.0.11", "::1"];

/// What Docker does in a container, with the program it uses: its resolver is behind ports nobody
/// knows.
fn docker_like(node: &Node, action: &str) {
    for (transport, port) in [("udp", 40053), ("tcp", 40054)] {
        let rule = format!(
            "-w 5 -t nat {action} OUTPUT -d 127.0.0.11 -p {transport} --dport 53 \
             -j DNAT --to-destination 127.0.0.11:{port}"
        );
        let status = node.netns.command("iptables").args(rule.split_whitespace()).status();
        assert!(status.unwrap().success(), "{rule}");
    }
}

fn serve(node: &Node, world: &World) -> Vec<NameServer> {
    let at = |netns, address: &str| NameServer::at(netns, address.parse::<SocketAddr>().unwrap());
    let mut servers = vec![at(&world.netns, "10.88.0.10:53"), at(&world.netns, "[fd88::10]:53")];
    for address in ["127.0.0.53:53", "127.0.0.11:40053", "127.0.0.11:40054", "[::1]:53"] {
        servers.push(at(&node.netns, address));
    }
    docker_like(node, "-A");
    servers
}

/// One `dig` that asks every server for `name`, over UDP and over TCP; a line for each.
fn dig(name: &str) -> Vec<String> {
    let mut words = vec!["dig".to_owned()];
    for server in SERVERS {
        for transport in ["+notcp", "+tcp"] {
            let asked = format!("{name} A @{server} {transport} +short +time=3 +tries=1");
            words.extend(asked.split(' ').map(str::to_owned));
        }
    }
    words
}

fn run(node: &Node, words: &[String]) -> Ran {
    node.run("cli", &words.iter().map(String::as_str).collect::<Vec<_>>())
}

// covers: X-073 REG-10
#[test]
fn mesh_answers_whichever_server_is_asked_and_only_for_its_own_names() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let servers = serve(node, world);
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let own = run(node, &dig("web.mesh")).exits(0);
        let answers: Vec<&str> = own.stdout.lines().collect();
        assert_eq!(answers.len(), 2 * SERVERS.len(), "{own}");
        assert!(answers.iter().all(|line| line.starts_with("240.0.")), "{own}");
        let asked: Vec<String> = servers.iter().flat_map(NameServer::asked).collect();
        assert_eq!(asked, [""; 0], "left the host");

        // Any other name is what its server says; for everybody else the mesh's names are too.
        let foreign = run(node, &dig("example.com")).exits(0);
        assert_eq!(foreign.stdout, "192.0.2.7\n".repeat(2 * SERVERS.len()), "{foreign}");
        let asked: Vec<usize> = servers.iter().map(|server| server.asked().len()).collect();
        assert_eq!(asked, [2, 2, 2, 1, 1, 2], "each over UDP and TCP");
        let words = dig("web.mesh");
        let outside = node.command(&words[0]).args(&words[1..]).output().unwrap();
        let outside = Ran::new("dig".to_owned(), &outside);
        assert_eq!(outside.stdout, "192.0.2.7\n".repeat(2 * SERVERS.len()), "{outside}");

        // As it came, time to live included; and a server that is not there is said, not looped to.
        let told = ["dig", "@10.88.0.10", "example.com", "+noall", "+answer"];
        assert!(node.run("cli", &told).exits(0).stdout.contains("60\tIN\tA\t192.0.2.7"));
        let start = Instant::now();
        let nobody = ["dig", "@10.88.0.12", "example.com", "+time=2", "+tries=1"];
        let said = node.run("cli", &nobody);
        assert!(said.code == 9 || said.stdout.contains("SERVFAIL"), "{said}");
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        docker_like(node, "-D");
    });
}

//
#[test]
fn resolver_may_be_replaced_while_the_program_runs() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let first = NameServer::at(&world.netns, "10.88.0.10:53".parse().unwrap());
        let second = NameServer::at(&world.netns, "10.88.0.11:53".parse().unwrap());
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let file = node.file("resolv.conf", "nameserver 10.88.0.10\n").display().to_string();
        let script = format!(
            "mount --bind {file} /etc/resolv.conf && getent ahostsv4 one.example && \
             echo nameserver 10.88.0.11 >{file} && getent ahostsv4 two.example && \
             getent ahostsv4 web.mesh"
        );
        let ran = node.run("cli", &["unshare", "-m", "sh", "-c", &script]).exits(0);
        assert!(ran.stdout.contains("240.0."), "{ran}");
        assert!(first.asked().iter().all(|name| name == "one.example"), "{:?}", first.asked());
        assert!(second.asked().iter().all(|name| name == "two.example"), "{:?}", second.asked());
        assert!(!first.asked().is_empty() && !second.asked().is_empty());
    });
}

/// The answer to a captured question must not be taken for another's, nor the daemon's own
/// question be sent back to itself, when both leave from the same few ports.
// covers: F-19
#[test]
fn thousand_lookups_from_two_ports_all_succeed() {
    needs_root!();
    each_beside_a_world(&[], |node, world| {
        let _server = NameServer::at(&world.netns, "10.88.0.10:53".parse().unwrap());
        let mut cli = node.run_as("cli");
        let range = ["sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001"];
        assert!(node.netns.command(range[0]).args(&range[1..]).status().unwrap().success());
        let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
        for n in 0..1_000 {
            let heard = cli.talk(&Talk::connected("10.88.0.10:53", query));
            let answer = heard.answers.first().map(|(_, bytes)| bytes.as_slice());
            let right = answer.is_some_and(|answer| answer.ends_with(&[192, 0, 2, 7]));
            assert!(right, "lookup {n}: {heard:?}");
        }
    });
}

#[test]
fn with_dns_off_name_servers_answer_for_themselves() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "capture: {dns: off}\n").unwrap();
    each_beside_a_world(&["--config", &file.display().to_string()], |node, world| {
        let servers = serve(node, world);
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let theirs = run(node, &dig("web.mesh")).exits(0);
        assert_eq!(theirs.stdout, "192.0.2.7\n".repeat(2 * SERVERS.len()), "{theirs}");
        assert_eq!(servers.iter().map(|server| server.asked().len()).sum::<usize>(), 10);
        // The service is still reached, by its address; and a virtual address answers questions.
        let address = node.ok(&["get", "service/web", "-o", "json", "--jq", ".status.address"]);
        let vip = address.trim().trim_matches('"').split(':').next().unwrap().to_owned();
        assert!(node.run_as("cli").get(&vip, "/").contains("v1"), "{vip}");
        let asked = node.run("cli", &["dig", "web.mesh", &format!("@{vip}"), "+short"]);
        assert_eq!(asked.exits(0).stdout.trim(), vip);
        let checked = node.meshctl(&["check", "--category", "capture", "-o", "short"]);
        checked.exits(0).says(&["skip capture/dns"]);
        docker_like(node, "-D");
    });
}
