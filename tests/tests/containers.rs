//! Processes in network namespaces of their own, as containers are: captured without a proxy, a
//! rule or a file inside.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mesh_tests::backends::backends;
use mesh_tests::captured::Probe;
use mesh_tests::host::{capture_in, cgroup2, processes_in, remove_cgroup};
use mesh_tests::netns::Netns;
use mesh_tests::programs::program;
use mesh_tests::wait::{eventually, until};
use mesh_tests::{Backend, Node, Talk, UdpServer, World, needs_root};
use nix::sys::signal::Signal;

/// A process in a namespace and a cgroup of its own, named as Docker names them.
struct Container {
    probe: Probe,
    netns: Netns,
    cgroup: String,
    id: String,
}

impl Container {
    fn start(netns: &str) -> Self {
        let netns = Netns::new(netns);
        let id = format!("{:064x}", u64::from(std::process::id()) << 40 | 0xabc);
        let id = id.chars().rev().collect::<String>();
        let cgroup = format!("mt{}-docker.slice/docker-{id}.scope", std::process::id());
        fs::create_dir_all(cgroup2().join(&cgroup)).unwrap();
        let mut command = netns.command(program("mesh-probe"));
        // Once nobody captures it, nobody answers it.
        command.env("RES_OPTIONS", "timeout:1 attempts:1");
        let probe = Probe::start(command);
        let container = Self { probe, netns, cgroup, id };
        fs::write(container.folder().join("cgroup.procs"), container.probe.pid().to_string())
            .unwrap();
        container
    }

    fn folder(&self) -> PathBuf {
        cgroup2().join(&self.cgroup)
    }

    /// As people type it.
    fn short(&self) -> &str {
        &self.id[..12]
    }

    /// Inode of its network namespace.
    fn namespace(&self) -> u64 {
        fs::metadata(Path::new("/run/netns").join(self.netns.name())).unwrap().ino()
    }

    /// The service's virtual address of one family, port 80.
    fn virtual_address(&mut self, prefix: &str) -> String {
        let found = self.probe.resolve("web.mesh").unwrap();
        let address = found.iter().find(|ip| ip.starts_with(prefix)).unwrap();
        if address.contains(':') { format!("[{address}]:80") } else { format!("{address}:80") }
    }
}

/// On a node of each backend that has a service "web", of which `check` is handed the endpoint.
fn each(check: impl Fn(&mut Node, &Backend)) {
    for backend in backends() {
        eprintln!("capture by {backend}");
        let mut node = Node::with(&["--backend", backend]);
        let web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        check(&mut node, &web);
    }
}

/// Attaches, without a word of warning.
fn attach(node: &Node, container: &Container, flags: &[&str]) {
    let words = ["attach", "--container", container.short(), "--as", "shop"];
    let said = node.meshctl(&[&words, flags].concat()).exits(0);
    assert!(said.stdout.contains("1 process as shop"), "{said}");
    assert!(!said.stderr.contains("warning"), "{said}");
}

impl Drop for Container {
    fn drop(&mut self) {
        remove_cgroup(self.cgroup.split('/').next().unwrap()).unwrap();
    }
}

fn counted(node: &Node, source: &str, wanted: f64) {
    let labels = ["service=\"web\"".to_owned(), format!("source=\"{source}\"")];
    let labels = labels.each_ref().map(String::as_str);
    eventually("requests counted", Duration::from_secs(2), || {
        let count = node.metric("mesh_requests_total", &labels);
        if count == wanted { Ok(()) } else { Err(count) }
    });
}

// covers: X-074 X-064
#[test]
fn container_is_captured_by_its_id_and_let_go_again() {
    needs_root!();
    each(|node, _web| {
        let mut container = Container::start("box");
        attach(node, &container, &[]);
        assert!(container.probe.get("web.mesh", "/in").ends_with("v1 GET /in 0"));
        counted(node, "shop", 1.0);
        let caller = eventually("who called", Duration::from_secs(2), || {
            let line = node.access_log("request completed").pop().ok_or("no request")?;
            Ok::<_, &str>((line["pid"].as_u64(), line["process"].to_string()))
        });
        let pid = Some(u64::from(container.probe.pid()));
        assert_eq!(caller, (pid, "\"mesh-probe\"".to_owned()));
        node.ok(&["detach", "--container", container.short()]);
        let gone = container.probe.refused("web.mesh:80").is_some();
        assert!(gone || container.probe.resolve("web.mesh").is_err(), "it is still captured");
        assert_eq!(capture_in(&container.netns), [""; 0]);
        assert_eq!(processes_in(container.namespace()), [container.probe.pid()]);
    });
}

