//! The `meshd` program: flags in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use meshd::{Config, Flags, StartError};

fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Some(program) = &flags.guard {
        return meshd::guard(program).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let (Some(path), Some(run)) = (&flags.gate, &flags.run) {
        return match meshd::bring(path, run) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, &error.json()),
        };
    }
    let ended = Config::load(&flags).map_err(StartError::from).and_then(|config| {
        if flags.plan {
            return meshd::plan(&config);
        }
        let ended = if flags.cleanup { meshd::cleanup(&config) } else { meshd::run(config) };
        ended.map(|()| String::new())
    });
    match ended {
        Ok(answer) => match std::io::stdout().write_all(answer.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_closed) => ExitCode::FAILURE,
        },
        Err(error) => failed(&error, &error.report()),
    }
}

fn failed(error: &StartError, report: &str) -> ExitCode {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(std::io::stderr(), "{report}"));
    ExitCode::from(error.exit())
}
