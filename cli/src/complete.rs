//! What the shell is offered while a line is being typed: names that exist right now.
//!
//! One read-only call with a short budget; without a daemon there is nothing to offer, and never
//! an error.

use std::ffi::OsStr;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::CompletionCandidate;
use mesh_proto::v1::{GetRequest, HistoryRequest};

use crate::args::target;
use crate::client::{self, Client};
use crate::command::object::{Object, field};
use crate::context::block_on;
use crate::error::Failure;

const BUDGET: Duration = Duration::from_millis(80);

/// Service names with their health.
pub(crate) fn services() -> Vec<CompletionCandidate> {
    let described = |service: &Object| {
        let (ready, total) = (service.count("/status/ready"), service.count("/status/total"));
        CompletionCandidate::new(service.name()).help(Some(format!("{ready}/{total} ready").into()))
    };
    objects("service", "").iter().map(described).collect()
}

/// Subsets of the service named before on the line: `split web v1=`.
pub(crate) fn subsets(current: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<_> = std::env::args().collect();
    let service = words.iter().skip_while(|word| *word != "split").nth(1);
    let Some(service) = service else {
        return Vec::new();
    };
    let current = current.to_string_lossy();
    let objects = objects("service", service);
    let subsets = objects.iter().flat_map(|object| object.list("/status/subsets"));
    let named = subsets.map(|subset| format!("{}=", field(subset, "name")));
    named
        .filter(|name| name.starts_with(&*current) && name != "=")
        .map(CompletionCandidate::new)
        .collect()
}

/// `KIND` and, once a slash is typed, `KIND/NAME`.
pub(crate) fn targets(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let Some((kind, name)) = current.split_once('/') else {
        let kinds = target::kinds().filter(|kind| kind.starts_with(&*current));
        return kinds
            .flat_map(|kind| [format!("{kind}s"), format!("{kind}/")])
            .map(CompletionCandidate::new)
            .collect();
    };
    let Ok(known) = target::kind_of(kind) else {
        return Vec::new();
    };
    let objects = objects(known, "");
    let names = objects.iter().map(Object::name).filter(|other| other.starts_with(name));
    names.map(|name| CompletionCandidate::new(format!("{kind}/{name}"))).collect()
}

/// What `wait --for` accepts.
pub(crate) fn conditions() -> Vec<CompletionCandidate> {
    let conditions = [
        ("exists", "it is there"),
        ("ready", "an endpoint is ready"),
        ("healthy", "every endpoint is ready"),
        ("live", "every node uses it"),
        ("deleted", "it is gone"),
        ("jsonpath=", "a field has a value"),
    ];
    let candidate = |(name, about): (&'static str, &'static str)| {
        CompletionCandidate::new(name).help(Some(about.into()))
    };
    conditions.into_iter().map(candidate).collect()
}

/// Numbers of changes, newest first, with the command that made them.
pub(crate) fn generations() -> Vec<CompletionCandidate> {
    let entries = asked(async {
        let client = client().await?;
        client.call(client.manifests().history(HistoryRequest { limit: 20 })).await
    });
    let entries = entries.map(|history| history.entries).unwrap_or_default();
    let described = |entry: &mesh_proto::v1::HistoryEntry| {
        let help = entry.command_line.clone();
        CompletionCandidate::new(entry.generation.to_string()).help(Some(help.into()))
    };
    entries.iter().map(described).collect()
}

fn objects(kind: &str, name: &str) -> Vec<Object> {
    let request = GetRequest {
        kind: kind.to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
    };
    let answer = asked(async {
        let client = client().await?;
        client.call(client.manifests().get(request)).await
    });
    let objects = answer.map(|answer| answer.objects).unwrap_or_default();
    objects.iter().filter_map(|object| Object::parse(object).ok()).collect()
}

async fn client() -> Result<Client, Failure> {
    let socket =
        std::env::var_os("MESHCTL_SOCKET").map_or_else(client::default_socket, PathBuf::from);
    Client::connect(&socket, Some(BUDGET)).await
}

fn asked<T>(question: impl Future<Output = Result<T, Failure>>) -> Option<T> {
    let timed =
        async { tokio::time::timeout(BUDGET, question).await.map_err(|_late| Failure::usage(""))? };
    block_on(timed).ok()
}
