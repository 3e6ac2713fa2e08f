//! Bytes both ways between two sockets until both have ended.
//!
//! Small turns are copied through the scratch buffer (two calls, no pipe); a direction whose read
//! filled the buffer is spliced until it calms down. An end of one side is passed on as an end, a
//! reset as a reset: databases tell them apart.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use super::clock::nanos;
use super::scratch::Inbox;
use super::splice::Pipe;
use super::wheel::Timer;
use super::worker::Worker;
use crate::record::Flag;
use crate::transport::Socket;

/// A read this large means bulk.
const BULK: usize = 16 * 1024;

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) flag: Flag,
    /// Bytes towards the client, and from it.
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// One side: its socket, and bytes that came from it before.
pub(super) struct Side<'a> {
    pub(super) socket: &'a Socket,
    pub(super) early: &'a [u8],
    /// It will send nothing more.
    pub(super) ended: bool,
}

impl<'a> Side<'a> {
    pub(super) fn new(socket: &'a Socket, early: &'a Inbox) -> Self {
        Self { socket, early: early.as_slice(), ended: false }
    }
}

/// Relays until both sides have ended, one fails, or nothing moves for the TCP idle time.
///
/// Where it fails, the other side is marked to be reset when it is closed.
pub(super) async fn relay(
    worker: &Worker,
    client: Side<'_>,
    upstream: Side<'_>,
    timer: &Timer,
) -> Outcome {
    let idle = nanos(worker.config.tcp_idle);
    let mut up = Half::new(worker, &client, upstream.socket);
    let mut down = Half::new(worker, &upstream, client.socket);
    timer.set(worker.clock.now() + idle);
    let mut moved = 0;
    let flag = poll_fn(|cx| {
        let both = (up.poll(cx), down.poll(cx));
        let flag = match both {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Flag::None,
            (Poll::Ready(Err(Lost::Source)), _) | (_, Poll::Ready(Err(Lost::Sink))) => {
                upstream.socket.reset_on_close();
                Flag::DownstreamClosed
            }
            (_, Poll::Ready(Err(Lost::Source))) | (Poll::Ready(Err(Lost::Sink)), _) => {
                client.socket.reset_on_close();
                Flag::UpstreamClosed
            }
            _ => {
                if up.moved + down.moved != moved {
                    moved = up.moved + down.moved;
                    timer.set(worker.clock.now() + idle);
                }
                ready!(timer.poll_expired(cx));
                Flag::StreamIdle
            }
        };
        Poll::Ready(flag)
    })
    .await;
    Outcome { flag, sent: down.moved, received: up.moved }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Source,
    Sink,
}

/// One direction.
struct Half<'a> {
    worker: &'a Worker,
    from: &'a Socket,
    to: &'a Socket,
    unsent: Vec<u8>,
    pipe: Option<Pipe>,
    /// The last turn through the pipe was small.
    calm: bool,
    ended: bool,
    finished: bool,
    moved: u64,
}

impl<'a> Half<'a> {
    fn new(worker: &'a Worker, from: &Side<'a>, to: &'a Socket) -> Self {
        Self {
            worker,
            from: from.socket,
            to,
            unsent: from.early.to_vec(),
            pipe: None,
            calm: false,
            ended: from.ended,
            finished: false,
            moved: from.early.len() as u64,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        while !self.finished {
            ready!(self.poll_flush(cx)).map_err(|_gone| Lost::Sink)?;
            if self.ended {
                self.to.finish();
                self.finished = true;
                break;
            }
            let read = match self.pipe.take() {
                Some(pipe) => ready!(self.poll_splice(cx, pipe)),
                None => ready!(self.poll_copy(cx)),
            };
            let read = read.map_err(|_gone| Lost::Source)?;
            self.ended = read == 0;
            self.moved += read as u64;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(self.to.poll_write(cx, &self.unsent))?;
            self.unsent.drain(..sent);
        }
        if let Some(pipe) = &mut self.pipe {
            while pipe.held() > 0 {
                ready!(self.to.poll_out(cx, || pipe.give_out(self.to)))?;
            }
        }
        if std::mem::take(&mut self.calm) {
            self.worker.pipes.borrow_mut().extend(self.pipe.take());
        }
        Poll::Ready(Ok(()))
    }

    /// Takes a turn through the pipe; a small one is the last.
    fn poll_splice(&mut self, cx: &mut Context<'_>, mut pipe: Pipe) -> Poll<io::Result<usize>> {
        let taken = self.from.poll_in(cx, || pipe.take_in(self.from, usize::MAX));
        self.calm = matches!(taken, Poll::Ready(Ok(taken)) if taken < BULK);
        self.pipe = Some(pipe);
        taken
    }

    /// Takes a turn through the scratch buffer; a large one brings a pipe for the next.
    fn poll_copy(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = self.worker.scratch.borrow_mut();
        let buffer = scratch.space(0);
        let read = ready!(self.from.poll_read(cx, buffer))?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if read > 0 {
            // A failing receiver is noticed when the rest is flushed.
            let sent = self.to.write_now(bytes).unwrap_or(0);
            self.unsent.extend_from_slice(bytes.get(sent..).unwrap_or_default());
        }
        if read >= BULK {
            let spare = self.worker.pipes.borrow_mut().pop();
            self.pipe = spare.or_else(|| Pipe::new().ok());
        }
        Poll::Ready(Ok(read))
    }
}

impl Drop for Half<'_> {
    fn drop(&mut self) {
        // A pipe that still holds bytes of this connection is not used for another.
        if let Some(pipe) = self.pipe.take()
            && pipe.held() == 0
        {
            self.worker.pipes.borrow_mut().push(pipe);
        }
    }
}
