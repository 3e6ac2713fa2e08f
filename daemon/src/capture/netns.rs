//! Other network namespaces: their identity, and work done inside one.
//!
//! Only a thread can change its namespace, and it cannot be trusted afterwards: each piece of
//! work has a thread of its own. What it made there (sockets) stays there.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns};
use tokio::runtime::Handle;

use super::host;

/// An open network namespace. It lives at least as long as this does.
#[derive(Debug)]
pub(crate) struct Netns {
    file: File,
    path: PathBuf,
    /// `SO_NETNS_COOKIE`.
    pub(crate) cookie: u64,
}

impl Netns {
    /// Opens `/run/netns/NAME`, or a path such as `/proc/812/ns/net`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let cookie = inside(&file, host::netns_cookie)?;
        Ok(Self { file, path: path.to_owned(), cookie })
    }

    /// Which namespace a path leads to, without opening it.
    pub(crate) fn inode_of(path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.ino())
    }

    /// That of this process.
    pub(crate) fn own_inode() -> io::Result<u64> {
        Self::inode_of(Path::new("/proc/self/ns/net"))
    }

    /// Does `work` inside, on a thread of its own, and waits for it.
    pub(crate) fn inside<T: Send>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        inside(&self.file, work)
    }
}

/// As people would name it.
impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Where capture is in force: meshd's own network namespace, or another.
#[derive(Clone, Debug)]
pub(super) struct Site(Option<Arc<Netns>>);

impl Site {
    pub(super) const OWN: Self = Self(None);

    pub(super) fn elsewhere(netns: Arc<Netns>) -> Self {
        Self(Some(netns))
    }

    pub(super) fn is_own(&self) -> bool {
        self.0.is_none()
    }

    /// Identifies it to the kernel.
    pub(super) fn cookie(&self) -> io::Result<u64> {
        self.0.as_ref().map_or_else(host::netns_cookie, |netns| Ok(netns.cookie))
    }

    /// Does `work` there, and waits for it.
    pub(super) fn inside<T: Send>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        match &self.0 {
            Some(netns) => netns.inside(work),
            None => work(),
        }
    }

    /// `program`, to be run there; files and everything else are the host's.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        if let Some(netns) = self.0.clone() {
            let enter = move || Ok(setns(netns.file.as_fd(), CloneFlags::CLONE_NEWNET)?);
            // SAFETY: one system call between fork and exec.
            unsafe { command.pre_exec(enter) };
        }
        command
    }
}

/// Nothing for meshd's own, which needs no name.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |netns| netns.fmt(f))
    }
}

fn inside<T: Send>(namespace: &File, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let runtime = Handle::try_current().ok();
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // Sockets made there may be watched from here.
            let _context = runtime.as_ref().map(Handle::enter);
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
            work()
        });
        let panicked = |_panic| Err(io::Error::other("the thread inside the namespace panicked"));
        thread.join().unwrap_or_else(panicked)
    })
}

/// Where a namespace people name is: below `/run/netns`, or the path itself.
pub(crate) fn path_of(name: &str) -> PathBuf {
    if name.starts_with('/') { PathBuf::from(name) } else { Path::new("/run/netns").join(name) }
}

/// Inode of the namespace a process is in, where that is not meshd's own.
pub(crate) fn foreign(pid: u32) -> Option<u64> {
    let inode = Netns::inode_of(&path_of_process(pid)).ok()?;
    (Netns::own_inode().ok()? != inode).then_some(inode)
}

/// The namespace of a process.
pub(crate) fn path_of_process(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}
