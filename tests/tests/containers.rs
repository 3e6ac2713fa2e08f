//! Processes in network namespaces of their own, as containers are: captured without a proxy, a
//! rule or a file inside.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use mesh_tests::captured::Probe;
use mesh_tests::host::{cgroup2, remove_cgroup};
use mesh_tests::netns::Netns;
use mesh_tests::programs::program;
use mesh_tests::wait::{eventually, until};
use mesh_tests::{Backend, Node, needs_root};

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
        let probe = Probe::start(netns.command(program("mesh-probe")));
        let container = Self { probe, netns, cgroup, id };
        fs::write(container.folder().join("cgroup.procs"), container.probe.pid().to_string())
            .unwrap();
        container
    }

    fn folder(&self) -> PathBuf {
        cgroup2().join(&self.cgroup)
    }
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
    let node = Node::with(&["--backend", "ebpf"]);
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut container = Container::start("box");
    let said = node.meshctl(&["attach", "--container", &container.id[..12], "--as", "shop"]);
    let said = said.exits(0);
    assert!(said.stdout.contains("1 process as shop"), "{said}");
    assert!(container.probe.get("web.mesh", "/in").ends_with("v1 GET /in 0"));
    counted(&node, "shop", 1.0);
    node.ok(&["detach", "--container", &container.id[..12]]);
    let gone = container.probe.refused("web.mesh:80").is_some();
    assert!(gone || container.probe.resolve("web.mesh").is_err(), "it is still captured");
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

#[test]
fn namespace_is_captured_whole_and_may_vanish() {
    needs_root!();
    let node = Node::with(&["--backend", "ebpf"]);
    let web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut container = Container::start("box");
    let name = container.netns.name().to_owned();
    node.ok(&["attach", "--netns", &name, "--as", "blue"]);
    let mut other = Probe::start(container.netns.command(program("mesh-probe")));
    assert!(container.probe.get("web.mesh", "/a").ends_with("v1 GET /a 0"));
    assert!(other.get("web.mesh", "/b").ends_with("v1 GET /b 0"));
    counted(&node, "blue", 2.0);
    drop(other);
    drop(container);
    until("its end noticed", Duration::from_secs(3), || {
        node.ok(&["get", "attachments", "-o", "json"]).contains("absent")
    });
    let still = node.run("cli", &["curl", "-sS", "-m", "5", "http://web.mesh/c"]).exits(0);
    assert_eq!(still.stdout, "v1 GET /c 0");
    assert_eq!(web.served(), 3);
}

#[test]
fn where_a_namespace_cannot_be_reached_that_is_said() {
    needs_root!();
    let node = Node::with(&["--backend", "nft"]);
    let container = Container::start("box");
    let said = node.meshctl(&["attach", "--container", &container.id[..12]]).exits(0);
    said.complains(&["stay outside", "meshd's own namespace only"]);
}
