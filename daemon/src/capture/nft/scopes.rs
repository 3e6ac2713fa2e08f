//! Whose packets are looked at: the sets of cgroups and users, and the rules that ask them.
//!
//! One set of cgroups per depth and kind, because the kernel asks for a socket's ancestor at one
//! depth. A packet passes as few questions as there are depths in use.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::super::cgroup::{self, Mount};
use super::super::plan::{ScopeRule, Targets};
use super::ruleset::TABLE;
use crate::model::Scope;

/// Elements of vanished cgroups a set may keep: nft cannot name them any more, so they go when
/// the set is filled anew.
const STALE: usize = 64;

/// Cgroups at one depth that are asked for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Level {
    depth: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Never captured.
    Out,
    /// What leads to the mesh.
    Mesh,
    Everything,
}

/// Who is in scope, as the table needs to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Members {
    /// By inode.
    cgroups: BTreeMap<Level, BTreeMap<u64, PathBuf>>,
    mesh_uids: BTreeSet<u32>,
    all_uids: BTreeSet<u32>,
    /// Everybody in the namespace.
    namespace: Option<Kind>,
    host: Option<Kind>,
}

/// What the table of one namespace holds.
#[derive(Debug)]
pub(super) struct Scopes {
    mount: Mount,
    /// Paths below the mount, never in scope.
    excluded: Vec<String>,
    /// Of the namespace the table is in.
    cookie: u64,
    held: Members,
    stale: BTreeMap<Level, usize>,
}

impl Scopes {
    pub(super) fn new(mount: Mount, excluded: &[String], cookie: u64) -> Self {
        let (held, stale) = (Members::default(), BTreeMap::new());
        Self { mount, excluded: excluded.to_vec(), cookie, held, stale }
    }

    /// Leaves out other cgroups than before.
    pub(super) fn exclude(&mut self, excluded: &[String]) {
        self.excluded = excluded.to_vec();
    }

    /// The table is a new, empty one.
    pub(super) fn forget(&mut self) {
        self.held = Members::default();
        self.stale.clear();
    }

    /// Commands that make the table hold the scopes of `targets`; [`Self::applied`] follows when
    /// they were.
    pub(super) fn plan(&self, targets: &Targets) -> Plan {
        let wanted = self.members(targets);
        let mut plan = Plan { text: String::new(), stale: self.stale.clone(), wanted };
        let (held, wanted) = (&self.held, &plan.wanted);
        let levels: BTreeSet<_> = held.cgroups.keys().chain(wanted.cgroups.keys()).collect();
        let none = BTreeMap::new();
        for level in levels {
            let (old, new) = (held.cgroups.get(level), wanted.cgroups.get(level));
            let stale = plan.stale.entry(*level).or_default();
            plan.text.push_str(&level.text(old.unwrap_or(&none), new.unwrap_or(&none), stale));
        }
        plan.text.push_str(&uids("uids", &held.mesh_uids, &wanted.mesh_uids));
        plan.text.push_str(&uids("uids_all", &held.all_uids, &wanted.all_uids));
        let questions = wanted.questions();
        if questions != held.questions() {
            for (chain, transport) in [("tcp_scopes", "tcp"), ("udp_scopes", "udp")] {
                plan.text.push_str(&format!("flush chain inet {TABLE} {chain}\n"));
                for (question, kind) in &questions {
                    let verdict = kind.verdict(transport);
                    let rule = format!("add rule inet {TABLE} {chain} {question}{verdict}\n");
                    plan.text.push_str(&rule);
                }
            }
        }
        plan
    }

    pub(super) fn applied(&mut self, plan: Plan) {
        (self.held, self.stale) = (plan.wanted, plan.stale);
    }

    /// The cgroups to leave out have come or gone since.
    pub(super) fn is_outdated(&self) -> bool {
        let held = self.held.cgroups.iter().filter(|(level, _)| level.kind == Kind::Out);
        let held: BTreeSet<u64> = held.flat_map(|(_, members)| members.keys().copied()).collect();
        let found = self.excluded.iter().filter_map(|path| cgroup::id(&self.mount.path(path)).ok());
        held != found.collect()
    }

    fn members(&self, targets: &Targets) -> Members {
        let known = self.held.cgroups.values().flatten().collect();
        let mut members = Members::default();
        for path in self.excluded.iter().map(|path| self.mount.path(path)) {
            if let Ok(inode) = cgroup::id(&path) {
                self.enter(&mut members, Kind::Out, inode, path);
            }
        }
        for ScopeRule { scope, everything } in targets.scopes.values() {
            let kind = if *everything { Kind::Everything } else { Kind::Mesh };
            match *scope {
                Scope::Cgroup(inode) => {
                    // One that vanished meanwhile has nobody to capture.
                    if let Ok(path) = self.path(inode, &known) {
                        self.enter(&mut members, kind, inode, path);
                    }
                }
                Scope::Netns(cookie) if cookie == self.cookie => {
                    members.namespace = members.namespace.max(Some(kind));
                }
                Scope::Netns(_elsewhere) => {}
                Scope::Uid(uid) => {
                    let uids =
                        if *everything { &mut members.all_uids } else { &mut members.mesh_uids };
                    uids.insert(uid);
                }
                Scope::Host => members.host = members.host.max(Some(kind)),
            }
        }
        members
    }

    /// Asked of the kernel once: a cgroup is never moved.
    fn path(&self, inode: u64, known: &HashMap<&u64, &PathBuf>) -> io::Result<PathBuf> {
        known.get(&inode).map_or_else(|| self.mount.by_id(inode), |path| Ok((*path).clone()))
    }

