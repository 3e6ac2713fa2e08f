//! `nft` for one transaction.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::child::first_error;
use crate::capture::netns::Site;

const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the kernel whether `text` would load; nothing changes.
pub(super) async fn check(program: &Path, text: &str) -> io::Result<()> {
    run(&Site::OWN, program, &["--check", "--file", "-"], text).await.map(drop)
}

pub(in crate::capture) async fn apply(site: &Site, program: &Path, text: &str) -> io::Result<()> {
    run(site, program, &["--file", "-"], text).await.map(drop)
}

/// What `text` lists.
pub(in crate::capture) async fn list(
    site: &Site,
    program: &Path,
    text: &str,
) -> io::Result<String> {
    run(site, program, &["--file", "-"], text).await
}

async fn run(site: &Site, program: &Path, arguments: &[&str], text: &str) -> io::Result<String> {
    let mut command = Command::from(site.command(program));
    command.args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn()?;
    if let Some(mut input) = process.stdin.take() {
        input.write_all(text.as_bytes()).await?;
    }
    let output = timeout(PATIENCE, process.wait_with_output()).await;
    let output = output.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(io::Error::other(first_error(&String::from_utf8_lossy(&output.stderr))))
}
