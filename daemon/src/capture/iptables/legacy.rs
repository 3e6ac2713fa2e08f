//! A cheap look at the tables of legacy iptables, which announce no change.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::capture::routes::Family;

/// `struct ipt_getinfo`: a name, the hooks, and how many entries of how many bytes there are.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    name: [u8; 32],
    valid_hooks: u32,
    hook_entry: [u32; 5],
    underflow: [u32; 5],
    entries: u32,
    size: u32,
}

/// What changes when rules come or go, in the calling thread's network namespace.
pub(super) fn sizes(families: &[Family]) -> io::Result<Vec<Size>> {
    let mut found = Vec::new();
    for family in families {
        let socket = raw(*family)?;
        for table in ["nat", "mangle", "filter"] {
            found.push(size(&socket, *family, table)?);
        }
    }
    Ok(found)
}

fn raw(family: Family) -> io::Result<OwnedFd> {
    let address = match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    // IPPROTO_RAW: it receives nothing.
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socket(address, SockType::Raw, flags, nix::sys::socket::SockProtocol::Raw)?)
}

fn size(socket: &OwnedFd, family: Family, table: &str) -> io::Result<Size> {
    /// `IPT_SO_GET_INFO`, the same number for IPv6.
    const GET_INFO: libc::c_int = 64;
    let level = match family {
        Family::V4 => libc::SOL_IP,
        Family::V6 => libc::SOL_IPV6,
    };
    let mut size = Size {
        name: [0; 32],
        valid_hooks: 0,
        hook_entry: [0; 5],
        underflow: [0; 5],
        entries: 0,
        size: 0,
    };
    for (place, byte) in size.name.iter_mut().zip(table.as_bytes()) {
        *place = *byte;
    }
    let mut length = size_of::<Size>() as libc::socklen_t;
    let into = (&raw mut size).cast();
    // SAFETY: `into` has room for `length` bytes, which the kernel checks.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, GET_INFO, into, &raw mut length) };
    if result == 0 { Ok(size) } else { Err(io::Error::last_os_error()) }
}
