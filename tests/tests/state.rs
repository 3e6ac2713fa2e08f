//! What was acknowledged stays; what is damaged is said, kept aside and never replaced by nothing.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mesh_tests::probe::Noise;
use mesh_tests::wait::pause;
use mesh_tests::{Backend, Node, needs_root};

fn names(node: &Node) -> Vec<String> {
    node.ok(&["get", "services", "-o", "name"]).lines().map(str::to_owned).collect()
}

fn state_files(node: &Node) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.state_dir()).unwrap().flatten();
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: mesh/v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80, protocol: http}}]}}\n"
    )
}

// covers: F-08
#[test]
fn acknowledged_revisions_survive_kill_9_at_any_moment() {
    needs_root!();
    let mut node = Node::start();
    let mut dice = Noise(0xfeed_5eed);
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..6 {
        let stop = AtomicBool::new(false);
        let kept = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut kept = Vec::new();
                for number in 0..1_000 {
                    let name = format!("s{round}-{number}");
                    let done = node.meshctl_with(&["apply", "-f", "-"], &service(&name));
                    if done.code == 0 {
                        kept.push(format!("service/{name}"));
                    }
                    if done.code != 0 || stop.load(Ordering::SeqCst) {
                        return kept;
                    }
                }
                kept
            });
            pause(Duration::from_millis(100 + dice.number() % 400));
            node.signal(nix::sys::signal::Signal::SIGKILL);
            stop.store(true, Ordering::SeqCst);
            writer.join().unwrap()
        });
        acknowledged.extend(kept);
        node.kill();
        node.boot();
        let found = names(&node);
        let lost: Vec<&String> = acknowledged.iter().filter(|name| !found.contains(name)).collect();
        assert!(
            lost.is_empty(),
            "round {round}: {} of {} lost: {lost:?}",
            lost.len(),
            acknowledged.len()
        );
        // One more than acknowledged may be there: durable, its answer cut off.
        assert!(found.len() <= acknowledged.len() + round + 1, "{} found", found.len());
    }
    assert!(acknowledged.len() > 4, "only {} applies", acknowledged.len());
}

// covers: REG-10
#[test]
fn everything_declared_is_there_after_a_restart() {
    needs_root!();
    let mut node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080", "--subset", "v1"]);
    node.ok(&["split", "web", "v1=100"]);
    let before = (node.ok(&["export"]), node.run_as("cli").resolve("web.mesh").unwrap());
    assert_eq!(node.stop(), Some(0));
    node.boot();
    assert_eq!(node.ok(&["export"]), before.0);
    let mut cli = node.run_as("cli");
    assert_eq!(cli.resolve("web.mesh").unwrap(), before.1, "the address moved");
    assert!(cli.get("web.mesh", "/x").ends_with("v1 GET /x 0"));
}

// covers: F-26 F-27
#[test]
fn damaged_state_is_said_and_kept() {
    needs_root!();
    let mut dice = Noise(0xdead_beef);
    for round in 0..6 {
        let mut node = Node::start();
        node.meshctl_with(&["apply", "-f", "-"], &service("precious")).exits(0);
        assert_eq!(node.stop(), Some(0));
        let file = largest(&state_files(&node));
        let length = fs::metadata(&file).unwrap().len();
        let handle = fs::File::options().read(true).write(true).open(&file).unwrap();
        if round == 0 {
            handle.set_len(length / 2).unwrap();
        } else {
            let at = dice.number() % length;
            let mut byte = [0];
            handle.read_exact_at(&mut byte, at).unwrap();
            handle.write_all_at(&[byte[0] ^ (1 << (dice.number() % 8))], at).unwrap();
        }
        let damaged = fs::read(&file).unwrap();
        match start_of(&node) {
            // Refused, or started read-only: either way it is said, and the bytes are kept.
            Start::Refused(said) => assert!(said.contains("state"), "round {round}: {said}"),
            Start::Running(child) => {
                let listed = node.meshctl(&["get", "service/precious"]);
                let status = node.meshctl(&["status"]).stdout;
                stop(child);
                let log = node.log();
                let noticed = status.contains("read-only") || status.contains("damaged");
                assert!(
                    listed.code == 0 || noticed,
                    "round {round}: silently empty\n{status}\n{log}"
                );
                if listed.code == 0 && !noticed {
                    continue; // the flipped bit was in a free page
                }
            }
        }
        let kept = state_files(&node).iter().any(|path| fs::read(path).unwrap() == damaged);
        assert!(kept, "round {round}: the damaged file is gone: {:?}", state_files(&node));
    }
}

fn largest(files: &[PathBuf]) -> PathBuf {
    files.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap().clone()
}

enum Start {
    Refused(String),
    Running(std::process::Child),
}

/// Starts the daemon by hand: it may refuse.
fn start_of(node: &Node) -> Start {
    let log = fs::File::create(node.dir.path().join("again.log")).unwrap();
    let mut child = node.daemon_command().stderr(log).spawn().unwrap();
    let mut ended = None;
    mesh_tests::wait::until("start or refusal", Duration::from_secs(15), || {
        ended = child.try_wait().unwrap();
        ended.is_some()
            || matches!(node.admin("/ready"), Ok((200, _)))
            || matches!(node.admin("/health"), Ok((200, _)))
    });
    match ended {
        Some(_) => Start::Refused(fs::read_to_string(node.dir.path().join("again.log")).unwrap()),
        None => Start::Running(child),
    }
}

fn stop(mut child: std::process::Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    child.wait().unwrap();
}

struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// A tmpfs of 2 MiB.
    fn mount(path: &Path) -> Self {
        fs::create_dir_all(path).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"];
        assert!(Command::new("mount").args(options).arg(path).status().unwrap().success());
        Self { path: path.to_owned() }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.path).status().unwrap();
    }
}

// covers: F-23
#[test]
fn full_disk_refuses_changes_and_serves_on() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&folder.path().join("disk"));
    let state = disk.path.join("state").display().to_string();
    let node = Node::with(&["--state-dir", &state]);
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let filler = disk.path.join("filler");
    let mut filled = fs::File::create(&filler).unwrap();
    let zeros = vec![0; 4_096];
    while std::io::Write::write_all(&mut filled, &zeros).is_ok() {}
    drop(filled);
    let mut refused = None;
    for number in 0..200 {
        let done = node.meshctl_with(&["apply", "-f", "-"], &service(&format!("s{number}")));
        if done.code != 0 {
            refused = Some(done);
            break;
        }
    }
    let refused = refused.expect("200 changes fit on a full disk").exits(3);
    let refused = refused.complains(&["error: ", "MESH"]);
    let count = names(&node).len();
    let mut cli = node.run_as("cli");
    assert!(cli.get("web.mesh", "/x").ends_with("v1 GET /x 0"), "{refused}");
    fs::remove_file(&filler).unwrap();
    node.meshctl_with(&["apply", "-f", "-"], &service("after")).exits(0);
    assert_eq!(names(&node).len(), count + 1, "a refused change left a trace");
    drop(node);
    drop(disk);
}

// covers: CAP-14
#[test]
fn state_of_someone_else_is_refused() {
    needs_root!();
    let node = Node::stopped(&[]);
    fs::create_dir_all(node.state_dir()).unwrap();
    fs::set_permissions(node.state_dir(), fs::Permissions::from_mode(0o777)).unwrap();
    let output = node.daemon_command().output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("state"), "{said}");
}
