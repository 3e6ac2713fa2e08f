//! The command line without a daemon: help, errors, output rules, hostile input.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mesh_tests::offline::{NOWHERE, command, complete, finish, meshctl};
use mesh_tests::probe::Noise;

const COMMANDS: [&str; 39] = [
    "attach",
    "detach",
    "debug",
    "debug rules",
    "debug ebpf",
    "install",
    "uninstall",
    "check",
    "events",
    "register",
    "deregister",
    "run",
    "route",
    "split",
    "get",
    "describe",
    "delete",
    "wait",
    "apply",
    "diff",
    "lint",
    "export",
    "history",
    "undo",
    "top",
    "stat",
    "status",
    "trace",
    "metrics",
    "schema",
    "explain",
    "env",
    "version",
    "help",
    "completion",
    "demo",
    "trace request",
    "trace list",
    "trace get",
];

// covers: ACC-01
#[test]
fn meshctl_alone_shows_help_and_fails() {
    let alone = meshctl(&[]).exits(2);
    assert!(alone.stdout.is_empty(), "{alone}");
    alone.complains(&["TRAFFIC", "register", "split"]);
    meshctl(&["--help"]).exits(0).says(&["register"]);
    let split = meshctl(&["help", "split"]).exits(0);
    let (examples, _) = split.stdout.split_once("--allow-empty").expect("a flag of split");
    assert!(examples.matches("meshctl split").count() >= 2, "{split}");
}

#[test]
fn help_lists_every_command_that_works_and_no_other() {
    let help = meshctl(&["--help"]).exits(0).stdout;
    for name in COMMANDS.iter().filter(|name| !name.contains(' ')) {
        assert!(help.contains(name), "--help lacks {name}\n{help}");
    }
    for later in ["authz", "token", "dashboard", "tap", "doctor"] {
        assert!(
            !help.lines().any(|line| line.trim_start().starts_with(later)),
            "{later} is listed"
        );
    }
}

// covers: ACC-02
#[test]
fn misspelt_words_are_corrected() {
    meshctl(&["vresion"]).exits(2).complains(&["version"]);
    meshctl(&["get", "services", "--ouput", "json"]).exits(2).complains(&["--output"]);
}

// covers: ACC-03
#[test]
fn version_needs_no_daemon() {
    let shown = meshctl(&["version", "-o", "json"]).clean().json();
    assert!(shown["client"]["version"].is_string(), "{shown}");
    let plain = meshctl(&["version"]).exits(0).says(&["daemon: not running"]);
    assert!(plain.stdout.starts_with("meshctl"), "{plain}");
}

// covers: ACC-04
#[test]
fn without_daemon_the_answer_is_quick_and_says_what_to_start() {
    let start = Instant::now();
    let failed = meshctl(&["get", "services"]).exits(4);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let failed = failed.complains(&["error: ", "why: ", "fix: ", NOWHERE, "meshd"]);
    assert!(failed.stdout.is_empty() && !failed.stderr.contains("os error"), "{failed}");
    let json = meshctl(&["get", "services", "-o", "json"]).exits(4);
    assert!(json.stdout.is_empty(), "{json}");
    let error: serde_json::Value = serde_json::from_str(&json.stderr).expect("one JSON error");
    assert_eq!(error["error"]["exit"], 4);
}

//
#[test]
fn every_error_code_is_explained_offline() {
    let failed = meshctl(&["get", "services"]).exits(4);
    let code = failed.stderr.split_whitespace().find(|word| word.starts_with("MESH"));
    let code = code.expect("a code").trim_matches(|c: char| !c.is_alphanumeric());
    meshctl(&["explain", code]).clean();
    meshctl(&["explain", "MESH1204"]).clean().says(&["MESH1204"]);
    meshctl(&["explain", "MESH9999"]).exits(5);
}

