//! Installing and taking off again, on machines of the test's own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use mesh_tests::machine::{State, changes};
use mesh_tests::wait::until;
use mesh_tests::{Machine, eventually, needs_root};

const INSTALL: [&str; 3] = ["install", "-y", "--no-systemd"];

#[track_caller]
fn same(machine: &Machine, before: &State) {
    let changed = changes(before, &machine.state());
    assert!(changed.is_empty(), "the machine is not as before:\n{}", changed.join("\n"));
}

// covers: ACC-07 ACC-53
#[test]
fn install_captures_and_uninstall_leaves_the_machine_byte_identical() {
    needs_root!();
    let machine = Machine::boot("i1");
    let before = machine.state();
    let done = machine.meshctl(&INSTALL).exits(0);
    assert!(!done.stdout.contains('\x1b') && !done.stderr.contains('\x1b'), "{done}");
    assert!(done.stdout.trim_end().lines().last().unwrap().starts_with("Next: "), "{done}");
    let done = done.complains(&["self-test: tcp4 tcp6 udp4 udp6 dns intercepted"]);
    assert!(done.stdout.contains("receipt /var/lib/meshd/install.json"), "{done}");
    let access = machine.sh("stat -c '%U:%G %a' /run/meshd/meshd.sock /var/lib/meshd");
    assert_eq!(access, "root:mesh 660\nroot:root 700\n");
    let installed = machine.state();
    machine.meshctl(&INSTALL).exits(0).says(&["already installed", "nothing to do"]);
    same(&machine, &installed);
    let proof = "equal to the pre-install snapshot";
    machine.meshctl(&["uninstall", "-y"]).exits(0).complains(&[proof]);
    same(&machine, &before);
    machine.meshctl(&["uninstall", "-y"]).exits(0).says(&["not installed, nothing to do"]);
    same(&machine, &before);
}

// covers: ACC-06
#[test]
fn dry_run_prints_everything_and_changes_nothing() {
    needs_root!();
    let machine = Machine::boot("i2");
    let before = machine.state();
    let dry = ["install", "--no-systemd", "--dry-run", "--backend", "nft"];
    machine.meshctl(&dry).exits(0).says(&[
        "table inet meshd {",
        "table inet meshd_vip",
        "ip rule",
        "/usr/local/libexec/meshd",
        "/etc/meshd/config.yaml",
        "backend: nft",
        "sysctls: none",
    ]);
    let json = machine.meshctl(&["install", "--dry-run", "-o", "json"]).clean().json();
    assert_eq!(json["kind"], "InstallPlan");
    assert_eq!(json["backend"], "ebpf");
    // Nobody special may ask as well.
    let meshctl = mesh_tests::programs::program("meshctl").display().to_string();
    let stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let shown = machine.run(&[&stranger[..], &[&meshctl, "install", "--dry-run"]].concat());
    // The build's folder may be closed to others; then there is nothing to run.
    if shown.code != 127 && shown.code != 126 {
        shown.exits(0).complains(&["not root"]);
    }
    same(&machine, &before);
}

// covers: ACC-08
#[test]
fn without_a_terminal_and_without_yes_nothing_is_done() {
    needs_root!();
    let machine = Machine::boot("i3");
    let before = machine.state();
    let refused = machine.meshctl(&["install", "--no-systemd"]).exits(10);
    refused.complains(&["no changes made", "--yes", "MESH1309"]);
    same(&machine, &before);
    machine.meshctl(&INSTALL).exits(0);
    machine.meshctl(&["uninstall"]).exits(10).complains(&["no changes made"]);
    machine.meshctl(&["status"]).exits(0);
    machine.meshctl(&["uninstall", "-y"]).exits(0);
    same(&machine, &before);
}

