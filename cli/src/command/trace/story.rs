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
}

/// The story the daemon's records tell, without what the client did around them.
pub(super) fn of_records(records: &[Record]) -> Option<Story> {
    let first = records.iter().find(|record| record.kind() == Kind::Http).or(records.first())?;
    let began = start(first)?;
    let mut steps = Vec::new();
    for record in records {
        let offset = start(record).and_then(|start| start.duration_since(began).ok());
        steps.extend(steps_of(record, micros(offset.unwrap_or_default())));
    }
    let end = steps.iter().map(|step| step.offset + step.micros).max().unwrap_or_default();
    let host = if first.host.is_empty() { &first.destination } else { &first.host };
    let scheme = if first.kind() == Kind::Http { "http" } else { "tcp" };
    Some(Story {
        trace: first.trace_id.clone(),
        method: or_dash(&first.method),
        url: format!("{scheme}://{host}{}", first.path),
        status: first.status,
        bytes: first.bytes_sent,
        total: end,
        steps,
    })
}

/// The steps of one record, one after the other from `offset`.
pub(super) fn steps_of(record: &Record, offset: u64) -> Vec<Step> {
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

    /// "time: web 43.2 ms (88.9%), mesh 0.6 ms (1.2%), meshctl 4.8 ms (9.9%)".
    fn shares(&self) -> String {
        let mut parts: Vec<(String, u64)> = Vec::new();
        for step in &self.steps {
            let whose = match step.name.as_str() {
                "app" | "first byte" => or_dash(&step.service),
                "client" => "meshctl".to_owned(),
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
