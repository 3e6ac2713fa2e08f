//! MetricsService: the numbers behind `top`, `stat` and `metrics`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, Stream};
use mesh_proto::v1;
use mesh_proto::v1::metrics_service_server::MetricsService;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::config::Identity;
use crate::model::Declared;
use crate::state::{Endpoint, Interner, Published, Service, Snapshot};
use crate::telemetry::{LONGEST, Numbers, Rates, Telemetry, Window};

const WINDOW: Duration = Duration::from_secs(10);
const INTERVAL_MS: u32 = 1000;

/// See the module. Streams end at `stop`.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) telemetry: Telemetry,
    pub(crate) rates: Rates,
    pub(crate) published: Arc<Published>,
    pub(crate) names: Interner,
    pub(crate) identity: Identity,
    pub(crate) stop: CancellationToken,
}

#[tonic::async_trait]
impl MetricsService for Metrics {
    async fn text(
        &self,
        _: Request<v1::MetricsTextRequest>,
    ) -> Result<Response<v1::MetricsTextResponse>, Status> {
        let text = self.telemetry.text(&self.published.newest(), &self.names);
        Ok(Response::new(v1::MetricsTextResponse { text }))
    }

    type StreamStream = Pin<Box<dyn Stream<Item = Result<v1::MetricsFrame, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<v1::MetricsStreamRequest>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let asked = request.into_inner();
        let window = match asked.window_s {
            0 => WINDOW,
            seconds => Duration::from_secs(seconds.into()).min(LONGEST),
        };
        let millis = if asked.interval_ms == 0 { INTERVAL_MS } else { asked.interval_ms };
        let mut ticks = interval(Duration::from_millis(millis.clamp(100, 60_000).into()));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let frames = Frames { metrics: self.clone(), window, ticks, left: asked.once.then_some(1) };
        let frames = stream::unfold(frames, async |mut frames| {
            frames.next().await.map(|frame| (Ok(frame), frames))
        });
        Ok(Response::new(Box::pin(frames)))
    }
}

struct Frames {
    metrics: Metrics,
    window: Duration,
    ticks: Interval,
    /// `None`: until somebody stops.
    left: Option<u32>,
}

impl Frames {
    async fn next(&mut self) -> Option<v1::MetricsFrame> {
        if self.left == Some(0) {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        self.metrics.stop.run_until_cancelled(self.ticks.tick()).await?;
        Some(self.metrics.frame(self.window))
    }
}

impl Metrics {
    fn frame(&self, window: Duration) -> v1::MetricsFrame {
        let snapshot = self.published.newest();
        let window = self.rates.window(window);
        let view = View { snapshot: &snapshot, window: &window };
        let declared =
            snapshot.services.iter().filter(|service| snapshot.by_name.contains_key(&service.name));
        v1::MetricsFrame {
            time: Some(SystemTime::now().into()),
            mesh: self.identity.mesh.clone(),
            node: self.identity.node.clone(),
            generation: snapshot.generation,
            window_s: window.covered.as_secs_f64(),
            total: Some(numbers(window.total())),
            services: declared.map(|service| view.service(service)).collect(),
        }
    }
}

struct View<'a> {
    snapshot: &'a Snapshot,
    window: &'a Window,
}

impl View<'_> {
    fn service(&self, service: &Service) -> v1::ServiceNumbers {
        let subsets: Vec<_> = (0..service.subsets.len())
            .map(|subset| self.subset(service, subset))
            .filter(|subset| !subset.name.is_empty() || !subset.endpoints.is_empty())
            .collect();
        let port = service.ports.first();
        v1::ServiceNumbers {
            namespace: service.name.namespace.clone(),
            name: service.name.name.clone(),
            protocol: port.map_or("", |port| protocol(port.protocol)).to_owned(),
            address: port
                .map_or_else(String::new, |port| format!("{}:{}", service.vip4, port.port)),
            ready: subsets.iter().map(|subset| subset.ready).sum(),
            total: subsets.iter().map(|subset| subset.total).sum(),
            numbers: Some(numbers(self.window.service(service))),
            subsets,
        }
    }

    /// Each endpoint appears once, in the subset it counts for.
    fn subset(&self, service: &Service, subset: usize) -> v1::SubsetNumbers {
        let within = |endpoint: &&Endpoint| {
            let owner = self.snapshot.services.get(endpoint.service);
            endpoint.subset == subset && owner.is_some_and(|owner| owner.id == service.id)
        };
        let endpoints: Vec<&Endpoint> = self.snapshot.endpoints.iter().filter(within).collect();
        let ready = endpoints.iter().filter(|endpoint| endpoint.live.is_ready()).count();
        let name = service.subsets.get(subset).map(|subset| subset.name.clone());
        v1::SubsetNumbers {
            name: name.unwrap_or_default(),
            ready: count(ready),
            total: count(endpoints.len()),
            weight: self.weight(service, subset),
            numbers: Some(numbers(self.window.subset(self.snapshot, service, subset))),
            endpoints: endpoints.into_iter().map(|endpoint| self.endpoint(endpoint)).collect(),
        }
    }

    /// Percent of the service's own default traffic, where that is split.
    fn weight(&self, service: &Service, subset: usize) -> Option<u32> {
        let port = service.ports.first()?;
        let backends = match port.http.rules.last() {
            Some(rule) if !matches!(port.protocol, Declared::Tcp | Declared::Udp) => {
                &rule.split.backends
            }
            _ => &port.tcp.backends,
        };
        let is_own = |index: usize| {
            self.snapshot.services.get(index).is_some_and(|owner| owner.id == service.id)
        };
        if subset == 0 || !backends.iter().any(|backend| backend.subset != 0) {
            return None;
        }
        let total: u32 = backends.iter().map(|backend| backend.weight).sum();
        let own =
            backends.iter().filter(|backend| is_own(backend.service) && backend.subset == subset);
        let own: u32 = own.map(|backend| backend.weight).sum();
        (total > 0).then(|| (f64::from(own) * 100.0 / f64::from(total)).round() as u32)
    }

    fn endpoint(&self, endpoint: &Endpoint) -> v1::EndpointNumbers {
        v1::EndpointNumbers {
            address: endpoint.address.to_string(),
            node: endpoint.node.clone(),
            state: endpoint.live.health().label().to_owned(),
            numbers: Some(numbers(self.window.endpoint(endpoint))),
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

const fn protocol(declared: Declared) -> &'static str {
    match declared {
        Declared::Detect => "",
        Declared::Tcp => "tcp",
        Declared::Http => "http",
        Declared::Grpc => "grpc",
        Declared::Udp => "udp",
    }
}

fn numbers(seen: Numbers) -> v1::Numbers {
    v1::Numbers {
        rps: seen.rps,
        success: seen.success,
        p50_ms: seen.p50,
        p95_ms: seen.p95,
        p99_ms: seen.p99,
        open: seen.open,
        received_bytes_per_second: seen.received_per_second,
        sent_bytes_per_second: seen.sent_per_second,
        requests_total: seen.requests_total,
        errors_total: seen.errors_total,
        connections_per_second: seen.connections_per_second,
    }
}
