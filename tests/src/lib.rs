//! The harness of the black-box specifications in `tests/tests`.
//!
//! A [`Node`] is a `meshd` in a network namespace, cgroup and state directory of its own, so many
//! run beside each other and the host's own traffic is never touched. [`Backend`]s are threads
//! inside that namespace. A [`Probe`] is the captured client: a process started by `meshctl run`.

pub mod attack;
pub mod backend;
pub mod backends;
pub mod captured;
pub mod command;
pub mod datagram;
pub mod dns;
pub mod firewall;
pub mod host;
pub mod load;
pub mod machine;
pub mod mirror;
pub mod mixed;
pub mod netns;
pub mod node;
pub mod offline;
pub mod podman;
pub mod probe;
pub mod programs;
pub mod schema;
pub mod visitor;
pub mod wait;
pub mod watch;
pub mod wire;
pub mod world;

pub use backend::{Backend, Piece, Seen};
pub use captured::Probe;
pub use command::Ran;
pub use datagram::{Talk, UdpServer};
pub use firewall::Firewall;
pub use machine::Machine;
pub use netns::Netns;
pub use node::Node;
pub use podman::Podman;
pub use visitor::Visitor;
pub use wait::eventually;
pub use world::World;

/// Ends a test that changes the host when it may not; under `CI` that is a failure.
#[macro_export]
macro_rules! needs_root {
    () => {
        if !$crate::host::is_root() {
            assert!(std::env::var_os("CI").is_none(), "this test needs root and CI may not skip");
            eprintln!("SKIPPED (needs root): {}", std::thread::current().name().unwrap_or("?"));
            return;
        }
    };
}

/// Ends a test beside a program that is a neighbour, not a tool of ours, and not on this machine.
#[macro_export]
macro_rules! wants_neighbour {
    ($program:literal) => {
        if !$crate::host::installed($program) {
            let test = std::thread::current().name().unwrap_or("?").to_owned();
            eprintln!("SKIPPED ({} is not installed): {test}", $program);
            return;
        }
    };
}

/// Ends a test of what a program does, which is not on this machine; under `CI` that is a failure.
#[macro_export]
macro_rules! needs_program {
    ($program:literal) => {
        let missing = std::env::var_os("CI").is_some() && !$crate::host::installed($program);
        assert!(!missing, "{} is not installed: make deps", $program);
        $crate::wants_neighbour!($program);
    };
}
