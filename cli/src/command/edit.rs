//! Manifests on this side of the socket: what `--dry-run=client` prints, and `export` in JSON.

use mesh_proto::codes::{self, Code};
use mesh_proto::manifest::edit::{self, EditError};
use mesh_proto::manifest::{Kind, ManifestError, Object, parse, to_yaml_stream};
use mesh_proto::v1::health_check::Probe;
use mesh_proto::v1::{
    Document, EditRouteRequest, ExportRequest, HealthCheck, RegisterRequest, SplitRequest,
};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{Answer, Human};

/// Some commands have no manifest: removing and undoing are not declarations.
pub(crate) fn no_manifest(command: &str) -> Failure {
    Failure::usage(format!("--dry-run=client: {command} stands for no manifest"))
        .fix("--dry-run   (the server says what would change)")
}

/// Every mistake as a line of its own, the first one's hint as the fix.
pub(crate) fn refused(errors: &[ManifestError]) -> Failure {
    let code = errors.first().map_or(codes::SYNTAX, |error| error.code);
    let of = if errors.len() == 1 {
        "1 mistake".to_owned()
    } else {
        format!("{} mistakes", errors.len())
    };
    let message = match errors {
        [error] => error.to_string(),
        _ => format!("{of} in the manifests"),
    };
    let mut failure = Failure::new(&Code { exit: 2, ..code }, message);
    match errors {
        [error] => failure = failure.why(&error.why),
        several => {
            failure = several.iter().fold(failure, |failure, error| failure.why(error.to_string()))
        }
    }
    match errors.first() {
        Some(error) if !error.hint.is_empty() => failure.fix(&error.hint),
        _ => failure,
    }
}

/// `apply --dry-run=client`: the documents as they are understood.
pub(crate) fn show_documents(documents: &[Document], context: &Context) -> Result<Exit, Failure> {
    let objects = parse(documents).map_err(|errors| refused(&errors))?;
    show(&objects, context)
}

/// `route --dry-run=client`.
pub(crate) async fn show_route(
    request: &EditRouteRequest,
    context: &Context,
) -> Result<Exit, Failure> {
    let live = live(context).await;
    let existing = edit::http_route_of(&live, &request.namespace, &request.service);
    let edited = existing.and_then(|existing| edit::route(existing, request)).map_err(unedited)?;
    show(&edited.route.map(Object::HttpRoute).into_iter().collect::<Vec<_>>(), context)
}

/// `split --dry-run=client`.
pub(crate) async fn show_split(request: &SplitRequest, context: &Context) -> Result<Exit, Failure> {
    let live = live(context).await;
    let (namespace, service) = (&request.namespace, &request.service);
    let tcp = edit::tcp_route_of(&live, namespace, service).map_err(unedited)?;
    let object = if let Some(tcp) = tcp {
        edit::split_tcp(Some(tcp), request).map_err(unedited)?.route.map(Object::TcpRoute)
    } else {
        let existing = edit::http_route_of(&live, namespace, service).map_err(unedited)?;
        edit::split(existing, request).map_err(unedited)?.route.map(Object::HttpRoute)
    };
    show(&object.into_iter().collect::<Vec<_>>(), context)
}

/// What is declared now; without a daemon, nothing: then the edit starts from an empty route.
async fn live(context: &Context) -> Vec<Object> {
    let exported = async {
        let client = context.client().await?;
        client.call(client.manifests().export(ExportRequest::default())).await
    };
    match exported.await {
        Ok(exported) => objects(&exported.yaml).unwrap_or_default(),
        Err(_no_daemon) => Vec::new(),
    }
}

fn unedited(error: EditError) -> Failure {
    match error {
        EditError::Invalid(errors) => refused(&errors),
        EditError::NoSuchRule { .. } => Failure::new(&codes::RULE_NOT_FOUND, error.to_string()),
        EditError::Taken(_) => Failure::new(&codes::OTHER_OWNER, error.to_string()),
    }
}

/// `register --dry-run=client`: the service with this one endpoint.
pub(crate) fn show_endpoint(request: &RegisterRequest, context: &Context) -> Result<Exit, Failure> {
    let text = service(request).to_string();
    let document = Document { file: format!("service/{}", request.service), text };
    show_documents(&[document], context)
}

fn service(request: &RegisterRequest) -> Value {
    let service_port = match (request.service_port, request.protocol.as_str()) {
        (0, "http") => 80,
        (0, _) => request.port,
        (port, _) => port,
    };
    let mut port = Map::from_iter([("port".to_owned(), json!(service_port))]);
    let address = if request.address.is_empty() { "127.0.0.1" } else { &request.address };
    let mut endpoint = Map::from_iter([
        ("address".to_owned(), json!(address)),
        ("port".to_owned(), json!(request.port)),
    ]);
    let mut spec = Map::new();
    set(&mut port, "protocol", &request.protocol);
    set(&mut endpoint, "subset", &request.subset);
    if request.weight > 0 {
        endpoint.insert("weight".to_owned(), json!(request.weight));
    }
    if !request.labels.is_empty() {
        endpoint.insert("labels".to_owned(), json!(request.labels));
    }
    set(&mut spec, "compat", &request.compat);
    spec.insert("ports".to_owned(), json!([port]));
    if let Some(check) = &request.health {
        spec.insert("health".to_owned(), health(check));
    }
    spec.insert("endpoints".to_owned(), json!([endpoint]));
    json!({
        "apiVersion": Kind::Service.api_version(),
        "kind": Kind::Service.name(),
        "metadata": {"name": request.service, "namespace": request.namespace},
        "spec": spec,
    })
}

fn set(fields: &mut Map<String, Value>, key: &str, value: &str) {
    if !value.is_empty() {
        fields.insert(key.to_owned(), json!(value));
    }
}

fn health(check: &HealthCheck) -> Value {
    let mut fields = Map::new();
    match &check.probe {
        Some(Probe::Http(path)) => set(&mut fields, "http", path),
        Some(Probe::Tcp(_)) | None => {
            fields.insert("tcp".to_owned(), json!(true));
        }
    }
    let interval = check.interval.and_then(|interval| std::time::Duration::try_from(interval).ok());
    if let Some(interval) = interval {
        set(&mut fields, "interval", &format!("{}ms", interval.as_millis()));
    }
    Value::Object(fields)
}

fn show(objects: &[Object], context: &Context) -> Result<Exit, Failure> {
    context.output.show(&Answer {
        document: match objects {
            [one] => one.to_json(),
            several => list(several),
        },
        names: objects.iter().map(|object| object.key().to_string()).collect(),
        human: Human::Text(to_yaml_stream(objects)),
    })?;
    Ok(Exit::DONE)
}

fn list(objects: &[Object]) -> Value {
    let items: Vec<_> = objects.iter().map(Object::to_json).collect();
    json!({"apiVersion": "mesh/v1", "kind": "List", "items": items})
}

fn objects(yaml: &str) -> Result<Vec<Object>, Failure> {
    let document = Document { file: "export".to_owned(), text: yaml.to_owned() };
    parse(&[document]).map_err(|errors| refused(&errors))
}

/// Manifests as one JSON list.
pub(crate) fn as_list(yaml: &str) -> Result<Value, Failure> {
    Ok(list(&objects(yaml)?))
}

/// "service/web" for each object.
pub(crate) fn names(yaml: &str) -> Result<Vec<String>, Failure> {
    Ok(objects(yaml)?.iter().map(|object| object.key().to_string()).collect())
}
