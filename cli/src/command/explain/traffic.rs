//! What would become of a process's traffic, and which rule says so.

use std::net::SocketAddr;

use mesh_proto::v1::{ExplainTrafficRequest, ExplainTrafficResponse};
use serde_json::json;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{Answer, Human};

pub(super) async fn run(pid: u32, to: &str, context: &Context) -> Result<Exit, Failure> {
    let (transport, address) = place(to)?;
    let client = context.client().await?;
    let request = ExplainTrafficRequest {
        pid,
        transport: transport.to_owned(),
        address: address.to_string(),
    };
    let verdict = client.call(client.status().explain_traffic(request)).await?;
    context.output.show(&Answer {
        document: json!({
            "apiVersion": "mesh/v1",
            "kind": "TrafficVerdict",
            "pid": pid,
            "to": format!("{transport}:{address}"),
            "fate": verdict.fate,
            "rule": verdict.rule,
            "reason": verdict.reason,
            "workload": Some(&verdict.workload).filter(|name| !name.is_empty()),
        }),
        names: vec![verdict.rule.clone()],
        human: Human::Text(text(pid, &format!("{transport}:{address}"), &verdict)),
    })?;
    Ok(Exit::DONE)
}

fn text(pid: u32, to: &str, verdict: &ExplainTrafficResponse) -> String {
    let fate = match verdict.fate.as_str() {
        "proxy" => "goes through meshd",
        "endpoint" => "goes to an endpoint the kernel picks",
        "dns" => "is answered by meshd",
        "refused" => "is refused",
        _ => "goes directly",
    };
    let workload = if verdict.workload.is_empty() { "none" } else { &verdict.workload };
    format!(
        "pid {pid} -> {to} {fate}\n  rule:     {}: {}\n  workload: {workload}\n",
        verdict.rule, verdict.reason
    )
}

fn place(text: &str) -> Result<(&str, SocketAddr), Failure> {
    let parsed = text.split_once(':').and_then(|(transport, address)| {
        let known = matches!(transport, "tcp" | "udp");
        address.parse().ok().filter(|_| known).map(|address| (transport, address))
    });
    parsed.ok_or_else(|| {
        Failure::usage(format!("--to {text}: not a place"))
            .fix("write --to tcp:10.0.0.7:80 or --to udp:[fd00::7]:53")
    })
}
