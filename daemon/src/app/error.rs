//! Why the daemon could not start, in the form every error of the product has.

use std::fmt::Write as _;

use mesh_proto::codes::{self, Code};

use crate::config::InvalidConfig;

/// The daemon did not start; what it had done on the host by then is undone.
#[derive(Debug)]
pub struct StartError {
    code: Code,
    message: String,
    why: Vec<String>,
    fix: Vec<String>,
}

impl StartError {
    pub(crate) fn new(code: Code, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), why: Vec::new(), fix: Vec::new() }
    }

    /// The error with its causes as the reasons.
    pub(crate) fn caused(code: Code, error: &dyn std::error::Error) -> Self {
        let mut start = Self::new(code, error);
        let mut source = error.source();
        while let Some(cause) = source {
            start.why.push(cause.to_string());
            source = cause.source();
        }
        start
    }

    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    pub(crate) fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix.push(fix.into());
        self
    }

    /// Exit status: 2 settings, 3 port or state in use, 7 privilege, 8 host.
    #[must_use]
    pub fn exit(&self) -> u8 {
        u8::try_from(self.code.exit).unwrap_or(3)
    }

    /// What happened, why, how to fix it, and the code, one per line.
    #[must_use]
    pub fn report(&self) -> String {
        let code = self.code.code;
        let mut text = format!("error: {}", self.message);
        let mut part = |label: &str, lines: &[String], documented: &str| {
            let documented = [documented.to_owned()];
            let lines = if lines.is_empty() { &documented[..] } else { lines };
            for (nth, line) in lines.iter().enumerate() {
                let label = if nth == 0 { label } else { "     " };
                // Writing to a String cannot fail.
                let _ = write!(text, "\n  {label} {line}");
            }
        };
        part("why:", &self.why, self.code.why);
        part("fix:", &self.fix, self.code.fix);
        let _ = write!(text, "\n  code: {code}  (meshctl explain {code})");
        text
    }
}

impl From<InvalidConfig> for StartError {
    fn from(error: InvalidConfig) -> Self {
        Self::caused(codes::INVALID_SETTING, &error)
    }
}
