//! `meshctl version`: both versions; works with the daemon stopped.

use serde_json::{Value, json};

use crate::client::VERSION;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{Answer, Human};

/// Show the versions of meshctl and meshd
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl version
  meshctl version -o json --jq .client.version")]
pub(crate) struct Args {}

pub(crate) async fn run(context: &Context) -> Result<Exit, Failure> {
    let daemon = context.client().await.map(|client| client.daemon);
    let (line, document) = match &daemon {
        Ok(daemon) => {
            let document = json!({
                "version": daemon.version,
                "node": daemon.node,
                "mesh": daemon.mesh,
                "pid": daemon.pid,
            });
            let line = format!("{} (node {}, pid {})", daemon.version, daemon.node, daemon.pid);
            (line, document)
        }
        Err(failure) if failure.is(&mesh_proto::codes::NOT_RUNNING) => {
            ("not running".to_owned(), Value::Null)
        }
        Err(failure) => (failure.message().to_owned(), Value::Null),
    };
    context.output.show(&Answer {
        document: json!({"client": {"version": VERSION}, "daemon": document}),
        names: vec![format!("meshctl/{VERSION}")],
        human: Human::Text(format!("meshctl (service mesh) {VERSION}\ndaemon: {line}\n")),
    })?;
    Ok(Exit::DONE)
}
