//! `meshctl export`: the declared state as manifests that `apply` accepts unchanged.

use clap_complete::ArgValueCompleter;
use mesh_proto::v1::ExportRequest;

use crate::args::target::{self, Target};
use crate::command::edit;
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::Format;

/// Print the declared state as manifests
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl export > mesh.yaml
  meshctl export route/web
  meshctl export --at 3")]
pub(crate) struct Args {
    /// Only this kind or object
    #[arg(value_name = "KIND[/NAME]", add = ArgValueCompleter::new(complete::targets))]
    target: Vec<String>,
    /// As it was at this generation [default: now]
    #[arg(long, value_name = "N", add = clap_complete::ArgValueCandidates::new(complete::generations))]
    at: Option<u64>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut targets = target::targets(&args.target)?;
    if targets.is_empty() {
        targets.push(Target { kind: "", name: None });
    }
    let client = context.client().await?;
    let mut text = String::new();
    for Target { kind, name } in targets {
        let request = ExportRequest {
            kind: kind.to_owned(),
            namespace: context.namespace.clone(),
            name: name.unwrap_or_default(),
            at: args.at.unwrap_or_default(),
        };
        let yaml = client.call(client.manifests().export(request)).await?.yaml;
        if !text.is_empty() && !yaml.starts_with("---") {
            text.push_str("---\n");
        }
        text.push_str(&yaml);
    }
    match context.output.format {
        Format::Json => context.output.document(&edit::as_list(&text)?)?,
        Format::Name => {
            edit::names(&text)?.iter().try_for_each(|name| context.output.say(name))?;
        }
        Format::Table | Format::Wide | Format::Yaml | Format::Short | Format::Junit => {
            context.output.say_text(&text)?
        }
    }
    Ok(Exit::DONE)
}
