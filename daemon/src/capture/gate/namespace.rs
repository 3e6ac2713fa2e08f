//! Makes a fresh network namespace one in which everything is captured. Runs inside it.
//!
//! There is no other interface than loopback: every address, the internet's included, is declared
//! local, so that packets to it arrive here instead of leaving.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::route::{RouteScope, RouteType};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockRef};

use super::rules;
use super::sockets::Role;
use crate::capture::netns::Site;
use crate::capture::nft::once;
use crate::capture::{Raw, diag, host, routes};
use crate::config;

/// What programs inside have as their own address: one that RFC 7335 keeps for use within a host.
pub(super) const HOST4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 2);
pub(super) const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd6d, 0x6573, 0x686e, 0, 0, 0, 0, 1);
/// Index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;

/// How meshd wants the namespace.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Blueprint {
    pub(crate) tcp_port: u16,
    pub(crate) udp_port: u16,
    pub(crate) dns_port: u16,
    pub(crate) workers: u8,
    pub(super) vip6: Ipv6Addr,
    /// The host reaches the IPv6 internet; elsewhere its addresses must not look reachable, or
    /// programs prefer them.
    pub(super) ipv6: bool,
}

impl Blueprint {
    pub(crate) fn new(config: &config::Capture, workers: usize) -> Self {
        /// Of the documentation: nobody has it, so the default route decides.
        const ELSEWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        Self {
            tcp_port: config.tcp_port,
            udp_port: config.udp_port,
            dns_port: config.dns_port,
            workers: u8::try_from(workers).unwrap_or(u8::MAX),
            vip6: config.vip6.base,
            ipv6: host::source_to(ELSEWHERE.into()).is_some(),
        }
    }
}

/// Why the namespace is not as it has to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the program nft is missing (package nftables)")]
    NoNft,
    #[error("cannot {step} in a network namespace of this user")]
    Step {
        step: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Sockets besides those of the workers and of DNS.
pub(crate) type Built = Vec<(Role, OwnedFd)>;

/// Addresses, routes, rules, and the sockets that are not bound to any port.
pub(crate) async fn build(blueprint: &Blueprint) -> Result<Built, OpenError> {
    let step = |step| move |source| OpenError::Step { step, source };
    let (connection, handle, _news) =
        rtnetlink::new_connection().map_err(step("reach the routing tables"))?;
    let connection = tokio::spawn(connection);
    let laid = lay_out(&handle, blueprint).await;
    connection.abort();
    laid.map_err(step("set addresses and routes"))?;
    let nft = host::program("nft").ok_or(OpenError::NoNft)?;
    once::apply(&Site::OWN, &nft, &rules::text(blueprint)).await.map_err(step("load nft rules"))?;
    let raw = Raw::open(rules::ANSWER).map_err(step("open raw sockets"))?;
    let diag = diag::open().map_err(step("open a sock_diag socket"))?;
    let raw = raw.into_iter().map(|socket| (Role::Raw, socket));
    Ok(raw.chain([(Role::Diag, diag)]).collect())
}

async fn lay_out(handle: &Handle, blueprint: &Blueprint) -> io::Result<()> {
    let io_error = routes::io_error;
    let up = LinkUnspec::new_with_index(LOOPBACK).up().build();
    handle.link().set(up).execute().await.map_err(io_error)?;
    let has_ipv6 = host::has_ipv6();
    for (address, prefix) in [(IpAddr::V4(HOST4), 32), (IpAddr::V6(HOST6), 128)] {
        if address.is_ipv4() || has_ipv6 {
            let mut add = handle.address().add(LOOPBACK, address, prefix);
            // Usable at once: nobody else could have it here.
            let flags = AddressAttribute::Flags(AddressFlags::Nodad);
            add.message_mut().attributes.push(flags);
            add.execute().await.map_err(io_error)?;
        }
    }
    let any4 = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, IpAddr::V4(HOST4));
    let any6 = (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0, IpAddr::V6(HOST6));
    let vips6 = (IpAddr::V6(blueprint.vip6), 64, IpAddr::V6(HOST6));
    let mut routes = vec![any4];
    match (has_ipv6, blueprint.ipv6) {
        (true, true) => routes.push(any6),
        (true, false) => routes.push(vips6),
        (false, _) => {}
    }
    for (base, length, source) in routes {
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(base, length)
            .and_then(|route| route.pref_source(source))
            .map_err(io::Error::other)?;
        let route = route.output_interface(LOOPBACK).kind(RouteType::Local).scope(RouteScope::Host);
        handle.route().add(route.build()).execute().await.map_err(io_error)?;
    }
    Ok(())
}

/// Lets `listener` accept connections to addresses of others.
pub(crate) fn accept_for_others(listener: &OwnedFd) -> io::Result<()> {
    let socket = SockRef::from(listener);
    if socket.domain()? == Domain::IPV4 {
        return socket.set_ip_transparent_v4(true);
    }
    let on: libc::c_int = 1;
    let (fd, value) = (listener.as_raw_fd(), (&raw const on).cast());
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` points at `size` bytes.
    let result =
        unsafe { libc::setsockopt(fd, libc::SOL_IPV6, libc::IPV6_TRANSPARENT, value, size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
