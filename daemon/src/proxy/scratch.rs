//! The worker's one read buffer, and what a connection keeps between two reads.
//!
//! Bytes are read, judged, edited and sent on within one poll, so a buffer per worker is enough:
//! an idle connection holds none.

use std::io;
use std::task::{Context, Poll, ready};

use crate::transport::Socket;

/// Room in front, where an edited head may be longer than the one that came.
const FRONT: usize = 4 * 1024;
const CAPACITY: usize = 64 * 1024;
/// Room behind, for the end of a chunk.
const BACK: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Scratch {
    buffer: Box<[u8]>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; FRONT + CAPACITY + BACK].into() }
    }

    /// What was read, `length` bytes.
    pub(super) fn filled(&mut self, length: usize) -> &mut [u8] {
        self.buffer.get_mut(FRONT..FRONT + length).unwrap_or_default()
    }

    /// `body_len` bytes at `body` with `head` right before them and `tail` right behind, in one
    /// piece; `None` when the head is too long for that.
    pub(super) fn framed(
        &mut self,
        (body, body_len): (usize, usize),
        head: &[u8],
        tail: &[u8],
    ) -> Option<&[u8]> {
        let start = (FRONT + body).checked_sub(head.len())?;
        let end = FRONT + body + body_len;
        self.buffer.get_mut(start..start + head.len())?.copy_from_slice(head);
        self.buffer.get_mut(end..end + tail.len())?.copy_from_slice(tail);
        self.buffer.get(start..end + tail.len())
    }

    /// Room for reading, behind `after` bytes that are there already.
    pub(super) fn space(&mut self, after: usize) -> &mut [u8] {
        self.buffer.get_mut(FRONT + after..FRONT + CAPACITY).unwrap_or_default()
    }
}

/// Bytes that came and could not be dealt with yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// They have not been looked at: worth a look before more is read.
    unseen: bool,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.unseen = false;
    }

    /// The kept bytes deserve another look even though nothing came behind them.
    pub(super) fn look_again(&mut self) {
        self.unseen = !self.bytes.is_empty();
    }

    /// Puts what is kept and newly read at the front of `scratch` and returns how much it is; 0 is
    /// the end of the stream. Nothing is kept then: the caller [keeps](Self::keep) what it cannot
    /// use.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
        scratch: &mut Scratch,
    ) -> Poll<io::Result<usize>> {
        let kept = self.bytes.len();
        if kept > 0 {
            scratch.filled(kept).copy_from_slice(&self.bytes);
        }
        if !self.unseen {
            let read = ready!(socket.poll_read(cx, scratch.space(kept)))?;
            if read == 0 {
                return Poll::Ready(Ok(0));
            }
            self.clear();
            return Poll::Ready(Ok(kept + read));
        }
        self.clear();
        Poll::Ready(Ok(kept))
    }

    /// Bytes that belong to what comes next.
    pub(super) fn keep_unseen(&mut self, rest: &[u8]) {
        self.bytes.extend_from_slice(rest);
        self.unseen = !self.bytes.is_empty();
    }

    /// Bytes that make sense only with more behind them.
    pub(super) fn keep_partial(&mut self, rest: &[u8]) {
        self.bytes.extend_from_slice(rest);
    }
}
