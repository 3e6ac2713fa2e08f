//! What users of a host may attach who are not root.

use std::fs;
use std::process::{Child, Stdio};

use mesh_tests::host::cgroup2;
use mesh_tests::programs::program;
use mesh_tests::{Machine, Ran, needs_root};

/// Two members of the group mesh, and somebody who is not.
const USERS: &str = "groupadd mesh; useradd -M -G mesh -u 4101 alice
    useradd -M -G mesh -u 4102 bob; useradd -M -u 4103 carol
    install -m 755 -t /usr/local/bin";

fn as_user(machine: &Machine, user: &str, args: &[&str]) -> Ran {
    let who = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--"];
    machine.run(&[&who[..], args].concat())
}

/// A process of this user's, and its pid inside the machine.
fn process(machine: &Machine, user: &str) -> (Child, String) {
    let line =
        format!("setpriv --reuid {user} --regid {user} --init-groups sleep 300 & echo $!; wait");
    let mut command = machine.command(&["bash", "-c", &line]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("nsenter");
    let mut pid = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut out, &mut pid).expect("a line");
    (child, pid.trim().to_owned())
}

//
#[test]
fn members_of_the_group_attach_what_is_theirs_and_nothing_else() {
    needs_root!();
    let machine = Machine::boot("u1");
    machine.sh(&format!("{USERS} {}", program("meshctl").display()));
    machine.meshctl(&["install", "-y", "--no-systemd"]).exits(0);
    let attach = |user: &str, what: &[&str]| {
        as_user(&machine, user, &[&["meshctl", "attach"], what].concat())
    };
    let detach = |user: &str, what: &[&str]| {
        as_user(&machine, user, &[&["meshctl", "detach"], what].concat())
    };
    let (_own, own) = process(&machine, "alice");
    let (_others, others) = process(&machine, "bob");
    let (_roots, roots) = process(&machine, "root");

    attach("alice", &["--pid", &own, "--as", "shop"]).exits(0).says(&["1 process as shop"]);
    let denied = detach("bob", &["--pid", &own]).exits(7);
    denied.complains(&["alice", "bob is neither alice nor root", "sudo", "MESH1003"]);
    detach("alice", &["--pid", &own]).exits(0).says(&["1 process went back"]);
    for (pid, owner) in [(&others, "bob"), (&roots, "root")] {
        let denied = attach("alice", &["--pid", pid]).exits(7);
        denied.complains(&[&format!("belongs to {owner}"), "alice is neither", "sudo"]);
    }
    attach("alice", &["--uid", "4101"]).exits(0);
    detach("alice", &["--uid", "4101"]).exits(0);
    attach("alice", &["--uid", "4102"]).exits(7).complains(&["belongs to bob"]);
    attach("alice", &["--uid", "0"]).exits(7).complains(&["belongs to root"]);
    let cgroup = format!("{}-delegated", machine.cgroup);
    let folder = cgroup2().join(&cgroup);
    fs::create_dir(&folder).unwrap();
    attach("alice", &["--cgroup", &cgroup]).exits(7).complains(&["belongs to root"]);
    std::os::unix::fs::chown(&folder, Some(4101), None).unwrap();
    attach("alice", &["--cgroup", &cgroup]).exits(0);
    detach("alice", &["--cgroup", &cgroup]).exits(0);
    fs::remove_dir(&folder).unwrap();
    for (flag, name) in [("--unit", "ssh"), ("--container", "shop"), ("--netns", "blue")] {
        let denied = attach("alice", &[flag, name]).exits(7);
        denied.complains(&["is for root to attach", "sudo", "MESH1003"]);
    }
    // A name somebody else took is not to be had either.
    machine.meshctl(&["register", "bank", "--port", "9999"]).exits(0);
    attach("alice", &["--pid", &own, "--as", "bank"]).exits(7).complains(&["belongs to root"]);

    let (_hers, hers) = process(&machine, "carol");
    let denied = attach("carol", &["--pid", &hers]).exits(7);
    denied.complains(&["mesh", "usermod -aG mesh"]);
    attach("root", &["--pid", &hers, "--as", "crypt"]).exits(0);
    machine.meshctl(&["uninstall", "-y"]).exits(0);
}
