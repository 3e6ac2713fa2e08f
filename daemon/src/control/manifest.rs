//! `ManifestService`: what people declared, and how they change it.

mod apply;
mod drift;
mod past;
mod routes;
mod watch;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use mesh_proto::manifest::{Key, Kind, Object, ParentRef, suggest};
use mesh_proto::v1::manifest_service_server::ManifestService;
use mesh_proto::{codes, v1};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::authorise::Peer;
use super::core::Core;
use super::error::Failure;
use super::views::{Numbers, Views, Wanted, unattached};
use super::{answer, convert};
use crate::model::ServiceName;
use crate::state::{Draft, Outcome};
pub(super) use apply::Wish;

pub(super) struct Manifests {
    pub(super) core: Arc<Core>,
    /// Ends streams.
    pub(super) stop: CancellationToken,
}

#[tonic::async_trait]
impl ManifestService for Manifests {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::GetResponse, Status>> + Send>>;

    async fn apply(
        &self,
        request: Request<v1::ApplyRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.apply_documents(peer, request.into_inner()).await?))
    }

    async fn diff(
        &self,
        request: Request<v1::ApplyRequest>,
    ) -> Result<Response<v1::DiffResponse>, Status> {
        Ok(Response::new(self.drift(&request.into_inner()).await?))
    }

    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetResponse>, Status> {
        let wanted = wanted(request.into_inner())?;
        Ok(Response::new(shown(&self.core, &wanted, Numbers::Shown).await?))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.remove(peer, request.into_inner()).await?))
    }

    async fn watch(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let wanted = wanted(request.into_inner())?;
        let states = watch::follow(Arc::clone(&self.core), wanted, self.stop.clone());
        Ok(Response::new(Box::pin(states)))
    }

    async fn edit_route(
        &self,
        request: Request<v1::EditRouteRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.set_rule(peer, request.into_inner()).await?))
    }

    async fn split(
        &self,
        request: Request<v1::SplitRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.set_weights(peer, request.into_inner()).await?))
    }

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        Ok(Response::new(self.past(request.into_inner().limit).await?))
    }

    async fn undo(
        &self,
        request: Request<v1::UndoRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.take_back(peer, request.into_inner()).await?))
    }

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<v1::ExportResponse>, Status> {
        Ok(Response::new(self.exported(request.into_inner()).await?))
    }
}

impl Manifests {
    async fn remove(
        &self,
        peer: Peer,
        request: v1::DeleteRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let name = convert::service_name(&request.namespace, &request.name)?;
        let key = Key {
            kind: kind(&request.kind)?,
            namespace: name.namespace.clone(),
            name: request.name,
        };
        let edit = |draft: &mut Draft| {
            let known = delete(draft, &key, &name);
            if known || !request.must_exist {
                return Ok(());
            }
            Err(missing(draft, &key))
        };
        let outcome = self.core.change(peer, request.mutation, edit).await?;
        let changes = answer::one(&outcome, &key, v1::Action::NotFound, "");
        Ok(answer::response(&outcome, changes))
    }

    /// What the answer should warn of: changed routes that hang on nothing.
    async fn warnings(&self, outcome: &Outcome) -> Vec<String> {
        let view = self.core.daemon.store.view().await;
        let mut warnings = Vec::new();
        for change in &outcome.changes {
            let Some(object) = &change.after else { continue };
            let parents: &[ParentRef] = match object {
                Object::HttpRoute(route) => &route.spec.parent_refs,
                Object::TcpRoute(route) => &route.spec.parent_refs,
                Object::Service(_) => &[],
            };
            let home = &object.metadata().namespace;
            let reasons = parents.iter().filter_map(|on| unattached(&view, home, on));
            warnings.extend(reasons.map(|reason| format!("{} {reason}", change.topic)));
        }
        warnings
    }
}

/// Removes the object, and with a service every endpoint this node claims for it.
fn delete(draft: &mut Draft, key: &Key, name: &ServiceName) -> bool {
    let mut known = draft.delete(key);
    if key.kind == Kind::Service {
        let claims = draft.declared().claims_of(name).map(|held| held.value.key());
        for claim in claims.collect::<Vec<_>>() {
            known |= draft.delete_claim(&claim);
        }
    }
    known
}

fn missing(draft: &Draft, key: &Key) -> Failure {
    let code = match key.kind {
        Kind::Service => codes::SERVICE_NOT_FOUND,
        Kind::HttpRoute | Kind::TcpRoute => codes::ROUTE_NOT_FOUND,
    };
    let failure = Failure::new(code, format!("there is no {key}"));
    let keys = draft.declared().keys();
    let names = keys.iter().filter(|other| other.kind == key.kind).map(|other| other.name.as_str());
    match suggest(&key.name, names) {
        Some(meant) => failure.why(format!("did you mean \"{meant}\"?")),
        None => failure,
    }
    .fix(format!("meshctl get {}s", key.kind.short()))
}

pub(super) async fn shown(
    core: &Core,
    wanted: &Wanted,
    numbers: Numbers,
) -> Result<v1::GetResponse, Failure> {
    let view = core.view().await?;
    let objects = Views::new(core, &view, numbers).json(wanted);
    Ok(v1::GetResponse { objects, generation: view.snapshot.generation, nodes: 1 })
}

fn wanted(request: v1::GetRequest) -> Result<Wanted, Failure> {
    let v1::GetRequest { kind, namespace, name } = request;
    Ok(Wanted { kind: any_kind(&kind)?, namespace, name })
}

/// `None` for the empty word, which stands for all kinds.
fn any_kind(word: &str) -> Result<Option<Kind>, Failure> {
    if word.is_empty() { Ok(None) } else { kind(word).map(Some) }
}

fn kind(word: &str) -> Result<Kind, Failure> {
    Kind::find(word).ok_or_else(|| {
        let failure = Failure::new(codes::UNKNOWN_KIND, format!("there is no kind \"{word}\""));
        let words = Kind::ALL.iter().flat_map(|kind| kind.aliases()).copied();
        match suggest(word, words) {
            Some(meant) => failure.why(format!("did you mean \"{meant}\"?")),
            None => failure,
        }
    })
}
