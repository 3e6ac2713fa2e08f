//! Cgroups are made anew whenever a unit starts: what is attached is captured again, and what is
//! left out is left out again, from the first moment on.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mesh_tests::backends::backends;
use mesh_tests::host::{cgroup2, remove_cgroup};
use mesh_tests::mirror::{goes_direct, mirror};
use mesh_tests::{Node, Probe, needs_root};

const STARTS: usize = 9;
const SERVER: &str = "127.0.0.1:9000";

/// A unit that is started again and again, as a service manager does it.
struct Unit {
    slice: String,
    name: String,
}

impl Unit {
    fn new(name: &str) -> Self {
        let slice = format!("mt{}-units.slice", std::process::id());
        let unit = Self { slice, name: format!("mt{}-{name}.service", std::process::id()) };
        fs::create_dir_all(unit.path()).expect("a cgroup");
        fs::create_dir_all(unit.beside()).expect("a cgroup");
        unit
    }

    fn path(&self) -> PathBuf {
        cgroup2().join(&self.slice).join(&self.name)
    }

    fn beside(&self) -> PathBuf {
        cgroup2().join(&self.slice).join("beside")
    }

    /// Makes the cgroup anew; how long the process in it is not treated as `wanted` says.
    fn start(&self, process: &mut Probe, wanted: impl Fn(&mut Probe) -> bool) -> Duration {
        let enter = |folder: PathBuf| {
            fs::write(folder.join("cgroup.procs"), process.pid().to_string()).expect("move");
        };
        enter(self.beside());
        fs::remove_dir(self.path()).expect("an empty cgroup");
        fs::create_dir(self.path()).expect("a cgroup");
        let start = Instant::now();
        enter(self.path());
        while !wanted(process) {
            assert!(start.elapsed() < Duration::from_secs(3), "still not as it should be");
        }
        start.elapsed()
    }

    /// The middle of several starts: a busy machine may be late once.
    fn starts(&self, process: &mut Probe, wanted: impl Fn(&mut Probe) -> bool) -> Duration {
        let mut took: Vec<_> = (0..STARTS).map(|_| self.start(process, &wanted)).collect();
        took.sort();
        eprintln!("  {took:?}");
        took[STARTS / 2]
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        remove_cgroup(&self.slice).expect("remove the test's cgroup");
    }
}

/// The programs of iptables take their time.
fn allowed(backend: &str) -> Duration {
    Duration::from_millis(if backend == "iptables" { 1_000 } else { 100 })
}

//
#[test]
fn restarted_unit_is_captured_within_a_tenth_of_a_second() {
    needs_root!();
    for backend in backends() {
        eprintln!("capture by {backend}");
        let node = Node::with(&["--backend", backend]);
        let _server = mirror(&node.netns, 9000);
        node.ok(&["register", "mirror", "--port", "http:9000"]);
        let unit = Unit::new("web");
        node.ok(&["attach", "--unit", &unit.name, "--as", "web"]);
        let mut process = node.outsider();
        let took = unit.starts(&mut process, |process| !goes_direct(process, SERVER));
        assert!(took < allowed(backend), "{backend}: {took:?}");
    }
}

//
#[test]
fn cgroup_that_is_left_out_is_so_again_when_it_is_made_anew() {
    needs_root!();
    for backend in backends() {
        eprintln!("capture by {backend}");
        let unit = Unit::new("left");
        let path = format!("{}/{}", unit.slice, unit.name);
        let node = Node::stopped(&["--backend", backend]);
        let settings = format!("capture:\n  scope: host\n  exclude:\n    cgroups: [{path}]\n");
        let file = node.file("config.yaml", &settings);
        let mut node = node.also(&["--config", &file.display().to_string()]);
        node.boot();
        let _server = mirror(&node.netns, 9000);
        node.ok(&["register", "mirror", "--port", "http:9000"]);
        let mut process = node.outsider();
        assert!(!goes_direct(&mut process, SERVER), "the whole host is captured");
        let took = unit.starts(&mut process, |process| goes_direct(process, SERVER));
        assert!(took < allowed(backend) * 3, "{backend}: {took:?}");
    }
}
