//! Endpoints that live as long as something else: a run, a process, a unit.

use std::fs;
use std::time::Duration;

use mesh_tests::host::{cgroup2, remove_cgroup};
use mesh_tests::programs::program;
use mesh_tests::wait::until;
use mesh_tests::{Node, needs_root};

/// Addresses of a service's endpoints that are in force.
fn endpoints(node: &Node, service: &str) -> Vec<String> {
    let shown = node.meshctl(&["get", &format!("service/{service}"), "-o", "json"]);
    let service: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap_or_default();
    let endpoints = service["status"]["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints
        .iter()
        .map(|at| format!("{}:{}", at["address"].as_str().unwrap(), at["port"]))
        .collect()
}

// covers: ACC-33
#[test]
fn runs_endpoint_is_there_with_it_and_gone_with_it() {
    needs_root!();
    let node = Node::start();
    let mut command = node.command(program("meshctl"));
    let page = node.file("www/index.html", "served\n");
    let folder = page.parent().unwrap();
    command.args(["run", "--as", "web", "--port", "http:8080", "--ready", "http:/", "--"]);
    command.args(["python3", "-m", "http.server", "8080", "--bind", "127.0.0.1", "--directory"]);
    let null = || fs::File::create("/dev/null").unwrap();
    let mut server = command.arg(folder).stdout(null()).stderr(null()).spawn().unwrap();
    node.until_ready("web", 1);
    let answer = node.run("cli", &["curl", "-sS", "-m", "5", "http://web.mesh/"]).exits(0);
    assert_eq!(answer.stdout, "served\n");
    server.kill().unwrap();
    server.wait().unwrap();
    until("its endpoint to go", Duration::from_secs(2), || endpoints(&node, "web").is_empty());
    assert!(node.ok(&["history"]).contains("ended"), "the history says why");
    node.meshctl(&["run", "--port", "8080", "--", "true"]).exits(2);
}

#[test]
fn processs_endpoint_ends_with_it_also_while_meshd_is_down() {
    needs_root!();
    let mut node = Node::start();
    let mut held = node.command("sleep").arg("300").spawn().unwrap();
    let pid = held.id().to_string();
    let said = node.ok(&["register", "web", "--port", "8080", "--pid", &pid]);
    assert!(said.contains(&format!("as long as pid {pid} runs")), "{said}");
    assert_eq!(endpoints(&node, "web"), ["127.0.0.1:8080"]);
    node.kill();
    node.boot();
    until("it to be still there", Duration::from_secs(2), || endpoints(&node, "web").len() == 1);
    held.kill().unwrap();
    held.wait().unwrap();
    until("its endpoint to go", Duration::from_secs(2), || endpoints(&node, "web").is_empty());
    node.meshctl(&["register", "web", "--port", "8080", "--pid", &pid]).exits(5);
}

#[test]
fn units_endpoint_comes_back_with_it() {
    needs_root!();
    let node = Node::start();
    let name = format!("mt{}-bound.service", std::process::id());
    let cgroup = cgroup2().join(&name);
    fs::create_dir(&cgroup).unwrap();
    node.meshctl(&["register", "web", "--port", "8080", "--unit", &name]).exits(5);
    let start = || {
        let child = node.command("sleep").arg("300").spawn().unwrap();
        fs::write(cgroup.join("cgroup.procs"), child.id().to_string()).unwrap();
        child
    };
    let mut first = start();
    node.ok(&["register", "web", "--port", "8080", "--unit", &name]);
    assert_eq!(endpoints(&node, "web"), ["127.0.0.1:8080"]);
    first.kill().unwrap();
    first.wait().unwrap();
    until("out of sight", Duration::from_secs(2), || endpoints(&node, "web").is_empty());
    let mut second = start();
    until("back", Duration::from_secs(2), || endpoints(&node, "web").len() == 1);
    second.kill().unwrap();
    second.wait().unwrap();
    remove_cgroup(&name).unwrap();
}
