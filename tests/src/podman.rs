//! Real containers, by podman, with storage, settings and cgroups of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::command::Ran;
use crate::host::{cgroup2, remove_cgroup};
use crate::machine::OWN_FILES;
use crate::node::Node;
use crate::programs::program;
use crate::{Probe, wait};

/// What containers start from is the host's `/usr`. In a cgroup namespace podman sees nothing but
/// version 2 and the cgroup it is to stay below.
const HOLD: &str = r"
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /mnt/rootfs/{usr,proc,sys,dev,run,tmp,etc}
mount --bind /usr /mnt/rootfs/usr
for d in bin lib lib64 sbin; do ln -s usr/$d /mnt/rootfs/$d; done
cp $1 /mnt/rootfs/mesh-probe
touch /run/ready
exec sleep infinity
";
/// A cgroup without controllers is enough; and a container is to start where the test itself may
/// not raise limits.
const RUN: &str = "run --interactive --privileged --pids-limit 0 --ulimit nofile=1024:1024 \
                   --ulimit nproc=1024:1024 --network none --rootfs";

/// Ends with its containers.
pub struct Podman {
    holder: Child,
    service: Option<Child>,
    slice: String,
    /// The API, as meshd finds it.
    pub socket: PathBuf,
}

impl Podman {
    pub fn start(node: &Node) -> Self {
        let slice = format!("mt{}-podman.slice", std::process::id());
        fs::create_dir_all(cgroup2().join(&slice)).expect("a cgroup");
        let setup = [OWN_FILES, HOLD].concat();
        let mut command = inside(&slice, "unshare");
        command.args(["-C", "-m", "--propagation", "private", "bash", "-c", &setup, "podman"]);
        let holder = command.arg(program("mesh-probe")).spawn().expect("unshare");
        let ready = format!("/proc/{}/root/run/ready", holder.id());
        wait::until("podman's place", Duration::from_secs(10), || Path::new(&ready).exists());
        let socket = node.dir.path().join("podman.sock");
        let mut podman = Self { holder, service: None, slice, socket };
        let api = format!("unix://{}", podman.socket.display());
        let service = podman.command(&["system", "service", "--time", "0", &api]).spawn();
        podman.service = Some(service.expect("podman"));
        wait::until("podman's API", Duration::from_secs(20), || podman.socket.exists());
        podman
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = inside(&self.slice, "nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-C", "-m", "--", "podman"]);
        command.args(["--root", "/mnt/store", "--runroot", "/mnt/runroot"]);
        command.args(["--cgroup-manager", "cgroupfs", "--storage-driver", "vfs"]);
        command.args(["--events-backend", "file", "--runtime", "crun"]).args(words);
        command
    }

    pub fn does(&self, words: &[&str]) -> Ran {
        let output = self.command(words).output().expect("podman");
        Ran::new(format!("podman {}", words.join(" ")), &output).exits(0)
    }

    /// A client in a container of this name, whose network is its own loopback.
    pub fn run(&self, name: &str) -> Probe {
        let words: Vec<&str> = RUN.split_whitespace().collect();
        let [rest @ .., rootfs] = words.as_slice() else { unreachable!("not empty") };
        let probe = [rest, &["--name", name, rootfs, "/mnt/rootfs", "/mesh-probe"]].concat();
        Probe::start(self.command(&probe))
    }

    /// The whole id of a container.
    pub fn id(&self, name: &str) -> String {
        let asked = ["inspect", "--format", "{{.Id}}", name];
        self.does(&asked).stdout.trim().to_owned()
    }
}

/// A command that starts in the cgroup.
fn inside(slice: &str, program: &str) -> Command {
    let members = cgroup2().join(slice).join("cgroup.procs");
    let enter = format!("echo $$ > {} && exec {program} \"$@\"", members.display());
    let mut command = Command::new("sh");
    command.args(["-c", &enter, program]).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    command
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Containers, their monitors, the API and the holder: all are in there.
        let killed = fs::write(cgroup2().join(&self.slice).join("cgroup.kill"), "1");
        for child in self.service.iter_mut().chain([&mut self.holder]) {
            child.wait().expect("reaped");
        }
        killed.and_then(|()| remove_cgroup(&self.slice)).expect("remove podman's cgroup");
    }
}
