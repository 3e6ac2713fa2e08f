//! Who is captured and as whom: by run, by user, across fork, exec and dropped privileges; and what is excluded.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use mesh_tests::backends::{backends, each_beside_a_world};
use mesh_tests::host::{cgroup2, remove_cgroup};
use mesh_tests::mirror::{goes_direct, mirror};
use mesh_tests::probe::{Answer, Ask};
use mesh_tests::programs::program;
use mesh_tests::wait::eventually;
use mesh_tests::{Backend, Node, Probe, Talk, UdpServer, needs_root};

/// Runs `check` on a node of each backend on which `mirror` is a service.
fn each_with_a_mirror(check: impl Fn(&Node)) {
    for backend in backends() {
        eprintln!("capture by {backend}");
        let node = Node::with(&["--backend", backend]);
        let _server = mirror(&node.netns, 9000);
        node.ok(&["register", "mirror", "--port", "http:9000"]);
        check(&node);
    }
}

/// A captured client started by other programs: `setpriv`, a shell that forks.
fn run_through(node: &Node, service: &str, words: &[&str]) -> Probe {
    let mut command = node.command(program("meshctl"));
    command.args(["run", "--as", service, "--"]).args(words).arg(open_copy(node));
    Probe::start(command)
}

/// The same without a run.
fn outside_as(node: &Node, words: &[&str]) -> Probe {
    let mut command = node.command(words[0]);
    command.args(&words[1..]).arg(open_copy(node)).current_dir("/");
    Probe::start(command)
}

/// `mesh-probe` where every user may start it.
fn open_copy(node: &Node) -> std::path::PathBuf {
    let open = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own folder");
    };
    let copy = node.dir.path().join("mesh-probe");
    if !copy.exists() {
        fs::copy(program("mesh-probe"), &copy).expect("copy the probe");
        open(&copy);
        open(node.dir.path());
    }
    copy
}

fn user(uid: u32) -> [String; 4] {
    let uid = uid.to_string();
    ["setpriv".into(), format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()]
}

/// Waits until the mesh has counted so many requests of `source` to the mirror.
fn counted(node: &Node, source: &str, wanted: f64) {
    let labels = ["service=\"mirror\"".to_owned(), format!("source=\"{source}\"")];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    eventually(&format!("{wanted} requests of {source}"), Duration::from_secs(3), || {
        let count = node.metric("mesh_requests_total", &labels);
        if count == wanted { Ok(()) } else { Err(count) }
    });
}

// covers: X-064 X-010 ACC-34
#[test]
fn each_workload_of_a_host_has_its_own_name() {
    needs_root!();
    each_with_a_mirror(|node| {
        let names = ["s1", "s2", "s3", "s4", "s5"];
        let mut clients: Vec<Probe> = names.iter().map(|name| node.run_as(name)).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            for _ in 0..=n {
                assert!(!goes_direct(client, "127.0.0.1:9000"));
            }
        }
        // Beside them, on the same host, somebody who is none of them.
        assert!(goes_direct(&mut node.outsider(), "127.0.0.1:9000"));
        for (name, wanted) in names.into_iter().zip(1..) {
            counted(node, name, f64::from(wanted));
        }
        assert_eq!(node.metric("mesh_requests_total", &["service=\"mirror\""]), 15.0);
    });
}

// covers: X-010 X-065
#[test]
fn workload_stays_what_it_is_through_fork_exec_and_dropped_privileges() {
    needs_root!();
    each_with_a_mirror(|node| {
        let lowered = user(4242);
        let lowered: Vec<&str> = lowered.iter().map(String::as_str).collect();
        let forked = ["sh", "-c", "\"$0\" \"$@\"; true"];
        let words: Vec<&str> = forked.into_iter().chain(lowered).collect();
        let mut client = run_through(node, "cli", &words);
        assert!(!goes_direct(&mut client, "127.0.0.1:9000"));
        counted(node, "cli", 1.0);

        // Put into a cgroup outside by root, it is nobody the mesh knows: nor has it the name.
        let elsewhere = format!("mt{}-elsewhere", std::process::id());
        let folder = cgroup2().join(&elsewhere);
        fs::create_dir_all(&folder).unwrap();
        let members = format!("{}/{}", cgroup2().display(), node.cgroup);
        for pid in members_of(Path::new(&members)) {
            fs::write(folder.join("cgroup.procs"), pid).unwrap();
        }
        assert!(goes_direct(&mut client, "127.0.0.1:9000"));
        counted(node, "cli", 1.0);
        drop(client);
        remove_cgroup(&elsewhere).unwrap();
    });
}

