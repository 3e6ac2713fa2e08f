//! What an installation could change on the host, looked at before and after.
//!
//! Rules are compared as rules and user chains, not as text: a listing names empty tables that
//! merely asking for them once creates. Counters and what expires by itself do not count.

mod files;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::facts;
use super::places::{GROUP, Places};
use super::program::answer;
pub(crate) use files::FileState;

/// What `ip` is asked; the answers are lines.
pub(crate) const ROUTING: [&[&str]; 4] = [
    &["ip", "rule"],
    &["ip", "-6", "rule"],
    &["ip", "route", "show", "table", "all"],
    &["ip", "-6", "route", "show", "table", "all"],
];
/// Both worlds of iptables: what one shows, the other does not.
const TABLES: [&str; 4] =
    ["iptables-save", "ip6tables-save", "iptables-legacy-save", "ip6tables-legacy-save"];

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Snapshot {
    /// Question → lines of its answer.
    answers: BTreeMap<String, BTreeSet<String>>,
    sysctls: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, FileState>,
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) what: String,
    /// It carries a name or number of ours; anything else is the work of others.
    pub(crate) ours: bool,
}

impl Snapshot {
    pub(crate) fn take(places: &Places) -> Self {
        let mut answers = BTreeMap::new();
        answers.insert("nft".to_owned(), rules::nft(&answer(&["nft", "-s", "list", "ruleset"])));
        for save in TABLES {
            let command = save.trim_end_matches("-save").to_owned();
            answers.insert(command, rules::iptables(&answer(&[save])));
        }
        for words in ROUTING {
            let lines = answer(words).lines().map(timeless).collect();
            answers.insert(words.join(" "), lines);
        }
        answers.insert("bpffs".to_owned(), below(Path::new("/sys/fs/bpf"), 4, &|_| true));
        answers.insert("cgroups".to_owned(), cgroups(&places.cgroup));
        answers.insert("group".to_owned(), group());
        let files = places.touched().into_iter().map(|path| (path.clone(), FileState::of(&path)));
        Self { answers, sysctls: files::sysctls(), files: files.collect() }
    }

    /// Whether this path was there.
    pub(crate) fn had(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|state| *state != FileState::Absent)
    }

    /// What is different in `after`, apart from the `kept` paths and what is in them.
    pub(crate) fn differences(&self, after: &Self, kept: &[PathBuf]) -> Vec<Difference> {
        let mut found = Vec::new();
        for (question, before) in &self.answers {
            let Some(now) = after.answers.get(question) else { continue };
            let gone = before.difference(now).map(|line| format!("{question}: gone: {line}"));
            let new = now.difference(before).map(|line| format!("{question}: new: {line}"));
            let ours = |what: &String| {
                ["bpffs", "cgroups", "group"].contains(&question.as_str()) || is_ours(what)
            };
            // What carried our names before is what a crash had left: gone is as it should be.
            let gone = gone.filter(|what| !ours(what));
            found.extend(gone.chain(new).map(|what| Difference { ours: ours(&what), what }));
        }
        for (key, before) in &self.sysctls {
            if let Some(now) = after.sysctls.get(key).filter(|now| *now != before) {
                let what = format!("sysctl {key}: was {before}, is {now}");
                found.push(Difference { what, ours: false });
            }
        }
        for (path, before) in &self.files {
            let Some(now) = after.files.get(path).filter(|now| *now != before) else { continue };
            if !kept.iter().any(|kept| path.starts_with(kept)) {
                let what = format!("{}: was {before}, is {now}", path.display());
                found.push(Difference { what, ours: !files::is_shared(path) });
            }
        }
        found
    }
}

/// Whether a line of a listing carries one of our names or numbers.
fn is_ours(line: &str) -> bool {
    ["meshd", "MESHD_", "proto 77", "table 15002", "lookup 15002"]
        .iter()
        .any(|name| line.contains(name))
}

/// A line without what counts down by itself.
pub(crate) fn timeless(line: &str) -> String {
    let mut words = line.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "expires" {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ").trim_end().to_owned()
}

/// Our cgroup and everything below it; others make and remove theirs at any time.
fn cgroups(name: &str) -> BTreeSet<String> {
    let Some(mount) = facts::cgroup2() else { return BTreeSet::new() };
    let top = mount.join(name.split('/').next().unwrap_or(name));
    let mut found = below(&top, 4, &Path::is_dir);
    if top.is_dir() {
        found.insert(top.display().to_string());
    }
    found
}

fn group() -> BTreeSet<String> {
    let lines = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let text = lines("/etc/group") + &lines("/etc/gshadow");
    let ours = |line: &&str| line.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with(':'));
    text.lines().filter(ours).map(str::to_owned).collect()
}

/// Paths below `folder`, at most `depth` levels of them.
fn below(folder: &Path, depth: u32, wanted: &dyn Fn(&Path) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth > 1 {
            found.extend(below(&path, depth - 1, wanted));
        }
        if wanted(&path) {
            found.insert(path.display().to_string());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(lines: &[&str]) -> Snapshot {
        let lines = lines.iter().map(|line| timeless(line)).collect();
        let answers = BTreeMap::from([("ip route".to_owned(), lines)]);
        Snapshot { answers, ..Snapshot::default() }
    }

    #[test]
    fn what_counts_down_is_no_difference_and_ours_is_told_from_others() {
        let before = routes(&["default dev eth0 expires 17sec"]);
        let same = routes(&["default dev eth0 expires 12sec"]);
        assert_eq!(before.differences(&same, &[]), []);
        let after =
            routes(&["default dev eth0", "10.0.0.0/8 dev lo proto 77", "10.9.0.0/16 dev a"]);
        let ours: Vec<bool> =
            before.differences(&after, &[]).into_iter().map(|found| found.ours).collect();
        assert_eq!(ours, [true, false]);
    }
}
