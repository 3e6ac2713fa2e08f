//! Connections that processes had before they were captured: the kernel ties a socket to the
//! cgroup it was made in, so these stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use crate::model::contains;

/// `TCP_ESTABLISHED`, which stands for "connected" in the table of UDP too.
const ESTABLISHED: &str = "01";

/// Open TCP connections and connected UDP sockets of `pids`, whatever namespace they are in.
pub(crate) fn open_connections(pids: &[u32]) -> usize {
    // Tables are per namespace: one member of each is enough to read them.
    let mut namespaces: BTreeMap<String, u32> = BTreeMap::new();
    let mut sockets = BTreeSet::new();
    for &pid in pids {
        if let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/net")) {
            namespaces.entry(namespace.to_string_lossy().into_owned()).or_insert(pid);
        }
        sockets.extend(sockets_of(pid));
    }
    let tables = namespaces.values().flat_map(|pid| {
        ["tcp", "tcp6", "udp", "udp6"].map(|table| format!("/proc/{pid}/net/{table}"))
    });
    let connected = tables.flat_map(|table| {
        connected(&fs::read_to_string(table).unwrap_or_default()).collect::<Vec<_>>()
    });
    connected.filter(|inode| sockets.contains(inode)).collect::<BTreeSet<_>>().len()
}

/// Ends of open TCP connections to `port`, in the calling thread's network namespace.
pub(super) fn established_at(port: u16) -> Vec<IpAddr> {
    let tables = ["tcp", "tcp6"].map(|name| format!("/proc/thread-self/net/{name}"));
    let texts = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
    texts.iter().flat_map(|text| ends(text, port)).collect()
}

fn ends(table: &str, port: u16) -> impl Iterator<Item = IpAddr> {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_whitespace().skip(1);
        let (ip, at) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        let is_it = u16::from_str_radix(at, 16) == Ok(port) && state == ESTABLISHED;
        is_it.then(|| address(ip))?
    })
}

/// Words as the machine has them in memory.
fn address(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let v4 = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
    v4.or_else(|_longer| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from)).ok()
}

/// An address that stands for what was wanted.
pub(super) fn is_fake(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let [(base4, length4), (base6, length6)] = [
        (mesh_ebpf::FAKE4.0.into(), mesh_ebpf::FAKE4.1),
        (mesh_ebpf::FAKE6.0.into(), mesh_ebpf::FAKE6.1),
    ];
    contains(base4, length4, ip) || contains(base6, length6, ip)
}

/// Inodes of the sockets a process holds.
fn sockets_of(pid: u32) -> impl Iterator<Item = u64> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|descriptor| {
        let target = fs::read_link(descriptor.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

/// Inodes of the connected sockets of a table such as `/proc/net/tcp`.
fn connected(table: &str) -> impl Iterator<Item = u64> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(3);
        let state = fields.next()?;
        let inode = fields.nth(5)?.parse().ok()?;
        (state == ESTABLISHED).then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn ends_of_connections_are_known_by_their_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).unwrap();
        assert_eq!(established_at(at.port()), [at.ip()]);
        assert!(!is_fake(at.ip()) && is_fake("127.128.0.7".parse().unwrap()));
        drop(client);
    }

    #[test]
    fn only_connected_sockets_count() {
        let own = std::process::id();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let before = open_connections(&[own]);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap();
        assert_eq!(open_connections(&[own]), before + 2);
        drop((client, server));
    }
}
