//! Receives and sends many datagrams in one system call.
//!
//! The memory of one batch serves all sessions of its worker: a datagram stays where it was
//! received until it has been sent on, and none is copied.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;

use super::words::{Control, Name};
use crate::capture::{HEADER, reachable, write_header};

/// Datagrams per call.
pub(super) const SLOTS: usize = 32;
/// Memory of one datagram: the largest there is, and before it room for a UDP header of ours.
const SLOT: usize = 1 << 16;

/// See the module.
pub(super) struct Batch {
    memory: Box<[u8]>,
    lengths: [usize; SLOTS],
    /// Of each slot: whom it came from and where it arrived, or where it is to go and whence.
    names: [Name; SLOTS],
    controls: [Control; SLOTS],
    vectors: [libc::iovec; SLOTS],
    headers: [libc::mmsghdr; SLOTS],
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
            controls: [Control::default(); SLOTS],
            vectors: [vector; SLOTS],
            headers: [header; SLOTS],
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
                (*name, *control) = (Name::default(), Control::default());
            }
            self.prepare(slot, with, SLOT - HEADER);
        }
        let Some(headers) = self.headers.get_mut(slots.clone()) else { return Ok(0) };
        let (fd, count) = (socket.as_raw_fd(), headers.len() as libc::c_uint);
        let (headers, wait) = (headers.as_mut_ptr(), ptr::null_mut());
        // SAFETY: `headers` are `count` headers whose pointers `prepare` has just made from memory
        // of `self`, which nothing else uses meanwhile.
        let got = unsafe { libc::recvmmsg(fd, headers, count, libc::MSG_DONTWAIT, wait) };
        let got = usize::try_from(got).map_err(|_negative| io::Error::last_os_error())?;
        for slot in slots.start..slots.start + got {
            if let (Some(length), Some(header)) =
                (self.lengths.get_mut(slot), self.headers.get(slot))
            {
                *length = header.msg_len as usize;
            }
        }
        Ok(got)
    }

    /// Between whom the captured datagram travels; `None` when the kernel did not say.
    pub(super) fn flow(&self, slot: usize) -> Option<Flow> {
        let client = self.names.get(slot)?.address()?;
        let local = self.controls.get(slot)?.original_destination()?;
        Some(Flow { client, local })
    }

    /// Whether the captured datagrams of both slots belong to one session.
    pub(super) fn is_same_flow(&self, one: usize, other: usize) -> bool {
        self.names.get(one) == self.names.get(other)
            && self.controls.get(one) == self.controls.get(other)
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
            *control = Control::from(flow.local.ip());
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
        for slot in slots.clone() {
            let length = self.lengths.get(slot).copied().unwrap_or_default();
            self.prepare(slot, with, length);
        }
        let Some(headers) = self.headers.get_mut(slots) else { return Ok(0) };
        let (fd, count) = (socket.as_raw_fd(), headers.len() as libc::c_uint);
        let headers = headers.as_mut_ptr();
        // SAFETY: as in `receive`.
        let sent = unsafe { libc::sendmmsg(fd, headers, count, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_negative| io::Error::last_os_error())
    }

    /// Points a slot's header at its memory.
    fn prepare(&mut self, slot: usize, with: With, length: usize) {
        let skip = if with == With::Header { 0 } else { HEADER };
        let start = slot * SLOT + skip;
        let length = length + HEADER - skip;
        let (Some(memory), Some(name), Some(control), Some(vector), Some(header)) = (
            self.memory.get_mut(start..start + length),
            self.names.get_mut(slot),
            self.controls.get_mut(slot),
            self.vectors.get_mut(slot),
            self.headers.get_mut(slot),
        ) else {
            return;
        };
        vector.iov_base = memory.as_mut_ptr().cast();
        vector.iov_len = length;
        let message = &mut header.msg_hdr;
        message.msg_iov = vector;
        message.msg_iovlen = 1;
        message.msg_flags = 0;
        if with == With::Payload {
            message.msg_name = ptr::null_mut();
            message.msg_namelen = 0;
            message.msg_control = ptr::null_mut();
            message.msg_controllen = 0;
        } else {
            message.msg_namelen = name.length();
            message.msg_name = ptr::from_mut(name).cast();
            message.msg_controllen = control.length();
            message.msg_control = ptr::from_mut(control).cast();
        }
    }
}
