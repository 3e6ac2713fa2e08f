//! Where captured datagrams come in at one gate, and how answers leave.

use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use tokio::io::unix::AsyncFd;

use super::batch::{Batch, Flow};
use crate::capture::Raw;
use crate::transport::watch;

/// See the module.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) sockets: Vec<AsyncFd<UdpSocket>>,
    raw: Arc<Raw>,
    /// What arrived at our own port was sent to a fake address, which is as good as ours.
    port: u16,
}

/// The socket an answer leaves through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// One of ours, an index: the source is a fake address.
    Own(usize),
    /// The source is an address of somebody else.
    Raw { is_ipv4: bool },
}

impl Door {
    /// Registers the sockets with the worker's runtime; all have the same port.
    pub(super) fn open(sockets: Vec<UdpSocket>, raw: Arc<Raw>) -> io::Result<Self> {
        let port = sockets.first().map(UdpSocket::local_addr).transpose()?;
        let sockets = sockets.into_iter().map(watch).collect::<io::Result<_>>()?;
        Ok(Self { sockets, raw, port: port.map_or(0, |address| address.port()) })
    }

    /// How answers get to the client of `flow`, which came in at socket `number`.
    pub(super) fn way(&self, flow: Flow, number: usize) -> Way {
        if flow.local.port() == self.port {
            Way::Own(number)
        } else {
            Way::Raw { is_ipv4: flow.local.is_ipv4() }
        }
    }

    /// Writes into the slot what its way needs.
    pub(super) fn address(batch: &mut Batch, slot: usize, flow: Flow, way: Way) {
        match way {
            Way::Own(_) => batch.address(slot, flow),
            Way::Raw { .. } => batch.head(slot, flow),
        }
    }

    /// Sends answers that all go the same way; returns how many were lost.
    pub(super) fn answer(&self, batch: &mut Batch, mut slots: Range<usize>, way: Way) -> u64 {
        let mut lost = 0;
        while !slots.is_empty() {
            let sent = match way {
                Way::Own(number) => match self.sockets.get(number) {
                    Some(socket) => batch.answer(socket.get_ref().as_fd(), slots.clone()),
                    None => Err(io::ErrorKind::NotConnected.into()),
                },
                Way::Raw { is_ipv4 } => self
                    .raw
                    .socket(is_ipv4)
                    .and_then(|socket| batch.answer_raw(socket, slots.clone())),
            };
            match sent {
                Ok(sent) => slots.start += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(%error, "an answer was not sent");
                    lost += 1;
                    slots.start += 1;
                }
            }
        }
        lost
    }
}
