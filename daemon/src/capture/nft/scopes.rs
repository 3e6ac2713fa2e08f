//! Whose packets are looked at: the sets of cgroups and users, and the rules that ask them.
//!
//! One set of cgroups per depth and kind, because the kernel asks for a socket's ancestor at one
//! depth. A packet passes as few questions as there are depths in use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::cgroup::{self, Mount};
use super::super::plan::{Change, ScopeRule, Targets};
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

/// Who is in scope, as the table knows it. No set here is empty.
#[derive(Clone, Debug, Default)]
struct Members {
    /// By inode.
    cgroups: BTreeMap<Level, BTreeMap<u64, PathBuf>>,
    uids: BTreeMap<Kind, BTreeSet<u32>>,
    /// Everybody in the namespace.
    namespace: Option<Kind>,
    host: Option<Kind>,
}

/// What the table of one namespace holds, once it has obeyed every command from here; else
/// [`Self::fill`] begins anew.
#[derive(Debug)]
pub(super) struct Scopes {
    mount: Mount,
    /// Paths below the mount, never in scope.
    excluded: Vec<String>,
    /// Of the namespace the table is in.
    cookie: u64,
    held: Members,
    /// Elements nft cannot name, of each set there is.
    stale: BTreeMap<Level, usize>,
}

impl Scopes {
    pub(super) fn new(mount: Mount, excluded: &[String], cookie: u64) -> Self {
        let (held, stale) = (Members::default(), BTreeMap::new());
        Self { mount, excluded: excluded.to_vec(), cookie, held, stale }
    }

    /// Leaves out other cgroups than before, from the next [`Self::fill`] on.
    pub(super) fn exclude(&mut self, excluded: &[String]) {
        self.excluded = excluded.to_vec();
    }

    /// Commands that put the scopes of `targets` into a new table.
    pub(super) fn fill(&mut self, targets: &Targets) -> String {
        self.held = Members::default();
        self.stale.clear();
        let mut moves = Moves::default();
        for (inode, path) in self.found() {
            self.put(Kind::Out, inode, path, &mut moves);
        }
        targets.scopes.values().for_each(|rule| self.enter(rule, &mut moves));
        self.commands(&[], moves)
    }

    /// Commands that make the table follow `change`.
    pub(super) fn follow(&mut self, change: &Change) -> String {
        let (asked, mut moves) = (self.held.questions(), Moves::default());
        change.left.iter().for_each(|(_, rule)| self.leave(rule, &mut moves));
        change.entered.iter().for_each(|(_, rule)| self.enter(rule, &mut moves));
        self.commands(&asked, moves)
    }

    /// Commands for when [`Self::is_outdated`].
    pub(super) fn leave_out(&mut self) -> String {
        let (asked, mut moves) = (self.held.questions(), Moves::default());
        let found = self.found();
        for gone in self.left_out().filter(|inode| !found.contains_key(inode)).collect::<Vec<_>>() {
            self.take(Kind::Out, gone, &mut moves);
        }
        let known: BTreeSet<u64> = self.left_out().collect();
        for (inode, path) in found.into_iter().filter(|(inode, _)| !known.contains(inode)) {
            self.put(Kind::Out, inode, path, &mut moves);
        }
        self.commands(&asked, moves)
    }

    /// The cgroups to leave out have come or gone since.
    pub(super) fn is_outdated(&self) -> bool {
        self.left_out().collect::<BTreeSet<_>>() != self.found().into_keys().collect()
    }

    fn left_out(&self) -> impl Iterator<Item = u64> {
        let held = self.held.cgroups.iter().filter(|(level, _)| level.kind == Kind::Out);
        held.flat_map(|(_, members)| members.keys().copied())
    }

    /// The cgroups to leave out, now.
    fn found(&self) -> BTreeMap<u64, PathBuf> {
        let paths = self.excluded.iter().map(|path| self.mount.path(path));
        paths.filter_map(|path| Some((cgroup::id(&path).ok()?, path))).collect()
    }

