//! The command line: global flags, the commands in their groups, and how help looks.

pub(crate) mod duration;
pub(crate) mod help;
pub(crate) mod subject;
pub(crate) mod target;
pub(crate) mod usage;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, ValueEnum as _};

use crate::command;
use crate::output::{ColourChoice, Format};
use duration::Limit;

/// meshctl: a service mesh for plain Linux hosts.
#[derive(clap::Parser)]
#[command(name = "meshctl", version, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags every command takes.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// How the answer is written
    #[arg(short, long, global = true, value_name = "FORMAT", env = "MESHCTL_OUTPUT")]
    pub(crate) output: Option<Format>,
    /// Filter the JSON answer with a jq expression
    #[arg(long, global = true, value_name = "EXPR")]
    pub(crate) jq: Option<String>,
    /// Tables without their header line
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
    /// Print nothing on success; errors are still printed
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more, on standard error
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// When to colour; NO_COLOR and CLICOLOR_FORCE are honoured
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(crate) color: ColourChoice,
    /// API socket of meshd [default: /run/meshd/meshd.sock]
    #[arg(long, global = true, value_name = "PATH", env = "MESHCTL_SOCKET")]
    pub(crate) socket: Option<PathBuf>,
    /// Namespace of the names given
    #[arg(short, long, global = true, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
    /// Longest time one call to meshd may take, 0 for no limit [default: 30s]
    #[arg(long, value_name = "DUR", env = "MESHCTL_TIMEOUT")]
    pub(crate) timeout: Option<Limit>,
}

/// Flags of every command that changes something.
#[derive(clap::Args)]
#[command(next_help_heading = "Change options")]
pub(crate) struct Change {
    /// Say what would change, and change nothing
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true,
          default_missing_value = "server")]
    pub(crate) dry_run: Option<DryRun>,
    /// Return once stored, before every worker uses it
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Kept in the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    /// Refuse (exit 6) when the mesh is no longer at this generation
    #[arg(long, value_name = "N")]
    pub(crate) if_generation: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DryRun {
    // Validated against the live mesh, which says what would change.
    Server,
    // The manifest this command stands for.
    Client,
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Install(command::install::Args),
    Uninstall(command::uninstall::Args),
    Check(command::check::Args),
    Status(command::status::Args),
    Demo(command::demo::Args),
    Completion(command::completion::Args),
    Version(command::version::Args),
    Schema(command::schema::Args),
    Lint(command::lint::Args),
    Explain(command::explain::Args),
    Env(command::env::Args),
    Register(command::register::Args),
    Deregister(command::deregister::Args),
    Run(command::run::Args),
    Attach(command::attach::Args),
    Detach(command::detach::Args),
    Route(command::route::Args),
    Split(command::split::Args),
    Bypass(command::bypass::Args),
    Top(command::top::Args),
    Stat(command::stat::Args),
    Trace(command::trace::Args),
    Events(command::events::Args),
    Debug(command::debug::Args),
    Metrics(command::metrics::Args),
    Apply(command::apply::Args),
    Diff(command::diff::Args),
    Get(command::get::Args),
    Describe(command::describe::Args),
    Delete(command::delete::Args),
    Wait(command::wait::Args),
    Export(command::export::Args),
    History(command::history::Args),
    Undo(command::undo::Args),
}

/// The whole command line as clap knows it: what parsing, help, completions and man pages use.
pub(crate) fn command() -> clap::Command {
    help::arranged(Cli::command())
}

/// Parses `args`. `--timeout` stands before or after the command, except where the command has
/// a `--timeout` of its own; clap's global arguments cannot say that.
pub(crate) fn parse(mut args: Vec<OsString>) -> Result<Cli, clap::Error> {
    // `help --help` asks for the same as `help`, which clap does not know.
    if args.get(1).is_some_and(|word| word == "help") {
        args.retain(|word| word != "--help" && word != "-h");
    }
    let matches = command().try_get_matches_from(args)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let Some(limit) = deepest_limit(&matches) {
        cli.global.timeout = Some(limit);
    }
    Ok(cli)
}

/// The colour choice of a line that could not be parsed.
pub(crate) fn wanted_colour(line: &[OsString]) -> ColourChoice {
    let words: Vec<_> = line.iter().filter_map(|word| word.to_str()).collect();
    let joined = words.iter().find_map(|word| word.strip_prefix("--color="));
    let apart = words.iter().skip_while(|word| **word != "--color").nth(1).copied();
    joined.or(apart).and_then(|when| ColourChoice::from_str(when, true).ok()).unwrap_or_default()
}

fn deepest_limit(matches: &ArgMatches) -> Option<Limit> {
    let (_, inner) = matches.subcommand()?;
    let here = inner.try_get_one::<Limit>(help::CALL_LIMIT).ok().flatten().copied();
    deepest_limit(inner).or(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Cli {
        let words = std::iter::once("meshctl").chain(line.split_whitespace());
        parse(words.map(OsString::from).collect()).unwrap()
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_call_limit_stands_on_either_side_of_the_command() {
        let limit = |line| parsed(line).global.timeout.map(|limit| limit.0.as_secs());
        assert_eq!(limit("get services --timeout 5s"), Some(5));
        assert_eq!(limit("--timeout 7s get services"), Some(7));
        assert_eq!(limit("trace list --timeout 9s"), Some(9));
        assert_eq!(limit("get services"), None);
    }

    #[test]
    fn a_timeout_of_the_command_is_not_the_calls() {
        assert_eq!(parsed("wait service/web --for ready --timeout 5s").global.timeout, None);
    }
}
