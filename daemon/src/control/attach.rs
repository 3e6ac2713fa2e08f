//! `AttachService`: processes that already run, into the mesh and out of it.

use std::fs;
use std::sync::Arc;

use mesh_proto::v1::attach_service_server::AttachService;
use mesh_proto::{codes, v1};
use tokio::task::block_in_place;
use tonic::{Request, Response, Status};
use tracing::warn;

use super::authorise::Peer;
use super::convert;
use super::core::Core;
use super::error::Failure;
use super::run::in_cgroup;
use crate::capture::{
    AttachError, Attachment, Attachments, FindError, Held, Keeper, Refused, Run, Runs, Table, Turn,
    Wanted, open_connections,
};
use crate::model::{Scope, ServiceName, Subject};
use crate::state::Store;
use crate::telemetry::{Events, Severity};

pub(super) struct Attaching(pub(super) Arc<Core>);

/// Makes known what comes and goes of everything attached; never returns.
pub(crate) async fn follow(store: Arc<Store>, whereabouts: Whereabouts, events: Events) {
    let attachments = &whereabouts.attachments;
    loop {
        let seen = attachments.look().await;
        let mut table = attachments.table().await;
        let turns = attachments.refresh(&mut table, seen);
        whereabouts.settle(&table).await;
        for turn in turns {
            act_on(&store, &events, turn).await;
        }
        drop(table);
        attachments.stirred().await;
    }
}

/// Where attached processes are, and who listens there.
#[derive(Clone)]
pub(crate) struct Whereabouts {
    pub(crate) runs: Option<Runs>,
    pub(crate) attachments: Arc<Attachments>,
    pub(crate) keeper: Keeper,
}

impl Whereabouts {
    /// Has meshd listen in every network namespace attached processes are in, and in no other.
    /// Says where that cannot be.
    pub(super) async fn settle(&self, table: &Table) -> Refused {
        let mut wanted = Attachments::namespaces(table);
        wanted.extend(self.runs.iter().flat_map(Runs::namespaces));
        self.keeper.settle(wanted).await
    }
}

async fn act_on(store: &Store, events: &Events, turn: Turn) {
    let outcome = match turn {
        Turn::Appeared(held) => {
            let Some((key, workload)) = held.workload() else { return };
            let name = held.attachment.subject.to_string();
            events.emit("attachment/present", name, "its processes are there", Severity::Info);
            store.add_workload(key, workload).await
        }
        Turn::Vanished(attachment, found) => {
            let name = attachment.subject.to_string();
            events.emit("attachment/absent", name, "its processes are gone", Severity::Info);
            store.remove_workload(found.scope.key()).await
        }
    };
    if let Err(error) = outcome {
        warn!(%error, "what came or went is not known everywhere");
    }
}

#[tonic::async_trait]
impl AttachService for Attaching {
    async fn attach(
        &self,
        request: Request<v1::AttachRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.add(peer, request.into_inner()).await?))
    }

    async fn detach(
        &self,
        request: Request<v1::DetachRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.remove(peer, request.into_inner()).await?))
    }

    async fn list(
        &self,
        _request: Request<v1::ListAttachmentsRequest>,
    ) -> Result<Response<v1::ListAttachmentsResponse>, Status> {
        let runs = self.0.daemon.runs.as_ref();
        let moved = runs.map(|runs| moved(runs).map(|run| shown_run(runs, &run)).collect());
        let mut attachments: Vec<_> = moved.unwrap_or_default();
        let table = self.0.daemon.attachments.table().await;
        attachments.extend(table.values().map(|held| shown_held(held, self.pids(held))));
        Ok(Response::new(v1::ListAttachmentsResponse { attachments }))
    }
}

