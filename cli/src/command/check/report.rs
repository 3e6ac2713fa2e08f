//! Checks and their outcome, as a table, as lines, as JSON and as JUnit's XML.

use std::time::Duration;

use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Failure;
use crate::output::paint::Mark;
use crate::output::{Format, Output};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Warn,
    Fail,
    /// Nothing could be said, and nothing is wrong.
    Skip,
}

#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// "capture/tcp4": the category, and the check's name in it.
    pub(crate) id: String,
    pub(crate) status: Status,
    pub(crate) summary: String,
    pub(crate) why: String,
    pub(crate) fix: String,
}

impl Check {
    fn new(id: impl Into<String>, status: Status, summary: impl Into<String>) -> Self {
        let (id, summary) = (id.into(), summary.into());
        Self { id, status, summary, why: String::new(), fix: String::new() }
    }

    pub(crate) fn ok(id: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(id, Status::Ok, summary)
    }

    pub(crate) fn warn(id: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(id, Status::Warn, summary)
    }

    pub(crate) fn fail(id: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(id, Status::Fail, summary)
    }

    pub(crate) fn skip(id: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(id, Status::Skip, summary)
    }

    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(crate) fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    pub(crate) fn category(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

pub(crate) struct Report {
    pub(crate) checks: Vec<Check>,
}

impl Report {
    /// How many passed, warn and fail.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        (count(Status::Ok), count(Status::Warn), count(Status::Fail))
    }

    pub(crate) fn items(&self) -> Vec<Value> {
        let item = |check: &Check| {
            let category = check.category();
            json!({
                "id": check.id,
                "category": category,
                "status": check.status.word(),
                "summary": check.summary,
                "why": check.why,
                "fix": check.fix,
                "doc": format!("docs/checks.md#{category}"),
            })
        };
        self.checks.iter().map(item).collect()
    }

    pub(crate) fn show(&self, took: Duration, context: &Context) -> Result<(), Failure> {
        let output = &context.output;
        match output.format {
            Format::Json | Format::Yaml => output.document(&self.document(took)),
            Format::Junit => output.say_text(&self.junit(took)),
            Format::Name => self.checks.iter().try_for_each(|check| output.say(&check.id)),
            Format::Short => self.checks.iter().try_for_each(|check| {
                output.say(&format!("{:<4} {}  {}", check.status.word(), check.id, check.summary))
            }),
            Format::Table | Format::Wide => {
                let expanded = context.is_verbose() || output.is_wide();
                output.say_text(&self.table(took, expanded, output))
            }
        }
    }

    fn document(&self, took: Duration) -> Value {
        let (passed, warnings, failed) = self.counts();
        json!({
            "apiVersion": "mesh/v1",
            "kind": "CheckList",
            "passed": passed,
            "warnings": warnings,
            "failed": failed,
            "durationMs": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "items": self.items(),
        })
    }

    /// Lines of what is not ok, as they stand below a heading.
    pub(crate) fn problems(&self, output: &Output) -> String {
        let bad = |check: &&Check| matches!(check.status, Status::Warn | Status::Fail);
        self.checks.iter().filter(bad).map(|check| lines(check, output, 0)).collect()
    }

    /// Only categories with a problem are written out, unless all are asked for.
    fn table(&self, took: Duration, expanded: bool, output: &Output) -> String {
        let mut text = String::new();
        let mut categories: Vec<&str> = Vec::new();
        for check in &self.checks {
            if !categories.contains(&check.category()) {
                categories.push(check.category());
            }
        }
        let (mut folded, mut folded_checks) = (0, 0);
        for category in categories {
            let checks: Vec<_> =
                self.checks.iter().filter(|check| check.category() == category).collect();
            let has_problem =
                checks.iter().any(|check| matches!(check.status, Status::Warn | Status::Fail));
            if !has_problem && !expanded {
                folded += 1;
                folded_checks += checks.len();
                continue;
            }
            let width = checks.iter().map(|check| check.id.chars().count()).max().unwrap_or(0);
            text.push_str(&format!("{category}\n"));
            text.extend(checks.iter().map(|check| lines(check, output, width)));
        }
        if folded > 0 {
            let more = if text.is_empty() { "" } else { "more " };
            let name = if folded == 1 { "category" } else { "categories" };
            text.push_str(&format!("{folded} {more}{name}, {folded_checks} checks: all ok\n"));
        }
        let (_, warnings, failed) = self.counts();
        let (all, took) = (self.checks.len(), took.as_secs_f64());
        let warnings = format!("{warnings} warning{}", if warnings == 1 { "" } else { "s" });
        text + &format!("{failed} failed, {warnings}, {all} checks in {took:.1}s\n")
    }

    fn junit(&self, took: Duration) -> String {
        let (_, _, failed) = self.counts();
        let (all, took) = (self.checks.len(), took.as_secs_f64());
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"meshctl check\" \
             tests=\"{all}\" failures=\"{failed}\" time=\"{took:.3}\">\n"
        );
        for check in &self.checks {
            let (category, id) = (escaped(check.category()), escaped(&check.id));
            let summary = escaped(&check.summary);
            let details = escaped(&format!("why: {}\nfix: {}", check.why, check.fix));
            let inside = match check.status {
                Status::Fail => format!("<failure message=\"{summary}\">{details}</failure>"),
                Status::Skip => format!("<skipped message=\"{summary}\"/>"),
                Status::Warn => format!("<system-out>warning: {summary}\n{details}</system-out>"),
                Status::Ok => format!("<system-out>{summary}</system-out>"),
            };
            text.push_str(&format!(
                "  <testcase classname=\"{category}\" name=\"{id}\">{inside}</testcase>\n"
            ));
        }
        text + "</testsuite>\n"
    }
}

fn lines(check: &Check, output: &Output, width: usize) -> String {
    let mark = match check.status {
        Status::Ok => output.paint().mark(Mark::Ok),
        Status::Warn => output.paint().mark(Mark::Warn),
        Status::Fail => output.paint().mark(Mark::Fail),
        Status::Skip => "-".to_owned(),
    };
    let mut text = format!("  {mark} {:<width$}  {}\n", check.id, check.summary);
    for (label, line) in [("why", &check.why), ("fix", &check.fix)] {
        if !line.is_empty() {
            text.push_str(&format!("      {label}: {line}\n"));
        }
    }
    text
}

/// Text inside XML; what XML cannot say at all is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_escapes_what_checks_quote() {
        let checks = vec![Check::fail("ports/tcp", "held by <\"a\u{1b}&b\">")];
        let xml = Report { checks }.junit(Duration::ZERO);
        assert!(xml.contains("message=\"held by &lt;&quot;a&amp;b&quot;&gt;\""), "{xml}");
        assert!(xml.contains("failures=\"1\""), "{xml}");
    }
}
