//! The maps, each with the operations its users need.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray};

use crate::LoadError;
use crate::shared::{Address, RawDestination, RawWish, Transport, number, words};

const LOOKUP: u32 = 1;
const LOOKUP_AND_DELETE: u32 = 21;

/// What one captured `connect()` or `sendto()` asked for, and who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    pub wanted: SocketAddr,
    /// Id of the caller's run scope.
    pub cgroup: u64,
    pub pid: u32,
    pub uid: u32,
    /// `comm`, NUL-padded.
    pub process: [u8; 16],
    /// `CLOCK_MONOTONIC` when it was asked.
    pub at: Duration,
}

/// Captured connects under way, and who asks which resolver. Cheap to clone, no lock.
#[derive(Clone, Debug)]
pub struct Wishes {
    connects: Arc<OwnedFd>,
    questions: Arc<OwnedFd>,
}

impl Wishes {
    pub(crate) fn new(connects: Map, questions: Map) -> Result<Self, LoadError> {
        Ok(Self {
            connects: descriptor("CONNECTS", connects)?,
            questions: descriptor("QUESTIONS", questions)?,
        })
    }

    /// Takes the note of the connection that arrived at the fake address `local`; a second
    /// connection to the same address finds nothing.
    ///
    /// # Errors
    /// Not found: `local` is no fake address, or nobody noted anything under it.
    pub fn take_connect(&self, local: IpAddr) -> io::Result<Wish> {
        ask(&self.connects, LOOKUP_AND_DELETE, local)
    }

    /// Who sends datagrams to the fake address `local`.
    ///
    /// # Errors
    /// As [`Self::take_connect`].
    pub fn question(&self, local: IpAddr) -> io::Result<Wish> {
        ask(&self.questions, LOOKUP, local)
    }
}

fn descriptor(name: &'static str, map: Map) -> Result<Arc<OwnedFd>, LoadError> {
    let Map::LruHashMap(map) = map else { return Err(LoadError::Missing(name)) };
    let owned = map.fd().as_fd().try_clone_to_owned();
    let owned = owned.map_err(|error| LoadError::Map { name, source: MapError::IoError(error) })?;
    Ok(Arc::new(owned))
}

/// `union bpf_attr` for the commands that look an element up.
#[repr(C)]
struct Element {
    map: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

// aya has no lookup-and-delete, and its own lookup wants the map borrowed.
fn ask(map: &OwnedFd, command: u32, local: IpAddr) -> io::Result<Wish> {
    let key = number(local).ok_or(io::ErrorKind::NotFound)?;
    let mut value = MaybeUninit::<RawWish>::zeroed();
    let mut element = Element {
        map: map.as_raw_fd().unsigned_abs(),
        unused: 0,
        key: (&raw const key).addr() as u64,
        value: value.as_mut_ptr().addr() as u64,
        flags: 0,
    };
    let size = size_of::<Element>();
    // SAFETY: the key and the value have the map's sizes (`programs/decide.h` declares them) and outlive
    // the call; `element` is as large as said.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut element, size) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, then filled by the kernel; every bit pattern is a `RawWish`.
    let wish = unsafe { value.assume_init() };
    Ok(Wish {
        wanted: wish.wanted.socket_addr(),
        cgroup: wish.cgroup,
        pid: wish.pid,
        uid: wish.uid,
        process: wish.comm,
        at: Duration::from_nanos(wish.at),
    })
}

/// Which addresses are captured.
#[derive(Debug)]
pub struct Destinations {
    map: HashMap<MapData, Address, RawDestination>,
}

impl Destinations {
    pub(crate) fn new(map: Map) -> Result<Self, LoadError> {
        let map = HashMap::try_from(map);
        Ok(Self { map: map.map_err(|source| LoadError::Map { name: "DESTINATIONS", source })? })
    }

    /// Captures connections to `address`; applications see `source` as their own address, or the
    /// kernel's choice where that is `None`.
    ///
    /// # Errors
    /// The map is full.
    pub fn insert(
        &mut self,
        address: SocketAddr,
        transport: Transport,
        source: Option<IpAddr>,
    ) -> Result<(), MapError> {
        let source = source.map_or([0; 4], words);
        self.map.insert(Address::new(address, transport), RawDestination { source }, 0)
    }

    /// # Errors
    /// It was not captured.
    pub fn remove(&mut self, address: SocketAddr, transport: Transport) -> Result<(), MapError> {
        self.map.remove(&Address::new(address, transport))
    }
}

/// What the programs did, since they were loaded.
#[derive(Clone)]
pub struct Counters {
    map: Arc<PerCpuArray<MapData, u64>>,
}

impl Counters {
    pub(crate) fn new(map: Map) -> Result<Self, LoadError> {
        let map = PerCpuArray::try_from(map);
        let map = map.map_err(|source| LoadError::Map { name: "COUNTS", source })?;
        Ok(Self { map: Arc::new(map) })
    }

    pub fn connections(&self) -> u64 {
        self.sum(0)
    }

    /// Sockets and datagrams taken to the DNS server.
    pub fn questions(&self) -> u64 {
        self.sum(1)
    }

    /// Connects to a virtual address's undeclared port.
    pub fn refused(&self) -> u64 {
        self.sum(2)
    }

    fn sum(&self, counter: u32) -> u64 {
        self.map.get(&counter, 0).map_or(0, |per_cpu| per_cpu.iter().sum())
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

pub(crate) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, LoadError> {
    ebpf.take_map(name).ok_or(LoadError::Missing(name))
}
