//! A long-lived `nft -i` that owns our table.
//!
//! Commands go in as a file, each time one transaction. Every transaction ends by writing its
//! number into the set `done`: the kernel announces that once all of it is in force, which is the
//! answer. nft itself prints only errors, and nothing has to be read where there are none.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::socket::SockProtocol;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{self, ChildStderr, ChildStdin, Command};
use tokio::time::timeout;

use super::once;
use super::ruleset::TABLE;
use crate::capture::host;
use crate::capture::netlink::{self, Heard, attribute, attributes, messages};
use crate::capture::netns::Site;

/// A transaction of tens of thousands of elements takes less than a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// What nft takes to print the rest of its errors.
const MOMENT: Duration = Duration::from_millis(500);
/// No command: nft's error about it, which repeats it, comes after all errors before.
const END: &str = "end_of_errors";

#[derive(Debug)]
pub(super) struct Child {
    program: PathBuf,
    site: Site,
    process: process::Child,
    commands: ChildStdin,
    errors: Lines<BufReader<ChildStderr>>,
    /// Hears of every transaction in the namespace.
    kernel: AsyncFd<OwnedFd>,
    /// What nft is told to do.
    text: File,
    /// Number of the last transaction, applied or not: one that is late must not be taken for
    /// another.
    tried: u32,
    /// Of the last that was applied.
    done: u32,
}

impl Child {
    /// Works in the namespace of `site`. It ends with its commands, when meshd does.
    pub(super) fn start(program: &Path, site: &Site) -> io::Result<Self> {
        let mut command = site.command(program);
        // Signals of the terminal are for meshd alone, which ends the child itself. Its history of
        // commands would be kept at home, among those of people.
        command.arg("-i").process_group(0).env("HOME", "/dev/null");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Command::from(command).kill_on_drop(true).spawn()?;
        let pipes = process.stdin.take().zip(process.stderr.take());
        let (commands, errors) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        let listen = || netlink::listen(SockProtocol::NetlinkNetFilter, netlink::NFTABLES);
        Ok(Self {
            program: program.to_owned(),
            site: site.clone(),
            process,
            commands,
            errors: BufReader::new(errors).lines(),
            kernel: host::watched(site.inside(listen)?)?,
            text: in_memory()?,
            tried: 0,
            done: 0,
        })
    }

    /// Applies `text` as a whole or not at all.
    pub(super) async fn load(&mut self, text: &str) -> io::Result<()> {
        let previous = format!("delete element inet {TABLE} done {{ {} }}\n", self.done);
        self.replace(&format!("{text}{previous}")).await
    }

