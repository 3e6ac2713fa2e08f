//! The heartbeat that tells the BPF programs meshd is alive.
//!
//! A thread of its own: neither a slow disk nor a busy runtime must look like death. What stops
//! it, stops the process: SIGKILL, SIGSTOP, a frozen cgroup.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mesh_ebpf::Lease;
use tracing::error;

/// Foreign traffic flows again after this at the latest.
const LENGTH: Duration = Duration::from_millis(900);
const RENEWAL: Duration = Duration::from_millis(100);

/// Renews the lease until it is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// The first renewal is done when this returns.
    pub(super) fn start(mut lease: Lease) -> io::Result<Self> {
        lease.renew(LENGTH).map_err(io::Error::other)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("lease".to_owned()).spawn(move || {
            go_first();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(RENEWAL) {
                if let Err(error) = lease.renew(LENGTH) {
                    error!(%error, "the lease of capture cannot be renewed");
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the lease's thread panicked");
        }
    }
}

/// A host that is busy is not one whose meshd died.
fn go_first() {
    // SAFETY: numbers only; 0 is the calling thread. Without the right to it nothing changes.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, -20);
    }
}
