//! The start: every step that can refuse comes before the first that changes the host.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use mesh_proto::codes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::gates::{Gates, Guests};
use super::namespaces::Doorman;
use super::ports::Ports;
use super::{StartError, follow};
use crate::admin::{self, Admin};
use crate::capture::{self, Attachments, CaptureError, Keeper, Prepared, Rootless, Runs, dns};
use crate::config::{BackendChoice, CaptureScope, Config};
use crate::control;
use crate::health::{self, Board, Dialer};
use crate::model::{Egress, Scope, Workload};
use crate::proxy::{self, Workers};
use crate::record::Rings;
use crate::state::{Interner, Published, RuntimeError, Store, Vips};
use crate::telemetry::logs::Logs;
use crate::telemetry::{AccessLog, Phase, Rates, Telemetry};

/// A running daemon.
pub(super) struct Daemon {
    pub(super) config: Config,
    pub(super) logs: Logs,
    pub(super) telemetry: Telemetry,
    pub(super) access_log: Option<AccessLog>,
    pub(super) store: Arc<Store>,
    pub(super) settings: control::Settings,
    pub(super) manifests: control::Manifests,
    pub(super) workers: Workers,
    pub(super) capture: control::CaptureSlot,
    pub(super) runs: Option<Runs>,
    /// `None` where runs are in cgroups.
    pub(super) guests: Option<Guests>,
    /// Ends every task of the control runtime.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Last: while it is held no other daemon takes this state, cgroup or namespace.
    pub(super) _claim: capture::Claim,
}