// covers: ACC-09
#[test]
fn unconfirmed_install_is_rolled_back() {
    needs_root!();
    let machine = Machine::boot("i4");
    let before = machine.state();
    let start = Instant::now();
    let args = [&INSTALL[..], &["--confirm-within", "2s"]].concat();
    machine.meshctl(&args).exits(10).complains(&["rolled back", "verified identical"]);
    assert!(start.elapsed() >= Duration::from_secs(2));
    same(&machine, &before);

    // Confirmed by a line on standard input.
    let mut command =
        machine.meshctl_command(&[&INSTALL[..], &["--confirm-within", "60s"]].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    machine.meshctl(&["status"]).exits(0);
    machine.meshctl(&["uninstall", "-y"]).exits(0);
    same(&machine, &before);
}

// covers: ACC-09
#[test]
fn installer_killed_before_it_was_confirmed_is_rolled_back_too() {
    needs_root!();
    let machine = Machine::boot("i5");
    let before = machine.state();
    let args = [&INSTALL[..], &["--confirm-within", "60s"]].concat();
    let mut child =
        machine.meshctl_command(&args).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    until("meshd to capture", Duration::from_secs(20), || machine.meshctl(&["status"]).code == 0);
    machine.sh("pkill -KILL -o -x meshctl");
    child.wait().unwrap();
    eventually("everything to be taken back", Duration::from_secs(20), || {
        let changed = changes(&before, &machine.state());
        if changed.is_empty() { Ok(()) } else { Err(changed.join("\n")) }
    });
}

/// Runs `args` until the receipt (or a file beside it) is replaced for the `nth` time, and cuts
/// the power there. `false`: it ended before.
fn cut_at(machine: &Machine, args: &[&str], nth: u32) -> bool {
    let meshctl = mesh_tests::programs::program("meshctl").display().to_string();
    const CALLS: &str = "rename,renameat,renameat2,unlink,rmdir";
    let inject = format!("inject={CALLS}:signal=STOP:when={nth}");
    let calls = format!("trace={CALLS}");
    machine.sh("rm -f /mnt/trace");
    let trace = ["strace", "-o", "/mnt/trace", "-e", &calls, "-e", &inject, &meshctl];
    let mut command = machine.command(&[&trace[..], args].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let stopped = eventually("the command to stop or end", Duration::from_secs(30), || {
        if child.try_wait().unwrap().is_some() {
            return Ok(false);
        }
        let seen = machine.run(&["cat", "/mnt/trace"]).stdout;
        if seen.contains("stopped by SIGSTOP") { Ok(true) } else { Err(seen) }
    });
    if stopped {
        machine.power_cut();
        child.wait().unwrap();
    }
    stopped
}

// covers: ACC-53
#[test]
fn install_cut_short_between_any_two_steps_is_taken_off_whole() {
    needs_root!();
    let machine = Machine::boot("i6");
    let before = machine.state();
    let mut cuts = 0;
    for nth in 1..40 {
        if !cut_at(&machine, &INSTALL, nth) {
            break;
        }
        cuts += 1;
        machine.meshctl(&["uninstall", "-y"]).exits(0);
        same(&machine, &before);
    }
    assert!(cuts >= 5, "only {cuts} steps were met");
    // It went through; another cut leaves a machine on which installing goes on.
    machine.meshctl(&["uninstall", "-y"]).exits(0);
    assert!(cut_at(&machine, &INSTALL, 4));
    machine.meshctl(&INSTALL).exits(0).says(&["cut short"]);
    machine.meshctl(&["uninstall", "-y"]).exits(0);
    same(&machine, &before);
}

// covers: ACC-53
#[test]
fn uninstall_cut_short_between_any_two_steps_is_finished_by_the_next() {
    needs_root!();
    let machine = Machine::boot("i7");
    let before = machine.state();
    let mut cuts = 0;
    for nth in 1..40 {
        machine.meshctl(&INSTALL).exits(0);
        if !cut_at(&machine, &["uninstall", "-y"], nth) {
            break;
        }
        cuts += 1;
        machine.meshctl(&["uninstall", "-y"]).exits(0);
        same(&machine, &before);
    }
    assert!(cuts >= 4, "only {cuts} steps were met");
    same(&machine, &before);
}

fn taken_off_by_name(backend: &str, machine: &Machine) {
    eprintln!("capture by {backend}");
    let before = machine.state();
    machine.meshctl(&[&INSTALL[..], &["--backend", backend]].concat()).exits(0);
    machine.sh("pkill -KILL -x meshd; rm -r /var/lib/meshd");
    machine.meshctl(&["uninstall", "-y"]).exits(0).complains(&["by name"]);
    let mut left = changes(&before, &machine.state());
    // Without the receipt the settings that stood there before are not known any more.
    let ours = |line: &String| !line.contains("/etc/meshd") && !line.contains("config.yaml");
    left.retain(|line| ours(line) && !is_frame(backend, line));
    assert!(left.is_empty(), "{backend}: {left:?}");
    machine.meshctl(&["uninstall", "-y"]).exits(0).says(&["nothing to do"]);
}

// covers: ACC-53
#[test]
fn uninstall_needs_neither_daemon_nor_receipt() {
    needs_root!();
    for backend in ["ebpf", "nft"] {
        taken_off_by_name(backend, &Machine::boot("i8"));
    }
}

// covers: ACC-53
#[test]
fn uninstall_finds_the_rules_of_both_kinds_of_iptables_by_name() {
    needs_root!();
    for (backend, other) in [("iptables-nft", "legacy"), ("iptables-legacy", "nft")] {
        let machine = Machine::boot("i12");
        // The plain name means the other kind, where that can be chosen.
        let other = format!("/usr/sbin/iptables-{other}");
        machine.run(&["update-alternatives", "--set", "iptables", &other]);
        taken_off_by_name(backend, &machine);
    }
}

#[test]
fn other_flags_show_what_changes_and_change_only_that() {
    needs_root!();
    let machine = Machine::boot("i9");
    let before = machine.state();
    machine.meshctl(&[&INSTALL[..], &["--exclude-port", "9000"]].concat()).exits(0);
    let pid = machine.sh("pgrep -x meshd");
    let change = [&INSTALL[..], &["--backend", "nft"]].concat();
    let shown = machine.meshctl(&change).exits(0);
    shown.says(&["backend: nft", "meshd (reloaded, capture goes on)"]);
    assert_eq!(machine.sh("pgrep -x meshd"), pid, "restarted");
    let settings = machine.sh("cat /etc/meshd/config.yaml");
    assert!(settings.contains("9000") && settings.contains("nft"), "{settings}");
    let status = machine.meshctl(&["status", "-o", "json"]).clean().json();
    assert_eq!(status["capture"]["backend"], "nft", "{status}");
    let refused = machine.meshctl(&["install", "-y", "--backend", "magic"]).exits(2);
    refused.complains(&["capture.backend", "magic"]);
    machine.meshctl(&["status"]).exits(0);
    // Unconfirmed, a change goes back to what was installed before.
    let again = [&INSTALL[..], &["--backend", "ebpf", "--confirm-within", "1s"]].concat();
    machine.meshctl(&again).exits(10);
    let status = machine.meshctl(&["status", "-o", "json"]).clean().json();
    assert_eq!(status["capture"]["backend"], "nft", "{status}");
    machine.meshctl(&["uninstall", "-y"]).exits(0);
    same(&machine, &before);
}

/// Answers each line on port 22 with itself; and a client that keeps one such session.
const SSHD: &str = "import socketserver as s\nclass H(s.StreamRequestHandler):\n  def handle(self):\n    \
                    for l in self.rfile: self.wfile.write(l)\n\
                    s.ThreadingTCPServer(('10.9.9.9', 22), H).serve_forever()";
const SSH: &str = "import socket,sys\nf=socket.create_connection(('10.9.9.9', 22)).makefile('rw')\n\
                   for l in sys.stdin: f.write(l); f.flush(); print(f.readline(), end='', flush=True)";

// covers: ACC-11 X-063 X-066
#[test]
fn open_session_survives_and_the_first_call_is_meshed_within_a_minute() {
    needs_root!();
    let machine = Machine::boot("i10");
    machine.sh("ip addr add 10.9.9.9/32 dev lo");
    let mut sshd = machine.command(&["python3", "-c", SSHD]).spawn().unwrap();
    until("port 22", Duration::from_secs(5), || machine.run(&["python3", "-c", SSH]).code == 0);
    let mut ssh = machine.command(&["python3", "-c", SSH]);
    let mut ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut screen) =
        (ssh.stdin.take().unwrap(), BufReader::new(ssh.stdout.take().unwrap()));
    let mut typed = |text: &str| {
        writeln!(keys, "{text}").unwrap();
        let mut shown = String::new();
        screen.read_line(&mut shown).unwrap();
        assert_eq!(shown.trim_end(), text, "the session is dead");
        machine.run(&["python3", "-c", SSH]).exits(0);
    };
    typed("before");
    let before = machine.state();
    let start = Instant::now();
    machine.meshctl(&[&INSTALL[..], &["--capture", "host"]].concat()).exits(0);
    typed("installed");
    let mut web = machine.command(&["python3", "-m", "http.server", "8080", "-d", "/mnt"]);
    let mut web = web.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the backend", Duration::from_secs(10), || {
        machine.run(&["curl", "-sSf", "-o", "/dev/null", "http://127.0.0.1:8080/"]).code == 0
    });
    machine.meshctl(&["register", "web", "--port", "http:8080"]).exits(0);
    machine.meshctl(&["run", "--as", "cli", "--", "curl", "-sSf", "http://web.mesh/"]).exits(0);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    machine.sh("pkill -HUP -x meshd");
    typed("reloaded");
    machine.meshctl(&["uninstall", "-y"]).exits(0);
    typed("uninstalled");
    same(&machine, &before);
    for child in [&mut ssh, &mut sshd, &mut web] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Who uses iptables makes its tables, which nft lists without a rule, or its lock.
