//! RecordService: what each request, connection and DNS question met.

mod show;
mod steps;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use mesh_proto::v1;
use mesh_proto::v1::record_service_server::RecordService;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use self::show::Show;
use crate::config::Identity;
use crate::record::{Cursor, Entry, Rings};
use crate::state::{Interner, Published};

/// How often followers look into the rings.
const PERIOD: Duration = Duration::from_millis(50);
const NEWEST: usize = 100;

/// See the module. Streams end at `stop`.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    pub(crate) rings: Rings,
    pub(crate) published: Arc<Published>,
    pub(crate) names: Interner,
    pub(crate) identity: Identity,
    /// The cgroup that holds every run, "meshd.slice".
    pub(crate) cgroup: String,
    pub(crate) stop: CancellationToken,
}

#[tonic::async_trait]
impl RecordService for Records {
    async fn list(
        &self,
        request: Request<v1::ListRecordsRequest>,
    ) -> Result<Response<v1::ListRecordsResponse>, Status> {
        let asked = request.into_inner();
        let filter = Filter::new(asked.filter.unwrap_or_default(), self.names.clone());
        let limit = match usize::try_from(asked.limit) {
            Ok(limit) if limit > 0 => limit,
            _ => NEWEST,
        };
        let found = self.rings.newest(limit, |entry| filter.accepts(entry));
        let snapshot = self.published.newest();
        let show = self.show(&snapshot);
        let records = found.iter().map(|entry| show.record(entry)).collect();
        Ok(Response::new(v1::ListRecordsResponse { records }))
    }

    type StreamStream = Pin<Box<dyn Stream<Item = Result<v1::Record, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<v1::RecordFilter>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let feed = Feed {
            filter: Filter::new(request.into_inner(), self.names.clone()),
            cursors: self.rings.cursors(),
            read: VecDeque::new(),
            records: self.clone(),
            ticks,
        };
        let records = stream::unfold(feed, async |mut feed| {
            feed.next().await.map(|record| (Ok(record), feed))
        });
        Ok(Response::new(Box::pin(records)))
    }
}

impl Records {
    fn show<'a>(&'a self, snapshot: &'a crate::state::Snapshot) -> Show<'a> {
        Show { snapshot, names: &self.names, identity: &self.identity, cgroup: &self.cgroup }
    }
}

/// New records for one client; the rings wait for nobody, so it may miss some.
struct Feed {
    records: Records,
    filter: Filter,
    cursors: Vec<Cursor>,
    read: VecDeque<Entry>,
    ticks: Interval,
}

impl Feed {
    async fn next(&mut self) -> Option<v1::Record> {
        loop {
            if let Some(entry) = self.read.pop_front() {
                let snapshot = self.records.published.newest();
                return Some(self.records.show(&snapshot).record(&entry));
            }
            self.records.stop.run_until_cancelled(self.ticks.tick()).await?;
            for cursor in &mut self.cursors {
                cursor.read(|entry| {
                    if self.filter.accepts(&entry) {
                        self.read.push_back(entry);
                    }
                });
            }
        }
    }
}

/// What a client asked for; empty fields accept everything.
struct Filter {
    asked: v1::RecordFilter,
    names: Interner,
}

impl Filter {
    fn new(mut asked: v1::RecordFilter, names: Interner) -> Self {
        asked.trace_id.make_ascii_lowercase();
        Self { asked, names }
    }

    fn accepts(&self, entry: &Entry) -> bool {
        let (asked, record) = (&self.asked, &entry.record);
        let named = |wanted: &str, id: u32| wanted.is_empty() || *self.names.name(id) == *wanted;
        let slower = Duration::from_nanos(record.steps.total())
            >= Duration::from_millis(asked.slower_than_ms.into());
        let of_trace = || {
            let id = entry.trace_id().unwrap_or_default();
            asked.trace_id.is_empty() || id.starts_with(&asked.trace_id)
        };
        let (picked, subset) = record.pick.map_or((0, 0), |pick| (pick.service, pick.subset));
        slower
            && (!asked.failed || entry.failed())
            && named(&asked.from, record.source.service)
            && (named(&asked.to, record.service) || named(&asked.to, picked))
            && named(&asked.subset, subset)
            && of_trace()
    }
}
