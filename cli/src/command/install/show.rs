//! What an installation tells: before, and at its end.

use std::time::Duration;

use serde_json::{Value, json};

use super::Survey;
use super::plan::{Plan, Step};
use crate::command::check::Report;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::host::places::{CONFIG, GROUP, Places};
use crate::host::receipt::Stage;
use crate::host::service;
use crate::output::paint::Mark;

/// Everything that would be done, whole.
pub(super) fn dry_run(
    survey: &Survey,
    plan: &Plan,
    checks: &Report,
    context: &Context,
) -> Result<(), Failure> {
    if !survey.facts.root {
        context.output.warn("not root: some checks, and the choice of a backend, need it");
    }
    if context.output.is_structured() {
        return context.output.document(&document(survey, plan, checks));
    }
    self::plan(survey, plan, checks, context)?;
    let mut text = String::new();
    for step in &plan.steps {
        if let Step::File { path, text: content } = step {
            text.push_str(&section(&path.display().to_string(), content));
        }
    }
    let routes = survey.plan.steps.join("\n") + "\n";
    text.push_str(&section("routes, programs and cgroups, while meshd runs", &routes));
    if !survey.plan.rules.is_empty() {
        text.push_str(&section("rules, while meshd runs", &survey.plan.rules));
    }
    text.push_str("\nsysctls: none is changed\nnothing was changed\n");
    context.output.say_text(&text)
}

fn section(title: &str, body: &str) -> String {
    let body: String = body.lines().map(|line| format!("    {line}\n")).collect();
    format!("\n{title}\n{body}")
}

fn document(survey: &Survey, plan: &Plan, checks: &Report) -> Value {
    let files: Vec<Value> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::File { path, text } => Some(json!({"path": path, "content": text})),
            Step::Program { path } => Some(json!({"path": path, "from": survey.meshd})),
            Step::Folder { path, mode } => Some(json!({"path": path, "mode": format!("{mode:o}")})),
            Step::Clear | Step::Group | Step::Enable | Step::Start | Step::Reload => None,
        })
        .collect();
    json!({
        "apiVersion": "mesh/v1",
        "kind": "InstallPlan",
        "host": survey.facts.line(),
        "backend": survey.plan.backend,
        "files": files,
        "group": plan.has(&Step::Group).then_some(GROUP),
        "unit": survey.systemd.then_some("meshd.service"),
        "steps": survey.plan.steps,
        "rules": survey.plan.rules,
        "sysctls": [],
        "checks": checks.items(),
    })
}

/// Host, pre-check and plan, as they are asked about.
pub(super) fn plan(
    survey: &Survey,
    plan: &Plan,
    checks: &Report,
    context: &Context,
) -> Result<(), Failure> {
    let (passed, warnings, failed) = checks.counts();
    let mut text = format!("Host       {}\n", survey.facts.line());
    let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    let s = if warnings == 1 { "" } else { "s" };
    text.push_str(&format!("Pre-check  {passed} passed, {warnings} warning{s}{failures}\n"));
    text.push_str(&checks.problems(&context.output));
    text.push_str("Plan\n");
    if survey.stage() == Some(Stage::Installed) {
        text.push_str(&changes(survey, plan));
    } else {
        text.push_str(&fresh(survey, plan));
    }
    context.output.say_text(&text)
}

fn line(sign: char, what: &str, text: &str) -> String {
    format!("  {sign} {what:<8} {text}\n")
}

fn fresh(survey: &Survey, plan: &Plan) -> String {
    let Places { state, socket, .. } = &survey.places;
    let mut text = String::new();
    if plan.has(&Step::Clear) {
        let what = "what an installation that was cut short left is removed first";
        text.push_str(&line('-', "leftover", what));
    }
    if plan.has(&Step::Group) {
        text.push_str(&line('+', "group", &format!("{GROUP} (system)")));
    }
    let state = state.display();
    let program = survey.places.program();
    let files = format!("{}  {CONFIG}  {state}/ (0700)", program.display());
    text.push_str(&line('+', "files", &files));
    if survey.systemd {
        text.push_str(&line('+', "unit", "meshd.service (enabled)"));
    } else {
        let what = "none: meshd is started as a daemon, and not again after a reboot";
        text.push_str(&line('!', "unit", what));
    }
    text.push_str(&line('+', "capture", &capture(survey)));
    let socket = format!("{} (root:{GROUP} 0660)", socket.display());
    text + &line('+', "socket", &socket) + &line('+', "failure", &failure(survey))
}

