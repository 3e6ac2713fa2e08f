//! The ways to capture, and the choice between them.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::callers::Callers;
use super::ebpf::Ebpf;
use super::iptables::Iptables;
use super::netns::Site;
use super::nft::Nft;
use super::plan::{Change, Detour, Targets};
use super::ready::Leads;
use super::routes::{Entry, Family, Prefix};
use super::{CaptureError, Counters, Origins, host};
use crate::config::{self, BackendChoice, IptablesVariant};
use crate::state::Snapshot;

#[derive(Debug)]
pub(super) enum Backend {
    Ebpf(Box<Ebpf>),
    Nft(Box<Nft>),
    Iptables(Box<Iptables>),
    /// Namespaces that bring their sockets; nothing of the host is touched.
    Netns(Origins),
    None,
}

impl Backend {
    /// Installs nothing on the host.
    pub(super) fn is_guest(&self) -> bool {
        matches!(self, Self::Netns(_) | Self::None)
    }

    /// The backend, and why it and not the one before it.
    pub(super) async fn choose(
        config: &config::Capture,
    ) -> Result<(Self, Vec<String>), CaptureError> {
        let unsupported = |backend, why| CaptureError::Unsupported { backend, why };
        match config.backend {
            BackendChoice::None => {
                Ok((Self::None, vec!["nothing is captured, as told".to_owned()]))
            }
            BackendChoice::Netns => {
                Ok((Self::Netns(Origins::none()), vec!["netns: as told".to_owned()]))
            }
            BackendChoice::Ebpf => match Ebpf::probe(config) {
                Ok(ebpf) => Ok((Self::Ebpf(Box::new(ebpf)), vec!["ebpf: as told".to_owned()])),
                Err(why) => Err(unsupported("ebpf", why)),
            },
            BackendChoice::Nft => match Nft::probe(config).await {
                Ok(nft) => Ok((Self::Nft(Box::new(nft)), vec!["nft: as told".to_owned()])),
                Err(why) => Err(unsupported("nft", why)),
            },
            BackendChoice::Iptables(variant) => match Iptables::probe(config, variant).await {
                Ok(iptables) => {
                    let note = format!("{}: as told", iptables.program(Family::V4));
                    Ok((Self::Iptables(Box::new(iptables)), vec![note]))
                }
                Err(why) => Err(unsupported("iptables", why)),
            },
            BackendChoice::Auto => Self::first(config).await,
        }
    }

    async fn first(config: &config::Capture) -> Result<(Self, Vec<String>), CaptureError> {
        let mut notes = Vec::new();
        match Ebpf::probe(config) {
            Ok(ebpf) => {
                notes.push("ebpf: the kernel took every program".to_owned());
                return Ok((Self::Ebpf(Box::new(ebpf)), notes));
            }
            Err(why) => notes.push(format!("not ebpf: {why}")),
        }
        match Nft::probe(config).await {
            Ok(nft) => {
                notes.push("nft: the kernel took every rule".to_owned());
                return Ok((Self::Nft(Box::new(nft)), notes));
            }
            Err(why) => notes.push(format!("not nft: {why}")),
        }
        match Iptables::probe(config, IptablesVariant::Any).await {
            Ok(iptables) => {
                notes.push(format!("{}: it took every rule", iptables.program(Family::V4)));
                Ok((Self::Iptables(Box::new(iptables)), notes))
            }
            Err(why) => {
                notes.push(format!("not iptables: {why}"));
                Err(CaptureError::Unsupported { backend: "auto", why: notes.join("; ") })
            }
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ebpf(_) => "ebpf",
            Self::Nft(_) => "nft",
            Self::Iptables(_) => "iptables",
            Self::Netns(_) => "netns",
            Self::None => "none",
        }
    }

    /// What is in force in another network namespace when this is in meshd's own; nothing is yet.
    pub(super) fn elsewhere(&self, site: &Site) -> io::Result<Self> {
        match self {
            // Its programs are wherever a process is.
            Self::Ebpf(_) => Ok(Self::None),
            Self::Nft(nft) => Ok(Self::Nft(Box::new(nft.elsewhere(site)?))),
            Self::Iptables(iptables) => Ok(Self::Iptables(Box::new(iptables.elsewhere(site)?))),
            Self::Netns(_) | Self::None => {
                let why = format!("capture by {} reaches no other namespace", self.name());
                Err(io::Error::other(why))
            }
        }
    }

