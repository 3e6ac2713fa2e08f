//! `RegistryService`: the endpoints this node declares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_proto::manifest::Object;
use mesh_proto::v1::registry_service_server::RegistryService;
use mesh_proto::{codes, v1};
use tokio::task::block_in_place;
use tonic::{Request, Response, Status};

use super::authorise::Peer;
use super::bound::Life;
use super::core::Core;
use super::endpoints;
use super::error::Failure;
use super::{answer, convert};
use crate::model::{Bound, Declared, Place, ServiceName, Subject, Transport};
use crate::registry::{ClaimKey, Registration};
use crate::state::{Draft, Outcome, service_key};

/// How long `register` waits for the first probe, to say how it went.
const FIRST_PROBE: Duration = Duration::from_millis(300);

pub(super) struct Registry(pub(super) Arc<Core>);

#[tonic::async_trait]
impl RegistryService for Registry {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.add(peer, request.into_inner()).await?))
    }

    async fn deregister(
        &self,
        request: Request<v1::DeregisterRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.remove(peer, request.into_inner()).await?))
    }
}

impl Registry {
    async fn add(
        &self,
        peer: Peer,
        request: v1::RegisterRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let registration = convert::registration(&request)?;
        if let Some(bound) = &registration.bound {
            self.admit_bound(peer, bound)?;
        }
        let (mutation, if_absent) = (request.mutation.unwrap_or_default(), request.if_absent);
        self.put(peer, registration, mutation, if_absent).await
    }

    /// Others' processes are root's to speak for, and they must be there.
    fn admit_bound(&self, peer: Peer, bound: &Bound) -> Result<(), Failure> {
        let subject = match bound {
            Bound::Process { pid, .. } => Subject::Pid(*pid),
            Bound::Run(_) | Bound::Unit(_) | Bound::Container(_) => match bound.returns() {
                Some(subject) => subject,
                None => return Ok(()),
            },
        };
        let daemon = &self.0.daemon;
        let owner = daemon.attachments.owner(&subject).unwrap_or_default();
        self.0.rules.admit_subject(peer, &subject, owner)?;
        let life = Life { runs: daemon.runs.clone(), attachments: Arc::clone(&daemon.attachments) };
        if block_in_place(|| life.is_there(bound)) {
            return Ok(());
        }
        Err(Failure::new(codes::NO_SUCH_PROCESSES, format!("{bound} does not run")))
    }

    /// Makes the endpoint what `registration` says.
    pub(super) async fn put(
        &self,
        peer: Peer,
        mut registration: Registration,
        mutation: v1::Mutation,
        if_absent: bool,
    ) -> Result<v1::ChangeResponse, Failure> {
        let view = self.0.daemon.store.view().await;
        registration.mean_what_is_there(|key| view.declared.claims.contains_key(key));
        let node = &self.0.daemon.identity.node;
        let (service, place) = (registration.service.clone(), registration.key().place);
        let (dry_run, bound) = (mutation.dry_run, registration.bound.clone());
        if bound.is_some() && !dry_run {
            self.0.daemon.store.presume_present(registration.key()).await;
        }
        let edit = |draft: &mut Draft| put(draft, registration, if_absent, peer.uid, node);
        let outcome = self.0.change(peer, Some(mutation), edit).await?;
        let detail = match outcome.changes.is_empty() {
            true => String::new(),
            false => {
                let detail = self.detail(&outcome, &service, place, dry_run).await;
                match bound {
                    Some(bound) => format!("{detail}, as long as {bound} runs"),
                    None => detail,
                }
            }
        };
        let changes = answer::one(&outcome, &service_key(&service), v1::Action::Unchanged, &detail);
        Ok(answer::response(&outcome, changes))
    }

    /// "n1 127.0.0.1:8080 subset v1, healthy (200 in 2ms), web.mesh -> 240.0.0.7"
    async fn detail(
        &self,
        outcome: &Outcome,
        service: &ServiceName,
        place: Place,
        dry_run: bool,
    ) -> String {
        let snapshot = &outcome.snapshot;
        let mut parts = vec![format!("{} {}", self.0.daemon.identity.node, place.short())];
        let index = snapshot.by_name.get(service).copied();
        let endpoint = endpoints::at(snapshot, service, place);
        let found = index.and_then(|index| snapshot.services.get(index));
        let (Some(found), Some(endpoint), false) = (found, endpoint, dry_run) else {
            return parts.concat();
        };
        let subset = found.subsets.get(endpoint.subset).map(|subset| subset.name.as_str());
        if let Some(subset) = subset.filter(|subset| !subset.is_empty()) {
            parts.extend([format!(" subset {subset}")]);
        }
        if let Some(check) = &endpoint.check {
            let limit = check.timeout.min(FIRST_PROBE);
            let probed = self.0.daemon.board.first(endpoint.id, limit).await;
            parts.push(format!(", {}", endpoints::health_text(endpoint, probed.as_ref())));
        }
        parts.push(format!(", {} -> {}", service.dns_name(), found.vip4));
        parts.concat()
    }

