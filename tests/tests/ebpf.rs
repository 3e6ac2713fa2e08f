//! What only the eBPF backend has to get right: its neighbours, and odd clients.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mesh_tests::host::{cgroup2, installed};
use mesh_tests::probe::Ask;
use mesh_tests::wait::{pause, until};
use mesh_tests::{Backend, Node, needs_root};

fn node_with_web() -> (Node, Backend) {
    let node = Node::with(&["--backend", "ebpf"]);
    let web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    (node, web)
}

/// Prints what the client got, or its error's name.
const ODD_CLIENTS: &str = r#"
import errno, select, socket, sys
REQUEST = b"GET /odd HTTP/1.1\r\nHost: web.mesh\r\nConnection: close\r\n\r\n"
kind = sys.argv[1]
vip = socket.gethostbyname("web.mesh")
try:
    if kind == "mptcp":
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
        s.connect((vip, 80)); s.sendall(REQUEST)
    elif kind == "fastopen":
        s = socket.socket()
        s.sendto(REQUEST, 0x20000000, (vip, 80))
    elif kind == "nonblocking":
        s = socket.socket(); s.setblocking(False)
        assert s.connect_ex((vip, 80)) == errno.EINPROGRESS
        select.select([], [s], [], 5); s.setblocking(True); s.sendall(REQUEST)
    elif kind == "bound":
        s = socket.socket(); s.bind(("127.0.0.1", 0))
        s.connect((vip, 80)); s.sendall(REQUEST)
    elif kind == "mapped":
        s = socket.socket(socket.AF_INET6)
        s.connect(("::ffff:" + vip, 80)); s.sendall(REQUEST)
        assert s.getpeername()[0] == "::ffff:" + vip, s.getpeername()
    elif kind == "anywhere":
        s = socket.socket(); s.connect(("0.0.0.0", 8080)); s.sendall(REQUEST)
    s.settimeout(5)
    text = b""
    while part := s.recv(4096): text += part
    print(text.decode().splitlines()[-1])
except OSError as error:
    print(errno.errorcode[error.errno])
"#;

// covers: TP-05 X-060
#[test]
fn odd_clients_are_captured_too() {
    needs_root!();
    if !installed("python3") {
        eprintln!("SKIPPED (needs python3)");
        return;
    }
    let (node, web) = node_with_web();
    for kind in ["mptcp", "fastopen", "nonblocking", "bound", "mapped", "anywhere"] {
        let got = node.run("cli", &["python3", "-c", ODD_CLIENTS, kind]).exits(0).stdout;
        assert_eq!(got.trim(), "v1 GET /odd 0", "{kind}");
        let seen = web.seen().pop().expect("a request");
        assert!(seen.head.one("x-request-id").is_some(), "{kind} went around the mesh");
    }
}

/// How many sockets the programs know of that are connected with something else than they asked for.
fn connected(node: &Node) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fdinfo", node.pid())).unwrap().flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let of_it = |text: &String| text.contains("key_size:\t8\nvalue_size:\t40\n");
    let text = texts.into_iter().find(of_it).expect("the map CONNECTED");
    let id = text.lines().find_map(|line| line.strip_prefix("map_id:\t")).expect("an id");
    let dump = Command::new("bpftool").args(["-j", "map", "dump", "id", id]).output().unwrap();
    let entries: serde_json::Value = serde_json::from_slice(&dump.stdout).unwrap();
    entries.as_array().expect("a list").len()
}

#[test]
fn what_a_socket_asked_for_is_known_as_long_as_it_is_open() {
    needs_root!();
    if !installed("bpftool") {
        eprintln!("SKIPPED (needs bpftool)");
        return;
    }
    let (node, _web) = node_with_web();
    let (mut held, mut brief) = (node.run_as("held"), node.run_as("brief"));
    held.ask(&Ask::Hold { address: "127.0.0.1:8080".to_owned(), count: 20 });
    for _ in 0..50 {
        assert!(brief.get("127.0.0.1:8080", "/x").ends_with("v1 GET /x 0"));
    }
    until("only what is open is known", Duration::from_secs(3), || connected(&node) == 20);
    drop(held);
    until("nothing is", Duration::from_secs(3), || connected(&node) == 0);
}

/// Prints the congestion control of a captured connection.
const CONTROL: &str = "import socket
s = socket.create_connection(('web.mesh', 80))
print(s.getsockopt(socket.IPPROTO_TCP, 13, 16).rstrip(b'\\0').decode())";

