//! The only place that prints.
//!
//! Standard output carries the answer, standard error everything else. A reader that goes away
//! (`| head -1`) ends the command quietly; any other write error is a failure, never a panic.

pub(crate) mod jq;
pub(crate) mod number;
pub(crate) mod paint;
pub(crate) mod table;

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::builder::StyledStr;
use indicatif::ProgressBar;
use mesh_proto::codes;
use mesh_proto::manifest::json_to_yaml;
use serde_json::Value;

use crate::error::{Exit, Failure};
use paint::{Mark, Paint, Tone};
use table::Table;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Table,
    // The table with every column.
    Wide,
    Json,
    Yaml,
    // One KIND/NAME a line.
    Name,
    // `check` only: one line a check.
    #[value(hide = true)]
    Short,
    // `check` only: what CI systems read.
    #[value(hide = true)]
    Junit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColourChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// What the user chose about output, and what the terminal can do.
pub(crate) struct Output {
    pub(crate) format: Format,
    filter: Option<jq::Filter>,
    quiet: bool,
    headers: bool,
    stdout: Paint,
    stderr: Paint,
}

/// The choices, as the flags gave them.
pub(crate) struct Choices<'a> {
    pub(crate) format: Option<Format>,
    pub(crate) jq: Option<&'a str>,
    pub(crate) quiet: bool,
    pub(crate) no_headers: bool,
    pub(crate) colour: ColourChoice,
}

/// One answer in every form a user may ask for.
pub(crate) struct Answer {
    pub(crate) document: Value,
    /// `-o name`: "service/web".
    pub(crate) names: Vec<String>,
    pub(crate) human: Human,
}

pub(crate) enum Human {
    Table(Table),
    Text(String),
}

impl Output {
    pub(crate) fn new(choices: &Choices<'_>) -> Result<Self, Failure> {
        let filter = choices.jq.map(jq::Filter::compile).transpose()?;
        let default = if filter.is_some() { Format::Json } else { Format::Table };
        let format = choices.format.unwrap_or(default);
        if filter.is_some() && format != Format::Json {
            return Err(
                Failure::usage("--jq needs -o json").fix("leave --output away, or say -o json")
            );
        }
        Ok(Self {
            format,
            filter,
            quiet: choices.quiet,
            headers: !choices.no_headers,
            stdout: Paint::new(choices.colour, io::stdout().is_terminal()),
            stderr: Paint::new(choices.colour, io::stderr().is_terminal()),
        })
    }

    /// Whether the answer is for a program: then standard output holds documents only.
    pub(crate) fn is_structured(&self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }

    /// Formats only `check` knows.
    pub(crate) fn is_for_checks(&self) -> bool {
        matches!(self.format, Format::Short | Format::Junit)
    }

