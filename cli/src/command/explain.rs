//! `meshctl explain`: what a field or an error code means, offline; what happens to a process's
//! traffic, from meshd.

mod traffic;

use mesh_proto::codes::{self, Code};
use mesh_proto::manifest::{self, Kind, Unexplained};
use serde_json::{Value, json};

use crate::context::{Context, block_on};
use crate::error::{Exit, Failure, did_you_mean};
use crate::output::table::{Table, left, right};
use crate::output::{Answer, Human};

/// Explain a kind, a field, an error code, or what happens to a process's traffic
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl explain service.spec.health
  meshctl explain HTTPRoute.spec.rules
  meshctl explain MESH1204
  meshctl explain --pid 812 --to udp:10.0.0.7:53")]
pub(crate) struct Args {
    /// What to explain [default: the list of codes]
    #[arg(value_name = "KIND[.FIELD]|MESHnnnn", add = clap_complete::ArgValueCandidates::new(candidates))]
    topic: Option<String>,
    /// Process whose traffic is meant
    #[arg(long, value_name = "PID", requires = "to", conflicts_with = "topic")]
    pid: Option<u32>,
    /// Where it would go, tcp:IP:PORT or udp:IP:PORT
    #[arg(long, value_name = "PLACE", requires = "pid")]
    to: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if let Some((pid, to)) = args.pid.zip(args.to.as_deref()) {
        return block_on(traffic::run(pid, to, context));
    }
    let answer = match args.topic.as_deref() {
        None => all_codes(),
        Some(topic) if topic.to_ascii_uppercase().starts_with("MESH") => code(topic)?,
        Some(topic) => field(topic)?,
    };
    context.output.show(&answer)?;
    Ok(Exit::DONE)
}

fn candidates() -> Vec<clap_complete::CompletionCandidate> {
    let kinds = Kind::ALL.iter().map(|kind| kind.short());
    let codes = codes::ALL.iter().map(|code| code.code);
    kinds.chain(codes).map(clap_complete::CompletionCandidate::new).collect()
}

fn all_codes() -> Answer {
    let mut table = Table::new([left("CODE"), right("EXIT"), left("MEANING")]);
    for code in codes::ALL {
        table.push(vec![code.code.into(), code.exit.to_string().into(), code.title.into()]);
    }
    Answer {
        document: json!({
            "apiVersion": "mesh/v1",
            "kind": "CodeList",
            "items": codes::ALL.iter().map(document).collect::<Vec<_>>(),
        }),
        names: codes::ALL.iter().map(|code| code.code.to_owned()).collect(),
        human: Human::Table(table),
    }
}

fn code(topic: &str) -> Result<Answer, Failure> {
    let Some(code) = codes::lookup(topic) else {
        let failure = Failure::new(&codes::OBJECT_NOT_FOUND, format!("no error code \"{topic}\""));
        return Err(failure.fix("meshctl explain   (lists every code)"));
    };
    let Code { code: name, title, why, fix, exit } = code;
    Ok(Answer {
        document: document(code),
        names: vec![(*name).to_owned()],
        human: Human::Text(format!(
            "{name}: {title}\n  why:  {why}\n  fix:  {fix}\n  exit: {exit}\n"
        )),
    })
}

fn document(code: &Code) -> Value {
    json!({
        "code": code.code,
        "title": code.title,
        "why": code.why,
        "fix": code.fix,
        "exit": code.exit,
    })
}

fn field(topic: &str) -> Result<Answer, Failure> {
    let text = manifest::explain(topic).map_err(|unexplained| unknown(&unexplained))?;
    Ok(Answer {
        document: json!({"topic": topic, "text": text}),
        names: vec![topic.to_owned()],
        human: Human::Text(text),
    })
}

fn unknown(unexplained: &Unexplained) -> Failure {
    let failure = Failure::new(&codes::OBJECT_NOT_FOUND, unexplained.to_string());
    let (meant, fix) = match unexplained {
        Unexplained::Kind { meant, word } => {
            let meant = meant.map(str::to_owned);
            let close = || did_you_mean(word, Kind::ALL.iter().map(|kind| kind.short()));
            (
                meant.map(|meant| format!("did you mean \"{meant}\"?")).or_else(close),
                "meshctl explain service",
            )
        }
        Unexplained::Field { meant, .. } => (
            meant.map(|meant| format!("did you mean \"{meant}\"?")),
            "meshctl explain KIND   (lists its fields)",
        ),
    };
    let failure = match meant {
        Some(meant) => failure.why(meant),
        None => failure,
    };
    failure.fix(fix)
}
