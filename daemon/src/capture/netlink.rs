//! What the kernel announces over netlink: sockets that hear it, and how its messages read.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};

/// `1 << (NFNLGRP_NFTABLES - 1)`.
pub(super) const NFTABLES: u32 = 1 << 6;
/// Bytes before the body of a message.
pub(super) const HEADER: usize = 16;
/// Twice the longest datagram the kernel makes of announcements.
pub(super) const LONGEST: usize = 16 * 1024;

/// A socket that hears `groups`, in the namespace of the calling thread.
pub(super) fn listen(protocol: SockProtocol, groups: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

/// A socket to ask with, in the namespace of the calling thread.
pub(super) fn open(protocol: SockProtocol) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?)
}

/// A question for one thing.
pub(super) fn request(kind: u16, body: &[u8]) -> Vec<u8> {
    const REQUEST: u16 = 1;
    let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // Neither sequence nor port: the answer is the next message.
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

/// The kernel answers within the call.
pub(super) fn ask(socket: &OwnedFd, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut answer = vec![0; 4096];
    send(socket.as_raw_fd(), request, MsgFlags::empty())?;
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}

/// What there was to receive.
pub(super) enum Heard<'a> {
    Datagram(&'a [u8]),
    /// More came than the socket holds: it takes nothing new until all is read.
    Lost,
    Nothing,
}

pub(super) fn receive<'a>(socket: &OwnedFd, room: &'a mut [u8]) -> Heard<'a> {
    match recv(socket.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
        Ok(length) => Heard::Datagram(room.get(..length).unwrap_or_default()),
        Err(nix::errno::Errno::ENOBUFS) => Heard::Lost,
        Err(_none_or_broken) => Heard::Nothing,
    }
}

/// The messages of one datagram.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let message = bytes.get(..length.max(HEADER))?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Of messages: nf_tables' part of netfilter.
pub(super) const NF_TABLES: u16 = 10 << 8;

/// The attributes of a message of netfilter whose type, with the part of netfilter, is `kind`.
pub(super) fn of_netfilter(message: &[u8], kind: u16) -> Option<&[u8]> {
    /// `struct nfgenmsg`.
    const BODY: usize = 4;
    if u16_at(message, 4)? == kind { message.get(HEADER + BODY..) } else { None }
}

/// An attribute as messages have it.
pub(super) fn encoded(kind: u16, value: &[u8]) -> Vec<u8> {
    const LENGTH: usize = 4;
    let mut bytes = ((LENGTH + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The same of attributes.
pub(super) fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    const NESTED: u16 = 1 << 15;
    encoded(kind | NESTED, value)
}

/// Values by their types; those of nested ones are attributes again.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Above these bits are flags.
    const TYPE: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let length = u16_at(bytes, 0).map(usize::from)?;
        let (kind, value) = (u16_at(bytes, 2)? & TYPE, bytes.get(4..length)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of that type.
pub(super) fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
