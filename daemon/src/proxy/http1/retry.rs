//! A second try, where it cannot do harm: nothing of an answer has reached the client, and the
//! request is idempotent and still whole in our hands.
//!
//! A pooled connection that died is nobody's failure and costs nothing; everything else needs a
//! route that asks for retries, another endpoint where there is one, and a pause.

use std::time::Duration;

use tokio::time::sleep;

use super::exchange::Exchange;
use super::reply::Refusal;
use crate::proxy::clock::nanos;

/// Mean pause before the first retry, where the route names none; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(25);
const MAX_BACKOFF: Duration = Duration::from_millis(250);

impl Exchange<'_> {
    /// The route wants another attempt after an answer with this status, or after none (`None`).
    pub(super) fn may_retry(&self, status: Option<u16>) -> bool {
        let Some(rule) = self.rule() else { return false };
        self.retries < rule.retries
            && !self.replay.is_empty()
            && status.is_none_or(|status| rule.retry_codes.contains(&status))
    }

    /// The connection died before it answered. Says whether the request goes out again.
    pub(super) fn revive(&mut self) -> bool {
        let stale = self.upstream.take().is_some_and(|upstream| upstream.reused);
        if !stale || self.replay.is_empty() {
            return false;
        }
        self.queue_again();
        true
    }

    /// Pauses and turns to another endpoint, or to the same one where it is the only one.
    pub(super) async fn retry(&mut self) -> Result<(), Refusal> {
        self.upstream = None;
        self.answer.reset();
        let mean = self.rule().and_then(|rule| rule.retry_backoff).unwrap_or(BACKOFF);
        let ceiling = mean.saturating_mul(2 << self.retries.min(8)).min(MAX_BACKOFF);
        self.retries += 1;
        let pause = self.worker.dice.roll() % nanos(ceiling).max(1);
        sleep(Duration::from_nanos(pause)).await;
        self.exclude_current();
        if self.pick().is_err() {
            self.failed.clear();
            self.pick()?;
        }
        self.queue_again();
        Ok(())
    }

    /// The whole request waits to be sent once more.
    fn queue_again(&mut self) {
        self.upload.forget_unsent();
        self.upload_broken = false;
        self.upload.queue(&self.replay);
    }

    /// Starts the time one attempt may take.
    pub(super) fn attempt_begins(&mut self, now: u64) {
        let limit = self.rule().and_then(|rule| rule.attempt_timeout);
        self.attempt_deadline = limit.map_or(u64::MAX, |limit| now + nanos(limit));
    }
}
