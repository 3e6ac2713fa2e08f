//! meshd's own log, to standard error.
//!
//! Lines go through a bounded queue to a thread of their own: a log reader that stops reading
//! costs lines, which are counted, and never a request.

mod format;
mod queue;

use std::io::{self, IsTerminal as _};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use self::format::Line;
use self::queue::Queue;
use super::Timestamp;
use crate::config::{Log, LogFormat};

/// How long the end of the daemon waits for the log to be taken.
const FLUSH: Duration = Duration::from_secs(1);

/// Keeps the log running; dropping it writes what is left.
#[derive(Debug)]
pub(crate) struct Logs {
    queue: Arc<Queue>,
    filter: reload::Handle<Targets, Registry>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("cannot start the log's thread")]
    Thread(#[source] io::Error),
    #[error("log.level {0}")]
    Filter(String),
}

/// Starts the log for the whole process; a second call in one process changes nothing.
/// `lost` counts the lines nobody took.
pub(crate) fn init(config: &Log, lost: Arc<AtomicU64>) -> Result<Logs, LogError> {
    let queue = Arc::new(Queue::default());
    let writer = Arc::clone(&queue);
    let format = config.format;
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || writer.drain(&mut io::stderr(), |count| gap(format, count)))
        .map_err(LogError::Thread)?;
    let (filter, handle) = reload::Layer::new(parse(&config.filter)?);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(config.format == LogFormat::Text && colour())
        .event_format(Line(config.format))
        .with_writer(Sink { queue: Arc::clone(&queue), lost });
    let logger = tracing_subscriber::registry().with(filter).with(lines);
    // Only a test starts a second daemon in one process; the first log then serves both.
    drop(logger.try_init());
    std::panic::set_hook(Box::new(log_panic));
    Ok(Logs { queue, filter: handle })
}

/// In place of the standard hook, whose lines are not of our format.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("of another type");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(place, thread = thread.name().unwrap_or_default(), "panic: {text}");
}

impl Logs {
    /// Uses another filter from the next line on.
    pub(crate) fn reload(&self, config: &Log) -> Result<(), LogError> {
        let filter = parse(&config.filter)?;
        self.filter.reload(filter).map_err(|error| LogError::Filter(error.to_string()))
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.queue.flush(FLUSH);
    }
}

fn parse(filter: &str) -> Result<Targets, LogError> {
    filter.parse().map_err(|error: ParseError| LogError::Filter(format!("{filter}: {error}")))
}

fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn gap(format: LogFormat, count: u64) -> Vec<u8> {
    let now = Timestamp::now();
    let line = match format {
        LogFormat::Json => format!(
            "{{\"timestamp\":\"{now}\",\"level\":\"warn\",\"msg\":\"log lines lost\",\"count\":{count}}}\n"
        ),
        LogFormat::Text => format!("{now} WARN  log lines lost count={count}\n"),
    };
    line.into_bytes()
}

struct Sink {
    queue: Arc<Queue>,
    lost: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// The formatter writes every event with one call.
impl io::Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.queue.push(line) {
            self.lost.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