// covers: ACC-19 CLI-14
#[test]
fn closed_pipe_and_full_disk_end_without_panic() {
    let mut child = command(&["explain"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert!([Some(0), None].contains(&status.code()) || status.code() == Some(141), "{status}");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = command(&["version"]);
    let status = command.stdout(full).stderr(Stdio::null()).status().unwrap();
    assert!(!status.success() && status.code() != Some(101), "{status}");
}

// covers: ACC-20
#[test]
fn colour_only_where_it_is_wanted() {
    let escapes = |text: &str| text.contains('\x1b');
    let plain = meshctl(&["get", "services"]);
    assert!(!escapes(&plain.stdout) && !escapes(&plain.stderr), "{plain}");
    let args = ["--color", "always", "get", "services"];
    let forced = meshctl(&args);
    assert!(escapes(&forced.stderr) || escapes(&forced.stdout), "{forced}");
    let never = finish(
        &["--color", "never"],
        command(&["--color", "never", "get", "services"]).env("CLICOLOR_FORCE", "1"),
    );
    assert!(!escapes(&never.stderr), "{never}");
    let ascii = finish(&["help"], command(&["help", "split"]).env("LC_ALL", "C"));
    assert!(ascii.stdout.is_ascii(), "{ascii}");
}

// covers: ACC-49
#[test]
fn help_is_narrow_enough() {
    for name in COMMANDS {
        let mut args: Vec<&str> = name.split(' ').collect();
        args.push("--help");
        let help = finish(&args, command(&args).env("COLUMNS", "200")).exits(0).stdout;
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 100, "{name}: {widest} columns");
    }
}

// covers: ACC-49 X-109
#[test]
fn man_pages_have_every_flag() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("man");
    for name in ["split", "run", "register", "apply"] {
        let page = folder.join(format!("meshctl-{name}.1"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{page:?}: {e}"));
        assert!(page.contains("EXIT STATUS") && page.contains("EXAMPLES"), "{name}");
        let help = meshctl(&[name, "--help"]).exits(0).stdout;
        let words = help.split(|c: char| c.is_whitespace() || "[]<>=,`'\"()".contains(c));
        for flag in words.filter(|word| word.len() > 3 && word.starts_with("--")) {
            let flag = flag.trim_end_matches('.');
            let plain = page.replace("\\-", "-");
            assert!(plain.contains(flag), "meshctl-{name}.1 lacks {flag}");
        }
    }
}

// covers: ACC-55 CLI-01
#[test]
fn random_command_lines_never_panic() {
    let words = [
        "get",
        "split",
        "web",
        "v1=90",
        "--output",
        "json",
        "-o",
        "--",
        "-",
        "",
        "\u{202e}x",
        "--help",
        "route",
        "--path-prefix",
        "/",
        "1e3",
        "--timeout",
        "-1s",
        "version",
        "explain",
        "MESH1204",
        "lint",
        "-f",
        "/dev/null",
        "schema",
        "Service",
        "env",
        "a=b",
        "--no-such",
        "\n",
        "-q",
        "--to",
        "web:v2=101",
        "completion",
        "bash",
        "wait",
        "service/x",
        "--for",
        "ready",
        "trace",
        "register",
    ];
    let mut dice = Noise(0x1234_5678_9abc_def1);
    let mut batch = Vec::new();
    for _ in 0..1_000 {
        let count = 1 + dice.number() % 6;
        let pick = |_| words[usize::try_from(dice.number() >> 20).unwrap() % words.len()];
        let args: Vec<&str> = (0..count).map(pick).collect();
        if args.contains(&"wait") {
            continue; // may rightly take its time
        }
        let mut command = command(&args);
        command.env("MESHCTL_TIMEOUT", "1s").stdout(Stdio::piped()).stderr(Stdio::piped());
        batch.push((args, command.spawn().unwrap()));
        if batch.len() == 16 {
            batch.drain(..).for_each(judge);
        }
    }
    batch.drain(..).for_each(judge);
}

fn judge((args, child): (Vec<&str>, std::process::Child)) {
    let output = child.wait_with_output().unwrap();
    let ran = mesh_tests::Ran::new(format!("{args:?}"), &output);
    // 4: well-formed, but there is no daemon to ask; 1, 5: well-formed questions answered offline.
    assert!([0, 1, 2, 4, 5].contains(&ran.code), "{ran}");
    assert!(ran.stderr.lines().count() <= 60, "{ran}");
    for debug in ["panicked", "Some(", "None,", " { ", "Error {"] {
        assert!(!ran.stderr.contains(debug), "{debug}\n{ran}");
    }
}

// covers: CLI-03 CLI-04 CLI-06 CLI-07 CLI-09
#[test]
fn hostile_manifests_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let lint = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        meshctl(&["lint", "-f", &path.display().to_string()])
    };
    let service = "apiVersion: mesh/v1\nkind: Service\nmetadata: {name: web}\n";
    let bomb = {
        let mut text = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (from, to) in
            ["a", "b", "c", "d", "e", "f", "g"].iter().zip(["b", "c", "d", "e", "f", "g", "h"])
        {
            text += &format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(","));
        }
        text
    };
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    lint("bomb.yaml", &bomb).exits(2).complains(&["bomb.yaml:"]);
    lint("deep.yaml", &deep).exits(2).complains(&["deep.yaml:"]);
    lint("tab.yaml", "a:\n\t- b\n").exits(2).complains(&["tab.yaml:2"]);
    lint("twice.yaml", &format!("{service}kind: Service\nspec: {{}}\n")).exits(2);
    let port = |value: &str| format!("{service}spec: {{ports: [{{port: {value}}}]}}\n");
    for value in ["0", "65536", "-1", "http", "8e1"] {
        lint("port.yaml", &port(value)).exits(2).complains(&["port.yaml:4", "port"]);
    }
    let route = |backend: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web}}\nspec:\n  parentRefs: [{{kind: Service, name: web}}]\n  rules:\n  - backendRefs: [{backend}]\n"
        )
    };
    for weight in ["-1", ".nan", "18446744073709551616", "heavy"] {
        lint("weight.yaml", &route(&format!("{{name: web, weight: {weight}}}")))
            .exits(2)
            .complains(&["weight.yaml:7", "weight"]);
    }
    lint("good.yaml", &route("{name: web, weight: 1}")).exits(0);
}