/// Pids in a cgroup and those below it, without the daemon's own.
fn members_of(folder: &Path) -> Vec<String> {
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    let scopes = below.map(|entry| entry.path()).filter(|path| path.is_dir());
    let pids = |path: std::path::PathBuf| fs::read_to_string(path.join("cgroup.procs"));
    let texts: Vec<String> = scopes.filter_map(|path| pids(path).ok()).collect();
    texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

// covers: X-010 X-064
#[test]
fn user_is_captured_wherever_it_runs() {
    needs_root!();
    each_with_a_mirror(|node| {
        node.ok(&["attach", "--uid", "4242", "--as", "batch"]);
        let of = |uid: u32| {
            let words = user(uid);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            goes_direct(&mut outside_as(node, &words), "127.0.0.1:9000")
        };
        assert!(!of(4242), "the user's connection went past the mesh");
        assert!(of(4243), "another user was captured");
        counted(node, "batch", 1.0);
        node.ok(&["detach", "--uid", "4242"]);
        assert!(of(4242), "captured after detach");
    });
}

//
#[test]
fn what_is_excluded_goes_direct_and_its_neighbour_does_not() {
    needs_root!();
    let settings = "capture:\n  exclude:\n    ports: [\"tcp:9001\", \"tcp:9010-9012\"]\n    \
                    cidrs: [10.77.0.1/32, \"fd77::1\"]\n    uids: [4242]\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(&file, settings).unwrap();
    each_beside_a_world(&["--config", &file.display().to_string()], |node, _world| {
        let ports = [9000, 9001, 9009, 9010, 9012, 9013];
        let _servers: Vec<Backend> = ports.iter().map(|&port| mirror(&node.netns, port)).collect();
        for port in ports {
            node.ok(&[
                "register",
                &format!("s{port}"),
                "--port",
                &format!("http:{port}"),
                "--service-port",
                &port.to_string(),
            ]);
        }
        let mut cli = node.run_as("cli");
        let direct: Vec<u16> = ports
            .into_iter()
            .filter(|port| goes_direct(&mut cli, &format!("127.0.0.1:{port}")))
            .collect();
        assert_eq!(direct, [9001, 9010, 9012]);
        // A port that is excluded is still the mesh's under the service's own address.
        assert!(!goes_direct(&mut cli, "s9001.mesh:9001"));

        for (near, far) in [("10.77.0.1:9000", "127.0.0.1:9000"), ("[fd77::1]:9000", "[::1]:9000")]
        {
            assert!(goes_direct(&mut cli, near), "{near} is excluded");
            assert!(!goes_direct(&mut cli, far), "{far} is not");
        }
        let words = user(4242);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut excluded = run_through(node, "cli", &words);
        assert!(goes_direct(&mut excluded, "127.0.0.1:9000"));
    });
}

//
#[test]
fn what_is_reached_over_an_excluded_interface_goes_direct() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(&file, "capture: {exclude: {interfaces: [v9]}}\n").unwrap();
    each_beside_a_world(&["--config", &file.display().to_string()], |node, world| {
        let (near, far) = (&node.netns, &world.netns);
        // It comes up, with its routes, only after meshd did.
        near.ip(&["link", "add", "v9", "type", "veth", "peer", "name", "p9", "netns", far.name()]);
        for (side, device, host) in [(near, "v9", 1), (far, "p9", 2)] {
            side.ip(&["addr", "add", &format!("10.99.0.{host}/24"), "dev", device]);
            side.ip(&["addr", "add", &format!("fd99::{host}/64"), "dev", device, "nodad"]);
            side.ip(&["link", "set", device, "up"]);
        }
        let _server = mirror(far, 9000);
        node.ok(&["register", "far", "--port", "http:9000", "--address", "10.99.0.2"]);
        let egress = "10.0.0.0/8,fd88::/16,fd99::/16";
        let mut cli = node.run_with(&["--as", "cli", "--allow-egress", egress]);
        eventually("the routes to be known", Duration::from_secs(2), || {
            if goes_direct(&mut cli, "10.99.0.2:9000") { Ok(()) } else { Err("captured") }
        });
        assert!(goes_direct(&mut cli, "[fd99::2]:9000"));
        for other in ["10.88.0.10:9000", "[fd88::10]:9000", "far.mesh:80"] {
            assert!(!goes_direct(&mut cli, other), "{other} is not reached over v9");
        }
        let servers = ["10.99.0.2:9007", "10.88.0.10:9007", "[fd99::2]:9007", "[fd88::10]:9007"]
            .map(|at| (at, UdpServer::start(far, "far", at)));
        for (at, server) in servers {
            let heard = cli.talk(&Talk::connected(at, b"x"));
            assert_eq!(heard.answers.len(), 1, "{at}: {heard:?}");
            let direct = server.seen()[0].0.to_string() == heard.local;
            assert_eq!(direct, at.contains("99:") || at.contains("99."), "{at}");
        }
    });
}

