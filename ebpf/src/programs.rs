//! Loading, attaching and pinning.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::{fs, io};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{
    CgroupAttachMode, CgroupSock, CgroupSockAddr, Program, ProgramError, SkLookup,
};
use aya::{Ebpf, EbpfLoader};

use crate::report::{self, Hook, Kind, Report};
use crate::{Clients, Counters, Inbound, Lease, LoadError, Rules, Settings, Wishes};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/meshd.bpf.o"));

/// The maps a next meshd goes on with, since live sockets depend on what is in them.
const STATE_MAPS: [&str; 4] = ["CONNECTED", "FLOWS", "ASKERS", "PEERS"];

/// Layout of what is in [`STATE_MAPS`]; part of their file names. Raised when one changes.
const STATE_LAYOUT: u32 = 2;

/// The programs, loaded. Dropped, those not pinned are detached.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    wishes: Wishes,
    clients: Clients,
    counters: Counters,
    links: Vec<Link>,
}

/// What the one writer of each part holds.
#[derive(Debug)]
pub struct Parts {
    pub rules: Rules,
    pub inbound: Inbound,
    pub lease: Lease,
}

/// An attachment, for as long as this lives.
#[derive(Debug)]
enum Link {
    /// And longer, until the file is removed.
    Pinned {
        _link: PinnedLink,
    },
    Held {
        _link: FdLink,
    },
}

/// Two folders on a BPF file system.
#[derive(Clone, Debug)]
pub struct Pins {
    pub maps: PathBuf,
    pub links: PathBuf,
}

impl Programs {
    /// Loads and verifies every program. Nothing is captured yet, and the host is unchanged.
    ///
    /// The state an earlier meshd left in the folder `kept` is gone on with.
    ///
    /// # Errors
    /// [`LoadError`] says what the kernel would not take.
    pub fn load(settings: Settings, kept: Option<&Path>) -> Result<(Self, Parts), LoadError> {
        let mut ebpf = load_object(kept)?;
        for hook in Hook::ALL {
            let loaded = match hook.kind() {
                Kind::Address => program::<CgroupSockAddr>(&mut ebpf, hook)?.load(),
                Kind::Socket => program::<CgroupSock>(&mut ebpf, hook)?.load(),
                Kind::Lookup => program::<SkLookup>(&mut ebpf, hook)?.load(),
            };
            loaded.map_err(|source| LoadError::Program { name: hook.program(), source })?;
        }
        let parts = Parts {
            rules: Rules::take(&mut ebpf, settings)?,
            inbound: Inbound::take(&mut ebpf)?,
            lease: Lease::take(&mut ebpf)?,
        };
        let programs = Self {
            wishes: Wishes::of(&ebpf)?,
            clients: Clients::of(&ebpf)?,
            counters: Counters::take(&mut ebpf)?,
            links: Vec::new(),
            ebpf,
        };
        Ok((programs, parts))
    }

    pub fn wishes(&self) -> Wishes {
        self.wishes.clone()
    }

    pub fn clients(&self) -> Clients {
        self.clients.clone()
    }

    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Attaches everything: to the processes below `cgroup`, and to what comes into the network
    /// namespace `netns`. Pinned, it outlives this process and takes the place of what an earlier
    /// one pinned there. Returns the number of programs.
    ///
    /// # Errors
    /// The first program that cannot be attached; those before it are detached by the drop.
    pub fn attach(
        &mut self,
        cgroup: BorrowedFd<'_>,
        netns: BorrowedFd<'_>,
        pins: Option<&Pins>,
    ) -> Result<u32, LoadError> {
        if let Some(pins) = pins {
            self.pin_state(&pins.maps)?;
        }
        for hook in Hook::ALL {
            let link = self.link(hook, cgroup, netns)?;
            self.links.push(match pins {
                Some(pins) => pin(link, hook, &pins.links)?,
                None => Link::Held { _link: link },
            });
        }
        Ok(u32::try_from(self.links.len()).unwrap_or(u32::MAX))
    }

