//! Who sent a redirected connection: the kernel's conntrack knows where it wanted to go, its
//! socket tables whose it is.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::cgroup::{self, Mount};
use super::super::diag::{self, Owner, Protocol};
use super::super::origin::{Origin, OriginError};
use super::super::process;

/// Cgroups remembered; more means that runs make and drop them by the thousand.
const REMEMBERED: usize = 4096;
/// Processes whose open files are searched for a socket.
const SEARCHED: usize = 32;

/// Looks callers up; shared by all workers.
#[derive(Debug)]
pub(crate) struct Callers {
    mount: Mount,
    /// Depth of a run scope below the mount.
    depth: usize,
    /// By the id of a socket's cgroup.
    known: Mutex<HashMap<u64, Caller>>,
}

#[derive(Clone, Debug)]
struct Caller {
    /// Id of the run scope the cgroup is in.
    scope: u64,
    path: PathBuf,
}

impl Callers {
    pub(super) fn new(mount: Mount, depth: usize) -> Self {
        Self { mount, depth, known: Mutex::default() }
    }

    pub(in super::super) fn of_stream(
        &self,
        stream: BorrowedFd<'_>,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Result<Origin, OriginError> {
        let destination = original_destination(stream, local)?;
        self.origin(Protocol::Tcp, peer, destination)
    }

    /// TPROXY leaves a datagram's destination as it was.
    pub(in super::super) fn of_datagram(
        &self,
        peer: SocketAddr,
        destination: SocketAddr,
    ) -> Result<Origin, OriginError> {
        self.origin(Protocol::Udp, peer, destination)
    }

    fn origin(
        &self,
        protocol: Protocol,
        client: SocketAddr,
        destination: SocketAddr,
    ) -> Result<Origin, OriginError> {
        let owner = diag::owner(protocol, client, destination).map_err(OriginError::Unknown)?;
        let caller = self.caller(owner.cgroup);
        let pid = caller.as_ref().and_then(|caller| pid(&caller.path, &owner)).unwrap_or(0);
        Ok(Origin {
            destination,
            workload: caller.map(|caller| caller.scope),
            pid,
            uid: owner.uid,
            process: process::comm(pid),
            connecting: Duration::ZERO,
        })
    }

    fn caller(&self, cgroup: u64) -> Option<Caller> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = known.get(&cgroup) {
            return Some(caller.clone());
        }
        let path = self.mount.by_id(cgroup).ok()?;
        let scope = self.scope(&path)?;
        let caller = Caller { scope, path };
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(cgroup, caller.clone());
        Some(caller)
    }

    /// The run scope `path` is, or is in: processes of a run may make cgroups of their own.
    fn scope(&self, path: &Path) -> Option<u64> {
        let below = path.strip_prefix(self.mount.root()).ok()?;
        let scope: PathBuf = below.iter().take(self.depth).collect();
        cgroup::id(&self.mount.root().join(scope)).ok()
    }
}

/// `SO_ORIGINAL_DST`: the same number and layout for both families.
fn original_destination(
    stream: BorrowedFd<'_>,
    local: SocketAddr,
) -> Result<SocketAddr, OriginError> {
    let level = if local.ip().to_canonical().is_ipv4() { libc::SOL_IP } else { libc::SOL_IPV6 };
    let read = |into: *mut libc::sockaddr_storage, size: *mut libc::socklen_t| {
        let fd = stream.as_raw_fd();
        // SAFETY: `into` has room for `size` bytes, both given by `try_init`.
        let result =
            unsafe { libc::getsockopt(fd, level, libc::SO_ORIGINAL_DST, into.cast(), size) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: on success the kernel wrote an address of the length it says.
    let found = unsafe { socket2::SockAddr::try_init(|into, size| read(into.cast(), size)) };
    let ((), address) = found.map_err(OriginError::from)?;
    match address.as_socket() {
        Some(wanted) if wanted != local => Ok(wanted),
        _ => Err(OriginError::Direct),
    }
}

/// The process in `cgroup` that holds the socket: the only one there, or the first found.
fn pid(cgroup: &Path, owner: &Owner) -> Option<u32> {
    let members = cgroup::pids(cgroup).ok()?;
    if let [only] = members.as_slice() {
        return Some(*only);
    }
    // The newest processes first: short-lived clients are what runs start.
    members.into_iter().rev().take(SEARCHED).find(|pid| process::holds_socket(*pid, owner.inode))
}
