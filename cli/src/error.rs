//! What a failed command tells a person: what happened, why, how to fix it, and the exit code.

use mesh_proto::codes::{self, Code};
use mesh_proto::manifest::suggest;
use serde_json::{Value, json};

use crate::client::failure;

/// How the process ends; the one table of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    pub(crate) const DONE: Self = Self(0);
    /// Ran fine, and the answer is no.
    pub(crate) const NO: Self = Self(1);
    pub(crate) const USAGE: Self = Self(2);
    pub(crate) const FAILED: Self = Self(3);
    pub(crate) const UNREACHABLE: Self = Self(4);
    /// `run` only: meshctl itself failed, the command was not started.
    pub(crate) const RUN_FAILED: Self = Self(125);
    pub(crate) const INTERRUPTED: Self = Self(130);
}

/// An error as it is shown. Built where the failure is understood, printed by `output`.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// "MESH1204"; empty where `explain` could add nothing.
    code: String,
    message: String,
    why: Vec<String>,
    fix: Vec<String>,
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn new(code: &Code, message: impl Into<String>) -> Self {
        let exit = u8::try_from(code.exit).map_or(Exit::FAILED, Exit);
        Self::told(code.code, exit, message)
    }

    /// A failure in the daemon's words.
    pub(crate) fn told(code: &str, exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code: code.to_owned(), message, why: Vec::new(), fix: Vec::new(), exit }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(&codes::USAGE, message)
    }

    pub(crate) fn why(mut self, reason: impl Into<String>) -> Self {
        self.why.push(reason.into());
        self
    }

    pub(crate) fn fix(mut self, command: impl Into<String>) -> Self {
        self.fix.push(command.into());
        self
    }

    /// The same failure with another exit code: `run` answers 125 for whatever stopped it.
    pub(crate) fn exiting(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    pub(crate) fn is(&self, code: &Code) -> bool {
        self.code == code.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The lines after "error: ", each with the label it starts with.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("error", self.message.clone())];
        lines.extend(labelled("why", &self.why));
        lines.extend(labelled("fix", &self.fix));
        if !self.code.is_empty() {
            lines.push(("code", format!("{0}  (meshctl explain {0})", self.code)));
        }
        lines
    }

    pub(crate) fn json(&self) -> Value {
        let code = if self.code.is_empty() { Value::Null } else { json!(self.code) };
        json!({"error": {
            "code": code,
            "message": self.message,
            "why": self.why,
            "fix": self.fix,
            "exit": self.exit.0,
        }})
    }
}

/// Only the first line of a part carries its label.
fn labelled(label: &'static str, lines: &[String]) -> impl Iterator<Item = (&'static str, String)> {
    let label_of = move |index| if index == 0 { label } else { "" };
    lines.iter().enumerate().map(move |(index, line)| (label_of(index), line.clone()))
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        failure::of(&status)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(&codes::LOCAL, error.to_string())
    }
}

/// "did you mean" for `word` among `known`, as a sentence, when one is close.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    suggest(word, known).map(|candidate| format!("did you mean \"{candidate}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_word_is_suggested_and_a_far_one_is_not() {
        let known = ["services", "routes"];
        assert_eq!(did_you_mean("servcies", known).as_deref(), Some("did you mean \"services\"?"));
        assert_eq!(did_you_mean("zzz", known), None);
    }

    #[test]
    fn only_the_first_of_several_fixes_is_labelled() {
        let failure = Failure::usage("no").fix("one").fix("two");
        let labels: Vec<_> = failure.lines().into_iter().map(|(label, _)| label).collect();
        assert_eq!(labels, ["error", "fix", "", "code"]);
    }
}