/// What `explain` says becomes of a process's connection.
fn predicted(node: &Node, pid: u32, to: &str) -> String {
    let to = format!("tcp:{to}");
    let pid = pid.to_string();
    let said = node.ok(&["explain", "--pid", &pid, "--to", &to, "-o", "json", "--jq", ".fate"]);
    said.trim().trim_matches('"').to_owned()
}

/// What becomes of it.
fn observed(client: &mut Probe, to: &str) -> &'static str {
    if client.refused(to).is_some() {
        return "refused";
    }
    let request = format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    let parts = vec![request.as_str().into()];
    let Answer::Exchanged(got) =
        client.ask(&Ask::Exchange { address: to.to_owned(), parts, idle_ms: 3_000 })
    else {
        return "proxy"; // taken, and refused there
    };
    let text = got.text();
    let seen = text.split_once("\r\n\r\n").map(|(_, seen)| seen);
    if seen.is_some() && got.local.rsplit(':').next() == seen { "passes" } else { "proxy" }
}

#[test]
fn explanation_of_a_connection_is_what_then_happens() {
    needs_root!();
    let settings = "capture:\n  exclude:\n    ports: [\"tcp:9001\"]\n    cidrs: [10.77.0.1/32]\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(&file, settings).unwrap();
    each_beside_a_world(&["--config", &file.display().to_string()], |node, world| {
        let ports = [9000, 9001];
        let _servers: Vec<Backend> = ports.iter().map(|&port| mirror(&node.netns, port)).collect();
        let _far = mirror(&world.netns, 9000);
        for port in ports.map(|port| port.to_string()) {
            let (declared, name) = (format!("http:{port}"), format!("s{port}"));
            node.ok(&["register", &name, "--port", &declared, "--service-port", &port]);
        }
        let address = node.ok(&["get", "service/s9000", "-o", "json", "--jq", ".status.address"]);
        let vip = address.trim().trim_matches('"').to_owned();
        let (ip, _port) = vip.rsplit_once(':').expect("an address with a port");
        let mut restricted = node.command(program("meshctl"));
        restricted.args(["run", "--as", "job", "--allow-egress", "mesh", "--"]);
        restricted.arg(program("mesh-probe"));
        for mut client in [node.run_as("cli"), node.outsider(), Probe::start(restricted)] {
            let pid = client.pid();
            let undeclared = format!("{ip}:81");
            let real = ["127.0.0.1:9000", "127.0.0.1:9001", "10.77.0.1:9000", "10.88.0.10:9000"];
            for to in real.into_iter().chain([vip.as_str(), &undeclared]) {
                let said = predicted(node, pid, to);
                let seen = observed(&mut client, to);
                // Outside the mesh a virtual address leads nowhere.
                let nowhere = said == "passes" && seen == "refused" && to.starts_with(ip);
                // What egress does not allow is taken, and reset before a byte was sent.
                let reset = said == "proxy" && seen == "refused" && to.starts_with("10.88.");
                let as_said = said == seen || nowhere || reset;
                assert!(as_said, "pid {pid} to {to}: said {said}, was {seen}");
            }
        }
    });
}