/// bbr runs loopback at a fifth of its speed. What does not is left alone, also when it becomes the
/// default meanwhile.
#[test]
fn captured_connection_is_not_paced() {
    needs_root!();
    let (node, _web) = node_with_web();
    for (default, wanted) in [("reno", "reno"), ("bbr", "reno"), ("cubic", "cubic")] {
        let set = format!("net.ipv4.tcp_congestion_control={default}");
        let set = node.netns.command("sysctl").args(["-qw", &set]).status();
        if !set.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED (this kernel has no {default})");
            continue;
        }
        until(&format!("{default} becomes {wanted}"), Duration::from_secs(5), || {
            node.run("cli", &["python3", "-c", CONTROL]).exits(0).stdout.trim() == wanted
        });
    }
}

/// Tied to a device, a socket cannot reach loopback: it goes its own way, but to no name.
#[test]
fn socket_tied_to_a_device_goes_direct() {
    needs_root!();
    if !installed("curl") {
        eprintln!("SKIPPED (needs curl)");
        return;
    }
    let mut node = Node::stopped(&["--backend", "ebpf"]);
    let world = mesh_tests::World::beside(&node);
    node.boot();
    let remote = Backend::http(&world.netns, "v1", 80);
    node.ok(&["register", "web", "--address", "10.88.0.10", "--port", "http:80"]);
    let curl = |url| node.run("cli", &["curl", "-sS", "-m", "5", "--interface", "if!w0", url]);
    assert_eq!(curl("http://10.88.0.10/x").exits(0).stdout, "v1 GET /x 0");
    let seen = remote.seen().pop().expect("a request");
    assert!(seen.head.one("x-request-id").is_none(), "the proxy touched it: {seen:?}");
    let vip = node.run("cli", &["getent", "ahostsv4", "web.mesh"]).exits(0).stdout;
    let vip = vip.split_whitespace().next().expect("an address");
    assert_eq!(curl(&format!("http://{vip}/x")).code, 7, "a name hangs or answers");
}

/// Refuses port 666 with EPERM, and leaves the rest to others.
const NEIGHBOUR: &str = r#"
#include <linux/bpf.h>
__attribute__((section("cgroup/connect4"), used)) int neighbour(struct bpf_sock_addr *ctx)
{
	return ctx->user_port != __builtin_bswap16(666);
}
char LICENSE[] __attribute__((section("license"), used)) = "Apache-2.0";
"#;

/// Compiles and loads [`NEIGHBOUR`]; `pin` is where it is afterwards.
fn load_neighbour(node: &Node, pin: &Path) {
    let (source, object) = (node.file("n.c", NEIGHBOUR), node.dir.path().join("n.o"));
    let headers = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let flags = ["-O2", "-target", "bpf", &headers, "-c"];
    let compiled = Command::new("clang").args(flags).arg(&source).arg("-o").arg(&object).status();
    assert!(compiled.unwrap().success());
    let mut load = Command::new("bpftool");
    load.args(["prog", "load"]).arg(&object).arg(pin).args(["type", "cgroup/connect4"]);
    assert!(load.status().unwrap().success());
}

// covers: X-068
#[test]
fn programs_of_others_stay_at_work() {
    needs_root!();
    if !installed("bpftool") {
        eprintln!("SKIPPED (needs bpftool)");
        return;
    }
    let (node, _web) = node_with_web();
    let _forbidden = Backend::http(&node.netns, "v2", 666);
    node.ok(&["register", "other", "--port", "http:666"]);
    let pin = Path::new("/sys/fs/bpf").join(format!("mt{}-neighbour", std::process::id()));
    load_neighbour(&node, &pin);
    let slice = cgroup2().join(&node.cgroup);
    let attach = |verb: &str, mode: &[&str]| {
        let mut bpftool = Command::new("bpftool");
        bpftool.args(["cgroup", verb]).arg(&slice).args(["connect4", "pinned"]).arg(&pin);
        bpftool.args(mode).status().unwrap().success()
    };
    assert!(attach("attach", &["multi"]));
    let mut cli = node.run_as("cli");
    assert!(cli.get("web.mesh", "/x").ends_with("v1 GET /x 0"));
    let refused = cli.refused("127.0.0.1:666").expect("the neighbour's word counts");
    assert!(refused.contains("PermissionDenied"), "{refused}");
    assert!(attach("detach", &[]), "the neighbour is gone");
    assert!(cli.get("web.mesh", "/y").ends_with("v1 GET /y 0"));
    std::fs::remove_file(&pin).unwrap();
}

