//! How much counters grew: per frame, added up over frames, and as rates.

use std::collections::HashMap;
use std::time::Duration;

use crate::telemetry::Totals;
use crate::telemetry::cells::Load;
use crate::telemetry::histogram::Histogram;

/// The growth within one step, only of what grew.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) length: Duration,
    loads: HashMap<(u32, u32), Growth>,
    endpoints: HashMap<u32, Growth>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    requests: u64,
    failed: u64,
    opened: u64,
    sent: u64,
    received: u64,
}

#[derive(Debug)]
struct Growth {
    counts: Counts,
    /// Bucket and count.
    latencies: Box<[(u16, u32)]>,
}

impl Frame {
    pub(super) fn between(before: &Totals, after: &Totals, length: Duration) -> Self {
        let none = Load::default();
        let loads = after.loads.iter().filter_map(|(key, now)| {
            Some((*key, Growth::between(before.loads.get(key).unwrap_or(&none), now)?))
        });
        let endpoints = after.endpoints.iter().filter_map(|(id, now)| {
            Some((*id, Growth::between(before.endpoints.get(id).unwrap_or(&none), now)?))
        });
        Self { length, loads: loads.collect(), endpoints: endpoints.collect() }
    }
}

impl Growth {
    fn between(before: &Load, after: &Load) -> Option<Self> {
        let grown = |pick: fn(&Load) -> u64| pick(after).saturating_sub(pick(before));
        let counts = Counts {
            requests: grown(|load| load.requests),
            failed: grown(|load| load.failed),
            opened: grown(|load| load.opened),
            sent: grown(|load| load.sent),
            received: grown(|load| load.received),
        };
        if counts == Counts::default() {
            return None;
        }
        let latencies = after.latencies.grown_since(&before.latencies);
        // There are fewer buckets than u16 can count; a second has fewer requests than u32 can.
        let latencies = latencies.map(|(bucket, by)| (bucket as u16, by as u32)).collect();
        Some(Self { counts, latencies })
    }
}

/// Frames added up.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) loads: HashMap<(u32, u32), Grown>,
    pub(super) endpoints: HashMap<u32, Grown>,
}

#[derive(Debug, Default)]
pub(super) struct Grown {
    counts: Counts,
    latencies: Histogram,
}

impl Sum {
    pub(super) fn add(&mut self, frame: &Frame) {
        for (key, growth) in &frame.loads {
            self.loads.entry(*key).or_default().add(growth);
        }
        for (id, growth) in &frame.endpoints {
            self.endpoints.entry(*id).or_default().add(growth);
        }
    }
}

impl Grown {
    fn add(&mut self, growth: &Growth) {
        self.counts.add(&growth.counts);
        for &(bucket, by) in &growth.latencies {
            self.latencies.add(usize::from(bucket), u64::from(by));
        }
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.opened += other.opened;
        self.sent += other.sent;
        self.received += other.received;
    }
}

/// One row's growth within the window, and its totals now.
pub(super) type Row<'a> = (Option<&'a Grown>, Option<&'a Load>);

/// What a row of `top` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) rps: f64,
    /// Share of requests without a 5xx or response flag, 0 to 1; `None` without requests.
    pub(crate) success: Option<f64>,
    /// Milliseconds; `None` without requests.
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Connections open now.
    pub(crate) open: u64,
    pub(crate) connections_per_second: f64,
    pub(crate) sent_per_second: f64,
    pub(crate) received_per_second: f64,
    /// Since the daemon started.
    pub(crate) requests_total: u64,
    pub(crate) errors_total: u64,
}

impl Numbers {
    pub(super) fn over<'a>(seconds: f64, rows: impl IntoIterator<Item = Row<'a>>) -> Self {
        let mut numbers = Self::default();
        let mut counts = Counts::default();
        let mut latencies = Histogram::default();
        for (grown, now) in rows {
            if let Some(grown) = grown {
                counts.add(&grown.counts);
                latencies.merge(&grown.latencies);
            }
            if let Some(now) = now {
                numbers.open += now.open();
                numbers.requests_total += now.requests;
                numbers.errors_total += now.failed;
            }
        }
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let quantile = |q| latencies.quantile(q).map(|nanos| nanos / 1e6);
        Self {
            rps: per_second(counts.requests),
            success: (counts.requests > 0)
                .then(|| 1.0 - counts.failed as f64 / counts.requests as f64),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            connections_per_second: per_second(counts.opened),
            sent_per_second: per_second(counts.sent),
            received_per_second: per_second(counts.received),
            ..numbers
        }
    }
}
