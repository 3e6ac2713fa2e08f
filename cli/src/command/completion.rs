//! `meshctl completion`: the script that makes a shell ask meshctl for completions.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use mesh_proto::codes;

use crate::context::Context;
use crate::error::{Exit, Failure};

/// Set up shell completion
#[derive(clap::Args)]
#[command(before_help = "Examples:
  source <(meshctl completion bash)
  meshctl completion zsh --install")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
    /// Write the line that loads it into the shell's start file, instead of printing
    #[arg(long)]
    install: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// The line that loads the completions.
    fn line(self) -> &'static str {
        match self {
            Self::Bash => "source <(COMPLETE=bash meshctl)",
            Self::Zsh => "source <(COMPLETE=zsh meshctl)",
            Self::Fish => "COMPLETE=fish meshctl | source",
        }
    }

    /// The file the shell reads at its start, below the home directory.
    fn start_file(self) -> &'static str {
        match self {
            Self::Bash => ".bashrc",
            Self::Zsh => ".zshrc",
            Self::Fish => ".config/fish/config.fish",
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if args.install {
        return install(args.shell, context);
    }
    context.output.text(&script(args.shell)?)?;
    Ok(Exit::DONE)
}

/// The shell's side, which calls meshctl for every completion.
fn script(shell: Shell) -> Result<String, Failure> {
    let shells = clap_complete::env::Shells::builtins();
    let mut script = Vec::new();
    if let Some(completer) = shells.completer(shell.name()) {
        completer.write_registration("COMPLETE", "meshctl", "meshctl", "meshctl", &mut script)?;
    }
    Ok(String::from_utf8_lossy(&script).into_owned())
}

fn install(shell: Shell, context: &Context) -> Result<Exit, Failure> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.ok_or_else(|| Failure::new(&codes::LOCAL, "HOME is not set"))?;
    let file = home.join(shell.start_file());
    let there =
        fs::read_to_string(&file).is_ok_and(|text| text.lines().any(|line| line == shell.line()));
    if there {
        context.output.say(&format!("{} unchanged", file.display()))?;
        return Ok(Exit::DONE);
    }
    append(&file, shell.line()).map_err(|error| {
        Failure::new(&codes::LOCAL, format!("cannot write {}", file.display()))
            .why(error.to_string())
    })?;
    context.output.say(&format!("{} configured: {}", file.display(), shell.line()))?;
    context.output.note("open a new shell to use it");
    Ok(Exit::DONE)
}

fn append(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{line}")
}
