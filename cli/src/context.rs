//! What every command is given: where meshd is, how to print, which namespace.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use mesh_proto::codes;
use mesh_proto::v1::Mutation;

use crate::args::{Change, DryRun, Global};
use crate::client::{self, Client};
use crate::error::Failure;
use crate::output::{Choices, Output};
use crate::places;

const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) namespace: String,
    pub(crate) socket: PathBuf,
    /// Somebody chose the socket.
    socket_is_given: bool,
    /// How long one call may take; `None` is for ever.
    pub(crate) limit: Option<Duration>,
    verbose: bool,
}

impl Context {
    pub(crate) fn new(global: Global) -> Result<Self, Failure> {
        let output = Output::new(&Choices {
            format: global.output,
            jq: global.jq.as_deref(),
            quiet: global.quiet,
            no_headers: global.no_headers,
            colour: global.color,
        })?;
        Ok(Self {
            output,
            namespace: global.namespace,
            socket_is_given: global.socket.is_some(),
            socket: global.socket.unwrap_or_else(client::default_socket),
            limit: global.timeout.map_or(Some(DEFAULT_LIMIT), |limit| limit.bound()),
            verbose: global.verbose,
        })
    }

    /// Connects to meshd.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let client = Client::connect(&self.socket, self.limit).await?;
        self.detail(|| {
            let daemon = &client.daemon;
            let socket = self.socket.display();
            format!("meshd {} on node {} answers at {socket}", daemon.version, daemon.node)
        });
        Ok(client)
    }

    /// The socket given, else that of this user's own meshd.
    pub(crate) fn own_socket(&self) -> PathBuf {
        if self.socket_is_given { self.socket.clone() } else { places::own_socket() }
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Says something only `-v` wants to hear.
    pub(crate) fn detail(&self, line: impl FnOnce() -> String) {
        if self.verbose {
            self.output.note(&line());
        }
    }

    /// The options of a mutation, with who asks for it.
    pub(crate) fn mutation(&self, change: &Change) -> Mutation {
        Mutation {
            dry_run: change.dry_run == Some(DryRun::Server),
            no_wait: change.no_wait,
            if_generation: change.if_generation.unwrap_or_default(),
            reason: change.reason.clone(),
            command_line: command_line(),
        }
    }
}

/// This process's command line, as the history shows it.
pub(crate) fn command_line() -> String {
    let mut words = vec!["meshctl".to_owned()];
    words.extend(std::env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Runs a command to its end on this thread; nothing of the runtime outlives it.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(&codes::LOCAL, "cannot start").why(error.to_string()))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_word_with_blanks_is_quoted_so_that_it_can_be_pasted() {
        assert_eq!(super::quoted("web"), "web");
        assert_eq!(super::quoted("it's here"), r"'it'\''s here'");
        assert_eq!(super::quoted(""), "''");
    }
}
