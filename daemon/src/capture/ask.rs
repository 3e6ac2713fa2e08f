//! What can be asked of capture in force. Its follower, which has the backend, answers.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::netns::Netns;
use super::{CaptureError, Counters, GateId, InForce, failed};
use crate::config;

/// Questions that may wait for each other, and for capture to begin.
const BACKLOG: usize = 16;

#[derive(Debug)]
pub(super) enum Ask {
    Counters(oneshot::Sender<Counters>),
    InForce(oneshot::Sender<InForce>),
    /// Captures in another network namespace too, where meshd listens already.
    Open(GateId, Arc<Netns>, oneshot::Sender<Result<(), CaptureError>>),
    Close(GateId, oneshot::Sender<()>),
    /// Goes by other settings from now on.
    Change(Box<config::Capture>, oneshot::Sender<Result<(), CaptureError>>),
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Asks(mpsc::Sender<Ask>);

impl Asks {
    pub(super) fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (sender, asked) = mpsc::channel(BACKLOG);
        (Self(sender), asked)
    }

    /// `None`: the follower has ended, and its problem is in the status.
    async fn ask<T>(&self, what: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.0.send(what(answer)).await.ok()?;
        answered.await.ok()
    }

    pub(super) async fn counters(&self) -> Counters {
        self.ask(Ask::Counters).await.unwrap_or_default()
    }

    pub(super) async fn in_force(&self) -> InForce {
        self.ask(Ask::InForce).await.unwrap_or_default()
    }

    /// Returns once what is captured in meshd's own namespace is captured in `netns` too.
    ///
    /// # Errors
    /// It cannot be; nothing is left there.
    pub(crate) async fn open(&self, gate: GateId, netns: Arc<Netns>) -> Result<(), CaptureError> {
        let opened = self.ask(|answer| Ask::Open(gate, netns, answer)).await;
        opened.unwrap_or_else(|| Err(failed("capture", io::Error::other("meshd stops"))))
    }

    /// Everything or nothing, without a gap.
    ///
    /// # Errors
    /// It cannot be; capture goes on as it was.
    pub(super) async fn change(&self, config: config::Capture) -> Result<(), CaptureError> {
        let changed = self.ask(|answer| Ask::Change(Box::new(config), answer)).await;
        changed.unwrap_or_else(|| Err(failed("change capture", io::Error::other("meshd stops"))))
    }

    /// Nothing is captured there any more. One that has ended took everything away.
    pub(crate) async fn close(&self, gate: GateId) {
        self.ask(|answer| Ask::Close(gate, answer)).await;
    }
}
