//! `meshctl schema`: the JSON Schema of what people write and of what `-o json` prints.

mod answers;

use clap_complete::{ArgValueCandidates, CompletionCandidate};
use mesh_proto::codes;
use mesh_proto::manifest;
use serde_json::json;

use crate::context::Context;
use crate::error::{Exit, Failure, did_you_mean};
use crate::output::Format;

/// Print the JSON Schema of a kind
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl schema
  meshctl schema ServiceList
  meshctl schema HTTPRoute > httproute.schema.json")]
pub(crate) struct Args {
    /// The kind [default: list what there is]
    #[arg(value_name = "KIND", add = ArgValueCandidates::new(candidates))]
    kind: Option<String>,
}

/// Kinds with a schema: manifests, their lists, and the answers of commands.
fn names() -> Vec<String> {
    let answers = answers::NAMES.iter().map(|name| (*name).to_owned());
    manifest::schema_names().into_iter().chain(answers).collect()
}

fn candidates() -> Vec<CompletionCandidate> {
    names().into_iter().map(CompletionCandidate::new).collect()
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let Some(kind) = &args.kind else {
        return list(context);
    };
    let schema = manifest::schema(kind).or_else(|| answers::schema(kind));
    let Some(schema) = schema else {
        let names = names();
        let failure = Failure::new(&codes::OBJECT_NOT_FOUND, format!("no schema \"{kind}\""));
        return Err(match did_you_mean(kind, names.iter().map(String::as_str)) {
            Some(guess) => failure.why(guess),
            None => failure.why(format!("there are {}", names.join(", "))),
        });
    };
    context.output.document(&schema)?;
    Ok(Exit::DONE)
}

fn list(context: &Context) -> Result<Exit, Failure> {
    match context.output.format {
        Format::Json | Format::Yaml => {
            let list = json!({"apiVersion": "mesh/v1", "kind": "SchemaList", "items": names()});
            context.output.document(&list)?;
        }
        Format::Table | Format::Wide | Format::Name | Format::Short | Format::Junit => {
            names().iter().try_for_each(|name| context.output.say(name))?;
        }
    }
    Ok(Exit::DONE)
}
