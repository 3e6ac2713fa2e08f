//! The user's own meshd: found, or started for the run and ending with it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use mesh_proto::codes;
use mesh_proto::v1::{StartRunRequest, StartRunResponse};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{ForkResult, fork, geteuid, setsid};

use crate::client::Client;
use crate::error::Failure;
use crate::host::program;
use crate::places;

const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(10);

/// Asks the daemon at `socket` for a run; starts it where it is not there, or just ending.
pub(super) async fn start(
    request: StartRunRequest,
    socket: &Path,
    limit: Option<Duration>,
) -> Result<StartRunResponse, Failure> {
    let deadline = Instant::now() + PATIENCE;
    let mut started: Option<Started> = None;
    loop {
        let failure = match ask(request.clone(), socket, limit).await {
            Ok(run) => return Ok(run),
            Err(failure) if is_absence(&failure) => failure,
            Err(failure) => return Err(failure),
        };
        let Some(daemon) = &mut started else {
            started = Some(Started::launch(socket)?);
            continue;
        };
        let has_ended = daemon.has_ended();
        if has_ended && (Instant::now() > deadline || !daemon.met_another()) {
            return Err(daemon.failure());
        }
        if Instant::now() > deadline {
            return Err(failure);
        }
        if has_ended {
            started = None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(
    request: StartRunRequest,
    socket: &Path,
    limit: Option<Duration>,
) -> Result<StartRunResponse, Failure> {
    let client = Client::connect(socket, limit).await?;
    client.call(client.runs().start_run(request)).await
}

fn is_absence(failure: &Failure) -> bool {
    failure.is(&codes::NOT_RUNNING) || failure.is(&codes::CONNECTION_LOST)
}

/// A daemon on its way.
struct Started {
    log: PathBuf,
    /// Its standard input, which it does not read: broken once it has ended.
    life: ChildStdin,
}

impl Started {
    fn launch(socket: &Path) -> Result<Self, Failure> {
        let folder = socket.parent().unwrap_or(Path::new("/"));
        private(folder)?;
        let log_path = folder.join("meshd.log");
        let log = File::options().create(true).append(true).open(&log_path)?;
        log.set_len(0)?;
        let program = program::beside_us("meshd");
        let mut command = Command::new(&program);
        command
            .args(["--backend", "netns", "--ends-with-runs", "--log-format", "text"])
            .arg("--socket")
            .arg(socket)
            .arg("--state-dir")
            .arg(places::own_state())
            .arg("--admin")
            .arg(format!("unix:{}", folder.join("admin.sock").display()))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        // SAFETY: only async-signal-safe calls between fork and exec; nothing else runs here.
        unsafe { command.pre_exec(let_go) };
        let missing = |error: io::Error| {
            Failure::new(&codes::LOCAL, format!("cannot start {}", program.display()))
                .why(error.to_string())
                .fix("install meshd beside meshctl: ./install.sh")
        };
        let mut child = command.spawn().map_err(missing)?;
        let life = child.stdin.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        // What we started has made the daemon and ended.
        child.wait()?;
        Ok(Self { log: log_path, life })
    }

    fn has_ended(&self) -> bool {
        let mut pipe = [PollFd::new(self.life.as_fd(), PollFlags::empty())];
        poll(&mut pipe, PollTimeout::ZERO).is_ok_and(|broken| broken > 0)
    }

    /// It ended because another one has the state: that will answer in a moment, or is about to
    /// end with its last run.
    fn met_another(&self) -> bool {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.contains(codes::STATE_IN_USE.code)
    }

    fn failure(&self) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let said = lines.iter().position(|line| line.starts_with("error: "));
        let from = said.unwrap_or(lines.len().saturating_sub(3));
        let failure = Failure::new(&codes::NOT_READY, "your own meshd did not start");
        let lines = lines.iter().skip(from).map(|line| line.trim());
        lines.fold(failure, Failure::why).fix(format!("less {}", self.log.display()))
    }
}

/// The daemon belongs to no terminal, and is no child of what this process becomes.
fn let_go() -> io::Result<()> {
    setsid()?;
    // SAFETY: the child only execs, the parent only ends.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(()),
        // SAFETY: ends this process without running anything of its parent's.
        ForkResult::Parent { .. } => unsafe { nix::libc::_exit(0) },
    }
}

/// Makes the folder for this user alone, and refuses one that others could have filled.
fn private(folder: &Path) -> Result<(), Failure> {
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let found = fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let message = format!("{} cannot hold your meshd's sockets", folder.display());
    Err(Failure::new(&codes::LOCAL, message)
        .why("it is not a folder that belongs to you and only you may write to")
        .fix("set XDG_RUNTIME_DIR to such a folder"))
}
