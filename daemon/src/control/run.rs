//! `RunService`: brings the calling process into the mesh, and forgets runs that ended.

mod rootless;

use std::sync::Arc;

use mesh_proto::v1::run_service_server::RunService;
use mesh_proto::{codes, v1};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};
use tracing::warn;

use super::authorise::Peer;
use super::convert;
use super::core::Core;
use super::error::Failure;
use super::registry::Registry;
use crate::capture::{EndedRun, Run, RunError, Runs, Wanted, foreign};
use crate::model::{Bound, Scope, ServiceName, Workload};
use crate::registry::Registration;
use crate::state::{Interner, Store};

pub(super) struct RunScopes(pub(super) Arc<Core>);

/// Makes runs of an earlier daemon known again.
pub(crate) async fn adopt(store: &Store, runs: &Runs) {
    for run in runs.list() {
        if let Err(error) = store.add_workload(run.cgroup_id, in_cgroup(&run)).await {
            warn!(%error, run = run.id, "an adopted run is not known everywhere");
        }
    }
}

/// Forgets runs as they end; returns when nobody can report one any more.
pub(crate) async fn forget(store: Arc<Store>, mut ended: mpsc::Receiver<EndedRun>) {
    while let Some(run) = ended.recv().await {
        if let Err(error) = store.remove_workload(run.cgroup_id).await {
            warn!(%error, run = run.id, "an ended run is still known somewhere");
        }
    }
}

#[tonic::async_trait]
impl RunService for RunScopes {
    async fn start_run(
        &self,
        request: Request<v1::StartRunRequest>,
    ) -> Result<Response<v1::StartRunResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.start(peer, request.into_inner()).await?))
    }

    async fn list_runs(
        &self,
        _request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let mut runs = Vec::new();
        if let Some(scopes) = &self.0.daemon.runs {
            let list = scopes.list().into_iter().filter(|run| run.wanted.attached.is_none());
            runs.extend(list.map(|run| shown(&run, scopes.pids(&run.id))));
        }
        if let Some(rootless) = &self.0.daemon.rootless {
            runs.extend(rootless.list().iter().map(|run| rootless::shown(rootless, run)));
        }
        Ok(Response::new(v1::ListRunsResponse { runs }))
    }
}

