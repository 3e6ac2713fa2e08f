//! Requests from inside the mesh, by a program that knows nothing of it.
//!
//! curl where there is one; else this program's own client, whose answers the records tell.

use std::collections::BTreeMap;
use std::process::Stdio;

use mesh_proto::codes;
use serde_json::Value;
use tokio::process::Command;

use super::stage::Stage;
use crate::error::Failure;

/// Our own client looks the name up each time, for IPv4 and IPv6: two records more.
const RECORDS_PER_REQUEST: u32 = 3;

/// Our own client tells every request's story, which takes its time.
const OUR_MOST: u32 = 400;

/// What came back: answers per version, and requests without a good one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) by_version: BTreeMap<String, u32>,
    pub(super) lost: u32,
}

impl Answers {
    pub(super) fn total(&self) -> u32 {
        self.by_version.values().sum::<u32>() + self.lost
    }

    pub(super) fn percent(&self, version: &str) -> f64 {
        let count = self.by_version.get(version).copied().unwrap_or_default();
        f64::from(count) * 100.0 / f64::from(self.total().max(1))
    }
}

pub(super) fn has_curl() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("curl").exists())
}

/// This program, talking to the demo's meshd.
pub(super) fn meshctl(stage: &Stage) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env("MESHCTL_SOCKET", stage.socket())
        .env_remove("MESHCTL_OUTPUT")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(command)
}

/// Sends `count` requests for the service's front page, one after the other.
pub(super) async fn send(stage: &Stage, count: u32) -> Result<Answers, Failure> {
    if has_curl() { by_curl(stage, count).await } else { by_us(stage, count.min(OUR_MOST)).await }
}

async fn by_curl(stage: &Stage, count: u32) -> Result<Answers, Failure> {
    let mut command = meshctl(stage)?;
    let url = format!("http://web.mesh/?n=[1-{count}]");
    command.args(["run", "--as", "cli", "--", "curl", "-s", "-w", "%{http_code}\\n", &url]);
    let output = command.stderr(Stdio::inherit()).output().await?;
    Ok(counted(&String::from_utf8_lossy(&output.stdout), count))
}

/// Each answer is a line of JSON, then a line with its status.
fn counted(text: &str, count: u32) -> Answers {
    let mut answers = Answers::default();
    let mut good = 0;
    let mut version = String::new();
    for line in text.lines() {
        if let Ok(Value::Object(body)) = serde_json::from_str(line) {
            version = body.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
        } else if line == "200" {
            *answers.by_version.entry(std::mem::take(&mut version)).or_default() += 1;
            good += 1;
        }
    }
    answers.lost = count.saturating_sub(good);
    answers
}

async fn by_us(stage: &Stage, count: u32) -> Result<Answers, Failure> {
    let samples = count.to_string();
    let mut command = meshctl(stage)?;
    command.args([
        "trace",
        "request",
        "http://web.mesh/",
        "--from",
        "cli",
        "-q",
        "--samples",
        &samples,
    ]);
    if !command.status().await?.success() {
        return Err(Failure::new(&codes::NOT_SENT, "the demo's requests could not be sent"));
    }
    let newest = (count * RECORDS_PER_REQUEST).to_string();
    let mut command = meshctl(stage)?;
    command.args(["trace", "list", "--to", "web", "-o", "json", "--limit", &newest]);
    let output = command.output().await?;
    let records: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let mut answers = Answers::default();
    let items = records.pointer("/items").and_then(Value::as_array).into_iter().flatten();
    let requests = items.filter(|record| record.get("kind").is_some_and(|kind| kind == "http"));
    for record in requests.take(count.try_into().unwrap_or(usize::MAX)) {
        let subset = record.pointer("/endpoint/subset").and_then(Value::as_str);
        let good = record.get("status").and_then(Value::as_u64) == Some(200);
        if let (true, Some(subset)) = (good, subset) {
            *answers.by_version.entry(subset.to_owned()).or_default() += 1;
        }
    }
    answers.lost = count.saturating_sub(answers.by_version.values().sum());
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_good_answer_is_lost() {
        let text = "{\"version\":\"v1\"}\n200\n{\"version\":\"v2\"}\n200\nno answer\n503\n000\n";
        let answers = counted(text, 4);
        assert_eq!(
            answers.by_version,
            BTreeMap::from([("v1".to_owned(), 1), ("v2".to_owned(), 1)])
        );
        assert_eq!(answers.lost, 2);
        assert!((answers.percent("v1") - 25.0).abs() < 0.01);
    }
}
