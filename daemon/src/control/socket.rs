//! The socket's file: whose it is, and what may lie in its place.
//!
//! It is made under another name and moved into place when its owner and mode are right, so that
//! nobody can connect in between, and a stale one is replaced without a gap.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Group, Uid};
use tokio::net::UnixListener;
use tracing::info;

use super::authorise::Rules;
use crate::config;

const GROUP: &str = "mesh";

/// Why the API has no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error("meshd (pid {pid}) already listens on {}", path.display())]
    Live { path: PathBuf, pid: i32 },
    /// A symbolic link, a file, a folder: not ours to replace.
    #[error("{} is {what}, not a socket", path.display())]
    Foreign { path: PathBuf, what: &'static str },
    #[error("cannot listen on {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) listener: UnixListener,
    pub(super) rules: Rules,
    pub(super) file: SocketFile,
}

/// The socket's file; goes away with it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Users the socket was opened to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Door {
    /// The group `mesh`.
    pub(super) group: Option<u32>,
    /// The user behind `sudo meshd`.
    pub(super) sudo_user: Option<u32>,
}

impl Socket {
    pub(crate) fn bind(api: &config::Api) -> Result<Self, BindError> {
        let path = api.socket.clone();
        let failed = |source| BindError::Io { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        replaceable(&path)?;
        let door = Door::find();
        let new = path.with_extension(format!("new.{}", std::process::id()));
        let (listener, inode) = bind_at(&new, api, door).map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)?;
        let rules = Rules::new(api.readable_by_all, api.grants.clone(), door);
        Ok(Self { listener, rules, file: SocketFile { path, inode } })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another daemon may have put its own there.
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, socket = %self.path.display(), "the socket's file stays");
        }
    }
}

impl Door {
    fn find() -> Self {
        let group = Group::from_name(GROUP).ok().flatten().map(|group| group.gid.as_raw());
        let sudo_user = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
        Self { group, sudo_user: sudo_user.filter(|uid| *uid != 0 && Uid::effective().is_root()) }
    }
}

/// Whether nothing is at `path`, or a socket nobody listens on.
fn replaceable(path: &Path) -> Result<(), BindError> {
    let there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(BindError::Io { path: path.to_owned(), source }),
        Ok(there) => there,
    };
    if let Some(what) = foreign(&there) {
        return Err(BindError::Foreign { path: path.to_owned(), what });
    }
    match UnixStream::connect(path) {
        Ok(peer) => {
            let pid = getsockopt(&peer, PeerCredentials).map_or(0, |peer| peer.pid());
            Err(BindError::Live { path: path.to_owned(), pid })
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(BindError::Io { path: path.to_owned(), source }),
    }
}

fn foreign(there: &Metadata) -> Option<&'static str> {
    let kind = there.file_type();
    if kind.is_socket() {
        None
    } else if kind.is_symlink() {
        Some("a symbolic link")
    } else if kind.is_dir() {
        Some("a folder")
    } else {
        Some("a file")
    }
}

fn bind_at(new: &Path, api: &config::Api, door: Door) -> io::Result<(UnixListener, u64)> {
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(new)?;
    if Uid::effective().is_root() {
        if door.group.is_none() {
            info!(socket = %api.socket.display(), "there is no group {GROUP}: the socket is root's");
        }
        if let Some(uid) = door.sudo_user {
            info!(uid, "the socket belongs to the user behind sudo");
        }
        let given = chown(new, door.sudo_user.or(Some(0)), door.group.or(Some(0)));
        // In a user namespace the group may have no number: the socket stays root's.
        given.or_else(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => Ok(()),
            _ => Err(error),
        })?;
    }
    let mode = if api.readable_by_all { 0o666 } else { 0o660 };
    fs::set_permissions(new, Permissions::from_mode(mode))?;
    let inode = fs::symlink_metadata(new)?.ino();
    Ok((listener, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_removed_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let api = api(dir.path());
        drop(std::os::unix::net::UnixListener::bind(&api.socket).unwrap());
        let socket = Socket::bind(&api).unwrap();
        assert_eq!(fs::metadata(&api.socket).unwrap().mode() & 0o777, 0o660);
        drop(socket);
        assert!(!api.socket.exists());
    }

    #[tokio::test]
    async fn a_live_socket_is_refused_naming_its_process() {
        let dir = tempfile::tempdir().unwrap();
        let api = api(dir.path());
        let _first = Socket::bind(&api).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(Socket::bind(&api), Err(BindError::Live { pid, .. }) if pid == own));
    }

    #[tokio::test]
    async fn a_link_or_a_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let api = api(dir.path());
        std::os::unix::fs::symlink("/nonexistent", &api.socket).unwrap();
        assert!(matches!(Socket::bind(&api), Err(BindError::Foreign { .. })));
        fs::remove_file(&api.socket).unwrap();
        fs::write(&api.socket, "x").unwrap();
        assert!(matches!(Socket::bind(&api), Err(BindError::Foreign { .. })));
    }

    fn api(dir: &Path) -> config::Api {
        config::Api { socket: dir.join("meshd.sock"), readable_by_all: false, grants: Vec::new() }
    }
}