/// What the steps of the start share.
struct Parts {
    names: Interner,
    /// Names by which workloads learnt addresses.
    told: capture::egress::Names,
    published: Arc<Published>,
    store: Arc<Store>,
    telemetry: Telemetry,
    rings: Rings,
    rates: Rates,
    board: Arc<Board>,
    capture: control::CaptureSlot,
    settings: control::Settings,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Where other network namespaces and people come in.
struct Entrances {
    workers: proxy::Gates,
    dns: dns::Gates,
    api: control::Socket,
}

impl Daemon {
    /// Starts everything; capture last.
    pub(super) async fn start(
        config: Config,
        telemetry: Telemetry,
        logs: Logs,
    ) -> Result<Self, StartError> {
        let probed = Prepared::probe(&config.capture).await;
        let mut prepared = probed.map_err(|error| capture_refused(&error))?;
        state_folder(&config.state_dir)?;
        if config.capture.backend == BackendChoice::Netns
            && let Some(folder) = config.api.socket.parent()
        {
            state_folder(folder)?;
        }
        let claim = claim(&config).await?;
        let ports = Ports::open(&config).await?;
        let parts = Parts::open(&config, telemetry)?;
        let access_log = parts.access_log(&config)?;
        parts.set_terms(&config).await?;
        let runs = parts.runs(&config).await;
        let arrival = ports.captured.first().map(proxy::Doors::inbound).unwrap_or_default();
        prepared
            .arrive_at(&arrival)
            .map_err(|error| StartError::caused(codes::CAPTURE_FAILED, &error))?;
        let workers = Workers::start(ports.captured, &parts.proxy(&config, &prepared))
            .map_err(|error| StartError::caused(codes::INTERNAL, &error))?;
        let dns = parts.start_tasks(&config, &prepared, ports.dns);
        let entrances = Entrances { workers: workers.gates(), dns, api: ports.api };
        let guests = parts.serve_workloads(&config, &prepared, entrances, runs.clone())?;
        parts.serve_admin(ports.admin);
        let reader = parts.published.reader("capture");
        let installed = prepared
            .install(reader, parts.telemetry.events.clone())
            .await
            .map_err(|error| capture_refused(&error))?;
        ready(&config, &installed.status().await);
        *parts.capture.lock().await = Some(installed);
        let (store, telemetry) = (Arc::clone(&parts.store), parts.telemetry.clone());
        let manifests = control::Manifests::new(config.manifests.clone(), store, telemetry);
        manifests.reload().await;
        parts.tasks.spawn(manifests.clone().watch(parts.stop.clone()));
        parts.telemetry.readiness.enter(Phase::Serving);
        let Parts { telemetry, capture, settings, store, stop, tasks, .. } = parts;
        Ok(Self {
            config,
            logs,
            telemetry,
            access_log,
            store,
            settings,
            manifests,
            workers,
            capture,
            runs,
            guests,
            stop,
            tasks,
            _claim: claim,
        })
    }
}

impl Parts {
    fn open(config: &Config, telemetry: Telemetry) -> Result<Self, StartError> {
        let names = Interner::new();
        let published = Arc::new(Published::default());
        let vips = Vips {
            base4: config.capture.vip4.base,
            prefix4: config.capture.vip4.prefix,
            base6: config.capture.vip6.base,
        };
        let (folder, node) = (&config.state_dir, &config.identity.node);
        let store = Store::open(folder, node, vips, names.clone(), Arc::clone(&published))
            .map_err(|error| StartError::caused(codes::STATE_CORRUPT, &error))?;
        Ok(Self {
            names,
            told: capture::egress::Names::default(),
            published,
            store: Arc::new(store),
            rings: Rings::new(config.proxy.workers.get()),
            rates: Rates::new(telemetry.clone()),
            telemetry,
            board: Arc::default(),
            capture: Arc::default(),
            settings: control::Settings::new(config.origins.clone()),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    fn access_log(&self, config: &Config) -> Result<Option<AccessLog>, StartError> {
        let lost = Arc::clone(&self.telemetry.access_log_lost);
        AccessLog::start(&config.access_log, &self.rings, self.names.clone(), lost)
            .map_err(|error| StartError::caused(codes::INVALID_SETTING, &error))
    }

    fn proxy(&self, config: &Config, prepared: &Prepared) -> proxy::Parts {
        proxy::Parts {
            config: config.proxy.clone(),
            published: Arc::clone(&self.published),
            origins: prepared.origins(),
            telemetry: self.telemetry.clone(),
            rings: self.rings.clone(),
            names: self.told.clone(),
        }
    }

    /// Opens the run scopes and takes over those a killed daemon left; `None` where none can be.
    async fn runs(&self, config: &Config) -> Option<Runs> {
        if config.capture.backend == BackendChoice::Netns {
            return None;
        }
        let (runs, ended) = match Runs::open(&config.capture) {
            Ok(opened) => opened,
            Err(error) => {
                warn!(%error, "no run can be started on this host");
                return None;
            }
        };
        control::adopt(&self.store, &runs).await;
        let (watched, stop) = (runs.clone(), self.stop.clone());
        self.tasks.spawn(async move { watched.watch(stop).await });
        let forget = control::forget(Arc::clone(&self.store), ended);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(forget));
        Some(runs)
    }

    /// What settings say of everybody.
    async fn set_terms(&self, config: &Config) -> Result<(), StartError> {
        let internal = |error: RuntimeError| StartError::caused(codes::INTERNAL, &error);
        self.store.set_strict(config.capture.strict).await.map_err(internal)?;
        if config.capture.scope != CaptureScope::Host {
            return Ok(());
        }
        let known = self.store.add_workload(Workload::HOST, host_scope()).await;
        known.map_err(internal)
    }

    /// Remembers what was attached, and follows it from now on.
    fn attachments(
        &self,
        config: &Config,
        runs: Option<Runs>,
        keeper: Keeper,
    ) -> Result<control::Whereabouts, StartError> {
        let attachments = Attachments::open(&config.state_dir)
            .map_err(|error| StartError::caused(codes::STATE_CORRUPT, &error))?;
        let attachments = Arc::new(attachments);
        let whereabouts = control::Whereabouts { runs, attachments, keeper };
        let (store, events) = (Arc::clone(&self.store), self.telemetry.events.clone());
        let follow = control::follow_attachments(store, whereabouts.clone(), events);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(follow));
        let attachments = Arc::clone(&whereabouts.attachments);
        let (events, stop) = (self.telemetry.events.clone(), self.stop.clone());
        self.tasks.spawn(async move { attachments.keep(events, stop).await });
        Ok(whereabouts)
    }

    /// Listens in other network namespaces when asked to.
    fn namespaces(&self, doorman: Doorman) -> Keeper {
        let (keeper, requests) = Keeper::new();
        self.tasks.spawn(doorman.serve(requests, self.stop.clone()));
        keeper
    }

    /// What goes direct is captured again in time.
    fn bypasses(&self) {
        let (store, events) = (Arc::clone(&self.store), self.telemetry.events.clone());
        let follow = control::follow_bypasses(store, events);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(follow));
    }

