//! What the store promises to those who change and those who read.

use std::fs;
use std::net::Ipv4Addr;

use mesh_proto::manifest::{Key, Kind, Metadata, Object, Service, ServicePort, ServiceSpec};
use tempfile::TempDir;

use super::*;
use crate::model::ServiceName;
use crate::registry::Registration;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_returns_once_every_reader_uses_it() {
    let mesh = Mesh::new();
    let mut reader = mesh.published.reader("worker-0");
    let store = Arc::clone(&mesh.store);
    let change = tokio::spawn(async move { put(&store, "web", 80).await });
    reader.changed().await;
    assert!(!change.is_finished());
    let generation = reader.load().generation;
    assert_eq!(change.await.unwrap().generation, generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wait_returns_once_the_change_is_durable() {
    let mesh = Mesh::new();
    let _never_acknowledges = mesh.published.reader("worker-0");
    let mutation = Mutation { no_wait: true, ..Mutation::default() };
    let outcome = mesh.change(mutation, |draft| draft.put(service("web", 80))).await.unwrap();
    assert!(outcome.live.is_none());
    assert_eq!(mesh.reopened().await, ["service/web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_already_so_makes_no_generation() {
    let mesh = Mesh::new();
    assert_eq!(put(&mesh.store, "web", 80).await.generation, 1);
    let again = put(&mesh.store, "web", 80).await;
    assert_eq!((again.generation, again.undo, again.changes.len()), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let mesh = Mesh::new();
    let mutation = Mutation { dry_run: true, ..Mutation::default() };
    let outcome = mesh.change(mutation, |draft| draft.put(service("web", 80))).await.unwrap();
    assert_eq!(outcome.changes[0].action, Action::Created);
    assert_eq!((outcome.generation, mesh.names().await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_leaves_everything_as_it_was() {
    let mesh = Mesh::new();
    put(&mesh.store, "web", 80).await;
    let refused = mesh.store.update(Author::default(), Mutation::default(), |draft| {
        draft.put(service("pay", 80));
        Err("no")
    });
    assert!(matches!(refused.await, Err(UpdateError::Refused("no"))));
    assert_eq!(mesh.names().await, ["service/web"]);
    assert_eq!(mesh.store.view().await.snapshot.generation, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_generation_than_the_expected_is_refused() {
    let mesh = Mesh::new();
    put(&mesh.store, "web", 80).await;
    let mutation = Mutation { if_generation: Some(7), ..Mutation::default() };
    let refused = mesh.change(mutation, |draft| draft.put(service("pay", 80))).await;
    assert!(matches!(refused, Err(UpdateError::Moved { head: 1 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_takes_back_one_change_and_undo_again_redoes_it() {
    let mesh = Mesh::new();
    put(&mesh.store, "web", 80).await;
    put(&mesh.store, "pay", 80).await;
    mesh.undo(0, None).await.unwrap();
    assert_eq!(mesh.names().await, ["service/web"]);
    mesh.undo(0, None).await.unwrap();
    assert_eq!(mesh.names().await, ["service/pay", "service/web"]);
    mesh.undo(1, None).await.unwrap();
    assert_eq!(mesh.names().await, ["service/pay"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_built_upon_cannot_be_undone_alone() {
    let mesh = Mesh::new();
    put(&mesh.store, "web", 80).await;
    put(&mesh.store, "web", 81).await;
    let refused = mesh.undo(1, None).await;
    assert!(matches!(refused, Err(UpdateError::Refused(UndoError::Conflict { .. }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_to_returns_to_the_very_state() {
    let mesh = Mesh::new();
    put(&mesh.store, "web", 80).await;
    mesh.register("web", 8080).await;
    let then = mesh.store.view().await.declared;
    put(&mesh.store, "web", 81).await;
    mesh.register("pay", 9090).await;
    mesh.undo(0, Some(2)).await.unwrap();
    let now = mesh.store.view().await.declared;
    assert_eq!((&now, &*mesh.store.at(2).await.unwrap()), (&then, &*then));
}

#[tokio::test(flavor = "multi_thread")]
async fn history_says_who_did_what() {
    let mesh = Mesh::new();
    put(&mesh.store, "web", 80).await;
    mesh.register("web", 8080).await;
    let history = mesh.store.history(0).await.unwrap();
    let lines: Vec<_> = history
        .iter()
        .map(|past| {
            (past.entry.revision, past.changes[0].topic.to_string(), past.changes[0].action)
        })
        .collect();
    let web = "service/web".to_owned();
    assert_eq!(lines, [(2, web.clone(), Action::Configured), (1, web, Action::Created)]);
    assert_eq!(history[1].entry.delta.author.user, "ana");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_serves_nothing_and_refuses_every_change() {
    let mesh = Mesh::new();
    put(&mesh.store, "web", 80).await;
    let Mesh { dir, store, .. } = mesh;
    drop(store);
    let file = dir.path().join("state.db");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    bytes[20..90].fill(0xff);
    fs::write(&file, &bytes).unwrap();

    let mesh = Mesh::at(dir);
    let damage = mesh.store.damage().await.unwrap();
    assert_eq!(fs::read(damage.kept).unwrap(), bytes);
    let refused = mesh.change(Mutation::default(), |draft| draft.put(service("pay", 80))).await;
    assert!(matches!(refused, Err(UpdateError::ReadOnly(_))));
    assert!(mesh.names().await.is_empty());
}

struct Mesh {
    dir: TempDir,
    published: Arc<Published>,
    store: Arc<Store>,
}

impl Mesh {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(dir: TempDir) -> Self {
        let published = Arc::<Published>::default();
        let vips = Vips {
            base4: Ipv4Addr::new(240, 0, 0, 0),
            prefix4: 16,
            base6: "fd6d:6573:6800::".parse().unwrap(),
        };
        let store =
            Store::open(dir.path(), "n1", vips, Interner::new(), Arc::clone(&published)).unwrap();
        Self { dir, published, store: Arc::new(store) }
    }

    async fn change(
        &self,
        mutation: Mutation,
        change: impl FnOnce(&mut Draft),
    ) -> Result<Outcome, UpdateError<()>> {
        let change = |draft: &mut Draft| {
            change(draft);
            Ok(())
        };
        self.store.update(author(), mutation, change).await
    }

    async fn undo(&self, number: u64, to: Option<u64>) -> Result<Outcome, UpdateError<UndoError>> {
        let reversal = self.store.reversal(number, to).await.unwrap();
        self.store.update(author(), Mutation::default(), |draft| reversal.apply(draft)).await
    }

    async fn register(&self, name: &str, port: u16) {
        let registration = Registration {
            service: ServiceName::new("", name),
            address: (Ipv4Addr::LOCALHOST, port).into(),
            service_port: None,
            protocol: None,
            subset: None,
            weight: None,
            labels: [].into(),
            health: None,
            compat: None,
            bound: None,
        };
        let claim = registration.over(None, 0);
        self.change(Mutation::default(), |draft| draft.put_claim(claim)).await.unwrap();
    }

    async fn names(&self) -> Vec<String> {
        names(&self.store).await
    }

    async fn reopened(self) -> Vec<String> {
        drop(self.store);
        names(&Self::at(self.dir).store).await
    }
}

async fn names(store: &Store) -> Vec<String> {
    let view = store.view().await;
    view.declared.all_effective("n1").keys().map(Key::to_string).collect()
}

async fn put(store: &Store, name: &str, port: u16) -> Outcome {
    let change = |draft: &mut Draft| {
        draft.put(service(name, port));
        Ok::<(), ()>(())
    };
    store.update(author(), Mutation::default(), change).await.unwrap()
}

fn author() -> Author {
    Author { uid: 1000, user: "ana".to_owned(), pid: 7, command_line: "meshctl".to_owned() }
}

fn service(name: &str, port: u16) -> Object {
    let ports = vec![ServicePort { port, protocol: Default::default() }];
    let spec = ServiceSpec { ports, ..ServiceSpec::default() };
    let object = Object::Service(Service { metadata: Metadata::new("", name), spec });
    assert_eq!(object.kind(), Kind::Service);
    object
}
