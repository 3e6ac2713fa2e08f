//! A long-lived `nft -i` that owns our table.
//!
//! Commands go in as files (each one transaction), answers come out as text. Every transaction
//! ends by writing its number into the set `done`; listing that set afterwards tells whether it
//! was applied, whatever else was printed.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{self, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::capture::netns::Site;

/// A transaction of tens of thousands of elements takes less than a second.
const PATIENCE: Duration = Duration::from_secs(10);
const LIST: &str = "list set inet meshd done";

#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Number of the last transaction that was applied.
    done: u32,
}

impl Child {
    /// Works in the namespace of `site`. It ends with its commands, when meshd does.
    pub(super) fn start(program: &Path, site: &Site) -> io::Result<Self> {
        let mut command = site.command(program);
        // Signals of the terminal are for meshd alone, which ends the child itself.
        command.arg("-i").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Command::from(command).kill_on_drop(true).spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (commands, answers) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { process, commands, answers: BufReader::new(answers).lines(), done: 0 })
    }

    /// Applies `text` as a whole or not at all.
    pub(super) async fn load(&mut self, text: &str) -> io::Result<()> {
        let previous = format!("delete element inet meshd done {{ {} }}\n", self.done);
        self.transact(&format!("{text}{previous}")).await
    }

    /// The same where `text` makes the table.
    pub(super) async fn replace(&mut self, text: &str) -> io::Result<()> {
        self.transact(text).await
    }

    async fn transact(&mut self, text: &str) -> io::Result<()> {
        let number = self.done + 1;
        let file = in_memory(&format!("{text}add element inet meshd done {{ {number} }}\n"))?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let answer = self.say(&format!("include \"{path}\"\n{LIST}\n"), LIST).await?;
        if !answer.contains(&noted(number)) {
            return Err(io::Error::other(first_error(&answer)));
        }
        self.done = number;
        Ok(())
    }

    /// The table is there, as this process last left it.
    pub(super) async fn is_whole(&mut self) -> bool {
        let answer = self.ask(LIST).await.unwrap_or_default();
        answer.contains(&noted(self.done))
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The process was killed, and the table with it.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    pub(super) async fn delete(&mut self) -> io::Result<()> {
        let answer = self.say(&format!("delete table inet meshd\n{LIST}\n"), LIST).await?;
        if answer.contains(&noted(self.done)) {
            return Err(io::Error::other(first_error(&answer)));
        }
        Ok(())
    }

    /// The answer to a listing.
    pub(super) async fn ask(&mut self, listing: &str) -> io::Result<String> {
        self.say(&format!("{listing}\n"), listing).await
    }

    /// Everything printed up to the end of what `last` lists, or its error.
    async fn say(&mut self, commands: &str, last: &str) -> io::Result<String> {
        self.commands.write_all(commands.as_bytes()).await?;
        let mut answer = String::new();
        let read = async {
            while let Some(line) = self.answers.next_line().await? {
                answer.push_str(&line);
                answer.push('\n');
                if line == "}" || line.ends_with(last) {
                    return Ok(());
                }
            }
            Err(io::Error::from(io::ErrorKind::UnexpectedEof))
        };
        match timeout(PATIENCE, read).await {
            Ok(read) => read.map(|()| answer),
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Ends the child, and the table with it.
    pub(super) async fn end(mut self) -> io::Result<()> {
        self.process.kill().await
    }
}

/// How nft prints an element of `done`.
fn noted(number: u32) -> String {
    format!("{number:#010x}")
}

pub(super) fn first_error(answer: &str) -> String {
    let error = answer.lines().find_map(|line| line.split_once("Error: "));
    error.map_or_else(|| "nft did not apply it".to_owned(), |(_, error)| error.to_owned())
}

fn in_memory(text: &str) -> io::Result<File> {
    // SAFETY: the name is NUL-terminated; the descriptor is checked and owned by nobody else.
    let mut file = unsafe {
        let fd = libc::memfd_create(c"meshd.nft".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from_raw_fd(fd)
    };
    file.write_all(text.as_bytes())?;
    Ok(file)
}
