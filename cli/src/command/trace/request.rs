//! `meshctl trace request`: sends a real request from inside the mesh and tells its story.
//!
//! Times of steps come from the daemon's records; what is left of the whole time is this
//! process's own, and is said so.

use std::time::{Duration, Instant};

use clap_complete::ArgValueCandidates;
use mesh_proto::codes;
use mesh_proto::v1::record::Kind;
use mesh_proto::v1::{Record, RecordFilter, StartRunRequest};

use super::http::{Exchange, Plan};
use super::story::{Step, Story, lay_out, micros, start, whole};
use super::{newest, of_trace, samples};
use crate::args::duration::Limit;
use crate::args::help;
use crate::client::Client;
use crate::command::run::{self, namespace};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// A record is written when the request ends; it may be readable a moment after the answer is.
const RECORD_PATIENCE: Duration = Duration::from_secs(1);
const RECORD_PAUSE: Duration = Duration::from_millis(5);
/// Newest records among which the name lookup's are looked for.
const LOOKUPS: u32 = 200;

/// Send one real request and show every decision
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl trace request http://web.mesh/v2/x --from cli
  meshctl trace request http://web.mesh/ --expect 200 --max-latency 200ms -q
  meshctl trace request http://web.mesh/charge -d '{\"sum\": 3}' -H 'content-type: application/json'
  meshctl trace request http://web.mesh/ --samples 20")]
pub(crate) struct Args {
    /// What to ask for, http://…
    url: String,
    /// Service to send as [default: this run's, else none]
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(complete::services))]
    from: Option<String>,
    /// Method [default: GET, with a body POST]
    #[arg(short = 'X', long, value_name = "METHOD")]
    request: Option<String>,
    /// Header to send (repeatable)
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Body to send
    #[arg(short = 'd', long, value_name = "TEXT")]
    data: Option<String>,
    /// Exit 1 unless the answer has this status
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(100..=599))]
    expect: Option<u16>,
    /// Exit 1 when the answer takes longer
    #[arg(long, value_name = "DUR")]
    max_latency: Option<Limit>,
    /// Longest time for one answer, 0 for no limit; exit 124 when reached [default: 30s]
    #[arg(id = help::OWN_TIMEOUT, long = "timeout", value_name = "DUR")]
    patience: Option<Limit>,
    /// Send N requests and show the spread of each step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    samples: Option<u32>,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.url, args.request.as_deref(), &args.header, args.data.as_deref())?;
    if args.from.is_some() || !inside_run() {
        let wanted = StartRunRequest {
            r#as: args.from.clone().unwrap_or_default(),
            namespace: context.namespace.clone(),
            command: vec!["meshctl".to_owned(), "trace".to_owned(), args.url.clone()],
            ..StartRunRequest::default()
        };
        let scope = run::start(wanted, context).await?;
        if !scope.gate.is_empty() {
            namespace::enter(&scope)?;
        }
        context.detail(|| format!("{}: cgroup {}", scope.id, scope.cgroup));
    }
    let client = context.client().await?;
    let mut stories = Vec::new();
    for _ in 0..args.samples.unwrap_or(1) {
        let exchange = in_time(&plan, args).await?;
        stories.push(story(&plan, &exchange, &client).await?);
    }
    match (stories.as_slice(), args.samples) {
        ([story], None) => context.output.show(&story.answer(&context.output))?,
        (stories, _) => context.output.show(&samples::answer(stories))?,
    }
    stories.iter().try_for_each(|story| judge(story, args))?;
    Ok(Exit::DONE)
}

/// Whether this process already is in a scope that `meshctl run` made.
fn inside_run() -> bool {
    if std::env::var_os(run::RUN).is_some() {
        return true;
    }
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    cgroups.lines().any(|line| {
        let scope = line.rsplit('/').next().unwrap_or_default();
        scope.starts_with("run-") && scope.ends_with(".scope")
    })
}

async fn in_time(plan: &Plan, args: &Args) -> Result<Exchange, Failure> {
    let patience = args.patience.map_or(Some(DEFAULT_TIMEOUT), Limit::bound);
    let Some(patience) = patience else {
        return plan.send().await;
    };
    match tokio::time::timeout(patience, plan.send()).await {
        Ok(exchange) => exchange,
        Err(_elapsed) => {
            let message = format!("{} did not answer within {patience:?}", plan.url());
            Err(Failure::new(&codes::NO_ANSWER, message)
                .why("the request was sent; the whole answer did not arrive")
                .fix("meshctl trace list --failed   (once it has ended)"))
        }
    }
}

