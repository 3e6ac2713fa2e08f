//! Answers from an address and port that another program of this host may own.
//!
//! No bound socket could send them (its owner has the port), so the UDP header is written here.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use socket2::{Domain, Protocol, Socket, Type};

use super::datagram::{accept_foreign, enlarge, set_ipv6};

/// Bytes of a UDP header.
pub(crate) const HEADER: usize = 8;
const UDP: u64 = 17;
/// Where the checksum lies in it.
const CHECKSUM_AT: usize = 6;
/// Nobody sends to these (RFC 7600, RFC 6666): the dummy address, and one that is discarded.
const UNUSED4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
const UNUSED6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

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

    /// `SO_MARK` of meshd's sockets there; 0 is none.
    pub(crate) const fn mark(&self) -> u32 {
        self.mark
    }

    /// A socket that sends whole UDP datagrams ([`write_header`]), its source set with each.
    ///
    /// # Errors
    /// This process may not have one.
    pub(crate) fn socket(&self, is_ipv4: bool) -> io::Result<BorrowedFd<'_>> {
        let slot = if is_ipv4 { &self.v4 } else { &self.v6 };
        let socket = match slot.get() {
            Some(socket) => socket,
            None => {
                let made = open(is_ipv4, self.mark)?;
                slot.get_or_init(|| made)
            }
        };
        Ok(socket.as_fd())
    }

    /// Sends `payload` to `to` as if `from` did.
    pub(crate) fn send(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let to = reachable(to);
        let mut datagram = vec![0; HEADER + payload.len()];
        if let Some(place) = datagram.get_mut(HEADER..) {
            place.copy_from_slice(payload);
        }
        write_header(&mut datagram, from, to);
        let socket = self.socket(from.is_ipv4())?;
        let socket = socket.as_raw_fd();
        // A raw socket has no port, and IPv6 insists on that.
        let target = SockaddrStorage::from(SocketAddr::new(to.ip(), 0));
        let (parts, flags) = ([IoSlice::new(&datagram)], MsgFlags::MSG_DONTWAIT);
        match from.ip() {
            IpAddr::V4(ip) => {
                let source = libc::in_addr { s_addr: ip.to_bits().to_be() };
                let none = libc::in_addr { s_addr: 0 };
                let info =
                    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: none };
                let info = ControlMessage::Ipv4PacketInfo(&info);
                sendmsg(socket, &parts, &[info], flags, Some(&target))?;
            }
            IpAddr::V6(ip) => {
                let source = libc::in6_addr { s6_addr: ip.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
                let info = ControlMessage::Ipv6PacketInfo(&info);
                sendmsg(socket, &parts, &[info], flags, Some(&target))?;
            }
        }
        Ok(())
    }

    /// Opens both now, in the calling thread's namespace, to be handed to another process.
    pub(super) fn open(mark: u32) -> io::Result<Vec<OwnedFd>> {
        let v4 = open(true, mark)?;
        let v6 = super::host::has_ipv6().then(|| open(false, mark)).transpose()?;
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

fn open(is_ipv4: bool, mark: u32) -> io::Result<Socket> {
    let (domain, unused): (_, IpAddr) =
        if is_ipv4 { (Domain::IPV4, UNUSED4.into()) } else { (Domain::IPV6, UNUSED6.into()) };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::UDP))?;
    accept_foreign(&socket, !is_ipv4)?;
    if !is_ipv4 {
        set_ipv6(&socket, libc::IPV6_CHECKSUM, CHECKSUM_AT as libc::c_int)?;
    }
    if mark != 0 {
        socket.set_mark(mark)?;
    }
    enlarge(&socket);
    socket.set_nonblocking(true)?;
    // Bound to an address of its own it is passed over by every datagram that comes in.
    socket.bind(&SocketAddr::new(unused, 0).into())?;
    Ok(socket)
}

/// A program on a host without any address sends from none; loopback leads back to it.
pub(crate) fn reachable(client: SocketAddr) -> SocketAddr {
    if client.ip().is_unspecified() && client.is_ipv4() {
        return SocketAddr::new(Ipv4Addr::LOCALHOST.into(), client.port());
    }
    client
}

/// Fills in the first bytes of `datagram`, whose payload follows them.
pub(crate) fn write_header(datagram: &mut [u8], from: SocketAddr, to: SocketAddr) {
    let length = u64::from(datagram.len() as u16);
    let head = u64::from(from.port()) << 48 | u64::from(to.port()) << 32 | length << 16;
    if let Some(place) = datagram.get_mut(..HEADER) {
        place.copy_from_slice(&head.to_be_bytes());
    }
    // The kernel fills in that of IPv6. A program of a host without addresses has none to be
    // written to; which one the packet gets is the kernel's, so it goes without a checksum.
    if let (IpAddr::V4(source), IpAddr::V4(target)) = (from.ip(), to.ip())
        && !target.is_unspecified()
    {
        let pseudo = sum(&source.octets()) + sum(&target.octets()) + UDP + datagram.len() as u64;
        let checksum = fold(pseudo + sum(datagram)).to_be_bytes();
        if let Some(place) = datagram.get_mut(CHECKSUM_AT..HEADER) {
            place.copy_from_slice(&checksum);
        }
    }
}

/// The sum of all 16-bit words; words of 32 bits add up to the same, modulo 65,535.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let whole: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    let mut last = [0; 4];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    whole + u64::from(u32::from_be_bytes(last))
}

/// RFC 768; zero would mean "no checksum".
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        checksum => checksum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_makes_the_sum_of_all_words_all_ones() {
        let (from, to) = ("10.0.0.53:53".parse().unwrap(), "10.0.0.5:40000".parse().unwrap());
        for payload in [&b""[..], b"o", b"odd", b"four", &[0xff; 65_507]] {
            let mut datagram = [&[0; HEADER], payload].concat();
            write_header(&mut datagram, from, to);
            let pseudo = sum(&[10, 0, 0, 53]) + sum(&[10, 0, 0, 5]) + UDP + datagram.len() as u64;
            // Over a datagram that carries its checksum the complement of the sum is zero.
            assert_eq!(fold(pseudo + sum(&datagram)), 0xffff, "{} bytes", payload.len());
        }
        let mut datagram = *b"\0\0\0\0\0\0\0\0hi";
        write_header(&mut datagram, from, to);
        assert_eq!(datagram[..6], [0, 53, 156, 64, 0, 10]);
    }
}
