//! Why the daemon could not start, in the form every error of the product has.

use mesh_proto::codes::{self, Code};

use crate::config::InvalidConfig;

/// The daemon did not start; what it had done on the host by then is undone.
#[derive(Debug)]
pub struct StartError(Box<Report>);

#[derive(Debug)]
struct Report {
    code: Code,
    message: String,
    why: Vec<String>,
    fix: Vec<String>,
}

impl StartError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Report { code, message: message.into(), why: Vec::new(), fix: Vec::new() }))
    }

    /// The error with its causes as the reasons.
    pub(crate) fn caused(code: Code, error: &dyn std::error::Error) -> Self {
        let mut start = Self::new(code, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            start.0.why.push(cause.to_string());
            source = cause.source();
        }
        start
    }

    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.0.why.push(why.into());
        self
    }

    pub(crate) fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.0.fix.push(fix.into());
        self
    }

    /// Exit status: 2 settings, 3 port or state in use, 7 privilege, 8 host.
    #[must_use]
    pub fn exit(&self) -> u8 {
        u8::try_from(self.0.code.exit).unwrap_or(3)
    }

    /// The same as [`Self::report`] for a program, in one line.
    #[must_use]
    pub fn json(&self) -> String {
        let Report { code, message, why, fix } = &*self.0;
        let parts = serde_json::json!({
            "code": code.code, "message": message, "why": why, "fix": fix,
        });
        parts.to_string()
    }

    /// What happened, why, how to fix it, and the code, one per line.
    #[must_use]
    pub fn report(&self) -> String {
        let Report { code, message, why, fix } = &*self.0;
        let why = part("why:", why, code.why);
        let fix = part("fix:", fix, code.fix);
        let code = code.code;
        format!("error: {message}\n{why}{fix}  code: {code}  (meshctl explain {code})")
    }
}

/// Labelled lines; what the code's documentation says where nothing better is known.
fn part(label: &str, lines: &[String], documented: &str) -> String {
    let documented = [documented.to_owned()];
    let lines = if lines.is_empty() { &documented[..] } else { lines };
    let labels = std::iter::once(label).chain(std::iter::repeat("    "));
    labels.zip(lines).map(|(label, line)| format!("  {label} {line}\n")).collect()
}

impl From<InvalidConfig> for StartError {
    fn from(error: InvalidConfig) -> Self {
        Self::caused(codes::INVALID_SETTING, &error)
    }
}
