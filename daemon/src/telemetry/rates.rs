//! Rates and quantiles of the last seconds, for `top`, `stat` and `status`.
//!
//! Once per second the growth of every counter is kept as one frame, buckets that did not grow
//! left out, so that an idle row costs nothing. A question adds up the frames of its window and
//! what has grown since the last one: an answer is never a second old.

mod growth;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use self::growth::Numbers;
use self::growth::{Frame, Sum};
use super::{Telemetry, Totals};
use crate::state::{Endpoint, Service, Snapshot};

/// Longest window anyone may ask for.
pub(crate) const LONGEST: Duration = Duration::from_secs(300);
const STEP: Duration = Duration::from_secs(1);

/// Clones share the frames.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    telemetry: Telemetry,
    history: Arc<Mutex<History>>,
}

#[derive(Debug)]
struct History {
    /// Newest last.
    frames: VecDeque<Frame>,
    last: Totals,
    at: Instant,
}

/// What happened within one window.
#[derive(Debug)]
pub(crate) struct Window {
    /// What the numbers cover: the window asked for, or less shortly after start.
    pub(crate) covered: Duration,
    sum: Sum,
    now: Totals,
}

impl Rates {
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        let history =
            History { frames: VecDeque::new(), last: telemetry.totals(), at: Instant::now() };
        Self { telemetry, history: Arc::new(Mutex::new(history)) }
    }

    /// Keeps a frame per second until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.sample(Instant::now());
        }
    }

    fn sample(&self, now: Instant) {
        let totals = self.telemetry.totals();
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = Frame::between(&history.last, &totals, now.duration_since(history.at));
        history.frames.push_back(frame);
        let kept = usize::try_from(LONGEST.as_secs()).unwrap_or_default();
        while history.frames.len() > kept {
            history.frames.pop_front();
        }
        history.last = totals;
        history.at = now;
    }

    /// The last `length` (at most [`LONGEST`]), to the nearest second.
    pub(crate) fn window(&self, length: Duration) -> Window {
        self.window_at(length, Instant::now())
    }

    fn window_at(&self, length: Duration, now: Instant) -> Window {
        let totals = self.telemetry.totals();
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = Frame::between(&history.last, &totals, now.duration_since(history.at));
        let mut covered = newest.length;
        let mut sum = Sum::default();
        sum.add(&newest);
        for frame in history.frames.iter().rev() {
            if covered + STEP / 2 >= length.min(LONGEST) {
                break;
            }
            covered += frame.length;
            sum.add(frame);
        }
        Window { covered, sum, now: totals }
    }
}

impl Window {
    /// Everything this node carried.
    pub(crate) fn total(&self) -> Numbers {
        let keys = self.now.loads.keys();
        self.numbers(keys.map(|key| (self.sum.loads.get(key), self.now.loads.get(key))))
    }

    /// `open` counts the applications' connections to it.
    pub(crate) fn service(&self, service: &Service) -> Numbers {
        let keys = (service.id, 0)..=(service.id, u32::MAX);
        let loads = self.now.loads.range(keys);
        self.numbers(loads.map(|(key, now)| (self.sum.loads.get(key), Some(now))))
    }

    /// `open` counts our connections to its endpoints.
    pub(crate) fn subset(&self, snapshot: &Snapshot, service: &Service, subset: usize) -> Numbers {
        let id = service.subsets.get(subset).map_or(0, |subset| subset.id);
        let key = (service.id, id);
        let own = self.numbers([(self.sum.loads.get(&key), self.now.loads.get(&key))]);
        let within = snapshot.endpoints.iter().filter(|endpoint| {
            let found = snapshot.services.get(endpoint.service);
            endpoint.subset == subset && found.is_some_and(|found| found.id == service.id)
        });
        let open = within.filter_map(|endpoint| self.now.endpoints.get(&endpoint.id));
        Numbers { open: open.map(super::cells::Load::open).sum(), ..own }
    }

    /// `open` counts our connections to it.
    pub(crate) fn endpoint(&self, endpoint: &Endpoint) -> Numbers {
        let id = &endpoint.id;
        self.numbers([(self.sum.endpoints.get(id), self.now.endpoints.get(id))])
    }

    fn numbers<'a>(&self, rows: impl IntoIterator<Item = growth::Row<'a>>) -> Numbers {
        Numbers::over(self.covered.as_secs_f64(), rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MetricsCompat;
    use crate::state::Interner;
    use crate::telemetry::testing;

    // covers: MET-10
    #[test]
    fn rates_cover_the_window_and_fall_to_nothing_after_it() {
        let telemetry = Telemetry::new(MetricsCompat::None);
        let rates = Rates::new(telemetry.clone());
        let start = rates.history.lock().unwrap().at;
        let names = Interner::new();
        let snapshot = testing::snapshot(&names);
        let web = telemetry.shard().series(names.id("web"), names.id("v1"), 0);
        for second in 1..=20 {
            for _ in 0..if second <= 10 { 100 } else { 0 } {
                web.finish(&testing::answered(200, 5_000_000));
            }
            rates.sample(start + Duration::from_secs(second));
        }
        let over = |seconds| {
            let now = start + Duration::from_secs(20);
            let window = rates.window_at(Duration::from_secs(seconds), now);
            let web = window.service(&snapshot.services[0]);
            (window.covered.as_secs(), web.rps, web.success, web.requests_total)
        };
        assert_eq!(over(20), (20, 50.0, Some(1.0), 1000));
        assert_eq!(over(15), (15, 500.0 / 15.0, Some(1.0), 1000));
        assert_eq!(over(10), (10, 0.0, None, 1000));
        assert_eq!(over(300).0, 20);
    }
}
