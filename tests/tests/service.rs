//! meshd under a service manager.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use mesh_tests::{Node, needs_root};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The next message of the daemon, in time.
fn told(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    let length = manager.recv(&mut buffer).expect("a message in time");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

//
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
