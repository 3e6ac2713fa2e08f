//! One direction of a message: from the socket it comes from to the one it goes to.
//!
//! Nothing is read while something is still unsent, so a slow reader slows the writer down and
//! no buffer grows beyond one read.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::task::{Context, Poll, ready};

use super::body::Body;
use super::chunk::BadChunk;
use crate::proxy::scratch::{Inbox, Scratch};
use crate::proxy::splice::Pipe;
use crate::transport::Socket;

/// Below this, copying costs no more than the pipe's calls.
const SPLICE_FROM: u64 = 256 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) body: Body,
    /// What came and was not used yet.
    pub(super) inbox: Inbox,
    unsent: Vec<u8>,
    sent_of_unsent: usize,
    /// Carries the bulk of a long body.
    pipe: Option<Pipe>,
    /// A body until close that goes on in chunks.
    pub(super) reframe: bool,
    /// Body bytes passed on.
    pub(super) moved: u64,
}

/// From where to where.
pub(super) struct Way<'a> {
    pub(super) from: &'a Socket,
    pub(super) to: &'a Socket,
    /// The worker's spare ones.
    pub(super) pipes: &'a RefCell<Vec<Pipe>>,
}

/// Why a body did not pass whole.
#[derive(Debug)]
pub(super) enum Broken {
    /// Its sender closed, or reset, before the end.
    Source,
    /// Its receiver takes no more.
    Sink,
    Framing(&'static str),
}

impl Flow {
    /// Back to nothing, keeping the memory.
    pub(super) fn reset(&mut self) {
        self.body = Body::Done;
        self.inbox.clear();
        self.forget_unsent();
        // It may still hold bytes of this message.
        self.pipe = None;
        self.reframe = false;
        self.moved = 0;
    }

    pub(super) fn forget_unsent(&mut self) {
        self.unsent.clear();
        self.sent_of_unsent = 0;
    }

    /// The whole message was handed to the kernel.
    pub(super) fn is_done(&self) -> bool {
        self.body.is_done()
            && self.unsent.is_empty()
            && self.pipe.as_ref().is_none_or(|pipe| pipe.held() == 0)
    }

    /// To be sent before anything that is read from now on.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Sends at once what the kernel takes and queues the rest.
    pub(super) fn send(&mut self, to: &Socket, bytes: &[u8]) -> io::Result<()> {
        let sent = if self.unsent.is_empty() { to.write_now(bytes)? } else { 0 };
        self.unsent.extend_from_slice(bytes.get(sent..).unwrap_or_default());
        Ok(())
    }

    /// Passes the part of the body that was read with its head: `length` bytes, the head taking
    /// the first `head_len`. In its place goes `head`; all leaves in one write. Returns where in
    /// `scratch` the body part lies and how long it is, for a second try.
    pub(super) fn start(
        &mut self,
        scratch: &mut Scratch,
        (length, head_len): (usize, usize),
    ) -> Result<(usize, usize), BadChunk> {
        let bytes = scratch.filled(length).get_mut(head_len..).unwrap_or_default();
        let passed = self.body.pass(bytes)?;
        self.moved += passed.kept as u64;
        let rest = bytes.get(passed.consumed..).unwrap_or_default();
        if self.body.is_done() {
            self.inbox.keep_unseen(rest);
        } else {
            self.inbox.keep_partial(rest);
        }
        Ok((head_len, passed.kept))
    }

    /// Moves the body on until it is whole and sent, or nothing moves.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        way: &Way<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            ready!(self.poll_flush(cx, way.to)).map_err(|_gone| Broken::Sink)?;
            if self.body.is_done() {
                way.pipes.borrow_mut().extend(self.pipe.take());
                return Poll::Ready(Ok(()));
            }
            if self.pipe.is_none() && self.is_bulk() {
                self.pipe = way.pipes.borrow_mut().pop().or_else(|| Pipe::new().ok());
            }
            let moved = match self.pipe.take() {
                Some(pipe) => self.poll_splice(cx, pipe, way),
                None => self.poll_copy(cx, scratch, way),
            };
            ready!(moved)?;
        }
    }

    /// So much is still to come, and goes on as it is, that a pipe pays.
    fn is_bulk(&self) -> bool {
        self.inbox.is_empty() && self.body.plain_remaining().is_some_and(|left| left >= SPLICE_FROM)
    }

    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        mut pipe: Pipe,
        way: &Way<'_>,
    ) -> Poll<Result<(), Broken>> {
        let left = self.body.plain_remaining().unwrap_or(0);
        let at_most = usize::try_from(left).unwrap_or(usize::MAX);
        let taken = way.from.poll_in(cx, || pipe.take_in(way.from, at_most));
        self.pipe = Some(pipe);
        match ready!(taken) {
            Ok(taken) if taken > 0 => {
                self.body.advance(taken as u64);
                self.moved += taken as u64;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err(Broken::Source)),
        }
    }

    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        way: &Way<'_>,
    ) -> Poll<Result<(), Broken>> {
        let length = match ready!(self.inbox.poll_fill(cx, way.from, scratch)) {
            Ok(0) if matches!(self.body, Body::UntilClose) => {
                self.body = Body::Done;
                if self.reframe {
                    self.queue(b"0\r\n\r\n");
                }
                return Poll::Ready(Ok(()));
            }
            Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Source)),
            Ok(length) => length,
        };
        let (_, kept) =
            self.start(scratch, (length, 0)).map_err(|BadChunk(why)| Broken::Framing(why))?;
        let sent = self.send_body(scratch, (0, kept), &[], way.to);
        Poll::Ready(sent.map_err(|_gone| Broken::Sink))
    }

    /// Sends `head` and a part of the body, the latter as a chunk where it is reframed.
    pub(super) fn send_body(
        &mut self,
        scratch: &mut Scratch,
        (at, length): (usize, usize),
        head: &[u8],
        to: &Socket,
    ) -> io::Result<()> {
        if self.reframe && length > 0 {
            let mut size = [0; 18];
            let mut rest = size.as_mut_slice();
            write!(rest, "{length:x}\r\n")?;
            let unused = rest.len();
            let size = size.get(..size.len() - unused).unwrap_or_default();
            if !head.is_empty() {
                self.send(to, head)?;
            }
            let chunk = scratch.framed((at, length), size, b"\r\n");
            return self.send(to, chunk.unwrap_or_default());
        }
        if head.is_empty() && length == 0 {
            return Ok(());
        }
        match scratch.framed((at, length), head, b"") {
            Some(all) => self.send(to, all),
            None => {
                self.send(to, head)?;
                let filled = scratch.filled(at + length);
                self.send(to, filled.get(at..).unwrap_or_default())
            }
        }
    }

    /// Sends what is still unsent.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, to: &Socket) -> Poll<io::Result<()>> {
        while let Some(rest) = self.unsent.get(self.sent_of_unsent..).filter(|r| !r.is_empty()) {
            self.sent_of_unsent += ready!(to.poll_write(cx, rest))?;
        }
        self.forget_unsent();
        if let Some(pipe) = &mut self.pipe {
            while pipe.held() > 0 {
                ready!(to.poll_out(cx, || pipe.give_out(to)))?;
            }
        }
        Poll::Ready(Ok(()))
    }
}
