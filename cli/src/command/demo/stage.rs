//! Where the demo plays: a network namespace, a cgroup, a folder, meshd and three backends.
//!
//! The namespace has no name and the rest carries one tag, so that taking it all down is exact.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use mesh_proto::codes;
use mesh_proto::v1::GetStatusRequest;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::backend::Backend;
use super::guest;
use crate::client::Client;
use crate::context::Context;
use crate::error::Failure;
use crate::host::{facts, program};

const BACKENDS: [(u16, &str); 3] = [(3000, "v1"), (3001, "v1"), (3002, "v2")];
const START_PATIENCE: Duration = Duration::from_secs(10);
const STOP_PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Stage {
    tag: String,
    folder: PathBuf,
    /// The namespace to return to; `None` where this process was made inside.
    home: Option<File>,
    meshd: Option<Child>,
    pub(super) backends: Vec<Backend>,
}

impl Stage {
    /// Moves this process into a fresh network namespace and starts the backends in it.
    pub(super) fn build() -> Result<Self, Failure> {
        let tag = tag_of(std::process::id());
        let folder = std::env::temp_dir().join(&tag);
        let inside = guest::is_inside();
        let home = if inside { None } else { Some(File::open("/proc/self/ns/net")?) };
        fs::create_dir(&folder)?;
        let mut stage = Self { tag, folder, home, meshd: None, backends: Vec::new() };
        if !inside {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| {
                Failure::new(&codes::HOST_UNSUPPORTED, "cannot make a network namespace")
                    .why(error.desc())
            })?;
        }
        network()?;
        for (port, version) in BACKENDS {
            stage.backends.push(Backend::start(port, version)?);
        }
        Ok(stage)
    }

    pub(super) fn tag(&self) -> String {
        self.tag.clone()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("meshd.sock")
    }

    /// Starts meshd and waits until it captures.
    pub(super) async fn open(&mut self, context: &Context) -> Result<(), Failure> {
        for backend in &self.backends {
            context.output.say(&format!("[BACKEND] Starting test backend on :{}", backend.port))?;
        }
        context.output.say("[BACKEND] Ready to receive requests from the proxy")?;
        self.start_meshd()?;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if self.is_ready().await {
                return Ok(());
            }
            if let Some(Ok(Some(status))) = self.meshd.as_mut().map(Child::try_wait) {
                return Err(self.no_meshd(&format!("it ended: {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.no_meshd("it was not ready in time"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn start_meshd(&mut self) -> Result<(), Failure> {
        let program = program::beside_us("meshd");
        let log = File::create(self.folder.join("meshd.log"))?;
        let mut command = Command::new(&program);
        command
            .args(["--mesh", "demo", "--node", "demo", "--log-format", "text"])
            .arg("--state-dir")
            .arg(self.folder.join("state"))
            .arg("--socket")
            .arg(self.socket())
            .arg("--cgroup")
            .arg(self.cgroup())
            .args(if guest::is_inside() { &["--backend", "netns"][..] } else { &[] })
            .env_remove("MESHD_CONFIG")
            .arg("--config")
            .arg(self.settings()?)
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for the demo, which then stops meshd in its own order.
            .process_group(0);
        let child = command.spawn().map_err(|error| {
            Failure::new(&codes::LOCAL, format!("cannot start {}", program.display()))
                .why(error.to_string())
                .fix("install meshd beside meshctl, or build it: make build")
        })?;
        self.meshd = Some(child);
        Ok(())
    }

    /// An empty settings file: the host's own must not reach into the demo.
    fn settings(&self) -> io::Result<PathBuf> {
        let file = self.folder.join("config.yaml");
        fs::write(&file, "{}\n")?;
        Ok(file)
    }

    fn cgroup(&self) -> String {
        format!("{}.slice", self.tag)
    }

    async fn is_ready(&self) -> bool {
        let limit = Some(Duration::from_secs(2));
        let Ok(client) = Client::connect(&self.socket(), limit).await else {
            return false;
        };
        let status = client.call(client.status().get_status(GetStatusRequest {})).await;
        status.is_ok_and(|status| status.ready)
    }

    fn no_meshd(&self, why: &str) -> Failure {
        let log = fs::read_to_string(self.folder.join("meshd.log")).unwrap_or_default();
        let mut failure = Failure::new(&codes::NOT_READY, "meshd did not start").why(why);
        let lines: Vec<_> = log.lines().collect();
        for line in lines.iter().rev().take(3).rev() {
            failure = failure.why(*line);
        }
        failure
    }

    /// How to look around while `--keep` holds the stage.
    pub(super) fn visitors_guide(&self) -> String {
        let (pid, socket) = (std::process::id(), self.socket());
        let socket = socket.display();
        if guest::is_inside() {
            return format!(
                "in another terminal:\n  export MESHCTL_SOCKET={socket}\n  meshctl top\n  \
                 meshctl run -- curl http://web.mesh/"
            );
        }
        format!(
            "in another terminal:\n  sudo MESHCTL_SOCKET={socket} meshctl top\n  \
             sudo nsenter -t {pid} -n env MESHCTL_SOCKET={socket} meshctl run -- curl http://web.mesh/"
        )
    }

    /// Takes everything down, whatever state it is in, and returns to the host's namespace.
    pub(super) fn strike(mut self) -> Result<(), Failure> {
        self.clear()
    }

    fn clear(&mut self) -> Result<(), Failure> {
        let stopped = self.stop_meshd();
        self.backends.clear();
        let home = self.home.as_ref().map_or(Ok(()), |home| setns(home, CloneFlags::CLONE_NEWNET));
        remove_cgroup(&self.cgroup());
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        home.map_err(|error| {
            Failure::new(&codes::LOCAL, "cannot leave the namespace").why(error.desc())
        })?;
        stopped
    }

    fn stop_meshd(&mut self) -> Result<(), Failure> {
        let Some(mut meshd) = self.meshd.take() else {
            return Ok(());
        };
        if let Ok(pid) = i32::try_from(meshd.id()) {
            // It may have ended by itself; then there is nobody to tell.
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if meshd.try_wait()?.is_some() {
                return Ok(());
            }
            pause();
        }
        meshd.kill()?;
        meshd.wait()?;
        Err(Failure::new(&codes::LOCAL, "meshd did not stop by itself and was killed"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.clear());
    }
}

/// What everything of the demo that `pid` plays carries in its name.
pub(super) fn tag_of(pid: u32) -> String {
    format!("meshctl-demo-{pid}")
}

#[allow(clippy::disallowed_methods, reason = "the runtime has ended; there is nothing to block")]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// A namespace starts without any way to send: everything may go through loopback.
fn network() -> Result<(), Failure> {
    let steps: [&[&str]; 4] = [
        &["link", "set", "lo", "up"],
        &["addr", "add", "10.77.0.1/32", "dev", "lo"],
        &["route", "add", "default", "dev", "lo"],
        &["-6", "route", "add", "default", "dev", "lo"],
    ];
    for step in steps {
        let output = Command::new("ip").args(step).output();
        let output = output.map_err(|error| {
            Failure::new(&codes::HOST_UNSUPPORTED, "the demo needs the program ip (iproute2)")
                .why(error.to_string())
        })?;
        // IPv6 may be switched off on this host.
        if !output.status.success() && step.first() != Some(&"-6") {
            let message = format!("ip {} failed", step.join(" "));
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure::new(&codes::HOST_UNSUPPORTED, message).why(why));
        }
    }
    Ok(())
}

/// meshd removes its cgroup when it stops; after a kill it is left to us.
fn remove_cgroup(name: &str) {
    let Some(root) = facts::cgroup2().map(|mount| mount.join(name)) else {
        return;
    };
    for entry in fs::read_dir(&root).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            drop(fs::remove_dir(entry.path()));
        }
    }
    drop(fs::remove_dir(root));
}