impl Attaching {
    async fn add(
        &self,
        peer: Peer,
        request: v1::AttachRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let core = &self.0;
        let subject = convert::subject(request.subject)?;
        let egress = convert::egress(&request.allow_egress)?;
        let service = match request.r#as.as_str() {
            "" => None,
            name => Some(convert::service_name(&request.namespace, name)?),
        };
        if let Some(service) = &service {
            core.admit_run(peer, service).await?;
        }
        self.admit_subject(peer, &subject)?;
        if let Subject::Pid(pid) = subject {
            let wanted = Wanted {
                service,
                uid: peer.uid,
                command: command_of(pid),
                egress,
                attached: Some(pid),
            };
            return self.take_process(pid, wanted).await;
        }
        self.hold(Attachment { subject, service, uid: peer.uid, egress }).await
    }

    /// Others' processes are root's to attach.
    fn admit_subject(&self, peer: Peer, subject: &Subject) -> Result<(), Failure> {
        let owner = self.0.daemon.attachments.owner(subject);
        let owner = owner.map_err(|_gone| not_found(subject))?;
        self.0.rules.admit_subject(peer, subject, owner)
    }

    /// In force first, so that the first connection after the move is captured.
    async fn take_process(&self, pid: u32, wanted: Wanted) -> Result<v1::ChangeResponse, Failure> {
        let subject = Subject::Pid(pid);
        let store = &self.0.daemon.store;
        let scopes = self.scopes()?;
        if let Some(known) = scopes.of_process(pid) {
            return self.again(&subject, scopes, &known, &wanted);
        }
        let name = identity(wanted.service.as_ref());
        let run = scopes.create(wanted)?;
        let known = store.add_workload(run.cgroup_id, in_cgroup(&run)).await;
        let entered = known.map_err(|error| failed(&subject, error)).and_then(|()| {
            block_in_place(|| scopes.enter_family(&run.id, pid)).map_err(Failure::from)
        });
        let members = match entered {
            Ok(members) => members,
            Err(failure) => {
                // Whoever was in goes back; an empty scope is removed as well.
                if scopes.release(&run.id).is_err() {
                    scopes.abandon(&run.id);
                }
                store.remove_workload(run.cgroup_id).await.ok();
                return Err(failure);
            }
        };
        let detail = format!("{} {name}, cgroup {}", counted(members.len()), run.cgroup);
        let change = change(&subject, v1::Action::Created, detail);
        let table = self.0.daemon.attachments.table().await;
        let refused = self.0.daemon.whereabouts().settle(&table).await;
        let open = block_in_place(|| open_connections(&members));
        Ok(warned(response(change, open), refused))
    }

    /// The process is in a scope already: fine where it is the one that was asked for.
    fn again(
        &self,
        subject: &Subject,
        scopes: &Runs,
        known: &Run,
        wanted: &Wanted,
    ) -> Result<v1::ChangeResponse, Failure> {
        let same = known.wanted.attached == wanted.attached
            && known.wanted.service == wanted.service
            && known.wanted.egress == wanted.egress;
        if same {
            return Ok(response(change(subject, v1::Action::Unchanged, String::new()), 0));
        }
        let pids = scopes.pids(&known.id).len();
        let name = identity(known.wanted.service.as_ref());
        let message = format!("{} is in {} already", described(subject), known.id);
        let failure = Failure::new(codes::ALREADY_ATTACHED, message).why(format!(
            "{} has {} {name}",
            known.id,
            counted(pids)
        ));
        Err(match known.wanted.attached {
            Some(pid) => failure.fix(format!("meshctl detach --pid {pid}")),
            None => failure.fix("a run ends with its processes"),
        })
    }

    async fn hold(&self, attachment: Attachment) -> Result<v1::ChangeResponse, Failure> {
        let subject = attachment.subject.clone();
        let attachments = &self.0.daemon.attachments;
        let mut table = attachments.table().await;
        let before = table.get(&subject).cloned();
        let held = block_in_place(|| attachments.put(&mut table, attachment))?;
        if before.as_ref() == Some(&held) {
            return Ok(response(change(&subject, v1::Action::Unchanged, String::new()), 0));
        }
        let refused = self.0.daemon.whereabouts().settle(&table).await;
        let known = self.make_known(before.as_ref(), &held).await;
        if let Err(failure) = known {
            self.take_back(&mut table, before, &subject);
            return Err(failure);
        }
        let pids = self.pids(&held);
        let action = match before {
            None => v1::Action::Created,
            Some(_) => v1::Action::Configured,
        };
        let mut detail =
            format!("{} {}", counted(pids.len()), identity(held.attachment.service.as_ref()));
        if let Some(found) = held.found.as_ref().filter(|found| !found.cgroup.is_empty()) {
            detail.push_str(&format!(", cgroup {}", found.cgroup));
        }
        let open = if pids.is_empty() { 0 } else { block_in_place(|| open_connections(&pids)) };
        Ok(warned(response(change(&subject, action, detail), open), refused))
    }

    fn pids(&self, held: &Held) -> Vec<u32> {
        let Some(found) = &held.found else { return Vec::new() };
        let look = || self.0.daemon.attachments.pids(found);
        match found.scope {
            Scope::Cgroup(_) => look(),
            // By a look at every process.
            Scope::Netns(_) | Scope::Uid(_) | Scope::Host => block_in_place(look),
        }
    }

    async fn make_known(&self, before: Option<&Held>, held: &Held) -> Result<(), Failure> {
        let store = &self.0.daemon.store;
        let subject = &held.attachment.subject;
        let Some((key, workload)) = held.workload() else { return Ok(()) };
        let old = before.and_then(|held| held.found.as_ref()).map(|found| found.scope.key());
        if let Some(old) = old.filter(|old| *old != key) {
            store.remove_workload(old).await.map_err(|error| failed(subject, error))?;
        }
        store.add_workload(key, workload).await.map_err(|error| failed(subject, error))
    }

    fn take_back(&self, table: &mut Table, before: Option<Held>, subject: &Subject) {
        let attachments = &self.0.daemon.attachments;
        let undone = block_in_place(|| match before {
            Some(before) => attachments.put(table, before.attachment).map(drop),
            None => attachments.take(table, subject).map(drop),
        });
        if let Err(error) = undone {
            warn!(%error, attachment = %subject, "it stays remembered");
        }
    }

    async fn remove(
        &self,
        peer: Peer,
        request: v1::DetachRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let subject = convert::subject(request.subject)?;
        let removed = if let Subject::Pid(pid) = subject {
            self.give_back(peer, pid).await?
        } else {
            self.let_go(peer, &subject).await?
        };
        match removed {
            Some(detail) => Ok(response(change(&subject, v1::Action::Deleted, detail), 0)),
            None if request.must_exist => {
                Err(Failure::new(codes::OBJECT_NOT_FOUND, format!("{subject} is not attached"))
                    .fix("meshctl get attachments"))
            }
            None => Ok(response(change(&subject, v1::Action::NotFound, String::new()), 0)),
        }
    }

    /// By the process that was named when it was attached, or any that is in the scope now.
    async fn give_back(&self, peer: Peer, pid: u32) -> Result<Option<String>, Failure> {
        let scopes = self.scopes()?;
        let run = moved(scopes).find(|run| run.wanted.attached == Some(pid));
        let run =
            run.or_else(|| scopes.of_process(pid).filter(|run| run.wanted.attached.is_some()));
        let Some(run) = run else { return Ok(None) };
        self.0.rules.admit_owner(peer, run.wanted.uid, &Subject::Pid(pid).to_string())?;
        let members = scopes.pids(&run.id).len();
        let ended = block_in_place(|| scopes.release(&run.id))?;
        let forgotten = self.0.daemon.store.remove_workload(ended.cgroup_id).await;
        forgotten.map_err(|error| failed(&Subject::Pid(pid), error))?;
        let table = self.0.daemon.attachments.table().await;
        self.0.daemon.whereabouts().settle(&table).await;
        Ok(Some(format!("{} went back", counted(members))))
    }

    async fn let_go(&self, peer: Peer, subject: &Subject) -> Result<Option<String>, Failure> {
        let attachments = &self.0.daemon.attachments;
        let mut table = attachments.table().await;
        let Some(held) = table.get(subject) else { return Ok(None) };
        self.0.rules.admit_owner(peer, held.attachment.uid, &subject.to_string())?;
        let taken = block_in_place(|| attachments.take(&mut table, subject))?;
        let Some(held) = taken else { return Ok(None) };
        if let Some(found) = &held.found {
            let forgotten = self.0.daemon.store.remove_workload(found.scope.key()).await;
            forgotten.map_err(|error| failed(subject, error))?;
        }
        self.0.daemon.whereabouts().settle(&table).await;
        Ok(Some("new connections go direct".to_owned()))
    }

    fn scopes(&self) -> Result<&Runs, Failure> {
        let none = || {
            Failure::new(codes::HOST_UNSUPPORTED, "this host has no cgroup2 file system")
                .fix("attach it by --netns or --uid")
        };
        self.0.daemon.runs.as_ref().ok_or_else(none)
    }
}

