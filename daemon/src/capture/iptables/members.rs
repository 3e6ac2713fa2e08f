//! Whose packets are looked at, in the order of the questions.

use std::cmp::Reverse;
use std::path::Path;

use super::ruleset::{Kind, Member, quoted};
use crate::capture::cgroup::{self, Mount};
use crate::capture::plan::{ScopeRule, Targets};
use crate::model::Scope;

/// Excluded cgroups first, then the deepest cgroup, the namespace, the user, the host. Cgroups
/// that vanished are left out: one would make the whole transaction fail.
pub(super) fn members(
    targets: &Targets,
    mount: &Mount,
    excluded: &[String],
    cookie: u64,
) -> Vec<Member> {
    let kind = |everything| if everything { Kind::Everything } else { Kind::Mesh };
    let cgroup = |path: &Path, inode, kind| {
        let below = path.strip_prefix(mount.root()).unwrap_or(path);
        let is = format!("-m cgroup --path {}", quoted(&below.display().to_string()));
        (Reverse(below.components().count()), Member { is, inode, kind })
    };
    let out = excluded.iter().map(|path| mount.path(path));
    let out = out.filter_map(|path| Some(cgroup(&path, cgroup::id(&path).ok()?, Kind::Out).1));
    let mut cgroups = Vec::new();
    let mut wider = Vec::new();
    for ScopeRule { scope, everything } in targets.scopes.values() {
        let kind = kind(*everything);
        match *scope {
            Scope::Cgroup(inode) => {
                let path = mount.by_id(inode).ok();
                cgroups.extend(path.map(|path| cgroup(&path, inode, kind)));
            }
            Scope::Netns(its) if its == cookie => wider.push((0, String::new(), kind)),
            Scope::Netns(_elsewhere) => {}
            Scope::Uid(uid) => wider.push((1, format!("-m owner --uid-owner {uid}"), kind)),
            Scope::Host => wider.push((2, String::new(), kind)),
        }
    }
    cgroups.sort_by(|(deep, a), (deeper, b)| (deep, &a.is).cmp(&(deeper, &b.is)));
    wider.sort();
    let cgroups = cgroups.into_iter().map(|(_, member)| member);
    let wider = wider.into_iter().map(|(_, is, kind)| Member { is, inode: 0, kind });
    out.chain(cgroups).chain(wider).collect()
}

/// One of each sort, for the kernel to check.
pub(super) fn trial() -> Vec<Member> {
    let is = ["-m cgroup --path \"\"", "-m owner --uid-owner 0", ""];
    let kinds = [Kind::Out, Kind::Mesh, Kind::Everything];
    is.into_iter()
        .zip(kinds)
        .map(|(is, kind)| Member { is: is.to_owned(), inode: 0, kind })
        .collect()
}
