//! The eBPF backend: destinations are rewritten at `connect()`, before there is a packet.
//!
//! The programs sit on the cgroup of all runs, so a run costs nothing to add. Their links are not
//! pinned: they go with the process, and foreign traffic flows at once.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use mesh_ebpf::{Config, Destinations, LoadError, Programs};

use super::plan::Change;
use super::{Counters, Origins, cgroup, host, own_addresses};
use crate::config;
use crate::model::{Place, Transport};

#[derive(Debug)]
pub(super) struct Ebpf {
    programs: Programs,
    destinations: Destinations,
    config: Config,
}

impl Ebpf {
    /// Loads the programs; nothing is captured yet. The error says why not, for a person.
    pub(super) fn probe(config: &config::Capture) -> Result<Self, String> {
        let netns = host::netns_cookie().map_err(|error| format!("SO_NETNS_COOKIE: {error}"))?;
        let (source4, source6) = host::main_addresses(&own_addresses());
        let depth = cgroup::depth(&config.cgroup);
        let config = Config {
            netns,
            mark_own: config.mark_own,
            mark_mask: config.mark_mask,
            vip4: (config.vip4.base, config.vip4.prefix),
            vip6: config.vip6.base,
            source4,
            source6,
            tcp_port: config.tcp_port,
            dns_port: config.dns_port,
            level: u32::try_from(depth + 1).unwrap_or(u32::MAX),
        };
        let mut programs = Programs::load(&config).map_err(|error| explain(&error))?;
        let destinations = programs.take_destinations().ok_or("the programs have no map")?;
        Ok(Self { programs, destinations, config })
    }

    pub(super) fn origins(&self) -> Origins {
        Origins::ebpf(self.programs.wishes())
    }

    /// Captures the processes below `runs`. Returns the number of programs.
    pub(super) fn attach(&mut self, runs: &Path) -> io::Result<u32> {
        let cgroup = File::open(runs)?;
        self.programs.attach(cgroup).map_err(|error| io::Error::other(explain(&error)))
    }

    /// Does what can be done; the error is the first of those that could not.
    pub(super) fn update(&mut self, change: &Change) -> Result<(), String> {
        let mut outcome = Ok(());
        for place in &change.added {
            let Place { transport, address } = *place;
            let source = source(address);
            if let Err(error) = self.destinations.insert(address, protocol(transport), source) {
                outcome = outcome.and(Err(format!("{place} is not captured: {error}")));
            }
        }
        for place in &change.removed {
            let Place { transport, address } = *place;
            if let Err(error) = self.destinations.remove(address, protocol(transport)) {
                outcome = outcome.and(Err(format!("{place} stays captured: {error}")));
            }
        }
        outcome
    }

    /// The host's addresses may have changed: applications see them as their own.
    pub(super) fn refresh(&mut self, own: &[IpAddr]) -> Result<(), String> {
        let (source4, source6) = host::main_addresses(own);
        if (source4, source6) == (self.config.source4, self.config.source6) {
            return Ok(());
        }
        self.config = Config { source4, source6, ..self.config };
        self.programs.configure(&self.config).map_err(|error| explain(&error))
    }

    pub(super) fn counters(&self) -> Counters {
        let counters = self.programs.counters();
        Counters {
            connections: counters.connections(),
            questions: counters.questions(),
            refused: counters.refused(),
        }
    }
}

fn protocol(transport: Transport) -> mesh_ebpf::Transport {
    match transport {
        Transport::Tcp => mesh_ebpf::Transport::Tcp,
        Transport::Udp => mesh_ebpf::Transport::Udp,
    }
}

/// What a direct connection would show as its source; loopback needs no help.
fn source(address: SocketAddr) -> Option<IpAddr> {
    host::source_to(address.ip()).filter(|source| !source.is_loopback())
}

fn explain(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        let line = cause_text.lines().next().unwrap_or_default();
        if !text.contains(line) {
            text.push_str(": ");
            text.push_str(line); // more lines are the verifier's log
        }
        source = cause.source();
    }
    let denied = |error: &&io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    if error.io_error().filter(denied).is_some() {
        text.push_str(" (needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)");
    }
    text
}