/// Scopes of processes that were attached.
fn moved(scopes: &Runs) -> impl Iterator<Item = Run> {
    scopes.list().into_iter().filter(|run| run.wanted.attached.is_some())
}

/// "process 812"
fn described(subject: &Subject) -> String {
    if let Subject::Pid(pid) = subject { format!("process {pid}") } else { subject.to_string() }
}

fn command_of(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn counted(processes: usize) -> String {
    format!("{processes} process{}", if processes == 1 { "" } else { "es" })
}

fn identity(service: Option<&ServiceName>) -> String {
    service.map_or_else(|| "without a service identity".to_owned(), |name| format!("as {name}"))
}

fn change(subject: &Subject, action: v1::Action, detail: String) -> v1::ObjectChange {
    v1::ObjectChange {
        kind: "attachment".to_owned(),
        namespace: String::new(),
        name: subject.to_string(),
        action: action.into(),
        detail,
        diff: String::new(),
    }
}

fn response(change: v1::ObjectChange, open: usize) -> v1::ChangeResponse {
    let connections = if open == 1 { "connection stays" } else { "connections stay" };
    let until = if open == 1 { "until it reconnects" } else { "until they reconnect" };
    let warning = format!("{open} open {connections} outside the mesh {until}");
    v1::ChangeResponse {
        changes: vec![change],
        warnings: if open == 0 { Vec::new() } else { vec![warning] },
        ..v1::ChangeResponse::default()
    }
}

fn warned(mut response: v1::ChangeResponse, refused: Refused) -> v1::ChangeResponse {
    response.warnings.extend(refused.into_values());
    response
}

fn shown_run(scopes: &Runs, run: &Run) -> v1::Attachment {
    let Wanted { service, uid, egress, attached, .. } = &run.wanted;
    let pids = scopes.pids(&run.id);
    v1::Attachment {
        name: Subject::Pid(attached.unwrap_or_default()).to_string(),
        r#as: service.as_ref().map(ToString::to_string).unwrap_or_default(),
        uid: *uid,
        allow_egress: egress.to_string(),
        cgroup: run.cgroup.clone(),
        pids: pids.into_iter().filter_map(|pid| i32::try_from(pid).ok()).collect(),
        present: true,
    }
}

fn shown_held(held: &Held, pids: Vec<u32>) -> v1::Attachment {
    let Attachment { subject, service, uid, egress } = &held.attachment;
    let found = held.found.as_ref();
    v1::Attachment {
        name: subject.to_string(),
        r#as: service.as_ref().map(ToString::to_string).unwrap_or_default(),
        uid: *uid,
        allow_egress: egress.to_string(),
        cgroup: found.map(|found| found.cgroup.clone()).unwrap_or_default(),
        pids: pids.into_iter().filter_map(|pid| i32::try_from(pid).ok()).collect(),
        present: found.is_some(),
    }
}

fn not_found(subject: &Subject) -> Failure {
    Failure::new(codes::NO_SUCH_PROCESSES, format!("there is no {}", described(subject)))
}

fn failed(subject: &Subject, error: impl std::error::Error) -> Failure {
    Failure::new(codes::ATTACH_FAILED, format!("{} cannot be attached", described(subject)))
        .why(error.to_string())
}

impl From<AttachError> for Failure {
    fn from(error: AttachError) -> Self {
        let why = std::error::Error::source(&error).map(ToString::to_string);
        let message = error.to_string();
        match error {
            AttachError::Find(FindError::Absent { .. }) => {
                Self::new(codes::NO_SUCH_PROCESSES, message)
            }
            AttachError::Find(FindError::Ambiguous(_) | FindError::Wrong(_)) => {
                Self::new(codes::INVALID_VALUE, message).why("it must name one thing")
            }
            AttachError::Taken(_) => Self::new(codes::ALREADY_ATTACHED, message),
            AttachError::Find(FindError::Failed { .. }) | AttachError::Remember { .. } => {
                let failure = Self::new(codes::ATTACH_FAILED, message);
                why.into_iter().fold(failure, Self::why)
            }
        }
    }
}
