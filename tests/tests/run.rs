//! `meshctl run`: by exec into a scope of its own, so the command is itself and nothing else.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mesh_tests::host::cgroup2;
use mesh_tests::offline::{finish, meshctl};
use mesh_tests::wait::until;
use mesh_tests::{Backend, Node, needs_root};

fn scopes(node: &Node) -> usize {
    let folder = cgroup2().join(&node.cgroup);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".scope")).count()
}

// covers: ACC-32 X-072
#[test]
fn exit_is_the_commands_own() {
    needs_root!();
    let node = Node::start();
    node.run("cli", &["sh", "-c", "exit 42"]).exits(42);
    node.run("cli", &["sh", "-c", "kill -TERM $$"]).exits(143);
    node.run("cli", &["no-such-command"]).exits(127).complains(&["no-such-command"]);
    node.run("cli", &["/etc/passwd"]).exits(126);
    node.run("cli", &["sh", "-c", "test $PPID = 1 || exit 0"]).exits(0);
}

// covers: ACC-32
#[test]
fn without_daemon_the_command_is_not_started() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("started").display().to_string();
    meshctl(&["run", "--as", "cli", "--", "touch", &trace]).exits(125).complains(&["meshd"]);
    assert!(!Path::new(&trace).exists());
}

// covers: CLI-17
#[test]
fn standard_streams_and_environment_are_the_callers() {
    needs_root!();
    let node = Node::start();
    let cat = node.meshctl_with(&["run", "--as", "cli", "--", "cat"], "line\n").exits(0);
    assert_eq!(cat.stdout, "line\n");
    assert!(cat.stderr.is_empty(), "{cat}");
    let args = ["run", "--as", "cli", "--", "sh", "-c", "echo ${#BIG} $MESHCTL_SOCKET"];
    let mut command = node.command(mesh_tests::programs::program("meshctl"));
    command.args(args).env("BIG", "x".repeat(100_000));
    let shown = finish(&args, &mut command).exits(0);
    assert_eq!(shown.stdout, format!("100000 {}\n", node.socket().display()));
}

// covers: X-071 X-072
#[test]
fn first_connection_is_captured_and_the_scope_ends_with_the_command() {
    needs_root!();
    let node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    for _ in 0..20 {
        let curl = node.run("job", &["curl", "-sS", "-m", "5", "http://web.mesh/"]);
        assert_eq!(curl.exits(0).stdout, "v1 GET / 0");
    }
    until("every scope to end", Duration::from_secs(3), || scopes(&node) == 0);
}

// covers: CAP-05
#[test]
fn daemonised_child_stays_captured_until_it_ends() {
    needs_root!();
    let node = Node::start();
    let web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let fifo = node.dir.path().join("go");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!(
        "setsid sh -c 'cat {0} >/dev/null; curl -sS -m 5 http://web.mesh/late' </dev/null >/dev/null 2>&1 &",
        fifo.display()
    );
    node.run("cli", &["sh", "-c", &script]).exits(0);
    assert_eq!(scopes(&node), 1, "the child lives on in it");
    fs::write(&fifo, "go").unwrap();
    until("the late request", Duration::from_secs(5), || web.served() == 1);
    until("the scope to end", Duration::from_secs(3), || scopes(&node) == 0);
    assert_eq!(node.metric("mesh_requests_total", &["source=\"cli\"", "service=\"web\""]), 1.0);
}

#[test]
fn killed_command_leaves_no_scope() {
    needs_root!();
    let node = Node::start();
    let probe = node.run_as("cli");
    assert_eq!(scopes(&node), 1);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(probe.pid()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    drop(probe);
    until("the scope to end", Duration::from_secs(2), || scopes(&node) == 0);
}

#[test]
fn run_says_who_the_command_is() {
    needs_root!();
    let node = Node::start();
    let said = node.meshctl(&["run", "-v", "--as", "cli", "--", "true"]).exits(0);
    said.complains(&["run-", &node.cgroup, "/svc/cli"]);
}

// covers: ACC-33
#[test]
fn command_is_the_process_that_was_started_and_takes_its_endpoint_along() {
    needs_root!();
    let node = Node::start();
    for (signal, code) in [("INT", 130), ("KILL", 137)] {
        let words = ["run", "--as", "job", "--port", "tcp:8085", "--", "sleep", "300"];
        let mut command = node.command(mesh_tests::programs::program("meshctl"));
        let mut child = command.args(words).spawn().unwrap();
        let name = || fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap();
        until("the command in meshctl's place", Duration::from_secs(5), || name() == "sleep\n");
        let endpoints = || node.meshctl(&["get", "service/job", "-o", "json"]).stdout;
        assert!(endpoints().contains("8085"), "{}", endpoints());
        let kill = ["-s", signal, &child.id().to_string()].map(str::to_owned);
        assert!(std::process::Command::new("kill").args(kill).status().unwrap().success());
        let ended = child.wait().unwrap();
        let ended = std::os::unix::process::ExitStatusExt::signal(&ended).map(|n| 128 + n);
        assert_eq!(ended, Some(code));
        until("scope and endpoint to go", Duration::from_secs(2), || {
            scopes(&node) == 0 && !endpoints().contains("8085")
        });
    }
}
