//! `meshctl metrics`: the Prometheus exposition, without a server.

use mesh_proto::v1::MetricsTextRequest;

use crate::context::Context;
use crate::error::{Exit, Failure};

/// Print Prometheus metrics
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl metrics
  meshctl metrics | grep mesh_requests_total")]
pub(crate) struct Args {}

pub(crate) async fn run(context: &Context) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let response = client.call(client.metrics().text(MetricsTextRequest {})).await?;
    if context.output.is_structured() {
        context.output.document(&serde_json::json!({"text": response.text}))?;
    } else {
        context.output.say_text(&response.text)?;
    }
    Ok(Exit::DONE)
}
