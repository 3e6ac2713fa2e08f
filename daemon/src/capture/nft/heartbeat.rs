//! Keeps the table's lease: while meshd runs, a packet of ours refreshes an element of the table;
//! without it every rule that captures lets pass.
//!
//! A packet, because a transaction several times a second would be heard by every listener on
//! this host. A thread of its own: the lease stands for this process, not for a busy runtime.
//! The rule that knows the packet drops it, so sending it fails; when it does not, the table is
//! not there.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};

use socket2::{Domain, Socket, Type};

use super::ruleset::LEASE;
use crate::capture::netns::Site;
use crate::config;

/// Several within a lease: a host under load may be late with some.
const BEATS: u32 = 6;

/// Beats until dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    heard: Arc<AtomicBool>,
}

impl Heartbeat {
    /// The first beat is out when this returns.
    pub(super) fn start(config: &config::Capture, site: &Site) -> io::Result<Self> {
        let (mark, port) = (config.mark_own, config.udp_port);
        let socket = site.inside(|| socket(mark, port))?;
        let (stop, stopped) = channel::<()>();
        let heard = Arc::new(AtomicBool::new(beat(&socket)));
        let pulse = Arc::clone(&heard);
        let thread = thread::Builder::new().name("lease".to_owned()).spawn(move || {
            while stopped.recv_timeout(LEASE / BEATS) == Err(RecvTimeoutError::Timeout) {
                pulse.store(beat(&socket), Ordering::Relaxed);
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread), heard })
    }

    /// The table heard the last beat.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only panics if the standard library does.
            drop(thread.join());
        }
    }
}

fn socket(mark: u32, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_mark(mark)?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

fn beat(socket: &UdpSocket) -> bool {
    socket.send(&[]).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
