//! The capture backends a check is run with.

use crate::host::installed;
use crate::node::Node;
use crate::world::World;

/// Each backend of this host. Without `iptables` its checks say that they were skipped.
pub fn backends() -> Vec<&'static str> {
    let mut all = vec!["ebpf", "nft"];
    if installed("iptables") {
        all.push("iptables");
    } else {
        eprintln!("SKIPPED for iptables (it is not installed)");
    }
    all
}

/// Runs `check` on a node of each backend that has a world beside it.
pub fn each_beside_a_world(flags: &[&str], check: impl Fn(&mut Node, &World)) {
    for backend in backends() {
        eprintln!("capture by {backend}");
        let mut node = Node::stopped(&[&["--backend", backend], flags].concat());
        let world = World::beside(&node);
        node.boot();
        check(&mut node, &world);
    }
}
