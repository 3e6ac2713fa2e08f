//! The log in one SQLite file, for a mesh with one machine that decides.
//!
//! Every row is chained to the one before by SHA-256, and the newest link is kept in `head`, so a
//! flipped bit anywhere in the log is found when the file is opened. The write-ahead log is
//! folded into the file after every commit: SQLite silently ends recovery at a damaged WAL frame,
//! which would look like an older, healthy state.

mod file;
mod verify;

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};
use tracing::warn;

use super::{CommitError, Delta, Entry, Head, IntentStore, OpenError, ReadError, Root, State};
use verify::{Base, Row};

/// Both sides of every object of the largest manifest (16 MiB of text) fit.
const MAX_DELTA: usize = 64 << 20;

/// How many deltas stay behind the newest one; older ones melt into the base.
const KEEP: u64 = 1000;

/// Deltas beyond [`KEEP`] before the base moves, so that it does not move on every commit.
const SLACK: u64 = 100;

#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: Connection,
    head: Head,
    /// Last link of the chain.
    sum: Root,
    base: Base,
    state: State,
}

impl Sqlite {
    /// Opens `dir/state.db`, making both where they do not exist, and checks all of it.
    ///
    /// A damaged file is moved to `state.db.corrupt-<time>`; as long as it lies there and no
    /// `state.db` does, opening goes on to fail: starting empty is for a person to decide.
    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        let file = dir.join(file::NAME);
        file::prepare(dir, &file)?;
        let opened = file::connect(&file).and_then(|connection| {
            let verified = verify::all(&connection)?;
            Ok((connection, verified))
        });
        match opened {
            Ok((connection, verified)) => Ok(Self {
                connection,
                head: verified.head,
                sum: verified.sum,
                base: verified.base,
                state: verified.state,
            }),
            Err(Flaw::Damaged(why)) => Err(file::set_aside(&file, why)),
            Err(Flaw::Newer(found)) => Err(OpenError::Newer { file, found }),
            Err(Flaw::Sql(error)) => Err(flaw_of(error, file)),
        }
    }

    fn append(&mut self, entry: &[u8], head: Head, sum: Root) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO log (revision, entry, root, sum) VALUES (?1, ?2, ?3, ?4)",
            params![head.revision, entry, head.root.0, sum.0],
        )?;
        transaction.execute(
            "UPDATE head SET revision = ?1, root = ?2, sum = ?3",
            params![head.revision, head.root.0, sum.0],
        )?;
        transaction.commit()
    }

    /// Moves committed pages from the WAL into the file and empties the WAL. What a failed commit
    /// left in the WAL goes away with it, so it cannot come back after a crash.
    fn fold(&self) {
        let folded: rusqlite::Result<i64> =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        match folded {
            Ok(0) => {}
            Ok(code) => warn!(code, "state.db: the write-ahead log stays for now"),
            Err(error) => warn!(%error, "state.db: the write-ahead log stays for now"),
        }
    }

    /// Melts all but the newest [`KEEP`] deltas into the base.
    fn compact(&mut self) -> Result<(), ReadError> {
        if self.head.revision - self.base.revision <= KEEP + SLACK {
            return Ok(());
        }
        let revision = self.head.revision - KEEP;
        let state = self.at(revision)?;
        let bytes = state.encode().map_err(|error| ReadError::Storage(error.into()))?;
        let moved = self.move_base(revision, &state, &bytes).map_err(storage);
        self.base = moved.map_err(ReadError::Storage)?;
        Ok(())
    }

    fn move_base(&mut self, at: u64, state: &State, bytes: &[u8]) -> rusqlite::Result<Base> {
        let transaction = self.connection.transaction()?;
        let select = "SELECT sum FROM log WHERE revision = ?1";
        let sum = Root(transaction.query_row(select, [at], |row| row.get(0))?);
        let base = Base { revision: at, root: state.root(), sum };
        transaction.execute(
            "UPDATE base SET revision = ?1, state = ?2, root = ?3, sum = ?4",
            params![at, bytes, base.root.0, sum.0],
        )?;
        transaction.execute("DELETE FROM log WHERE revision <= ?1", [at])?;
        transaction.commit()?;
        Ok(base)
    }
}

