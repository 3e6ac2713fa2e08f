//! One host of a mesh: `meshd` in a namespace, cgroup and state directory of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::captured::Probe;
use crate::command::Ran;
use crate::host::{self, leftovers, remove_cgroup};
use crate::netns::Netns;
use crate::programs::program;
use crate::wait::eventually;

const START: Duration = Duration::from_secs(15);
const STOP: Duration = Duration::from_secs(20);

/// A running daemon and where everything of it is.
///
/// Dropped, it is told to stop and must leave nothing: a leak fails the test.
pub struct Node {
    pub netns: Netns,
    /// Folder of the test: state, socket, logs, home.
    pub dir: TempDir,
    /// Name of its cgroup, below the cgroup2 mount.
    pub cgroup: String,
    flags: Vec<String>,
    daemon: Option<Child>,
}

impl Node {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts with more flags of `meshd`, for example `["--backend", "nft"]`.
    pub fn with(flags: &[&str]) -> Self {
        let mut node = Self::stopped(flags);
        node.boot();
        node
    }

    /// Everything but the daemon.
    pub fn stopped(flags: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("mesh-test-").tempdir().expect("temp folder");
        let cgroup = format!("mt{}-n1.slice", std::process::id());
        let path = |name: &str| dir.path().join(name).display().to_string();
        let own = [
            ("--state-dir", path("state")),
            ("--socket", path("meshd.sock")),
            ("--cgroup", cgroup.clone()),
            ("--node", "n1".to_owned()),
            ("--log-format", "json".to_owned()),
            ("--access-log", "json".to_owned()),
            ("--access-log-file", path("access.log")),
        ];
        let given = |name: &str| flags.contains(&name);
        let mut all: Vec<String> = Vec::new();
        for (name, value) in own.into_iter().filter(|(name, _)| !given(name)) {
            all.extend([name.to_owned(), value]);
        }
        all.extend(flags.iter().map(|&flag| flag.to_owned()));
        Self { netns: Netns::new("n1"), dir, cgroup, flags: all, daemon: None }
    }

