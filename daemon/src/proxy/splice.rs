//! Bytes from one socket to another through a pipe, without passing through our memory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};

/// What a pipe holds, and one call moves at most.
const PIPE_BYTES: usize = 1 << 20;

/// A kernel buffer that is empty between connections.
#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl Pipe {
    pub(super) fn new() -> io::Result<Self> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // A process over its pipe budget gets a smaller one, which works as well.
        let _smaller = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES as i32));
        Ok(Self { read, write, held: 0 })
    }

    /// Bytes taken in and not given out yet.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Takes what `from` has ready; 0 is its end.
    pub(super) fn take_in(&mut self, from: &impl AsFd, at_most: usize) -> io::Result<usize> {
        let taken = call(from, &self.write, at_most.min(PIPE_BYTES))?;
        self.held += taken;
        Ok(taken)
    }

    /// Gives `to` what it takes.
    pub(super) fn give_out(&mut self, to: &impl AsFd) -> io::Result<usize> {
        let given = call(&self.read, to, self.held)?;
        self.held = self.held.saturating_sub(given);
        Ok(given)
    }
}

fn call(from: &impl AsFd, to: &impl AsFd, length: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    Ok(splice(from, None, to, None, length, flags)?)
}
