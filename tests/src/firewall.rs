//! The firewalls people have, as their packages bring them: on a node's network, with files of
//! their own, so that the host's are neither read nor written.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::command::Ran;
use crate::machine::OWN_FILES;
use crate::node::Node;
use crate::wait::eventually;

const HOLD: &str = r"
mkdir /run/dbus
touch /run/ready
exec sleep infinity
";

/// A mount namespace in a node's network, and the services started there.
pub struct Firewall {
    /// Its first process, which only holds the namespace.
    holder: Child,
    services: Vec<Child>,
}

impl Firewall {
    /// A place to run ufw in, which has no daemon.
    pub fn place(node: &Node) -> Self {
        let mut command = node.netns.command("unshare");
        let setup = [OWN_FILES, HOLD].concat();
        command.args(["-m", "--propagation", "private", "bash", "-c", &setup]);
        let holder = command.stdin(Stdio::null()).spawn().expect("unshare");
        let ready = format!("/proc/{}/root/run/ready", holder.id());
        eventually("files of the firewall's own", Duration::from_secs(10), || {
            if Path::new(&ready).exists() { Ok(()) } else { Err("not yet") }
        });
        Self { holder, services: Vec::new() }
    }

    /// firewalld, on a message bus of its own.
    pub fn firewalld(node: &Node, rpfilter: &str) -> Self {
        let mut place = Self::place(node);
        let set = format!("s/^IPv6_rpfilter=.*/IPv6_rpfilter={rpfilter}/");
        place.does(&["sed", "-i", &set, "/etc/firewalld/firewalld.conf"]);
        place.serve(&["dbus-daemon", "--system", "--nofork", "--nopidfile"]);
        place.serve(&["firewalld", "--nofork", "--nopid"]);
        eventually("firewalld answers", Duration::from_secs(20), || {
            let state = place.run(&["firewall-cmd", "--state"]);
            if state.code == 0 { Ok(()) } else { Err(state) }
        });
        place
    }

    fn serve(&mut self, words: &[&str]) {
        let mut command = self.command(words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.services.push(command.spawn().expect(words[0]));
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-m", "-n", "--"]).args(words);
        command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        command
    }

    /// A command of the firewall's, to its end.
    pub fn run(&self, words: &[&str]) -> Ran {
        let output = self.command(words).output().expect("nsenter");
        Ran::new(words.join(" "), &output)
    }

    /// One that must succeed.
    #[track_caller]
    pub fn does(&self, words: &[&str]) -> Ran {
        self.run(words).exits(0)
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        for child in self.services.iter_mut().rev().chain([&mut self.holder]) {
            // One that has ended is as good.
            child.kill().unwrap_or_default();
            child.wait().expect("reaped");
        }
    }
}