    /// Endpoints come and go with the processes they are bound to.
    fn bound_endpoints(&self, runs: Option<Runs>, attachments: Arc<Attachments>) {
        let life = control::Life { runs, attachments };
        let (store, events) = (Arc::clone(&self.store), self.telemetry.events.clone());
        let follow = control::follow_bound(store, life, events);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(follow));
    }

    /// Lets runs bring their own network namespaces, where that is how they are captured.
    /// Everything that brings processes into the mesh, and the API people do it with.
    fn serve_workloads(
        &self,
        config: &Config,
        prepared: &Prepared,
        entrances: Entrances,
        runs: Option<Runs>,
    ) -> Result<Option<Guests>, StartError> {
        let Entrances { workers, dns, api } = entrances;
        let doors = (workers.clone(), dns.clone());
        let store = Arc::clone(&self.store);
        let doorman = Doorman::new(config, doors, store, prepared.asks());
        let keeper = self.namespaces(doorman);
        let whereabouts = self.attachments(config, runs.clone(), keeper)?;
        self.bound_endpoints(runs, Arc::clone(&whereabouts.attachments));
        self.bypasses();
        let gates = Gates::new(config, workers, dns, prepared.origins());
        let guests = self.guests(config, gates)?;
        let rootless = guests.as_ref().map(|guests| guests.rootless.clone());
        self.serve_api(api, config, whereabouts, rootless);
        Ok(guests)
    }

    fn guests(&self, config: &Config, gates: Gates) -> Result<Option<Guests>, StartError> {
        if config.capture.backend != BackendChoice::Netns {
            return Ok(None);
        }
        let path = config.api.socket.with_extension("gate");
        let guests = Guests::admit(path.clone(), gates, &self.store, (&self.tasks, &self.stop));
        let guests = guests.map_err(|error| {
            StartError::caused(codes::PORT_IN_USE, &error)
                .because(format!("cannot listen on {}", path.display()))
        });
        guests.map(Some)
    }

    /// Returns who tells the DNS server about gates.
    fn start_tasks(&self, config: &Config, prepared: &Prepared, dns: dns::Sockets) -> dns::Gates {
        let events = self.telemetry.events.clone();
        let checker = health::Checker {
            board: Arc::clone(&self.board),
            dialer: Dialer::new(config.proxy.mark),
            report: Box::new(move |transition| follow::health_changed(&events, transition)),
        };
        let health = self.published.reader("health");
        self.tasks.spawn(health::run(health, checker, self.stop.clone()));
        let (gates, orders) = dns::Gates::new();
        let server = dns::Server {
            origins: prepared.origins(),
            reader: self.published.reader("dns"),
            ring: self.rings.dns(),
            mark: config.capture.mark_own,
            names: self.told.clone(),
        };
        self.tasks.spawn(dns::serve(dns, orders, server, self.stop.clone()));
        self.tasks.spawn(self.rates.clone().run(self.stop.clone()));
        self.tasks.spawn(follow::addresses(Arc::clone(&self.store), self.stop.clone()));
        gates
    }

    fn serve_admin(&self, listener: admin::Listener) {
        let admin = Admin {
            telemetry: self.telemetry.clone(),
            rates: self.rates.clone(),
            published: Arc::clone(&self.published),
            names: self.names.clone(),
            checks: Arc::clone(&self.board),
        };
        self.tasks.spawn(admin.serve(listener, self.stop.clone()));
    }

