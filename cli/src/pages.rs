//! Man pages and completion scripts, made from the command line itself.
//!
//! They are committed, for packages and `install.sh`; this test fails when they are stale.
//! `UPDATE=1 cargo test --workspace --bin meshctl pages` writes them again.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use mesh_proto::codes;
use mesh_proto::manifest::{self, Kind};

use crate::args;
use crate::client::VERSION;

const EXITS: [(&str, &str); 15] = [
    ("0", "done, or already so (unchanged)"),
    ("1", "ran fine, and the answer is no: drift, a --fail-if or --expect that is not met"),
    ("2", "usage or manifest error"),
    ("3", "the operation failed; the state is as before, or the message says otherwise"),
    ("4", "meshd is unreachable, not ready, or of an incompatible version"),
    ("5", "not found"),
    ("6", "conflict: the generation moved, or something belongs to another owner"),
    ("7", "permission denied"),
    ("8", "this host is not supported"),
    ("10", "needs a confirmation and cannot ask, or it was declined; nothing was changed"),
    ("11", "partly applied; a line per item says which"),
    ("124", "timed out"),
    ("125", "run only: meshctl failed, the command was not started"),
    ("126, 127", "run only: the command is not executable, was not found"),
    ("130", "ended by Ctrl-C; under run, the command's own status, 128+N for signal N"),
];

#[test]
fn man_pages_and_completions_are_what_the_commands_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = pages();
    if std::env::var_os("UPDATE").is_some() {
        for (path, text) in &pages {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    for (path, text) in &pages {
        let committed = fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(committed == *text, "{} is stale: run this test with UPDATE=1", path.display());
    }
    let known = |name: &str| pages.iter().any(|(path, _)| path.ends_with(name));
    for entry in fs::read_dir(root.join("man")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known(&name) || name == "meshd.8", "man/{name} documents nothing");
    }
}

fn pages() -> Vec<(PathBuf, String)> {
    let mut root = args::command().version(VERSION);
    root.build();
    let mut pages = Vec::new();
    command_pages(&root, "meshctl", &mut pages);
    pages.push(("man/meshctl-exit-codes.7".into(), exit_codes()));
    pages.push(("man/meshctl-manifest.5".into(), manifests()));
    for (shell, name) in
        [(Shell::Bash, "meshctl.bash"), (Shell::Zsh, "_meshctl"), (Shell::Fish, "meshctl.fish")]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut args::command(), "meshctl", &mut script);
        pages.push((Path::new("completions").join(name), String::from_utf8(script).unwrap()));
    }
    pages
}

fn command_pages(command: &Command, name: &str, pages: &mut Vec<(PathBuf, String)>) {
    pages.push((format!("man/{name}.1").into(), page(command, name)));
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        command_pages(below, &format!("{name}-{}", below.get_name()), pages);
    }
}

fn page(command: &Command, name: &str) -> String {
    // clap builds names with a space; a man page is called with a dash.
    let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone().name(name.to_owned()).display_name(name.to_owned()))
        .title(name.to_uppercase())
        .section("1")
        .date("")
        .source(format!("meshctl {VERSION}"))
        .manual("meshctl");
    let mut text = Vec::new();
    man.render_title(&mut text).unwrap();
    man.render_name_section(&mut text).unwrap();
    man.render_synopsis_section(&mut text).unwrap();
    man.render_description_section(&mut text).unwrap();
    let mut text = String::from_utf8(text).unwrap();
    let (heading, body) = match examples.split_once("Examples:\n") {
        Some((_, body)) => ("EXAMPLES", body.to_owned()),
        None => ("COMMANDS", examples),
    };
    text += &verbatim(heading, &body);
    if heading == "COMMANDS" {
        text += &verbatim("EXAMPLES", ROOT_EXAMPLES);
    }
    let mut options = Vec::new();
    man.render_options_section(&mut options).unwrap();
    text += &String::from_utf8(options).unwrap();
    text += &exit_section();
    text += ".SH \"SEE ALSO\"\nmeshctl(1), meshctl\\-exit\\-codes(7), meshctl\\-manifest(5), meshd(8)\n";
    text
}

const ROOT_EXAMPLES: &str = "  meshctl register web --port http:8080 --health http:/healthz
  meshctl run --as cli -- curl -s http://web.mesh/
  meshctl split web v1=90 v2=10";

fn title(name: &str, section: &str) -> String {
    format!(".TH {} {section} \"\" \"meshctl {VERSION}\" meshctl\n", name.to_uppercase())
}

/// A section whose lines stay as they are.
fn verbatim(heading: &str, body: &str) -> String {
    format!(".SH {heading}\n.nf\n{}.fi\n", escaped(body))
}

/// Text as roff wants it: no line may begin like a request, dashes and backslashes stay themselves.
fn escaped(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}\n") } else { format!("{line}\n") }
    };
    text.lines().map(line).collect()
}

fn exit_section() -> String {
    let mut text = ".SH \"EXIT STATUS\"\n".to_owned();
    for (code, meaning) in EXITS {
        write!(text, ".TP\n.B {code}\n{}", escaped(meaning)).unwrap();
    }
    text
}

fn exit_codes() -> String {
    let mut text = title("meshctl-exit-codes", "7");
    text += ".SH NAME\nmeshctl\\-exit\\-codes \\- exit status and error codes of meshctl\n";
    text += &exit_section();
    text += ".SH \"ERROR CODES\"\n`meshctl explain CODE` prints one of these.\n";
    for code in codes::ALL {
        let why = escaped(&format!("{}. Why: {}. Fix: {}.", code.title, code.why, code.fix));
        write!(text, ".TP\n.BR {} \" (exit {})\"\n{why}", code.code, code.exit).unwrap();
    }
    text
}

fn manifests() -> String {
    let mut text = title("meshctl-manifest", "5");
    text += ".SH NAME\nmeshctl\\-manifest \\- what people declare in a mesh\n.SH DESCRIPTION\n";
    text += "Manifests are YAML or JSON, several documents to a file. `meshctl apply \\-f` makes the \
             mesh match them, `meshctl lint \\-f` checks them offline.\n";
    for kind in Kind::ALL {
        text += &verbatim(&kind.name().to_uppercase(), &manifest::explain(kind.name()).unwrap());
    }
    text
}