fn is_frame(backend: &str, line: &str) -> bool {
    let of_iptables = line.starts_with("+ nft: ") || line == "+ run: /run/xtables.lock";
    backend.starts_with("iptables") && of_iptables && !line.contains("MESHD")
}

// covers: TP-04
#[test]
fn rules_are_tagged_and_come_and_go_whole() {
    needs_root!();
    let machine = Machine::boot("i11");
    let before = machine.state();
    for (backend, shown, tag) in [
        ("nft", "nft list ruleset", "table inet meshd {"),
        ("iptables", "iptables-save; ip6tables-save", "--comment meshd"),
    ] {
        let args = [&INSTALL[..], &["--backend", backend]].concat();
        machine.meshctl(&args).exits(0);
        let rules = machine.sh(shown);
        assert!(rules.contains(tag), "{backend}: {rules}");
        let ours = |line: &&str| line.starts_with("-A ") && line.contains("MESHD");
        assert!(rules.lines().filter(ours).all(|line| line.contains(tag)), "{rules}");
        machine.meshctl(&args).exits(0).says(&["already installed"]);
        let count = |rules: &str| rules.lines().filter(ours).count();
        assert!(count(&machine.sh(shown)) <= count(&rules), "{backend}: there twice");
        machine.meshctl(&["uninstall", "-y"]).exits(0);
        let mut left = changes(&before, &machine.state());
        left.retain(|line| !is_frame(backend, line));
        assert!(left.is_empty(), "{backend}: {left:?}");
    }
}

