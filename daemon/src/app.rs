//! Wires the daemon: the only place that knows every module.

/// Runs the daemon until it is told to stop.
pub fn run() {}
