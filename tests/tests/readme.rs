//! The tour of README.md, run as it stands there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mesh_tests::host::installed;
use mesh_tests::programs::program;
use mesh_tests::{Node, Ran, needs_root};

/// The commands of the tour but for those that install, start and end what the test has anyway.
fn tour() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, tour) = text.split_once("## Sixty seconds").expect("the tour");
    let (tour, _) = tour.split_once("\n## ").expect("what follows it");
    let blocks = tour.split("```").skip(1).step_by(2);
    let lines: Vec<&str> = blocks
        .flat_map(|block| block.trim_start_matches("sh\n").lines())
        .filter(|line| {
            !["make build", "sudo meshd", "sudo kill"].iter().any(|own| line.starts_with(own))
        })
        .collect();
    lines.join("\n").replace("/tmp/", "tour/")
}

#[test]
fn every_command_of_the_tour_works() {
    needs_root!();
    if !installed("python3") || !installed("curl") {
        assert!(std::env::var_os("CI").is_none(), "python3 and curl are missing");
        return;
    }
    let node = Node::start();
    let sudo = node.file("bin/sudo", "#!/bin/sh\nexec \"$@\"\n");
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).unwrap();
    let own = program("meshctl");
    let path = format!(
        "{}:{}:{}",
        sudo.parent().unwrap().display(),
        own.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    // The web servers need a moment that a person typing gives them.
    let commands = tour().replacen(
        "sudo meshctl register",
        "for port in 8080 8081; do until curl -so /dev/null 127.0.0.1:$port; do sleep 0.05; done; done\nsudo meshctl register",
        1,
    );
    let script = format!("set -eo pipefail\ntrap 'kill $(jobs -p)' EXIT\n{commands}");
    let mut bash = node.command("bash");
    bash.args(["-c", &script]).env("PATH", path).current_dir(node.dir.path());
    let ran = Ran::new(script, &bash.output().unwrap()).exits(0);
    for part in
        ["service/web created", "one", "two", "route/web", "split web v1=90 v2=10", "balance"]
    {
        assert!(ran.stdout.contains(part), "no {part:?}\n{ran}");
    }
}
