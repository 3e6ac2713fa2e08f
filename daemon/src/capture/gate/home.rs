//! A gate made in another network namespace by meshd itself, as root: the namespace goes on as it
//! is, with its own addresses and routes.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use crate::capture::netns::Netns;
use crate::capture::{Raw, dns, host, own_addresses};
use crate::config;

/// What a gate needs beside the workers' sockets.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) netns: Arc<Netns>,
    pub(crate) raw: Arc<Raw>,
    /// What its processes show as their source.
    pub(crate) sources: (Ipv4Addr, Ipv6Addr),
}

impl Home {
    /// Makes sockets inside the namespace `path` leads to.
    ///
    /// # Errors
    /// It is gone, may not be entered, or has our ports in use.
    pub(crate) fn open(path: &Path, config: &config::Capture) -> io::Result<(Self, dns::Sockets)> {
        let netns = Arc::new(Netns::open(path)?);
        let mark = config.mark_own;
        let (dns, raw, sources) = netns.inside(|| {
            let raw = Raw::taken(Raw::open(mark)?)?;
            let sources = host::main_addresses(&own_addresses());
            Ok((dns::Sockets::bind(config.dns_port)?, Arc::new(raw), sources))
        })?;
        Ok((Self { netns, raw, sources }, dns))
    }
}
