//! Short sleeps of a worker while datagrams come so fast that waking for each costs more than
//! carrying it, as network cards hold back interrupts.
//!
//! Only a worker that has nothing else to do sleeps; what comes for it meanwhile waits as long.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// How long datagrams gather: what a nap adds to the way of one, at most.
const LENGTH: Duration = Duration::from_micros(100);
/// Over how long their rate is taken (nanoseconds), and from how many on a nap pays. One client
/// that waits for each answer stays below it.
const SPAN: u64 = 1_000_000;
const MANY: u64 = 64;

/// The rate of a worker's datagrams, and whether a nap follows.
#[derive(Debug, Default)]
pub(super) struct Nap {
    due: Arc<Due>,
    since: Cell<u64>,
    moved: Cell<u64>,
    many: Cell<bool>,
}

/// What the worker's runtime asks before it waits.
#[derive(Debug, Default)]
pub(super) struct Due(AtomicBool);

impl Nap {
    pub(super) fn new(due: Arc<Due>) -> Self {
        Self { due, ..Self::default() }
    }

    /// `moved` datagrams were carried in a turn that began at `now`.
    pub(super) fn note(&self, moved: usize, now: u64) {
        let moved_so_far = self.moved.get() + moved as u64;
        let span = now.saturating_sub(self.since.get());
        if span < SPAN {
            self.moved.set(moved_so_far);
        } else {
            self.many.set(moved_so_far >= MANY * span / SPAN);
            self.since.set(now);
            self.moved.set(0);
        }
        if moved > 0 && self.many.get() {
            self.due.0.store(true, Relaxed);
        }
    }
}

impl Due {
    /// The worker has nothing to do.
    #[expect(clippy::disallowed_methods, reason = "nothing else of the runtime could run")]
    pub(super) fn take(&self) {
        if self.0.swap(false, Relaxed) {
            thread::sleep(LENGTH);
        }
    }
}

/// The kernel may wake this thread late by no more than this, so that a nap is as short as meant.
pub(super) fn sleep_exactly() {
    /// Nanoseconds.
    const SLACK: libc::c_ulong = 1_000;
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rate_one_client_cannot_reach_alone_brings_naps() {
        assert!(!naps(3, SPAN / 20), "60 datagrams per millisecond");
        assert!(naps(4, SPAN / 20), "80 datagrams per millisecond");
        assert!(!naps(80, 2 * SPAN), "a burst every other millisecond");
        assert!(!naps(0, SPAN), "nothing moved");
    }

    /// Whether a worker that carries `moved` datagrams every so often naps in between.
    fn naps(moved: usize, every: u64) -> bool {
        let due = Arc::new(Due::default());
        let nap = Nap::new(Arc::clone(&due));
        (1..100).for_each(|turn| nap.note(moved, turn * every));
        due.0.load(Relaxed)
    }
}
