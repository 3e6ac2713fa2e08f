//! Idle connections of one worker, per endpoint, newest first.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{ConnectError, Socket, Source};
use crate::capture::Disguise;
use crate::config;
use crate::state::{Endpoint, EndpointLive};
use crate::telemetry::{EndpointSeries, Open, Shard};

/// Idle connections kept per endpoint and worker.
const MAX_IDLE: usize = 512;
/// A request that must not be sent twice gets a connection used so recently, or a new one: the
/// endpoint has hardly decided to close it yet.
const FRESH: Duration = Duration::from_secs(1);

/// One worker's connections to endpoints.
#[derive(Debug)]
pub(crate) struct Pool {
    connect_timeout: Duration,
    upstream_idle: Duration,
    mark: u32,
    /// By the endpoint's interned id.
    endpoints: RefCell<Vec<Option<Place>>>,
}

/// Everything kept for one endpoint.
#[derive(Debug)]
struct Place {
    live: Arc<EndpointLive>,
    series: Rc<EndpointSeries>,
    idle: Vec<Idle>,
    /// The endpoint closes idle connections after about so long: said by it, or learned.
    idle_limit: Duration,
}

/// A connection between two requests.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) connection: Connection,
    pub(crate) since: Instant,
}

/// A connection to an endpoint that is counted as open.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    _open: Open,
}

/// Which idle connections are good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Any: the request may be sent again when the connection turns out dead.
    Any,
    Fresh,
}

impl Idle {
    /// Used lately enough.
    fn suits(&self, reuse: Reuse) -> bool {
        reuse == Reuse::Any || self.since.elapsed() <= FRESH
    }

    /// The connection, while it is good enough.
    pub(crate) fn reuse(self, reuse: Reuse) -> Option<Connection> {
        let good = self.suits(reuse) && !self.connection.socket.is_stale();
        good.then_some(self.connection)
    }
}

impl Pool {
    pub(crate) fn new(config: &config::Proxy) -> Self {
        Self {
            connect_timeout: config.connect_timeout,
            upstream_idle: config.upstream_idle,
            mark: config.mark,
            endpoints: RefCell::default(),
        }
    }

    /// The counters of `endpoint`.
    pub(crate) fn series(&self, endpoint: &Endpoint, shard: &Shard) -> Rc<EndpointSeries> {
        self.with(endpoint, shard, |place| Rc::clone(&place.series))
            .unwrap_or_else(|| shard.endpoint(endpoint.id))
    }

    /// The most recently used idle connection that is still good.
    pub(crate) fn take(&self, endpoint: &Endpoint, reuse: Reuse) -> Option<Connection> {
        let mut endpoints = self.endpoints.borrow_mut();
        let place = endpoints.get_mut(usize::try_from(endpoint.id).ok()?)?.as_mut()?;
        if !place.idle.last()?.suits(reuse) {
            return None;
        }
        while let Some(Idle { connection, .. }) = place.idle.pop() {
            if !connection.socket.is_stale() {
                return Some(connection);
            }
        }
        None
    }

    /// Connects to `endpoint`, perhaps in the name of a client, for `limit` or the configured time,
    /// whichever is shorter.
    pub(crate) async fn connect(
        &self,
        endpoint: &Endpoint,
        shard: &Shard,
        limit: Option<Duration>,
        disguise: Option<Disguise>,
    ) -> Result<Connection, ConnectError> {
        let address = endpoint.address;
        let after = limit.map_or(self.connect_timeout, |limit| limit.min(self.connect_timeout));
        let source = Source::to(endpoint, disguise);
        let socket = tokio::time::timeout(after, Socket::connect(address, self.mark, &source))
            .await
            .map_err(|_elapsed| ConnectError::Timeout { address, after })?
            .map_err(|source| ConnectError::Refused { address, source })?;
        let open = self.series(endpoint, shard).connection();
        Ok(Connection { socket, _open: open })
    }

    /// Keeps a connection whose last answer is complete. `said` is the idle time the endpoint
    /// allows, where it told.
    pub(crate) fn put(
        &self,
        endpoint: &Endpoint,
        shard: &Shard,
        idle: Idle,
        said: Option<Duration>,
    ) {
        self.with(endpoint, shard, |place| {
            if let Some(said) = said {
                place.idle_limit = said.min(self.upstream_idle);
            }
            let keep = !place.live.gone.load(Relaxed) && place.idle.len() < MAX_IDLE;
            if keep && !place.idle_limit.is_zero() {
                place.idle.push(idle);
            }
        });
    }

    /// Closes what was idle for too long, was closed by the endpoint, or whose endpoint is gone.
    pub(crate) fn sweep(&self) {
        for entry in self.endpoints.borrow_mut().iter_mut() {
            let Some(place) = entry else { continue };
            if place.live.gone.load(Relaxed) {
                *entry = None;
                continue;
            }
            let limit = place.idle_limit;
            place
                .idle
                .retain(|idle| idle.since.elapsed() < limit && !idle.connection.socket.is_stale());
        }
    }

    fn with<R>(
        &self,
        endpoint: &Endpoint,
        shard: &Shard,
        act: impl FnOnce(&mut Place) -> R,
    ) -> Option<R> {
        let index = usize::try_from(endpoint.id).ok()?;
        let mut endpoints = self.endpoints.borrow_mut();
        if endpoints.len() <= index {
            endpoints.resize_with(index + 1, || None);
        }
        let place = endpoints.get_mut(index)?.get_or_insert_with(|| Place {
            live: Arc::clone(&endpoint.live),
            series: shard.endpoint(endpoint.id),
            idle: Vec::new(),
            idle_limit: self.upstream_idle,
        });
        Some(act(place))
    }
}
