//! `meshctl status`: one screen about the daemon, its capture, the traffic and what is wrong.

use std::time::SystemTime;

use mesh_proto::v1::{CaptureStatus, GetStatusRequest, GetStatusResponse, Problem};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::paint::Mark;
use crate::output::{Answer, Human, number};

/// Show daemon, capture, traffic and problems on one screen
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl status
  meshctl status -o json --jq .ready

Exits 0 once capture and listeners are ready, 4 before.")]
pub(crate) struct Args {}

pub(crate) async fn run(context: &Context) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let status = client.call(client.status().get_status(GetStatusRequest {})).await?;
    context.output.show(&Answer {
        document: document(&status),
        names: vec![format!("node/{}", status.node)],
        human: Human::Text(text(&status, context)),
    })?;
    Ok(if status.ready { Exit::DONE } else { Exit::UNREACHABLE })
}

fn text(status: &GetStatusResponse, context: &Context) -> String {
    let mut lines = vec![
        format!("mesh     {}, node {}, generation {}", status.mesh, status.node, status.generation),
        daemon(status),
        capture(status.capture.as_ref()),
        traffic(status),
    ];
    if status.read_only {
        lines.push("state    read-only: the state file was damaged, a copy was kept".to_owned());
    }
    for note in status.capture.iter().flat_map(|capture| &capture.notes) {
        context.detail(|| format!("capture: {note}"));
    }
    lines.extend(problems(&status.problems, context));
    lines.join("\n") + "\n"
}

fn daemon(status: &GetStatusResponse) -> String {
    let started = status.started.and_then(|time| SystemTime::try_from(time).ok());
    let up =
        started.and_then(|started| started.elapsed().ok()).map(number::age).unwrap_or_default();
    let readiness = if status.ready { "" } else { ", not ready" };
    format!(
        "daemon   meshd {}, pid {}, up {up}, {}, {:.1}% CPU, {} workers{readiness}",
        status.version,
        status.pid,
        number::bytes(status.resident_bytes as f64),
        status.cpu * 100.0,
        status.workers,
    )
}

fn capture(capture: Option<&CaptureStatus>) -> String {
    let Some(capture) = capture else {
        return "capture  not armed".to_owned();
    };
    let counted =
        |count: u32, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    let attached = match capture.attachments {
        0 => String::new(),
        count => format!(", {}", counted(count, "attachment")),
    };
    format!(
        "capture  {}, {} scope, {}, {}{attached}; fail-{}",
        capture.backend,
        capture.scope,
        counted(capture.local_endpoints, "local endpoint"),
        counted(capture.runs, "run"),
        capture.fail_mode,
    )
}

fn traffic(status: &GetStatusResponse) -> String {
    let traffic = status.traffic.unwrap_or_default();
    if traffic.success.is_none() {
        return "traffic  none".to_owned();
    }
    format!(
        "traffic  {} req/s, {} ok, p99 {}",
        number::rate(traffic.requests_per_second),
        number::share(traffic.success),
        number::milliseconds(traffic.p99_ms),
    )
}

fn problems(problems: &[Problem], context: &Context) -> Vec<String> {
    if problems.is_empty() {
        return vec!["problems none".to_owned()];
    }
    let mark = context.output.paint().mark(Mark::Warn);
    let mut lines = vec![format!("problems {}", problems.len())];
    for problem in problems {
        lines.push(format!("  {mark} {}: {}", problem.id, problem.summary));
        if !problem.fix.is_empty() {
            lines.push(format!("      fix: {}", problem.fix));
        }
    }
    lines
}

fn document(status: &GetStatusResponse) -> Value {
    let traffic = status.traffic.unwrap_or_default();
    let capture = status.capture.as_ref().map(|capture| {
        json!({
            "backend": capture.backend,
            "scope": capture.scope,
            "programs": capture.programs,
            "runs": capture.runs,
            "attachments": capture.attachments,
            "localEndpoints": capture.local_endpoints,
            "failMode": capture.fail_mode,
            "notes": capture.notes,
        })
    });
    let problem = |problem: &Problem| json!({"id": problem.id, "summary": problem.summary, "fix": problem.fix});
    json!({
        "apiVersion": "mesh/v1",
        "kind": "Status",
        "mesh": status.mesh,
        "node": status.node,
        "trustDomain": status.trust_domain,
        "version": status.version,
        "pid": status.pid,
        "started": status.started.map(|time| time.to_string()),
        "ready": status.ready,
        "readOnly": status.read_only,
        "generation": status.generation,
        "workers": status.workers,
        "residentBytes": status.resident_bytes,
        "cpu": status.cpu,
        "capture": capture,
        "traffic": {"rps": traffic.requests_per_second, "success": traffic.success, "p99Ms": traffic.p99_ms},
        "problems": status.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}
