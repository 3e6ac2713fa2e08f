//! The BPF programs that take a process's traffic to meshd, and their typed loader.
//!
//! A captured `connect()` is sent to a fake loopback address that carries a random number; under
//! that number the program notes what was wanted and by whom. So the address an accepted
//! connection arrived at is all meshd needs, for TCP and for datagrams, without a race.
//!
//! The programs sit at the root of all cgroups and go by maps: whose traffic is taken is an entry,
//! not an attachment. Pinned, they outlive meshd, and a lease in a map tells them that it died.

mod error;
mod maps;
mod programs;
mod report;
mod rules;
mod shared;

pub use error::LoadError;
pub use maps::clients::{Clients, Shown};
pub use maps::counters::Counters;
pub use maps::destinations::{Destination, Straight};
pub use maps::exclusions::Excluded;
pub use maps::inbound::{Inbound, Listener};
pub use maps::lease::Lease;
pub use maps::scopes::{Rule, Scope};
pub use maps::wishes::{Wish, Wishes};
pub use programs::{Parts, Pins, Programs};
pub use report::{Hook, Report, cgroup_is_free};
pub use rules::{Rules, Settings};
pub use shared::{FAKE4, FAKE6, MOST_SHARES, Transport};
