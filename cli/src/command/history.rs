//! `meshctl history`: every change with its author and command line.

use std::time::SystemTime;

use mesh_proto::v1::{HistoryEntry, HistoryRequest};
use serde_json::{Value, json};

use crate::command::change;
use crate::command::get::or_dash;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::table::{Table, left, right};
use crate::output::{Answer, Human, number};

/// Show every change with author, command line and difference
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl history
  meshctl history --diff --limit 3")]
pub(crate) struct Args {
    /// Newest N only
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    limit: u32,
    /// Show what each change did to the objects
    #[arg(long)]
    diff: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let request = HistoryRequest { limit: args.limit };
    let entries = client.call(client.manifests().history(request)).await?.entries;
    let human = if args.diff {
        Human::Text(entries.iter().map(|entry| with_diff(entry, context)).collect())
    } else {
        Human::Table(table(&entries))
    };
    let items: Vec<_> = entries.iter().map(document).collect();
    context.output.show(&Answer {
        document: json!({"apiVersion": "mesh/v1", "kind": "HistoryList", "items": items}),
        names: entries.iter().map(|entry| entry.generation.to_string()).collect(),
        human,
    })?;
    Ok(Exit::DONE)
}

fn table(entries: &[HistoryEntry]) -> Table {
    let mut table = Table::new([
        right("GENERATION"),
        left("WHEN"),
        left("USER"),
        left("CHANGES"),
        left("COMMAND"),
        left("REASON"),
    ]);
    for entry in entries {
        table.push(vec![
            entry.generation.to_string().into(),
            ago(entry).into(),
            entry.user.clone().into(),
            summary(entry).into(),
            or_dash(&entry.command_line).into(),
            or_dash(&entry.reason).into(),
        ]);
    }
    table
}

fn ago(entry: &HistoryEntry) -> String {
    let time = entry.time.and_then(|time| SystemTime::try_from(time).ok());
    let age = time.and_then(|time| time.elapsed().ok());
    age.map_or_else(|| number::NO_DATA.to_owned(), |age| format!("{} ago", number::age(age)))
}

/// "service/web created, route/web configured".
fn summary(entry: &HistoryEntry) -> String {
    let changes = entry.changes.iter().map(|change| {
        let detail = if change.detail.is_empty() { "" } else { " " };
        let action = change::action_word(change.action());
        format!("{}/{} {action}{detail}{}", change.kind, change.name, change.detail)
    });
    or_dash(&changes.collect::<Vec<_>>().join(", "))
}

fn with_diff(entry: &HistoryEntry, context: &Context) -> String {
    let mut text = format!(
        "generation {}  {}  {}  {}\n",
        entry.generation,
        ago(entry),
        entry.user,
        entry.command_line
    );
    for change in &entry.changes {
        text.push_str(&format!("{}/{}\n", change.kind, change.name));
        text.push_str(&change::coloured(&change.diff, context.output.paint()));
    }
    text + "\n"
}

fn document(entry: &HistoryEntry) -> Value {
    json!({
        "generation": entry.generation,
        "time": entry.time.map(|time| time.to_string()),
        "user": entry.user,
        "uid": entry.uid,
        "pid": entry.pid,
        "commandLine": entry.command_line,
        "reason": entry.reason,
        "changes": change::changes(&entry.changes),
    })
}