// covers: X-074 X-060
#[test]
fn both_families_and_transports_are_captured_inside() {
    needs_root!();
    each(|node, _web| {
        let one = UdpServer::start(&node.netns, "one", "127.0.0.1:9001");
        node.ok(&["register", "one", "--port", "udp:9001"]);
        let mut container = Container::start("box");
        let _world = World::behind(&container.netns);
        attach(node, &container, &[]);
        for prefix in ["240.", "fd"] {
            let address = container.virtual_address(prefix);
            let request = "GET /x HTTP/1.1\r\nHost: web.mesh\r\nConnection: close\r\n\r\n";
            let got = container.probe.exchange(&address, vec![request.into()], 5_000);
            assert!(got.text().ends_with("v1 GET /x 0"), "{address}: {got:?}");
            assert!(got.local.contains("77:") || got.local.contains("77."), "{}", got.local);
        }
        let found = container.probe.resolve("one.mesh").unwrap();
        for ip in &found {
            let to = if ip.contains(':') { format!("[{ip}]:9001") } else { format!("{ip}:9001") };
            for talk in [Talk::connected(&to, b"x"), Talk::unconnected(&[&to], b"x")] {
                let heard = container.probe.talk(&talk);
                assert_eq!(heard.texts(), [(to.clone(), "one x".to_owned())], "{heard:?}");
            }
        }
        assert_eq!((found.len(), one.seen().len()), (2, 4));
    });
}

#[test]
fn its_loopback_is_its_own() {
    needs_root!();
    each(|node, _web| {
        let mut container = Container::start("box");
        let _inside = Backend::http(&container.netns, "inside", 8080);
        attach(node, &container, &[]);
        assert!(container.probe.get("127.0.0.1:8080", "/own").ends_with("inside GET /own 0"));
        assert!(container.probe.get("web.mesh", "/mesh").ends_with("v1 GET /mesh 0"));
    });
}

#[test]
fn run_from_inside_a_namespace_is_captured_there() {
    needs_root!();
    each(|node, web| {
        let netns = Netns::new("box");
        let run = |command: &str| {
            let mut meshctl = netns.command(program("meshctl"));
            meshctl.env("MESHCTL_SOCKET", node.socket()).args(["run", "--as", "cli", "--"]);
            meshctl.args(command.split(' ')).output().unwrap()
        };
        let curl = run("curl -sS -m 5 http://web.mesh/x");
        assert_eq!(String::from_utf8_lossy(&curl.stdout), "v1 GET /x 0");
        let taken = eventually("its end noticed", Duration::from_secs(10), || {
            netns.inside(|| TcpListener::bind("0.0.0.0:15001"))
        });
        assert_eq!(capture_in(&netns), [""; 0]);
        let refused = run("curl -sS -m 5 http://web.mesh/x");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("0.0.0.0:15001"), "{said}");
        drop(taken);
        assert_eq!(web.served(), 1);
    });
}

// covers: X-074
#[test]
fn runtime_says_which_container_a_name_is() {
    needs_root!();
    let mut node = Node::stopped(&["--backend", "ebpf"]);
    let mut container = Container::start("box");
    let socket = node.dir.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (id, pid) = (container.id.clone(), container.probe.pid());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap_or(0);
            let known = request[..length].starts_with(b"GET /containers/shop/json ");
            let (status, body) = match known {
                true => ("200 OK", format!(r#"{{"Id":"{id}","State":{{"Pid":{pid}}}}}"#)),
                false => ("404 Not Found", "{}".to_owned()),
            };
            let answer = format!("HTTP/1.0 {status}\r\nContent-Type: a/b\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap_or_default();
        }
    });
    node.boot_with(&[("DOCKER_HOST", &format!("unix://{}", socket.display()))]);
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    node.meshctl(&["attach", "--container", "nobody"]).exits(5).complains(&["nobody"]);
    node.ok(&["attach", "--container", "shop", "--as", "shop"]);
    assert!(container.probe.get("web.mesh", "/in").ends_with("v1 GET /in 0"));
    counted(&node, "shop", 1.0);
}

// covers: X-064
#[test]
fn namespace_is_captured_whole_and_may_vanish() {
    needs_root!();
    each(|node, web| {
        let mut container = Container::start("box");
        let world = World::behind(&container.netns);
        let (name, namespace) = (container.netns.name().to_owned(), container.namespace());
        let said = node.ok(&["attach", "--netns", &name, "--as", "blue"]);
        assert!(said.contains("1 process as blue"), "{said}");
        let mut other = Probe::start(container.netns.command(program("mesh-probe")));
        assert!(container.probe.get("web.mesh", "/a").ends_with("v1 GET /a 0"));
        assert!(other.get("web.mesh", "/b").ends_with("v1 GET /b 0"));
        counted(node, "blue", 2.0);
        drop(other);
        drop(container);
        until("its end noticed", Duration::from_secs(10), || {
            node.ok(&["get", "attachments", "-o", "json"]).contains("absent")
        });
        let still = node.run("cli", &["curl", "-sS", "-m", "5", "http://web.mesh/c"]).exits(0);
        assert_eq!(still.stdout, "v1 GET /c 0");
        assert_eq!(web.served(), 3);
        assert!(processes_in(namespace).is_empty(), "{:?}", processes_in(namespace));
        // Any descriptor of the namespace would keep it, and with it this end of its cable.
        until("the kernel to let go of the namespace", Duration::from_secs(5), || {
            let cable = world.netns.command("ip").args(["link", "show", "h0"]).output().unwrap();
            !cable.status.success()
        });
    });
}

