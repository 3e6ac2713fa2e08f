//! Reading the manifest-shaped objects the daemon answers with.

use std::time::SystemTime;

use mesh_proto::codes;
use mesh_proto::v1::{Attachment, GetRequest, ListAttachmentsRequest, ListRunsRequest, Run};
use serde_json::{Value, json};

use crate::args::target;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Failure, did_you_mean};

/// One object as JSON: manifest shape plus `status`.
pub(crate) struct Object(pub(crate) Value);

impl Object {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let value = serde_json::from_str(text);
        Ok(Self(value.map_err(|error| {
            Failure::new(&codes::INTERNAL, "meshd sent an object that is not JSON")
                .why(error.to_string())
        })?))
    }

    /// The short kind, "service".
    pub(crate) fn kind(&self) -> String {
        let long = self.text("/kind").to_ascii_lowercase();
        target::kind_of(&long).map_or(long, str::to_owned)
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// "service/web".
    pub(crate) fn reference(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// The string at a JSON pointer; empty where there is none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn number(&self, pointer: &str) -> Option<f64> {
        self.0.pointer(pointer).and_then(Value::as_f64)
    }

    pub(crate) fn count(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(crate) fn list(&self, pointer: &str) -> &[Value] {
        self.0.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// Since when it exists, as time passed; "-" where unknown.
    pub(crate) fn age(&self) -> String {
        let created = self.text("/metadata/creationTimestamp").parse::<prost_types::Timestamp>();
        let created = created.ok().and_then(|created| SystemTime::try_from(created).ok());
        let age = created.and_then(|created| created.elapsed().ok());
        age.map_or_else(|| "-".to_owned(), crate::output::number::age)
    }
}

/// The string under `key`; empty where there is none.
pub(crate) fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Fetches the objects of a kind, or the one with this name; a missing one is a failure.
pub(crate) async fn fetch(
    client: &Client,
    context: &Context,
    kind: &str,
    name: Option<&str>,
) -> Result<Vec<Object>, Failure> {
    let objects = listed(client, context, kind, name).await?;
    let Some(name) = name else {
        return Ok(objects);
    };
    let found: Vec<_> = objects.into_iter().filter(|object| object.name() == name).collect();
    if found.is_empty() { Err(missing(client, context, kind, name).await) } else { Ok(found) }
}

async fn listed(
    client: &Client,
    context: &Context,
    kind: &str,
    name: Option<&str>,
) -> Result<Vec<Object>, Failure> {
    match kind {
        "run" => runs(client).await,
        "attachment" => attachments(client).await,
        _ => declared(client, context, kind, name).await,
    }
}

async fn declared(
    client: &Client,
    context: &Context,
    kind: &str,
    name: Option<&str>,
) -> Result<Vec<Object>, Failure> {
    let request = GetRequest {
        kind: kind.to_owned(),
        namespace: context.namespace.clone(),
        name: name.unwrap_or_default().to_owned(),
    };
    let response = client.call(client.manifests().get(request)).await?;
    response.objects.iter().map(|object| Object::parse(object)).collect()
}

async fn runs(client: &Client) -> Result<Vec<Object>, Failure> {
    let response = client.call(client.runs().list_runs(ListRunsRequest {})).await?;
    Ok(response.runs.iter().map(run_object).collect())
}

fn run_object(run: &Run) -> Object {
    Object(json!({
        "apiVersion": "mesh/v1",
        "kind": "Run",
        "metadata": {"name": run.id},
        "spec": {"as": run.r#as, "command": run.command},
        "status": {"cgroup": run.cgroup, "pids": run.pids, "uid": run.uid},
    }))
}

async fn attachments(client: &Client) -> Result<Vec<Object>, Failure> {
    let response = client.call(client.attachments().list(ListAttachmentsRequest {})).await?;
    Ok(response.attachments.iter().map(attachment_object).collect())
}

fn attachment_object(attachment: &Attachment) -> Object {
    let Attachment { name, r#as, uid, allow_egress, cgroup, pids, present } = attachment;
    let state = if *present { "present" } else { "absent" };
    Object(json!({
        "apiVersion": "mesh/v1",
        "kind": "Attachment",
        "metadata": {"name": name},
        "spec": {"as": r#as, "allowEgress": allow_egress},
        "status": {"state": state, "cgroup": cgroup, "pids": pids, "uid": uid},
    }))
}

async fn missing(client: &Client, context: &Context, kind: &str, name: &str) -> Failure {
    let code = match kind {
        "service" => &codes::SERVICE_NOT_FOUND,
        "route" | "tcproute" => &codes::ROUTE_NOT_FOUND,
        _ => &codes::OBJECT_NOT_FOUND,
    };
    let failure = Failure::new(code, format!("no {kind} \"{name}\""));
    let others = listed(client, context, kind, None).await.unwrap_or_default();
    let failure = match did_you_mean(name, others.iter().map(Object::name)) {
        Some(guess) => failure.why(guess),
        None => failure.why(format!("{} of this kind exist", others.len())),
    };
    failure.fix(format!("meshctl get {kind}s"))
}
