//! Every feature id a test claims to prove is a promise somebody made in docs/features.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Ids of the tables, with `H1-01…122` written out.
fn promised() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/features.md")).unwrap();
    let mut ids = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let id = line.split('|').nth(1).unwrap().trim();
        if ["id", "ids"].contains(&id) {
            continue;
        }
        match id.split_once('…') {
            None => {
                ids.insert(id.to_owned());
            }
            Some((first, last)) => {
                let (prefix, from) = first.rsplit_once('-').unwrap();
                let numbers = from.parse::<u32>().unwrap()..=last.parse::<u32>().unwrap();
                ids.extend(numbers.map(|number| format!("{prefix}-{number:02}")));
            }
        }
    }
    ids
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// (file, id) of every `covers:` comment.
fn claimed() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for part in ["cli", "daemon", "ebpf", "proto", "tests"] {
        rust_files(&root().join(part), &mut files);
    }
    let mut claims = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("// covers:")) {
            let ids = line.split([',', ' ']).map(str::trim).filter(|id| !id.is_empty());
            claims.extend(ids.map(|id| (file.clone(), id.to_owned())));
        }
    }
    claims
}

#[test]
fn every_cited_id_is_promised() {
    let promised = promised();
    let unknown: Vec<_> = claimed().into_iter().filter(|(_, id)| !promised.contains(id)).collect();
    assert!(unknown.is_empty(), "not in docs/features.md: {unknown:?}");
}

/// How many promises no test cites. It may only shrink.
const UNPROVEN: usize = 3;

/// How far the proof goes: `cargo test --test covers -- --nocapture`.
#[test]
fn unproven_promises_only_get_fewer() {
    let proven: BTreeSet<String> = claimed().into_iter().map(|(_, id)| id).collect();
    let ranges = ["H1-", "CAP-", "CLI-", "F-"];
    let rows: Vec<String> = promised()
        .into_iter()
        .filter(|id| !ranges.iter().any(|range| id.starts_with(range)))
        .collect();
    let open: Vec<&String> = rows.iter().filter(|id| !proven.contains(*id)).collect();
    println!("{} of {} promises proven; open: {open:?}", rows.len() - open.len(), rows.len());
    assert!(open.len() <= UNPROVEN, "{} are unproven, more than {UNPROVEN}", open.len());
}
