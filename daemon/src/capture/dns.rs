//! DNS for captured processes: mesh names are answered here, every other question goes to the
//! resolver the application asked, byte for byte.

use std::io;

use tokio_util::sync::CancellationToken;

use super::Origins;
use crate::config;
use crate::state::{Interner, Reader};

/// The bound sockets of the DNS server, both families, UDP and TCP.
#[derive(Debug)]
pub(crate) struct Sockets {}

impl Sockets {
    /// # Errors
    /// The port is in use, or there is no IPv4.
    pub(crate) fn bind(_config: &config::Capture) -> io::Result<Self> {
        Ok(Self {})
    }
}

/// What the server answers from and writes to.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) origins: Origins,
    pub(crate) reader: Reader,
    pub(crate) names: Interner,
    /// `SO_MARK` of our own questions to other resolvers.
    pub(crate) mark: u32,
}

/// Serves until `stop`, then ends at once: clients ask again elsewhere.
pub(crate) async fn serve(_sockets: Sockets, _server: Server, stop: CancellationToken) {
    stop.cancelled().await;
}