// covers: X-070 X-074
#[test]
fn killed_daemon_lets_a_container_go_and_takes_it_again() {
    needs_root!();
    each(|node, _web| {
        let mut container = Container::start("box");
        let world = World::behind(&container.netns);
        let _far = Backend::http(&world.netns, "far", 80);
        let _datagrams = UdpServer::start(&world.netns, "far", "10.88.0.10:9000");
        attach(node, &container, &["--allow-egress", "mesh"]);
        let address = container.virtual_address("240.");
        let talk = Talk { wait_ms: 200, ..Talk::connected("10.88.0.10:9000", b"x") };
        let namespace = container.namespace();
        let probe = &mut container.probe;
        let far = ["10.88.0.10:80", "[fd88::10]:80"];
        assert!(far.iter().all(|far| !probe.is_served(far)), "egress is for the mesh alone");
        assert_eq!(probe.talk(&talk).texts(), []);
        node.signal(Signal::SIGSTOP);
        until("a hung daemon to let go", Duration::from_millis(1_300), || {
            far.iter().all(|far| probe.is_served(far))
        });
        node.signal(Signal::SIGCONT);
        until("the container to be captured again", Duration::from_secs(5), || {
            probe.is_served(&address) && far.iter().all(|far| !probe.is_served(far))
        });
        node.kill();
        until("traffic that is no part of the mesh to flow", Duration::from_secs(1), || {
            far.iter().all(|far| probe.is_served(far)) && !probe.talk(&talk).answers.is_empty()
        });
        probe.is_refused_at_once(&address);
        node.boot();
        until("the container to be captured again", Duration::from_secs(5), || {
            probe.is_served(&address) && far.iter().all(|far| !probe.is_served(far))
        });
        assert_eq!(node.stop(), Some(0));
        assert_eq!(capture_in(&container.netns), [""; 0]);
        assert_eq!(processes_in(namespace), [probe.pid()]);
        assert!(far.iter().all(|far| probe.is_served(far)), "nobody captures it any more");
    });
}

#[test]
fn cleanup_reaches_into_attached_containers() {
    needs_root!();
    each(|node, _web| {
        let container = Container::start("box");
        attach(node, &container, &[]);
        node.kill();
        let done = node.daemon_command().arg("--cleanup").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(capture_in(&container.netns), [""; 0]);
    });
}

// covers: X-069
#[test]
fn what_others_flush_inside_is_back_within_two_seconds() {
    needs_root!();
    let flushes = [
        ("nft", "ip rule del pref 15002", "routes or routing rules were gone"),
        ("nft", "nft delete table inet meshd_vip", "by nft (pid "),
        ("iptables-nft", "iptables-nft -t nat -F", "by iptables"),
        ("iptables-legacy", "iptables-legacy -t nat -F", "rules of iptables were gone"),
    ];
    for (backend, flush, said) in flushes {
        eprintln!("{backend}: {flush}");
        let node = Node::with(&["--backend", backend]);
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let mut container = Container::start("box");
        attach(&node, &container, &[]);
        let mut words = flush.split(' ');
        let done = container.netns.command(words.next().unwrap()).args(words).status();
        assert!(done.unwrap().success());
        eventually("the event", Duration::from_secs(2), || {
            let log = node.log();
            let told =
                log.lines().any(|line| line.contains("capture/restored") && line.contains(said));
            if told { Ok(()) } else { Err(node.log_tail()) }
        });
        assert!(container.probe.get("web.mesh", "/after").ends_with("v1 GET /after 0"));
        container.probe.is_refused_at_once("240.0.255.1:80");
    }
}

#[test]
fn where_a_namespace_cannot_be_captured_that_is_said_and_nothing_is_left() {
    needs_root!();
    each(|node, _web| {
        let container = Container::start("box");
        let _taken = container.netns.inside(|| TcpListener::bind("0.0.0.0:15001")).unwrap();
        let said = node.meshctl(&["attach", "--container", container.short()]).exits(0);
        said.complains(&["stay outside", "0.0.0.0:15001"]);
        let pid = container.probe.pid().to_string();
        let why = node.ok(&["explain", "--pid", &pid, "--to", "tcp:240.0.0.1:80"]);
        assert!(why.contains("network namespace"), "{why}");
        assert_eq!(capture_in(&container.netns), [""; 0]);
    });
}
