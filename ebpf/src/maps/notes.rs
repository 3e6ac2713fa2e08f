//! Connects under way, in memory shared with the programs: who accepts one reads and frees its note
//! without a call into the kernel.

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use aya::maps::{Map, MapError};

use crate::LoadError;
use crate::shared::{NOTES, RawWish};

const NAME: &str = "CONNECTS";
const BYTES: usize = NOTES * size_of::<Note>();

/// `struct mesh_note`. Whoever changes `number` from what it saw to another value has the wish.
#[repr(C)]
#[derive(Debug)]
struct Note {
    /// 0 = free.
    number: AtomicU64,
    wish: UnsafeCell<RawWish>,
}

const _: () = assert!(size_of::<Note>() == 72);

/// The map, as long as this lives.
#[derive(Debug)]
pub(crate) struct Notes(NonNull<Note>);

// SAFETY: atomics, and wishes that are only copied; see `take_out`.
unsafe impl Send for Notes {}
// SAFETY: as above.
unsafe impl Sync for Notes {}

impl Notes {
    pub(crate) fn of(ebpf: &aya::Ebpf) -> Result<Self, LoadError> {
        let Some(Map::Array(map)) = ebpf.map(NAME) else { return Err(LoadError::Missing(NAME)) };
        let map = map.fd().as_fd().as_raw_fd();
        let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping, of the size `programs/maps.h` declares.
        let memory = unsafe { libc::mmap(ptr::null_mut(), BYTES, access, shared, map, 0) };
        let memory = NonNull::new(memory).filter(|at| at.as_ptr() != libc::MAP_FAILED);
        let failed = || {
            let source = MapError::IoError(io::Error::last_os_error());
            LoadError::Map { name: NAME, source }
        };
        Ok(Self(memory.ok_or_else(failed)?.cast()))
    }

    /// What was noted under `number`, which is free from now on.
    pub(crate) fn take_out(&self, number: u64) -> Option<RawWish> {
        let at = usize::try_from(number % NOTES as u64).ok()?;
        // SAFETY: one of `NOTES` that are mapped as long as `self` lives.
        let note = unsafe { self.0.add(at).as_ref() };
        if number == 0 || note.number.load(Acquire) != number {
            return None;
        }
        // SAFETY: mapped, as above. Programs write a wish only where they changed its number
        // before: then it is not `number` below, and what was read here is not used.
        let wish = unsafe { note.wish.get().read_volatile() };
        note.number.compare_exchange(number, 0, AcqRel, Relaxed).ok().map(|_number| wish)
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        // SAFETY: mapped by `of`, in one piece.
        unsafe { libc::munmap(self.0.as_ptr().cast(), BYTES) };
    }
}
