//! What was installed proves itself: `meshctl check` from outside, as a user would run it.

use std::process::{Command, Stdio};
use std::time::Instant;

use mesh_proto::codes;
use serde_json::Value;

use super::{Survey, done};
use crate::context::Context;
use crate::error::Failure;

/// Probes capture; the first check that fails is the reason.
pub(super) fn run(survey: &Survey, context: &Context) -> Result<(), Failure> {
    if survey.plan.backend.as_deref() == Some("none") {
        return Ok(());
    }
    let since = Instant::now();
    let mut command = Command::new(std::env::current_exe()?);
    // A process of its own: it moves itself into a run scope.
    command
        .args(["check", "--category", "capture", "-o", "json", "--socket"])
        .arg(&survey.places.socket)
        .stdin(Stdio::null());
    let output = command.output()?;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let items = report.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |item: &Value, key: &str| {
        item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if let Some(failed) = items.iter().find(|item| text(item, "status") == "fail") {
        let message = format!("self-test: {} {}", text(failed, "id"), text(failed, "summary"));
        let failure = Failure::new(&codes::CAPTURE_FAILED, message).why(text(failed, "why"));
        return Err(failure.fix(text(failed, "fix")));
    }
    if items.is_empty() {
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let failure =
            Failure::new(&codes::CAPTURE_FAILED, "self-test: capture could not be probed");
        return Err(failure.why(complaint));
    }
    let probed: Vec<String> = items
        .iter()
        .filter(|item| text(item, "status") == "ok")
        .filter_map(|item| text(item, "id").strip_prefix("capture/").map(str::to_owned))
        .filter(|name| ["tcp4", "tcp6", "udp4", "udp6", "dns"].contains(&name.as_str()))
        .collect();
    done(context, &format!("self-test: {} intercepted", probed.join(" ")), since);
    Ok(())
}
