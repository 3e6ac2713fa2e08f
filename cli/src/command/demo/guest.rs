//! The demo without root: the same program again, as root of namespaces of this user's own.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use super::stage;
use crate::command::run::namespace;
use crate::context::block_on;
use crate::error::{Exit, Failure};

/// Set for the program inside.
const INSIDE: &str = "MESHCTL_DEMO_INSIDE";

/// This process is the one inside.
pub(super) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Plays in namespaces of its own; returns the tag of all of it, and how it ended.
pub(super) fn play() -> (String, Result<Exit, Failure>) {
    match start() {
        Ok(child) => (stage::tag_of(child.id()), wait_for(child)),
        Err(failure) => (stage::tag_of(std::process::id()), Err(failure)),
    }
}

fn start() -> Result<Child, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(INSIDE, "1");
    // SAFETY: this process has one thread, so whatever its child does before exec is sound.
    unsafe { command.pre_exec(|| namespace::isolate(0, 0).map_err(io::Error::from)) };
    command.spawn().map_err(|error| {
        let reason = Errno::from_raw(error.raw_os_error().unwrap_or_default());
        namespace::forbidden(reason).fix("sudo meshctl demo")
    })
}

fn wait_for(child: Child) -> Result<Exit, Failure> {
    let ended = block_on(watched(child))?;
    Ok(ended.code().and_then(|code| u8::try_from(code).ok()).map_or(Exit::INTERRUPTED, Exit))
}

/// Ctrl-C reaches the child by itself; other signals are passed on. The child cleans up.
async fn watched(mut child: Child) -> Result<ExitStatus, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut ended = signal(SignalKind::child())?;
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        tokio::select! {
            _ = ended.recv() => {}
            _ = interrupt.recv() => {}
            // Ended already: the next turn notices.
            _ = terminate.recv() => drop(kill(pid, Signal::SIGTERM)),
        }
    }
}
