//! Where a user's own meshd has its things.

use std::env;
use std::path::PathBuf;

use nix::unistd::geteuid;

/// Folder of the sockets of this user's own meshd.
pub(crate) fn runtime() -> PathBuf {
    match directory("XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("meshd"),
        None => format!("/tmp/meshd-{}", geteuid()).into(),
    }
}

/// Socket of this user's own meshd.
pub(crate) fn own_socket() -> PathBuf {
    runtime().join("meshd.sock")
}

/// Where this user's own meshd keeps its state.
pub(crate) fn own_state() -> PathBuf {
    let state = directory("XDG_STATE_HOME");
    let state = state.or_else(|| Some(directory("HOME")?.join(".local/state")));
    match state.filter(|_| !geteuid().is_root()) {
        Some(state) => state.join("meshd"),
        None => runtime().join("state"),
    }
}

/// An absolute path; the XDG rules say to ignore any other.
fn directory(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}
