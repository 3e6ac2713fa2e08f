//! `BypassService`: traffic that goes direct for a time, and its end.
//!
//! A bypass is declared like everything else, with its end in it: it is durable, in the history,
//! and `undo` knows it. What capture makes of it is [`capture::Detour`]'s matter.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh_proto::manifest::duration;
use mesh_proto::v1::bypass_service_server::BypassService;
use mesh_proto::{codes, v1};
use tokio::time::{sleep, timeout};
use tonic::{Request, Response, Status};
use tracing::warn;

use super::authorise::Peer;
use super::core::Core;
use super::error::Failure;
use super::{answer, convert};
use crate::capture::Detour;
use crate::intent::Author;
use crate::model::{Bypass, Extent};
use crate::state::{Declared, Draft, Mutation, Outcome, Snapshot, Store, View};
use crate::telemetry::{Events, Severity};

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(10);

pub(super) struct Bypasses(pub(super) Arc<Core>);

#[tonic::async_trait]
impl BypassService for Bypasses {
    async fn begin(
        &self,
        request: Request<v1::BeginBypassRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.start(peer, request.into_inner()).await?))
    }

    async fn end(
        &self,
        request: Request<v1::EndBypassRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let peer = Peer::of(&request)?;
        Ok(Response::new(self.stop(peer, request.into_inner()).await?))
    }
}

impl Bypasses {
    async fn start(
        &self,
        peer: Peer,
        request: v1::BeginBypassRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let extent = extent(request.extent)?;
        let lasting = lasting(request.lasting)?;
        let detour = self.detour(&extent).await?;
        let edit = |draft: &mut Draft| {
            if let Extent::Service(service) = &extent {
                Core::existing(draft.declared(), service)?;
            }
            let lasting = u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX);
            let until_ms = draft.now_ms().saturating_add(lasting);
            draft.put_bypass(Bypass { extent: extent.clone(), until_ms });
            Ok(())
        };
        let dry_run = request.mutation.as_ref().is_some_and(|mutation| mutation.dry_run);
        let outcome = self.0.change(peer, request.mutation, edit).await?;
        let changes = outcome.changes.iter().map(|change| answer::line(change, "")).collect();
        let mut warnings = vec![promise(detour, &extent)];
        warnings.extend(self.open_ones(&outcome.snapshot, &extent));
        if !dry_run {
            self.tell(&outcome, lasting, peer);
        }
        Ok(v1::ChangeResponse { warnings, ..answer::response(&outcome, changes) })
    }

    async fn stop(
        &self,
        peer: Peer,
        request: v1::EndBypassRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        let extent = extent(request.extent)?;
        let edit = |draft: &mut Draft| match &extent {
            // A name that is neither bypassed nor a service is a mistake.
            Extent::Service(service) if !draft.delete_bypass(&extent) => {
                Core::existing(draft.declared(), service)
            }
            Extent::Service(_) => Ok(()),
            Extent::Everything => {
                draft.delete_bypass(&extent);
                Ok(())
            }
        };
        let outcome = self.0.change(peer, request.mutation, edit).await?;
        let mut changes: Vec<_> =
            outcome.changes.iter().map(|change| answer::line(change, "")).collect();
        if changes.is_empty() {
            changes.push(answer::bypass_line(&extent, v1::Action::NotFound, String::new()));
        }
        Ok(answer::response(&outcome, changes))
    }

    /// What a bypass can do here; refused where that is nothing, or nothing one may do.
    async fn detour(&self, extent: &Extent) -> Result<Detour, Failure> {
        let refused = |why: &str| {
            Failure::new(codes::BYPASS_REFUSED, format!("cannot bypass {extent}")).why(why)
        };
        if self.0.daemon.rootless.is_some() {
            let why = "a run without root has no way out of its network namespace but meshd";
            return Err(refused(why).fix("run the command without meshctl"));
        }
        let capture = self.0.daemon.capture.lock().await;
        let captures = capture.as_ref().filter(|capture| capture.captures());
        let Some(capture) = captures else {
            let why = "nothing is captured on this host: everything goes direct already";
            return Err(refused(why).fix("meshctl status"));
        };
        match capture.detour(&self.0.daemon.published.newest()) {
            Detour::Closed => {
                let why = "mtls.mode is strict, and going around meshd is plain text";
                let fix = "or set mtls.mode: permissive in meshd's settings, and reload it";
                Err(refused(why).fix("meshctl events   (what is wrong)").fix(fix))
            }
            detour @ (Detour::Addresses | Detour::Names) => Ok(detour),
        }
    }

    /// A warning of connections that meshd goes on carrying.
    fn open_ones(&self, snapshot: &Snapshot, extent: &Extent) -> Option<String> {
        let window = self.0.daemon.rates.window(LOOK);
        let open = match extent {
            Extent::Everything => window.total().open,
            Extent::Service(service) => {
                let service =
                    snapshot.by_name.get(service).and_then(|&at| snapshot.services.get(at));
                service.map_or(0, |service| window.service(service).open)
            }
        };
        match open {
            0 => None,
            1 => Some("1 open connection stays with meshd until it is closed".to_owned()),
            open => Some(format!("{open} open connections stay with meshd until they are closed")),
        }
    }

    fn tell(&self, outcome: &Outcome, lasting: Duration, peer: Peer) {
        for change in &outcome.changes {
            let Some(until) = change.until_ms else { continue };
            let (lasting, until) = (duration::print(lasting), convert::second_text(until));
            let message = format!("goes direct for {lasting} by {}, until {until}", peer.user());
            let events = &self.0.daemon.telemetry.events;
            events.emit("bypass/began", change.topic.to_string(), message, Severity::Warning);
        }
    }
}

