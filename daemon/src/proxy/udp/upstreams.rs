//! Which sessions' endpoints have sent something: an epoll beside the runtime's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::unix::AsyncFd;

use crate::transport::watch;

/// Sessions per look.
pub(super) const MOST: usize = 64;

/// An epoll that the runtime can watch.
#[derive(Debug)]
struct Inner(Epoll);

impl AsRawFd for Inner {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl From<OwnedFd> for Inner {
    fn from(epoll: OwnedFd) -> Self {
        Self(Epoll(epoll))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Upstreams {
    epoll: AsyncFd<Inner>,
    events: [EpollEvent; MOST],
}

impl Upstreams {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll: watch(Inner(epoll))?, events: [EpollEvent::empty(); MOST] })
    }

    /// Watches the socket of session `number`; closing it ends that.
    pub(super) fn watch(&self, socket: impl AsFd, number: usize) -> io::Result<()> {
        // Told once per arrival: whoever is told takes everything.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        Ok(self.epoll.get_ref().0.add(socket, EpollEvent::new(flags, number as u64))?)
    }

    /// How many sessions have something; their numbers are read with [`Self::number`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> usize {
        let Poll::Ready(Ok(mut guard)) = self.epoll.poll_read_ready(cx) else { return 0 };
        let count = self.epoll.get_ref().0.wait(&mut self.events, EpollTimeout::ZERO).unwrap_or(0);
        if count < MOST {
            guard.clear_ready();
        }
        count
    }

    pub(super) fn number(&self, event: usize) -> usize {
        self.events.get(event).map_or(usize::MAX, |event| event.data() as usize)
    }
}