    fn enter(&mut self, rule: &ScopeRule, moves: &mut Moves) {
        let kind = Kind::of(rule);
        match rule.scope {
            Scope::Cgroup(inode) => {
                // One that vanished meanwhile has nobody to capture.
                if let Ok(path) = self.mount.by_id(inode) {
                    self.put(kind, inode, path, moves);
                }
            }
            Scope::Netns(cookie) if cookie == self.cookie => self.held.namespace = Some(kind),
            Scope::Netns(_elsewhere) => {}
            Scope::Uid(uid) => {
                self.held.uids.entry(kind).or_default().insert(uid);
                moves.add(kind.uids(), uid.to_string());
            }
            Scope::Host => self.held.host = Some(kind),
        }
    }

    fn leave(&mut self, rule: &ScopeRule, moves: &mut Moves) {
        let kind = Kind::of(rule);
        match rule.scope {
            Scope::Cgroup(inode) => self.take(kind, inode, moves),
            Scope::Netns(cookie) if cookie == self.cookie => self.held.namespace = None,
            Scope::Netns(_elsewhere) => {}
            Scope::Uid(uid) => {
                let Some(uids) = self.held.uids.get_mut(&kind) else { return };
                if uids.remove(&uid) {
                    moves.delete(kind.uids(), uid.to_string());
                }
                self.held.uids.retain(|_, uids| !uids.is_empty());
            }
            Scope::Host => self.held.host = None,
        }
    }

    fn put(&mut self, kind: Kind, inode: u64, path: PathBuf, moves: &mut Moves) {
        let below = path.strip_prefix(self.mount.root()).unwrap_or(&path);
        let level = Level { depth: below.components().count(), kind };
        if let std::collections::btree_map::Entry::Vacant(fresh) = self.stale.entry(level) {
            fresh.insert(0);
            moves.sets.push(level.set());
        }
        moves.add(level.set(), quoted(&path));
        self.held.cgroups.entry(level).or_default().insert(inode, path);
    }

    fn take(&mut self, kind: Kind, inode: u64, moves: &mut Moves) {
        let of_kind = self.held.cgroups.iter_mut().filter(|(level, _)| level.kind == kind);
        for (level, members) in of_kind {
            let Some(path) = members.remove(&inode) else { continue };
            if cgroup::id(&path).ok() == Some(inode) {
                moves.delete(level.set(), quoted(&path));
            } else {
                *self.stale.entry(*level).or_default() += 1;
            }
        }
        self.held.cgroups.retain(|_, members| !members.is_empty());
    }

    /// `asked`: the questions in the table.
    fn commands(&mut self, asked: &[(String, Kind)], mut moves: Moves) -> String {
        let mut text = String::new();
        for (level, stale) in self.stale.iter_mut().filter(|(_, stale)| **stale > STALE) {
            *stale = 0;
            let members = self.held.cgroups.get(level).into_iter().flat_map(BTreeMap::values);
            moves.refill(level.set(), members.map(|path| quoted(path)).collect());
        }
        text.push_str(&moves.commands());
        let questions = self.held.questions();
        if questions != asked {
            for (chain, transport) in [("tcp_scopes", "tcp"), ("udp_scopes", "udp")] {
                text.push_str(&format!("flush chain inet {TABLE} {chain}\n"));
                for (question, kind) in &questions {
                    let verdict = kind.verdict(transport);
                    let rule = format!("add rule inet {TABLE} {chain} {question}{verdict}\n");
                    text.push_str(&rule);
                }
            }
        }
        text
    }
}

/// What becomes of sets, by their names.
#[derive(Debug, Default)]
struct Moves {
    /// New ones.
    sets: Vec<String>,
    flushed: Vec<String>,
    deleted: BTreeMap<String, Vec<String>>,
    added: BTreeMap<String, Vec<String>>,
}

impl Moves {
    fn add(&mut self, set: String, element: String) {
        self.added.entry(set).or_default().push(element);
    }

    fn delete(&mut self, set: String, element: String) {
        self.deleted.entry(set).or_default().push(element);
    }

    fn refill(&mut self, set: String, elements: Vec<String>) {
        self.deleted.remove(&set);
        self.added.remove(&set);
        if !elements.is_empty() {
            self.added.insert(set.clone(), elements);
        }
        self.flushed.push(set);
    }

