//! The heartbeat the programs go by.

use std::mem::MaybeUninit;
use std::time::Duration;

use aya::maps::{Array, MapData, MapError};

use crate::LoadError;

/// While it runs, the programs take meshd for alive. There is one holder.
pub struct Lease {
    map: Array<MapData, u64>,
}

impl Lease {
    pub(crate) fn take(ebpf: &mut aya::Ebpf) -> Result<Self, LoadError> {
        Ok(Self { map: super::take(ebpf, "LEASE")? })
    }

    /// Runs until so long from now, whatever it was before.
    ///
    /// # Errors
    /// The kernel refused the write.
    pub fn renew(&mut self, duration: Duration) -> Result<(), MapError> {
        let until = u64::try_from((now() + duration).as_nanos()).unwrap_or(u64::MAX);
        self.map.set(0, until, 0)
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

/// The clock `bpf_ktime_get_ns` reads.
fn now() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the clock exists on every Linux, and `time` has room for its value; zeroed, it is a
    // value whatever the kernel does.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    };
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
