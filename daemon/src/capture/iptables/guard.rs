//! Lets traffic flow again when meshd dies or hangs: a process of its own that hears a byte
//! several times a second, and takes the jumps out when none comes.
//!
//! Rules of iptables belong to nobody, so nothing else would ever remove them.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ruleset::CAPTURING;
use super::tool::{self, Variant};
use crate::capture::netns::Site;
use crate::capture::routes::Family;

/// Silence after which meshd counts as gone; removing the jumps takes the rest of a second.
const LEASE: Duration = Duration::from_millis(600);
const BEATS: u32 = 6;
/// Says that meshd removes the rules itself.
const RELEASE: u8 = b'.';

/// The daemon's end: beats until released or dropped.
#[derive(Debug)]
pub(super) struct Guard {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    gone: Arc<AtomicBool>,
}

impl Guard {
    pub(super) fn start(variant: Variant, site: &Site) -> io::Result<Self> {
        let mut command = site.command("/proc/self/exe");
        command.args(["--guard", variant.program(Family::V4)]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Signals of the terminal are for meshd alone.
        command.process_group(0);
        let mut process = command.spawn()?;
        let (stop, stopped) = channel::<()>();
        let gone = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&gone);
        let thread = thread::Builder::new().name("guard".to_owned()).spawn(move || {
            beat(&mut process, &stopped);
            ended.store(true, Ordering::Relaxed);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread), gone })
    }

    /// It was killed, or it let go because meshd hung.
    pub(super) fn has_ended(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// Ends the process; the jumps stay.
impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only panics if the standard library does.
            drop(thread.join());
        }
    }
}

fn beat(process: &mut Child, stopped: &std::sync::mpsc::Receiver<()>) {
    if let Some(mut pipe) = process.stdin.take() {
        loop {
            if pipe.write_all(b"!").is_err() {
                break;
            }
            if stopped.recv_timeout(LEASE / BEATS) != Err(RecvTimeoutError::Timeout) {
                // A guard that is gone needs no word.
                drop(pipe.write_all(&[RELEASE]));
                break;
            }
        }
    }
    drop(process.wait());
}

/// The process: `meshd --guard PROGRAM`.
///
/// # Errors
/// `program` is none of ours.
pub(crate) fn watch(program: &str) -> io::Result<()> {
    let variant = Variant::from_program(program).ok_or(io::ErrorKind::InvalidInput)?;
    loop {
        match hear() {
            Heard::Beat => {}
            Heard::Release => return Ok(()),
            Heard::Nothing => break,
        }
    }
    for chains in &CAPTURING {
        tool::disarm(variant, chains);
    }
    Ok(())
}

enum Heard {
    Beat,
    Release,
    /// Nothing in time, or never again.
    Nothing,
}

fn hear() -> Heard {
    let input = io::stdin();
    let mut awaited = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(LEASE).unwrap_or(PollTimeout::ZERO);
    match poll(&mut awaited, patience) {
        Ok(1..) => {}
        Ok(_silence) => return Heard::Nothing,
        Err(_interrupted) => return Heard::Beat,
    }
    let mut bytes = [0; 64];
    match nix::unistd::read(input.as_fd(), &mut bytes) {
        Ok(0) | Err(_) => Heard::Nothing,
        Ok(length) if bytes.get(..length).is_some_and(|bytes| bytes.contains(&RELEASE)) => {
            Heard::Release
        }
        Ok(_) => Heard::Beat,
    }
}
