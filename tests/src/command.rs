//! What a command printed and how it ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;

/// One finished command.
#[derive(Clone)]
pub struct Ran {
    pub line: String,
    /// As a shell shows it: the status, or 128 + signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(line: String, output: &Output) -> Self {
        let status = output.status;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Self {
            line,
            code,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code and gives itself back for more questions.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Asserts that standard error contains each of `texts`.
    #[track_caller]
    pub fn complains(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "stderr lacks {text:?}\n{self}");
        }
        self
    }

    /// Asserts that standard output contains each of `texts`.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stdout.contains(text), "stdout lacks {text:?}\n{self}");
        }
        self
    }

    /// Asserts exit 0 and an empty standard error.
    #[track_caller]
    pub fn clean(self) -> Self {
        assert!(self.code == 0 && self.stderr.is_empty(), "{self}");
        self
    }

    /// Standard output as exactly one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$ {}\nexit {}\n", self.line, self.code)?;
        write!(f, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}
