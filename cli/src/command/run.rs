//! `meshctl run`: this process becomes the command, inside a scope of the mesh.
//!
//! meshd moves the caller into a fresh cgroup, then exec replaces us: same pid, signals, terminal,
//! standard input and exit status, and no wrapper that could outlive or hide the command. Without
//! root the scope is a network namespace, which this process makes for itself ([`namespace`]).

mod daemon;
pub(crate) mod namespace;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap_complete::ArgValueCandidates;
use mesh_proto::codes;
use mesh_proto::v1::{HealthCheck, RegisterRequest, StartRunRequest, StartRunResponse};

use crate::command::register::{Health, Port};
use crate::complete;
use crate::context::{Context, block_on};
use crate::error::{Exit, Failure};

/// Names the run to what runs in it, where no cgroup does.
pub(crate) const RUN: &str = "MESHCTL_RUN";

/// Run one command inside the mesh
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl run -- curl -s http://web.mesh/
  meshctl run --as cli -- curl -s http://web.mesh/
  meshctl run --as web --port http:8080 --ready http:/healthz -- ./web
  meshctl run --as batch --allow-egress mesh -- ./job
  meshctl run --as batch --env-file job.env -- ./job --all
  meshctl run --rootless -- curl -s http://web.mesh/

Ends with the command's own status; 125 when meshctl failed, 126 not executable, 127 not found.")]
pub(crate) struct Args {
    /// Service the command acts as [default: none, an ephemeral name]
    #[arg(long = "as", value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
    service: Option<String>,
    /// Serve too: the port the command listens on, as an endpoint of --as while the run lasts
    #[arg(long, value_name = "[tcp|http|grpc|udp:]N", requires = "service")]
    port: Option<Port>,
    /// Version or group of that endpoint
    #[arg(long, value_name = "NAME", requires = "port")]
    subset: Option<String>,
    /// Probe that has to pass before the endpoint gets traffic
    #[arg(long, value_name = "http:/PATH|tcp", requires = "port")]
    ready: Option<Health>,
    /// What it may reach beside the mesh: hosts, *.suffixes, networks, each with an optional :PORT
    #[arg(long, value_name = "any|mesh|LIST", default_value = "any")]
    allow_egress: String,
    /// Without root: in a network namespace of its own, with a meshd of this user's
    #[arg(long)]
    rootless: bool,
    /// File of NAME=VALUE lines for the command's environment (repeatable)
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let failed = |failure: Failure| failure.exiting(Exit::RUN_FAILED);
    let environment = environment(&args.env_file).map_err(failed)?;
    let words = args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    // The runtime ends here: between it and exec there are no threads and no open sockets.
    let request = StartRunRequest {
        r#as: args.service.clone().unwrap_or_default(),
        namespace: context.namespace.clone(),
        command: words,
        allow_egress: args.allow_egress.clone(),
        serve: args.serve(),
        rootless: args.rootless,
    };
    let socket = if args.rootless { context.own_socket() } else { context.socket.clone() };
    let run = match args.rootless {
        true => block_on(daemon::start(request, &socket, context.limit)),
        false => block_on(start(request, context)),
    };
    let run = run.map_err(failed)?;
    if !run.gate.is_empty() {
        namespace::enter(&run).map_err(failed)?;
    }
    context.detail(|| described(&run));
    let mut environment = environment;
    if !run.gate.is_empty() {
        environment.push((RUN.to_owned(), run.id));
    }
    Err(become_command(args, environment, &socket))
}

impl Args {
    /// The endpoint the run is to be.
    fn serve(&self) -> Option<RegisterRequest> {
        let port = self.port.as_ref()?;
        let health =
            |ready: &Health| HealthCheck { probe: Some(ready.0.clone()), ..HealthCheck::default() };
        Some(RegisterRequest {
            protocol: port.protocol.to_owned(),
            port: port.number.into(),
            subset: self.subset.clone().unwrap_or_default(),
            health: self.ready.as_ref().map(health),
            ..RegisterRequest::default()
        })
    }
}

/// Asks meshd to move this process into a scope of its own.
pub(crate) async fn start(
    request: StartRunRequest,
    context: &Context,
) -> Result<StartRunResponse, Failure> {
    let client = context.client().await?;
    client.call(client.runs().start_run(request)).await
}

fn described(run: &StartRunResponse) -> String {
    let identity = if run.identity.is_empty() { "no service identity" } else { &run.identity };
    let pid = std::process::id();
    let StartRunResponse { id, cgroup, backend, .. } = run;
    let scope = match cgroup.as_str() {
        "" => "network namespace of its own".to_owned(),
        cgroup => format!("cgroup {cgroup}"),
    };
    format!("{id}: {scope}, {identity}, {backend} capture, ends with pid {pid}")
}

/// Replaces this process; returns only when that failed.
fn become_command(args: &Args, environment: Vec<(String, String)>, socket: &Path) -> Failure {
    let mut words = args.command.iter();
    let program = words.next().cloned().unwrap_or_default();
    let mut command = Command::new(&program);
    command.args(words).envs(environment).env("MESHCTL_SOCKET", socket);
    let error = command.exec();
    let program = program.to_string_lossy();
    if error.kind() != ErrorKind::NotFound {
        return Failure::new(&codes::NOT_EXECUTABLE, format!("{program}: cannot be executed"))
            .why(error.to_string());
    }
    if program.contains('/') {
        return Failure::new(&codes::COMMAND_NOT_FOUND, format!("{program}: no such file"))
            .why("the file, or the interpreter its first line names, does not exist");
    }
    Failure::new(&codes::COMMAND_NOT_FOUND, format!("{program}: command not found"))
        .why("no directory in PATH has it")
}

/// The variables of every file, later ones last.
fn environment(files: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    let mut variables = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| {
            Failure::new(&codes::RUN_FAILED, format!("cannot read {}", file.display()))
                .why(error.to_string())
        })?;
        for (index, line) in text.lines().enumerate() {
            let parsed = assignment(line).map_err(|NotAnAssignment| {
                Failure::usage(format!("{}:{}: not NAME=VALUE", file.display(), index + 1))
            })?;
            variables.extend(parsed);
        }
    }
    Ok(variables)
}

struct NotAnAssignment;

/// `NAME=VALUE`, optionally exported or quoted; nothing for blank lines and comments.
fn assignment(line: &str) -> Result<Option<(String, String)>, NotAnAssignment> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or(NotAnAssignment)?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(NotAnAssignment);
    }
    let quoted = |quote| value.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    Ok(Some((name.to_owned(), value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn an_environment_file_has_assignments_comments_and_quotes() {
        let read = |line| assignment(line).ok().flatten();
        assert_eq!(read("A=1"), Some(("A".to_owned(), "1".to_owned())));
        assert_eq!(read("export B=\"x y\""), Some(("B".to_owned(), "x y".to_owned())));
        assert_eq!(read("# C=1"), None);
        assert!(assignment("no assignment").is_err());
        assert!(assignment("bad name=1").is_err());
    }
}
