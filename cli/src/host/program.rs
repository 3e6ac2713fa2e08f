//! Programs of the host, run to their end.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mesh_proto::codes;

use crate::error::Failure;

/// Where administration programs are, whatever PATH says.
const ALSO: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"];

/// What a program said and whether it succeeded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The file a program of this name is.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(ALSO.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Runs `words`; `None` where there is no such program.
pub(crate) fn run(words: &[&str]) -> Option<Said> {
    let (name, arguments) = words.split_first()?;
    let program = if name.contains('/') { PathBuf::from(name) } else { find(name)? };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).env("LC_ALL", "C");
    let output = command.output().ok()?;
    Some(Said {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Standard output of `words`; empty where the program is missing or failed.
pub(crate) fn answer(words: &[&str]) -> String {
    run(words).filter(|said| said.ok).map(|said| said.stdout).unwrap_or_default()
}

/// Runs `words`, which have to succeed.
pub(crate) fn must(words: &[&str]) -> Result<String, Failure> {
    let line = words.join(" ");
    match run(words) {
        Some(said) if said.ok => Ok(said.stdout),
        Some(said) => Err(Failure::new(&codes::LOCAL, format!("{line} failed")).why(said.stderr)),
        None => Err(Failure::new(&codes::LOCAL, format!("cannot run {line}"))
            .why("the program is not installed")),
    }
}

/// The program of this name in our own folder, else beside it in libexec, else whatever PATH has.
pub(crate) fn beside_us(name: &str) -> PathBuf {
    let ours = env::current_exe().ok();
    let folder = ours.as_deref().and_then(Path::parent);
    let beside = folder.map(|folder| folder.join(name));
    let libexec = folder.and_then(Path::parent).map(|prefix| prefix.join("libexec").join(name));
    let near = beside.into_iter().chain(libexec).find(|path| path.is_file());
    near.or_else(|| find(name)).unwrap_or_else(|| PathBuf::from(name))
}
