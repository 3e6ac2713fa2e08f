//! `meshctl run --rootless`: everything a mesh does for a program, for a user without any rights.

use std::time::Duration;

use mesh_tests::datagram::{Talk, UdpServer};
use mesh_tests::dns::NameServer;
use mesh_tests::wait::until;
use mesh_tests::{Backend, Node, Visitor, needs_root};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Registered inside the run itself: the daemon is there only as long as runs are.
const REGISTER: &str = "meshctl register web --port http:8080 >/dev/null";

//
#[test]
fn a_user_without_rights_calls_a_service_by_its_name() {
    needs_root!();
    let user = Visitor::arrive();
    let _web = Backend::http(&user.netns, "v1", 8080);
    let called = user.script(&format!("{REGISTER}; curl -sS http://web.mesh/"));
    assert_eq!(called.exits(0).stdout, "v1 GET / 0");
    user.until_nothing_is_left();
    // The declaration stayed; the daemon did not.
    let again = user.run(&["curl", "-sS", "http://web.mesh/again"]);
    assert_eq!(again.exits(0).stdout, "v1 GET /again 0");
    user.until_nothing_is_left();
}

// covers: X-078 ACC-32
#[test]
fn the_command_is_itself_and_its_user() {
    needs_root!();
    let user = Visitor::arrive();
    let uid = user.uid().to_string();
    assert_eq!(user.run(&["id", "-u"]).exits(0).stdout.trim(), uid);
    let rights = user.run(&["grep", "Cap[IPEA]", "/proc/self/status"]).exits(0).stdout;
    assert!(rights.lines().all(|line| line.ends_with("\t0000000000000000")), "{rights}");
    user.script("exit 42").exits(42);
    user.script("kill -TERM $$").exits(143);
    user.run(&["no-such-command"]).exits(127).complains(&["no-such-command"]);
    user.run(&["/etc/passwd"]).exits(126);
    let before =
        user.command(&["sh", "-c", "echo $$; exec meshctl run --rootless -- sh -c 'echo $$'"]);
    let pids = finished(before);
    let [asked, became] = [pids.lines().next(), pids.lines().nth(1)];
    assert_eq!(asked, became, "{pids}");
    user.until_nothing_is_left();
}

//
#[test]
fn names_datagrams_and_connections_arrive_and_carry_their_own_addresses() {
    needs_root!();
    let user = Visitor::arrive();
    let names = NameServer::start(&user.netns);
    user.netns.add_address("10.66.0.7/32");
    user.netns.add_address("fd66::7/128");
    // Only where the host has a way to IPv6 is one offered inside.
    user.netns.ip(&["-6", "route", "add", "default", "dev", "lo"]);
    let _udp4 = UdpServer::start(&user.netns, "far4", "10.66.0.7:7007");
    let _udp6 = UdpServer::start(&user.netns, "far6", "[fd66::7]:7007");
    let _near = UdpServer::start(&user.netns, "near", "127.0.0.1:7008");
    let _tcp = Backend::http(&user.netns, "host", 9090);
    let mut probe = user.probe(&[]);
    for (address, name) in
        [("10.66.0.7:7007", "far4"), ("[fd66::7]:7007", "far6"), ("127.0.0.1:7008", "near")]
    {
        let heard = probe.talk(&Talk::connected(address, b"ping"));
        assert_eq!(heard.texts(), [(address.to_owned(), format!("{name} ping"))], "{heard:?}");
        assert_eq!(heard.peer.as_deref(), Some(address));
    }
    let both = probe.talk(&Talk::unconnected(&["10.66.0.7:7007", "127.0.0.1:7008"], b"x"));
    assert_eq!(both.answers.len(), 2, "{both:?}");
    // The host's own loopback, which the program has no other way to.
    assert!(probe.get("127.0.0.1:9090", "/").contains("host GET /"));
    assert!(probe.get("10.66.0.7:9090", "/").contains("host GET /"));
    assert_eq!(probe.resolve("other.example").unwrap(), ["192.0.2.7"]);
    assert!(names.asked().contains(&"other.example".to_owned()), "{:?}", names.asked());
    drop(probe);
    user.until_nothing_is_left();
}