    async fn remove(
        &self,
        peer: Peer,
        request: v1::DeregisterRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let service = convert::service_name(&request.namespace, &request.service)?;
        let wanted = Wanted::read(&request)?;
        let node = &self.0.daemon.identity.node;
        let mut removed = Vec::new();
        let edit = |draft: &mut Draft| {
            removed = take(draft, &service, &wanted, node);
            if removed.is_empty() && request.must_exist {
                Core::existing(draft.declared(), &service)?;
                return Err(Failure::new(
                    codes::ENDPOINT_NOT_FOUND,
                    format!("service \"{service}\" has no such endpoint"),
                )
                .fix(format!("meshctl describe service/{service}")));
            }
            Ok(())
        };
        let outcome = self.0.change(peer, request.mutation, edit).await?;
        let changes = answer::one(
            &outcome,
            &service_key(&service),
            v1::Action::NotFound,
            &removed.join(", "),
        );
        Ok(answer::response(&outcome, changes))
    }
}

/// Lays the registration over what is declared for this endpoint, by a claim or a manifest.
fn put(
    draft: &mut Draft,
    registration: Registration,
    if_absent: bool,
    uid: u32,
    node: &str,
) -> Result<(), Failure> {
    let key = registration.key();
    let existing = endpoints::existing_claim(draft, &key, node);
    if if_absent && existing.is_some() {
        return Ok(());
    }
    let claim = registration.over(existing.as_ref(), uid);
    if existing.as_ref() == Some(&claim) {
        return Ok(());
    }
    if let Some(other) = endpoints::other_service_at(draft.snapshot(), &key, node) {
        let (wanted, other) = (key.service.to_string(), other.to_string());
        return Err(endpoints::taken(key.place.address, &wanted, &other));
    }
    if endpoints::speaks_otherwise(draft.declared(), &claim) {
        return Err(Failure::new(
            codes::PORT_CONFLICT,
            format!("port {} of service \"{}\" speaks another protocol", claim.port, key.service),
        )
        .fix(format!("meshctl describe service/{}", key.service)));
    }
    endpoints::put(draft, claim, node);
    Ok(())
}

/// Which endpoints a deregistration means.
struct Wanted {
    port: Option<u16>,
    /// Of that port; else both.
    transport: Option<Transport>,
    address: Option<std::net::IpAddr>,
    subset: Option<String>,
    all: bool,
}

impl Wanted {
    fn read(request: &v1::DeregisterRequest) -> Result<Self, Failure> {
        let address = Some(request.address.as_str()).filter(|address| !address.is_empty());
        let wanted = Self {
            port: convert::port("--port", request.port)?,
            transport: convert::protocol(&request.protocol)?.map(Declared::transport),
            address: address.map(convert::address).transpose()?,
            subset: Some(request.subset.clone()).filter(|subset| !subset.is_empty()),
            all: request.all,
        };
        let narrowed = wanted.port.is_some() || wanted.address.is_some() || wanted.subset.is_some();
        if narrowed || wanted.all {
            return Ok(wanted);
        }
        let name = &request.service;
        Err(Failure::new(codes::USAGE, "which endpoint? nothing says")
            .fix(format!("meshctl deregister {name} --port N"))
            .fix(format!("meshctl deregister {name} --all")))
    }

    fn means(&self, Place { transport, address }: Place, subset: &str) -> bool {
        self.port.is_none_or(|port| port == address.port())
            && self.transport.is_none_or(|wanted| wanted == transport)
            && self.address.is_none_or(|wanted| wanted == address.ip())
            && self.subset.as_deref().is_none_or(|wanted| wanted == subset)
    }
}

/// Removes the endpoints, from claims and from the manifest alike, and names them.
fn take(draft: &mut Draft, service: &ServiceName, wanted: &Wanted, node: &str) -> Vec<String> {
    let mut removed = Vec::new();
    let claimed: Vec<ClaimKey> = draft
        .declared()
        .claims_of(service)
        .filter(|held| wanted.means(held.value.place(), &held.value.subset))
        .map(|held| held.value.key())
        .collect();
    for key in claimed {
        removed.push(format!("{node} {} removed", key.place.short()));
        draft.delete_claim(&key);
    }
    let key = service_key(service);
    if wanted.all {
        if draft.delete(&key) && removed.is_empty() {
            removed.push("removed".to_owned());
        }
        return removed;
    }
    let held = draft.declared().objects.get(&key);
    if let Some(Object::Service(object)) = held.map(|held| held.value.clone()) {
        let mut object = object;
        let spec = object.spec.clone();
        object.spec.endpoints.retain(|endpoint| {
            let address = SocketAddr::new(endpoint.address, endpoint.port);
            let own = endpoint.node.as_deref().is_none_or(|named| named == node);
            let subset = endpoint.subset.as_deref().unwrap_or_default();
            let mut places = endpoints::places_of(&spec, endpoint);
            let goes = own && places.all(|place| wanted.means(place, subset));
            let line = format!("{node} {address} removed");
            if goes && !removed.contains(&line) {
                removed.push(line);
            }
            !goes
        });
        draft.put(Object::Service(object));
    }
    removed
}