    /// The same where `text` makes the table.
    pub(super) async fn replace(&mut self, text: &str) -> io::Result<()> {
        self.tried += 1;
        let text = format!("{text}add element inet {TABLE} done {{ {} }}\n", self.tried);
        self.text.set_len(0)?;
        self.text.write_all_at(text.as_bytes(), 0)?;
        // Always the same words: nft remembers each that is new, for ever.
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.text.as_raw_fd());
        self.forget_news();
        self.commands.write_all(format!("include \"{path}\"\n").as_bytes()).await?;
        match timeout(PATIENCE, self.outcome()).await {
            Ok(Ok(())) => {
                self.done = self.tried;
                Ok(())
            }
            Ok(Err(error)) => {
                self.skip_errors().await;
                Err(error)
            }
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Of the transaction that was tried last.
    async fn outcome(&mut self) -> io::Result<()> {
        let mut room = vec![0; netlink::LONGEST];
        loop {
            tokio::select! {
                news = self.kernel.readable() => news?.clear_ready(),
                line = self.errors.next_line() => {
                    let line = line?.ok_or(io::ErrorKind::UnexpectedEof)?;
                    if let Some(error) = error_in(&line) {
                        return Err(io::Error::other(error.to_owned()));
                    }
                }
            }
            let mut was_lost = false;
            loop {
                match netlink::receive(self.kernel.get_ref(), &mut room) {
                    Heard::Datagram(news) => {
                        if messages(news).any(|message| announces(message, self.tried)) {
                            return Ok(());
                        }
                    }
                    Heard::Lost => was_lost = true,
                    Heard::Nothing => break,
                }
            }
            if was_lost && self.is_listed(self.tried).await {
                return Ok(());
            }
        }
    }

    /// What was announced so far is of the past.
    fn forget_news(&self) {
        let mut room = vec![0; netlink::LONGEST];
        while !matches!(netlink::receive(self.kernel.get_ref(), &mut room), Heard::Nothing) {}
    }

    /// One transaction may have several errors, and each is printed with the lines it is about.
    async fn skip_errors(&mut self) {
        let skipped = async {
            self.commands.write_all(format!("{END}\n").as_bytes()).await.ok();
            while let Ok(Some(line)) = self.errors.next_line().await {
                if line.contains(END) {
                    break;
                }
            }
        };
        // An nft that does not repeat it has said everything by now.
        let _skipped_or_late = timeout(MOMENT, skipped).await;
    }

    /// The table is there, as this process last left it.
    pub(super) async fn is_whole(&self) -> bool {
        self.is_listed(self.done).await
    }

    async fn is_listed(&self, number: u32) -> bool {
        let list = format!("list set inet {TABLE} done\n");
        let listed = once::list(&self.site, &self.program, &list).await;
        // How nft prints a mark.
        listed.is_ok_and(|listed| listed.contains(&format!("{number:#010x}")))
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The process was killed, and the table with it.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Ends the child, and the table with it.
    pub(super) async fn end(mut self) -> io::Result<()> {
        self.process.kill().await
    }
}

/// The message says that element `number` of `done` is in force (`NFT_MSG_NEWSETELEM`).
fn announces(message: &[u8], number: u32) -> bool {
    const NEW_ELEMENT: u16 = netlink::NF_TABLES | 12;
    const OF_TABLE: u16 = 1;
    const OF_SET: u16 = 2;
    const ELEMENTS: u16 = 3;
    const ELEMENT: u16 = 1;
    const KEY: u16 = 1;
    const VALUE: u16 = 1;
    let Some(news) = netlink::of_netfilter(message, NEW_ELEMENT) else { return false };
    let is = |kind, name: &str| {
        attribute(news, kind).and_then(|found| found.strip_suffix(&[0])) == Some(name.as_bytes())
    };
    let elements = attributes(attribute(news, ELEMENTS).unwrap_or_default());
    let mut keys = elements
        .filter(|(kind, _)| *kind == ELEMENT)
        .filter_map(|(_, element)| attribute(attribute(element, KEY)?, VALUE));
    is(OF_TABLE, TABLE) && is(OF_SET, "done") && keys.any(|key| key == number.to_ne_bytes())
}

fn error_in(line: &str) -> Option<&str> {
    line.split_once("Error: ").map(|(_, error)| error)
}

pub(super) fn first_error(answer: &str) -> String {
    answer.lines().find_map(error_in).unwrap_or("nft did not apply it").to_owned()
}

fn in_memory() -> io::Result<File> {
    // SAFETY: the name is NUL-terminated; the descriptor is checked and owned by nobody else.
    unsafe {
        let fd = libc::memfd_create(c"meshd.nft".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(File::from_raw_fd(fd)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::netlink::{encoded, nested};

    /// In a network namespace of this thread's own.
    #[tokio::test]
    async fn errors_are_told_in_the_words_of_nft_and_are_not_those_of_the_next() {
        let inside = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET);
        let (Ok(()), Some(program)) = (inside, host::program("nft")) else {
            assert!(std::env::var_os("CI").is_none(), "this test needs root, nft; CI may not skip");
            return;
        };
        let mut child = Child::start(&program, &Site::OWN).unwrap();
        let table = "table inet meshd {\n flags owner\n set done { type mark; }\n set uids { type uid; }\n}\n";
        child.replace(table).await.unwrap();
        let wrong =
            "add element inet meshd none { 1 }\nadd element inet meshd uids { nobody_knows }\n";
        for _ in 0..2 {
            let error = child.load(wrong).await.unwrap_err().to_string();
            assert!(error.contains("No such file") || error.contains("not exist"), "{error}");
            child.load("add element inet meshd uids { 7 }\n").await.unwrap();
            assert!(child.is_whole().await);
        }
        child.end().await.unwrap();
        let gone = once::list(&Site::OWN, &program, "list tables\n").await.unwrap();
        assert!(!gone.contains(TABLE), "{gone}");
    }

    #[test]
    fn only_the_element_of_the_transaction_answers() {
        let announced = |set: &[u8], number: u32| {
            let key = nested(1, &nested(1, &encoded(1, &number.to_ne_bytes())));
            let names = [encoded(1, b"meshd\0"), encoded(2, set)].concat();
            let body = [vec![0; 4], names, nested(3, &key)].concat();
            netlink::request(netlink::NF_TABLES | 12, &body)
        };
        assert!(announces(&announced(b"done\0", 7), 7));
        assert!(!announces(&announced(b"done\0", 6), 7));
        assert!(!announces(&announced(b"cg3\0", 7), 7));
        assert!(!announces(b"short", 7));
    }
}
