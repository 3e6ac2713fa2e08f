//! Which addresses are captured: pure, so that a test can say it in a line.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::state::Snapshot;

pub(super) type Targets = BTreeSet<SocketAddr>;

/// What to capture, and what no longer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) added: Vec<SocketAddr>,
    pub(super) removed: Vec<SocketAddr>,
}

pub(super) fn targets(snapshot: &Snapshot) -> Targets {
    snapshot.destinations.keys().copied().collect()
}

pub(super) fn difference(old: &Targets, new: &Targets) -> Change {
    Change {
        added: new.difference(old).copied().collect(),
        removed: old.difference(new).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_change() {
        let change = difference(&at("10.9.9.8:80 10.9.9.9:80"), &at("10.9.9.7:80 10.9.9.9:80"));
        let at = |text| at(text).into_iter().collect::<Vec<_>>();
        assert_eq!(change, Change { added: at("10.9.9.7:80"), removed: at("10.9.9.8:80") });
    }

    fn at(text: &str) -> Targets {
        text.split(' ').map(|address| address.parse().unwrap()).collect()
    }
}
