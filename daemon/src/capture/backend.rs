//! The two ways to capture, and the choice between them.

use std::io;
use std::net::IpAddr;

use super::ebpf::Ebpf;
use super::nft::Nft;
use super::plan::{Change, Targets};
use super::ready::Shares;
use super::routes::{Entry, Prefix};
use super::{CaptureError, Counters, Origins};
use crate::config::{self, BackendChoice};

#[derive(Debug)]
pub(super) enum Backend {
    Ebpf(Box<Ebpf>),
    Nft(Box<Nft>),
    None,
}

impl Backend {
    /// The backend, and why it and not the one before it.
    pub(super) async fn choose(
        config: &config::Capture,
    ) -> Result<(Self, Vec<String>), CaptureError> {
        let unsupported = |backend, why| CaptureError::Unsupported { backend, why };
        match config.backend {
            BackendChoice::None => {
                Ok((Self::None, vec!["nothing is captured, as told".to_owned()]))
            }
            BackendChoice::Ebpf => match Ebpf::probe(config) {
                Ok(ebpf) => Ok((Self::Ebpf(Box::new(ebpf)), vec!["ebpf: as told".to_owned()])),
                Err(why) => Err(unsupported("ebpf", why)),
            },
            BackendChoice::Nft => match Nft::probe(config).await {
                Ok(nft) => Ok((Self::Nft(Box::new(nft)), vec!["nft: as told".to_owned()])),
                Err(why) => Err(unsupported("nft", why)),
            },
            BackendChoice::Auto => {
                let no_ebpf = match Ebpf::probe(config) {
                    Ok(ebpf) => {
                        let note = "ebpf: the kernel took every program".to_owned();
                        return Ok((Self::Ebpf(Box::new(ebpf)), vec![note]));
                    }
                    Err(why) => format!("not ebpf: {why}"),
                };
                match Nft::probe(config).await {
                    Ok(nft) => {
                        let note = "nft: the kernel took every rule".to_owned();
                        Ok((Self::Nft(Box::new(nft)), vec![no_ebpf, note]))
                    }
                    Err(why) => Err(unsupported("auto", format!("{no_ebpf}; not nft: {why}"))),
                }
            }
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ebpf(_) => "ebpf",
            Self::Nft(_) => "nft",
            Self::None => "none",
        }
    }

    pub(super) fn origins(&self) -> Origins {
        match self {
            Self::Ebpf(ebpf) => ebpf.origins(),
            Self::Nft(nft) => nft.origins(),
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
            Self::None => Vec::new(),
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
            Self::Nft(_) | Self::None => Vec::new(),
        }
    }

    /// The rules it would load, as its program reads them.
    pub(super) fn rules(&self) -> String {
        match self {
            Self::Nft(nft) => nft.text(),
            Self::Ebpf(_) | Self::None => String::new(),
        }
    }

    /// Starts to capture `targets`.
    pub(super) async fn attach(&mut self, targets: &Targets) -> io::Result<u32> {
        match self {
            Self::Ebpf(ebpf) => ebpf.attach(targets),
            Self::Nft(nft) => nft.attach(targets).await,
            Self::None => Ok(0),
        }
    }

    /// The backend itself refuses virtual and fake addresses to those it does not capture.
    pub(super) fn guards_itself(&self) -> bool {
        matches!(self, Self::Ebpf(_))
    }

    /// It has to know the ready endpoints behind virtual addresses ([`Self::lead`]).
    pub(super) fn wants_endpoints(&self) -> bool {
        matches!(self, Self::Ebpf(_))
    }

    pub(super) fn lead(&mut self, shares: Shares) -> Result<(), String> {
        match self {
            Self::Ebpf(ebpf) => ebpf.lead(shares),
            Self::Nft(_) | Self::None => Ok(()),
        }
    }

    /// `change` leads to `targets`.
    pub(super) async fn update(
        &mut self,
        change: &Change,
        targets: &Targets,
    ) -> Result<(), String> {
        match self {
            Self::Ebpf(ebpf) => ebpf.update(change),
            Self::Nft(nft) => nft.update(targets).await,
            Self::None => Ok(()),
        }
    }

    /// The host's addresses may have changed.
    pub(super) fn refresh(&mut self, own: &[IpAddr]) -> Result<(), String> {
        match self {
            Self::Ebpf(ebpf) => ebpf.refresh(own),
            Self::Nft(_) | Self::None => Ok(()),
        }
    }

    pub(super) async fn counters(&mut self) -> Counters {
        match self {
            Self::Ebpf(ebpf) => ebpf.counters(),
            Self::Nft(nft) => nft.counters().await,
            Self::None => Counters::default(),
        }
    }

    /// Stops capturing at once; names what could not be removed.
    pub(super) async fn remove(self) -> Vec<String> {
        match self {
            Self::Nft(nft) => nft.remove().await.err().into_iter().collect(),
            Self::Ebpf(ebpf) => ebpf.remove().err().into_iter().collect(),
            Self::None => Vec::new(),
        }
    }
}
