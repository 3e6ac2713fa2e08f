//! `meshctl demo`: the showcase works, and nothing of it stays.

use std::fs;

use mesh_tests::host::cgroup2;
use mesh_tests::needs_root;
use mesh_tests::offline::{command, finish};

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
