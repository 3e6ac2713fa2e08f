//! What was, and the way back to it.

use std::sync::Arc;

use super::declared::{BadValue, topic};
use super::outcome::changes;
use super::{Change, Declared, Draft, Store};
use crate::intent::{Entry, Op, ReadError};

/// A change of the past and what it did.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) entry: Entry,
    pub(crate) changes: Vec<Change>,
}

/// Why the past is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndoError {
    #[error("nothing was changed yet")]
    Nothing,
    #[error("there is no change {0}")]
    Unknown(u64),
    #[error("changes before {oldest} are no longer kept")]
    Forgotten { oldest: u64 },
    /// `key` is not what the change to be undone left.
    #[error("{key} was changed since")]
    Conflict { key: String },
    #[error(transparent)]
    Value(#[from] BadValue),
    #[error(transparent)]
    Log(ReadError),
}

/// How to take changes back; made by [`Store::reversal`].
#[derive(Debug)]
pub(crate) enum Reversal {
    /// One change, whatever came after it elsewhere.
    Change(Vec<Op>),
    /// Everything after a revision.
    State(Declared),
}

impl Reversal {
    /// Undoes it in `draft`; undoing an undo is a redo.
    pub(crate) fn apply(self, draft: &mut Draft) -> Result<(), UndoError> {
        match self {
            Self::State(declared) => draft.replace(declared),
            Self::Change(ops) => {
                for op in ops {
                    if draft.declared().text_of(&op.key) != op.before {
                        let key = topic(&op.key).map(|topic| topic.to_string());
                        let key = key.unwrap_or_else(|| op.key.to_string());
                        return Err(UndoError::Conflict { key });
                    }
                    draft.replay(&op)?;
                }
            }
        }
        Ok(())
    }
}

impl Store {
    /// The newest `limit` changes, newest first; 0 means all that are kept.
    pub(crate) async fn history(&self, limit: usize) -> Result<Vec<Past>, UndoError> {
        let writer = self.writer.lock().await;
        let Ok(log) = &writer.log else { return Ok(Vec::new()) };
        let head = log.head().revision;
        let wanted = u64::try_from(limit).unwrap_or(u64::MAX);
        let from = if limit == 0 { 0 } else { head.saturating_sub(wanted) };
        let (entries, from) = match log.deltas(from) {
            Err(ReadError::Compacted { oldest }) => (log.deltas(oldest - 1)?, oldest - 1),
            entries => (entries?, from),
        };
        let mut before = Declared::decode(&log.at(from)?)?;
        let node = writer.runtime.node.clone();
        drop(writer);
        let mut past = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut after = before.clone();
            entry.delta.ops.iter().try_for_each(|op| after.replay(op))?;
            let changes = changes(&before, &after, &entry.delta.ops, &node);
            past.push(Past { entry, changes });
            before = after;
        }
        past.reverse();
        Ok(past)
    }

    /// The change that made generation `at`, if it is still kept.
    pub(crate) async fn entry(&self, at: u64) -> Option<Entry> {
        let writer = self.writer.lock().await;
        let log = writer.log.as_ref().ok()?;
        log.deltas(at.checked_sub(1)?).ok()?.into_iter().next()
    }

    /// What was declared after revision `at`.
    pub(crate) async fn at(&self, at: u64) -> Result<Arc<Declared>, UndoError> {
        let writer = self.writer.lock().await;
        let Ok(log) = &writer.log else { return Err(UndoError::Unknown(at)) };
        if at == log.head().revision {
            return Ok(Arc::clone(&writer.declared));
        }
        let state = log.at(at).map_err(|error| match error {
            ReadError::Future { .. } => UndoError::Unknown(at),
            ReadError::Compacted { .. } | ReadError::Storage(_) => error.into(),
        })?;
        Ok(Arc::new(Declared::decode(&state)?))
    }

    /// How to undo the change `number` (0: the newest), or all changes after `to`.
    pub(crate) async fn reversal(
        &self,
        number: u64,
        to: Option<u64>,
    ) -> Result<Reversal, UndoError> {
        if let Some(to) = to {
            return Ok(Reversal::State(Arc::unwrap_or_clone(self.at(to).await?)));
        }
        let writer = self.writer.lock().await;
        let Ok(log) = &writer.log else { return Err(UndoError::Nothing) };
        let head = log.head().revision;
        let number = if number == 0 { head } else { number };
        if number == 0 {
            return Err(UndoError::Nothing);
        }
        if number > head {
            return Err(UndoError::Unknown(number));
        }
        let entry = log.deltas(number - 1)?.into_iter().next();
        let entry = entry.ok_or(UndoError::Unknown(number))?;
        Ok(Reversal::Change(entry.delta.ops.iter().map(Op::inverse).collect()))
    }
}

impl From<ReadError> for UndoError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Compacted { oldest } => Self::Forgotten { oldest },
            ReadError::Future { .. } | ReadError::Storage(_) => Self::Log(error),
        }
    }
}
