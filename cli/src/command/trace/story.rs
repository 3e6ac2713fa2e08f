//! One request as a sequence of steps with their times and what was decided in each.

use std::time::{Duration, SystemTime};

use mesh_proto::v1::Record;
use mesh_proto::v1::record::Kind;
use serde_json::{Value, json};

use super::waterfall;
use crate::command::get::or_dash;
use crate::output::{Answer, Human, Output, number};

#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) trace: String,
    pub(super) method: String,
    pub(super) url: String,
    /// 0 when no answer came.
    pub(super) status: u32,
    pub(super) bytes: u64,
    /// Whole time in microseconds; the steps add up to it.
    pub(super) total: u64,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) node: String,
    pub(super) service: String,
    pub(super) name: String,
    /// Microseconds from the beginning of the story.
    pub(super) offset: u64,
    pub(super) micros: u64,
    pub(super) detail: String,
    /// Happened inside another step: not part of the sum.
    pub(super) inner: bool,
}

/// The story the daemon's records tell.
pub(super) fn of_records(records: &[Record]) -> Option<Story> {
    let first = outermost(records)?;
    let host = if first.host.is_empty() { &first.destination } else { &first.host };
    let scheme = if first.kind() == Kind::Http { "http" } else { "tcp" };
    let steps = lay_out(records, Vec::new());
    Some(Story {
        trace: first.trace_id.clone(),
        method: or_dash(&first.method),
        url: format!("{scheme}://{host}{}", first.path),
        status: first.status,
        bytes: first.bytes_sent,
        total: whole(&steps),
        steps,
    })
}

/// `before`, then the outermost request's steps one after the other; what it called in turn
/// stands where it happened, as one row a call.
pub(super) fn lay_out(records: &[Record], mut before: Vec<Step>) -> Vec<Step> {
    let mut next = 0;
    for step in &mut before {
        step.offset = next;
        next += step.micros;
    }
    let Some(first) = outermost(records) else { return before };
    let began = start(first);
    before.extend(steps_of(first, next));
    let inner = records.iter().filter(|record| record.id != first.id);
    before.extend(inner.map(|record| {
        let since =
            start(record).zip(began).and_then(|(then, began)| then.duration_since(began).ok());
        call(record, next + micros(since.unwrap_or_default()))
    }));
    before
}

/// Time from the first step's beginning to the last one's end.
pub(super) fn whole(steps: &[Step]) -> u64 {
    steps.iter().filter(|step| !step.inner).map(|step| step.micros).sum()
}

/// The request that led to all others: the one that began first.
fn outermost(records: &[Record]) -> Option<&Record> {
    let of_kind = |http: bool| {
        let wanted = records.iter().filter(move |record| !http || record.kind() == Kind::Http);
        wanted.min_by_key(|record| start(record))
    };
    of_kind(true).or_else(|| of_kind(false))
}

/// A request made while the outermost one was served, and known by its trace id.
fn call(record: &Record, offset: u64) -> Step {
    let asked = if record.kind() == Kind::Http {
        format!("{} {} {}", record.method, record.path, record.status)
    } else {
        record.protocol.clone()
    };
    let by = record.endpoint.as_ref().map(|at| format!(" by {}", at.address)).unwrap_or_default();
    Step {
        node: record.node.clone(),
        service: record.source.as_ref().map(|source| source.service.clone()).unwrap_or_default(),
        name: format!("-> {}", record.service),
        offset,
        micros: record.duration_us,
        detail: format!("{asked}{by}; linked by traceparent"),
        inner: true,
    }
}

/// The steps of one record, one after the other from `offset`.
fn steps_of(record: &Record, offset: u64) -> Vec<Step> {
    let source = record.source.as_ref().map(|source| source.service.clone()).unwrap_or_default();
    let chosen = record.endpoint.as_ref().map(|endpoint| endpoint.service.clone());
    let mut next = offset;
    let step = |step: &mesh_proto::v1::Step| {
        let offset = next;
        next += step.micros;
        let served = matches!(step.name.as_str(), "app" | "first byte");
        let service = if served { chosen.clone().unwrap_or_default() } else { source.clone() };
        Step {
            node: record.node.clone(),
            service,
            name: step.name.clone(),
            offset,
            micros: step.micros,
            detail: step.detail.clone(),
            inner: false,
        }
    };
    record.steps.iter().map(step).collect()
}

pub(super) fn start(record: &Record) -> Option<SystemTime> {
    record.start.and_then(|start| SystemTime::try_from(start).ok())
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Story {
    pub(super) fn answer(&self, output: &Output) -> Answer {
        Answer {
            document: self.document(),
            names: vec![format!("trace/{}", self.trace)],
            human: Human::Text(format!(
                "{}\n{}{}\n",
                self.title(),
                waterfall::render(self, output.paint()),
                self.shares()
            )),
        }
    }

    /// "trace 4bf92f35  GET http://web.mesh/checkout -> 200 OK, 1.8 kB, 48.6 ms".
    fn title(&self) -> String {
        let id: String = self.trace.chars().take(8).collect();
        let status =
            u16::try_from(self.status).ok().and_then(|code| hyper::StatusCode::from_u16(code).ok());
        let status = match (status, self.status) {
            (Some(status), _) => status.to_string(),
            (None, 0) => "no answer".to_owned(),
            (None, other) => other.to_string(),
        };
        let size = number::bytes(self.bytes as f64);
        let total = number::step(self.total);
        format!("trace {id}  {} {} -> {status}, {size}, {total}", self.method, self.url)
    }

    /// "time: web 43.2 ms (98.6%), mesh 0.6 ms (1.4%)".
    fn shares(&self) -> String {
        let mut parts: Vec<(String, u64)> = Vec::new();
        for step in self.steps.iter().filter(|step| !step.inner) {
            let whose = match step.name.as_str() {
                "app" | "first byte" => or_dash(&step.service),
                _ => "mesh".to_owned(),
            };
            match parts.iter_mut().find(|(name, _)| *name == whose) {
                Some((_, micros)) => *micros += step.micros,
                None => parts.push((whose, step.micros)),
            }
        }
        parts.sort_by_key(|(_, micros)| std::cmp::Reverse(*micros));
        let percent = |micros: u64| micros as f64 * 100.0 / self.total.max(1) as f64;
        let shown = parts.iter().map(|(name, micros)| {
            format!("{name} {} ({:.1}%)", number::step(*micros), percent(*micros))
        });
        format!("time: {}", shown.collect::<Vec<_>>().join(", "))
    }

    pub(super) fn document(&self) -> Value {
        let step = |step: &Step| {
            json!({
                "node": step.node,
                "service": step.service,
                "name": step.name,
                "offsetUs": step.offset,
                "durationUs": step.micros,
                "detail": step.detail,
                "inner": step.inner,
            })
        };
        json!({
            "apiVersion": "mesh/v1",
            "kind": "Trace",
            "traceId": self.trace,
            "method": self.method,
            "url": self.url,
            "status": (self.status > 0).then_some(self.status),
            "bytes": self.bytes,
            "durationUs": self.total,
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }
}
