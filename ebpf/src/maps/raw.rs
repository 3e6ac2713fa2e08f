//! Single elements of a map that many threads share: aya wants a map that is written for itself.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;

use aya::Pod;
use aya::maps::{Map, MapError};

use crate::LoadError;

const LOOKUP: u32 = 1;
const UPDATE: u32 = 2;
const DELETE: u32 = 3;

/// A hash map of `K` to `V` whose elements many threads ask for; cheap to clone, no lock.
#[derive(Clone, Debug)]
pub(crate) struct Shared<K, V> {
    map: Arc<OwnedFd>,
    types: std::marker::PhantomData<fn(K) -> V>,
}

/// `union bpf_attr` for the commands about one element.
#[repr(C)]
struct Element {
    map: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl<K: Pod, V: Pod> Shared<K, V> {
    /// `K` and `V` must be what `programs/maps.h` declares for `name`.
    pub(crate) fn of(ebpf: &aya::Ebpf, name: &'static str) -> Result<Self, LoadError> {
        let map = ebpf.map(name).ok_or(LoadError::Missing(name))?;
        let (Map::LruHashMap(map) | Map::HashMap(map)) = map else {
            return Err(LoadError::Missing(name));
        };
        let owned = map.fd().as_fd().try_clone_to_owned();
        let owned =
            owned.map_err(|error| LoadError::Map { name, source: MapError::IoError(error) })?;
        Ok(Self { map: Arc::new(owned), types: std::marker::PhantomData })
    }

    pub(crate) fn get(&self, key: K) -> io::Result<V> {
        let mut value = MaybeUninit::<V>::zeroed();
        self.call(LOOKUP, &raw const key, value.as_mut_ptr())?;
        // SAFETY: zeroed, then filled by the kernel; every bit pattern is a value of a `Pod`.
        Ok(unsafe { value.assume_init() })
    }

    pub(crate) fn put(&self, key: K, mut value: V) -> io::Result<()> {
        self.call(UPDATE, &raw const key, &raw mut value)
    }

    pub(crate) fn remove(&self, key: K) -> io::Result<()> {
        self.call(DELETE, &raw const key, std::ptr::null_mut())
    }

    fn call(&self, command: u32, key: *const K, value: *mut V) -> io::Result<()> {
        let mut element = Element {
            map: self.map.as_raw_fd().unsigned_abs(),
            unused: 0,
            key: key.addr() as u64,
            value: value.addr() as u64,
            flags: 0,
        };
        let size = size_of::<Element>();
        // SAFETY: the key and the value, where the command has one, have the map's sizes
        // ([`Self::of`]) and outlive the call; `element` is as large as said.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut element, size) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