    /// With more flags, for those that depend on the test's folder.
    pub fn also(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("meshd.sock")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The command that starts the daemon, in the namespace.
    pub fn daemon_command(&self) -> Command {
        let mut command = self.netns.command(program("meshd"));
        command.args(&self.flags).stdin(Stdio::null()).env_remove("MESHD_CONFIG");
        command
    }

    /// Starts the daemon and waits until it says it is ready.
    pub fn boot(&mut self) {
        self.boot_with(&[]);
    }

    /// The same with more variables in its environment.
    pub fn boot_with(&mut self, variables: &[(&str, &str)]) {
        let mut daemon = self.daemon_command();
        daemon.envs(variables.iter().copied());
        self.start_and_wait(daemon);
    }

    /// The same for a daemon that `wrapper` starts and then leaves its place to (`strace -D`).
    pub fn boot_under(&mut self, wrapper: &[&str]) {
        let daemon = self.daemon_command();
        let mut command = self.netns.command(wrapper[0]);
        command.args(&wrapper[1..]).arg(daemon.get_program()).args(daemon.get_args());
        self.start_and_wait(command);
    }

    fn start_and_wait(&mut self, mut daemon: Command) {
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.expect("log file");
        let out = log.try_clone().expect("one more descriptor");
        let child = daemon.stdout(out).stderr(log).spawn().expect("start meshd");
        self.daemon = Some(child);
        eventually("meshd ready", START, || {
            let child = self.daemon.as_mut().expect("just started");
            if let Ok(Some(status)) = child.try_wait() {
                self.daemon = None;
                panic!("meshd ended with {status} instead of getting ready\n{}", self.log_tail());
            }
            match self.admin("/ready") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}\n{}", self.log_tail())),
            }
        });
    }

    pub fn pid(&self) -> i32 {
        let child = self.daemon.as_ref().expect("meshd runs");
        i32::try_from(child.id()).expect("a pid fits")
    }

    /// It was started, and neither stopped nor killed by the test.
    pub fn runs(&self) -> bool {
        self.daemon.is_some()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("meshd runs");
    }

    /// SIGKILL, and gone.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let mut child = self.daemon.take().expect("meshd runs");
        child.wait().expect("reaped");
    }

    /// SIGTERM; its exit code once it ended.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let mut child = self.daemon.take().expect("meshd runs");
        let end = Instant::now() + STOP;
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return status.code();
            }
            if Instant::now() > end {
                child.kill().expect("a child");
                child.wait().expect("reaped");
                panic!("meshd did not stop within {STOP:?}\n{}", self.log_tail());
            }
            crate::wait::pause(Duration::from_millis(10));
        }
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("meshd.log")
    }

    /// Everything the daemon wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// Access log lines with this message, `request completed` for instance.
    pub fn access_log(&self, message: &str) -> Vec<serde_json::Value> {
        let log = fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        let lines = log.lines().map(|line| serde_json::from_str(line).expect("a JSON line"));
        lines.filter(|line: &serde_json::Value| line["msg"] == message).collect()
    }

    /// Any command as this node's user would run it: in the namespace, with the node's socket.
    pub fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = self.netns.command(program);
        command
            .env("MESHCTL_SOCKET", self.socket())
            .env("HOME", self.dir.path())
            .env("LC_ALL", "C.UTF-8")
            .env_remove("CI")
            .env_remove("NO_COLOR")
            .env_remove("XDG_CONFIG_HOME");
        command
    }

    /// Runs `meshctl` with these arguments to its end.
    pub fn meshctl(&self, args: &[&str]) -> Ran {
        self.meshctl_with(args, "")
    }

    /// The same with something on standard input.
    pub fn meshctl_with(&self, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(program("meshctl"));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start meshctl");
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_owned();
        // A command that does not read its input closes the pipe.
        let writer = thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap_or_default());
        let output = child.wait_with_output().expect("meshctl ends");
        writer.join().expect("writer");
        Ran::new(format!("meshctl {}", args.join(" ")), &output)
    }

    /// A command that must succeed; its standard output.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.meshctl(args).exits(0).stdout
    }

    /// A captured client running as `service`.
    pub fn run_as(&self, service: &str) -> Probe {
        self.run_with(&["--as", service])
    }

    /// A captured client with these flags of `meshctl run`.
    pub fn run_with(&self, flags: &[&str]) -> Probe {
        let mut command = self.command(program("meshctl"));
        command.arg("run").args(flags).arg("--").arg(program("mesh-probe"));
        Probe::start(command)
    }

    /// A client in the same namespace that nobody captured.
    pub fn outsider(&self) -> Probe {
        Probe::start(self.command(program("mesh-probe")))
    }

    /// `meshctl run --as service -- COMMAND`, to its end.
    pub fn run(&self, service: &str, command: &[&str]) -> Ran {
        self.meshctl(&[&["run", "--as", service, "--"], command].concat())
    }

    /// Waits until the service has this many ready endpoints.
    pub fn until_ready(&self, service: &str, endpoints: u64) {
        eventually(&format!("{endpoints} ready in {service}"), Duration::from_secs(10), || {
            let shown = self.meshctl(&["get", &format!("service/{service}"), "-o", "json"]);
            let ready = serde_json::from_str::<serde_json::Value>(&shown.stdout)
                .ok()
                .and_then(|service| service["status"]["ready"].as_u64());
            if ready == Some(endpoints) { Ok(()) } else { Err(shown.to_string()) }
        });
    }

    /// GET from the admin address: status and body.
    pub fn admin(&self, path: &str) -> std::io::Result<(u16, String)> {
        let path = path.to_owned();
        self.netns.inside(move || {
            let mut stream = TcpStream::connect("127.0.0.1:15020")?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            let host = "Host: 127.0.0.1:15020\r\nConnection: close";
            stream.write_all(format!("GET {path} HTTP/1.1\r\n{host}\r\n\r\n").as_bytes())?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            Ok((status.unwrap_or(0), body.to_owned()))
        })
    }

    /// Sum of the series of `name` that carry every one of `labels` (`service="web"`).
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.admin("/metrics").expect("admin answers");
        let named = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let value =
            |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        text.lines().filter(named).filter_map(value).sum()
    }

    /// A file in the test's folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("folder");
        fs::write(&path, text).expect("write a file");
        path
    }

    /// What is left of the daemon on the host.
    pub fn leftovers(&self) -> Vec<String> {
        leftovers(&self.netns, &self.cgroup)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let failing = thread::panicking();
        if failing {
            eprintln!("--- meshd log, last lines\n{}", self.log_tail());
        }
        let code = self.daemon.is_some().then(|| self.stop());
        let left = self.leftovers();
        remove_cgroup(&self.cgroup).expect("remove the test's cgroup");
        host::remove_pins(std::process::id());
        if !failing && host::is_root() {
            assert!(code.is_none_or(|code| code == Some(0)), "meshd ended with {code:?}");
            assert!(left.is_empty(), "left on the host: {left:?}");
        }
        assert!(failing || code.is_none() || !self.socket().exists(), "socket left");
    }
}
