//! A worker's time and dice.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the worker started; one anchor to Unix time.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    unix: u64,
}

impl Clock {
    pub(super) fn new() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), unix: nanos(unix) }
    }

    pub(super) fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    /// A moment of this clock, for who measures by another.
    pub(super) fn instant(&self, moment: u64) -> Instant {
        self.start + Duration::from_nanos(moment)
    }

    /// Unix time of a moment of this clock.
    pub(super) const fn unix(&self, moment: u64) -> u64 {
        self.unix.saturating_add(moment)
    }
}

/// As a number of nanoseconds; 584 years at most.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// xorshift64: ids need to be distinct, not secret.
#[derive(Debug)]
pub(super) struct Dice(Cell<u64>);

impl Dice {
    pub(super) fn new() -> Self {
        // The standard library seeds its hashers from the kernel.
        Self(Cell::new(RandomState::new().build_hasher().finish() | 1))
    }

    pub(super) fn roll(&self) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        // Scrambled, so that consecutive ids do not look alike.
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
