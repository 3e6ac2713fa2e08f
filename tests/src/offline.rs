//! `meshctl` on a host without a daemon; needs no root.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::command::Ran;
use crate::programs::program;

/// A socket path nothing listens on.
pub const NOWHERE: &str = "/nonexistent/meshd.sock";

/// The command, with a clean environment.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(program("meshctl"));
    command
        .args(args)
        .env("MESHCTL_SOCKET", NOWHERE)
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn meshctl(args: &[&str]) -> Ran {
    finish(args, &mut command(args))
}

/// Runs a prepared command to its end.
pub fn finish(args: &[&str], command: &mut Command) -> Ran {
    let output = command.output().expect("start meshctl");
    Ran::new(format!("meshctl {}", args.join(" ")), &output)
}

/// What bash would offer for `meshctl words`, through the real completion script.
pub fn complete(words: &[&str], socket: &Path) -> Ran {
    let bin = program("meshctl");
    let folder = bin.parent().expect("in a folder").display();
    let script = format!(
        "source <(COMPLETE=bash meshctl) && COMP_WORDS=(meshctl {}) COMP_CWORD={} COMP_TYPE=9 && \
         _clap_complete_meshctl && printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len()
    );
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).env("PATH", path).env("MESHCTL_SOCKET", socket);
    finish(words, &mut bash)
}
