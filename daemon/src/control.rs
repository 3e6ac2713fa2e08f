//! The gRPC API on its unix socket: authorise, convert, update, answer; one file per service.
//!
//! [`authorise::Gate`] lets a call in or answers it, so a service never meets a caller that may
//! not be there; every refusal takes its form in [`error`].

mod answer;
mod attach;
mod authorise;
mod bound;
mod bypass;
mod convert;
mod core;
mod endpoints;
mod error;
mod event;
mod files;
mod manifest;
mod metrics;
mod record;
mod registry;
mod run;
mod settings;
mod socket;
mod status;
#[cfg(test)]
mod tests;
mod views;

use std::sync::Arc;

use mesh_proto::v1::attach_service_server::AttachServiceServer;
use mesh_proto::v1::bypass_service_server::BypassServiceServer;
use mesh_proto::v1::event_service_server::EventServiceServer;
use mesh_proto::v1::manifest_service_server::ManifestServiceServer;
use mesh_proto::v1::metrics_service_server::MetricsServiceServer;
use mesh_proto::v1::record_service_server::RecordServiceServer;
use mesh_proto::v1::registry_service_server::RegistryServiceServer;
use mesh_proto::v1::run_service_server::RunServiceServer;
use mesh_proto::v1::status_service_server::StatusServiceServer;
use tokio::sync::Mutex;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::layer::layer_fn;

use crate::capture::{self, Attachments, Capture, Keeper, Rootless, Runs};
use crate::config;
use crate::health::Board;
use crate::record::Rings;
use crate::state::{Interner, Published, Store};
use crate::telemetry::{Rates, Telemetry};
pub(crate) use attach::{Whereabouts, follow as follow_attachments};
use authorise::Gate;
pub(crate) use bound::{Life, follow as follow_bound};
pub(crate) use bypass::follow as follow_bypasses;
use core::Core;
pub(crate) use files::Manifests;
pub(crate) use run::{adopt, forget, workload};
pub(crate) use settings::{Settings, SettingsProblem};
pub(crate) use socket::{BindError, Socket};

/// The largest manifest, 16 MiB of text, and its envelope.
const MAX_MESSAGE: usize = 20 << 20;

/// What the API shows and changes.
pub(crate) struct Daemon {
    pub(crate) identity: config::Identity,
    pub(crate) settings: Settings,
    pub(crate) workers: u32,
    pub(crate) store: Arc<Store>,
    pub(crate) published: Arc<Published>,
    pub(crate) names: Interner,
    pub(crate) board: Arc<Board>,
    pub(crate) rings: Rings,
    pub(crate) telemetry: Telemetry,
    pub(crate) rates: Rates,
    /// Path of all runs below the cgroup2 mount.
    pub(crate) cgroup: String,
    /// `None` where the host has no cgroup2.
    pub(crate) runs: Option<Runs>,
    pub(crate) attachments: Arc<Attachments>,
    /// `Some`: runs are in network namespaces of their own, and nothing else is captured.
    pub(crate) rootless: Option<Rootless>,
    /// Has meshd listen in other network namespaces.
    pub(crate) keeper: Keeper,
    pub(crate) capture: CaptureSlot,
}

/// Empty until capture is installed, and again once it is removed.
pub(crate) type CaptureSlot = Arc<Mutex<Option<Capture>>>;

impl Daemon {
    fn whereabouts(&self) -> Whereabouts {
        Whereabouts {
            runs: self.runs.clone(),
            attachments: Arc::clone(&self.attachments),
            keeper: self.keeper.clone(),
        }
    }

    /// The default where nothing is captured, yet or any more.
    async fn capture_status(&self) -> capture::Status {
        match self.capture.lock().await.as_ref() {
            Some(capture) => capture.status().await,
            None => capture::Status::default(),
        }
    }
}

/// Answers calls on `socket` until `stop`, then lets running calls end.
///
/// Dropping it cuts them; a change that has begun is then whole or absent ([`Store::update`]).
pub(crate) async fn serve(
    socket: Socket,
    daemon: Daemon,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let Socket { listener, rules, file } = socket;
    let rules = Arc::new(rules);
    let core = Arc::new(Core { daemon, rules: Arc::clone(&rules) });
    let gate = layer_fn(move |inner| Gate { inner, rules: Arc::clone(&rules) });
    let served = Server::builder()
        .layer(gate)
        .add_routes(services(&core, &stop))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop.cancelled())
        .await;
    drop(file);
    served
}

fn services(core: &Arc<Core>, stop: &CancellationToken) -> Routes {
    let Daemon { identity, published, names, telemetry, rates, .. } = &core.daemon;
    let registry = RegistryServiceServer::new(registry::Registry(Arc::clone(core)));
    let manifests = manifest::Manifests { core: Arc::clone(core), stop: stop.clone() };
    let manifests = ManifestServiceServer::new(manifests)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(usize::MAX);
    let records = record::Records {
        rings: core.daemon.rings.clone(),
        published: Arc::clone(published),
        names: names.clone(),
        identity: identity.clone(),
        cgroup: core.daemon.cgroup.clone(),
        stop: stop.clone(),
    };
    let metrics = metrics::Metrics {
        telemetry: telemetry.clone(),
        rates: rates.clone(),
        published: Arc::clone(published),
        names: names.clone(),
        identity: identity.clone(),
        stop: stop.clone(),
    };
    let events = event::EventLog { events: telemetry.events.clone(), stop: stop.clone() };
    Routes::new(StatusServiceServer::new(status::Overview(Arc::clone(core))))
        .add_service(manifests)
        .add_service(registry)
        .add_service(RunServiceServer::new(run::RunScopes(Arc::clone(core))))
        .add_service(AttachServiceServer::new(attach::Attaching(Arc::clone(core))))
        .add_service(BypassServiceServer::new(bypass::Bypasses(Arc::clone(core))))
        .add_service(RecordServiceServer::new(records))
        .add_service(MetricsServiceServer::new(metrics))
        .add_service(EventServiceServer::new(events))
}
