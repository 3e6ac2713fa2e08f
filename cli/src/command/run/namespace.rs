//! A user and a network namespace of this process's own, in which meshd gets all traffic.
//!
//! Nobody has to be root for it: the kernel gives whoever makes a user namespace the rights over
//! it. The user's number stays the same inside. Those rights are used once, by a child that makes
//! the network one of meshd's, and are gone with the exec of the command.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use mesh_proto::codes;
use mesh_proto::v1::StartRunResponse;
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use serde_json::Value;

use crate::error::{Exit, Failure};
use crate::host::program;

const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;

/// Moves this process into namespaces of its own and lets meshd have the network's traffic.
/// The process must have one thread.
pub(crate) fn enter(run: &StartRunResponse) -> Result<(), Failure> {
    isolate(geteuid().as_raw(), getegid().as_raw()).map_err(forbidden)?;
    furnish(run)
}

/// Moves this process into a user and a network namespace of its own, in which it is this user.
pub(crate) fn isolate(user: u32, group: u32) -> Result<(), Errno> {
    let (own_user, own_group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    let mapped = write("setgroups", "deny")
        .and_then(|()| write("uid_map", &format!("{user} {own_user} 1")))
        .and_then(|()| write("gid_map", &format!("{group} {own_group} 1")));
    mapped.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
}

fn write(map: &str, text: &str) -> io::Result<()> {
    // One write: the kernel takes a map only once.
    fs::OpenOptions::new().write(true).open(format!("/proc/self/{map}"))?.write_all(text.as_bytes())
}

/// Lets meshd's own program set up the network from inside.
fn furnish(run: &StartRunResponse) -> Result<(), Failure> {
    let program = program::beside_us("meshd");
    let mut command = Command::new(&program);
    command.args(["--gate", &run.gate, "--run", &run.id]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: only system calls between fork and exec.
    unsafe { command.pre_exec(keep_capabilities) };
    let output = command.output().map_err(|error| {
        Failure::new(&codes::RUN_FAILED, format!("cannot start {}", program.display()))
            .why(error.to_string())
            .fix("install meshd beside meshctl: ./install.sh")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let failure = said.lines().rev().find_map(told);
    let failure = failure.unwrap_or_else(|| {
        Failure::new(&codes::RUN_FAILED, "the namespace could not be made one of the mesh")
            .why(said.trim())
    });
    Err(match restricted() {
        Some((why, fix)) => failure.why(why).fix(fix),
        None => failure,
    })
}

/// meshd's error in one line of JSON.
fn told(line: &str) -> Option<Failure> {
    let error: Value = serde_json::from_str(line).ok()?;
    let text = |key| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let list = |key| {
        let items = error.get(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let failure = Failure::told(&text("code")?, Exit::RUN_FAILED, text("message")?);
    let failure = list("why").into_iter().fold(failure, Failure::why);
    Some(list("fix").into_iter().fold(failure, Failure::fix))
}

/// In the child only: lets the two capabilities survive its exec, and that of its own children.
fn keep_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`, and the process itself.
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    /// Of the two sets of three words (effective, permitted, inheritable) the first.
    const INHERITABLE: usize = 2;
    let mut header = HEADER;
    let mut sets = [0_u32; 6];
    // SAFETY: header and sets are as large as version 3 of the call says.
    let read = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    Errno::result(read)?;
    if let Some(inheritable) = sets.get_mut(INHERITABLE) {
        *inheritable |= 1 << NET_ADMIN | 1 << NET_RAW;
    }
    // SAFETY: as above.
    let written = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) };
    Errno::result(written)?;
    for capability in [NET_ADMIN, NET_RAW] {
        let (raise, none) = (libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, 0 as libc::c_ulong);
        let capability = libc::c_ulong::from(capability);
        // SAFETY: plain numbers.
        let raised = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, capability, none, none) };
        Errno::result(raised)?;
    }
    Ok(())
}

/// Why the kernel refuses, as far as this host's settings tell, and what to do about it.
pub(crate) fn forbidden(error: Errno) -> Failure {
    let failure = Failure::new(&codes::NO_NAMESPACES, "this host lets you make no user namespace");
    let failure = match (error, restricted()) {
        (Errno::ENOSPC | Errno::EUSERS, _) => failure
            .why("user.max_user_namespaces or user.max_net_namespaces is 0, or reached")
            .fix("sudo sysctl -w user.max_user_namespaces=15000 user.max_net_namespaces=15000"),
        (Errno::EINVAL | Errno::ENOSYS, _) => failure.why("its kernel has none"),
        (_, Some((why, fix))) => failure.why(why).fix(fix),
        (error, None) => failure
            .why(error.desc())
            .why("a container, a chroot or a security module forbids it to this process"),
    };
    failure.fix("or with root, once: sudo meshctl install; then: meshctl run -- CMD")
}

/// A setting of the host that keeps ordinary users from namespaces.
fn restricted() -> Option<(&'static str, &'static str)> {
    let is = |file: &str, value: &str| {
        fs::read_to_string(format!("/proc/sys/kernel/{file}"))
            .is_ok_and(|text| text.trim() == value)
    };
    if is("unprivileged_userns_clone", "0") {
        let why = "kernel.unprivileged_userns_clone is 0";
        return Some((why, "sudo sysctl -w kernel.unprivileged_userns_clone=1"));
    }
    if is("apparmor_restrict_unprivileged_userns", "1") {
        let why =
            "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns)";
        return Some((why, "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"));
    }
    None
}
