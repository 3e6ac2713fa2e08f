//! What captured calls asked for, and who asked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::notes::Notes;
use super::raw::Shared;
use crate::LoadError;
use crate::shared::{RawWish, number};

/// What one captured `connect()` or `sendto()` asked for, and who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    pub wanted: SocketAddr,
    /// What [`crate::Rule`] calls the caller.
    pub workload: u64,
    pub pid: u32,
    pub uid: u32,
    /// `comm`, NUL-padded.
    pub process: [u8; 16],
    /// `CLOCK_MONOTONIC` when it was asked.
    pub at: Duration,
}

/// Captured connects under way, and who sends datagrams where. Cheap to clone, no lock.
#[derive(Clone, Debug)]
pub struct Wishes {
    connects: Arc<Notes>,
    flows: Shared<u64, RawWish>,
}

impl Wishes {
    pub(crate) fn of(ebpf: &aya::Ebpf) -> Result<Self, LoadError> {
        Ok(Self { connects: Arc::new(Notes::of(ebpf)?), flows: Shared::of(ebpf, "FLOWS")? })
    }

    /// Takes the note of the connection that arrived at the fake address `local`; a second
    /// connection to the same address finds nothing.
    ///
    /// # Errors
    /// Not found: `local` is no fake address, or nobody noted anything under it.
    pub fn take_connect(&self, local: IpAddr) -> io::Result<Wish> {
        let noted = self.connects.take_out(key(local)?);
        Ok(wish(&noted.ok_or(io::ErrorKind::NotFound)?))
    }

    /// Who sends datagrams to the fake address `local`.
    ///
    /// # Errors
    /// As [`Self::take_connect`].
    pub fn flow(&self, local: IpAddr) -> io::Result<Wish> {
        Ok(wish(&self.flows.get(key(local)?)?))
    }
}

fn key(local: IpAddr) -> io::Result<u64> {
    number(local).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn wish(raw: &RawWish) -> Wish {
    Wish {
        wanted: raw.wanted.socket_addr(),
        workload: raw.workload,
        pid: raw.pid,
        uid: raw.uid,
        process: raw.comm,
        at: Duration::from_nanos(raw.at),
    }
}
