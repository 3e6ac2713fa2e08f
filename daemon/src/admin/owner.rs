//! Who holds a port: the program to name when a listener cannot be opened.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) pid: u32,
    /// Its `comm`.
    pub(crate) program: String,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.program.escape_debug(), self.pid)
    }
}

/// The process in this network namespace that listens where `wanted` would; `None` when there is
/// none, or when its descriptors may not be looked at.
pub(crate) fn of_tcp(wanted: SocketAddr) -> Option<Owner> {
    of(wanted, &["tcp", "tcp6"], Some("0A"))
}

pub(crate) fn of_udp(wanted: SocketAddr) -> Option<Owner> {
    of(wanted, &["udp", "udp6"], None)
}

fn of(wanted: SocketAddr, tables: &[&str], state: Option<&str>) -> Option<Owner> {
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/self/net/{table}")).ok())
        .flat_map(|table| listeners(&table, wanted.port(), state))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?;
    processes.filter_map(Result::ok).find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        holds(&process.path(), &inodes).then(|| Owner { pid, program: comm(&process.path()) })
    })
}

/// Socket inodes of the table's lines with this local port and state.
fn listeners(table: &str, port: u16, state: Option<&str>) -> Vec<String> {
    let port = format!(":{port:04X}");
    let matching = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, _remote, found) = (columns.next()?, columns.next()?, columns.next()?);
        let inode = columns.nth(5)?;
        let wanted = local.ends_with(&port) && state.is_none_or(|state| state == found);
        (wanted && inode != "0").then(|| format!("socket:[{inode}]"))
    });
    matching.collect()
}

fn holds(process: &Path, sockets: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors.filter_map(Result::ok).any(|descriptor| {
        let target = fs::read_link(descriptor.path()).ok();
        target.is_some_and(|target| {
            sockets.iter().any(|socket| target.as_os_str() == socket.as_str())
        })
    })
}

fn comm(process: &Path) -> String {
    fs::read_to_string(process.join("comm")).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let owner = of_tcp(listener.local_addr().unwrap()).unwrap();
        assert_eq!(owner.pid, std::process::id());
    }

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4711 1 0 100 0\n\
            1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  0 0 4712 1 0 100 0\n\
            2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4713 1 0 100 0\n";
        assert_eq!(listeners(table, 8080, Some("0A")), ["socket:[4711]"]);
    }
}
