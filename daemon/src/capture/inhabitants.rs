//! Whose the sockets of another network namespace are.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use super::diag::{self, Owner, Protocol};
use super::process;

#[derive(Debug)]
pub(super) struct Inhabitants {
    /// Made inside; one question at a time.
    diag: Mutex<OwnedFd>,
    /// The namespace's inode.
    network: u64,
    /// Processes that were found in it, the last caller first.
    known: Mutex<Vec<u32>>,
}

impl Inhabitants {
    /// `diag` was made inside.
    pub(super) fn new(diag: OwnedFd) -> io::Result<Self> {
        Ok(Self { network: network_of(&diag)?, diag: Mutex::new(diag), known: Mutex::default() })
    }

    pub(super) fn network(&self) -> u64 {
        self.network
    }

    /// The socket inside that talks from `local` to `remote`.
    pub(super) fn owner(
        &self,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<Owner> {
        let diag = self.diag.lock().unwrap_or_else(PoisonError::into_inner);
        diag::owner_by(&diag, protocol, local, remote)
    }

    /// The process that holds the socket.
    pub(super) fn pid(&self, owner: &Owner) -> Option<u32> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |pid: &u32| process::holds_socket(*pid, owner.inode);
        let found = known.iter().copied().find(holds).or_else(|| {
            *known = process::in_network(self.network);
            // The newest processes first: short-lived clients are what runs start.
            known.reverse();
            known.iter().copied().find(holds)
        })?;
        if let Some(at) = known.iter().position(|pid| *pid == found) {
            known.swap(0, at);
        }
        Some(found)
    }
}

/// Inode of the namespace a socket was made in, as /proc/PID/ns/net shows it.
fn network_of(socket: &OwnedFd) -> io::Result<u64> {
    /// `SIOCGSKNS` (linux/sockios.h): allowed to whoever owns the user namespace.
    const NAMESPACE: libc::Ioctl = 0x894c;
    // SAFETY: no pointers; the descriptor is checked and owned by nobody else.
    let namespace = unsafe {
        let fd = libc::ioctl(socket.as_raw_fd(), NAMESPACE);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    Ok(fs::File::from(namespace).metadata()?.ino())
}
