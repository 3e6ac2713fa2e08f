//! clap's complaints in our words: what, did you mean, how to fix it.

use std::ffi::OsString;

use clap::Command;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::Failure;

/// The failure for a command line clap refused; `None` when it only wants something printed.
pub(crate) fn failure(error: &clap::Error, line: &[OsString]) -> Option<Failure> {
    let kind = error.kind();
    let only_shows = [
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayVersion,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    if only_shows.contains(&kind) {
        return None;
    }
    let failure = if kind == ErrorKind::InvalidSubcommand {
        unknown_command(error)
    } else if kind == ErrorKind::UnknownArgument {
        unknown_argument(error)
    } else if matches!(kind, ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        wrong_value(error)
    } else if kind == ErrorKind::MissingRequiredArgument {
        missing(error)
    } else if kind == ErrorKind::ArgumentConflict {
        conflict(error)
    } else {
        Failure::usage(first_line(error))
    };
    Some(failure.fix(help_line(line)))
}

fn unknown_command(error: &clap::Error) -> Failure {
    let word = text(error, ContextKind::InvalidSubcommand);
    let failure = Failure::usage(format!("unknown command \"{word}\""));
    suggested(failure, error, ContextKind::SuggestedSubcommand)
}

fn unknown_argument(error: &clap::Error) -> Failure {
    let word = text(error, ContextKind::InvalidArg);
    let failure = if word.starts_with('-') {
        Failure::usage(format!("unknown flag {word}"))
    } else {
        Failure::usage(format!("\"{word}\" is one word too many"))
    };
    suggested(failure, error, ContextKind::SuggestedArg)
}

fn wrong_value(error: &clap::Error) -> Failure {
    let argument = text(error, ContextKind::InvalidArg);
    let value = text(error, ContextKind::InvalidValue);
    let message = if value.is_empty() {
        format!("{argument} needs a value")
    } else {
        format!("{argument}: \"{value}\" is not accepted")
    };
    let mut failure = Failure::usage(message);
    if let Some(source) = std::error::Error::source(error) {
        failure = failure.why(source.to_string());
    }
    failure = suggested(failure, error, ContextKind::SuggestedValue);
    match text(error, ContextKind::ValidValue) {
        valid if valid.is_empty() => failure,
        valid => failure.why(format!("possible values: {valid}")),
    }
}

fn missing(error: &clap::Error) -> Failure {
    Failure::usage(format!("{} is missing", text(error, ContextKind::InvalidArg)))
}

fn conflict(error: &clap::Error) -> Failure {
    let one = text(error, ContextKind::InvalidArg);
    match text(error, ContextKind::PriorArg) {
        other if other.is_empty() || other == one => {
            Failure::usage(format!("{one} may be given once only"))
        }
        other => Failure::usage(format!("{one} cannot be used with {other}")),
    }
}

fn suggested(failure: Failure, error: &clap::Error, kind: ContextKind) -> Failure {
    match text(error, kind) {
        guess if guess.is_empty() => failure,
        guess => failure.why(format!("did you mean \"{guess}\"?")),
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(one)) => one.clone(),
        Some(ContextValue::Strings(several)) => several.join(", "),
        Some(ContextValue::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// The command that was meant, as far as the line names one, with the words that name it.
fn meant(line: &[OsString]) -> (Command, String) {
    let mut command = super::command();
    command.build();
    let mut words = "meshctl".to_owned();
    for word in line.iter().filter_map(|word| word.to_str()) {
        if let Some(below) = command.find_subcommand(word).cloned() {
            words = format!("{words} {word}");
            command = below;
        }
    }
    (command, words)
}

fn help_line(line: &[OsString]) -> String {
    format!("{} --help", meant(line).1)
}

/// The short help of the command that was meant: the answer to a line without a command.
pub(crate) fn short_help(line: &[OsString]) -> StyledStr {
    meant(line).0.render_help()
}

#[cfg(test)]
mod tests {
    use super::OsString;

    fn complaint(line: &str) -> String {
        let words = std::iter::once("meshctl").chain(line.split_whitespace());
        let words: Vec<_> = words.map(OsString::from).collect();
        let error = crate::args::parse(words.clone()).err().unwrap();
        let lines = super::failure(&error, &words).unwrap().lines();
        lines.into_iter().map(|(label, line)| format!("{label}: {line}\n")).collect()
    }

    #[test]
    fn a_mistyped_command_or_flag_is_guessed() {
        assert!(complaint("vresion").contains("did you mean \"version\""));
        assert!(complaint("get services --ouput json").contains("--output"));
    }

    #[test]
    fn a_wrong_value_names_the_flag_and_the_value() {
        let text = complaint("get services -o jsn");
        assert!(text.contains("jsn") && text.contains("did you mean \"json\""), "{text}");
        assert!(text.contains("meshctl get --help"), "{text}");
    }
}
