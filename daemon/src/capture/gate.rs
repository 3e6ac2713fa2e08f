//! Where captured traffic comes in: the sockets of one network namespace.
//!
//! meshd opens those of its own namespace itself. Those of another are made inside it and handed
//! over ([`pass`]); a connection accepted from them is served like any other, and what meshd opens
//! for it leaves from meshd's own namespace.

mod callers;
mod home;
mod keeper;
mod namespace;
mod pass;
mod rules;
mod sockets;

pub(super) use callers::Callers;
pub(super) use callers::Counts;
pub(crate) use home::Home;
pub(crate) use keeper::{Keeper, Namespaces, Refused, Settle};
pub(crate) use namespace::{Blueprint, OpenError, accept_for_others, build};
pub(crate) use pass::{Delivery, Passage, PassageError, listen};
pub(crate) use sockets::{Role, Sockets, Tag};

/// Tells the network namespaces apart in which meshd has sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GateId(pub(crate) u32);

impl GateId {
    /// The namespace meshd itself is in.
    pub(crate) const OWN: Self = Self(0);
}
