//! The BPF programs that take a process's connections to meshd, and their typed loader.
//!
//! A captured `connect()` is sent to a fake loopback address that carries a random number; under
//! that number the program notes what was wanted and by whom. So the address an accepted
//! connection arrived at is all meshd needs, for TCP and for datagrams, without a race.

mod maps;
mod shared;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use aya::Ebpf;
use aya::maps::{Array, MapError};
use aya::programs::{CgroupAttachMode, CgroupSockAddr, ProgramError};

pub use maps::{Counters, Destinations, Wish, Wishes};
pub use shared::{FAKE4, FAKE6, Transport};
use shared::{RawConfig, words};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/meshd.bpf.o"));

/// In the order they are attached: a captured socket never exists without its way back.
pub const PROGRAMS: [&str; 8] = [
    "meshd_p4", "meshd_p6", "meshd_r4", "meshd_r6", "meshd_s4", "meshd_s6", "meshd_c4", "meshd_c6",
];

/// What the programs go by.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Cookie of the network namespace with the listeners (`SO_NETNS_COOKIE`).
    pub netns: u64,
    pub mark_own: u32,
    pub mark_mask: u32,
    pub vip4: (Ipv4Addr, u8),
    /// A /64.
    pub vip6: Ipv6Addr,
    /// What applications see as their source; unspecified = loopback.
    pub source4: Ipv4Addr,
    pub source6: Ipv6Addr,
    pub tcp_port: u16,
    pub dns_port: u16,
    /// Depth of a run scope below the cgroup root.
    pub level: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the kernel refuses program {name}")]
    Program {
        name: &'static str,
        #[source]
        source: ProgramError,
    },
    #[error("the kernel refuses the BPF object")]
    Object(#[source] aya::EbpfError),
    #[error("map {name} cannot be used")]
    Map {
        name: &'static str,
        #[source]
        source: MapError,
    },
    #[error("the object lacks {0}")]
    Missing(&'static str),
}

/// The programs, loaded; attached ones detach when this is dropped.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    wishes: Wishes,
    counters: Counters,
    destinations: Option<Destinations>,
}

impl Programs {
    /// Loads and verifies every program. Nothing is captured yet.
    ///
    /// # Errors
    /// [`LoadError`] says what the kernel would not take.
    pub fn load(config: &Config) -> Result<Self, LoadError> {
        let mut ebpf = load_object()?;
        for name in PROGRAMS {
            let program = hook(&mut ebpf, name)?;
            program.load().map_err(|source| LoadError::Program { name, source })?;
        }
        configure(&mut ebpf, config)?;
        let wishes =
            Wishes::new(maps::take(&mut ebpf, "CONNECTS")?, maps::take(&mut ebpf, "QUESTIONS")?)?;
        let counters = Counters::new(maps::take(&mut ebpf, "COUNTS")?)?;
        let destinations = Some(Destinations::new(maps::take(&mut ebpf, "DESTINATIONS")?)?);
        Ok(Self { ebpf, wishes, counters, destinations })
    }

    /// Changes what the programs go by, at once.
    ///
    /// # Errors
    /// The map cannot be written.
    pub fn configure(&mut self, config: &Config) -> Result<(), LoadError> {
        configure(&mut self.ebpf, config)
    }

    pub fn wishes(&self) -> Wishes {
        self.wishes.clone()
    }

    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// The captured destinations; there is one writer, so they can be taken once.
    pub fn take_destinations(&mut self) -> Option<Destinations> {
        self.destinations.take()
    }

    /// Captures every process below `cgroup`. Returns the number of programs attached.
    ///
    /// # Errors
    /// The first program that cannot be attached; those before it are detached by the drop.
    pub fn attach(&mut self, cgroup: impl AsFd) -> Result<u32, LoadError> {
        for name in PROGRAMS {
            // "Single" is the only mode links know; it stacks with other programs all the same.
            hook(&mut self.ebpf, name)?
                .attach(cgroup.as_fd(), CgroupAttachMode::Single)
                .map_err(|source| LoadError::Program { name, source })?;
        }
        Ok(PROGRAMS.len() as u32)
    }
}

/// aya reads the kernel's own BTF although nothing here needs it: 15 MiB, which malloc would keep,
/// and after freeing blocks that large it would take all others of megabytes from the heap too,
/// where zeroed memory is written and so resident.
fn load_object() -> Result<Ebpf, LoadError> {
    #[cfg(target_env = "gnu")]
    // SAFETY: a number; malloc takes it under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
    }
    let loaded = Ebpf::load(OBJECT);
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointer goes in or out; every thread may allocate meanwhile.
    unsafe {
        libc::malloc_trim(0);
    }
    loaded.map_err(LoadError::Object)
}

fn hook<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut CgroupSockAddr, LoadError> {
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing(name))?;
    program.try_into().map_err(|source| LoadError::Program { name, source })
}

fn configure(ebpf: &mut Ebpf, config: &Config) -> Result<(), LoadError> {
    const NAME: &str = "CONFIG";
    let unusable = |source| LoadError::Map { name: NAME, source };
    let map = ebpf.map_mut(NAME).ok_or(LoadError::Missing(NAME))?;
    let mut map: Array<_, RawConfig> = Array::try_from(map).map_err(unusable)?;
    map.set(0, raw(config), 0).map_err(unusable)
}

fn raw(config: &Config) -> RawConfig {
    let [source4, ..] = words(config.source4.into());
    let [vip6_high, vip6_low, ..] = words(config.vip6.into());
    let (vip4, prefix) = config.vip4;
    let vip4_mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    RawConfig {
        netns: config.netns,
        mark_own: config.mark_own,
        mark_mask: config.mark_mask,
        vip4: vip4.to_bits().to_be(),
        vip4_mask: vip4_mask.to_be(),
        vip6: [vip6_high, vip6_low],
        source4,
        source6: words(config.source6.into()),
        tcp_port: config.tcp_port,
        dns_port: config.dns_port,
        level: config.level,
        unused: 0,
    }
}

impl LoadError {
    /// The system's error behind it, to tell missing rights from a missing feature.
    pub fn io_error(&self) -> Option<&io::Error> {
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Some(error);
            }
            source = error.source();
        }
        None
    }
}
