//! Questions to the person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use mesh_proto::codes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::context::Context;
use crate::error::Failure;
use crate::host::process;

pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Whether to go on. Without a terminal only `--yes` says so.
pub(crate) fn proceed(yes: bool, context: &Context) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let declined = |why: &str| {
        Failure::new(&codes::NEEDS_CONFIRMATION, "not confirmed: no changes made")
            .why(why)
            .fix("add --yes")
    };
    if !is_terminal() {
        return Err(declined("there is no terminal to ask at"));
    }
    context.output.prompt("Proceed? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(declined("the answer was no")),
    }
}

/// Whether Enter is pressed within this time.
pub(super) fn still_connected(within: Duration, context: &Context) -> bool {
    let deadline = Instant::now() + within;
    let seconds = within.as_secs_f64().ceil();
    context
        .output
        .prompt(&format!("Still connected? Press Enter to keep (auto-rollback in {seconds}s): "));
    let stdin = io::stdin();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            context.output.prompt("\n");
            return false;
        }
        let mut asked = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut asked, patience) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => {
                let mut line = String::new();
                if stdin.lock().read_line(&mut line).is_ok_and(|length| length > 0) {
                    return true;
                }
                // Nobody is there to press it.
                process::pause(left);
            }
            Err(_) => process::pause(left),
        }
    }
}
