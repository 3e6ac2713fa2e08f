//! Proof that a file holds what was committed: page checks, the chain of rows, the replay.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::super::{Delta, Head, Root, State};
use super::{Flaw, file};

/// The link before the first row.
pub(super) const SEED: Root = Root(*b"meshd intent log, format 1      ");

/// The state the kept rows start from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    pub(super) revision: u64,
    pub(super) root: Root,
    pub(super) sum: Root,
}

/// What goes into a link of the chain.
pub(super) struct Row<Entry> {
    pub(super) head: Head,
    pub(super) entry: Entry,
}

/// A row as read, with the link it claims.
pub(super) struct Linked {
    pub(super) head: Head,
    pub(super) entry: Vec<u8>,
    sum: Root,
}

pub(super) struct Verified {
    pub(super) head: Head,
    pub(super) sum: Root,
    pub(super) base: Base,
    pub(super) state: State,
}

/// The link of `row` behind `previous`.
pub(super) fn link(previous: Root, row: &Row<&[u8]>) -> Root {
    let mut hash = Sha256::new();
    hash.update(previous.0);
    hash.update(row.head.revision.to_be_bytes());
    hash.update(row.head.root.0);
    hash.update(row.entry);
    Root(hash.finalize().into())
}

/// Reads everything; the first thing that does not fit is the flaw.
pub(super) fn all(connection: &Connection) -> Result<Verified, Flaw> {
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        // SQLite's report has a heading line of its own.
        let found = check.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
        return Err(Flaw::Damaged(found.to_owned()));
    }
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if format > file::FORMAT {
        return Err(Flaw::Newer(format));
    }
    if format != file::FORMAT {
        return Err(Flaw::Damaged(format!("format {format}")));
    }
    let (base, state) = base(connection)?;
    let mut verified = Verified {
        head: Head { revision: base.revision, root: base.root },
        sum: base.sum,
        base,
        state,
    };
    for row in rows(connection, base.revision)? {
        verified.append(&row)?;
    }
    let claimed = connection.query_row("SELECT revision, root, sum FROM head", [], |row| {
        let head = Head { revision: row.get(0)?, root: Root(row.get(1)?) };
        Ok((head, Root(row.get(2)?)))
    })?;
    if claimed != (verified.head, verified.sum) {
        return Err(Flaw::Damaged(format!(
            "the newest revision should be {}, the log ends at {}",
            claimed.0.revision, verified.head.revision
        )));
    }
    Ok(verified)
}

/// Rows after `from`, in order.
pub(super) fn rows(connection: &Connection, from: u64) -> rusqlite::Result<Vec<Linked>> {
    let select = "SELECT revision, entry, root, sum FROM log WHERE revision > ?1 ORDER BY revision";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map(params![from], |row| {
        let head = Head { revision: row.get(0)?, root: Root(row.get(2)?) };
        Ok(Linked { head, entry: row.get(1)?, sum: Root(row.get(3)?) })
    })?;
    rows.collect()
}

fn base(connection: &Connection) -> Result<(Base, State), Flaw> {
    let select = "SELECT revision, root, sum, state FROM base";
    let (base, bytes) = connection.query_row(select, [], |row| {
        let base = Base { revision: row.get(0)?, root: Root(row.get(1)?), sum: Root(row.get(2)?) };
        Ok((base, row.get::<_, Vec<u8>>(3)?))
    })?;
    let state = State::decode(&bytes).ok().filter(|state| state.root() == base.root);
    let damaged =
        || Flaw::Damaged(format!("the base, revision {}, has another hash", base.revision));
    Ok((base, state.ok_or_else(damaged)?))
}

impl Verified {
    fn append(&mut self, row: &Linked) -> Result<(), Flaw> {
        let revision = self.head.revision + 1;
        let damaged = |why: &str| Flaw::Damaged(format!("revision {revision}: {why}"));
        if row.head.revision != revision {
            return Err(damaged("missing"));
        }
        let sum = link(self.sum, &Row { head: row.head, entry: &row.entry });
        if sum != row.sum {
            return Err(damaged("not as it was written"));
        }
        let delta: Delta =
            serde_json::from_slice(&row.entry).map_err(|error| damaged(&error.to_string()))?;
        self.state.apply(&delta).map_err(|key| damaged(&format!("{key} does not replay")))?;
        if self.state.root() != row.head.root {
            return Err(damaged("the state after it has another hash"));
        }
        (self.head, self.sum) = (row.head, sum);
        Ok(())
    }
}
