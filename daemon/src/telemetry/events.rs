//! What happened in the mesh that an operator may want to know: the newest, kept in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::broadcast;

/// Events kept.
const KEPT: usize = 1000;
/// How far a follower may fall behind before it misses some.
const FOLLOWER_LAG: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Info,
    Warning,
    Error,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) time: SystemTime,
    /// "endpoint/unhealthy", "capture/armed"…
    pub(crate) kind: &'static str,
    /// What it is about: "service/web 127.0.0.1:8080".
    pub(crate) subject: String,
    pub(crate) message: String,
    pub(crate) severity: Severity,
}

/// Clones share the same events.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    kept: Arc<Mutex<VecDeque<Event>>>,
    news: broadcast::Sender<Event>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { kept: Arc::default(), news: broadcast::Sender::new(FOLLOWER_LAG) }
    }

    /// Keeps the event, tells followers, and logs it.
    pub(crate) fn emit(
        &self,
        kind: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        severity: Severity,
    ) {
        let (subject, message) = (subject.into(), message.into());
        match severity {
            Severity::Info => tracing::info!(event = kind, subject, "{message}"),
            Severity::Warning => tracing::warn!(event = kind, subject, "{message}"),
            Severity::Error => tracing::error!(event = kind, subject, "{message}"),
        }
        let event = Event { time: SystemTime::now(), kind, subject, message, severity };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Without a follower nobody needs to hear of it.
        drop(self.news.send(event));
    }

    /// The kept events, oldest first, and what comes after exactly those.
    pub(crate) fn follow(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.iter().cloned().collect(), self.news.subscribe())
    }
}

impl Severity {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
