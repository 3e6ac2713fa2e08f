//! Where the processes of a subject are right now.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Found;
use crate::capture::Namespaces;
use crate::capture::cgroup::{self, Mount};
use crate::capture::container;
use crate::capture::netns::{self, Netns};
use crate::model::{Scope, Subject};

/// Why there is nothing to attach.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error("there is no {what}")]
    Absent { what: String },
    #[error("\"{0}\" begins the id of more than one container")]
    Ambiguous(String),
    #[error("{0}")]
    Wrong(&'static str),
    #[error("cannot look for {what}")]
    Failed {
        what: String,
        #[source]
        source: io::Error,
    },
}

/// Looks for `subject`; `last` is the cgroup it had.
///
/// May ask a container runtime, which takes up to seconds when that hangs.
pub(super) fn find(
    mount: Option<&Mount>,
    subject: &Subject,
    last: &str,
) -> Result<Found, FindError> {
    match subject {
        Subject::Pid(_) => Err(FindError::Wrong("a process is moved, not found")),
        Subject::Uid(uid) => Ok(Found::plain(Scope::Uid(*uid))),
        Subject::Netns(name) => in_netns(name),
        Subject::Cgroup(path) => {
            let mount = needed(mount)?;
            in_cgroup(mount, &mount.path(path)).map_err(|error| absent(subject, error))
        }
        Subject::Unit(name) => {
            let mount = needed(mount)?;
            let is_unit = |directory: &str| directory == name;
            let path = search(mount, last, is_unit).into_iter().next();
            let path = path.ok_or_else(|| FindError::Absent { what: described(subject) })?;
            in_cgroup(mount, &path).map_err(|error| absent(subject, error))
        }
        Subject::Container(name) => in_container(mount, subject, name, last),
    }
}

fn needed(mount: Option<&Mount>) -> Result<&Mount, FindError> {
    mount.ok_or(FindError::Wrong("no cgroup2 file system is mounted"))
}

/// "unit web.service"
pub(super) fn described(subject: &Subject) -> String {
    match subject {
        Subject::Pid(pid) => format!("process {pid}"),
        Subject::Unit(name) => format!("running unit {name}"),
        Subject::Container(name) => format!("running container {name}"),
        Subject::Netns(name) => format!("network namespace {name}"),
        Subject::Uid(uid) => format!("user {uid}"),
        Subject::Cgroup(path) => format!("cgroup {path}"),
    }
}

fn absent(subject: &Subject, source: io::Error) -> FindError {
    let what = described(subject);
    if source.kind() == io::ErrorKind::NotFound {
        FindError::Absent { what }
    } else {
        FindError::Failed { what, source }
    }
}

fn in_cgroup(mount: &Mount, path: &Path) -> io::Result<Found> {
    let relative = path.strip_prefix(mount.root()).map_err(|_outside| io::ErrorKind::NotFound)?;
    if relative.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "that is every process"));
    }
    let id = cgroup::id(path)?;
    let cgroup = relative.to_string_lossy().into_owned();
    let namespaces = foreign_namespaces(path);
    Ok(Found { scope: Scope::Cgroup(id), cgroup, namespaces })
}

/// Namespaces of the members that are not meshd's own.
pub(in super::super) fn foreign_namespaces(cgroup: &Path) -> Namespaces {
    let members = cgroup::members(cgroup);
    if members.is_empty() {
        return Namespaces::new();
    }
    let own = Netns::own_inode().ok();
    let paths = members.into_iter().map(netns::path_of_process);
    // A process that has ended needs nothing.
    let known = paths.filter_map(|path| Some((Netns::inode_of(&path).ok()?, path)));
    known.filter(|(inode, _)| Some(*inode) != own).collect()
}

fn in_netns(name: &str) -> Result<Found, FindError> {
    let path = netns::path_of(name);
    let failed = |source: io::Error| absent(&Subject::Netns(name.to_owned()), source);
    let inode = Netns::inode_of(&path).map_err(failed)?;
    if inode == Netns::own_inode().map_err(failed)? {
        return Err(FindError::Wrong("that is the network namespace meshd itself is in"));
    }
    let namespace = Netns::open(&path).map_err(failed)?;
    let (scope, cgroup) = (Scope::Netns(namespace.cookie), String::new());
    Ok(Found { scope, cgroup, namespaces: [(inode, path)].into() })
}

fn in_container(
    mount: Option<&Mount>,
    subject: &Subject,
    name: &str,
    last: &str,
) -> Result<Found, FindError> {
    if container::is_prefix(name)
        && let Some(mount) = mount
    {
        let is_it =
            |directory: &str| container::id_in(directory).is_some_and(|id| id.starts_with(name));
        let paths = search(mount, last, is_it);
        let mut ids: Vec<_> = paths.iter().filter_map(|path| id_of(path)).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() > 1 {
            return Err(FindError::Ambiguous(name.to_owned()));
        }
        if let Some(path) = paths.first() {
            return in_cgroup(mount, path).map_err(|error| absent(subject, error));
        }
    }
    let failed = |source| FindError::Failed { what: described(subject), source };
    let running = container::ask(name).map_err(failed)?;
    let running = running.ok_or_else(|| FindError::Absent { what: described(subject) })?;
    with_pid(mount, &running).map_err(|error| absent(subject, error))
}

/// A container whose runtime gave it no cgroup of version 2 (hybrid hosts) is its network
/// namespace.
fn with_pid(mount: Option<&Mount>, running: &container::Running) -> io::Result<Found> {
    if let Some(mount) = mount {
        let cgroup = cgroup::of_process(running.pid)?;
        let own = Path::new(&cgroup).ancestors().find(|path| id_of(path) == Some(&running.id));
        if let Some(own) = own {
            return in_cgroup(mount, &mount.root().join(own));
        }
    }
    let path = netns::path_of_process(running.pid);
    let inode = Netns::inode_of(&path)?;
    if inode == Netns::own_inode()? {
        return Err(io::Error::other("it has neither a cgroup nor a network namespace of its own"));
    }
    let namespace = Netns::open(&path)?;
    let (scope, cgroup) = (Scope::Netns(namespace.cookie), String::new());
    Ok(Found { scope, cgroup, namespaces: [(inode, path)].into() })
}

fn id_of(path: &Path) -> Option<&str> {
    container::id_in(path.file_name()?.to_str()?)
}

/// Cgroups whose directory `is_it`, nearest to the root first. The place it had comes first of
/// all, and nothing else is looked at while that is there.
fn search(mount: &Mount, last: &str, is_it: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let named = |path: &Path| path.file_name().and_then(|name| name.to_str()).is_some_and(&is_it);
    let known = mount.path(last);
    if !last.is_empty() && named(&known) && known.is_dir() {
        return vec![known];
    }
    let mut found: Vec<_> = cgroup::tree(mount.root()).into_iter().filter(|p| named(p)).collect();
    found.sort_by_key(|path| path.components().count());
    found
}

/// Whose processes `subject` names; `None`: only root's to decide.
pub(super) fn owner(mount: Option<&Mount>, subject: &Subject) -> io::Result<Option<u32>> {
    match subject {
        Subject::Pid(pid) => Ok(Some(fs::metadata(format!("/proc/{pid}"))?.uid())),
        Subject::Uid(uid) => Ok(Some(*uid)),
        Subject::Cgroup(path) => match mount {
            Some(mount) => Ok(Some(fs::metadata(mount.path(path))?.uid())),
            None => Ok(None),
        },
        Subject::Unit(_) | Subject::Container(_) | Subject::Netns(_) => Ok(None),
    }
}
