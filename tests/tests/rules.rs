//! Rules of the nft and iptables backends beside those of others: flushed, doubled, full, switched
//! off, and what becomes of them when meshd hangs.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use mesh_tests::wait::{eventually, until};
use mesh_tests::{Backend, Netns, Node, World, needs_root};
use nix::sys::signal::Signal;

const RULES: [&str; 3] = ["nft", "iptables-nft", "iptables-legacy"];

/// Rules as Docker makes them: a published port, and its own DNS for one network.
const DOCKER: &str = "\
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8088 -j DNAT --to-destination 10.88.0.10:80
COMMIT
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
";

/// Runs one program of the host's in the namespace; what it printed.
#[track_caller]
fn run(netns: &Netns, line: &str) -> String {
    let mut words = line.split(' ');
    let program = words.next().expect("a program");
    let output = netns.command(program).args(words).output().expect(program);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn restore(node: &Node, program: &str, rules: &str) {
    let file = node.file("rules", rules);
    run(&node.netns, &format!("{program}-restore {}", file.display()));
}

/// Rules and chains of others, without counters; a table that is only there is nothing.
fn foreign(node: &Node) -> Vec<String> {
    let programs = ["iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"];
    let mut found = Vec::new();
    for program in programs {
        let saved = run(&node.netns, &format!("{program}-save"));
        let lines = saved.lines().filter(|line| {
            let chain = line.starts_with(':') && line.contains(" - ");
            (line.starts_with("-A") || chain) && !line.contains("MESHD_")
        });
        let lines = lines.map(|line| line.split(" [").next().unwrap_or(line).to_owned());
        found.extend(lines.map(|line| format!("{program}: {line}")));
    }
    found
}

// covers: ACC-47
#[test]
fn flushed_rules_are_back_within_two_seconds_and_the_event_says_who_did_it() {
    needs_root!();
    let flushes = [
        ("nft", "nft flush ruleset", "by nft (pid "),
        ("iptables-nft", "nft flush ruleset", "by nft (pid "),
        ("iptables-nft", "iptables-nft -t nat -F", "by iptables"),
        ("iptables-nft", "ip6tables-nft -t mangle -F", "by ip6tables"),
        ("iptables-legacy", "iptables-legacy -t nat -F", "changed by"),
        ("iptables-legacy", "iptables-legacy -t filter -F OUTPUT", "changed by"),
        ("nft", "ip rule flush", "routes or routing rules were gone"),
    ];
    for (backend, flush, said) in flushes {
        eprintln!("{backend}: {flush}");
        let node = Node::with(&["--backend", backend]);
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let mut cli = node.run_as("cli");
        assert!(cli.get("web.mesh", "/before").ends_with("v1 GET /before 0"));
        run(&node.netns, flush);
        if flush == "ip rule flush" {
            run(&node.netns, "ip rule add table main pref 32766");
        }
        let start = Instant::now();
        eventually("the event", Duration::from_secs(2), || {
            let log = node.log();
            let told =
                log.lines().any(|line| line.contains("capture/restored") && line.contains(said));
            if told { Ok(()) } else { Err(node.log_tail()) }
        });
        let answer = cli.get("web.mesh", "/after");
        assert!(answer.ends_with("v1 GET /after 0"), "{answer}");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        let mut outsider = node.outsider();
        let refused = outsider.refused("240.0.0.1:80").expect("nobody answers there");
        assert!(refused.contains("refused"), "{refused}");
    }
}

//
#[test]
fn rules_of_others_stay_as_they_are_and_work() {
    needs_root!();
    for backend in ["ebpf", "nft", "iptables-nft", "iptables-legacy"] {
        for others in ["iptables-nft", "iptables-legacy"] {
            eprintln!("{backend} beside {others}");
            let mut node = Node::stopped(&["--backend", backend]);
            let world = World::beside(&node);
            let _published = Backend::http(&world.netns, "container", 80);
            restore(&node, others, DOCKER);
            let before = foreign(&node);
            assert!(before.iter().any(|line| line.contains("DNAT")), "{before:?}");
            node.boot();
            let _web = Backend::http(&node.netns, "v1", 8080);
            node.ok(&["register", "web", "--port", "http:8080"]);
            let mut cli = node.run_as("cli");
            assert!(cli.get("web.mesh", "/m").ends_with("v1 GET /m 0"));
            for client in [&mut cli, &mut node.outsider()] {
                let answer = client.get("10.77.0.1:8088", "/p");
                assert!(answer.ends_with("container GET /p 0"), "{answer}");
            }
            assert_eq!(foreign(&node), before, "while meshd runs");
            drop(cli);
            assert_eq!(node.stop(), Some(0));
            assert_eq!(foreign(&node), before, "after meshd");
            let empty = "*nat\nCOMMIT\n*filter\nCOMMIT\n";
            restore(&node, others, empty);
        }
    }
}

//
#[test]
fn rules_of_both_kinds_are_lived_with_and_said() {
    needs_root!();
    for backend in RULES {
        let mut node = Node::stopped(&["--backend", backend]);
        run(&node.netns, "nft add table ip theirs");
        run(&node.netns, "iptables-legacy -A INPUT -s 192.0.2.1 -j DROP");
        node.boot();
        let status = node.ok(&["status", "-o", "json"]);
        assert!(status.contains("legacy iptables and of nft are both in use"), "{status}");
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let curl = node.run("cli", &["curl", "-sS", "-m", "5", "http://web.mesh/x"]);
        assert_eq!(curl.exits(0).stdout, "v1 GET /x 0");
        assert_eq!(node.stop(), Some(0));
        run(&node.netns, "iptables-legacy -D INPUT -s 192.0.2.1 -j DROP");
        run(&node.netns, "nft delete table ip theirs");
    }
}

//
#[test]
fn hung_daemon_holds_nobody_hostage_and_captures_again_when_it_wakes() {
    needs_root!();
    for backend in RULES {
        eprintln!("capture by {backend}");
        let mut node = Node::stopped(&["--backend", backend]);
        let world = World::beside(&node);
        let _elsewhere = Backend::http(&world.netns, "elsewhere", 80);
        node.boot();
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let mut run = node.command(mesh_tests::programs::program("meshctl"));
        run.args(["run", "--as", "cli", "--allow-egress", "mesh", "--"]);
        run.arg(mesh_tests::programs::program("mesh-probe"));
        let mut cli = mesh_tests::Probe::start(run);
        let request = "GET /x HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n";
        let mut reaches = |address: &str, patience: u64| {
            let ask = mesh_tests::probe::Ask::Exchange {
                address: address.to_owned(),
                parts: vec![request.into()],
                idle_ms: patience,
            };
            match cli.ask(&ask) {
                mesh_tests::probe::Answer::Exchanged(got) => got.text().ends_with("GET /x 0"),
                _failed => false,
            }
        };
        assert!(!reaches("10.88.0.10:80", 300), "egress is for the mesh alone");
        node.signal(Signal::SIGSTOP);
        let start = Instant::now();
        until("traffic that is no part of the mesh to flow", Duration::from_secs(3), || {
            reaches("10.88.0.10:80", 100)
        });
        let hostage = start.elapsed();
        node.signal(Signal::SIGCONT);
        assert!(hostage < Duration::from_millis(1_300), "{hostage:?}");
        until("capture to be in force again", Duration::from_secs(3), || {
            !reaches("10.88.0.10:80", 300)
        });
        let answer = cli.get("web.mesh", "/again");
        assert!(answer.ends_with("v1 GET /again 0"), "{answer}");
    }
}

//
#[test]
fn host_without_ipv6_is_captured_all_the_same() {
    needs_root!();
    for backend in ["ebpf", "nft", "iptables-nft", "iptables-legacy"] {
        eprintln!("capture by {backend}");
        let mut node = Node::stopped(&["--backend", backend]);
        run(&node.netns, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
        node.boot();
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let curl = node.run("cli", &["curl", "-sS", "-m", "5", "http://web.mesh/x"]);
        assert_eq!(curl.exits(0).stdout, "v1 GET /x 0");
        assert_eq!(node.stop(), Some(0));
        assert!(node.leftovers().is_empty(), "{:?}", node.leftovers());
    }
}

#[test]
fn full_connection_tracking_is_said_and_survived() {
    needs_root!();
    let node = Node::with(&["--backend", "nft"]);
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut cli = node.run_as("cli");
    assert!(cli.get("web.mesh", "/before").ends_with("v1 GET /before 0"));
    let read = |name: &str| {
        let file = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        run(&node.netns, &format!("cat {file}")).trim().parse::<u32>().expect("a number")
    };
    let most = read("max");
    node.netns.inside(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        for number in 0..most {
            let [_, second, third, fourth] = number.to_be_bytes();
            let to = (std::net::Ipv4Addr::new(127, 1 + second, third, fourth), 9);
            // Refused at once, or no room: both are what is wanted.
            drop(socket.send_to(&[0], to));
        }
    });
    assert!(read("count") > most / 20 * 19, "{} of {most}", read("count"));
    eventually("the problem to be said", Duration::from_secs(3), || {
        let status = node.meshctl(&["status", "-o", "json"]).stdout;
        if status.contains("nf_conntrack_max") { Ok(()) } else { Err(status) }
    });
    let answer = cli.get("web.mesh", "/full");
    assert!(answer.ends_with("v1 GET /full 0"), "{answer}");
}
