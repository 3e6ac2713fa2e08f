//! One daemon per state directory, cgroup and network namespace.
//!
//! The kernel lets go of all three locks with the process, so a crash leaves none behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use tokio::time::sleep;

use super::{CaptureError, cgroup, process};
use crate::config;

/// An abstract socket: its name belongs to the network namespace, and it tells its owner's pid.
const NETNS_NAME: &str = "meshd/capture";
const PID_NOTE: &str = "user.meshd.pid";

/// Held for the daemon's life.
#[derive(Debug)]
pub(crate) struct Claim {
    _state: Flock<File>,
    /// `None` where nothing of the host is captured.
    _netns: Option<UnixListener>,
    /// `None` where there are no cgroups, or none are needed.
    runs: Option<ClaimedCgroup>,
}

#[derive(Debug)]
struct ClaimedCgroup {
    path: PathBuf,
    lock: Option<Flock<File>>,
}

impl Claim {
    /// To be taken before anything is opened or changed.
    ///
    /// # Errors
    /// [`CaptureError::Taken`] names what another daemon has, and its pid.
    pub(crate) async fn take(
        state_dir: &Path,
        config: &config::Capture,
    ) -> Result<Self, CaptureError> {
        // A program a killed daemon was just starting keeps its locks until it is another program.
        const ATTEMPTS: u32 = 50;
        const STEP: Duration = Duration::from_millis(20);
        for _ in 1..ATTEMPTS {
            match Self::try_take(state_dir, config) {
                Err(CaptureError::Taken { pid, .. }) if !process::exists(pid) => sleep(STEP).await,
                taken => return taken,
            }
        }
        Self::try_take(state_dir, config)
    }

    fn try_take(state_dir: &Path, config: &config::Capture) -> Result<Self, CaptureError> {
        let state = claim_state_dir(state_dir)?;
        if config.backend == config::BackendChoice::Netns {
            return Ok(Self { _state: state, _netns: None, runs: None });
        }
        let netns = Some(claim_netns()?);
        let runs = match cgroup::Mount::find() {
            Ok(mount) => Some(claim_cgroup(mount.path(&config.cgroup))?),
            Err(_no_cgroups) => None,
        };
        Ok(Self { _state: state, _netns: netns, runs })
    }
}

/// The cgroup was made for this daemon; with runs in it, it stays.
impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(runs) = &mut self.runs {
            runs.lock = None;
            if let Err(error) = fs::remove_dir(&runs.path) {
                tracing::debug!(%error, cgroup = %runs.path.display(), "cgroup stays");
            }
        }
    }
}

fn claim_state_dir(state_dir: &Path) -> Result<Flock<File>, CaptureError> {
    let failed = |source| failed("lock the state directory", source);
    fs::create_dir_all(state_dir).map_err(failed)?;
    let path = state_dir.join("meshd.pid");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path);
    match Flock::lock(file.map_err(failed)?, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            write_pid(&mut lock).map_err(failed)?;
            Ok(lock)
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(failed)?;
            let pid = text.trim().parse().unwrap_or(0);
            Err(taken(format!("the state directory {}", state_dir.display()), pid))
        }
        Err((_, error)) => Err(failed(error.into())),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn claim_netns() -> Result<UnixListener, CaptureError> {
    let failed = |source| failed("claim the network namespace", source);
    let name = SocketAddr::from_abstract_name(NETNS_NAME).map_err(failed)?;
    match UnixListener::bind_addr(&name) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let other = UnixStream::connect_addr(&name).map_err(failed)?;
            let owner =
                getsockopt(&other, PeerCredentials).map_err(|error| failed(error.into()))?;
            let pid = u32::try_from(owner.pid()).unwrap_or(0);
            Err(taken("this network namespace".to_owned(), pid))
        }
        Err(error) => Err(failed(error)),
    }
}

fn claim_cgroup(path: PathBuf) -> Result<ClaimedCgroup, CaptureError> {
    let failed = |source| failed("claim the cgroup", source);
    fs::create_dir_all(&path).map_err(failed)?;
    let directory = File::open(&path).map_err(failed)?;
    match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => {
            let pid = std::process::id().to_string();
            cgroup::set_note(&path, PID_NOTE, pid.as_bytes()).map_err(failed)?;
            Ok(ClaimedCgroup { path, lock: Some(lock) })
        }
        Err((_, Errno::EWOULDBLOCK)) => {
            let pid = cgroup::note(&path, PID_NOTE).unwrap_or_default();
            let pid = String::from_utf8_lossy(&pid).parse().unwrap_or(0);
            Err(taken(format!("the cgroup {}", path.display()), pid))
        }
        Err((_, error)) => Err(failed(error.into())),
    }
}

fn taken(what: String, pid: u32) -> CaptureError {
    CaptureError::Taken { what, pid }
}

fn failed(step: &str, source: io::Error) -> CaptureError {
    CaptureError::Install { step: step.to_owned(), source }
}
