//! Short sleeps of a worker while datagrams follow each other fast: those that come together go
//! on together, which is cheaper than to be woken for each, as network cards hold back interrupts.
//!
//! Only a worker that has nothing else to do sleeps; what comes for it meanwhile waits as long.
//! Questions and answers one by one bring no nap, however many there are.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// How long datagrams gather: what a nap adds to the way of one, at most.
const LENGTH: Duration = Duration::from_micros(100);
/// Over how long followers are counted (nanoseconds), and from how many on a nap pays.
const SPAN: u64 = 1_000_000;
const MANY: u64 = 32;

/// The rate of datagrams that went on with the one before them, and whether a nap is due.
#[derive(Debug, Default)]
pub(super) struct Nap {
    due: Arc<Due>,
    since: Cell<u64>,
    followers: Cell<u64>,
    many: Cell<bool>,
}

/// What the worker's runtime asks before it waits.
#[derive(Debug, Default)]
pub(super) struct Due(AtomicBool);

impl Nap {
    pub(super) fn new(due: Arc<Due>) -> Self {
        Self { due, ..Self::default() }
    }

    /// So many in a turn that began at `now`.
    pub(super) fn note(&self, followers: u64, now: u64) {
        let all = self.followers.get() + followers;
        let span = now.saturating_sub(self.since.get());
        if span < SPAN {
            self.followers.set(all);
        } else {
            self.many.set(all >= MANY * span / SPAN);
            self.since.set(now);
            self.followers.set(0);
        }
        if followers > 0 && self.many.get() {
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
    fn naps_come_with_many_followers_and_end_with_them() {
        assert!(naps(2, SPAN / 20), "40 per millisecond");
        assert!(!naps(1, SPAN / 20), "20 per millisecond");
        assert!(!naps(60, 2 * SPAN), "a burst every other millisecond");
        assert!(!naps(0, SPAN / 20), "none");
    }

    /// Whether a worker naps in which so many are noted every so often.
    fn naps(followers: u64, every: u64) -> bool {
        let due = Arc::new(Due::default());
        let nap = Nap::new(Arc::clone(&due));
        (1..100).for_each(|turn| nap.note(followers, turn * every));
        due.0.load(Relaxed)
    }
}
