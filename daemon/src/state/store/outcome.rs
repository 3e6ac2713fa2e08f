//! How a change ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesh_proto::manifest::{Key, Object};

use super::declared::{BadValue, Declared, Topic, topic};
use crate::intent::{CommitError, Op, OpenError};
use crate::model::Extent;
use crate::state::Snapshot;
use crate::state::vip::NoFreeAddress;

/// How a change is to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mutation {
    /// Say what would change, but change nothing.
    pub(crate) dry_run: bool,
    /// Return once durable, without waiting for the readers.
    pub(crate) no_wait: bool,
    /// Refuse when the newest generation is another one.
    pub(crate) if_generation: Option<u64>,
    /// Kept in the history.
    pub(crate) reason: String,
}

/// A change that was made, or would be.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// By key; empty when everything was so already.
    pub(crate) changes: Vec<Change>,
    /// Head after the change.
    pub(crate) generation: u64,
    /// Number for `undo`; 0 when nothing changed.
    pub(crate) undo: u64,
    /// `None` when nobody waited.
    pub(crate) live: Option<Live>,
    /// What is in force after the change.
    pub(crate) snapshot: Arc<Snapshot>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) applied: u32,
    pub(crate) nodes: u32,
    pub(crate) after: Duration,
}

/// What became of one object, with this node's claims in its services, or of a bypass.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) topic: Topic,
    pub(crate) action: Action,
    pub(crate) before: Option<Object>,
    pub(crate) after: Option<Object>,
    /// When a bypass ends, Unix milliseconds.
    pub(crate) until_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Created,
    Configured,
    Deleted,
}

impl Action {
    fn of(was_there: bool, is_there: bool) -> Self {
        match (was_there, is_there) {
            (false, true) => Self::Created,
            (true, true) => Self::Configured,
            (_, false) => Self::Deleted,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Deleted => "deleted",
        }
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError<E> {
    /// The change itself did not want to.
    #[error(transparent)]
    Refused(E),
    #[error("the newest generation is {head}")]
    Moved { head: u64 },
    #[error(transparent)]
    NoFreeAddress(#[from] NoFreeAddress),
    #[error(transparent)]
    NotStored(#[from] CommitError),
    #[error("changes are refused: {0}")]
    ReadOnly(Damage),
    /// Stored as `generation` and on its way, but not in force everywhere in time.
    #[error("not yet used by {}", laggards.join(", "))]
    NotLive { generation: u64, laggards: Vec<String> },
}

/// A state file that could not be trusted.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} is damaged ({why}); kept as {}", file.display(), kept.display())]
pub(crate) struct Damage {
    pub(crate) file: PathBuf,
    pub(crate) kept: PathBuf,
    pub(crate) why: String,
}

/// Why the state cannot be used, so that the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Log(OpenError),
    /// The range in the settings is too small for the services that are declared.
    #[error(transparent)]
    NoFreeAddress(#[from] NoFreeAddress),
    /// Sound, but not of this version.
    #[error("the stored state was written by another version of meshd")]
    Value(#[source] BadValue),
}

/// What `ops` did to what they are about.
pub(super) fn changes(before: &Declared, after: &Declared, ops: &[Op], node: &str) -> Vec<Change> {
    let mut topics: Vec<_> = ops.iter().filter_map(|op| topic(&op.key)).collect();
    topics.sort_unstable();
    topics.dedup();
    let change = |topic: Topic| match topic {
        Topic::Object(key) => of_object(before, after, key, node),
        Topic::Bypass(extent) => of_bypass(before, after, extent),
    };
    topics.into_iter().map(change).collect()
}

fn of_object(before: &Declared, after: &Declared, key: Key, node: &str) -> Change {
    let (before, after) = (before.effective(&key, node), after.effective(&key, node));
    let action = Action::of(before.is_some(), after.is_some());
    Change { topic: Topic::Object(key), action, before, after, until_ms: None }
}

fn of_bypass(before: &Declared, after: &Declared, extent: Extent) -> Change {
    let (before, after) = (before.bypasses.get(&extent), after.bypasses.get(&extent));
    let action = Action::of(before.is_some(), after.is_some());
    let until_ms = after.map(|held| held.value.until_ms);
    Change { topic: Topic::Bypass(extent), action, before: None, after: None, until_ms }
}
