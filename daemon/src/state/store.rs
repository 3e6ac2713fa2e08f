//! The one writer of mesh state, and the conductor of every change: [`Store::update`].
//!
//! A change is validated, compiled, made durable, published and acknowledged, in this order, and
//! refused at any step before it is durable without a trace. From the commit to the publish
//! nothing is awaited, so a caller that hangs up cannot leave a change stored but not in force.

mod declared;
mod draft;
mod effective;
mod history;
mod outcome;
mod runtime;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Mutex, watch};
use tokio::task::block_in_place;
use tokio::time::timeout;
use tracing::error;

use super::{Interner, Published, Snapshot, Vips, settle};
use crate::intent::{Author, Delta, IntentStore, OpenError, Sqlite};

pub(crate) use declared::{Declared, Held, Topic, service_key};
pub(crate) use draft::Draft;
pub(crate) use effective::{claimed_spec, protocol, written_at, written_at_mut};
pub(crate) use history::{Past, UndoError};
pub(crate) use outcome::{
    Action, Change, Damage, Live, Mutation, Outcome, Unreadable, UpdateError,
};
use runtime::Runtime;
pub(crate) use runtime::RuntimeError;

/// How long a change waits for its readers before it is reported as late.
const APPLIED_WITHIN: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Store {
    node: String,
    published: Arc<Published>,
    writer: Mutex<Writer>,
    /// Revision of the newest snapshot, for whoever follows changes.
    news: watch::Sender<u64>,
}

struct Writer {
    /// The log, or why there is none: then nothing is declared and nothing can be.
    log: Result<Box<dyn IntentStore>, Damage>,
    declared: Arc<Declared>,
    runtime: Runtime,
}

/// One consistent look at everything.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) declared: Arc<Declared>,
    pub(crate) snapshot: Arc<Snapshot>,
}

impl Store {
    /// Replays the log in `dir` and publishes what it adds up to.
    ///
    /// A damaged log is set aside and leaves a store that serves nothing and refuses every
    /// change ([`Store::damage`]); any other error means that this daemon cannot run.
    pub(crate) fn open(
        dir: &Path,
        node: &str,
        vips: Vips,
        names: Interner,
        published: Arc<Published>,
    ) -> Result<Self, Unreadable> {
        let log: Result<Box<dyn IntentStore>, Damage> = match Sqlite::open(dir) {
            Ok(log) => Ok(Box::new(log)),
            Err(OpenError::Corrupt { file, kept, why }) => {
                let damage = Damage { file, kept, why };
                error!("{damage}; nothing is declared and changes are refused (MESH1303)");
                Err(damage)
            }
            Err(error) => return Err(Unreadable::Log(error)),
        };
        Self::over(log, Runtime::new(node, vips, names), published)
    }

    fn over(
        log: Result<Box<dyn IntentStore>, Damage>,
        runtime: Runtime,
        published: Arc<Published>,
    ) -> Result<Self, Unreadable> {
        let declared = match &log {
            Ok(log) => Declared::decode(log.snapshot()).map_err(Unreadable::Value)?,
            Err(_) => Declared::default(),
        };
        let writer = Writer { log, declared: Arc::new(declared), runtime };
        let snapshot =
            writer.compile(&writer.declared, writer.generation(), &published.newest())?;
        let node = writer.runtime.node.clone();
        let news = watch::Sender::new(0);
        let store = Self { node, published, writer: Mutex::new(writer), news };
        store.publish(snapshot);
        Ok(store)
    }

    /// Lets `change` edit what is declared, and makes the result durable and live.
    ///
    /// When it returns `Ok`, every reader uses the change (unless `mutation.no_wait`). Equal to
    /// what was there means no new generation. On `Err` nothing changed, but for
    /// [`UpdateError::NotLive`], which is late and not lost. Dropping the future before it is
    /// done either has no effect or leaves the change whole.
    pub(crate) async fn update<E>(
        &self,
        author: Author,
        mutation: Mutation,
        change: impl FnOnce(&mut Draft) -> Result<(), E>,
    ) -> Result<Outcome, UpdateError<E>> {
        let began = Instant::now();
        let mut writer = self.writer.lock().await;
        let mut outcome = self.write(&mut writer, author, &mutation, change)?;
        drop(writer);
        if !mutation.dry_run && !mutation.no_wait {
            self.live(&outcome).await?;
            outcome.live = Some(Live { applied: 1, nodes: 1, after: began.elapsed() });
        }
        Ok(outcome)
    }

    fn write<E>(
        &self,
        writer: &mut Writer,
        author: Author,
        mutation: &Mutation,
        change: impl FnOnce(&mut Draft) -> Result<(), E>,
    ) -> Result<Outcome, UpdateError<E>> {
        let before = Arc::clone(&writer.declared);
        let log = writer.log.as_ref().map_err(|damage| UpdateError::ReadOnly(damage.clone()))?;
        let head = log.head();
        if mutation.if_generation.is_some_and(|expected| expected != head.revision) {
            return Err(UpdateError::Moved { head: head.revision });
        }
        let now_ms = unix_ms();
        let view = View { declared: Arc::clone(&before), snapshot: self.published.newest() };
        let mut draft = Draft::new(view, author.uid, now_ms, head.revision + 1);
        change(&mut draft).map_err(UpdateError::Refused)?;
        let after = Arc::new(draft.finish());
        let ops = before.difference(&after);
        let changes = outcome::changes(&before, &after, &ops, &writer.runtime.node);
        if ops.is_empty() || mutation.dry_run {
            let generation = head.revision;
            return Ok(Outcome {
                changes,
                generation,
                undo: 0,
                live: None,
                snapshot: self.published.newest(),
            });
        }
        let generation = head.revision + 1;
        let snapshot = writer.compile(&after, generation, &self.published.newest())?;
        let delta = Delta { time_ms: now_ms, author, reason: mutation.reason.clone(), ops };
        let log = writer.log.as_mut().map_err(|damage| UpdateError::ReadOnly(damage.clone()))?;
        block_in_place(|| log.commit(head, delta))?;
        writer.declared = after;
        let snapshot = self.publish(snapshot);
        Ok(Outcome { changes, generation, undo: generation, live: None, snapshot })
    }

    async fn live<E>(&self, outcome: &Outcome) -> Result<(), UpdateError<E>> {
        let revision = outcome.snapshot.revision;
        if timeout(APPLIED_WITHIN, self.published.applied(revision)).await.is_err() {
            let laggards = self.published.laggards(revision);
            return Err(UpdateError::NotLive { generation: outcome.generation, laggards });
        }
        Ok(())
    }

    /// This node's name.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// What is declared now, and the newest snapshot, which was compiled from it.
    pub(crate) async fn view(&self) -> View {
        let writer = self.writer.lock().await;
        View { declared: Arc::clone(&writer.declared), snapshot: self.published.newest() }
    }

    /// Why nothing can be declared, if so.
    pub(crate) async fn damage(&self) -> Option<Damage> {
        self.writer.lock().await.log.as_ref().err().cloned()
    }

    /// Changes whenever a snapshot is published.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let (previous, snapshot) = (self.published.newest(), Arc::new(snapshot));
        self.published.publish(Arc::clone(&snapshot));
        settle(&previous, &snapshot);
        self.news.send_replace(snapshot.revision);
        snapshot
    }
}

impl Writer {
    fn generation(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.head().revision)
    }
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
