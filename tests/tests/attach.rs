//! `meshctl attach`: processes that already run become part of the mesh, and leave it again.

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use mesh_tests::dns::NameServer;
use mesh_tests::host::{cgroup2, remove_cgroup};
use mesh_tests::probe::Ask;
use mesh_tests::wait::{eventually, until};
use mesh_tests::{Backend, Node, needs_root};

/// A cgroup of the test's own, gone with it.
struct Cgroup(String);

impl Cgroup {
    fn new(name: &str) -> Self {
        let cgroup = Self(format!("mt{}-{name}", std::process::id()));
        cgroup.make();
        cgroup
    }

    fn path(&self) -> PathBuf {
        cgroup2().join(&self.0)
    }

    fn make(&self) {
        fs::create_dir_all(self.path()).expect("a cgroup");
    }

    fn enter(&self, pid: u32) {
        fs::write(self.path().join("cgroup.procs"), pid.to_string()).expect("move a process");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove_cgroup(&self.0).expect("remove the test's cgroup");
    }
}

fn cgroup_of(pid: u32) -> io::Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    Ok(text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned())
}

fn state(node: &Node, name: &str) -> Option<String> {
    let shown = node.ok(&["get", "attachments", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let items = list["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["metadata"]["name"] == name)?;
    found["status"]["state"].as_str().map(str::to_owned)
}

// covers: ACC-35 X-010
#[test]
fn process_is_captured_from_its_next_connection_on_and_goes_back_where_it_was() {
    needs_root!();
    for backend in ["ebpf", "nft"] {
        let node = Node::with(&["--backend", backend]);
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let _names = NameServer::start(&node.netns);
        let home = Cgroup::new("home");
        let mut client = node.outsider();
        home.enter(client.pid());
        let pid = client.pid().to_string();
        client.ask(&Ask::Hold { address: "127.0.0.1:8080".to_owned(), count: 3 });
        assert_eq!(client.resolve("web.mesh").unwrap(), ["192.0.2.7"], "nobody attached it yet");

        let attached = node.meshctl(&["attach", "--pid", &pid, "--as", "cli"]).exits(0);
        assert!(
            attached.stdout.contains(&format!("attachment/pid:{pid} created: 1 process as cli"))
        );
        attached.complains(&["3 open connections stay outside the mesh until they reconnect"]);
        assert!(client.get("web.mesh", "/in").ends_with("v1 GET /in 0"));
        let requests = ["service=\"web\"", "source=\"cli\""];
        eventually("counted as cli", Duration::from_secs(2), || {
            let count = node.metric("mesh_requests_total", &requests);
            if count == 1.0 { Ok(()) } else { Err(count) }
        });
        assert_eq!(state(&node, &format!("pid:{pid}")).as_deref(), Some("present"));
        assert!(node.ok(&["status"]).contains("1 attachment"));
        let again = node.ok(&["attach", "--pid", &pid, "--as", "cli"]);
        assert_eq!(again, format!("attachment/pid:{pid} unchanged\n"));
        node.meshctl(&["attach", "--pid", &pid, "--as", "other"]).exits(6);

        let gone = node.ok(&["detach", "--pid", &pid]);
        assert!(gone.contains("1 process went back"), "{gone}");
        assert_eq!(cgroup_of(client.pid()).unwrap(), home.0);
        assert_eq!(client.resolve("web.mesh").unwrap(), ["192.0.2.7"], "it is still captured");
        assert!(client.get("127.0.0.1:8080", "/out").ends_with("v1 GET /out 0"));
        assert!(node.ok(&["detach", "--pid", &pid]).contains("not found (nothing to do)"));
        node.meshctl(&["detach", "--pid", &pid, "--must-exist"]).exits(5);
    }
}

#[test]
fn descendants_come_along_and_the_scope_survives_a_killed_daemon() {
    needs_root!();
    let mut node = Node::start();
    let home = Cgroup::new("home");
    let mut shell =
        node.command("sh").args(["-c", "sleep 300 & sleep 300 & wait"]).spawn().unwrap();
    let pid = shell.id();
    let children = || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    until("two children", Duration::from_secs(5), || children().split_whitespace().count() == 2);
    let born: Vec<u32> = children().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    born.iter().for_each(|child| home.enter(*child)); // each goes back to its own
    let child = born[0];
    let elsewhere = cgroup_of(pid).unwrap();
    let said = node.ok(&["attach", "--pid", &pid.to_string()]);
    assert!(said.contains("3 processes without a service identity"), "{said}");
    assert!(cgroup_of(child).unwrap().contains("attach-"));

    node.kill();
    node.boot();
    assert_eq!(state(&node, &format!("pid:{pid}")).as_deref(), Some("present"));
    node.ok(&["detach", "--pid", &child.to_string()]);
    assert_eq!(cgroup_of(child).unwrap(), home.0);
    assert_eq!(cgroup_of(pid).unwrap(), elsewhere);
    fs::write(home.path().join("cgroup.kill"), "1").unwrap();
    shell.kill().unwrap();
    shell.wait().unwrap();
}

//
#[test]
fn restarted_unit_is_found_again_within_a_moment() {
    needs_root!();
    let mut node = Node::start();
    let slice = Cgroup::new("units.slice");
    let name = format!("mt{}-web.service", std::process::id());
    let unit = Cgroup(format!("{}/{name}", slice.0));
    unit.make();
    let attachment = format!("unit:{name}");
    node.ok(&["attach", "--unit", &name, "--as", "web"]);
    assert_eq!(state(&node, &attachment).as_deref(), Some("present"));

    fs::remove_dir(unit.path()).unwrap();
    let is = |node: &Node, wanted: &str| state(node, &attachment).as_deref() == Some(wanted);
    until("its end noticed", Duration::from_secs(2), || is(&node, "absent"));
    unit.make();
    until("its start noticed", Duration::from_secs(2), || is(&node, "present"));

    node.kill();
    fs::remove_dir(unit.path()).unwrap();
    unit.make();
    node.boot();
    until("remembered over a restart", Duration::from_secs(2), || is(&node, "present"));
    node.ok(&["detach", "--unit", &name]);
    assert_eq!(state(&node, &attachment), None);
}

#[test]
fn what_was_answered_survives_a_daemon_killed_at_once() {
    needs_root!();
    let mut node = Node::start();
    node.ok(&["attach", "--uid", "60123"]);
    node.kill();
    node.boot();
    until("remembered", Duration::from_secs(2), || {
        state(&node, "uid:60123").as_deref() == Some("present")
    });
}

#[test]
fn what_does_not_run_is_not_attached() {
    needs_root!();
    let node = Node::start();
    node.meshctl(&["attach", "--pid", "4194303"]).exits(5).complains(&["4194303"]);
    node.meshctl(&["attach", "--unit", "no-such"]).exits(5).complains(&["no-such.service"]);
    node.meshctl(&["attach", "--cgroup", "no/such"]).exits(5);
    node.meshctl(&["attach", "--netns", "no-such"]).exits(5);
    node.meshctl(&["attach", "--cgroup", "/"]).exits(2);
    node.meshctl(&["attach", "--pid", "1"]).exits(2);
    node.meshctl(&["attach"]).exits(2);
    node.meshctl(&["attach", "--uid", "7", "--allow-egress", "a b"]).exits(2);
}
