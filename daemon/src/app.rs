//! Wires the daemon: the only place that knows every module.

mod error;

use crate::config::Config;

pub use error::StartError;

/// Runs the daemon until it is told to stop.
pub fn run(_config: Config) -> Result<(), StartError> {
    Ok(())
}

/// Removes what a daemon with these settings left on the host.
pub fn cleanup(_config: &Config) -> Result<(), StartError> {
    Ok(())
}
