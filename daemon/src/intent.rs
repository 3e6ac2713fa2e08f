//! The durable log of every change people and this node made, one numbered [`Delta`] each.
//!
//! The log knows nothing of kinds: it keeps canonical text under a key, so what was accepted is
//! what is read back, byte for byte. Values of [`Domain::Node`] are this node's own word
//! (`register`); they share the log so that one history and one undo cover both, and carry their
//! domain so that they can leave it when the mesh's intent lives on another machine.

#[cfg(test)]
mod contract;
mod delta;
mod sqlite;
mod state;

use std::io;
use std::path::PathBuf;

pub(crate) use delta::{Author, Delta, Domain, Entry, Key, Op};
pub(crate) use sqlite::Sqlite;
pub(crate) use state::{Root, State};

/// Where a log stands: its newest revision and the hash of the state after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// 0 before the first change.
    pub(crate) revision: u64,
    pub(crate) root: Root,
}

/// A log of deltas. Calls may block on the disk.
pub(crate) trait IntentStore: Send {
    fn head(&self) -> Head;

    /// Appends `delta`, durable before `Ok`; on `Err` the log is as it was.
    fn commit(&mut self, expect: Head, delta: Delta) -> Result<Head, CommitError>;

    /// Every kept entry after revision `from`, oldest first.
    fn deltas(&self, from: u64) -> Result<Vec<Entry>, ReadError>;

    /// The state at the head.
    fn snapshot(&self) -> &State;

    /// The state after `revision`.
    fn at(&self, revision: u64) -> Result<State, ReadError>;
}

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Nothing in it can be trusted, so nothing of it is served; the bytes wait in `kept`.
    #[error("{} is damaged ({why}); kept as {}", file.display(), kept.display())]
    Corrupt { file: PathBuf, kept: PathBuf, why: String },
    #[error("{} is in use by another meshd", file.display())]
    InUse { file: PathBuf },
    #[error("{} was written by a newer meshd (format {found})", file.display())]
    Newer { file: PathBuf, found: i64 },
    #[error("cannot use {}", file.display())]
    Io { file: PathBuf, source: io::Error },
}

/// Why a delta was not committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error("the log is at revision {}", .0.revision)]
    Conflict(Head),
    /// An operation's `before` is not what the state holds.
    #[error("{0} is not what the change was made from")]
    Mismatch(String),
    #[error("a change of {bytes} bytes is over the limit of {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("no space left on the disk")]
    DiskFull,
    #[error("the disk did not take the change")]
    Storage(#[source] io::Error),
}

/// Why history could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("changes before {oldest} are no longer kept")]
    Compacted { oldest: u64 },
    #[error("the log ends at {head}")]
    Future { head: u64 },
    #[error("the disk did not give the log back")]
    Storage(#[source] io::Error),
}
