//! The file itself: made whole or not at all, opened by one process, set aside when damaged.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags, params};

use super::super::{OpenError, State};
use super::{Flaw, verify};

pub(super) const NAME: &str = "state.db";

const KEPT: &str = "state.db.corrupt-";

/// "mesh" in ASCII: what `file` calls the database.
const APPLICATION: i32 = 0x6d65_7368;

pub(super) const FORMAT: i64 = 1;

const TABLES: &str = "
CREATE TABLE base (
  revision INTEGER NOT NULL, state BLOB NOT NULL, root BLOB NOT NULL, sum BLOB NOT NULL
) STRICT;
CREATE TABLE log (
  revision INTEGER PRIMARY KEY, entry BLOB NOT NULL, root BLOB NOT NULL, sum BLOB NOT NULL
) STRICT;
CREATE TABLE head (
  revision INTEGER NOT NULL, root BLOB NOT NULL, sum BLOB NOT NULL
) STRICT;";

/// Makes `dir` and an empty log in it, unless `file` exists or a damaged one was set aside.
///
/// The new file gets its name once it is whole, so a `state.db` that is empty or cut short is
/// damage and never an interrupted first start.
pub(super) fn prepare(dir: &Path, file: &Path) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Io { file: file.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
    if file.try_exists().map_err(unusable)? {
        return Ok(());
    }
    if let Some(kept) = kept_in(dir).map_err(unusable)? {
        let why = "set aside by an earlier start, and nothing took its place".to_owned();
        return Err(OpenError::Corrupt { file: file.to_owned(), kept, why });
    }
    let new = dir.join("state.db.new");
    create(&new).map_err(unusable)?;
    fs::rename(&new, file).and_then(|()| File::open(dir)?.sync_all()).map_err(unusable)
}

fn create(new: &Path) -> io::Result<()> {
    if new.try_exists()? {
        fs::remove_file(new)?;
    }
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    fill(new).map_err(io::Error::other)?;
    File::open(new)?.sync_all()
}

fn fill(new: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(new)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    connection.execute_batch(TABLES)?;
    let (root, sum) = (State::default().root(), verify::SEED);
    connection.execute("INSERT INTO base VALUES (0, ?1, ?2, ?3)", params![b"[]", root.0, sum.0])?;
    connection.execute("INSERT INTO head VALUES (0, ?1, ?2)", params![root.0, sum.0])?;
    connection.close().map_err(|(_, error)| error)
}

/// Opens `file` for this process alone.
pub(super) fn connect(file: &Path) -> Result<Connection, Flaw> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -512;",
    )?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Flaw::Damaged(format!("journal mode {mode}")));
    }
    connection.execute_batch("PRAGMA synchronous = FULL; BEGIN IMMEDIATE; COMMIT;")?;
    Ok(connection)
}

/// Moves a damaged file, and what SQLite kept beside it, out of the way.
pub(super) fn set_aside(file: &Path, why: String) -> OpenError {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let kept = file.with_file_name(format!("{KEPT}{}", now.as_secs()));
    if let Err(source) = fs::rename(file, &kept) {
        return OpenError::Io { file: file.to_owned(), source };
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        let beside = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        match fs::rename(beside(file), beside(&kept)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return OpenError::Io { file: beside(file), source };
            }
            Ok(()) | Err(_) => {}
        }
    }
    OpenError::Corrupt { file: file.to_owned(), kept, why }
}

/// The newest file set aside earlier.
fn kept_in(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let time = name.strip_prefix(KEPT).unwrap_or_default();
        if !time.is_empty() && time.bytes().all(|digit| digit.is_ascii_digit()) {
            kept.push(dir.join(name));
        }
    }
    Ok(kept.into_iter().max())
}
