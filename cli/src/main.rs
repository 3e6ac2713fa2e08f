//! `meshctl`: turns a command line into calls to meshd and the answers into tables or JSON.

mod args;
mod client;
mod command;
mod complete;
mod context;
mod error;
mod host;
mod output;
#[cfg(test)]
mod pages;
mod places;

use std::ffi::OsString;
use std::process::ExitCode;

use context::Context;
use error::Exit;

fn main() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(args::command).complete();
    let line: Vec<OsString> = std::env::args_os().collect();
    let exit = match args::parse(line.clone()) {
        Ok(cli) => execute(cli),
        Err(error) => refused(&error, &line),
    };
    ExitCode::from(exit.0)
}

fn execute(cli: args::Cli) -> Exit {
    let json = cli.global.output == Some(output::Format::Json);
    let colour = cli.global.color;
    let context = match Context::new(cli.global) {
        Ok(context) => context,
        Err(failure) => {
            output::early_failure(&failure, json, colour);
            return failure.exit;
        }
    };
    if context.output.is_for_checks() && !matches!(cli.command, args::Command::Check(_)) {
        let failure = error::Failure::usage("only check writes short and junit (--output)")
            .fix("choose table, wide, json, yaml or name");
        context.output.failure(&failure);
        return failure.exit;
    }
    match command::dispatch(cli.command, &context) {
        Ok(exit) => exit,
        Err(failure) => {
            // A reader that left is no failure, and there is nobody to tell.
            if failure.exit != Exit::DONE {
                context.output.failure(&failure);
            }
            failure.exit
        }
    }
}

/// clap did not accept the line, or it asked for help or the version.
fn refused(error: &clap::Error, line: &[OsString]) -> Exit {
    if let Some(failure) = args::usage::failure(error, line) {
        output::early_failure(&failure, wants_json(line), args::wanted_colour(line));
        return failure.exit;
    }
    if error.use_stderr() {
        output::help_instead(&args::usage::short_help(line), args::wanted_colour(line));
        return Exit::USAGE;
    }
    match output::help(&error.render(), args::wanted_colour(line)) {
        Ok(()) => Exit::DONE,
        Err(failure) => failure.exit,
    }
}

/// Whether a line that could not be parsed asks for JSON.
fn wants_json(line: &[OsString]) -> bool {
    let words: Vec<_> = line.iter().map(|word| word.to_string_lossy()).collect();
    let said = words.windows(2).any(|pair| match pair {
        [flag, value] => (flag == "-o" || flag == "--output") && value == "json",
        _ => false,
    });
    said || words
        .iter()
        .any(|word| word == "-ojson" || word == "--output=json" || word == "-o=json")
}
