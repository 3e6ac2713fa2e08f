//! Tells the service manager how meshd is doing: ready, alive, stopping (`sd_notify`).
//!
//! Without `NOTIFY_SOCKET` in the environment nobody is told, and nothing else changes.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Signs of life per watchdog interval: one may be late without a restart.
const SIGNS_PER_INTERVAL: u32 = 3;

#[derive(Debug)]
pub(super) struct Manager {
    /// `None`: started by hand.
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Manager {
    pub(super) fn from_environment() -> Self {
        let socket = std::env::var("NOTIFY_SOCKET").ok().and_then(|name| {
            open(&name).inspect_err(|error| warn!(%error, name, "NOTIFY_SOCKET is no use")).ok()
        });
        let variable = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let for_us =
            variable("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = variable("WATCHDOG_USEC").filter(|usec| for_us && *usec > 0);
        Self { socket, watchdog: watchdog.map(Duration::from_micros) }
    }

    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// How often [`Self::alive`] has to be called; `None` when nobody watches.
    fn interval(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        self.watchdog.map(|watchdog| watchdog / SIGNS_PER_INTERVAL)
    }

    fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, state: &str) {
        if let Some((socket, manager)) = &self.socket
            && let Err(error) = socket.send_to_addr(state.as_bytes(), manager)
        {
            warn!(%error, state, "the service manager was not told");
        }
    }
}

fn open(name: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    Ok((UnixDatagram::unbound()?, address))
}

/// Sends signs of life until `stop`: they end when the control runtime hangs, and the manager
/// then restarts meshd.
pub(super) async fn watchdog(manager: Arc<Manager>, stop: CancellationToken) {
    let Some(interval) = manager.interval() else { return };
    let mut ticks = tokio::time::interval(interval);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        manager.alive();
    }
}
