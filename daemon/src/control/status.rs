//! `StatusService`: who is answering, and how the daemon is doing.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use mesh_proto::v1::status_service_server::StatusService;
use mesh_proto::{codes, v1};
use tokio::time::sleep;
use tonic::{Request, Response, Status};

use super::bypass;
use super::core::Core;
use super::error::Failure;
use crate::capture::{self, Runs};
use crate::health::Board;
use crate::model::{Place, Transport};
use crate::state::{Snapshot, View};
use crate::telemetry::{Phase, process};

/// What the traffic line of `status` covers.
const WINDOW: Duration = Duration::from_secs(10);

/// How long the daemon's own CPU time is watched for one answer.
const CPU_SAMPLE: Duration = Duration::from_millis(100);

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) struct Overview(pub(super) Arc<Core>);

#[tonic::async_trait]
impl StatusService for Overview {
    async fn handshake(
        &self,
        _request: Request<v1::HandshakeRequest>,
    ) -> Result<Response<v1::HandshakeResponse>, Status> {
        let identity = &self.0.daemon.identity;
        Ok(Response::new(v1::HandshakeResponse {
            version: VERSION.to_owned(),
            node: identity.node.clone(),
            mesh: identity.mesh.clone(),
            pid: own_pid(),
        }))
    }

    async fn get_status(
        &self,
        _request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        Ok(Response::new(self.status().await))
    }

    async fn get_settings(
        &self,
        _request: Request<v1::GetSettingsRequest>,
    ) -> Result<Response<v1::GetSettingsResponse>, Status> {
        let settings = self.0.daemon.settings.list();
        Ok(Response::new(v1::GetSettingsResponse { settings }))
    }

    async fn explain_traffic(
        &self,
        request: Request<v1::ExplainTrafficRequest>,
    ) -> Result<Response<v1::ExplainTrafficResponse>, Status> {
        Ok(Response::new(self.explain(&request.into_inner()).await?))
    }

    async fn get_capture(
        &self,
        _request: Request<v1::GetCaptureRequest>,
    ) -> Result<Response<v1::GetCaptureResponse>, Status> {
        let backend = self.0.daemon.capture_status().await.backend.to_owned();
        let capture = self.0.daemon.capture.lock().await;
        let in_force = match &*capture {
            Some(capture) => capture.in_force().await,
            None => capture::InForce::default(),
        };
        let counters = in_force.counters.named();
        let programs = in_force.programs.into_iter().map(|program| v1::BpfProgram {
            hook: program.hook.name().to_owned(),
            name: program.hook.program().to_owned(),
            id: program.id,
            runs: program.runs,
            run_ns: u64::try_from(program.run_time.as_nanos()).unwrap_or(u64::MAX),
            others: program.others,
        });
        Ok(Response::new(v1::GetCaptureResponse {
            backend,
            rules: in_force.rules,
            programs: programs.collect(),
            counters: counters.map(|(name, count)| (name.to_owned(), count)).into(),
        }))
    }
}

impl Overview {
    async fn explain(
        &self,
        request: &v1::ExplainTrafficRequest,
    ) -> Result<v1::ExplainTrafficResponse, Failure> {
        let usage = |message: String| Failure::new(codes::USAGE, message);
        let transport = match request.transport.as_str() {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            other => return Err(usage(format!("no transport \"{other}\": tcp or udp"))),
        };
        let address = request.address.parse();
        let address = address.map_err(|error: std::net::AddrParseError| {
            usage(format!("no address and port: \"{}\"", request.address)).why(error.to_string())
        })?;
        let place = Place { transport, address };
        let snapshot = self.0.daemon.published.newest();
        let capture = self.0.daemon.capture.lock().await;
        let none = || Failure::new(codes::CAPTURE_FAILED, "nothing is captured here");
        let capture = capture.as_ref().ok_or_else(none)?;
        let verdict = capture.explain(&snapshot, request.pid, place).map_err(|error| {
            let gone = format!("process {} cannot be looked at", request.pid);
            Failure::new(codes::OBJECT_NOT_FOUND, gone).why(error.to_string()).fix("ps -e")
        })?;
        Ok(v1::ExplainTrafficResponse {
            fate: verdict.fate.label().to_owned(),
            rule: verdict.rule.to_owned(),
            reason: verdict.reason,
            workload: verdict.workload.unwrap_or_default(),
        })
    }

