//! Lines on their way to a sink that may block: bounded, so the daemon never waits for its log.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines kept while the sink does not take them; more are lost and counted.
const WAITING: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Queue {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    lines: VecDeque<Vec<u8>>,
    /// The writer holds lines it took and has not written yet.
    writing: bool,
    /// Since the last report.
    lost: u64,
}

impl Queue {
    /// Never blocks on the sink. False when the line was lost.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut pending = self.lock();
        if pending.lines.len() >= WAITING {
            pending.lost += 1;
            return false;
        }
        pending.lines.push_back(line.to_owned());
        self.changed.notify_all();
        true
    }

    /// Waits until everything pushed so far is written, at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let pending = self.lock();
        let busy = |pending: &mut Pending| pending.writing || !pending.lines.is_empty();
        drop(self.changed.wait_timeout_while(pending, patience, busy));
    }

    /// Writes lines to `sink` for ever; `lost` makes the line that reports a gap.
    pub(super) fn drain(self: &Arc<Self>, sink: &mut impl Write, lost: impl Fn(u64) -> Vec<u8>) {
        loop {
            let (mut lines, gap) = self.take();
            if gap > 0 {
                lines.push_back(lost(gap));
            }
            for line in lines {
                // A log that cannot be written has nobody left to be told.
                drop(sink.write_all(&line));
            }
            drop(sink.flush());
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }

    fn take(&self) -> (VecDeque<Vec<u8>>, u64) {
        let idle = |pending: &mut Pending| pending.lines.is_empty();
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut pending = waited.unwrap_or_else(PoisonError::into_inner);
        pending.writing = true;
        (std::mem::take(&mut pending.lines), std::mem::take(&mut pending.lost))
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
