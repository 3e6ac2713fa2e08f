//! `meshctl env`: every setting in force and where it came from, the daemon's too.

use std::env;

use mesh_proto::v1::{GetSettingsRequest, Setting};
use serde_json::{Value, json};

use crate::client::DEFAULT_SOCKET;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::table::{Table, left};
use crate::output::{Answer, Human};

/// Show settings in force and their origin
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl env
  meshctl env -o json --jq '.daemon[] | select(.origin != \"default\")'")]
pub(crate) struct Args {}

/// Name, flag, and default of what the environment sets for meshctl.
const VARIABLES: [(&str, &str, &str); 9] = [
    ("MESHCTL_SOCKET", "--socket", DEFAULT_SOCKET),
    ("MESHCTL_OUTPUT", "--output", "table"),
    ("MESHCTL_TIMEOUT", "--timeout", "30s"),
    ("NO_COLOR", "", ""),
    ("CLICOLOR_FORCE", "", ""),
    ("TERM", "", ""),
    ("COLUMNS", "", ""),
    ("LC_ALL", "", ""),
    ("CI", "", ""),
];

pub(crate) async fn run(context: &Context) -> Result<Exit, Failure> {
    let client = client_settings(context);
    let daemon = daemon_settings(context).await;
    let mut table = Table::new([left("OF"), left("NAME"), left("VALUE"), left("ORIGIN")]);
    let of = |whose: &'static str| move |setting: &Setting| (whose, setting.clone());
    let settings = daemon.as_deref().unwrap_or_default();
    for (whose, setting) in client.iter().map(of("meshctl")).chain(settings.iter().map(of("meshd")))
    {
        let value = if is_unset(&setting) { "-".to_owned() } else { setting.value };
        table.push(vec![whose.into(), setting.key.into(), value.into(), setting.origin.into()]);
    }
    let daemon_document = daemon.as_deref().map_or(Value::Null, list);
    context.output.show(&Answer {
        document: json!({"client": list(&client), "daemon": daemon_document}),
        names: client.iter().chain(settings).map(|setting| setting.key.clone()).collect(),
        human: Human::Table(table),
    })?;
    if let Err(failure) = daemon {
        context.output.note(&format!("without meshd's settings: {}", failure.message()));
    }
    Ok(Exit::DONE)
}

async fn daemon_settings(context: &Context) -> Result<Vec<Setting>, Failure> {
    let client = context.client().await?;
    let response = client.call(client.status().get_settings(GetSettingsRequest {})).await?;
    Ok(response.settings)
}

fn client_settings(context: &Context) -> Vec<Setting> {
    let mut settings: Vec<_> =
        VARIABLES.iter().map(|(name, flag, default)| of_variable(name, flag, default)).collect();
    settings.push(Setting {
        key: "namespace".to_owned(),
        value: context.namespace.clone(),
        origin: if flag_given("--namespace", Some("-n")) { "flag" } else { "default" }.to_owned(),
    });
    settings
}

fn of_variable(name: &str, flag: &str, default: &str) -> Setting {
    let short = (flag == "--output").then_some("-o");
    let (value, origin) = match env::var(name) {
        _ if !flag.is_empty() && flag_given(flag, short) => (flag_value(flag, short), "flag"),
        Ok(value) if !value.is_empty() => (value, "environment"),
        Ok(_) | Err(_) => (default.to_owned(), "default"),
    };
    Setting { key: name.to_owned(), value, origin: origin.to_owned() }
}

fn flag_given(long: &str, short: Option<&str>) -> bool {
    flag_position(long, short).is_some()
}

fn flag_position(long: &str, short: Option<&str>) -> Option<usize> {
    let given = |word: String| {
        word == long
            || word.starts_with(&format!("{long}="))
            || short.is_some_and(|short| word.starts_with(short))
    };
    env::args().position(given)
}

fn flag_value(long: &str, short: Option<&str>) -> String {
    let Some(position) = flag_position(long, short) else {
        return String::new();
    };
    let word = env::args().nth(position).unwrap_or_default();
    let attached = word.split_once('=').map(|(_, value)| value.to_owned());
    let attached = attached.or_else(|| {
        let value = word.strip_prefix(short?)?;
        (!value.is_empty()).then(|| value.to_owned())
    });
    attached.or_else(|| env::args().nth(position + 1)).unwrap_or_default()
}

/// The daemon says "null" for what has no value.
fn is_unset(setting: &Setting) -> bool {
    matches!(setting.value.as_str(), "" | "null")
}

fn list(settings: &[Setting]) -> Value {
    let item = |setting: &Setting| json!({"name": setting.key, "value": setting.value, "origin": setting.origin});
    settings.iter().map(item).collect()
}