// covers: TP-05
#[test]
fn kernel_that_takes_no_program_gets_nft_and_status_says_why() {
    needs_root!();
    if !installed("strace") {
        eprintln!("SKIPPED (needs strace)");
        return;
    }
    let mut node = Node::stopped(&["--backend", "auto"]);
    node.boot_under(&[
        "strace",
        "-D",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "inject=bpf:error=EINVAL",
    ]);
    let status = node.ok(&["status", "-o", "json"]);
    assert!(status.contains("\"nft\"") && status.contains("not ebpf"), "{status}");
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let curl = node.run("cli", &["curl", "-sS", "-m", "5", "http://web.mesh/x"]);
    assert_eq!(curl.exits(0).stdout, "v1 GET /x 0");
}

/// Two endpoints behind a name that no proxy carries.
const STRAIGHT: &str = "apiVersion: mesh/v1
kind: Service
metadata: {name: fast}
spec:
  forward: connect
  ports: [{port: 80, protocol: tcp}]
  health: {tcp: true, interval: 200ms, unhealthyAfter: 2, healthyAfter: 1}
  endpoints:
  - {address: 127.0.0.1, port: 8081}
  - {address: 127.0.0.1, port: 8082}
";

// covers: L4-01
#[test]
fn name_that_asks_for_no_proxy_is_balanced_in_the_kernel() {
    needs_root!();
    let node = Node::with(&["--backend", "ebpf"]);
    let one = Backend::http(&node.netns, "one", 8081);
    let other = Backend::http(&node.netns, "other", 8082);
    node.meshctl_with(&["apply", "-f", "-"], STRAIGHT).exits(0);
    node.until_ready("fast", 2);
    // The programs learn of endpoints' health within a second.
    pause(Duration::from_millis(1_200));
    let mut cli = node.run_as("cli");
    for ip in cli.resolve("fast.mesh").unwrap() {
        let vip = SocketAddr::new(ip.parse().unwrap(), 80).to_string();
        let request = "GET /x HTTP/1.1\r\nHost: fast.mesh\r\nConnection: close\r\n\r\n";
        for _ in 0..20 {
            let got = cli.exchange(&vip, vec![request.into()], 2_000);
            assert!(got.text().ends_with(" GET /x 0"), "{}", got.text());
            assert_eq!(got.peer, vip, "the application sees another address than it asked for");
        }
    }
    let served = (one.served(), other.served());
    assert!(served.0 >= 5 && served.1 >= 5, "{served:?} of 40");
    assert_eq!(node.metric("mesh_connections_opened_total", &["service=\"fast\""]), 0.0);
    let counted = node.ok(&["debug", "ebpf", "-o", "json", "--jq", ".counters.balanced"]);
    assert_eq!(counted.trim(), "40");
    drop(one);
    until("the dead endpoint to be left out", Duration::from_secs(5), || {
        (0..20).all(|_| cli.refused("fast.mesh:80").is_none())
    });
}

// covers: X-066
#[test]
fn what_is_reached_over_an_excluded_interface_is_left_alone() {
    needs_root!();
    let node = Node::stopped(&["--backend", "ebpf"]);
    let text = "capture: {exclude: {interfaces: [w0]}}\n";
    let settings = node.file("meshd.yaml", text).display().to_string();
    let mut node = node.also(&["--config", &settings]);
    let world = mesh_tests::World::beside(&node);
    node.boot();
    let far = Backend::http(&world.netns, "far", 80);
    let near = Backend::http(&node.netns, "near", 8080);
    node.ok(&["register", "far", "--address", "10.88.0.10", "--port", "http:80"]);
    node.ok(&["register", "near", "--port", "http:8080"]);
    let mut cli = node.run_as("cli");
    let touched = |backend: &Backend| {
        backend.seen().pop().expect("a request").head.one("x-request-id").is_some()
    };
    assert!(cli.get("10.88.0.10:80", "/x").ends_with("far GET /x 0"));
    assert!(!touched(&far), "captured over the excluded interface");
    assert!(cli.get("far.mesh", "/x").ends_with("far GET /x 0"));
    assert!(touched(&far), "a name is not captured");
    assert!(cli.get("127.0.0.1:8080", "/x").ends_with("near GET /x 0"));
    assert!(touched(&near), "another interface is excluded too");
}
