//! Connections that processes had before they were captured: the kernel ties a socket to the
//! cgroup it was made in, so these stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

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
    /// `TCP_ESTABLISHED`, which stands for "connected" in the table of UDP too.
    const ESTABLISHED: &str = "01";
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