    async fn status(&self) -> v1::GetStatusResponse {
        let daemon = &self.0.daemon;
        let before = process::usage();
        sleep(CPU_SAMPLE).await;
        let usage = process::usage();
        let busy = usage.zip(before).map(|(now, then)| now.cpu.saturating_sub(then.cpu));
        let View { snapshot, declared } = daemon.store.view().await;
        let damage = daemon.store.damage().await;
        let mut problems: Vec<_> = damage
            .iter()
            .map(|damage| v1::Problem {
                id: "state/damaged".to_owned(),
                summary: damage.to_string(),
                fix: "meshctl explain MESH1303".to_owned(),
            })
            .collect();
        let capture = daemon.capture_status().await;
        let attachments = daemon.attachments.table().await.len();
        problems.extend(daemon.settings.problems());
        problems.extend(capture_problems(&capture));
        problems.extend(daemon.attachments.unkept().map(|summary| v1::Problem {
            id: "attachments/unkept".to_owned(),
            summary,
            fix: "look for errors of the disk: dmesg".to_owned(),
        }));
        problems.extend(bypass::problems(&declared));
        problems.extend(unready(&snapshot, &daemon.board));
        v1::GetStatusResponse {
            version: VERSION.to_owned(),
            mesh: daemon.identity.mesh.clone(),
            node: daemon.identity.node.clone(),
            trust_domain: daemon.identity.trust_domain.clone(),
            pid: own_pid(),
            started: usage.map(|usage| (UNIX_EPOCH + usage.started).into()),
            ready: daemon.telemetry.readiness.phase() == Phase::Serving,
            generation: snapshot.generation,
            resident_bytes: usage.map_or(0, |usage| usage.resident),
            cpu: busy.map_or(0.0, |busy| busy.as_secs_f64() / CPU_SAMPLE.as_secs_f64()),
            capture: Some(self.capture(capture, &snapshot, attachments)),
            traffic: Some(self.traffic()),
            problems,
            read_only: damage.is_some(),
            workers: daemon.workers,
            settings_read: daemon.settings.times_read(),
        }
    }

    /// `found`: attachments that are not single processes.
    fn capture(
        &self,
        capture: capture::Status,
        snapshot: &Snapshot,
        found: usize,
    ) -> v1::CaptureStatus {
        let daemon = &self.0.daemon;
        let scopes = daemon.runs.as_ref().map(Runs::list).unwrap_or_default();
        let moved = scopes.iter().filter(|run| run.wanted.attached.is_some()).count();
        let own = snapshot.endpoints.iter().filter(|at| at.node == daemon.identity.node).count();
        let rootless = daemon.rootless.as_ref().map_or(0, |rootless| rootless.list().len());
        let backend = if capture.backend.is_empty() { "none" } else { capture.backend };
        v1::CaptureStatus {
            backend: backend.to_owned(),
            notes: capture.notes,
            scope: daemon.settings.value("capture.scope"),
            programs: capture.programs,
            runs: u32::try_from(scopes.len() - moved + rootless).unwrap_or(u32::MAX),
            attachments: u32::try_from(moved + found).unwrap_or(u32::MAX),
            local_endpoints: u32::try_from(own).unwrap_or(u32::MAX),
            fail_mode: daemon.settings.value("capture.fail_mode"),
        }
    }

    fn traffic(&self) -> v1::Traffic {
        let numbers = self.0.daemon.rates.window(WINDOW).total();
        v1::Traffic {
            requests_per_second: numbers.rps,
            success: numbers.success,
            p99_ms: numbers.p99,
        }
    }
}

/// Services whose endpoints are all down.
fn unready(snapshot: &Snapshot, board: &Board) -> Vec<v1::Problem> {
    let mut problems = Vec::new();
    for (index, service) in snapshot.services.iter().enumerate() {
        let own = || snapshot.endpoints.iter().filter(|endpoint| endpoint.service == index);
        if own().next().is_none() || own().any(|endpoint| endpoint.live.is_ready()) {
            continue;
        }
        let last = own().find_map(|endpoint| board.last(endpoint.id)).map(|probed| probed.text);
        let why = last.map(|text| format!(" ({text})")).unwrap_or_default();
        problems.push(v1::Problem {
            id: format!("service/{}", service.name),
            summary: format!("{} has no ready endpoint{why}", service.name),
            fix: format!("meshctl describe service/{}", service.name),
        });
    }
    problems
}

fn capture_problems(capture: &capture::Status) -> impl Iterator<Item = v1::Problem> {
    capture.problems.iter().map(|summary| v1::Problem {
        id: "capture/armed".to_owned(),
        summary: summary.clone(),
        fix: String::new(),
    })
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or_default()
}
