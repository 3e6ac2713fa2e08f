//! What is wrong with a manifest, where, why, and what to write instead.

use std::fmt;

use crate::codes::Code;

/// One mistake in a text that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// As the caller named it; empty when there is no text (an object made by an edit).
    pub file: String,
    /// 1-based; 0 when there is no text.
    pub line: u32,
    pub column: u32,
    /// `spec.ports[0].port`; empty when the text as a whole is meant.
    pub path: String,
    pub code: Code,
    pub message: String,
    pub why: String,
    /// How to fix it.
    pub hint: String,
}

/// `mesh.yaml:7:13: spec.ports[0].port: 70000 is no port`
impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ManifestError {}

/// A mistake before it has a position: what the rules of a kind find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) path: String,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) why: String,
    pub(super) hint: String,
}

impl Problem {
    /// Why and hint are the code's own until [`Self::why`] and [`Self::hint`] say better.
    pub(super) fn new(path: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        let (path, message) = (path.into(), message.into());
        Self { path, code, message, why: code.why.to_owned(), hint: code.fix.to_owned() }
    }

    pub(super) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(super) fn at(self, file: &str, line: u32, column: u32) -> ManifestError {
        let Self { path, code, message, why, hint } = self;
        ManifestError { file: file.to_owned(), line, column, path, code, message, why, hint }
    }
}
