//! Tells that something came into being, or went, in one of some folders.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::unix::AsyncFd;

use super::host;

#[derive(Debug)]
pub(super) struct Folders {
    inotify: Inotify,
    readable: AsyncFd<OwnedFd>,
    set: Mutex<BTreeMap<PathBuf, WatchDescriptor>>,
}

impl Folders {
    /// Must be called inside the runtime.
    pub(super) fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let readable = host::watched(inotify.as_fd().try_clone_to_owned()?)?;
        Ok(Self { inotify, readable, set: Mutex::default() })
    }

    /// Watches this one too.
    pub(super) fn add(&self, folder: PathBuf) -> io::Result<()> {
        let wanted = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        // Again where it is watched: a folder made anew needs a watch of its own.
        let watch = self.inotify.add_watch(&folder, wanted)?;
        self.set.lock().unwrap_or_else(PoisonError::into_inner).insert(folder, watch);
        Ok(())
    }

    /// Watches exactly these.
    pub(super) fn set(&self, folders: BTreeSet<PathBuf>) -> io::Result<()> {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        set.retain(|folder, watch| {
            // One whose folder is gone has ended by itself.
            folders.contains(folder) || self.inotify.rm_watch(*watch).is_err_and(|_gone| false)
        });
        drop(set);
        let mut outcome = Ok(());
        for folder in folders {
            outcome = outcome.and(self.add(folder));
        }
        outcome
    }

    /// Returns once anything happened since the last call.
    pub(super) async fn stirred(&self) {
        loop {
            let Ok(mut ready) = self.readable.readable().await else {
                return std::future::pending().await;
            };
            let happened = self.inotify.read_events().is_ok_and(|events| !events.is_empty());
            ready.clear_ready();
            if happened {
                return;
            }
        }
    }
}