/// Joins what the client saw with what the daemon recorded.
async fn story(plan: &Plan, exchange: &Exchange, client: &Client) -> Result<Story, Failure> {
    let records = recorded(exchange, client).await?;
    let lookup = lookup_steps(plan, exchange, client).await?;
    let steps = match records.is_empty() {
        true => lookup.into_iter().chain(unrecorded(exchange)).collect(),
        false => lay_out(&records, lookup),
    };
    Ok(Story {
        trace: exchange.trace.clone(),
        method: plan.method().to_owned(),
        url: plan.url(),
        status: exchange.status.into(),
        bytes: exchange.bytes,
        total: whole(&steps),
        steps,
    })
}

fn since(exchange: &Exchange, record: &Record) -> u64 {
    let offset = start(record).and_then(|start| start.duration_since(exchange.began).ok());
    micros(offset.unwrap_or_default())
}

async fn recorded(exchange: &Exchange, client: &Client) -> Result<Vec<Record>, Failure> {
    let deadline = Instant::now() + RECORD_PATIENCE;
    loop {
        let records = of_trace(client, &exchange.trace).await?;
        if !records.is_empty() || Instant::now() > deadline {
            return Ok(records);
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
}

/// Without a record the request did not pass the mesh: only the client's own times are known.
fn unrecorded(exchange: &Exchange) -> [Step; 2] {
    let offset = micros(exchange.lookup.unwrap_or_default());
    let connect = micros(exchange.connect);
    let rest = micros(exchange.total).saturating_sub(offset + connect);
    let step = |name: &str, offset, micros, detail| Step {
        node: String::new(),
        service: String::new(),
        name: name.to_owned(),
        offset,
        micros,
        detail,
        inner: false,
    };
    let peer = exchange.peer;
    [
        step("connect", offset, connect, format!("{peer}: not captured, no address of the mesh")),
        step("exchange", offset + connect, rest, "measured by meshctl".to_owned()),
    ]
}

/// The name lookup: as recorded where the mesh answered it, as measured elsewhere.
async fn lookup_steps(
    plan: &Plan,
    exchange: &Exchange,
    client: &Client,
) -> Result<Vec<Step>, Failure> {
    let Some(measured) = exchange.lookup else {
        return Ok(Vec::new());
    };
    let pid = i32::try_from(std::process::id()).unwrap_or_default();
    let ours = |record: &Record| {
        record.kind() == Kind::Dns
            && record.source.as_ref().is_some_and(|source| source.pid == pid)
            && record.host.trim_end_matches('.').eq_ignore_ascii_case(plan.host())
            && start(record).is_some_and(|start| start >= exchange.began)
    };
    let mut records = newest(client, RecordFilter::default(), LOOKUPS).await?;
    records.retain(ours);
    let span = |record: &Record| {
        let from = since(exchange, record);
        (from, from + record.duration_us)
    };
    let from = records.iter().map(|record| span(record).0).min();
    let to = records.iter().map(|record| span(record).1).max();
    let answers: Vec<_> = records.iter().map(|record| record.answer.as_str()).collect();
    let (offset, time, detail) = match (from, to) {
        (Some(from), Some(to)) => {
            (from, to - from, format!("{} -> {}", plan.host(), joined(&answers)))
        }
        _ => (0, micros(measured), format!("{} -> {}", plan.host(), exchange.peer.ip())),
    };
    let source = records.first().and_then(|record| record.source.as_ref());
    Ok(vec![Step {
        node: records.first().map(|record| record.node.clone()).unwrap_or_default(),
        service: source.map(|source| source.service.clone()).unwrap_or_default(),
        name: "dns".to_owned(),
        offset,
        micros: time,
        detail,
        inner: false,
    }])
}

/// The different answers, IPv4 and IPv6.
fn joined(answers: &[&str]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for answer in answers.iter().filter(|answer| !answer.is_empty()) {
        if !seen.contains(answer) {
            seen.push(answer);
        }
    }
    seen.join(", ")
}

fn judge(story: &Story, args: &Args) -> Result<(), Failure> {
    if let Some(expected) = args.expect.filter(|expected| u32::from(*expected) != story.status) {
        let message = format!("{} answered {}, not {expected}", story.url, story.status);
        return Err(Failure::new(&codes::UNEXPECTED_STATUS, message)
            .fix(format!("meshctl trace get {}", story.trace)));
    }
    let limit = args.max_latency.map(|limit| micros(limit.0));
    if let Some(limit) = limit.filter(|limit| story.total > *limit) {
        let (took, limit) = (Duration::from_micros(story.total), Duration::from_micros(limit));
        let message = format!("{} took {took:?}, longer than {limit:?}", story.url);
        return Err(Failure::new(&codes::TOO_SLOW, message)
            .fix(format!("meshctl trace get {}", story.trace)));
    }
    Ok(())
}
