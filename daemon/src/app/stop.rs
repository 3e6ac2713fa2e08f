//! Signals, and the stop: capture goes first, then what is open may end, then the rest.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::start::Daemon;
use crate::telemetry::Phase;

/// How long a daemon that was started for a run waits for it.
const FIRST_RUN: Duration = Duration::from_secs(30);

impl Daemon {
    /// Serves until SIGTERM or SIGINT; SIGHUP reloads.
    pub(super) async fn until_told(&mut self) {
        let (mut terminate, mut interrupt, mut hang_up) = match (
            listen(SignalKind::terminate()),
            listen(SignalKind::interrupt()),
            listen(SignalKind::hangup()),
        ) {
            (Some(terminate), Some(interrupt), Some(hang_up)) => (terminate, interrupt, hang_up),
            _ => return,
        };
        loop {
            tokio::select! {
                _ = terminate.recv() => return info!(signal = "SIGTERM", "stopping"),
                _ = interrupt.recv() => return info!(signal = "SIGINT", "stopping"),
                _ = hang_up.recv() => self.reload().await,
                () = self.out_of_runs() => return info!("no run is left, stopping"),
            }
        }
    }

    /// Returns when the last run has ended, or none came, where that is a reason to stop.
    async fn out_of_runs(&self) {
        let (true, Some(guests)) = (self.config.ends_with_runs, &self.guests) else {
            return std::future::pending().await;
        };
        loop {
            let _none_came = timeout(FIRST_RUN, guests.idle.notified()).await;
            if guests.rootless.close_if_empty() {
                return;
            }
        }
    }

    /// Takes everything back, in the reverse order of the start.
    pub(super) async fn stop(self) {
        self.telemetry.readiness.enter(Phase::Draining);
        if let Some(guests) = &self.guests {
            guests.rootless.close();
        }
        let capture = self.capture.lock().await.take();
        if let Some(capture) = capture {
            for left in capture.remove().await {
                error!(left, "capture could not be removed whole");
            }
        }
        for left in self.runs.iter().flat_map(|runs| runs.dissolve()) {
            warn!(left, "a run could not be dissolved");
        }
        // Who stops meshd may have changed its mind about how long that takes.
        let grace = self.config.reload().map_or(self.config.drain.grace, |now| now.drain.grace);
        let cut = self.workers.drain(grace).await;
        if cut > 0 {
            warn!(cut, "connections were cut at the end of the grace");
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(access_log) = self.access_log {
            access_log.stop();
        }
        info!("stopped");
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind).inspect_err(|error| error!(%error, "signals cannot be received")).ok()
}
