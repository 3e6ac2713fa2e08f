//! Socket addresses and control messages as the kernel lays them out, read and written without
//! pointers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ptr;

use libc::c_void;

/// `struct sockaddr_in6`, and `struct sockaddr_in` at its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(4))]
pub(super) struct Name {
    family: u16,
    /// In network order.
    port: [u8; 2],
    /// The address of IPv4, the flow of IPv6.
    first: [u8; 4],
    ip6: [u8; 16],
    scope: u32,
}

impl Name {
    pub(super) fn of(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        match address {
            SocketAddr::V4(v4) => Self {
                family: libc::AF_INET as u16,
                port,
                first: v4.ip().octets(),
                ..Self::default()
            },
            SocketAddr::V6(v6) => Self {
                family: libc::AF_INET6 as u16,
                port,
                ip6: v6.ip().octets(),
                scope: v6.scope_id(),
                ..Self::default()
            },
        }
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        let port = u16::from_be_bytes(self.port);
        match i32::from(self.family) {
            libc::AF_INET => Some((Ipv4Addr::from(self.first), port).into()),
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(self.ip6);
                Some(SocketAddrV6::new(ip, port, 0, self.scope).into())
            }
            _ => None,
        }
    }

    /// Bytes of the address it holds, or of the largest it can take.
    pub(super) fn length(&self) -> libc::socklen_t {
        let whole = size_of::<Self>() as libc::socklen_t;
        if i32::from(self.family) == libc::AF_INET { 16 } else { whole }
    }
}

/// One control message: the address a datagram was sent to, or the source it is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub(super) struct Control {
    length: usize,
    level: i32,
    kind: i32,
    data: Name,
    unused: u32,
}

/// `struct cmsghdr`.
const HEAD: usize = 16;
/// `IPV6_ORIGDSTADDR`.
const ORIGINAL6: libc::c_int = 74;

impl Control {
    /// Where the datagram went before it was captured.
    pub(super) fn original_destination(&self) -> Option<SocketAddr> {
        let is_one = matches!(
            (self.level, self.kind),
            (libc::SOL_IP, libc::IP_ORIGDSTADDR) | (libc::SOL_IPV6, ORIGINAL6)
        );
        if is_one { self.data.address() } else { None }
    }

    /// Makes `ip` the source: `IP_PKTINFO` or `IPV6_PKTINFO`.
    pub(super) fn from(ip: IpAddr) -> Self {
        match ip {
            // `struct in_pktinfo`: interface, source, destination.
            IpAddr::V4(ip) => Self {
                length: HEAD + 12,
                level: libc::SOL_IP,
                kind: libc::IP_PKTINFO,
                data: Name { first: ip.octets(), ..Name::default() },
                unused: 0,
            },
            // `struct in6_pktinfo`: source, interface. It begins where the name's family lies.
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, rest @ ..] = ip.octets();
                let mut ip6 = [0; 16];
                ip6.iter_mut().zip(rest).for_each(|(place, byte)| *place = byte);
                let family = u16::from_ne_bytes([a, b]);
                let (port, first) = ([c, d], [e, f, g, h]);
                Self {
                    length: HEAD + 20,
                    level: libc::SOL_IPV6,
                    kind: libc::IPV6_PKTINFO,
                    data: Name { family, port, first, ip6, scope: 0 },
                    unused: 0,
                }
            }
        }
    }

    /// Bytes of the message it holds, or of the largest it can take.
    pub(super) fn length(&self) -> usize {
        if self.length == 0 { size_of::<Self>() } else { self.length.next_multiple_of(8) }
    }
}

/// How long each of the datagrams is that leave as one: `UDP_SEGMENT`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(8))]
struct Segment {
    length: usize,
    level: i32,
    kind: i32,
    size: u16,
    unused: [u16; 3],
}

/// The control messages of one message, those it does not need in front.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Controls {
    segment: Segment,
    pub(super) address: Control,
}

impl Controls {
    /// The bytes to hand to the kernel: without a `segment` nothing is parted, and not `addressed`
    /// the socket knows both ends.
    pub(super) fn lay_out(&mut self, segment: usize, addressed: bool) -> (*mut c_void, usize) {
        let address = if addressed { self.address.length() } else { 0 };
        if segment == 0 {
            let start = if addressed { ptr::from_mut(&mut self.address) } else { ptr::null_mut() };
            return (start.cast(), address);
        }
        self.segment = Segment {
            length: HEAD + size_of::<u16>(),
            level: libc::SOL_UDP,
            kind: libc::UDP_SEGMENT,
            size: segment as u16,
            unused: [0; 3],
        };
        (ptr::from_mut(self).cast(), size_of::<Segment>() + address)
    }
}

const _: () = assert!(size_of::<Segment>() == 24 && size_of::<Controls>() == 72);
const _: () = assert!(size_of::<Name>() == size_of::<libc::sockaddr_in6>());
const _: () = assert!(size_of::<Control>() == 48);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_layout() {
        for text in ["127.0.0.1:53", "[fd6d::1:2]:65535", "[fe80::1%3]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Name::of(address).address(), Some(address));
        }
    }

    #[test]
    fn a_source_lies_where_the_kernel_reads_it() {
        let bytes = |control: &Control| -> [u8; 48] {
            // SAFETY: both are 48 plain bytes without padding.
            unsafe { std::mem::transmute_copy(control) }
        };
        let v4 = bytes(&Control::from([10, 9, 8, 7].into()));
        assert_eq!(v4[16..28], [0, 0, 0, 0, 10, 9, 8, 7, 0, 0, 0, 0]);
        let ip = Ipv6Addr::from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        let v6 = bytes(&Control::from(ip.into()));
        assert_eq!(v6[16..32], ip.octets());
        assert_eq!(v6[32..36], [0; 4]);
    }
}