fn capture(survey: &Survey) -> String {
    let plan = &survey.plan;
    let backend = match (&plan.backend, survey.facts.root) {
        (Some(backend), _) => backend.as_str(),
        (None, true) => "none that works",
        (None, false) => "chosen once we are root",
    };
    if backend == "none" {
        return "none: nothing is intercepted".to_owned();
    }
    let scope = plan.setting("capture.scope");
    let what = match scope {
        "host" => "everything but port 22 and what you exclude is in scope",
        _ => "nothing is intercepted until you register, run or attach",
    };
    format!("backend {backend}, scope {scope}: {what}")
}

fn failure(survey: &Survey) -> String {
    match survey.plan.setting("capture.fail_mode") {
        "closed" => "closed: while meshd is down, what it would capture is refused".to_owned(),
        _ => "open: other traffic never depends on meshd; mesh names are refused at once while it \
              is down, or go to the last ready endpoint (ebpf)"
            .to_owned(),
    }
}

fn changes(survey: &Survey, plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let (what, said) = match step {
            Step::File { path, text: wanted } => {
                let there = std::fs::read_to_string(path).unwrap_or_default();
                (path.display().to_string(), difference(&there, wanted))
            }
            Step::Program { path } => (format!("{} (replaced)", path.display()), String::new()),
            Step::Start => ("meshd (restarted)".to_owned(), String::new()),
            Step::Reload => ("meshd (reloaded, capture goes on)".to_owned(), String::new()),
            Step::Enable => ("meshd.service (enabled)".to_owned(), String::new()),
            Step::Group => (format!("group {GROUP}"), String::new()),
            Step::Folder { path, .. } => (format!("{}/", path.display()), String::new()),
            Step::Clear => continue,
        };
        text.push_str(&line('~', "change", &what));
        text.push_str(&said);
    }
    text + &line(' ', "capture", &capture(survey))
}

/// Lines only one of the two has, as in a diff.
fn difference(before: &str, after: &str) -> String {
    let lines = |text: &str, other: &str, sign: char| -> String {
        let only = text.lines().filter(|line| !other.lines().any(|there| there == *line));
        only.map(|line| format!("      {sign} {line}\n")).collect()
    };
    lines(before, after, '-') + &lines(after, before, '+')
}

pub(super) fn confirmation_ahead(survey: &Survey, within: Duration, context: &Context) {
    if let Some(client) = &survey.facts.ssh {
        context
            .output
            .note(&format!("You are on SSH ({client} -> :22). Port 22 is never captured."));
    }
    let seconds = within.as_secs_f64();
    context.output.note(&format!("Changes roll back in {seconds}s unless you confirm."));
}

pub(super) fn unchanged(survey: &Survey, context: &Context) -> Result<Exit, Failure> {
    let version = &survey.plan.version;
    context.output.say(&format!("already installed ({version}), nothing to do"))?;
    outcome("unchanged", survey, context)
}

pub(super) fn installed(
    survey: &Survey,
    took: Duration,
    context: &Context,
) -> Result<Exit, Failure> {
    let mark = context.output.paint().mark(Mark::Ok);
    let receipt = survey.places.receipt();
    let took = took.as_secs_f64();
    let done = format!("{mark} installed in {took:.1}s   receipt {}", receipt.display());
    context.output.say(&done)?;
    if !survey.systemd {
        let start = format!("{} --config {CONFIG}", survey.places.program().display());
        context
            .output
            .say(&format!("  without systemd nothing starts meshd after a reboot: {start}"))?;
    }
    context.output.say("\nNext: meshctl register web --port 8080")?;
    outcome("installed", survey, context)
}

fn outcome(action: &str, survey: &Survey, context: &Context) -> Result<Exit, Failure> {
    if context.output.is_structured() {
        context.output.document(&json!({
            "apiVersion": "mesh/v1",
            "kind": "Installation",
            "action": action,
            "version": survey.plan.version,
            "backend": survey.plan.backend,
            "receipt": survey.places.receipt(),
            "unit": service::has_unit().then(Places::unit),
        }))?;
    }
    Ok(Exit::DONE)
}
