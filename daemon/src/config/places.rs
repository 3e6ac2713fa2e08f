//! Where a daemon keeps its files when nothing says so: root's on the host, a user's own below
//! the user's directories (XDG).

use std::env;
use std::path::PathBuf;

use nix::unistd::geteuid;

/// Defaults that depend on whose daemon it is.
pub(super) struct Places {
    pub(super) file: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) admin: String,
}

impl Places {
    pub(super) fn find() -> Self {
        if geteuid().is_root() {
            return Self {
                file: "/etc/meshd/config.yaml".into(),
                state_dir: "/var/lib/meshd".into(),
                socket: "/run/meshd/meshd.sock".into(),
                admin: "127.0.0.1:15020".to_owned(),
            };
        }
        let runtime = directory("XDG_RUNTIME_DIR").map(|runtime| runtime.join("meshd"));
        let runtime = runtime.unwrap_or_else(|| format!("/tmp/meshd-{}", geteuid()).into());
        let below_home = |path| directory("HOME").map(|home| home.join(path));
        let state = directory("XDG_STATE_HOME").or_else(|| below_home(".local/state"));
        let config = directory("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        Self {
            file: config.unwrap_or_else(|| runtime.clone()).join("meshd/config.yaml"),
            state_dir: state.map_or_else(|| runtime.join("state"), |state| state.join("meshd")),
            socket: runtime.join("meshd.sock"),
            admin: format!("unix:{}", runtime.join("admin.sock").display()),
        }
    }
}

/// An absolute path; the XDG rules say to ignore any other.
fn directory(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}
