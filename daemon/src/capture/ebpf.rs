//! The eBPF backend: destinations are rewritten at `connect()`, before there is a packet.
//!
//! The programs sit at the root of all cgroups, once; whose traffic is taken is an entry in a
//! map, so a workload costs nothing to add, and everybody else leaves after a few lookups. They
//! refuse virtual and fake addresses by themselves: no packet filter is needed. Pinned, they
//! outlive meshd and go by its lease ([`super::lease`]).

mod apply;
mod explain;
mod interfaces;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};

use mesh_ebpf::{Inbound, Lease, Listener, Parts, Programs, Rules, Settings};
use socket2::{Domain, SockRef, Type};
use tracing::warn;

use super::cgroup::Mount;
use super::lease::Heartbeat;
use super::plan::{self, Targets};
use super::ready::Leads;
use super::{Counters, Origins, host, own_addresses, pins};
use crate::config::{self, FailMode};
use explain::explain;

#[derive(Debug)]
pub(super) struct Ebpf {
    programs: Programs,
    rules: Rules,
    inbound: Inbound,
    /// Taken by [`Self::attach`].
    lease: Option<Lease>,
    heartbeat: Option<Heartbeat>,
    mount: Mount,
    /// The sources applications see, as last told to the programs.
    sources: Option<(std::net::Ipv4Addr, std::net::Ipv6Addr)>,
    leads: Leads,
    /// Ids of the cgroups that are left out, as last told to the programs.
    left_out: BTreeSet<u64>,
    /// The programs outlive meshd.
    pinned: bool,
    config: config::Capture,
}

impl Ebpf {
    /// Loads the programs; nothing is captured yet. The error says why not, for a person.
    pub(super) fn probe(config: &config::Capture) -> Result<Self, String> {
        let netns = host::netns_cookie().map_err(|error| format!("SO_NETNS_COOKIE: {error}"))?;
        let mount = Mount::find().map_err(|_none| "no cgroup2 file system is mounted")?;
        let root = File::open(mount.root()).map_err(|error| format!("cgroup root: {error}"))?;
        mesh_ebpf::cgroup_is_free(root.as_fd())?;
        let settings = Settings {
            netns,
            mark_own: config.mark_own,
            mark_mask: config.mark_mask,
            vip4: (config.vip4.base, config.vip4.prefix),
            vip6: config.vip6.base,
            tcp_port: config.tcp_port,
            udp_port: config.udp_port,
            dns_port: config.dns_port,
            leaves_dns: !config.dns,
            fail_closed: config.fail_mode == FailMode::Closed,
            strict: config.strict,
        };
        let kept = pins::kept(&config.cgroup);
        let (programs, parts) = Programs::load(settings, kept.as_deref())
            .or_else(|_unusable| Programs::load(settings, None))
            .map_err(|error| explain(&error))?;
        let Parts { rules, inbound, lease } = parts;
        Ok(Self {
            programs,
            rules,
            inbound,
            lease: Some(lease),
            heartbeat: None,
            mount,
            sources: None,
            leads: Leads::new(),
            left_out: BTreeSet::new(),
            pinned: false,
            config: config.clone(),
        })
    }

    pub(super) fn origins(&self) -> Origins {
        Origins::ebpf(self.programs.wishes(), self.programs.clients())
    }

    /// Captures `targets`. What an earlier daemon left goes on until this takes its place.
    /// Returns the number of programs.
    pub(super) fn attach(&mut self, targets: &Targets) -> io::Result<u32> {
        self.refresh(&own_addresses()).map_err(io::Error::other)?;
        self.follow_pacing().map_err(io::Error::other)?;
        let change = plan::difference(&Targets::default(), targets);
        if let Err(problem) = self.update(&change) {
            warn!(problem, "not everything is captured");
        }
        let lease = self.lease.take().ok_or_else(|| io::Error::other("attached already"))?;
        self.heartbeat = Some(Heartbeat::start(lease)?);
        let pins = match pins::prepare(&self.config.cgroup) {
            Ok(pins) => Some(pins),
            Err(error) if self.config.fail_mode == FailMode::Closed => return Err(error),
            Err(error) => {
                warn!(%error, "the programs cannot be pinned: they end with meshd");
                None
            }
        };
        self.pinned = pins.is_some();
        let (cgroup, netns) = (File::open(self.mount.root())?, File::open(OWN_NETNS)?);
        let attached = self.programs.attach(cgroup.as_fd(), netns.as_fd(), pins.as_ref());
        attached.map_err(|error| io::Error::other(explain(&error)))
    }

    /// Goes by other settings from now on.
    pub(super) fn reconfigure(&mut self, config: &config::Capture) -> Result<(), String> {
        let closed = config.fail_mode == FailMode::Closed;
        if closed && !self.pinned {
            return Err("the programs are not pinned: they cannot outlive meshd".to_owned());
        }
        let told = self.rules.set_absence(closed, config.strict);
        told.map_err(|error| format!("the fail mode: {error}"))?;
        self.config = config.clone();
        self.exclude(&own_addresses())
    }

    /// Where taken incoming traffic goes.
    pub(super) fn arrive_at(&mut self, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        for socket in sockets {
            let (kind, domain) = (SockRef::from(socket).r#type()?, SockRef::from(socket).domain()?);
            let which = match (kind == Type::STREAM, domain == Domain::IPV4) {
                (true, true) => Listener::Tcp4,
                (true, false) => Listener::Tcp6,
                (false, true) => Listener::Udp4,
                (false, false) => Listener::Udp6,
            };
            self.inbound.set_listener(which, socket).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// The host's addresses or routes may have changed: applications see the addresses as their
    /// own, and routes tell what an excluded interface leads to.
    pub(super) fn refresh(&mut self, own: &[IpAddr]) -> Result<(), String> {
        let sources = host::main_addresses(own);
        if self.sources != Some(sources) {
            let set = self.rules.set_sources(sources);
            set.map_err(|error| format!("this host's addresses: {error}"))?;
            self.sources = Some(sources);
        }
        self.exclude(own)
    }

    /// What the kernel says about each program; nothing where its cgroups are gone.
    pub(super) fn report(&self) -> Vec<mesh_ebpf::Report> {
        let root = File::open(self.mount.root());
        root.map(|root| self.programs.report(root.as_fd())).unwrap_or_default()
    }

    pub(super) fn counters(&self) -> Counters {
        let counters = self.programs.counters();
        Counters {
            connections: counters.connections(),
            questions: counters.questions(),
            refused: counters.refused(),
            datagrams: counters.datagrams(),
            inbound: counters.inbound(),
            balanced: counters.balanced(),
            excluded: counters.excluded(),
            bypassed: counters.bypassed(),
        }
    }

    /// Detaches everything at once.
    pub(super) fn remove(self) -> Result<(), String> {
        let Self { programs, heartbeat, config, .. } = self;
        let removed = pins::remove(&config.cgroup).map(|_found| ());
        drop(programs);
        drop(heartbeat);
        removed.map_err(|error| format!("pins of BPF programs: {error}"))
    }
}

/// Of the calling thread.
const OWN_NETNS: &str = "/proc/thread-self/ns/net";
