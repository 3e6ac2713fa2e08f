//! The capture backends a check is run with.

use crate::node::Node;
use crate::world::World;

/// Each backend.
pub fn backends() -> Vec<&'static str> {
    vec!["ebpf", "nft", "iptables"]
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
