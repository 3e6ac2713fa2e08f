//! `meshctl debug`: the raw truth about capture, as the kernel has it.

use mesh_proto::v1::{GetCaptureRequest, GetCaptureResponse};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::table::{Table, left, right};
use crate::output::{Answer, Human};

/// Show what capture has installed in the kernel
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl debug rules
  meshctl debug ebpf
  meshctl debug ebpf -o json --jq .counters

For how it would be on this host: meshctl install --dry-run")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Tables, chains, policy rules and routes of ours, as their programs print them
    #[command(before_help = "Examples:
  meshctl debug rules
  meshctl debug rules -o json --jq .rules")]
    Rules,
    /// Programs of ours: where they sit, how often they ran, who else is there
    #[command(before_help = "Examples:
  meshctl debug ebpf
  meshctl debug ebpf -o json --jq '.programs[].runs'")]
    Ebpf,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let capture = client.call(client.status().get_capture(GetCaptureRequest {})).await?;
    let human = match args.what {
        What::Rules => Human::Text(capture.rules.clone()),
        What::Ebpf if capture.programs.is_empty() => {
            Human::Text(format!("no programs: the backend is {}\n", capture.backend))
        }
        What::Ebpf => Human::Table(programs(&capture)),
    };
    context.output.show(&Answer { document: document(&capture), names: Vec::new(), human })?;
    Ok(Exit::DONE)
}

fn programs(capture: &GetCaptureResponse) -> Table {
    let columns = [
        left("HOOK"),
        left("PROGRAM"),
        right("ID"),
        right("RUNS"),
        right("NS/RUN"),
        left("ALSO THERE"),
    ];
    let mut table = Table::new(columns);
    for program in &capture.programs {
        // The kernel only counts while kernel.bpf_stats_enabled is set.
        let each = program.run_ns.checked_div(program.runs);
        let also =
            if program.others.is_empty() { "-".to_owned() } else { program.others.join(", ") };
        table.push(vec![
            program.hook.as_str().into(),
            program.name.as_str().into(),
            program.id.to_string().into(),
            each.map_or_else(|| "-".to_owned(), |_| program.runs.to_string()).into(),
            each.map_or_else(|| "-".to_owned(), |each| each.to_string()).into(),
            also.into(),
        ]);
    }
    table
}

fn document(capture: &GetCaptureResponse) -> Value {
    let program = |program: &mesh_proto::v1::BpfProgram| {
        json!({
            "hook": program.hook,
            "name": program.name,
            "id": program.id,
            "runs": program.runs,
            "runNs": program.run_ns,
            "others": program.others,
        })
    };
    json!({
        "apiVersion": "mesh/v1",
        "kind": "Capture",
        "backend": capture.backend,
        "rules": capture.rules,
        "programs": capture.programs.iter().map(program).collect::<Vec<_>>(),
        "counters": capture.counters,
    })
}
