//! A gate made in another network namespace by meshd itself, as root: the namespace goes on as it
//! is, with its own addresses and routes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use crate::capture::netns::Netns;
use crate::capture::routes::{Entry, Prefix, Tables};
use crate::capture::{Raw, dns, host, own_addresses};
use crate::config;

/// What a gate needs beside the workers' sockets.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) netns: Arc<Netns>,
    pub(crate) raw: Arc<Raw>,
    /// What its processes show as their source.
    pub(crate) sources: (Ipv4Addr, Ipv6Addr),
    routes: Tables,
}

impl Home {
    /// Makes routes and sockets inside the namespace `path` leads to.
    ///
    /// # Errors
    /// It is gone, may not be entered, or has our ports in use.
    pub(crate) async fn open(
        path: &Path,
        config: &config::Capture,
    ) -> io::Result<(Self, dns::Sockets)> {
        let netns = Arc::new(Netns::open(path)?);
        let runtime = tokio::runtime::Handle::current();
        let mark = config.mark_own;
        let (dns, raw, sources, routes, has_ipv6) = netns.inside(|| {
            let _inside_runtime = runtime.enter();
            let raw = Raw::taken(Raw::open(mark)?)?;
            let sources = host::main_addresses(&own_addresses());
            let dns = dns::Sockets::bind(config.dns_port)?;
            Ok((dns, Arc::new(raw), sources, Tables::open()?, host::has_ipv6()))
        })?;
        // What an earlier daemon left.
        routes.remove_all().await;
        if has_ipv6 {
            let (base, length) = mesh_ebpf::FAKE6;
            let to = Prefix { base: IpAddr::V6(base), length };
            routes.add(&Entry::Local { to }).await?;
        }
        Ok((Self { netns, raw, sources, routes }, dns))
    }

    /// Takes the routes away again; the sockets go with whoever has them.
    pub(crate) async fn close(self) {
        // A namespace that is gone took its routes with it.
        self.routes.remove_all().await;
    }
}