    fn commands(&self) -> String {
        let mut text = String::new();
        for set in &self.sets {
            text.push_str(&format!("add set inet {TABLE} {set} {{ type cgroupsv2; }}\n"));
        }
        for set in &self.flushed {
            text.push_str(&format!("flush set inet {TABLE} {set}\n"));
        }
        for (verb, sets) in [("delete", &self.deleted), ("add", &self.added)] {
            for (set, elements) in sets {
                let elements = elements.join(", ");
                text.push_str(&format!("{verb} element inet {TABLE} {set} {{ {elements} }}\n"));
            }
        }
        text
    }
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
        let of_users = |kind: &Kind| (format!("meta skuid @{} ", kind.uids()), *kind);
        questions.extend(self.uids.keys().map(of_users));
        questions.extend(self.host.map(|kind| (String::new(), kind)));
        questions
    }
}

impl Kind {
    fn of(rule: &ScopeRule) -> Self {
        if rule.everything { Self::Everything } else { Self::Mesh }
    }

    fn verdict(self, transport: &str) -> String {
        match self {
            Self::Out => "accept".to_owned(),
            Self::Mesh => format!("goto {transport}_mesh"),
            Self::Everything => format!("goto {transport}_all"),
        }
    }

    /// The suffix of its sets.
    fn suffix(self) -> &'static str {
        match self {
            Self::Out => "_out",
            Self::Mesh => "",
            Self::Everything => "_all",
        }
    }

    fn uids(self) -> String {
        format!("uids{}", self.suffix())
    }
}

impl Level {
    fn set(&self) -> String {
        format!("cg{}{}", self.depth, self.kind.suffix())
    }
}

/// nft looks below /sys/fs/cgroup, whatever is mounted there.
fn quoted(path: &Path) -> String {
    let below = path.strip_prefix("/sys/fs/cgroup");
    let up = || format!("../../..{}", path.display());
    format!("\"{}\"", below.map_or_else(|_elsewhere| up(), |below| below.display().to_string()))
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
            uids: BTreeMap::from([(Kind::Mesh, BTreeSet::from([1000]))]),
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
    fn only_what_changes_is_told() {
        let mut scopes = Scopes::new(Mount::at(Path::new("/nowhere")), &[], 5);
        let rule = |uid, everything| {
            let scope = Scope::Uid(uid);
            (scope.key(), ScopeRule { scope, everything })
        };
        let filled = scopes.fill(&Targets {
            scopes: BTreeMap::from([rule(7, false), rule(8, false)]),
            ..Targets::default()
        });
        assert!(filled.starts_with("add element inet meshd uids { 7, 8 }\n"), "{filled}");
        assert!(filled.contains("tcp_scopes meta skuid @uids goto tcp_mesh\n"), "{filled}");

        let entered = vec![rule(9, false)];
        let told = scopes.follow(&Change { entered, ..Change::default() });
        assert_eq!(told, "add element inet meshd uids { 9 }\n");

        let (left, entered) = (vec![rule(7, false)], vec![rule(7, true)]);
        let told = scopes.follow(&Change { left, entered, ..Change::default() });
        let moved = "delete element inet meshd uids { 7 }\nadd element inet meshd uids_all { 7 }\n";
        assert!(told.starts_with(moved), "{told}");
        assert!(told.contains("tcp_scopes meta skuid @uids_all goto tcp_all\n"), "{told}");
    }

    #[test]
    fn a_cgroup_that_is_left_out_comes_and_goes() {
        let root = tempfile::tempdir().unwrap();
        let mut scopes = Scopes::new(Mount::at(root.path()), &["out".to_owned()], 5);
        assert_eq!(scopes.fill(&Targets::default()), "");
        std::fs::create_dir(root.path().join("out")).unwrap();
        assert!(scopes.is_outdated());
        let told = scopes.leave_out();
        assert!(told.starts_with("add set inet meshd cg1_out { type cgroupsv2; }\n"), "{told}");
        assert!(told.contains("tcp_scopes socket cgroupv2 level 1 @cg1_out accept\n"), "{told}");
        assert!(!scopes.is_outdated());

        std::fs::remove_dir(root.path().join("out")).unwrap();
        assert!(scopes.is_outdated());
        let told = scopes.leave_out();
        assert_eq!(told, "flush chain inet meshd tcp_scopes\nflush chain inet meshd udp_scopes\n");
        assert!(!scopes.is_outdated());
    }

    #[test]
    fn a_mount_elsewhere_is_reached_from_where_nft_looks() {
        assert_eq!(quoted(Path::new("/sys/fs/cgroup/unified/a")), "\"unified/a\"");
        assert_eq!(quoted(Path::new("/run/cg/a")), "\"../../../run/cg/a\"");
    }
}
