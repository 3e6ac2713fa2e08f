//! What the demo could have changed on the host, looked at before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::host::facts;
use crate::host::program::answer;
use crate::host::snapshot::{ROUTING, timeless};

/// What the host's rules are asked with.
const RULES: &[&str] = &["nft", "-s", "list", "ruleset"];

pub(super) struct Host {
    /// Question and lines of its answer.
    answers: Vec<(String, BTreeSet<String>)>,
    /// Named network namespaces and cgroups. Other programs make and remove theirs at any time.
    names: BTreeSet<PathBuf>,
}

impl Host {
    pub(super) fn look() -> Self {
        let mut names = BTreeSet::new();
        collect(Path::new("/run/netns"), 1, &mut names);
        if let Some(mount) = facts::cgroup2() {
            collect(&mount, 3, &mut names);
        }
        let questions = [RULES].into_iter().chain(ROUTING);
        let lines = |words| answer(words).lines().map(timeless).collect();
        Self { answers: questions.map(|words| (words.join(" "), lines(words))).collect(), names }
    }

    /// What is different in `after`. Of namespaces and cgroups only those that carry our `tag`.
    pub(super) fn differences(&self, after: &Self, tag: &str) -> Vec<String> {
        let mut differences = Vec::new();
        for ((question, before), (_, after)) in self.answers.iter().zip(&after.answers) {
            let gone = before.difference(after).map(|line| format!("{question}: gone: {line}"));
            let added = after.difference(before).map(|line| format!("{question}: new: {line}"));
            differences.extend(gone.chain(added));
        }
        let ours = |name: &&PathBuf| name.to_string_lossy().contains(tag);
        let left = after.names.difference(&self.names).filter(ours);
        differences.extend(left.map(|name| format!("{} is left", name.display())));
        differences
    }
}

fn collect(folder: &Path, depth: u32, names: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if depth > 1 && path.is_dir() {
            collect(&path, depth - 1, names);
        }
        names.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(routes: &[&str], names: &[&str]) -> Host {
        let routes: BTreeSet<_> = routes.iter().map(|line| timeless(line)).collect();
        let answers = vec![("ip route".to_owned(), routes)];
        Host { answers, names: names.iter().map(PathBuf::from).collect() }
    }

    #[test]
    fn a_new_route_or_our_own_cgroup_is_a_difference_and_others_cgroups_are_not() {
        let before = host(&["default dev eth0 expires 17sec"], &[]);
        let same = host(&["default dev eth0 expires 12sec"], &["/cg/other.slice"]);
        assert!(before.differences(&same, "demo-1").is_empty());
        let worse = host(&["default dev eth0", "10.0.0.0/8 dev lo"], &["/cg/demo-1.slice"]);
        assert_eq!(before.differences(&worse, "demo-1").len(), 2);
    }
}