    fn link(
        &mut self,
        hook: Hook,
        cgroup: BorrowedFd<'_>,
        netns: BorrowedFd<'_>,
    ) -> Result<FdLink, LoadError> {
        let name = hook.program();
        let refused = |source| LoadError::Program { name, source };
        let no_link = |source| LoadError::Link { name, source };
        // The only mode links know; they stack with other programs all the same.
        let mode = CgroupAttachMode::Single;
        match hook.kind() {
            Kind::Address => {
                let program = program::<CgroupSockAddr>(&mut self.ebpf, hook)?;
                let link = program.attach(cgroup, mode).and_then(|id| program.take_link(id));
                FdLink::try_from(link.map_err(refused)?).map_err(no_link)
            }
            Kind::Socket => {
                let program = program::<CgroupSock>(&mut self.ebpf, hook)?;
                let link = program.attach(cgroup, mode).and_then(|id| program.take_link(id));
                FdLink::try_from(link.map_err(refused)?).map_err(no_link)
            }
            Kind::Lookup => {
                let program = program::<SkLookup>(&mut self.ebpf, hook)?;
                let link = program.attach(netns).and_then(|id| program.take_link(id));
                link.map(FdLink::from).map_err(refused)
            }
        }
    }

    fn pin_state(&self, folder: &Path) -> Result<(), LoadError> {
        for name in STATE_MAPS {
            let path = state_path(folder, name);
            if !path.exists() {
                let map = self.ebpf.map(name).ok_or(LoadError::Missing(name))?;
                map.pin(path).map_err(|source| LoadError::Pin { name, source })?;
            }
        }
        Ok(())
    }

    /// What the kernel says about each program, and who else is at its hook.
    pub fn report(&self, cgroup: BorrowedFd<'_>) -> Vec<Report> {
        let program = |hook: Hook| self.ebpf.program(hook.program())?.info().ok();
        let infos = Hook::ALL.into_iter().filter_map(|hook| Some((hook, program(hook)?)));
        report::of(infos.collect(), cgroup)
    }
}

/// The old pin keeps its program attached until the new one has taken its place.
fn pin(link: FdLink, hook: Hook, folder: &Path) -> Result<Link, LoadError> {
    let name = hook.program();
    let moved = |source: io::Error| LoadError::Move { name, source };
    let (place, next) = (folder.join(name), folder.join(format!("{name}-next")));
    if next.exists() {
        fs::remove_file(&next).map_err(moved)?;
    }
    let link = link.pin(&next).map_err(|source| LoadError::Pin { name, source })?;
    fs::rename(&next, &place).map_err(moved)?;
    Ok(Link::Pinned { _link: link })
}

fn state_path(folder: &Path, map: &str) -> PathBuf {
    folder.join(format!("{map}-{STATE_LAYOUT}"))
}

/// aya reads the kernel's own BTF although nothing here needs it: 15 MiB, which malloc would keep,
/// and after freeing blocks that large it would take all others of megabytes from the heap too,
/// where zeroed memory is written and so resident.
fn load_object(kept: Option<&Path>) -> Result<Ebpf, LoadError> {
    #[cfg(target_env = "gnu")]
    // SAFETY: a number; malloc takes it under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
    }
    let mut loader = EbpfLoader::new();
    for name in STATE_MAPS {
        let path = kept.map(|folder| state_path(folder, name));
        if let Some(path) = path.filter(|path| path.exists()) {
            loader.map_pin_path(name, path);
        }
    }
    let loaded = loader.load(OBJECT);
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointer goes in or out; every thread may allocate meanwhile.
    unsafe {
        libc::malloc_trim(0);
    }
    loaded.map_err(LoadError::Object)
}

fn program<'a, P>(ebpf: &'a mut Ebpf, hook: Hook) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let name = hook.program();
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing(name))?;
    program.try_into().map_err(|source| LoadError::Program { name, source })
}
