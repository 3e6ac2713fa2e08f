//! Receives and sends many datagrams in one system call.
//!
//! The memory of one batch serves all sessions of its worker: a datagram stays where it was
//! received until it has been sent on, and none is copied. Datagrams of one session that are
//! equally long go through the kernel's network stack as one and are parted at its end
//! (`UDP_SEGMENT`): what a datagram costs is the way through that stack, not the call.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;

use super::words::{Control, Controls, Name};
use crate::capture::{HEADER, reachable, write_header};

/// Datagrams per call.
pub(super) const SLOTS: usize = 32;
/// Memory of one datagram: the largest there is, and before it room for a UDP header of ours.
const SLOT: usize = 1 << 16;
/// A longer datagram may not fit a packet, and travels by itself.
const LONGEST_TOGETHER: usize = 1_452;

/// See the module.
pub(super) struct Batch {
    memory: Box<[u8]>,
    lengths: [usize; SLOTS],
    /// Of each slot: whom it came from and where it arrived, or where it is to go and whence.
    names: [Name; SLOTS],
    controls: [Controls; SLOTS],
    vectors: [libc::iovec; SLOTS],
    headers: [libc::mmsghdr; SLOTS],
    /// Datagrams sent as one with the one before them.
    followers: u64,
}

/// What a call needs beside the payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    /// The socket is connected.
    Payload,
    /// The other end's address, and ours.
    Addresses,
    /// The same, after a UDP header of our own.
    Header,
}

/// The two addresses a captured datagram came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    pub(super) client: SocketAddr,
    /// Where it arrived: what it was sent to, or the address that stands for that.
    pub(super) local: SocketAddr,
}

impl Batch {
    pub(super) fn new() -> Box<Self> {
        // SAFETY: an `iovec` and an `mmsghdr` of zeros are empty ones.
        let (vector, header) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Box::new(Self {
            // Zeroed by the kernel when it is first touched: small datagrams touch little of it.
            memory: vec![0; SLOTS * SLOT].into(),
            lengths: [0; SLOTS],
            names: [Name::default(); SLOTS],
            controls: [Controls::default(); SLOTS],
            vectors: [vector; SLOTS],
            headers: [header; SLOTS],
            followers: 0,
        })
    }

    /// Receives up to `most` captured datagrams into the first slots.
    pub(super) fn receive_captured(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
    ) -> io::Result<usize> {
        self.receive(socket, 0..most.min(SLOTS), With::Addresses)
    }

    /// Receives what an endpoint sent into `slots`.
    pub(super) fn receive_answers(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
    ) -> io::Result<usize> {
        self.receive(socket, slots, With::Payload)
    }

    fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
        with: With,
    ) -> io::Result<usize> {
        for slot in slots.clone() {
            if with == With::Addresses
                && let (Some(name), Some(control)) =
                    (self.names.get_mut(slot), self.controls.get_mut(slot))
            {
                (*name, control.address) = (Name::default(), Control::default());
            }
            self.point(slot, with, SLOT - HEADER);
            self.address_message(slot - slots.start, slot..slot + 1, with);
        }
        let Some(headers) = self.headers.get_mut(..slots.len()) else { return Ok(0) };
        let (fd, count) = (socket.as_raw_fd(), headers.len() as libc::c_uint);
        let (headers, wait) = (headers.as_mut_ptr(), ptr::null_mut());
        // SAFETY: `headers` are `count` headers whose pointers were just made from memory of
        // `self`, which nothing else uses meanwhile.
        let got = unsafe { libc::recvmmsg(fd, headers, count, libc::MSG_DONTWAIT, wait) };
        let got = usize::try_from(got).map_err(|_negative| io::Error::last_os_error())?;
        let lengths = self.lengths.iter_mut().skip(slots.start).take(got);
        for (length, header) in lengths.zip(&self.headers) {
            *length = header.msg_len as usize;
        }
        Ok(got)
    }

    /// Between whom the captured datagram travels; `None` when the kernel did not say.
    pub(super) fn flow(&self, slot: usize) -> Option<Flow> {
        let client = self.names.get(slot)?.address()?;
        let local = self.controls.get(slot)?.address.original_destination()?;
        Some(Flow { client, local })
    }

    /// Whether the datagrams of both slots have the same two addresses.
    pub(super) fn is_same_flow(&self, one: usize, other: usize) -> bool {
        let address = |slot| self.controls.get(slot).map(|control: &Controls| control.address);
        self.names.get(one) == self.names.get(other) && address(one) == address(other)
    }

    pub(super) fn payload(&self, slot: usize) -> &[u8] {
        let start = slot * SLOT + HEADER;
        let length = self.lengths.get(slot).copied().unwrap_or_default();
        self.memory.get(start..start + length).unwrap_or_default()
    }

    /// Bytes of all datagrams in `slots`.
    pub(super) fn bytes(&self, slots: Range<usize>) -> u64 {
        self.lengths.get(slots).unwrap_or_default().iter().map(|length| *length as u64).sum()
    }

    /// Sends `slots` on a connected socket; returns how many of them it took.
    pub(super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
    ) -> io::Result<usize> {
        self.send_with(socket, slots, With::Payload)
    }

    /// Says whom an answer goes to, and from which of our addresses.
    pub(super) fn address(&mut self, slot: usize, flow: Flow) {
        if let (Some(name), Some(control)) = (self.names.get_mut(slot), self.controls.get_mut(slot))
        {
            *name = Name::of(flow.client);
            control.address = Control::from(flow.local.ip());
        }
    }

    /// Sends answers from the port of `socket`; returns how many of them it took.
    pub(super) fn answer(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
    ) -> io::Result<usize> {
        self.send_with(socket, slots, With::Addresses)
    }

    /// Sends answers whose headers [`Self::head`] wrote through a raw socket.
    pub(super) fn answer_raw(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
    ) -> io::Result<usize> {
        self.send_with(socket, slots, With::Header)
    }

    /// Writes the UDP header of an answer. Raw sockets have no port, and IPv6 insists on that.
    pub(super) fn head(&mut self, slot: usize, flow: Flow) {
        let flow = Flow { client: reachable(flow.client), ..flow };
        self.address(slot, Flow { client: SocketAddr::new(flow.client.ip(), 0), ..flow });
        let start = slot * SLOT;
        let length = self.lengths.get(slot).copied().unwrap_or_default();
        if let Some(datagram) = self.memory.get_mut(start..start + HEADER + length) {
            write_header(datagram, flow.local, flow.client);
        }
    }

    fn send_with(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
        with: With,
    ) -> io::Result<usize> {
        match self.send_runs(socket, slots.clone(), with) {
            Err(error) if self.is_unfit(&error) => self.send_each(socket, slots, with),
            sent => sent,
        }
    }

    /// Sends each run of equally long datagrams as one.
    fn send_runs(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
        with: With,
    ) -> io::Result<usize> {
        let (mut start, mut messages) = (slots.start, 0);
        while start < slots.end {
            let end = self.run(start..slots.end, with);
            self.message(messages, start..end, with);
            (start, messages) = (end, messages + 1);
        }
        self.send_messages(socket, messages)
    }

    /// Sends every datagram by itself.
    fn send_each(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
        with: With,
    ) -> io::Result<usize> {
        let messages = slots.len();
        for (message, slot) in slots.enumerate() {
            self.message(message, slot..slot + 1, with);
        }
        self.send_messages(socket, messages)
    }

    fn send_messages(&mut self, socket: BorrowedFd<'_>, messages: usize) -> io::Result<usize> {
        let Some(headers) = self.headers.get_mut(..messages) else { return Ok(0) };
        let (fd, count) = (socket.as_raw_fd(), headers.len() as libc::c_uint);
        // SAFETY: as in `receive`.
        let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        let sent = usize::try_from(sent).map_err(|_negative| io::Error::last_os_error())?;
        let datagrams: usize =
            headers.iter().take(sent).map(|header| header.msg_hdr.msg_iovlen).sum();
        self.followers += (datagrams - sent) as u64;
        Ok(datagrams)
    }

    /// How many datagrams were sent as one with the one before them since this was asked last.
    pub(super) fn take_followers(&mut self) -> u64 {
        std::mem::take(&mut self.followers)
    }

    /// Whether the first message failed because its datagrams went as one: they do not fit the
    /// path, or the kernel or the device cannot part them.
    fn is_unfit(&self, error: &io::Error) -> bool {
        let together = self.headers.first().is_some_and(|header| header.msg_hdr.msg_iovlen > 1);
        let codes = [libc::EINVAL, libc::EMSGSIZE, libc::EIO, libc::EOPNOTSUPP];
        together && error.raw_os_error().is_some_and(|code| codes.contains(&code))
    }

    /// The end of what may leave as one, from the first of `slots` on: equally long datagrams
    /// between the same two, of which the last may be shorter.
    fn run(&self, slots: Range<usize>, with: With) -> usize {
        let mut end = slots.start + 1;
        let longest = self.length(slots.start);
        let alone = with == With::Header || !(1..=LONGEST_TOGETHER).contains(&longest);
        while !alone && end < slots.end {
            let length = self.length(end);
            let same = with == With::Payload || self.is_same_flow(slots.start, end);
            if !same || !(1..=longest).contains(&length) {
                break;
            }
            end += 1;
            if length < longest {
                break;
            }
        }
        end
    }

    fn length(&self, slot: usize) -> usize {
        self.lengths.get(slot).copied().unwrap_or_default()
    }

    /// Makes a message of the datagrams in `slots`.
    fn message(&mut self, message: usize, slots: Range<usize>, with: With) {
        for slot in slots.clone() {
            self.point(slot, with, self.length(slot));
        }
        self.address_message(message, slots, with);
    }

    /// Points a slot's vector at its memory.
    fn point(&mut self, slot: usize, with: With, length: usize) {
        let skip = if with == With::Header { 0 } else { HEADER };
        let start = slot * SLOT + skip;
        let length = length + HEADER - skip;
        if let (Some(memory), Some(vector)) =
            (self.memory.get_mut(start..start + length), self.vectors.get_mut(slot))
        {
            vector.iov_base = memory.as_mut_ptr().cast();
            vector.iov_len = length;
        }
    }

    /// Points a message's header at the vectors, name and control messages of `slots`.
    fn address_message(&mut self, message: usize, slots: Range<usize>, with: With) {
        let segment = if slots.len() > 1 { self.length(slots.start) } else { 0 };
        let (Some(name), Some(control), Some(vectors), Some(header)) = (
            self.names.get_mut(slots.start),
            self.controls.get_mut(slots.start),
            self.vectors.get_mut(slots),
            self.headers.get_mut(message),
        ) else {
            return;
        };
        let message = &mut header.msg_hdr;
        message.msg_iov = vectors.as_mut_ptr();
        message.msg_iovlen = vectors.len();
        message.msg_flags = 0;
        let addressed = with != With::Payload;
        (message.msg_name, message.msg_namelen) = if addressed {
            (ptr::from_mut(name).cast(), name.length())
        } else {
            (ptr::null_mut(), 0)
        };
        (message.msg_control, message.msg_controllen) = control.lay_out(segment, addressed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_the_kernel_will_not_part_travels_one_by_one() {
        let (from, through, to) = (socket(), socket(), socket());
        from.connect(through.local_addr().unwrap()).unwrap();
        // Only datagrams with a checksum can be parted.
        let (fd, no) = (through.as_raw_fd(), 1_i32);
        let (value, size) = ((&raw const no).cast(), size_of::<i32>() as libc::socklen_t);
        // SAFETY: `value` points at `size` bytes.
        let set = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, value, size) };
        assert_eq!(set, 0);
        let mut batch = Batch::new();
        (0..4_u8).for_each(|number| assert_eq!(from.send(&[number; 9]).unwrap(), 9));
        through.connect(from.local_addr().unwrap()).unwrap();
        assert_eq!(batch.receive_answers(through.as_fd(), 0..SLOTS).unwrap(), 4);
        through.connect(to.local_addr().unwrap()).unwrap();
        assert_eq!(batch.send(through.as_fd(), 0..4).unwrap(), 4);
        for number in 0..4 {
            let mut buffer = [0; 64];
            assert_eq!((to.recv(&mut buffer).unwrap(), buffer[0]), (9, number));
        }
    }

    fn socket() -> UdpSocket {
        UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap()
    }
}
