//! meshd's settings as meshd reads them, and how a few of them are changed in the file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mesh_proto::codes;
use mesh_proto::manifest::json_to_yaml;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::places::{CONFIG, Places};
use crate::error::{Exit, Failure};

/// First line of a settings file that `meshctl install` wrote.
const HEADER: &str = "# Written by meshctl install; every key: meshctl env\n";

/// What `meshd --plan` answers.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Plan {
    pub(crate) version: String,
    settings: BTreeMap<String, Setting>,
    /// `None`: no backend can work here, `why` says why.
    pub(crate) backend: Option<String>,
    pub(crate) why: Option<String>,
    pub(crate) notes: Vec<String>,
    /// Routes, programs and cgroups.
    pub(crate) steps: Vec<String>,
    /// Every rule, as its program reads it.
    pub(crate) rules: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Setting {
    value: String,
}

impl Plan {
    pub(crate) fn setting(&self, key: &str) -> &str {
        self.settings.get(key).map(|setting| setting.value.as_str()).unwrap_or_default()
    }

    pub(crate) fn port(&self, key: &str) -> Option<u16> {
        let value = self.setting(key);
        value.rsplit(':').next()?.parse().ok()
    }

    pub(crate) fn places(&self, prefix: PathBuf) -> Places {
        Places {
            prefix,
            state: self.setting("state_dir").into(),
            socket: self.setting("socket").into(),
            cgroup: self.setting("cgroup").to_owned(),
        }
    }
}

/// Asks `meshd` what it would do with a settings file of this text. Nothing is written.
pub(crate) fn plan(meshd: &Path, text: &str) -> Result<Plan, Failure> {
    let file = in_memory(text)?;
    let mut command = Command::new(meshd);
    command
        .arg("--plan")
        .arg("--config")
        .arg(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .env_remove("MESHD_LOG")
        .stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        Failure::new(&codes::LOCAL, format!("cannot run {}", meshd.display()))
            .why(error.to_string())
            .fix("put meshd beside meshctl, or build both: make build")
    })?;
    if !output.status.success() {
        let report = String::from_utf8_lossy(&output.stderr);
        let exit = output.status.code().and_then(|code| u8::try_from(code).ok());
        return Err(told_by_meshd(&report, Exit(exit.unwrap_or(Exit::FAILED.0))));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| {
        Failure::new(&codes::INCOMPATIBLE, format!("{} is another meshd", meshd.display()))
            .why(error.to_string())
            .fix("put the meshd of this release beside meshctl")
    })
}

fn in_memory(text: &str) -> Result<File, Failure> {
    // Without CLOEXEC: the child opens it by the number it inherits.
    let fd: OwnedFd =
        memfd_create("config.yaml", MFdFlags::empty()).map_err(std::io::Error::from)?;
    let mut file = File::from(fd);
    file.write_all(text.as_bytes())?;
    Ok(file)
}

/// An error of meshd, in its own words: `error: …`, `  why: …`, `  fix: …`, `  code: …`.
pub(crate) fn told_by_meshd(report: &str, exit: Exit) -> Failure {
    let start = report.lines().skip_while(|line| !line.starts_with("error: "));
    let (mut message, mut code) = ("meshd did not start".to_owned(), String::new());
    let mut parts: Vec<(String, String)> = Vec::new();
    for line in start {
        let (label, text) = line.trim_start().split_once(' ').unwrap_or_default();
        match label {
            "error:" => text.clone_into(&mut message),
            "code:" => text.split(' ').next().unwrap_or_default().clone_into(&mut code),
            "why:" | "fix:" => parts.push((label.to_owned(), text.trim().to_owned())),
            _ => {
                let label = parts.last().map(|(label, _)| label.clone()).unwrap_or_default();
                parts.push((label, line.trim().to_owned()));
            }
        }
    }
    let failure = Failure::told(&code, exit, message);
    parts.into_iter().fold(failure, |failure, (label, text)| match label.as_str() {
        "fix:" => failure.fix(text),
        _ => failure.why(text),
    })
}

/// The settings file as it stands; empty where there is none.
pub(crate) fn file() -> String {
    fs::read_to_string(CONFIG).unwrap_or_default()
}

/// Where the settings file says everything is; for when meshd cannot be asked.
pub(crate) fn places() -> Places {
    let settings = parse(&file()).unwrap_or_default();
    let mut places = Places::default();
    let said = |key: &str| settings.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(state) = said("state_dir") {
        places.state = state.into();
    }
    if let Some(socket) = said("socket") {
        places.socket = socket.into();
    }
    if let Some(cgroup) = said("cgroup") {
        cgroup.trim_matches('/').clone_into(&mut places.cgroup);
    }
    places
}

pub(crate) fn is_ours(text: &str) -> bool {
    text.starts_with(HEADER)
}

/// `text` with these keys (`capture.backend`) set; as it is where they already are.
pub(crate) fn with(text: &str, keys: &[(&str, Value)]) -> Result<String, Failure> {
    let mut settings = parse(text)?;
    let before = settings.clone();
    for (key, value) in keys {
        set(&mut settings, key, value.clone());
    }
    if settings == before && !text.is_empty() {
        return Ok(text.to_owned());
    }
    Ok(format!("{HEADER}{}", json_to_yaml(&settings)))
}

fn parse(text: &str) -> Result<Value, Failure> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let parsed: Result<Value, _> = serde_saphyr::from_str(text);
    match parsed {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(not_settings("it is no mapping of keys to values")),
        Err(error) => Err(not_settings(&error.to_string())),
    }
}

fn not_settings(why: &str) -> Failure {
    Failure::new(&codes::INVALID_SETTING, format!("{CONFIG} cannot be read"))
        .why(why)
        .fix(format!("correct {CONFIG}, or move it away"))
}

fn set(settings: &mut Value, path: &str, value: Value) {
    let (key, rest) = match path.split_once('.') {
        Some((key, rest)) => (key, Some(rest)),
        None => (path, None),
    };
    if !settings.is_object() {
        *settings = Value::Object(Map::new());
    }
    let Some(fields) = settings.as_object_mut() else { return };
    match rest {
        Some(rest) => set(fields.entry(key).or_insert(Value::Null), rest, value),
        None => {
            fields.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_laid_over_what_the_file_has() {
        let text = "cgroup: a.slice # mine\ncapture: {backend: nft}\n";
        let same = with(text, &[("capture.backend", json!("nft"))]).unwrap();
        assert_eq!(same, text, "a file that says so already stays as it is");
        let changed = with(text, &[("capture.fail_mode", json!("closed"))]).unwrap();
        assert!(is_ours(&changed));
        let value = parse(&changed).unwrap();
        assert_eq!(value["capture"], json!({"backend": "nft", "fail_mode": "closed"}));
        assert_eq!(value["cgroup"], "a.slice");
    }

    #[test]
    fn meshds_errors_are_passed_on_in_parts() {
        let report = "error: port 15001 is in use\n  why: held by nc\n  fix: stop pid 7\n       or \
                      another port\n  code: MESH1009  (meshctl explain MESH1009)";
        let failure = told_by_meshd(report, Exit(3));
        let lines = failure.lines();
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(failure.is(&codes::PORT_IN_USE));
    }
}