    fn serve_api(
        &self,
        socket: control::Socket,
        config: &Config,
        whereabouts: control::Whereabouts,
        rootless: Option<Rootless>,
    ) {
        let control::Whereabouts { runs, attachments, keeper } = whereabouts;
        let daemon = control::Daemon {
            identity: config.identity.clone(),
            settings: self.settings.clone(),
            workers: u32::try_from(config.proxy.workers.get()).unwrap_or(u32::MAX),
            store: Arc::clone(&self.store),
            published: Arc::clone(&self.published),
            names: self.names.clone(),
            board: Arc::clone(&self.board),
            rings: self.rings.clone(),
            telemetry: self.telemetry.clone(),
            rates: self.rates.clone(),
            cgroup: config.capture.cgroup.clone(),
            runs,
            attachments,
            rootless,
            keeper,
            capture: Arc::clone(&self.capture),
        };
        let served = control::serve(socket, daemon, self.stop.clone());
        self.tasks.spawn(async move {
            if let Err(error) = served.await {
                error!(%error, "the API ended");
            }
        });
    }
}

/// With `capture.scope: host` every process of the namespace is a workload, nobody's.
pub(super) fn host_scope() -> Workload {
    Workload {
        id: Interner::NONE,
        service: None,
        label: "-".to_owned(),
        run: "host".to_owned(),
        cgroup: String::new(),
        uid: 0,
        scope: Scope::Host,
        egress: Egress::Any,
    }
}

/// One daemon per state directory, cgroup and network namespace.
pub(super) async fn claim(config: &Config) -> Result<capture::Claim, StartError> {
    capture::Claim::take(&config.state_dir, &config.capture)
        .await
        .map_err(|error| capture_refused(&error))
}

fn capture_refused(error: &CaptureError) -> StartError {
    match error {
        CaptureError::Unsupported { .. } => StartError::caused(codes::HOST_UNSUPPORTED, error)
            .fixed_by("let meshd choose: --backend auto"),
        CaptureError::Lacks(_) => StartError::caused(codes::PERMISSION, error)
            .fixed_by("sudo meshd, or give it back: CapabilityBoundingSet=, docker run --cap-add")
            .fixed_by("without root, for your own programs: meshctl run --rootless -- CMD"),
        CaptureError::Taken { pid, .. } => StartError::caused(codes::STATE_IN_USE, error)
            .fixed_by(format!("stop pid {pid}, or give this one its own --state-dir and --cgroup")),
        CaptureError::Install { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            StartError::caused(codes::PERMISSION, error).fixed_by("sudo meshd")
        }
        CaptureError::Install { .. } => StartError::caused(codes::CAPTURE_FAILED, error),
    }
}

/// Makes the state folder, readable by nobody else, and refuses one that others could have filled.
fn state_folder(path: &Path) -> Result<(), StartError> {
    let refused = |error: io::Error| {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        let code = if denied { codes::PERMISSION } else { codes::INVALID_SETTING };
        StartError::new(code, format!("cannot use the state folder {}", path.display()))
            .because(error.to_string())
            .fixed_by("choose another with --state-dir (state_dir)")
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(refused)
        }
        Err(error) => Err(refused(error)),
        Ok(found) if !found.is_dir() => Err(refused(io::Error::other("it is not a folder"))),
        Ok(found) if found.mode() & 0o022 != 0 => {
            Err(refused(io::Error::other("other users may write to it")))
        }
        Ok(found) if found.uid() != nix::unistd::geteuid().as_raw() => {
            Err(refused(io::Error::other(format!("it belongs to uid {}", found.uid()))))
        }
        Ok(_) => Ok(()),
    }
}

fn ready(config: &Config, status: &capture::Status) {
    for note in &status.notes {
        info!(note, "capture");
    }
    info!(
        socket = %config.api.socket.display(),
        admin = %config.admin,
        backend = status.backend,
        node = config.identity.node,
        mesh = config.identity.mesh,
        workers = config.proxy.workers.get(),
        pid = std::process::id(),
        "ready"
    );
}