fn extent(written: Option<v1::Extent>) -> Result<Extent, Failure> {
    let written = written.unwrap_or_default();
    if written.all {
        return Ok(Extent::Everything);
    }
    convert::service_name(&written.namespace, &written.service).map(Extent::Service)
}

fn lasting(written: Option<prost_types::Duration>) -> Result<Duration, Failure> {
    let lasting = written.and_then(|written| Duration::try_from(written).ok());
    let lasting = lasting.filter(|lasting| (SHORTEST..=LONGEST).contains(lasting));
    let shown = written.map(|written| written.to_string()).unwrap_or_default();
    lasting.ok_or_else(|| {
        let why = "a bypass lasts 1s to 24h: it must not be forgotten";
        convert::invalid(format!("--for {shown} cannot be used"), why)
    })
}

/// What will become of calls by name: the same a person must know before and after.
fn promise(detour: Detour, extent: &Extent) -> String {
    match (detour, extent) {
        (Detour::Names, Extent::Everything) => {
            "names still resolve and lead to a ready endpoint, in plain text, without routes, \
             retries and timeouts"
                .to_owned()
        }
        (Detour::Names, Extent::Service(service)) => format!(
            "{} leads to a ready endpoint, in plain text, without routes, retries and timeouts",
            service.dns_name()
        ),
        (Detour::Addresses | Detour::Closed, Extent::Everything) => {
            "mesh names do not resolve and their addresses are refused: only meshd leads there \
             with this backend; real addresses go direct"
                .to_owned()
        }
        (Detour::Addresses | Detour::Closed, Extent::Service(service)) => format!(
            "{} still passes meshd: nothing else leads there with this backend; its endpoints' \
             own addresses go direct",
            service.dns_name()
        ),
    }
}

/// What an operator should not forget.
pub(super) fn problems(declared: &Declared) -> impl Iterator<Item = v1::Problem> {
    let now = unix_ms();
    let bypasses = declared.bypasses.values().filter(move |held| held.value.until_ms > now);
    bypasses.map(|held| {
        let Bypass { extent, until_ms } = &held.value;
        let (what, word) = match extent {
            Extent::Everything => ("everything".to_owned(), "--all".to_owned()),
            Extent::Service(service) => (service.to_string(), service.name.clone()),
        };
        let until = convert::second_text(*until_ms);
        v1::Problem {
            id: format!("bypass/{extent}"),
            summary: format!("{what} goes direct, not through meshd, until {until}"),
            fix: format!("meshctl bypass {word} --end"),
        }
    })
}

/// Ends what is over, or what the settings no longer allow; never returns.
pub(crate) async fn follow(store: Arc<Store>, events: Events) {
    let mut news = store.news();
    loop {
        let View { declared, snapshot } = store.view().await;
        let is_strict = snapshot.strict;
        let now = unix_ms();
        let bypasses = || declared.bypasses.values().map(|held| &held.value);
        for bypass in bypasses().filter(|bypass| is_strict || bypass.until_ms <= now) {
            end(&store, &events, bypass, if is_strict { STRICT } else { OVER }).await;
        }
        let next = bypasses().map(|bypass| bypass.until_ms).filter(|until| *until > now).min();
        let left =
            next.map_or(LOOK, |until| Duration::from_millis(until.saturating_sub(unix_ms())));
        if timeout(left.min(LOOK), news.changed()).await.is_ok_and(|told| told.is_err()) {
            // The store is gone with the daemon.
            sleep(LOOK).await;
        }
    }
}

const OVER: &str = "its time is over";
const STRICT: &str = "mtls.mode is strict";

async fn end(store: &Store, events: &Events, bypass: &Bypass, reason: &str) {
    let mutation = Mutation { reason: reason.to_owned(), ..Mutation::default() };
    let delete = |draft: &mut Draft| {
        let held = draft.declared().bypasses.get(&bypass.extent);
        if held.is_some_and(|held| held.value == *bypass) {
            draft.delete_bypass(&bypass.extent);
        }
        Ok::<(), Failure>(())
    };
    let subject = format!("bypass/{}", bypass.extent);
    match store.update(Author::meshd(reason), mutation, delete).await {
        Ok(_) => {
            let message = format!("{reason}; captured again");
            events.emit("bypass/ended", subject, message, Severity::Info);
        }
        Err(error) => {
            let failure = Failure::from(error);
            warn!(error = failure.message(), subject, "an ended bypass is still written down");
            // Over it is, all the same.
            if let Err(error) = store.refresh().await {
                warn!(%error, subject, "the end is not known everywhere");
            }
        }
    }
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
