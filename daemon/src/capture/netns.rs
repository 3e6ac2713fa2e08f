//! Other network namespaces: their identity, and work done inside one.
//!
//! Only a thread can change its namespace, and it cannot be trusted afterwards: each piece of
//! work has a thread of its own. What it made there (sockets) stays there.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::host;

/// An open network namespace. It lives at least as long as this does.
#[derive(Debug)]
pub(crate) struct Netns {
    file: File,
    /// `SO_NETNS_COOKIE`.
    pub(crate) cookie: u64,
}

impl Netns {
    /// Opens `/run/netns/NAME`, or a path such as `/proc/812/ns/net`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let cookie = inside(&file, host::netns_cookie)?;
        Ok(Self { file, cookie })
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

fn inside<T: Send>(namespace: &File, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
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

/// The namespace of a process.
pub(crate) fn path_of_process(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}
