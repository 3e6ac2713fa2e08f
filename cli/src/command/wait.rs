//! `meshctl wait`: until objects are there, healthy, live or gone; exit 124 when they are not.

mod condition;
mod jsonpath;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use clap_complete::{ArgValueCandidates, ArgValueCompleter};
use futures_util::future::{FutureExt as _, select_all, try_join_all};
use mesh_proto::codes;
use mesh_proto::v1::GetRequest;
use serde_json::json;

use crate::args::duration::Limit;
use crate::args::{help, target};
use crate::client::Client;
use crate::command::object::Object;
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{Answer, Human, number};
use condition::Condition;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Wait until objects are in a state (exit 124 if they are not in time)
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl wait service/web --for healthy --timeout 60s
  meshctl wait service/web service/db --for ready --any
  meshctl wait service/web --for jsonpath='{.status.ready}'=2
  meshctl wait route/web --for deleted")]
pub(crate) struct Args {
    /// What to wait for; it need not exist yet
    #[arg(required = true, value_name = "KIND/NAME", add = ArgValueCompleter::new(complete::targets))]
    targets: Vec<String>,
    /// The state: exists, ready (an endpoint is), healthy (all are), live (on every node),
    /// deleted, or jsonpath=EXPR[=VALUE]
    #[arg(long = "for", value_name = "STATE", add = ArgValueCandidates::new(complete::conditions))]
    condition: Condition,
    /// Longest wait, 0 for no limit [default: 60s]
    #[arg(id = help::OWN_TIMEOUT, long = "timeout", value_name = "DUR")]
    patience: Option<Limit>,
    /// One of them is enough
    #[arg(long)]
    any: bool,
}

/// One object that is waited for, and what was last seen of it.
struct Awaited {
    kind: &'static str,
    name: String,
    last: RefCell<String>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let named = target::named_targets(&args.targets)?;
    let awaited =
        |(kind, name)| Awaited { kind, name, last: RefCell::new("not seen yet".to_owned()) };
    let awaited: Vec<_> = named.into_iter().map(awaited).collect();
    let client = context.client().await?;
    let started = Instant::now();
    let patience = args.patience.map_or(Some(DEFAULT_TIMEOUT), Limit::bound);
    let spinner = context.output.spinner(format!("waiting for {}", args.targets.join(", ")));
    let reached = all_or_any(&awaited, args, &client, context);
    let reached = match patience {
        None => reached.await?,
        Some(patience) => match tokio::time::timeout(patience, reached).await {
            Ok(reached) => reached?,
            Err(_elapsed) => return Err(timed_out(&awaited, &args.condition, patience)),
        },
    };
    spinner.finish_and_clear();
    show(&reached, args, started.elapsed(), context)?;
    Ok(Exit::DONE)
}

async fn all_or_any<'a>(
    awaited: &'a [Awaited],
    args: &Args,
    client: &Client,
    context: &Context,
) -> Result<Vec<&'a Awaited>, Failure> {
    let waits =
        awaited.iter().map(|one| reach(one, &args.condition, client, context).boxed_local());
    if args.any {
        let (first, _, _) = select_all(waits).await;
        return first.map(|one| vec![one]);
    }
    try_join_all(waits).await
}

/// Follows one object until it is in the state.
async fn reach<'a>(
    one: &'a Awaited,
    condition: &Condition,
    client: &Client,
    context: &Context,
) -> Result<&'a Awaited, Failure> {
    let request = GetRequest {
        kind: one.kind.to_owned(),
        namespace: context.namespace.clone(),
        name: one.name.clone(),
    };
    let mut states = client.call(client.manifests().watch(request)).await?;
    while let Some(state) = states.message().await? {
        let objects = state.objects.iter().map(|object| Object::parse(object));
        let objects = objects.collect::<Result<Vec<_>, _>>()?;
        let object = objects.iter().find(|object| object.name() == one.name);
        if condition.holds(object) {
            return Ok(one);
        }
        one.last.replace(condition::seen(object));
    }
    Err(Failure::new(&codes::CONNECTION_LOST, "meshd ended the watch").fix("meshctl status"))
}

fn show(
    reached: &[&Awaited],
    args: &Args,
    took: Duration,
    context: &Context,
) -> Result<(), Failure> {
    let state = args.condition.to_string();
    let names: Vec<_> = reached.iter().map(|one| format!("{}/{}", one.kind, one.name)).collect();
    let after = number::elapsed(took);
    let text = names.iter().map(|name| format!("{name} {state} after {after}\n")).collect();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let item = |name: &String| json!({"name": name, "condition": state, "afterMs": millis});
    let items: Vec<_> = names.iter().map(item).collect();
    context.output.show(&Answer {
        document: json!({"apiVersion": "mesh/v1", "kind": "WaitList", "items": items}),
        names,
        human: Human::Text(text),
    })
}

fn timed_out(awaited: &[Awaited], condition: &Condition, patience: Duration) -> Failure {
    let names: Vec<_> = awaited.iter().map(|one| format!("{}/{}", one.kind, one.name)).collect();
    let message = format!("{} not {condition} within {patience:?}", names.join(", "));
    let mut failure = Failure::new(&codes::WAIT_TIMED_OUT, message);
    for (one, name) in awaited.iter().zip(&names) {
        failure = failure.why(format!("{name} last seen: {}", one.last.borrow()));
    }
    match names.first() {
        Some(name) => failure.fix(format!("meshctl describe {name}")),
        None => failure,
    }
}
