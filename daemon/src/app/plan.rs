//! What a start with these settings would do, told without doing it.

use serde_json::{Map, Value, json};

use super::{StartError, control_runtime};
use crate::capture;
use crate::config::Config;

/// The settings with their origins and everything capture would put on the host, as JSON.
///
/// A backend that cannot work is part of the answer, not an error: `backend` is then `null` and
/// `why` says what is missing.
///
/// # Errors
/// The runtime could not be started.
pub fn plan(config: &Config) -> Result<String, StartError> {
    let preview = control_runtime()?.block_on(capture::preview(&config.capture));
    let settings: Map<String, Value> = config
        .origins
        .iter()
        .map(|(key, value, origin)| (key.clone(), json!({"value": value, "origin": origin})))
        .collect();
    let capture::Preview { backend, why, notes, steps, rules } = preview;
    let plan = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "settings": settings,
        "backend": backend,
        "why": why,
        "notes": notes,
        "steps": steps,
        "rules": rules,
    });
    Ok(format!("{plan:#}\n"))
}
