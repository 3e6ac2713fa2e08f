//! The HTTP endpoint for machines: metrics, statistics, endpoints, health.
//!
//! It only shows; nothing is changed through it. A browser is no client of it: requests that name
//! another host than this one, or come from another site, are refused.

mod backends;
mod guard;
mod listener;
pub(crate) mod owner;
mod stats;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use self::guard::Refused;
pub(crate) use self::listener::Listener;
use self::listener::Stream;
use crate::health::Board;
use crate::state::{Interner, Published};
use crate::telemetry::{Phase, Rates, Telemetry};

/// A head that takes longer is somebody keeping the connection for nothing.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 128;
const PAUSE_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

const INDEX: &str = "meshd

/metrics           Prometheus metrics (also /stats/prometheus)
/stats             every counter, one `name: value` per line; ?format=json, ?filter=REGEX
/backends          every endpoint with its state (also /clusters); ?format=json
/health            200 when serving, 503 when starting or draining (also /ready)
/live              200 as long as meshd runs
";

/// What the pages show.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) telemetry: Telemetry,
    pub(crate) rates: Rates,
    pub(crate) published: Arc<Published>,
    pub(crate) names: Interner,
    pub(crate) checks: Arc<Board>,
}

impl Admin {
    /// Answers until `stop`, then lets the answers that have begun end.
    pub(crate) async fn serve(self, listener: Listener, stop: CancellationToken) {
        let admin = Arc::new(self);
        let connections = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                // A client too many is closed at once.
                Ok(_) if connections.len() >= MAX_CONNECTIONS => {}
                Ok(stream) => {
                    connections.spawn(converse(Arc::clone(&admin), stream, stop.clone()));
                }
                Err(error) => {
                    warn!(%error, "the admin endpoint could not accept");
                    sleep(PAUSE_AFTER_ACCEPT_ERROR).await;
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if let Err(refused) = guard::admit(request.method(), request.headers()) {
            return refusal(&refused);
        }
        let json = query(request, "format").as_deref() == Some("json");
        let snapshot = self.published.newest();
        match request.uri().path() {
            "/" => page(StatusCode::OK, TEXT, INDEX),
            "/metrics" | "/stats/prometheus" => {
                page(StatusCode::OK, METRICS, self.telemetry.text(&snapshot, &self.names))
            }
            "/stats" => {
                let text = self.telemetry.text(&snapshot, &self.names);
                match stats::filtered(&text, query(request, "filter").as_deref()) {
                    Ok(stats) if json => page(StatusCode::OK, JSON, stats::json(&stats)),
                    Ok(stats) => page(StatusCode::OK, TEXT, stats::text(&stats)),
                    Err(error) => page(StatusCode::BAD_REQUEST, TEXT, format!("filter: {error}\n")),
                }
            }
            "/backends" | "/clusters" => {
                let services = backends::list(self, &snapshot);
                match json {
                    true => page(StatusCode::OK, JSON, backends::json(&services)),
                    false => page(StatusCode::OK, TEXT, backends::text(&services)),
                }
            }
            "/health" | "/ready" => self.health(),
            "/live" => page(StatusCode::OK, TEXT, "live\n"),
            _ => page(StatusCode::NOT_FOUND, TEXT, "not found; / lists what there is\n"),
        }
    }

    fn health(&self) -> Response<Full<Bytes>> {
        match self.telemetry.readiness.phase() {
            Phase::Serving => page(StatusCode::OK, TEXT, "serving\n"),
            Phase::Starting => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting\n"),
            Phase::Draining => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n"),
        }
    }
}

async fn converse(admin: Arc<Admin>, stream: Box<dyn Stream>, stop: CancellationToken) {
    let service =
        service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(admin.answer(&request)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = match stop.run_until_cancelled(connection.as_mut()).await {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "an admin client was cut off");
    }
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn refusal(refused: &Refused) -> Response<Full<Bytes>> {
    let status = match refused {
        Refused::Method => StatusCode::METHOD_NOT_ALLOWED,
        Refused::Host | Refused::Origin => StatusCode::FORBIDDEN,
    };
    let mut response = page(status, TEXT, format!("{refused}\n"));
    if matches!(refused, Refused::Method) {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// The first value of a query parameter, percent-decoded.
fn query(request: &Request<Incoming>, name: &str) -> Option<String> {
    let pairs = request.uri().query()?.split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1;
    Some(stats::decoded(value))
}
