//! Beside the firewalls people have: whatever they reload, their rules and ours both hold.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mesh_tests::datagram::talk;
use mesh_tests::probe::{Answer, Ask};
use mesh_tests::programs::program;
use mesh_tests::wait::eventually;
use mesh_tests::{
    Backend, Firewall, Node, Probe, Talk, UdpServer, World, needs_root, wants_neighbour,
};

const BACKENDS: [&str; 4] = ["ebpf", "nft", "iptables-nft", "iptables-legacy"];
/// Of the node's ports those the firewall lets in, and one it does not.
const OPEN: [&str; 3] = ["8080/tcp", "8082/udp", "9100/tcp"];
const SHUT: u16 = 9101;

/// What a person has on a host: services, programs that call, and calls from outside.
struct Scene {
    node: Node,
    world: World,
    client: Probe,
    _server: Probe,
    _backends: Vec<Backend>,
    far: [UdpServer; 2],
}

impl Scene {
    fn set(node: Node, world: World) -> Self {
        let ports = [(8088, "v1"), (9100, "plain"), (SHUT, "hidden")];
        let backends = ports.map(|(port, name)| Backend::http(&node.netns, name, port)).into();
        node.ok(&["register", "web", "--port", "http:8088"]);
        let mut server = node.run_with(&["--as", "echo", "--port", "tcp:8080"]);
        for at in ["0.0.0.0:8080", "[::]:8082"] {
            server.serve(at);
        }
        let pid = server.pid().to_string();
        node.ok(&["register", "echo", "--port", "udp:8082", "--pid", &pid]);
        let egress = "10.88.0.0/24,fd88::/64";
        let mut command = node.command(program("meshctl"));
        command.args(["run", "--as", "cli", "--allow-egress", egress, "--"]);
        // A question nobody captures is not to be waited for.
        command.arg(program("mesh-probe")).env("RES_OPTIONS", "timeout:1 attempts:1");
        let client = Probe::start(command);
        let far = ["10.88.0.10:9000", "[fd88::10]:9000"]
            .map(|at| UdpServer::start(&world.netns, "far", at));
        Self { node, world, client, _server: server, _backends: backends, far }
    }

    /// Everything that should be, is; else what is not.
    fn works(&mut self) -> Result<(), String> {
        let request = "GET /x HTTP/1.1\r\nHost: web.mesh\r\nConnection: close\r\n\r\n";
        let parts = vec![request.into()];
        let asked = Ask::Exchange { address: "web.mesh:80".to_owned(), parts, idle_ms: 500 };
        let answer = match self.client.ask(&asked) {
            Answer::Exchanged(got) => got.text(),
            failed => return Err(format!("web.mesh: {failed:?}")),
        };
        check(answer.ends_with("v1 GET /x 0"), || format!("web.mesh answered {answer:?}"))?;
        for (to, server) in ["10.88.0.10:9000", "[fd88::10]:9000"].iter().zip(&self.far) {
            let heard = self.client.talk(&Talk { wait_ms: 500, ..Talk::connected(to, b"x") });
            check(heard.answers.len() == 1, || format!("{to}: {heard:?}"))?;
            let seen = server.seen();
            let own =
                seen.iter().any(|(from, _)| heard.local.ends_with(&format!(":{}", from.port())));
            check(!own, || format!("a datagram to {to} went past the proxy"))?;
        }
        let unmeshed = self.node.metric("mesh_connections_unmeshed_total", &["service=\"echo\""]);
        check(call(&self.world, 8080) == "hello", || "8080 does not answer the world".to_owned())?;
        let counted = self.node.metric("mesh_connections_unmeshed_total", &["service=\"echo\""]);
        check(counted > unmeshed, || "a stranger's call to 8080 was not taken".to_owned())?;
        for to in ["10.77.0.1:8082", "[fd77::1]:8082"] {
            let plan = Talk { wait_ms: 500, ..Talk::connected(to, b"x") };
            let heard = self.world.netns.inside(move || talk(&plan).expect("a socket"));
            check(heard.answers.len() == 1, || format!("{to} from the world: {heard:?}"))?;
        }
        check(call(&self.world, 9100).starts_with("HTTP/1.1 "), || "9100 is shut".to_owned())?;
        check(call(&self.world, SHUT).is_empty(), || format!("{SHUT} is open"))
    }

