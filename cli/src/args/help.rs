//! How help looks: commands in groups, examples before the flags, at most 100 columns.

use clap::{Arg, Command};

use super::duration::Limit;

/// Id of `--timeout` where it means the limit of one call to meshd.
pub(crate) const CALL_LIMIT: &str = "call-limit";

/// Id of `--timeout` where the command gives it a meaning of its own.
pub(crate) const OWN_TIMEOUT: &str = "own-timeout";

pub(crate) const GROUPS: [(&str, &[&str]); 6] = [
    (
        "SETUP",
        &[
            "install",
            "uninstall",
            "check",
            "status",
            "demo",
            "completion",
            "version",
            "help",
            "schema",
            "env",
        ],
    ),
    ("SERVICES", &["register", "deregister", "run", "attach", "detach"]),
    ("TRAFFIC", &["route", "split", "bypass"]),
    ("OBSERVE", &["top", "stat", "trace", "events", "metrics"]),
    (
        "CONFIG",
        &[
            "apply", "diff", "lint", "get", "describe", "delete", "wait", "export", "explain",
            "history", "undo",
        ],
    ),
    ("SUPPORT", &["debug"]),
];

const ROOT_TEMPLATE: &str =
    "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{options}";
const PARENT_TEMPLATE: &str =
    "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}";

/// The command tree with its help arranged, and `--timeout` where it belongs.
pub(crate) fn arranged(root: Command) -> Command {
    let root = root
        .max_term_width(100)
        .mut_subcommands(|command| arranged_command(command, true))
        .help_template(ROOT_TEMPLATE);
    let overview = overview(&root);
    root.before_help(overview.clone()).before_long_help(overview)
}

/// A command that gives `--timeout` its own meaning keeps it, and so do the commands below it.
fn arranged_command(command: Command, limited: bool) -> Command {
    let owns = command.get_arguments().any(|arg| arg.get_id() == OWN_TIMEOUT);
    let limited = limited && !owns && command.get_name() != "help";
    let has_below = command.has_subcommands();
    let command = command
        .help_template(PARENT_TEMPLATE)
        .max_term_width(100)
        .mut_subcommands(move |below| arranged_command(below, limited));
    if limited && !has_below { command.arg(call_limit()) } else { command }
}

fn call_limit() -> Arg {
    Arg::new(CALL_LIMIT)
        .long("timeout")
        .value_name("DUR")
        .value_parser(clap::value_parser!(Limit))
        .help("Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]")
        .help_heading("Global options")
}

/// The commands, group by group, one line each.
fn overview(root: &Command) -> String {
    let about = |name: &str| match root.find_subcommand(name) {
        Some(command) => command.get_about().map(ToString::to_string).unwrap_or_default(),
        None => "Show help of a command".to_owned(),
    };
    let mut text = String::new();
    for (group, names) in GROUPS {
        for (index, name) in names.iter().enumerate() {
            let heading = if index == 0 { group } else { "" };
            text.push_str(&format!("{heading:<10} {name:<11} {}\n", about(name)));
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let root = crate::args::command();
        let grouped: Vec<&str> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for command in root.get_subcommands() {
            let times = grouped.iter().filter(|name| **name == command.get_name()).count();
            assert_eq!(times, 1, "{}", command.get_name());
        }
        assert_eq!(root.get_subcommands().count() + 1, grouped.len());
    }

    #[test]
    fn every_command_shows_two_examples_within_100_columns() {
        let mut root = crate::args::command();
        root.build();
        for command in root.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let name = command.get_name().to_owned();
            let help = command.render_long_help().to_string();
            let before_flags = help.split("ptions:").next().unwrap_or_default();
            let examples = before_flags.matches(&format!("meshctl {name}")).count();
            assert!(examples >= 3, "{name}: usage and two examples, got {examples}\n{help}");
            let widest = help.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(100), "{name}: {widest:?}\n{help}");
        }
    }
}
