//! Has the disk keep what is remembered, a moment after it was written.
//!
//! What was written survives the end of meshd, kill -9 included. Only when the whole host fails
//! the disk must have it, and that ends the processes too: what is in question is a unit, a
//! container or a user that was attached within [`MOMENT`] before. Nobody waits for a disk, tens
//! of milliseconds when it is busy, for so little.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::block_in_place;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Attachments;
use crate::telemetry::{Events, Severity};

/// Whoever attaches a thousand one after another has the disk asked a few times.
const MOMENT: Duration = Duration::from_millis(50);
/// Until what the disk refused is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be kept, and whether it could be.
#[derive(Debug, Default)]
pub(super) struct Disk {
    written: Notify,
    problem: Mutex<Option<String>>,
}

impl Disk {
    /// There is something to keep.
    pub(super) fn written(&self) {
        self.written.notify_one();
    }
}

impl Attachments {
    /// Has the disk keep every change until `stop`, and the last ones then.
    pub(crate) async fn keep(&self, events: Events, stop: CancellationToken) {
        while stop.run_until_cancelled(self.disk.written.notified()).await.is_some() {
            stop.run_until_cancelled(sleep(MOMENT)).await;
            let mut kept = block_in_place(|| self.save());
            while self.report(kept, &events) {
                if stop.run_until_cancelled(sleep(AGAIN)).await.is_none() {
                    return;
                }
                // The kernel drops what it could not write: nothing in the file is certain.
                let table = self.table().await;
                kept = block_in_place(|| self.memory().renew(&table));
            }
        }
        self.report(block_in_place(|| self.save()), &events);
    }

    /// What would be lost if the host failed now, and why, where the disk refused it.
    pub(crate) fn unkept(&self) -> Option<String> {
        self.problem().clone()
    }

    fn save(&self) -> io::Result<()> {
        let file = self.memory().unsaved();
        file.map_or(Ok(()), |file| file.sync_data())
    }

    /// Says when the disk refuses and when it does no more. Whether it does.
    fn report(&self, kept: io::Result<()>, events: &Events) -> bool {
        let path = self.memory().path.display().to_string();
        let mut problem = self.problem();
        let was_refused = problem.is_some();
        *problem = kept.err().map(|error| {
            format!("attachments made now would not outlive a failure of the host: {path}: {error}")
        });
        match &*problem {
            Some(why) if !was_refused => {
                events.emit("attachment/unkept", path, why, Severity::Warning);
            }
            None if was_refused => {
                let message = "attachments outlive a failure of the host again";
                events.emit("attachment/kept", path, message, Severity::Info);
            }
            Some(_) | None => {}
        }
        problem.is_some()
    }

    fn problem(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.disk.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::*;
    use crate::capture::Attachment;
    use crate::capture::attach::memory::Memory;
    use crate::model::{Egress, Subject};

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_disk_refuses_is_said_and_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let attachments = Arc::new(Attachments::open(folder.path()).unwrap());
        // It takes everything and keeps nothing.
        let refuses = File::options().write(true).open("/dev/null").unwrap();
        attachments.memory().write_to(refuses);
        let stop = CancellationToken::new();
        let (keeper, stopped) = (Arc::clone(&attachments), stop.clone());
        let keeping = tokio::spawn(async move { keeper.keep(Events::new(), stopped).await });

        let subject = Subject::Uid(7);
        let attachment = Attachment { subject, service: None, uid: 0, egress: Egress::Any };
        let mut table = attachments.table().await;
        attachments.put(&mut table, attachment.clone()).unwrap();
        drop(table);
        let is = async |refused: bool| {
            while attachments.unkept().is_some() != refused {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), is(true)).await.expect("it is said");
        tokio::time::timeout(Duration::from_secs(10), is(false)).await.expect("it is mended");
        let (_, known) = Memory::open(folder.path().join("attachments")).unwrap();
        assert_eq!(known, [attachment]);
        stop.cancel();
        keeping.await.unwrap();
    }
}
