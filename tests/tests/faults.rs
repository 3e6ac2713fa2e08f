//! A host that is not as it should be, and load while things happen.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use mesh_tests::host::installed;
use mesh_tests::load::Plan;
use mesh_tests::wait::until;
use mesh_tests::{Backend, Node, needs_root};

// covers: OPS-01
#[test]
fn port_in_use_names_its_owner() {
    needs_root!();
    let node = Node::stopped(&[]);
    let _owner = node.netns.inside(|| TcpListener::bind("0.0.0.0:15001").unwrap());
    let output = node.daemon_command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    for part in ["15001", &std::process::id().to_string(), "tcp_port", "why: ", "fix: "] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    assert!(node.leftovers().is_empty(), "{:?}", node.leftovers());
}

// covers: CAP-19
#[test]
fn missing_kernel_feature_ends_with_8_and_changes_nothing() {
    needs_root!();
    if !installed("strace") {
        eprintln!("SKIPPED (needs strace)");
        return;
    }
    let node = Node::stopped(&["--backend", "ebpf"]);
    let daemon = node.daemon_command();
    let mut strace = node.netns.command("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=bpf:error=EPERM"]);
    let output = strace.arg(daemon.get_program()).args(daemon.get_args()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(said.contains("why: ") && said.contains("fix: "), "{said}");
    assert!(node.leftovers().is_empty(), "{:?}", node.leftovers());
}

// covers: F-14 F-13
#[test]
fn running_out_of_descriptors_is_survived() {
    needs_root!();
    let node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut cli = node.run_as("cli");
    assert!(cli.get("web.mesh", "/before").ends_with("v1 GET /before 0"));
    let limit = |soft: &str| {
        let pid = node.pid().to_string();
        let limit = format!("--nofile={soft}");
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    };
    let open = std::fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap().count();
    limit(&format!("{}:4096", open + 40));
    let mut crowd = node.run_as("crowd");
    crowd.ask(&mesh_tests::probe::Ask::Hold { address: "web.mesh:80".to_owned(), count: 300 });
    let busy = cpu_seconds(node.pid());
    mesh_tests::wait::pause(Duration::from_secs(1));
    let used = cpu_seconds(node.pid()) - busy;
    assert!(used < 0.6, "spins: {used} CPU seconds in one");
    crowd.ask(&mesh_tests::probe::Ask::Hold { address: "web.mesh:80".to_owned(), count: 0 });
    limit("4096:4096");
    until("service again", Duration::from_secs(5), || {
        cli.get("web.mesh", "/after").ends_with("v1 GET /after 0")
    });
}

/// User and system time of a process, from `/proc`: no descriptor of its own is needed.
fn cpu_seconds(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: f64 =
        fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

// covers: F-57
#[test]
fn many_changes_under_load_lose_nothing_and_leave_no_memory() {
    needs_root!();
    let node = Node::start();
    let _v1 = Backend::http(&node.netns, "v1", 8080);
    let _v2 = Backend::http(&node.netns, "v2", 8081);
    for (subset, port) in [("v1", "http:8080"), ("v2", "http:8081")] {
        node.ok(&["register", "web", "--port", port, "--subset", subset]);
    }
    let mut cli = node.run_as("cli");
    cli.load(&Plan::get("web.mesh", 500, 4));
    let before = node.metric("process_resident_memory_bytes", &[]);
    let plan = Plan { rate: 500.0, ..Plan::get("web.mesh", 2_500, 4) };
    let (report, changes) = cli.load_meanwhile(&plan, || {
        (0..100)
            .filter(|round| {
                let weight = format!("v2={}", round % 90);
                node.meshctl(&["split", "web", "v1=10", &weight]).code == 0
            })
            .count()
    });
    assert_eq!(changes, 100);
    assert_eq!(report.lost(), 0, "{}", report.summary());
    let grown = node.metric("process_resident_memory_bytes", &[]) - before;
    assert!(grown < 12e6, "grew by {grown} bytes");
}

// covers: F-28
#[test]
fn log_nobody_reads_stops_nothing() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("access");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // A reader that never reads, so that the pipe opens and then fills.
    let _reader = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let node = Node::with(&["--access-log-file", &fifo.display().to_string()]);
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let mut cli = node.run_as("cli");
    let report = cli.load(&Plan::get("web.mesh", 20_000, 4));
    assert_eq!(report.lost(), 0, "{}", report.summary());
    assert!(report.max_us < 1_000_000, "one waited {} µs", report.max_us);
}