// covers: CLI-15
#[test]
fn unreadable_files_are_named_at_once() {
    for path in ["/nonexistent.yaml", "/dev/zero"] {
        let start = Instant::now();
        let refused = meshctl(&["lint", "-f", path]);
        assert!([2, 3].contains(&refused.code), "{refused}");
        assert!(refused.stderr.contains(path), "{refused}");
        assert!(start.elapsed() < Duration::from_secs(3), "{path}: {:?}", start.elapsed());
    }
}

// covers: CLI-20
#[test]
fn hostile_environment_changes_nothing() {
    let mut command = command(&["version"]);
    command.env_clear().env("COLUMNS", "1").env("TERM", "x").env("LANG", "C");
    finish(&["version"], &mut command).exits(0);
}

// covers: CLI-19 ACC-48
#[test]
fn completion_without_daemon_is_silent() {
    let start = Instant::now();
    let ran = complete(&["split", "w"], NOWHERE.as_ref());
    assert!(ran.stderr.is_empty() && ran.code == 0, "{ran}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn schemas_are_json_and_name_their_kind() {
    for kind in ["Service", "HTTPRoute", "TCPRoute", "ServiceList"] {
        let schema = meshctl(&["schema", kind]).clean().json();
        assert!(schema["properties"].is_object(), "{kind}: {schema}");
    }
    meshctl(&["schema", "Servcie"]).exits(5).complains(&["Service"]);
}

#[test]
fn standard_input_may_be_a_manifest() {
    let mut child = command(&["lint", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"kind: Nonsense\n").unwrap();
    let ran = mesh_tests::Ran::new("lint -f -".to_owned(), &child.wait_with_output().unwrap());
    ran.exits(2).complains(&["-:1"]);
}
