//! Whose traffic is captured.

use std::collections::BTreeMap;

use aya::maps::{HashMap, MapData, MapError};

use super::or_gone;
use crate::LoadError;
use crate::shared::{LEVELS, RawScope, RawScopeKey, flags};

/// Some processes. Where several match, the deepest cgroup wins, then the network namespace, then
/// the user, then the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything in the cgroup with this inode, that many levels below the root.
    Cgroup { id: u64, level: u8 },
    /// Everything in the network namespace with this cookie, where meshd listens.
    Netns(u64),
    /// Everything of this (real) user in meshd's own network namespace.
    Uid(u32),
    /// Everything in meshd's own network namespace.
    Host,
}

/// What happens to the traffic of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is captured for the workload of this number; `everything`: also what the mesh does not
    /// know.
    Capture { workload: u64, everything: bool },
    /// It is left alone, as if it were in no scope.
    Leave,
}

pub(crate) struct Scopes {
    map: HashMap<MapData, RawScopeKey, RawScope>,
    /// What is in the map, to know which levels and kinds the programs have to look at.
    known: BTreeMap<RawScopeKey, Scope>,
}

/// Where the programs have to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Deepest first.
    pub(crate) levels: [u8; LEVELS],
    pub(crate) flags: u32,
}

impl Scopes {
    pub(crate) fn take(ebpf: &mut aya::Ebpf) -> Result<Self, LoadError> {
        Ok(Self { map: super::take(ebpf, "SCOPES")?, known: BTreeMap::new() })
    }

    pub(crate) fn insert(&mut self, scope: Scope, rule: Rule) -> Result<(), MapError> {
        let raw = match rule {
            Rule::Capture { workload, everything } => {
                RawScope { workload, egress: everything.into(), excluded: 0 }
            }
            Rule::Leave => RawScope { workload: 0, egress: 0, excluded: 1 },
        };
        let key = key(scope);
        self.map.insert(key, raw, 0)?;
        self.known.insert(key, scope);
        Ok(())
    }

    pub(crate) fn remove(&mut self, scope: Scope) -> Result<(), MapError> {
        let key = key(scope);
        self.known.remove(&key);
        or_gone(self.map.remove(&key))
    }

    pub(crate) fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        let mut levels = std::collections::BTreeSet::new();
        for scope in self.known.values() {
            shape.flags |= match scope {
                Scope::Cgroup { level, .. } => {
                    levels.insert(*level);
                    0
                }
                Scope::Netns(_) => flags::SCOPES_BY_NETNS,
                Scope::Uid(_) => flags::SCOPES_BY_UID,
                Scope::Host => flags::SCOPE_HOST,
            };
        }
        for (slot, level) in shape.levels.iter_mut().zip(levels.into_iter().rev()) {
            *slot = level;
        }
        shape
    }
}

fn key(scope: Scope) -> RawScopeKey {
    let (kind, id) = match scope {
        Scope::Cgroup { id, .. } => (0, id),
        Scope::Netns(cookie) => (1, cookie),
        Scope::Uid(uid) => (2, uid.into()),
        Scope::Host => (3, 0),
    };
    RawScopeKey { id, kind, unused: 0 }
}
