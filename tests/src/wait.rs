//! Waiting for what a daemon does in its own time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Asks `probe` until it says `Ok`, at most `deadline`; then panics with the last thing it said.
///
/// Polling is the only wait in the specifications: nothing sleeps and hopes.
pub fn eventually<T, E: Display>(
    what: &str,
    deadline: Duration,
    mut probe: impl FnMut() -> Result<T, E>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if Instant::now() >= end => panic!("{what}: not within {deadline:?}: {last}"),
            Err(_) => pause(Duration::from_millis(10)),
        }
    }
}

/// Like [`eventually`], for a condition without a value.
pub fn until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    eventually(what, deadline, || if holds() { Ok(()) } else { Err("still not so") });
}

/// A pause that is part of a scenario (a slow client, a backend's delay), never synchronisation.
#[allow(clippy::disallowed_methods, reason = "threads of the harness, no runtime to block")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
