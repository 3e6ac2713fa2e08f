//! Who sent what rules redirected: the kernel's conntrack knows where it wanted to go, its socket
//! tables whose it is.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cgroup::{self, Mount};
use super::conntrack;
use super::diag::{self, Owner, Protocol};
use super::inhabitants::Inhabitants;
use super::netns::Site;
use super::origin::{Origin, OriginError};
use super::plan::Targets;
use super::process;
use crate::model::Scope;

/// Cgroups remembered; more means that runs make and drop them by the thousand.
const REMEMBERED: usize = 4096;
/// Processes whose open files are searched for a socket.
const SEARCHED: usize = 32;

/// Looks callers up; clones share what they know.
#[derive(Clone, Debug)]
pub(crate) struct Callers {
    mount: Mount,
    /// Of the namespace the callers are in.
    pub(super) cookie: u64,
    site: Site,
    /// `None`: they are in meshd's own.
    inhabitants: Option<Arc<Inhabitants>>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    targets: Arc<Targets>,
    /// By the id of a socket's cgroup: its directory, and the workload of the deepest scope it is
    /// in.
    cgroups: HashMap<u64, (PathBuf, Option<u64>)>,
}

impl Callers {
    pub(super) fn new(mount: Mount, site: &Site) -> io::Result<Self> {
        let inhabitants = if site.is_own() {
            None
        } else {
            Some(Arc::new(Inhabitants::new(site.inside(diag::open)?)?))
        };
        let (cookie, site) = (site.cookie()?, site.clone());
        Ok(Self { mount, cookie, site, inhabitants, known: Arc::default() })
    }

    /// Those in another namespace.
    pub(super) fn elsewhere(&self, site: &Site) -> io::Result<Self> {
        Self::new(self.mount.clone(), site)
    }

    /// Must be told before the scopes are captured.
    pub(super) fn follow(&self, targets: &Arc<Targets>) {
        let known = Known { targets: Arc::clone(targets), cgroups: HashMap::new() };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    pub(super) fn of_stream(
        &self,
        stream: BorrowedFd<'_>,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Result<Origin, OriginError> {
        let destination = original_destination(stream, local)?;
        let owner = match self.owner(Protocol::Tcp, peer, destination) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let client = conntrack::client(&self.site, peer, local);
                client.and_then(|client| self.owner(Protocol::Tcp, client, destination))
            }
            found => found,
        };
        self.origin(owner, destination)
    }

    /// TPROXY leaves a datagram's destination as it was.
    pub(super) fn of_datagram(
        &self,
        peer: SocketAddr,
        destination: SocketAddr,
    ) -> Result<Origin, OriginError> {
        self.origin(self.owner(Protocol::Udp, peer, destination), destination)
    }

    /// The socket that talks from `client` to `destination`.
    fn owner(
        &self,
        protocol: Protocol,
        client: SocketAddr,
        destination: SocketAddr,
    ) -> io::Result<Owner> {
        match &self.inhabitants {
            Some(inhabitants) => inhabitants.owner(protocol, client, destination),
            None => diag::owner(protocol, client, destination),
        }
    }

    fn origin(
        &self,
        owner: io::Result<Owner>,
        destination: SocketAddr,
    ) -> Result<Origin, OriginError> {
        let anonymous = Origin {
            destination,
            workload: None,
            pid: 0,
            uid: 0,
            process: [0; 16],
            connecting: Duration::ZERO,
        };
        let owner = match owner {
            Ok(owner) => owner,
            // Sent and closed already: captured all the same, but nobody to name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(anonymous),
            Err(error) => return Err(OriginError::Unknown(error)),
        };
        let (path, workload) = self.caller(&owner);
        let of_namespace = || self.inhabitants.as_ref()?.pid(&owner);
        let pid = path.and_then(|path| pid(&path, &owner)).or_else(of_namespace).unwrap_or(0);
        Ok(Origin { workload, pid, uid: owner.uid, process: process::comm(pid), ..anonymous })
    }

    /// The cgroup of a socket, and the workload it counts as.
    fn caller(&self, owner: &Owner) -> (Option<PathBuf>, Option<u64>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, by_cgroup) = match known.cgroups.get(&owner.cgroup) {
            Some((path, workload)) => (Some(path.clone()), *workload),
            None => match self.mount.by_id(owner.cgroup) {
                Ok(path) => {
                    let workload = self.deepest(&known.targets, &path);
                    if known.cgroups.len() >= REMEMBERED {
                        known.cgroups.clear();
                    }
                    known.cgroups.insert(owner.cgroup, (path.clone(), workload));
                    (Some(path), workload)
                }
                Err(_vanished) => (None, None),
            },
        };
        (path, by_cgroup.or_else(|| self.wider(&known.targets, owner.uid)))
    }

    /// Processes of a scope may make cgroups of their own.
    fn deepest(&self, targets: &Targets, path: &Path) -> Option<u64> {
        let of_mesh = path.ancestors().take_while(|path| path.starts_with(self.mount.root()));
        let cgroups = of_mesh.filter_map(|path| cgroup::id(path).ok()).map(Scope::Cgroup);
        cgroups.map(Scope::key).find(|key| targets.scopes.contains_key(key))
    }

    /// By namespace, then by user, then as anybody on this host.
    fn wider(&self, targets: &Targets, uid: u32) -> Option<u64> {
        let wider = [Scope::Netns(self.cookie), Scope::Uid(uid), Scope::Host];
        wider.into_iter().map(Scope::key).find(|key| targets.scopes.contains_key(key))
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