    /// Who knows the callers of what its rules redirect.
    pub(super) fn callers(&self) -> Option<&Callers> {
        match self {
            Self::Nft(nft) => Some(nft.callers()),
            Self::Iptables(iptables) => Some(iptables.callers()),
            Self::Ebpf(_) | Self::Netns(_) | Self::None => None,
        }
    }

    pub(super) fn origins(&self) -> Origins {
        match self {
            Self::Ebpf(ebpf) => ebpf.origins(),
            Self::Nft(nft) => nft.origins(),
            Self::Iptables(iptables) => iptables.origins(),
            Self::Netns(origins) => origins.clone(),
            Self::None => Origins::none(),
        }
    }

    /// What the routing tables need beside the virtual addresses.
    pub(super) fn routes(&self) -> Vec<Entry> {
        match self {
            // IPv4 has all of 127/8 on loopback already.
            Self::Ebpf(_) => {
                let (base, length) = mesh_ebpf::FAKE6;
                vec![Entry::Local { to: Prefix { base: base.into(), length } }]
            }
            Self::Nft(nft) => nft.routes(),
            Self::Iptables(iptables) => iptables.routes(),
            Self::Netns(_) | Self::None => Vec::new(),
        }
    }

    /// What refuses virtual addresses that nobody captures.
    pub(super) fn vip_guard(&self) -> VipGuard {
        match self {
            Self::Iptables(_) => VipGuard::Chains,
            Self::Nft(_) if host::program("nft").is_some() => VipGuard::Table,
            Self::Ebpf(_) | Self::Nft(_) | Self::Netns(_) | Self::None => VipGuard::Routes,
        }
    }

    /// The programs it would attach, for a person.
    pub(super) fn programs(&self) -> Vec<String> {
        match self {
            Self::Ebpf(_) => {
                let hooks = mesh_ebpf::Hook::ALL.into_iter();
                hooks
                    .map(|hook| format!("bpf program {} at {}", hook.program(), hook.name()))
                    .collect()
            }
            Self::Nft(_) | Self::Iptables(_) | Self::Netns(_) | Self::None => Vec::new(),
        }
    }

    /// The rules it would load, as its program reads them.
    pub(super) fn rules(&self) -> String {
        match self {
            Self::Nft(nft) => nft.text(),
            Self::Iptables(iptables) => iptables.text(),
            Self::Ebpf(_) | Self::Netns(_) | Self::None => String::new(),
        }
    }

