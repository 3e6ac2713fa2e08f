//! Who takes an installation back when the installing process dies before it was confirmed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

use mesh_proto::codes;
use nix::fcntl::OFlag;
use nix::libc;
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};

use super::execute::Rollback;
use crate::error::Failure;
use crate::host::process;

/// An abstract socket: the kernel lets go of it with the last process that holds it.
const NAME: &str = "meshctl/install";
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// One installation or removal at a time.
pub(crate) struct Lock {
    _held: UnixListener,
}

impl Lock {
    /// Waits for another one to end, such as a rollback in the background.
    pub(crate) fn take() -> Result<Self, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let name = SocketAddr::from_abstract_name(NAME)?;
        loop {
            match UnixListener::bind_addr(&name) {
                Ok(held) => return Ok(Self { _held: held }),
                Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
                    return Err(error.into());
                }
                Err(_in_use) if Instant::now() < deadline => process::pause(PAUSE),
                Err(_in_use) => {
                    let message = "another meshctl install or uninstall is running";
                    return Err(Failure::new(&codes::LOCAL, message)
                        .why(format!("it did not end within {PATIENCE:?}"))
                        .fix("wait for it, or end it"));
                }
            }
        }
    }
}

/// The process standing by. It acts once the other end of its pipe is gone without a word.
pub(super) struct Guard {
    word: File,
}

impl Guard {
    pub(super) fn stand_by(rollback: &Rollback) -> Result<Self, Failure> {
        let (ear, word) = pipe2(OFlag::O_CLOEXEC).map_err(std::io::Error::from)?;
        // SAFETY: no other thread runs: no runtime is alive here and nothing else starts any.
        match unsafe { fork() }.map_err(std::io::Error::from)? {
            ForkResult::Parent { .. } => Ok(Self { word: File::from(word) }),
            ForkResult::Child => {
                drop(word);
                watch(File::from(ear), rollback);
                // SAFETY: ends this process only; nothing of the parent's is flushed twice.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// All is well, or was taken back already.
    pub(super) fn release(mut self) {
        // A guard that is gone needs no word.
        drop(self.word.write_all(b"k"));
    }
}

fn watch(mut ear: File, rollback: &Rollback) {
    // A session that hangs up does not take us with it.
    setsid().ok();
    detach().ok();
    let mut word = [0; 1];
    if ear.read(&mut word).is_ok_and(|length| length == 0) {
        rollback.roll_back();
    }
}

fn detach() -> std::io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let null = OwnedFd::from(null);
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}
