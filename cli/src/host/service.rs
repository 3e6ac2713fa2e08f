//! Starts and stops the installed meshd: through systemd where that is PID 1, else by ourselves.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mesh_proto::codes;
use mesh_proto::v1::GetStatusResponse;
use nix::sys::signal::Signal;

use super::places::{CONFIG, Places};
use super::settings::told_by_meshd;
use super::{daemon, process, program};
use crate::error::{Exit, Failure};

const START_PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// Beyond the drain: taking capture off and writing what is left to write.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
const UNIT: &str = "meshd.service";

/// The unit file. Hardened as far as capture allows: it loads BPF programs, changes rules and
/// routes, moves processes between cgroups and enters their network namespaces.
pub(crate) fn unit(places: &Places) -> String {
    let program = places.program();
    let program = program.display();
    format!(
        "# Written by meshctl install
[Unit]
Description=meshctl service mesh daemon
Documentation=man:meshd(8)
After=network.target nftables.service iptables.service ufw.service firewalld.service

[Service]
Type=notify
ExecStart={program} --config {CONFIG}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=200ms
WatchdogSec=10s
TimeoutStopSec=15min
KillMode=mixed
OOMScoreAdjust=-500
LimitNOFILE=1048576
LimitMEMLOCK=infinity
CapabilityBoundingSet=CAP_BPF CAP_PERFMON CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE \
CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_CHOWN \
CAP_FOWNER CAP_KILL
NoNewPrivileges=yes
ProtectSystem=full
ProtectHome=read-only
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=net mnt user
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"
    )
}

pub(crate) fn has_unit() -> bool {
    Places::unit().exists()
}

/// Makes the unit known and started at every boot.
pub(crate) fn enable() -> Result<(), Failure> {
    program::must(&["systemctl", "daemon-reload"])?;
    program::must(&["systemctl", "enable", "--quiet", UNIT]).map(drop)
}

/// Takes [`enable`] back; a host whose systemd does not answer has nothing to take back.
pub(crate) fn disable() {
    program::run(&["systemctl", "disable", "--quiet", UNIT]);
}

/// systemd forgets a unit whose file is gone.
pub(crate) fn forget() {
    program::run(&["systemctl", "daemon-reload"]);
    program::run(&["systemctl", "reset-failed", "--quiet", UNIT]);
}

/// Starts meshd and waits until it captures.
pub(crate) fn start(places: &Places, systemd: bool) -> Result<GetStatusResponse, Failure> {
    if systemd {
        let said = program::run(&["systemctl", "restart", UNIT]).unwrap_or_default();
        if !said.ok {
            let journal =
                program::answer(&["journalctl", "-u", UNIT, "-n", "30", "-o", "cat", "--no-pager"]);
            return Err(told_by_meshd(&journal, Exit::FAILED).why(said.stderr));
        }
        return until_ready(places, None);
    }
    let (child, length_before) = spawn(places)?;
    until_ready(places, Some((child, length_before)))
}

/// Starts it as a process of nobody's: it lives on when we and our terminal are gone. Returns
/// how long its log was before.
fn spawn(places: &Places) -> Result<(Child, usize), Failure> {
    let mut options = OpenOptions::new();
    let log = options.create(true).append(true).mode(0o600).open(places.log())?;
    let length = usize::try_from(log.metadata()?.len()).unwrap_or(0);
    let mut command = Command::new(places.program());
    command
        .arg("--config")
        .arg(CONFIG)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    // SAFETY: setsid is async-signal-safe and the closure touches nothing of the parent.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into));
    }
    let child = command.spawn().map_err(|error| {
        Failure::new(&codes::LOCAL, format!("cannot start {}", places.program().display()))
            .why(error.to_string())
    })?;
    Ok((child, length))
}

fn until_ready(
    places: &Places,
    mut child: Option<(Child, usize)>,
) -> Result<GetStatusResponse, Failure> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        if let Some(status) = daemon::status(places).filter(|status| status.ready) {
            return Ok(status);
        }
        if let Some((child, length_before)) = &mut child
            && let Some(status) = child.try_wait()?
        {
            let log = std::fs::read_to_string(places.log()).unwrap_or_default();
            let report = log.get(*length_before..).unwrap_or_default();
            let exit = status.code().and_then(|code| u8::try_from(code).ok());
            return Err(told_by_meshd(report, Exit(exit.unwrap_or(Exit::FAILED.0))));
        }
        if Instant::now() > deadline {
            return Err(Failure::new(&codes::NOT_READY, "meshd did not get ready in time")
                .why(format!("it did not capture {START_PATIENCE:?} after its start"))
                .fix(format!("see its log: {}", places.log().display()))
                .exiting(Exit::FAILED));
        }
        process::pause(PAUSE);
    }
}

/// Has meshd read its settings again, and waits until it did.
pub(crate) fn reload(places: &Places) -> Result<GetStatusResponse, Failure> {
    let silent = || Failure::new(&codes::NOT_RUNNING, "meshd does not answer");
    let pid = daemon::running(places).ok_or_else(silent)?;
    let before = daemon::status(places).ok_or_else(silent)?.settings_read;
    process::signal(pid, Signal::SIGHUP);
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        match daemon::status(places) {
            Some(status) if status.settings_read > before => return Ok(status),
            _ if Instant::now() > deadline => {
                return Err(Failure::new(
                    &codes::CAPTURE_FAILED,
                    "meshd did not read its settings",
                )
                .why(format!("nothing changed {START_PATIENCE:?} after it was told to")));
            }
            _ => process::pause(PAUSE),
        }
    }
}

/// Stops meshd, whoever started it. `drain`: how long open connections may go on. `Ok(false)`:
/// it had to be killed.
pub(crate) fn stop(places: &Places, drain: Duration) -> bool {
    let Some(pid) = daemon::running(places) else { return true };
    // systemd would start it again.
    if has_unit() {
        program::run(&["systemctl", "stop", "--no-block", UNIT]);
    }
    process::signal(pid, Signal::SIGTERM);
    if process::ends_within(pid, drain + STOP_PATIENCE) {
        return true;
    }
    process::signal(pid, Signal::SIGKILL);
    process::ends_within(pid, STOP_PATIENCE);
    false
}