    /// Without meshd the firewall's rules are all that is left, and hold.
    fn end(self, firewall: &Firewall) {
        let Self { mut node, world, client, _server, _backends, .. } = self;
        drop((client, _server));
        assert_eq!(node.stop(), Some(0));
        let listed = firewall.does(&["nft", "list", "ruleset"]).stdout;
        assert!(!listed.to_lowercase().contains("meshd"), "{listed}");
        assert!(call(&world, 9100).starts_with("HTTP/1.1 "), "9100 is shut after meshd");
        assert_eq!(call(&world, SHUT), "", "{SHUT} is open after meshd");
        firewall.does(&["nft", "flush", "ruleset"]);
    }

    #[track_caller]
    fn works_within_two_seconds(&mut self, after: &str) {
        let start = Instant::now();
        eventually(after, Duration::from_secs(2), || self.works());
        eprintln!("  {after}: both work after {:?}", start.elapsed());
    }
}

/// What a stranger on another host hears; nothing when it is kept out.
fn call(world: &World, port: u16) -> String {
    let address = SocketAddr::from(([10, 77, 0, 1], port));
    world.netns.inside(move || {
        let mut said = String::new();
        let patience = Duration::from_millis(300);
        let Ok(mut stream) = TcpStream::connect_timeout(&address, patience) else {
            return said;
        };
        stream.set_read_timeout(Some(patience)).expect("a socket");
        let words: &[u8] = if port == 8080 { b"hello" } else { b"GET / HTTP/1.0\r\n\r\n" };
        stream.write_all(words).unwrap_or_default();
        stream.shutdown(Shutdown::Write).unwrap_or_default();
        stream.read_to_string(&mut said).unwrap_or_default();
        said
    })
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// With every backend, what a firewall is told one line after the other, and who is blamed where
/// that takes the rules of iptables over nft away.
fn beside(start: impl Fn(&Node, &str) -> Firewall, lines: &[(&str, Option<&str>)]) {
    for backend in BACKENDS {
        eprintln!("capture by {backend}");
        let mut node = Node::stopped(&["--backend", backend]);
        let world = World::beside(&node);
        let firewall = start(&node, backend);
        node.boot();
        let mut scene = Scene::set(node, world);
        scene.works_within_two_seconds("the firewall was there first");
        for (line, culprit) in lines {
            firewall.does(&["sh", "-ec", line]);
            scene.works_within_two_seconds(line);
            let events = scene.node.ok(&["events", "--severity", "warning"]);
            match culprit.filter(|_flushed| backend == "iptables-nft") {
                Some(culprit) => assert!(events.contains(culprit), "{line}: {events}"),
                None => assert!(!events.contains("capture/restored"), "{line}: {events}"),
            }
        }
        scene.end(&firewall);
    }
}

// covers: ACC-47
#[test]
fn ufw_and_capture_both_hold_after_every_reload() {
    needs_root!();
    wants_neighbour!("ufw");
    let start = |node: &Node, _backend: &str| {
        let ufw = Firewall::place(node);
        for port in OPEN {
            ufw.does(&["ufw", "allow", port]);
        }
        ufw.does(&["ufw", "--force", "enable"]);
        ufw
    };
    let anew = "/lib/ufw/ufw-init flush-all; ufw --force enable";
    beside(start, &[("ufw reload", None), (anew, Some("started by ufw-init"))]);
}

// covers: ACC-47
#[test]
fn firewalld_and_capture_both_hold_after_every_reload() {
    needs_root!();
    wants_neighbour!("firewalld");
    let start = |node: &Node, backend: &str| {
        // With the rules of iptables its check of the way back drops captured IPv6 datagrams.
        let way_back = if backend.starts_with("iptables") { "no" } else { "yes" };
        let firewalld = Firewall::firewalld(node, way_back);
        for port in OPEN {
            firewalld.does(&["firewall-cmd", "--permanent", &format!("--add-port={port}")]);
        }
        firewalld.does(&["firewall-cmd", "--reload"]);
        firewalld
    };
    let blamed = Some("changed by firewalld (pid ");
    beside(start, &[("firewall-cmd --reload", blamed), ("firewall-cmd --complete-reload", blamed)]);
}
