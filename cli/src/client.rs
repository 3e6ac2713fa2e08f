//! One connection to meshd over its unix socket, and every service behind it.
//!
//! The socket is connected here rather than by tonic, so that "nobody listens" and "you may not"
//! are known for what they are.

pub(crate) mod failure;

use std::future::Future;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use mesh_proto::codes;
use mesh_proto::v1::attach_service_client::AttachServiceClient;
use mesh_proto::v1::bypass_service_client::BypassServiceClient;
use mesh_proto::v1::event_service_client::EventServiceClient;
use mesh_proto::v1::manifest_service_client::ManifestServiceClient;
use mesh_proto::v1::metrics_service_client::MetricsServiceClient;
use mesh_proto::v1::record_service_client::RecordServiceClient;
use mesh_proto::v1::registry_service_client::RegistryServiceClient;
use mesh_proto::v1::run_service_client::RunServiceClient;
use mesh_proto::v1::status_service_client::StatusServiceClient;
use mesh_proto::v1::{HandshakeRequest, HandshakeResponse};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use tower::service_fn;

use crate::error::Failure;
use crate::places;

pub(crate) const DEFAULT_SOCKET: &str = "/run/meshd/meshd.sock";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) struct Client {
    channel: Channel,
    /// Who answered.
    pub(crate) daemon: HandshakeResponse,
    /// How long one call may take.
    limit: Option<Duration>,
}

impl Client {
    /// Connects and shakes hands.
    pub(crate) async fn connect(socket: &Path, limit: Option<Duration>) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket).await;
        let stream = stream.map_err(|error| unreachable(socket, &error))?;
        let channel = channel_over(stream).await?;
        let request = HandshakeRequest { version: VERSION.to_owned() };
        let mut status = StatusServiceClient::new(channel.clone());
        let daemon = within(limit, status.handshake(request)).await?;
        check_version(&daemon.version)?;
        Ok(Self { channel, daemon, limit })
    }

    /// Awaits a call within the limit of `--timeout`.
    pub(crate) async fn call<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        within(self.limit, call).await
    }

    pub(crate) fn status(&self) -> StatusServiceClient<Channel> {
        StatusServiceClient::new(self.channel.clone())
    }

    pub(crate) fn manifests(&self) -> ManifestServiceClient<Channel> {
        ManifestServiceClient::new(self.channel.clone())
    }

    pub(crate) fn registry(&self) -> RegistryServiceClient<Channel> {
        RegistryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel.clone())
    }

    pub(crate) fn bypasses(&self) -> BypassServiceClient<Channel> {
        BypassServiceClient::new(self.channel.clone())
    }

    pub(crate) fn attachments(&self) -> AttachServiceClient<Channel> {
        AttachServiceClient::new(self.channel.clone())
    }

    pub(crate) fn records(&self) -> RecordServiceClient<Channel> {
        RecordServiceClient::new(self.channel.clone())
    }

    pub(crate) fn metrics(&self) -> MetricsServiceClient<Channel> {
        MetricsServiceClient::new(self.channel.clone())
    }

    pub(crate) fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone())
    }
}

async fn within<T>(
    limit: Option<Duration>,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Failure> {
    let answer = match limit {
        None => call.await,
        Some(limit) => match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer,
            Err(_elapsed) => return Err(timed_out(limit)),
        },
    };
    Ok(answer?.into_inner())
}

fn timed_out(limit: Duration) -> Failure {
    let message = format!("meshd did not answer within {limit:?}");
    Failure::new(&codes::CALL_TIMED_OUT, message)
        .why("it may be stopped, overloaded, or waiting for a worker")
        .fix("meshctl status --timeout 60s")
}

async fn channel_over(stream: UnixStream) -> Result<Channel, Failure> {
    // tonic asks for a connection again after this one ended: then the answer is that it ended.
    let once = Mutex::new(Some(TokioIo::new(stream)));
    let connector = service_fn(move |_| {
        let stream = once.lock().ok().and_then(|mut once| once.take());
        async move { stream.ok_or_else(|| Error::from(ErrorKind::ConnectionAborted)) }
    });
    let connected = Endpoint::from_static("http://meshd").connect_with_connector(connector).await;
    connected.map_err(|error| {
        Failure::new(&codes::NOT_RUNNING, "the API socket answered, but not as meshd")
            .why(error.to_string())
            .fix("meshctl env        (which socket is used, and where that came from)")
    })
}

fn unreachable(socket: &Path, error: &Error) -> Failure {
    let path = socket.display();
    let kind = error.kind();
    if kind == ErrorKind::PermissionDenied {
        let message = format!("you may not use the API socket {path}");
        return Failure::new(&codes::PERMISSION, message)
            .why("it belongs to root and the group mesh; you are neither")
            .fix("sudo usermod -aG mesh $USER   (then log in again)");
    }
    if !matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
        return Failure::new(&codes::NOT_RUNNING, format!("cannot reach meshd at {path}"))
            .why(error.to_string())
            .fix(start_line(socket));
    }
    let why = if kind == ErrorKind::NotFound {
        format!("there is no file {path}")
    } else {
        format!("{path} is left over from a daemon that ended")
    };
    Failure::new(&codes::NOT_RUNNING, format!("meshd is not running (no listener on {path})"))
        .why(why)
        .fix(start_line(socket))
}

/// The line that starts meshd on this host.
fn start_line(socket: &Path) -> String {
    let unit = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]
        .iter()
        .any(|folder| Path::new(folder).join("meshd.service").exists());
    if unit && Path::new("/run/systemd/system").exists() {
        "sudo systemctl start meshd".to_owned()
    } else if socket == Path::new(DEFAULT_SOCKET) {
        "sudo meshd".to_owned()
    } else {
        format!("sudo meshd --socket {}", socket.display())
    }
}

/// Client and daemon may differ by one minor version.
fn check_version(daemon: &str) -> Result<(), Failure> {
    if compatible(VERSION, daemon) {
        return Ok(());
    }
    let message = format!("meshctl {VERSION} cannot talk to meshd {daemon}");
    Err(Failure::new(&codes::INCOMPATIBLE, message)
        .why("the two may differ by one minor version")
        .fix("sudo ./install.sh   (in the folder of the newer version; then restart meshd)"))
}

fn compatible(client: &str, daemon: &str) -> bool {
    let minor_of = |version: &str| -> Option<(u32, u32)> {
        let mut numbers = version.split(['.', '-']);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    match (minor_of(client), minor_of(daemon)) {
        (Some((major, minor)), Some((other, its))) => major == other && minor.abs_diff(its) <= 1,
        _ => false,
    }
}

/// The socket a command uses when nothing else says so: the host's meshd, else the user's own.
pub(crate) fn default_socket() -> PathBuf {
    let own = places::own_socket();
    if !Path::new(DEFAULT_SOCKET).exists() && own.exists() { own } else { DEFAULT_SOCKET.into() }
}

#[cfg(test)]
mod tests {
    use super::compatible;

    #[test]
    fn versions_may_differ_by_one_minor() {
        assert!(compatible("0.1.0", "0.1.7"));
        assert!(compatible("0.2.0", "0.1.0"));
        assert!(!compatible("0.1.0", "0.3.0"));
        assert!(!compatible("1.1.0", "0.1.0"));
        assert!(!compatible("0.1.0", "garbage"));
    }
}