//
#[test]
fn what_a_program_serves_itself_stays_with_it() {
    needs_root!();
    let user = Visitor::arrive();
    let _host = UdpServer::start(&user.netns, "host", "127.0.0.1:7009");
    let mut probe = user.probe(&[]);
    probe.serve("127.0.0.1:7009");
    let heard = probe.talk(&Talk::connected("127.0.0.1:7009", b"mine"));
    assert_eq!(heard.texts(), [("127.0.0.1:7009".to_owned(), "mine".to_owned())]);
}

//
#[test]
fn runs_share_a_daemon_that_ends_with_the_last_of_them() {
    needs_root!();
    let user = Visitor::arrive();
    let _web = Backend::http(&user.netns, "v1", 8080);
    let first = user.probe(&["--as", "one"]);
    let daemon = user.daemon().expect("the first run started it");
    let mut second = user.probe(&["--as", "two"]);
    user.does(&["meshctl", "register", "web", "--port", "http:8080"]).exits(0);
    assert!(second.get("web.mesh", "/").contains("v1 GET /"));
    drop(first);
    assert!(second.get("web.mesh", "/").contains("v1 GET /"));
    assert_eq!(user.daemon(), Some(daemon), "{}", user.log());
    let seen =
        user.does(&["meshctl", "trace", "list", "--to", "web", "-o", "json"]).exits(0).json();
    let mut sources = seen["items"].as_array().unwrap().iter().map(|item| &item["source"]);
    assert!(sources.any(|source| source["service"] == "two" && source["pid"] == second.pid()));
    // Not even its command's death keeps a run alive, nor does it end with it too early.
    kill(Pid::from_raw(i32::try_from(second.pid()).unwrap()), Signal::SIGKILL).unwrap();
    drop(second);
    user.until_nothing_is_left();
}

//
#[test]
fn a_run_that_meets_a_daemon_about_to_end_waits_for_the_next() {
    needs_root!();
    let user = Visitor::arrive();
    // Each ends the daemon, and the next asks while it does so.
    let often = "for run in $(seq 60); do meshctl run --rootless -- true || exit; done";
    user.does(&["sh", "-c", often]).clean();
    user.until_nothing_is_left();
}

//
#[test]
fn what_a_command_leaves_running_keeps_its_mesh() {
    needs_root!();
    let user = Visitor::arrive();
    let _web = Backend::http(&user.netns, "v1", 8080);
    let later = "sh -c 'while ! test -e go; do sleep 0.1; done; curl -sS http://web.mesh/ > got'";
    user.script(&format!("{REGISTER}; {later} >/dev/null 2>&1 &")).exits(0);
    assert!(user.daemon().is_some(), "{}", user.log());
    user.does(&["touch", "go"]).exits(0);
    user.until_nothing_is_left();
    assert_eq!(user.does(&["cat", "got"]).stdout, "v1 GET / 0");
}

//
#[test]
fn a_dead_daemon_is_an_error_at_once_and_the_next_run_starts_another() {
    needs_root!();
    let user = Visitor::arrive();
    let _web = Backend::http(&user.netns, "v1", 8080);
    let mut probe = user.probe(&[]);
    let daemon = i32::try_from(user.daemon().unwrap()).unwrap();
    kill(Pid::from_raw(daemon), Signal::SIGKILL).unwrap();
    until("meshd to be gone", Duration::from_secs(5), || user.daemon().is_none());
    assert!(probe.refused("127.0.0.1:8080").is_some());
    let called = user.script(&format!("{REGISTER}; curl -sS http://web.mesh/"));
    assert_eq!(called.exits(0).stdout, "v1 GET / 0");
}

//
#[test]
fn where_namespaces_are_forbidden_the_message_names_the_setting() {
    needs_root!();
    let user = Visitor::arrive();
    // The limit of a namespace counts for what is below it, so the host's own stays.
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces
        exec meshctl run --rootless -- touch started";
    let limited = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid];
    let refused = user.does(&limited).exits(125);
    refused.complains(&["user namespace", "user.max_user_namespaces", "sysctl", "MESH1406"]);
    until("meshd to end", Duration::from_secs(5), || user.daemon().is_none());
    assert!(!user.runtime().join("../started").exists());
}

//
#[test]
fn a_daemon_of_the_host_refuses_such_a_run() {
    needs_root!();
    let node = Node::start();
    let refused = node.meshctl(&["run", "--rootless", "--", "true"]).exits(125);
    refused.complains(&["captures on the host", "meshctl run -- CMD"]);
}

fn finished(mut command: std::process::Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
