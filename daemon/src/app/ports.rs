//! Every listener, opened before the host is changed; one that cannot be opened names its owner.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use mesh_proto::codes;

use super::StartError;
use crate::admin::{self, owner};
use crate::capture::dns;
use crate::config::{self, BackendChoice, Config};
use crate::control;
use crate::proxy;

/// Bound, not yet served.
pub(super) struct Ports {
    pub(super) captured: Vec<proxy::Doors>,
    pub(super) dns: dns::Sockets,
    pub(super) admin: admin::Listener,
    pub(super) api: control::Socket,
}

impl Ports {
    pub(super) async fn open(config: &Config) -> Result<Self, StartError> {
        let (captured, dns) = match config.capture.backend {
            BackendChoice::Netns => {
                let workers = 0..config.proxy.workers.get();
                (workers.map(|_| proxy::Doors::none()).collect(), dns::Sockets::default())
            }
            BackendChoice::Auto
            | BackendChoice::Ebpf
            | BackendChoice::Nft
            | BackendChoice::Iptables(_)
            | BackendChoice::None => captured(config)?,
        };
        let admin = admin::Listener::bind(&config.admin).await;
        let admin = admin.map_err(|error| match &config.admin {
            config::Admin::Tcp(address) => taken(*address, "--admin (admin)", &error),
            config::Admin::Unix(path) => StartError::caused(codes::PORT_IN_USE, &error)
                .because(format!("cannot listen on {}", path.display()))
                .fixed_by("choose another path with --admin (admin)"),
        })?;
        let api = control::Socket::bind(&config.api).map_err(|error| api_refused(&error))?;
        Ok(Self { captured, dns, admin, api })
    }
}

/// What captures in meshd's own network namespace.
fn captured(config: &Config) -> Result<(Vec<proxy::Doors>, dns::Sockets), StartError> {
    let capture = &config.capture;
    let inbound = (capture.inbound_tcp_port, capture.inbound_udp_port);
    let doors =
        proxy::bind((capture.tcp_port, capture.udp_port), capture.mark_own, config.proxy.workers);
    let doors = doors
        .and_then(|mut doors| proxy::bind_inbound(&mut doors, inbound).map(|()| doors))
        .map_err(|error| {
            let setting = match error.address.port() {
                port if port == capture.udp_port => "capture.udp_port",
                port if port == capture.inbound_tcp_port => "capture.inbound_tcp_port",
                port if port == capture.inbound_udp_port => "capture.inbound_udp_port",
                _ => "--tcp-port (capture.tcp_port)",
            };
            taken(error.address, setting, &error.source)
        })?;
    let dns_address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, capture.dns_port));
    let dns = dns::Sockets::bind(capture.dns_port)
        .map_err(|error| taken(dns_address, "--dns-port (capture.dns_port)", &error))?;
    Ok((doors, dns))
}

fn taken(address: SocketAddr, setting: &str, cause: &io::Error) -> StartError {
    let port = address.port();
    if cause.kind() != io::ErrorKind::AddrInUse {
        return StartError::new(codes::PORT_IN_USE, format!("cannot listen on {address}"))
            .because(cause.to_string())
            .fixed_by(format!("give meshd another address with {setting}"));
    }
    let error = StartError::new(codes::PORT_IN_USE, format!("port {port} is in use"));
    match owner::of_tcp(address).or_else(|| owner::of_udp(address)) {
        Some(owner) => error
            .because(format!("{address} is held by {owner}"))
            .fixed_by(format!("stop pid {}, or choose another port with {setting}", owner.pid)),
        None => error
            .because(format!("another process holds {address}"))
            .fixed_by(format!("choose another port with {setting}")),
    }
}

fn api_refused(error: &control::BindError) -> StartError {
    let code = match error {
        control::BindError::Live { .. } => codes::STATE_IN_USE,
        control::BindError::Foreign { .. } => codes::INVALID_SETTING,
        control::BindError::Io { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            codes::PERMISSION
        }
        control::BindError::Io { .. } => codes::PORT_IN_USE,
    };
    StartError::caused(code, error).fixed_by("choose another path with --socket (socket)")
}
