//! The API as a client meets it, over its socket.

use std::path::Path;

use mesh_proto::v1;
use mesh_proto::v1::manifest_service_client::ManifestServiceClient;
use mesh_proto::v1::registry_service_client::RegistryServiceClient;
use mesh_proto::v1::status_service_client::StatusServiceClient;
use mesh_proto::v1::{
    Action, ApplyRequest, DeleteRequest, DeregisterRequest, Document, ErrorDetail, ExportRequest,
    GetRequest, HealthCheck, HistoryRequest, RegisterRequest, UndoRequest, health_check,
};
use prost::Message as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::capture::{Attachments, Keeper};
use crate::config::{Api, Identity, MetricsCompat};
use crate::health::{self, Dialer};
use crate::state::Vips;

// covers: REG-02
#[tokio::test(flavor = "multi_thread")]
async fn registering_says_what_became_of_it_and_the_second_time_unchanged() {
    let mesh = Mesh::start().await;
    let (address, _listener) = closed_or_open(true).await;
    let answer = mesh.register("web", address.port(), "v1").await;
    let line = answer.changes.first().unwrap();
    assert_eq!((line.kind.as_str(), line.action()), ("service", Action::Created));
    let (start, end) =
        (format!("n1 {address} subset v1, healthy (connected in "), ", web.mesh -> 240.0.");
    assert!(line.detail.starts_with(&start) && line.detail.contains(end), "{}", line.detail);
    assert_eq!((answer.generation, answer.undo), (1, 1));

    let again = mesh.register("web", address.port(), "v1").await;
    assert_eq!((again.changes[0].action(), again.generation), (Action::Unchanged, 1));
    assert_eq!(mesh.history().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_down_registers_and_says_why_it_is_not_ready() {
    let mesh = Mesh::start().await;
    let (address, _closed) = closed_or_open(false).await;
    let answer = mesh.register("web", address.port(), "v1").await;
    assert!(answer.changes[0].detail.contains("unhealthy (connection refused)"));
    let web = mesh.get("service", "web").await;
    assert_eq!(web["status"]["ready"], 0);
    assert_eq!(web["status"]["endpoints"][0]["reason"], "connection refused");
}

// covers: CP-18
#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_applies_unchanged() {
    let mesh = Mesh::start().await;
    mesh.register("web", 18080, "v1").await;
    mesh.apply(ROUTE).await.unwrap();
    let exported = mesh.export(0).await;
    let answer = mesh.apply(&exported).await.unwrap();
    let actions: Vec<_> = answer.changes.iter().map(v1::ObjectChange::action).collect();
    assert_eq!(actions, [Action::Unchanged, Action::Unchanged], "{exported}");
    assert_eq!(answer.generation, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_invalid_object_and_nothing_is_applied() {
    let mesh = Mesh::start().await;
    let bad = format!("{ROUTE}---\napiVersion: mesh/v1\nkind: Service\nmetadata: {{name: Web!}}\n");
    let refused = mesh.apply(&bad).await.unwrap_err();
    let detail = ErrorDetail::decode(refused.details()).unwrap();
    assert_eq!((detail.exit, detail.code.as_str()), (2, "MESH1105"));
    assert!(detail.message.starts_with("mesh.yaml:"), "{}", detail.message);
    assert!(mesh.export(0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_to_a_generation_exports_what_it_did_then() {
    let mesh = Mesh::start().await;
    mesh.register("web", 18080, "v1").await;
    mesh.apply(ROUTE).await.unwrap();
    let then = mesh.export(2).await;
    mesh.register("web", 18081, "v2").await;
    mesh.delete("route", "web").await.unwrap();
    mesh.undo(Some(2)).await;
    assert_eq!(mesh.export(0).await, then);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named_with_what_was_probably_meant() {
    let mesh = Mesh::start().await;
    mesh.register("web", 18080, "v1").await;
    let refused = mesh.delete_existing("service", "wbe").await.unwrap_err();
    let detail = ErrorDetail::decode(refused.details()).unwrap();
    assert_eq!((detail.exit, detail.why[0].as_str()), (5, "did you mean \"web\"?"));
    let answer = mesh.delete("service", "wbe").await.unwrap();
    assert_eq!(answer.changes[0].action(), Action::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn deregistering_the_last_endpoint_ends_the_service() {
    let mesh = Mesh::start().await;
    mesh.register("web", 18080, "v1").await;
    mesh.register("web", 18081, "v2").await;
    let request = |port| DeregisterRequest {
        service: "web".to_owned(),
        port,
        ..DeregisterRequest::default()
    };
    let mut registry = RegistryServiceClient::new(mesh.channel.clone());
    let one = registry.deregister(request(18080)).await.unwrap().into_inner();
    assert_eq!(one.changes[0].action(), Action::Configured);
    let last = registry.deregister(request(18081)).await.unwrap().into_inner();
    assert_eq!(last.changes[0].action(), Action::Deleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_serves_one_service() {
    let mesh = Mesh::start().await;
    mesh.register("web", 18080, "v1").await;
    let mut registry = RegistryServiceClient::new(mesh.channel.clone());
    let refused = registry.register(registration("pay", 18080, "v1")).await.unwrap_err();
    assert_eq!(ErrorDetail::decode(refused.details()).unwrap().code, "MESH1206");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_needs_endpoints_behind_every_share() {
    let mesh = Mesh::start().await;
    mesh.register("web", 18080, "v1").await;
    let refused = mesh.split(false).await.unwrap_err();
    let detail = ErrorDetail::decode(refused.details()).unwrap();
    assert_eq!((detail.exit, detail.code.as_str()), (3, "MESH1204"));
    assert_eq!(detail.message, "cannot split service \"web\": subset \"v2\" has no endpoints");
    assert_eq!(detail.fix[0], "meshctl register web --port http:18081 --subset v2");

    let answer = mesh.split(true).await.unwrap();
    let line = answer.changes.first().unwrap();
    assert_eq!((line.kind.as_str(), line.detail.as_str()), ("route", "v1=90 v2=10"));
    mesh.register("web", 18081, "v2").await;
    let web = mesh.get("service", "web").await;
    assert_eq!(
        (&web["status"]["subsets"][0]["weight"], web["status"]["total"].as_u64()),
        (&90.into(), Some(2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_set_beside_the_default_and_taken_away_again() {
    let mesh = Mesh::start().await;
    mesh.register("web", 18080, "v1").await;
    let added = mesh.rule(0, false).await.unwrap();
    assert_eq!(added.changes[0].detail, "rule 1 of 2");
    assert_eq!(mesh.rule(0, false).await.unwrap().changes[0].action(), Action::Unchanged);
    let removed = mesh.rule(1, true).await.unwrap();
    assert_eq!(removed.changes[0].detail, "rule 1 removed, 1 left");
    let refused = mesh.rule(7, true).await.unwrap_err();
    assert_eq!(ErrorDetail::decode(refused.details()).unwrap().code, "MESH1203");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_tells_every_change_once() {
    let mesh = Mesh::start().await;
    let mut manifests = ManifestServiceClient::new(mesh.channel.clone());
    let request = GetRequest { kind: "service".to_owned(), ..GetRequest::default() };
    let mut states = manifests.watch(request).await.unwrap().into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().objects.len(), 0);
    mesh.apply(SERVICE).await.unwrap();
    assert_eq!(states.message().await.unwrap().unwrap().objects.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_learns_who_answers() {
    let mesh = Mesh::start().await;
    let mut status = StatusServiceClient::new(mesh.channel.clone());
    let answer = status.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((answer.node.as_str(), answer.generation, answer.read_only), ("n1", 0, false));
}

const SERVICE: &str = "
apiVersion: mesh/v1
kind: Service
metadata: {name: db}
spec: {ports: [{port: 5432, protocol: tcp}]}
";

const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{kind: Service, name: web}]
  rules:
  - backendRefs: [{name: web, subset: v1}]
";

struct Mesh {
    channel: Channel,
    stop: CancellationToken,
    _dir: TempDir,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Mesh {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let api = Api { socket: dir.path().join("sock"), readable_by_all: false, grants: vec![] };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let daemon = daemon(dir.path());
        let checker = health::Checker {
            board: Arc::clone(&daemon.board),
            dialer: Dialer::new(0),
            report: Box::new(|_| {}),
        };
        tasks.spawn(health::run(daemon.published.reader("health"), checker, stop.clone()));
        let socket = Socket::bind(&api).unwrap();
        tasks.spawn(serve(socket, daemon, stop.clone()));
        let channel = Endpoint::from_shared(format!("unix://{}", api.socket.display()));
        let channel = channel.unwrap().connect().await.unwrap();
        Self { channel, stop, _dir: dir }
    }

    async fn register(&self, name: &str, port: u16, subset: &str) -> v1::ChangeResponse {
        let mut registry = RegistryServiceClient::new(self.channel.clone());
        registry.register(registration(name, port, subset)).await.unwrap().into_inner()
    }

    async fn apply(&self, text: &str) -> Result<v1::ChangeResponse, tonic::Status> {
        let document = Document { file: "mesh.yaml".to_owned(), text: text.to_owned() };
        let request = ApplyRequest { documents: vec![document], ..ApplyRequest::default() };
        let answer = ManifestServiceClient::new(self.channel.clone()).apply(request).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn export(&self, at: u64) -> String {
        let request = ExportRequest { at, ..ExportRequest::default() };
        let mut manifests = ManifestServiceClient::new(self.channel.clone());
        manifests.export(request).await.unwrap().into_inner().yaml
    }

    async fn undo(&self, to: Option<u64>) {
        let request = UndoRequest { to, ..UndoRequest::default() };
        ManifestServiceClient::new(self.channel.clone()).undo(request).await.unwrap();
    }

    async fn delete(&self, kind: &str, name: &str) -> Result<v1::ChangeResponse, tonic::Status> {
        self.remove(kind, name, false).await
    }

    async fn delete_existing(
        &self,
        kind: &str,
        name: &str,
    ) -> Result<v1::ChangeResponse, tonic::Status> {
        self.remove(kind, name, true).await
    }

    async fn remove(
        &self,
        kind: &str,
        name: &str,
        must_exist: bool,
    ) -> Result<v1::ChangeResponse, tonic::Status> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        let request = DeleteRequest { kind, name, must_exist, ..DeleteRequest::default() };
        let answer = ManifestServiceClient::new(self.channel.clone()).delete(request).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn split(&self, allow_empty: bool) -> Result<v1::ChangeResponse, tonic::Status> {
        let share = |subset: &str, weight| v1::Share { subset: subset.to_owned(), weight };
        let request = v1::SplitRequest {
            service: "web".to_owned(),
            shares: vec![share("v1", 90), share("v2", 10)],
            allow_empty,
            ..v1::SplitRequest::default()
        };
        let answer = ManifestServiceClient::new(self.channel.clone()).split(request).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn rule(&self, rule: u32, delete: bool) -> Result<v1::ChangeResponse, tonic::Status> {
        let to = v1::BackendRef { service: "web".to_owned(), ..v1::BackendRef::default() };
        let path = v1::RuleMatch { path_prefix: "/v2".to_owned(), ..v1::RuleMatch::default() };
        let request = v1::EditRouteRequest {
            service: "web".to_owned(),
            r#match: Some(path),
            to: vec![to],
            rule,
            delete,
            ..v1::EditRouteRequest::default()
        };
        let answer = ManifestServiceClient::new(self.channel.clone()).edit_route(request).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn history(&self) -> Vec<v1::HistoryEntry> {
        let mut manifests = ManifestServiceClient::new(self.channel.clone());
        let answer = manifests.history(HistoryRequest::default()).await.unwrap();
        answer.into_inner().entries
    }

    async fn get(&self, kind: &str, name: &str) -> serde_json::Value {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        let request = GetRequest { kind, name, ..GetRequest::default() };
        let mut manifests = ManifestServiceClient::new(self.channel.clone());
        let objects = manifests.get(request).await.unwrap().into_inner().objects;
        serde_json::from_str(objects.first().unwrap()).unwrap()
    }
}

fn registration(name: &str, port: u16, subset: &str) -> RegisterRequest {
    let probe = Some(health_check::Probe::Tcp(true));
    RegisterRequest {
        service: name.to_owned(),
        protocol: "http".to_owned(),
        port: port.into(),
        subset: subset.to_owned(),
        health: Some(HealthCheck { probe, ..HealthCheck::default() }),
        ..RegisterRequest::default()
    }
}

fn daemon(dir: &Path) -> Daemon {
    let (names, published) = (Interner::new(), Arc::<Published>::default());
    let vips = Vips {
        base4: "240.0.0.0".parse().unwrap(),
        prefix4: 16,
        base6: "fd6d:6573:6800::".parse().unwrap(),
    };
    let state = dir.join("state");
    let store = Store::open(&state, "n1", vips, names.clone(), Arc::clone(&published)).unwrap();
    let telemetry = Telemetry::new(MetricsCompat::None);
    Daemon {
        identity: Identity {
            node: "n1".to_owned(),
            mesh: "home".to_owned(),
            trust_domain: "home.mesh".to_owned(),
        },
        settings: Settings::default(),
        workers: 1,
        store: Arc::new(store),
        published,
        names,
        board: Arc::default(),
        rings: Rings::new(1),
        rates: Rates::new(telemetry.clone()),
        telemetry,
        cgroup: "control-test.slice".to_owned(),
        runs: None,
        attachments: Arc::new(Attachments::open(&state).unwrap()),
        rootless: None,
        keeper: Keeper::new().0,
        capture: Arc::default(),
    }
}

/// An address with a listener, or one where nobody listens.
async fn closed_or_open(open: bool) -> (std::net::SocketAddr, Option<TcpListener>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, open.then_some(listener))
}
