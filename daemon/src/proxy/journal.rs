//! Keeps one decision record while its request or connection lives, and hands it over once.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use super::worker::{Pinned, Worker};
use crate::record::{Flag, Kind, Pick, Record, Steps};
use crate::telemetry::{EndpointSeries, InFlight, Series};

/// A record in the making. [`Self::finish`] writes it; dropped without, it is written as
/// interrupted, so that every end, abort and panic included, leaves one record.
#[derive(Debug)]
pub(super) struct Journal<'w> {
    worker: &'w Worker,
    pub(super) record: Record,
    started: u64,
    /// End of the last step, on the worker's clock.
    last: u64,
    open: bool,
    series: Option<Rc<Series>>,
    in_flight: Option<InFlight>,
    carrying: Option<Carrying>,
}

/// Counted at an endpoint until dropped.
#[derive(Debug)]
struct Carrying {
    pinned: Pinned,
    endpoint: usize,
    series: Rc<EndpointSeries>,
    _in_flight: Option<InFlight>,
}

impl<'w> Journal<'w> {
    /// Starts a record with what is known of the connection, at `start` on the worker's clock.
    pub(super) fn begin(worker: &'w Worker, record: Record, start: u64) -> Self {
        let unix = worker.clock.unix(start).saturating_sub(record.steps.capture);
        let record = Record { start: unix, ..record };
        Self {
            worker,
            record,
            started: start,
            last: start,
            open: true,
            series: None,
            in_flight: None,
            carrying: None,
        }
    }

    /// The request is known to be for this series.
    pub(super) fn count_in(&mut self, series: &Rc<Series>) {
        self.series = Some(Rc::clone(series));
        self.in_flight = self.is_request().then(|| series.begin());
    }

    /// The step that `step` picks out ends at `now`.
    pub(super) fn step(&mut self, now: u64, step: impl FnOnce(&mut Steps) -> &mut u64) {
        *step(&mut self.record.steps) += now.saturating_sub(self.last);
        self.last = now;
    }

    /// From now on `endpoint` carries it.
    pub(super) fn picked(&mut self, pinned: &Pinned, endpoint: usize, pick: Pick) {
        self.release();
        self.record.pick = Some(pick);
        let Some(chosen) = pinned.endpoints.get(endpoint) else { return };
        chosen.live.in_flight.fetch_add(1, Relaxed);
        let series = self.worker.pool.series(chosen, &self.worker.shard);
        let in_flight = self.is_request().then(|| series.begin());
        let pinned = Rc::clone(pinned);
        self.carrying = Some(Carrying { pinned, endpoint, series, _in_flight: in_flight });
    }

    /// End of the last step, on the worker's clock.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// When it began, on the worker's clock.
    pub(super) const fn started(&self) -> u64 {
        self.started
    }

    /// A TCP connection is none: it is counted as open instead.
    fn is_request(&self) -> bool {
        self.record.kind == Kind::Http
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Its task ends before it does: by a panic, at the end of a drain, or with the client.
    pub(super) fn interrupted(&mut self) {
        if std::thread::panicking() {
            self.record.status = if self.record.status == 0 { 500 } else { self.record.status };
            self.flag(Flag::Panic);
        } else if self.worker.is_draining() {
            self.flag(Flag::Draining);
        } else {
            self.flag(Flag::DownstreamClosed);
        }
        self.step(self.worker.clock.now(), |steps| &mut steps.response);
    }

    /// Leaves no record unless it is [confirmed](Self::confirm) or finished later.
    pub(super) fn tentative(mut self) -> Self {
        self.open = false;
        self
    }

    pub(super) fn confirm(&mut self) {
        self.open = true;
    }

    /// The endpoint does not carry it any more.
    fn release(&mut self) -> Option<Rc<EndpointSeries>> {
        let Carrying { pinned, endpoint, series, .. } = self.carrying.take()?;
        if let Some(endpoint) = pinned.endpoints.get(endpoint) {
            endpoint.live.in_flight.fetch_sub(1, Relaxed);
        }
        Some(series)
    }

    /// It failed for this reason, unless an earlier one is known.
    pub(super) fn flag(&mut self, flag: Flag) {
        if self.record.flag == Flag::None {
            self.record.flag = flag;
        }
    }

    /// Hands the record to metrics and the ring; `host` and `path` go beside it.
    pub(super) fn finish(&mut self, host: &[u8], path: &[u8]) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        if let Some(endpoint) = self.release() {
            endpoint.finish(&self.record);
        }
        let in_flight = self.in_flight.take();
        let series = self.series.take().unwrap_or_else(|| {
            self.worker.shard.series(self.record.service, 0, self.record.source.service)
        });
        series.finish(&self.record);
        drop(in_flight);
        self.worker.ring.push(&self.record, host, path);
    }
}

impl Drop for Journal<'_> {
    fn drop(&mut self) {
        if self.open {
            self.interrupted();
            self.finish(b"", b"");
        }
        self.release();
    }
}
