//! `meshctl demo`: the showcase works, and nothing of it stays.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use mesh_tests::host::cgroup2;
use mesh_tests::offline::{command, finish};
use mesh_tests::{Visitor, needs_root};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

fn host() -> (Vec<String>, Vec<String>) {
    let names = |path: &str| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let ours =
        |names: Vec<String>| names.into_iter().filter(|name| name.contains("demo")).collect();
    (ours(names("/run/netns")), ours(names(&cgroup2().display().to_string())))
}

// covers: DEMO-01 DEMO-02 DEMO-03 DEMO-07 CP-20
#[test]
fn demo_runs_and_leaves_the_host_as_it_was() {
    needs_root!();
    let before = host();
    let args = ["demo"];
    let mut demo = command(&args);
    demo.env_remove("MESHCTL_SOCKET");
    let shown = finish(&args, &mut demo).exits(0);
    assert!(!shown.stdout.contains('\x1b'), "{shown}");
    let text = format!("{}{}", shown.stdout, shown.stderr);
    for part in ["canary", "host unchanged (verified)"] {
        assert!(text.contains(part), "no {part:?} in {shown}");
    }
    assert_eq!(host(), before);
}

// covers: DEMO-01 X-078
#[test]
fn without_root_the_demo_is_the_same() {
    needs_root!();
    let user = Visitor::arrive();
    let shown = user.does(&["meshctl", "demo"]).exits(0);
    shown.says(&["canary", "requests, 0 lost", "netns", "demo removed, host unchanged (verified)"]);
    assert_eq!(user.processes(), []);
}

// covers: ACC-51
#[test]
fn an_interrupted_demo_leaves_nothing() {
    needs_root!();
    let user = Visitor::arrive();
    let mut demo = user.command(&["meshctl", "demo"]);
    let mut demo = demo.process_group(0).stdout(Stdio::piped()).spawn().expect("meshctl starts");
    let mut shown = BufReader::new(demo.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("== canary") {
        line.clear();
        assert!(shown.read_line(&mut line).expect("it tells") > 0, "it ended by itself");
    }
    // As a terminal does: to everything of the foreground.
    killpg(Pid::from_raw(i32::try_from(demo.id()).unwrap()), Signal::SIGINT).unwrap();
    let mut rest = String::new();
    shown.read_to_string(&mut rest).expect("it tells");
    assert_eq!(demo.wait().expect("it ends").code(), Some(130), "{rest}");
    assert!(rest.contains("demo removed, host unchanged (verified)"), "{rest}");
    assert_eq!(user.processes(), []);
}
