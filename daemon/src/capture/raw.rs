//! Answers from an address and port that another program of this host may own.
//!
//! No bound socket could send them (its owner has the port), so the packet is made here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use socket2::{Domain, Protocol, Socket, Type};

const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const HOPS: u8 = 64;

/// The raw sockets of one network namespace, one per family.
#[derive(Debug)]
pub(crate) struct Raw {
    v4: OnceLock<Socket>,
    v6: OnceLock<Socket>,
    mark: u32,
}

impl Raw {
    /// Made when first needed, in the namespace of whoever needs it.
    pub(crate) fn lazy(mark: u32) -> Self {
        Self { v4: OnceLock::new(), v6: OnceLock::new(), mark }
    }

    /// Sends `payload` to `to` as if `from` did.
    pub(crate) fn send(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let (slot, domain, packet) = match (from.ip(), to.ip()) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let packet = v4_packet(source, target, &datagram(from, to, payload)?)?;
                (&self.v4, Domain::IPV4, packet)
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                let packet = v6_packet(source, target, &datagram(from, to, payload)?)?;
                (&self.v6, Domain::IPV6, packet)
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let socket = match slot.get() {
            Some(socket) => socket,
            None => {
                let made = open(domain, self.mark)?;
                slot.get_or_init(|| made)
            }
        };
        // A raw socket has no port, and IPv6 insists on that.
        socket.send_to(&packet, &SocketAddr::new(to.ip(), 0).into())?;
        Ok(())
    }

    /// Opens both now, in the calling thread's namespace, to be handed to another process.
    pub(super) fn open(mark: u32) -> io::Result<Vec<OwnedFd>> {
        let v4 = open(Domain::IPV4, mark)?;
        let v6 = super::host::has_ipv6().then(|| open(Domain::IPV6, mark)).transpose()?;
        Ok([Some(v4), v6].into_iter().flatten().map(OwnedFd::from).collect())
    }

    /// Takes what [`Self::open`] made.
    pub(super) fn taken(sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let raw = Self::lazy(0);
        for socket in sockets.into_iter().map(Socket::from) {
            let slot = if socket.domain()? == Domain::IPV4 { &raw.v4 } else { &raw.v6 };
            // The first of a family is as good as any.
            let _another = slot.set(socket);
        }
        Ok(raw)
    }
}

fn open(domain: Domain, mark: u32) -> io::Result<Socket> {
    // `IPPROTO_RAW`: packets come with their IP header, and none are received.
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    if mark != 0 {
        socket.set_mark(mark)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The UDP header and what follows it.
fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(UDP_HEADER + payload.len());
    let length = length.map_err(|_long| io::ErrorKind::InvalidInput)?.to_be_bytes();
    let mut datagram = Vec::with_capacity(UDP_HEADER + payload.len());
    datagram.extend(from.port().to_be_bytes());
    datagram.extend(to.port().to_be_bytes());
    datagram.extend(length);
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let sum = checksum(from.ip(), to.ip(), &datagram).to_be_bytes();
    if let Some(place) = datagram.get_mut(6..8) {
        place.copy_from_slice(&sum);
    }
    Ok(datagram)
}

/// RFC 768 over the addresses, the protocol, the length and the datagram.
fn checksum(from: IpAddr, to: IpAddr, datagram: &[u8]) -> u16 {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = |bytes: &[u8]| -> u64 {
        let word = |pair: &[u8]| match *pair {
            [high, low] => u64::from(u16::from_be_bytes([high, low])),
            [high] => u64::from(high) << 8,
            _ => 0,
        };
        bytes.chunks(2).map(word).sum()
    };
    let mut sum = words(&octets(from)) + words(&octets(to)) + words(datagram);
    sum += u64::from(UDP) + datagram.len() as u64;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Zero would mean "no checksum".
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

/// The kernel fills in identification and checksum.
fn v4_packet(from: Ipv4Addr, to: Ipv4Addr, datagram: &[u8]) -> io::Result<Vec<u8>> {
    const HEADER: usize = 20;
    let length =
        u16::try_from(HEADER + datagram.len()).map_err(|_long| io::ErrorKind::InvalidInput)?;
    let mut packet = Vec::with_capacity(usize::from(length));
    packet.extend([0x45, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, HOPS, UDP, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(datagram);
    Ok(packet)
}

fn v6_packet(from: Ipv6Addr, to: Ipv6Addr, datagram: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(datagram.len()).map_err(|_long| io::ErrorKind::InvalidInput)?;
    let mut packet = Vec::with_capacity(40 + datagram.len());
    packet.extend([0x60, 0, 0, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend([UDP, HOPS]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(datagram);
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_makes_the_sum_of_all_words_all_ones() {
        let (from, to) = ("10.0.0.53:53".parse().unwrap(), "10.0.0.5:40000".parse().unwrap());
        let sent = datagram(from, to, b"odd").unwrap();
        // Over a datagram that carries its checksum the complement of the sum is zero.
        assert_eq!(checksum(from.ip(), to.ip(), &sent), 0xffff);
    }
}
