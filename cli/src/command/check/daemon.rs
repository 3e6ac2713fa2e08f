//! The running meshd: whether it answers, what it says, and whether its files are as installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mesh_proto::v1::{GetRequest, GetStatusResponse};
use serde_json::Value;

use super::Check;
use crate::client::VERSION;
use crate::context::{Context, block_on};
use crate::error::Failure;
use crate::host::facts::Facts;
use crate::host::places::{CONFIG, Places};
use crate::host::receipt::{Receipt, Stage};
use crate::host::{daemon, removal, service};
use crate::output::number;

/// Idle, a daemon needs a tenth of it.
const MEMORY: u64 = 1 << 30;

/// `refused`: why meshd does not take its settings file, if so.
pub(super) fn checks(places: &Places, refused: Option<&Failure>) -> Vec<Check> {
    let Some(status) = daemon::status(places) else {
        return vec![stopped(places), installation(places), settings_file(refused), boot(places)];
    };
    let mut checks = vec![running(&status), version(&status), ready(&status), memory(&status)];
    checks.extend([state(&status), socket(places), installation(places)]);
    checks.push(settings_file(refused));
    checks.push(boot(places));
    // Services have checks of their own, and so has capture.
    let others = status
        .problems
        .iter()
        .filter(|problem| !problem.id.starts_with("service/") && problem.id != "bypass/*");
    checks.extend(others.map(|problem| {
        let id = format!("daemon/{}", problem.id.replace('/', "-"));
        let fix = if problem.fix.is_empty() { "meshctl events" } else { &problem.fix };
        Check::warn(id, problem.summary.clone()).because("meshd says so").fixed_by(fix)
    }));
    checks
}

fn stopped(places: &Places) -> Check {
    let check = Check::fail("daemon/running", "meshd does not answer");
    let socket = places.socket.display();
    let fix = if service::has_unit() {
        "sudo systemctl start meshd".to_owned()
    } else if places.program().is_file() {
        format!("sudo {} --config {CONFIG}", places.program().display())
    } else {
        "sudo meshctl install".to_owned()
    };
    match daemon::running(places) {
        Some(pid) => {
            check.because(format!("pid {pid} runs, and is silent on {socket}")).fixed_by(fix)
        }
        None => check.because(format!("nothing listens on {socket}")).fixed_by(fix),
    }
}

fn running(status: &GetStatusResponse) -> Check {
    let GetStatusResponse { pid, node, mesh, .. } = status;
    Check::ok("daemon/running", format!("pid {pid}, node {node}, mesh {mesh}"))
}

fn version(status: &GetStatusResponse) -> Check {
    let id = "daemon/version";
    if status.version == VERSION {
        return Check::ok(id, format!("meshd and meshctl are {VERSION}"));
    }
    Check::warn(id, format!("meshd is {}, meshctl {VERSION}", status.version))
        .because("one of them was replaced alone")
        .fixed_by("sudo meshctl install       (with the meshd of the same release beside it)")
}

fn ready(status: &GetStatusResponse) -> Check {
    let id = "daemon/ready";
    if status.ready {
        let (generation, workers) = (status.generation, status.workers);
        return Check::ok(id, format!("generation {generation} is in use by {workers} workers"));
    }
    Check::fail(id, "meshd is not ready")
        .because("capture or a listener is not up")
        .fixed_by("meshctl status")
}

fn memory(status: &GetStatusResponse) -> Check {
    let id = "daemon/memory";
    let used = number::bytes(status.resident_bytes as f64);
    if status.resident_bytes < MEMORY {
        return Check::ok(id, used);
    }
    Check::warn(id, format!("meshd holds {used}"))
        .because("that is far beyond what it needs")
        .fixed_by("meshctl top       (open connections), then restart meshd")
}

fn state(status: &GetStatusResponse) -> Check {
    let id = "daemon/state";
    if !status.read_only {
        return Check::ok(id, "changes are stored");
    }
    Check::fail(id, "changes are refused: the state file was damaged")
        .because("its checksums do not match; a copy was kept beside it")
        .fixed_by("restore a copy of the state folder, or remove the file to start empty")
}

fn socket(places: &Places) -> Check {
    let id = "daemon/socket";
    let path = places.socket.display();
    match fs::metadata(&places.socket).map(|found| found.permissions().mode() & 0o777) {
        Ok(mode) if mode & 0o002 == 0 => Check::ok(id, format!("{path} ({mode:o})")),
        Ok(mode) => Check::ok(id, format!("{path} ({mode:o}): any user may read")),
        Err(error) => Check::skip(id, format!("{path}: {error}")),
    }
}

fn installation(places: &Places) -> Check {
    let id = "daemon/installation";
    match Receipt::read(places) {
        None if removal::exists(&places.receipt()) => {
            Check::skip(id, "only root may read the receipt")
        }
        None => Check::ok(id, "started by hand, not installed"),
        Some(receipt) if receipt.stage != Stage::Installed => {
            Check::fail(id, "an installation or removal was cut short")
                .because(format!("the receipt says {:?}", receipt.stage).to_lowercase())
                .fixed_by("sudo meshctl uninstall, or sudo meshctl install")
        }
        Some(receipt) if !receipt.places.program().is_file() => {
            Check::fail(id, format!("{} is gone", receipt.places.program().display()))
                .because("somebody removed it")
                .fixed_by("sudo meshctl install")
        }
        Some(receipt) => Check::ok(id, format!("{}, every file in place", receipt.version)),
    }
}

fn settings_file(refused: Option<&Failure>) -> Check {
    let id = "daemon/settings";
    if !Path::new(CONFIG).exists() {
        return Check::ok(id, "no settings file; the defaults hold");
    }
    match refused {
        None => Check::ok(id, format!("{CONFIG} is valid")),
        Some(failure) => Check::fail(id, format!("{CONFIG} is not valid"))
            .because(failure.message())
            .fixed_by(format!("correct {CONFIG}; meshd keeps its old settings until then")),
    }
}

fn boot(places: &Places) -> Check {
    let id = "daemon/boot";
    let systemd = Facts::gather().systemd;
    if removal::exists(&Places::enabled()) && systemd {
        return Check::ok(id, "meshd.service starts at boot");
    }
    if Receipt::read(places).is_none() {
        return Check::ok(id, "started by hand: not after a reboot");
    }
    if systemd && service::has_unit() {
        return Check::warn(id, "meshd.service does not start at boot")
            .because("it was disabled")
            .fixed_by("sudo systemctl enable meshd");
    }
    Check::ok(id, "without systemd meshd is not started after a reboot")
}

/// One check per service: somebody must be able to answer.
pub(super) fn services(context: &Context) -> Vec<Check> {
    let listed = block_on(async {
        let client = context.client().await?;
        let asked = GetRequest { kind: "service".to_owned(), ..GetRequest::default() };
        client.call(client.manifests().get(asked)).await
    });
    let Ok(listed) = listed else { return Vec::new() };
    let services = listed.objects.iter().filter_map(|text| serde_json::from_str(text).ok());
    services.map(|service| one_service(&service)).collect()
}

fn one_service(service: &Value) -> Check {
    let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let count = |pointer: &str| service.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let name = text("/metadata/name");
    let (ready, total) = (count("/status/ready"), count("/status/total"));
    let id = format!("services/{name}");
    let summary = format!("{ready} of {total} endpoints ready");
    if ready > 0 {
        return Check::ok(id, summary);
    }
    Check::warn(id, summary)
        .because("nobody can answer for it")
        .fixed_by(format!("meshctl check --service {name}"))
}