impl IntentStore for Sqlite {
    fn head(&self) -> Head {
        self.head
    }

    fn commit(&mut self, expect: Head, delta: Delta) -> Result<Head, CommitError> {
        if expect != self.head {
            return Err(CommitError::Conflict(self.head));
        }
        let mut state = self.state.clone();
        state.apply(&delta).map_err(|key| CommitError::Mismatch(key.to_string()))?;
        let entry = serde_json::to_vec(&delta).map_err(|e| CommitError::Storage(e.into()))?;
        if entry.len() > MAX_DELTA {
            return Err(CommitError::TooLarge { bytes: entry.len(), limit: MAX_DELTA });
        }
        let head = Head { revision: expect.revision + 1, root: state.root() };
        let sum = verify::link(self.sum, &Row { head, entry: &entry });
        let appended = self.append(&entry, head, sum);
        self.fold();
        appended.map_err(refused)?;
        (self.head, self.sum, self.state) = (head, sum, state);
        if let Err(error) = self.compact() {
            warn!(%error, "state.db: old changes stay for now");
        }
        Ok(head)
    }

    fn deltas(&self, from: u64) -> Result<Vec<Entry>, ReadError> {
        if from < self.base.revision {
            return Err(ReadError::Compacted { oldest: self.base.revision + 1 });
        }
        let rows = verify::rows(&self.connection, from).map_err(storage);
        rows.map_err(ReadError::Storage)?
            .into_iter()
            .map(|row| {
                let delta = serde_json::from_slice(&row.entry)
                    .map_err(|error| ReadError::Storage(error.into()))?;
                Ok(Entry { revision: row.head.revision, delta })
            })
            .collect()
    }

    fn snapshot(&self) -> &State {
        &self.state
    }

    fn at(&self, revision: u64) -> Result<State, ReadError> {
        if revision > self.head.revision {
            return Err(ReadError::Future { head: self.head.revision });
        }
        if revision < self.base.revision {
            return Err(ReadError::Compacted { oldest: self.base.revision });
        }
        let read = "SELECT state FROM base";
        let bytes: Vec<u8> = self
            .connection
            .query_row(read, [], |row| row.get(0))
            .map_err(|error| ReadError::Storage(storage(error)))?;
        let mut state = State::decode(&bytes).map_err(|e| ReadError::Storage(e.into()))?;
        for entry in self.deltas(self.base.revision)? {
            if entry.revision > revision {
                break;
            }
            state.apply(&entry.delta).map_err(|key| {
                ReadError::Storage(io::Error::other(format!("{key} does not replay")))
            })?;
        }
        Ok(state)
    }
}

/// What stands between a file and its use.
#[derive(Debug)]
enum Flaw {
    Damaged(String),
    Newer(i64),
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Flaw {
    fn from(error: rusqlite::Error) -> Self {
        let other_than_damage = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::CannotOpen
                    | ErrorCode::PermissionDenied
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::DiskFull
                    | ErrorCode::ReadOnly
                    | ErrorCode::OutOfMemory
            )
        );
        if other_than_damage { Self::Sql(error) } else { Self::Damaged(error.to_string()) }
    }
}

fn flaw_of(error: rusqlite::Error, file: PathBuf) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse { file },
        _ => OpenError::Io { file, source: storage(error) },
    }
}

fn refused(error: rusqlite::Error) -> CommitError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => CommitError::DiskFull,
        _ => CommitError::Storage(storage(error)),
    }
}

fn storage(error: rusqlite::Error) -> io::Error {
    io::Error::other(error)
}