// covers: ACC-12
#[test]
fn host_without_cgroups_or_with_a_taken_port_is_refused_and_unchanged() {
    needs_root!();
    let machine = Machine::boot("i10");
    let hold =
        "import socket, time; s = socket.create_server(('127.0.0.1', 15001)); time.sleep(600)";
    let mut holder = machine.command(&["python3", "-c", hold]).spawn().unwrap();
    until("the port to be taken", Duration::from_secs(5), || {
        machine.sh("ss -Hltn").contains(":15001")
    });
    let before = machine.state();
    let refused = machine.meshctl(&INSTALL).exits(3);
    refused.complains(&["15001", "nothing was written", "held by"]);
    same(&machine, &before);
    machine.sh("pkill -x python3");
    holder.wait().unwrap();
    machine.sh("umount -l /sys/fs/cgroup/unified 2>/dev/null || umount -l /sys/fs/cgroup");
    let check = machine.meshctl(&["check", "--pre"]).exits(1).says(&["platform/cgroup2", "fix: "]);
    let json = machine.meshctl(&["check", "--pre", "-o", "json"]).exits(1).json();
    let failed: Vec<&str> = json["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["status"] == "fail")
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert!(failed.contains(&"platform/cgroup2"), "{failed:?}");
    assert!(failed.iter().all(|id| check.stdout.contains(id)), "{failed:?}\n{check}");
    machine.meshctl(&INSTALL).exits(8).complains(&["cgroup", "nothing was written"]);
    machine.sh("test ! -e /var/lib/meshd && test ! -e /usr/local/libexec/meshd");
}