    /// Finds out whether everything is still in force, and puts back what is not. Says what was
    /// wrong.
    pub(super) async fn mend(&mut self) -> io::Result<Option<&'static str>> {
        match self {
            Self::Nft(nft) => nft.mend().await,
            Self::Iptables(iptables) => iptables.mend().await,
            Self::Ebpf(ebpf) => ebpf.catch_up().map(|()| None).map_err(io::Error::other),
            Self::Netns(_) | Self::None => Ok(None),
        }
    }

    /// Something may be missing that nobody announces.
    pub(super) fn needs_mending(&mut self) -> bool {
        match self {
            Self::Nft(nft) => nft.needs_mending(),
            Self::Iptables(iptables) => iptables.needs_mending(),
            Self::Ebpf(ebpf) => ebpf.is_outdated(),
            Self::Netns(_) | Self::None => false,
        }
    }

    /// The process was started here, to change our rules.
    pub(super) fn is_own(&self, pid: u32) -> bool {
        match self {
            Self::Nft(nft) => nft.is_own(pid),
            Self::Iptables(iptables) => iptables.is_own(pid),
            Self::Ebpf(_) | Self::Netns(_) | Self::None => false,
        }
    }

    /// What the kernel says about each program.
    pub(super) fn attached(&self) -> Vec<mesh_ebpf::Report> {
        match self {
            Self::Ebpf(ebpf) => ebpf.report(),
            Self::Nft(_) | Self::Iptables(_) | Self::Netns(_) | Self::None => Vec::new(),
        }
    }

    /// Every rule in force, as its program prints it.
    pub(super) async fn listing(&self) -> io::Result<String> {
        match self {
            Self::Nft(nft) => nft.listing().await,
            Self::Iptables(iptables) => iptables.listing().await,
            Self::Ebpf(_) | Self::Netns(_) | Self::None => Ok(String::new()),
        }
    }

    /// Starts to capture `targets`.
    pub(super) async fn attach(&mut self, targets: &Arc<Targets>) -> io::Result<u32> {
        match self {
            Self::Ebpf(ebpf) => ebpf.attach(targets),
            Self::Nft(nft) => nft.attach(targets).await,
            Self::Iptables(iptables) => iptables.attach(targets).await,
            Self::Netns(_) | Self::None => Ok(0),
        }
    }

    /// What it takes arrives at fake addresses.
    pub(super) fn takes_by_fake(&self) -> bool {
        matches!(self, Self::Ebpf(_))
    }

    /// The backend itself refuses virtual and fake addresses to those it does not capture.
    pub(super) fn guards_itself(&self) -> bool {
        matches!(self, Self::Ebpf(_))
    }

    /// Captured traffic passes the kernel's connection tracking.
    pub(super) fn uses_conntrack(&self) -> bool {
        matches!(self, Self::Nft(_) | Self::Iptables(_))
    }

    /// It has to know the ready endpoints behind virtual addresses ([`Self::lead`]).
    pub(super) fn wants_endpoints(&self) -> bool {
        matches!(self, Self::Ebpf(_))
    }

    pub(super) fn detour(&self, snapshot: &Snapshot) -> Detour {
        Detour::of(snapshot, self.wants_endpoints())
    }

    pub(super) fn lead(&mut self, leads: Leads) -> Result<(), String> {
        match self {
            Self::Ebpf(ebpf) => ebpf.lead(leads),
            Self::Nft(_) | Self::Iptables(_) | Self::Netns(_) | Self::None => Ok(()),
        }
    }

    /// `change` leads to `targets`.
    pub(super) async fn update(
        &mut self,
        change: &Change,
        targets: &Arc<Targets>,
    ) -> Result<(), String> {
        match self {
            Self::Ebpf(ebpf) => ebpf.update(change),
            Self::Nft(nft) => nft.update(change, targets).await,
            Self::Iptables(iptables) => iptables.update(targets).await,
            Self::Netns(_) | Self::None => Ok(()),
        }
    }

    /// Goes by other settings from now on, without a gap: what is captured by the old and the new
    /// ones is so throughout. On `Err` it may go by some of both.
    pub(super) async fn reconfigure(&mut self, config: &config::Capture) -> Result<(), String> {
        match self {
            Self::Ebpf(ebpf) => ebpf.reconfigure(config),
            Self::Nft(nft) => nft.reconfigure(config).await,
            Self::Iptables(iptables) => iptables.reconfigure(config).await,
            Self::Netns(_) | Self::None => Ok(()),
        }
    }

    /// The host's addresses may have changed.
    pub(super) fn refresh(&mut self, own: &[IpAddr]) -> Result<(), String> {
        match self {
            Self::Ebpf(ebpf) => ebpf.refresh(own),
            Self::Nft(_) | Self::Iptables(_) | Self::Netns(_) | Self::None => Ok(()),
        }
    }

    pub(super) async fn counters(&mut self) -> Counters {
        match self {
            Self::Ebpf(ebpf) => ebpf.counters(),
            Self::Nft(nft) => nft.counters().await,
            Self::Iptables(iptables) => iptables.counters().await,
            Self::Netns(origins) => origins.counters(),
            Self::None => Counters::default(),
        }
    }

    /// Stops capturing at once; names what could not be removed.
    pub(super) async fn remove(self) -> Vec<String> {
        match self {
            Self::Nft(nft) => nft.remove().await.err().into_iter().collect(),
            Self::Iptables(iptables) => iptables.remove().await.err().into_iter().collect(),
            Self::Ebpf(ebpf) => ebpf.remove().err().into_iter().collect(),
            Self::Netns(_) | Self::None => Vec::new(),
        }
    }
}

/// Who refuses virtual addresses outside every scope, so that they do not hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VipGuard {
    /// The table `meshd_vip`.
    Table,
    /// Chains of iptables.
    Chains,
    /// Unreachable routes; for captured sockets the BPF programs come before them.
    Routes,
}
