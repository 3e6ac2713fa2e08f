//! Who may import whom: the lists are read from ARCHITECTURE.md §5, so they cannot drift from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// The lines of the fenced block with this label.
fn block(label: &str) -> Vec<String> {
    let text = architecture();
    let (_, after) = text.split_once(&format!("```{label}\n")).expect(label);
    let (inside, _) = after.split_once("```").unwrap();
    inside.lines().map(str::to_owned).collect()
}

/// `key: a b c` lines as a map.
fn table(label: &str) -> BTreeMap<String, BTreeSet<String>> {
    let entry = |line: String| {
        let (key, values) = line.rsplit_once(':').unwrap();
        (key.to_owned(), values.split_whitespace().map(str::to_owned).collect())
    };
    block(label).into_iter().map(entry).collect()
}

/// Every Rust file below a folder, or the file and folder of a module path.
fn sources(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let file = path.with_extension("rs");
    if file.is_file() {
        found.push(file);
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Production code: without comments and without the unit tests at the end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let tests = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..tests].lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether `name` is used: as a path (`tokio::`) or, with its `!`, as a macro.
fn uses(code: &str, name: &str) -> bool {
    let wanted = if name.ends_with('!') { name.to_owned() } else { format!("{name}::") };
    code.match_indices(&wanted).any(|(at, _)| !code[..at].ends_with(|c: char| is_word(c)))
}

/// The crate's modules a file names: `crate::a`, and every member of `crate::{a::x, b}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(members(group));
        } else {
            found.insert(rest.chars().take_while(|c| is_word(*c)).collect());
        }
    }
    found
}

/// First words at depth one of `a::x, b::{c, d}}`.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut word, mut taking) = (1, Vec::new(), String::new(), true);
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 1 && character == ',' {
            taking = true;
        } else if taking && is_word(character) {
            word.push(character);
            continue;
        } else if !character.is_whitespace() {
            taking = false;
        }
        if !word.is_empty() {
            names.push(std::mem::take(&mut word));
            taking = depth == 1 && character == ',';
        }
        if depth == 0 {
            break;
        }
    }
    names
}

#[test]
fn modules_import_only_along_the_arrows() {
    let arrows = table("layers");
    let source = root().join("daemon/src");
    let mut wrong = Vec::new();
    for (module, allowed) in &arrows {
        for file in sources(&source.join(module)) {
            for import in imports(&code(&file)) {
                let known = arrows.contains_key(&import) && import != *module;
                if known && !allowed.contains(&import) {
                    wrong.push(format!("{}: {module} -> {import}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not in ARCHITECTURE.md §5:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_daemon_is_in_the_list() {
    let arrows = table("layers");
    let entry = ["lib", "main"];
    for file in fs::read_dir(root().join("daemon/src")).unwrap().flatten() {
        let name = file.path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(entry.contains(&name.as_str()) || arrows.contains_key(&name), "{name} is missing");
    }
}

#[test]
fn arrows_form_no_cycle() {
    let mut arrows = table("layers");
    while !arrows.is_empty() {
        let leaves: Vec<String> = arrows
            .iter()
            .filter(|(_, to)| to.iter().all(|to| !arrows.contains_key(to)))
            .map(|(from, _)| from.clone())
            .collect();
        assert!(!leaves.is_empty(), "a cycle among {:?}", arrows.keys());
        for leaf in leaves {
            arrows.remove(&leaf);
        }
    }
}

#[test]
fn pure_modules_touch_no_clock_no_dice_no_socket() {
    let banned = ["tokio", "TcpStream", "UdpSocket", "TcpListener", "rand", "getrandom"];
    let calls = ["Instant::now", "SystemTime::now", "thread_rng"];
    for path in block("pure").join(" ").split_whitespace() {
        let files = sources(&root().join(path.trim_end_matches(".rs")));
        assert!(!files.is_empty(), "{path} names nothing");
        for file in files {
            let code = code(&file);
            for word in banned {
                assert!(!uses(&code, word), "{} uses {word}", file.display());
            }
            for call in calls {
                assert!(!code.contains(call), "{} calls {call}", file.display());
            }
        }
    }
}

#[test]
fn each_library_has_one_door() {
    for (name, doors) in table("doors") {
        for part in ["daemon/src", "cli/src", "proto/src", "ebpf/src"] {
            for file in sources(&root().join(part)) {
                let inside = |door: &String| {
                    let door = root().join(door);
                    file.starts_with(&door) || file == door || file == door.with_extension("rs")
                };
                let allowed = doors.iter().any(inside);
                assert!(allowed || !uses(&code(&file), &name), "{} uses {name}", file.display());
            }
        }
    }
}

#[test]
fn every_path_the_map_names_exists() {
    let bases = ["", "daemon/src", "cli/src", "proto/src", "proto", "ebpf", "tests"];
    let text = architecture();
    let mut missing = Vec::new();
    for word in text.split('`').skip(1).step_by(2) {
        let path = word.ends_with(".rs") || word.ends_with(".md") || word.ends_with('/');
        let placeholder = word.contains(['<', '*', 'X', ' ']);
        if path && !placeholder && !bases.iter().any(|base| root().join(base).join(word).exists()) {
            missing.push(word);
        }
    }
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}
