//! EventService: what happened in the mesh that an operator may want to know.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::SystemTime;

use futures_util::stream::{self, Stream};
use mesh_proto::v1;
use mesh_proto::v1::event_service_server::EventService;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::telemetry::{Event, Events};

/// See the module. Streams end at `stop`.
#[derive(Clone, Debug)]
pub(crate) struct EventLog {
    pub(crate) events: Events,
    pub(crate) stop: CancellationToken,
}

#[tonic::async_trait]
impl EventService for EventLog {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<v1::Event, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<v1::StreamEventsRequest>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let asked = request.into_inner();
        let since = asked.since.and_then(|since| SystemTime::try_from(since).ok());
        let (mut kept, news) = self.events.follow();
        kept.retain(|event| since.is_none_or(|since| event.time > since));
        let follower = Follower {
            kept: kept.into(),
            news: asked.follow.then_some(news),
            stop: self.stop.clone(),
        };
        let events = stream::unfold(follower, async |mut follower| {
            follower.next().await.map(|event| (Ok(message(event)), follower))
        });
        Ok(Response::new(Box::pin(events)))
    }
}

struct Follower {
    kept: VecDeque<Event>,
    /// `None`: ends with the kept ones.
    news: Option<broadcast::Receiver<Event>>,
    stop: CancellationToken,
}

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.kept.pop_front() {
            return Some(event);
        }
        let news = self.news.as_mut()?;
        loop {
            match self.stop.run_until_cancelled(news.recv()).await? {
                Ok(event) => return Some(event),
                // Too slow: goes on with the oldest that is left.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

fn message(event: Event) -> v1::Event {
    v1::Event {
        time: Some(event.time.into()),
        kind: event.kind.to_owned(),
        subject: event.subject,
        message: event.message,
        severity: event.severity.label().to_owned(),
    }
}
