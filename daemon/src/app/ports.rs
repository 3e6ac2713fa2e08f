//! Every listener, opened before the host is changed; one that cannot be opened names its owner.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use mesh_proto::codes;
use tokio::net::TcpListener;

use super::StartError;
use crate::admin::owner;
use crate::capture::dns;
use crate::config::Config;
use crate::control;
use crate::proxy;

/// Bound, not yet served.
pub(super) struct Ports {
    pub(super) captured: Vec<proxy::Doors>,
    pub(super) dns: dns::Sockets,
    pub(super) admin: TcpListener,
    pub(super) api: control::Socket,
}

impl Ports {
    pub(super) async fn open(config: &Config) -> Result<Self, StartError> {
        let capture = &config.capture;
        let captured = proxy::bind(capture, config.proxy.workers).map_err(|error| {
            let setting = match error.address.port() {
                port if port == capture.udp_port => "capture.udp_port",
                _ => "--tcp-port (capture.tcp_port)",
            };
            taken(error.address, setting, &error.source)
        })?;
        let dns_address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, capture.dns_port));
        let dns = dns::Sockets::bind(capture)
            .map_err(|error| taken(dns_address, "--dns-port (capture.dns_port)", &error))?;
        let admin = TcpListener::bind(config.admin)
            .await
            .map_err(|error| taken(config.admin, "--admin (admin)", &error))?;
        let api = control::Socket::bind(&config.api).map_err(|error| api_refused(&error))?;
        Ok(Self { captured, dns, admin, api })
    }
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
