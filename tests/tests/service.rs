//! meshd under a service manager.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use mesh_tests::{Machine, Node, needs_root};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The next message of the daemon, in time.
fn told(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    let length = manager.recv(&mut buffer).expect("a message in time");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

// covers: X-070
#[test]
fn service_manager_hears_ready_signs_of_life_and_the_stop() {
    needs_root!();
    let node = Node::stopped(&[]);
    let socket = node.dir.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let mut command = node.daemon_command();
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "600000");
    let mut daemon = command.spawn().unwrap();
    assert!(told(&manager).starts_with("READY=1\n"));
    node.ok(&["status"]);
    manager.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
    assert_eq!(told(&manager), "WATCHDOG=1");
    assert_eq!(told(&manager), "WATCHDOG=1");
    let pid = Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    // Two may have been on their way; a daemon that hangs sends no more.
    let silent = (0..3).any(|_| manager.recv(&mut [0; 512]).is_err());
    assert!(silent, "a stopped daemon still says that it is alive");
    kill(pid, Signal::SIGCONT).unwrap();
    kill(pid, Signal::SIGTERM).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let stopping = (0..5).any(|_| told(&manager) == "STOPPING=1");
    assert!(stopping);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

/// Does what the unit says, as far as starting and stopping goes: systemd cannot be PID 1 here.
const SYSTEMCTL: &str = r#"#!/bin/bash
unit=/etc/systemd/system/meshd.service
wants=/etc/systemd/system/multi-user.target.wants
echo "$*" >> /mnt/systemctl.log
end() { [ -e /mnt/pid ] && kill -TERM "$(cat /mnt/pid)" 2>/dev/null && while kill -0 "$(cat /mnt/pid)" 2>/dev/null; do sleep 0.05; done; rm -f /mnt/pid; }
case " $* " in
*" enable "*) mkdir -p $wants; ln -sf $unit $wants/meshd.service ;;
*" disable "*) rm -f $wants/meshd.service; rmdir $wants 2>/dev/null || true ;;
*" restart "*|*" start "*) end
    setsid $(sed -n 's/^ExecStart=//p' $unit) </dev/null >/mnt/meshd.log 2>&1 & echo $! > /mnt/pid ;;
*" stop "*) end ;;
esac
exit 0
"#;

fn with_systemd(machine: &Machine) {
    let script = format!("cat > /usr/local/sbin/systemctl <<'END'\n{SYSTEMCTL}END\n");
    machine.sh(&(script + "chmod +x /usr/local/sbin/systemctl; mkdir -p /run/systemd/system"));
}

// covers: ACC-53
#[test]
fn unit_is_sound_and_capture_is_back_after_a_reboot_until_it_is_uninstalled() {
    needs_root!();
    let machine = Machine::boot("s1");
    with_systemd(&machine);
    let before = machine.state();
    machine.meshctl(&["install", "-y"]).exits(0).says(&["meshd.service (enabled)"]);
    let log = machine.sh("cat /mnt/systemctl.log");
    assert!(log.contains("daemon-reload") && log.contains("enable"), "{log}");
    if mesh_tests::host::installed("systemd-analyze") {
        let verified = machine.run(&[
            "systemd-analyze",
            "verify",
            "--man=no",
            "/etc/systemd/system/meshd.service",
        ]);
        assert!(!verified.stderr.contains("meshd.service:"), "{verified}");
    }
    machine.reboot();
    machine.meshctl(&["status"]).exits(4);
    // What systemd does for an enabled unit.
    machine.sh("test -e /etc/systemd/system/multi-user.target.wants/meshd.service && systemctl start meshd.service");
    machine.meshctl(&["check", "--category", "daemon,capture", "--wait", "15s"]).exits(0);
    machine.meshctl(&["uninstall", "-y"]).exits(0);
    machine.sh("rm -f /mnt/pid");
    let left = mesh_tests::machine::changes(&before, &machine.state());
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn capture_survives_the_capabilities_the_unit_leaves() {
    needs_root!();
    let machine = Machine::boot("s2");
    with_systemd(&machine);
    machine.meshctl(&["install", "-y"]).exits(0);
    let set = machine.sh("sed -n 's/^CapabilityBoundingSet=//p' /etc/systemd/system/meshd.service");
    let names: Vec<String> =
        set.split_whitespace().map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect();
    let bounding = format!("-all,+{}", names.join(",+"));
    for backend in ["ebpf", "nft"] {
        machine.sh("systemctl stop meshd.service");
        let start = format!(
            "setsid setpriv --no-new-privs --bounding-set={bounding} --inh-caps=-all \
             /usr/local/libexec/meshd --config /etc/meshd/config.yaml --backend {backend} \
             </dev/null >/mnt/meshd.log 2>&1 & echo $! > /mnt/pid"
        );
        machine.sh(&start);
        let checked = machine.meshctl(&["check", "--category", "capture", "--wait", "15s"]);
        assert_eq!(checked.code, 0, "{backend}\n{checked}\n{}", machine.sh("cat /mnt/meshd.log"));
    }
    machine.meshctl(&["uninstall", "-y"]).exits(0);
}
