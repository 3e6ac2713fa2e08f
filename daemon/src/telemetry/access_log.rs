//! The access log: a view of the decision records, written by a thread of its own.
//!
//! The path pays nothing for it. When the sink is slower than the traffic, the oldest records are
//! overwritten before they are read; they are counted, nobody waits.

mod json;
mod template;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tracing::warn;

use self::template::Template;
use crate::config::{self, AccessLogFormat};
use crate::record::{Cursor, Entry, Kind, Rings};
use crate::state::Interner;

/// How often the rings are read.
const PERIOD: Duration = Duration::from_millis(20);
/// How long the end of the daemon waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessLogError {
    #[error("access_log.template: {0} is not a field")]
    UnknownField(String),
    #[error("access_log.file: cannot open {}", file.display())]
    Open {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot start the access log's thread")]
    Thread(#[source] io::Error),
}

/// The running access log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    orders: SyncSender<Order>,
}

enum Order {
    Reopen,
    /// Write what is left, then say so.
    Stop(SyncSender<()>),
}

enum Format {
    Text(Template),
    Json,
}

impl AccessLog {
    /// `None` when it is off; `lost` counts the records that were not read in time.
    pub(crate) fn start(
        config: &config::AccessLog,
        rings: &Rings,
        names: Interner,
        lost: Arc<AtomicU64>,
    ) -> Result<Option<Self>, AccessLogError> {
        let format = match &config.format {
            AccessLogFormat::Off => return Ok(None),
            AccessLogFormat::Text(template) => {
                Format::Text(Template::parse(template).map_err(AccessLogError::UnknownField)?)
            }
            AccessLogFormat::Json => Format::Json,
        };
        let file = config.file.clone();
        let sink = open(file.as_deref())?;
        let scribe = Scribe { cursors: rings.cursors(), format, names, lost, file, sink };
        let (orders, inbox) = sync_channel(8);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || scribe.run(&inbox))
            .map_err(AccessLogError::Thread)?;
        Ok(Some(Self { orders }))
    }

    /// Opens the file again: whoever rotates logs has moved it away.
    pub(crate) fn reopen(&self) {
        // A full inbox already holds a reopening.
        drop(self.orders.try_send(Order::Reopen));
    }

    /// Writes what is left; call it once the workers have ended. Blocks, at most a few seconds.
    pub(crate) fn stop(self) {
        let (done, waits) = sync_channel(1);
        if self.orders.try_send(Order::Stop(done)).is_ok()
            && waits.recv_timeout(LAST_LINES) == Err(RecvTimeoutError::Timeout)
        {
            warn!("nobody takes the access log: its last lines are lost");
        }
    }
}

fn open(file: Option<&Path>) -> Result<Box<dyn Write + Send>, AccessLogError> {
    let Some(file) = file else { return Ok(Box::new(io::stdout())) };
    let opened: io::Result<File> = OpenOptions::new().create(true).append(true).open(file);
    match opened {
        Ok(opened) => Ok(Box::new(opened)),
        Err(source) => Err(AccessLogError::Open { file: file.to_owned(), source }),
    }
}

struct Scribe {
    cursors: Vec<Cursor>,
    format: Format,
    names: Interner,
    lost: Arc<AtomicU64>,
    file: Option<PathBuf>,
    sink: Box<dyn Write + Send>,
}

impl Scribe {
    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let order = inbox.recv_timeout(PERIOD);
            self.write_news();
            match order {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Reopen) => match open(self.file.as_deref()) {
                    Ok(sink) => self.sink = sink,
                    Err(error) => warn!(%error, "the access log stays where it was"),
                },
                Ok(Order::Stop(done)) => {
                    if done.try_send(()).is_err() {
                        warn!("the access log ended later than waited for");
                    }
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write_news(&mut self) {
        let mut lines = Vec::new();
        let mut missed = 0;
        let mut count = 0;
        for cursor in &mut self.cursors {
            missed += cursor.read(|entry| {
                count += 1;
                self.format.write(&entry, &self.names, &mut lines);
            });
        }
        if !lines.is_empty()
            && self.sink.write_all(&lines).and_then(|()| self.sink.flush()).is_err()
        {
            missed += count;
        }
        self.lost.fetch_add(missed, Relaxed);
    }
}

impl Format {
    fn write(&self, entry: &Entry, names: &Interner, lines: &mut Vec<u8>) {
        if entry.record.kind == Kind::Dns {
            return;
        }
        match self {
            Self::Text(template) => template.write(entry, names, lines),
            Self::Json => json::write(entry, names, lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing;

    // covers: LOG-12
    #[test]
    fn what_was_recorded_before_the_stop_is_in_the_file_the_log_reopened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let config = config::AccessLog {
            format: AccessLogFormat::Text("%PATH%".to_owned()),
            file: Some(file.clone()),
        };
        let (rings, lost) = (Rings::new(1), Arc::default());
        let log = AccessLog::start(&config, &rings, Interner::new(), Arc::clone(&lost)).unwrap();
        let push = |path| rings.workers()[0].push(&testing::answered(200, 1), b"", path);
        push(b"/first");
        std::fs::rename(&file, folder.path().join("old")).unwrap();
        let log = log.unwrap();
        log.reopen();
        push(b"/last");
        log.stop();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("old") + &read("access.log"), "/first\n/last\n");
        assert_eq!(lost.load(Relaxed), 0);
    }
}