    pub(crate) fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }

    pub(crate) fn paint(&self) -> &Paint {
        &self.stdout
    }

    /// Prints an answer in the chosen format.
    pub(crate) fn show(&self, answer: &Answer) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        match self.format {
            Format::Json | Format::Yaml => self.document(&answer.document),
            Format::Name => answer.names.iter().try_for_each(|name| self.line(name)),
            Format::Table | Format::Wide | Format::Short | Format::Junit => match &answer.human {
                Human::Table(table) => self.text(&table.render(&self.stdout, self.headers)),
                Human::Text(text) => self.text(text),
            },
        }
    }

    /// Prints one document: pretty JSON, YAML, or what `--jq` makes of it.
    pub(crate) fn document(&self, document: &Value) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        if let Some(filter) = &self.filter {
            return filter.apply(document)?.iter().try_for_each(|line| self.line(line));
        }
        match self.format {
            Format::Yaml => self.text(&json_to_yaml(document)),
            Format::Json
            | Format::Table
            | Format::Wide
            | Format::Name
            | Format::Short
            | Format::Junit => self.line(&format!("{document:#}")),
        }
    }

    /// Prints one object of a stream on a line of its own, at once.
    pub(crate) fn stream_item(&self, document: &Value) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        if let Some(filter) = &self.filter {
            return filter.apply(document)?.iter().try_for_each(|line| self.line(line));
        }
        match self.format {
            Format::Yaml => self.text(&format!("---\n{}", json_to_yaml(document))),
            Format::Json
            | Format::Table
            | Format::Wide
            | Format::Name
            | Format::Short
            | Format::Junit => self.line(&document.to_string()),
        }
    }

    /// A line of the answer.
    pub(crate) fn line(&self, line: &str) -> Result<(), Failure> {
        self.text(&format!("{line}\n"))
    }

    /// A line of the answer, unless the answer is structured or not wanted at all.
    pub(crate) fn say(&self, line: &str) -> Result<(), Failure> {
        if self.is_structured() || self.quiet { Ok(()) } else { self.line(line) }
    }

    /// Text that is the whole answer, unless none is wanted.
    pub(crate) fn say_text(&self, text: &str) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { self.text(text) }
    }

    /// A table as it would be printed.
    pub(crate) fn render(&self, table: &Table) -> String {
        table.render(&self.stdout, self.headers)
    }

    /// The answer as it stands.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// Something beside the answer, on standard error.
    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            complain(&format!("{line}\n"));
        }
    }

    /// Something that turns while the user waits; only for somebody who is looking.
    pub(crate) fn spinner(&self, what: String) -> ProgressBar {
        let watched = io::stderr().is_terminal() && !self.quiet && std::env::var_os("CI").is_none();
        if !watched {
            return ProgressBar::hidden();
        }
        let spinner = ProgressBar::new_spinner().with_message(what);
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    }

    pub(crate) fn warn(&self, line: &str) {
        let mark = self.stderr.mark(Mark::Warn);
        self.note(&format!("{mark} {line}"));
    }

    /// Asks on standard error, without a line's end. Questions are asked even with `--quiet`.
    #[allow(clippy::unused_self, reason = "questions go where everything else is printed")]
    pub(crate) fn prompt(&self, question: &str) {
        complain(question);
    }

    /// A mark as it stands in a line of [`Self::note`].
    pub(crate) fn stderr_mark(&self, mark: Mark) -> String {
        self.stderr.mark(mark)
    }

    /// Prints why a command failed. Errors are shown even with `--quiet`.
    pub(crate) fn failure(&self, failure: &Failure) {
        show_failure(failure, self.format == Format::Json, &self.stderr);
    }
}

/// Prints a failure that came before there was an [`Output`].
pub(crate) fn early_failure(failure: &Failure, json: bool, colour: ColourChoice) {
    show_failure(failure, json, &Paint::new(colour, io::stderr().is_terminal()));
}

/// Prints help or the version, which were asked for.
pub(crate) fn help(styled: &StyledStr, colour: ColourChoice) -> Result<(), Failure> {
    let paint = Paint::new(colour, io::stdout().is_terminal());
    let mut stdout = io::stdout().lock();
    let text = rendered(styled, &paint);
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Prints help that nobody asked for, on standard error.
pub(crate) fn help_instead(styled: &StyledStr, colour: ColourChoice) {
    complain(&rendered(styled, &Paint::new(colour, io::stderr().is_terminal())));
}

fn rendered(styled: &StyledStr, paint: &Paint) -> String {
    if paint.has_colour() { styled.ansi().to_string() } else { styled.to_string() }
}

fn show_failure(failure: &Failure, json: bool, paint: &Paint) {
    if json {
        complain(&format!("{}\n", failure.json()));
        return;
    }
    let mut text = String::new();
    for (label, line) in failure.lines() {
        let line = visible(&line);
        match label {
            "error" => text.push_str(&format!("{} {line}\n", paint.tone(Tone::Bad, "error:"))),
            "" => text.push_str(&format!("       {line}\n")),
            label => {
                let label = paint.tone(Tone::Dim, &format!("{label}:"));
                text.push_str(&format!("  {label} {line}\n"));
            }
        }
    }
    complain(&text);
}

/// Text that cannot move the cursor, colour the screen or turn the reading direction: what it
/// quotes may come from anywhere.
fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = |c: char| if hidden(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Standard error may be closed or full; there is nowhere left to say so.
fn complain(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(reader_gone()),
        Err(error) => Err(Failure::new(&codes::LOCAL, "cannot write the answer")
            .why(error.to_string())
            .fix("free space, or send the output elsewhere")),
    }
}

/// Ends the command successfully: whoever read the output had enough.
fn reader_gone() -> Failure {
    Failure::told("", Exit::DONE, "")
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn quoted_text_cannot_control_the_terminal() {
        assert_eq!(visible("we\u{1b}[31mb"), "we\\u{1b}[31mb");
        assert_eq!(visible("\u{202e}bew ✓"), "\\u{202e}bew ✓");
    }
}