    fn enter(&self, members: &mut Members, kind: Kind, inode: u64, path: PathBuf) {
        let below = path.strip_prefix(self.mount.root()).unwrap_or(&path);
        let level = Level { depth: below.components().count(), kind };
        members.cgroups.entry(level).or_default().insert(inode, path);
    }
}

/// Commands for the table, and what it holds once they were obeyed.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) text: String,
    wanted: Members,
    stale: BTreeMap<Level, usize>,
}

impl Members {
    /// Matches with what becomes of who fits: out first, then the deepest cgroup, the namespace,
    /// the user, the host.
    fn questions(&self) -> Vec<(String, Kind)> {
        let mut levels: Vec<&Level> = self.cgroups.keys().collect();
        levels.sort_by_key(|level| (level.kind != Kind::Out, std::cmp::Reverse(level.depth)));
        let of_level = |level: &Level| {
            (format!("socket cgroupv2 level {} @{} ", level.depth, level.set()), level.kind)
        };
        let mut questions: Vec<_> = levels.into_iter().map(of_level).collect();
        questions.extend(self.namespace.map(|kind| (String::new(), kind)));
        for (set, uids, kind) in
            [("uids", &self.mesh_uids, Kind::Mesh), ("uids_all", &self.all_uids, Kind::Everything)]
        {
            if !uids.is_empty() {
                questions.push((format!("meta skuid @{set} "), kind));
            }
        }
        questions.extend(self.host.map(|kind| (String::new(), kind)));
        questions
    }
}

impl Kind {
    fn verdict(self, transport: &str) -> String {
        match self {
            Self::Out => "accept".to_owned(),
            Self::Mesh => format!("goto {transport}_mesh"),
            Self::Everything => format!("goto {transport}_all"),
        }
    }
}

impl Level {
    fn set(&self) -> String {
        let kind = match self.kind {
            Kind::Out => "_out",
            Kind::Mesh => "",
            Kind::Everything => "_all",
        };
        format!("cg{}{kind}", self.depth)
    }

    /// Commands that take the set from `old` to `new`.
    fn text(
        &self,
        old: &BTreeMap<u64, PathBuf>,
        new: &BTreeMap<u64, PathBuf>,
        stale: &mut usize,
    ) -> String {
        let set = self.set();
        let mut text = String::new();
        if old.is_empty() && *stale == 0 {
            text.push_str(&format!("add set inet {TABLE} {set} {{ type cgroupsv2; }}\n"));
        }
        let gone = old.iter().filter(|(inode, _)| !new.contains_key(inode));
        let (alive, vanished): (Vec<_>, Vec<_>) =
            gone.partition(|(inode, path)| cgroup::id(path).ok() == Some(**inode));
        *stale += vanished.len();
        if *stale > STALE {
            *stale = 0;
            text.push_str(&format!("flush set inet {TABLE} {set}\n"));
            text.push_str(&elements("add", &set, new.values()));
            return text;
        }
        text.push_str(&elements("delete", &set, alive.into_iter().map(|(_, path)| path)));
        let entered = new.iter().filter(|(inode, _)| !old.contains_key(inode));
        text.push_str(&elements("add", &set, entered.map(|(_, path)| path)));
        text
    }
}

fn elements<'a>(verb: &str, set: &str, paths: impl Iterator<Item = &'a PathBuf>) -> String {
    let paths: Vec<String> = paths.map(|path| quoted(path)).collect();
    if paths.is_empty() {
        return String::new();
    }
    format!("{verb} element inet {TABLE} {set} {{ {} }}\n", paths.join(", "))
}

/// nft looks below /sys/fs/cgroup, whatever is mounted there.
fn quoted(path: &Path) -> String {
    let below = path.strip_prefix("/sys/fs/cgroup");
    let up = || format!("../../..{}", path.display());
    format!("\"{}\"", below.map_or_else(|_elsewhere| up(), |below| below.display().to_string()))
}

fn uids(set: &str, old: &BTreeSet<u32>, new: &BTreeSet<u32>) -> String {
    let mut text = String::new();
    for (verb, uids) in [("delete", old - new), ("add", new - old)] {
        if !uids.is_empty() {
            let uids: Vec<String> = uids.iter().map(ToString::to_string).collect();
            text.push_str(&format!(
                "{verb} element inet {TABLE} {set} {{ {} }}\n",
                uids.join(", ")
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_cgroup_is_asked_first_and_the_host_last() {
        let level = |depth, kind| Level { depth, kind };
        let one = BTreeMap::from([(7, PathBuf::from("/x"))]);
        let members = Members {
            cgroups: BTreeMap::from([
                (level(1, Kind::Mesh), one.clone()),
                (level(3, Kind::Everything), one.clone()),
                (level(2, Kind::Out), one),
            ]),
            mesh_uids: BTreeSet::from([1000]),
            host: Some(Kind::Mesh),
            ..Members::default()
        };
        let asked: Vec<_> =
            members.questions().into_iter().map(|(q, kind)| q + &kind.verdict("tcp")).collect();
        assert_eq!(
            asked,
            [
                "socket cgroupv2 level 2 @cg2_out accept",
                "socket cgroupv2 level 3 @cg3_all goto tcp_all",
                "socket cgroupv2 level 1 @cg1 goto tcp_mesh",
                "meta skuid @uids goto tcp_mesh",
                "goto tcp_mesh",
            ]
        );
    }

    #[test]
    fn a_mount_elsewhere_is_reached_from_where_nft_looks() {
        assert_eq!(quoted(Path::new("/sys/fs/cgroup/unified/a")), "\"unified/a\"");
        assert_eq!(quoted(Path::new("/run/cg/a")), "\"../../../run/cg/a\"");
    }
}