impl RunScopes {
    async fn start(
        &self,
        peer: Peer,
        request: v1::StartRunRequest,
    ) -> Result<v1::StartRunResponse, Failure> {
        let core = &self.0;
        let service = match request.r#as.as_str() {
            "" => None,
            name => Some(convert::service_name(&request.namespace, name)?),
        };
        if let Some(service) = &service {
            core.admit_run(peer, service).await?;
        }
        let pid =
            u32::try_from(peer.pid).map_err(|_negative| failed("the caller has no pid here"))?;
        let wanted = Wanted {
            service: service.clone(),
            uid: peer.uid,
            command: request.command,
            egress: convert::egress(&request.allow_egress)?,
            attached: None,
        };
        if let Some(rootless) = &core.daemon.rootless {
            if request.serve.is_some() {
                return Err(rootless::serves_nobody());
            }
            let identity = service.as_ref().map(|service| self.identity(service));
            return rootless::announce(rootless, wanted, pid, identity.unwrap_or_default());
        }
        if request.rootless {
            return Err(rootless::refused());
        }
        let serve = request.serve.map(|serve| offer(serve, service.as_ref())).transpose()?;
        let run = self.move_in(peer, pid, wanted, serve).await?;
        let capture = core.daemon.capture_status().await;
        Ok(v1::StartRunResponse {
            identity: service.map(|service| self.identity(&service)).unwrap_or_default(),
            id: run.id,
            cgroup: run.cgroup,
            backend: capture.backend.to_owned(),
            gate: String::new(),
        })
    }

    /// Makes a scope and moves the caller into it.
    async fn move_in(
        &self,
        peer: Peer,
        pid: u32,
        wanted: Wanted,
        serve: Option<Registration>,
    ) -> Result<Run, Failure> {
        let core = &self.0;
        let none = || failed("this host has no cgroup2 file system for runs");
        let scopes = core.daemon.runs.as_ref().ok_or_else(none)?;
        let run = scopes.create(wanted)?;
        let entered = match self.enter(scopes, &run, pid).await {
            Ok(()) => self.serve(peer, &run, serve).await,
            failed => failed,
        };
        if let Err(failure) = entered {
            // The caller goes back where it was; a scope nobody entered is just removed.
            if scopes.release(&run.id).is_err() {
                scopes.abandon(&run.id);
            }
            // It has no member: who still knows it can do nothing with it.
            core.daemon.store.remove_workload(run.cgroup_id).await.ok();
            return Err(failure);
        }
        Ok(run)
    }

    /// In force first, so that the run's very first connection is captured.
    async fn enter(&self, scopes: &Runs, run: &Run, pid: u32) -> Result<(), Failure> {
        let known = self.0.daemon.store.add_workload(run.cgroup_id, in_cgroup(run)).await;
        known.map_err(|error| failed(error.to_string()))?;
        scopes.enter(&run.id, pid)?;
        let Some(namespace) = foreign(pid) else { return Ok(()) };
        let table = self.0.daemon.attachments.table().await;
        let mut refused = self.0.daemon.whereabouts().settle(&table).await;
        refused.remove(&namespace).map_or(Ok(()), |why| Err(failed(why)))
    }

    /// Declares the endpoint of the run, if it is to have one.
    async fn serve(
        &self,
        peer: Peer,
        run: &Run,
        serve: Option<Registration>,
    ) -> Result<(), Failure> {
        let Some(registration) = serve else { return Ok(()) };
        let registration = Registration { bound: Some(Bound::Run(run.id.clone())), ..registration };
        let command_line = run.wanted.command.join(" ");
        let reason = format!("served by {}", run.id);
        let mutation = v1::Mutation { command_line, reason, ..v1::Mutation::default() };
        let registry = Registry(Arc::clone(&self.0));
        registry.put(peer, registration, mutation, false).await.map(drop)
    }

    fn identity(&self, service: &ServiceName) -> String {
        let domain = &self.0.daemon.identity.trust_domain;
        format!("spiffe://{domain}/ns/{}/svc/{}", service.namespace, service.name)
    }
}

/// The endpoint a run asks for: it is one of the service the run is.
fn offer(
    written: v1::RegisterRequest,
    service: Option<&ServiceName>,
) -> Result<Registration, Failure> {
    let nobody = || Failure::new(codes::USAGE, "--port needs --as: an endpoint is of a service");
    let service = service.ok_or_else(nobody)?;
    let (namespace, service) = (service.namespace.clone(), service.name.clone());
    convert::registration(&v1::RegisterRequest { namespace, service, bound_to: None, ..written })
}

/// What the data plane knows of a run; the store gives it its number.
pub(crate) fn workload(run: &Run, scope: Scope) -> Workload {
    let Wanted { service, uid, egress, .. } = &run.wanted;
    Workload {
        id: Interner::NONE,
        label: service.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        service: service.clone(),
        run: run.id.clone(),
        cgroup: run.cgroup.clone(),
        uid: *uid,
        scope,
        egress: egress.clone(),
    }
}

pub(super) fn in_cgroup(run: &Run) -> Workload {
    workload(run, Scope::Cgroup(run.cgroup_id))
}

fn shown(run: &Run, pids: Vec<u32>) -> v1::Run {
    let pids = pids.into_iter();
    v1::Run {
        id: run.id.clone(),
        r#as: run.wanted.service.as_ref().map(ToString::to_string).unwrap_or_default(),
        cgroup: run.cgroup.clone(),
        pids: pids.filter_map(|pid| i32::try_from(pid).ok()).collect(),
        uid: run.wanted.uid,
        command: run.wanted.command.clone(),
    }
}

fn failed(message: impl Into<String>) -> Failure {
    Failure::new(codes::RUN_FAILED, message)
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        if matches!(error, RunError::Ending) {
            return Self::new(codes::NOT_RUNNING, error.to_string());
        }
        let why = std::error::Error::source(&error).map(ToString::to_string);
        let failure = failed(error.to_string());
        match why {
            Some(why) => failure.why(why),
            None => failure,
        }
        .fix("meshctl status")
    }
}
