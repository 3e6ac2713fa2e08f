//! Where the API's messages and the daemon's own types meet, and nowhere else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

use mesh_proto::codes;
use mesh_proto::manifest::{Key, is_name};
use mesh_proto::v1;

use super::authorise::Peer;
use super::error::Failure;
use crate::capture::started_at;
use crate::intent::Author;
use crate::model::{Bound, Compat, Declared, Egress, InvalidEgress, Probe, ServiceName, Subject};
use crate::registry::{CheckEdit, Registration};
use crate::state::{Action, Change, Live, Mutation};

/// Longest reason and command line kept in the history.
const MOST_TEXT: usize = 4096;

const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn mutation(written: &v1::Mutation) -> Mutation {
    Mutation {
        dry_run: written.dry_run,
        no_wait: written.no_wait,
        if_generation: Some(written.if_generation).filter(|generation| *generation != 0),
        reason: shortened(&written.reason),
    }
}

pub(super) fn author(peer: Peer, mutation: &v1::Mutation) -> Author {
    Author {
        uid: peer.uid,
        user: peer.user(),
        pid: peer.pid,
        command_line: shortened(&mutation.command_line),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MOST_TEXT).collect()
}

pub(super) fn service_name(namespace: &str, name: &str) -> Result<ServiceName, Failure> {
    let named = ServiceName::new(namespace, name);
    for (what, text) in [("service name", &named.name), ("namespace", &named.namespace)] {
        if !is_name(text) {
            return Err(Failure::new(codes::INVALID_NAME, format!("\"{text}\" is no {what}")));
        }
    }
    Ok(named)
}

pub(super) fn registration(written: &v1::RegisterRequest) -> Result<Registration, Failure> {
    let service = service_name(&written.namespace, &written.service)?;
    let port = port("--port", written.port)?;
    let port = port.ok_or_else(|| invalid("--port 0 is no port", "a port is 1 to 65535"))?;
    let subset = Some(written.subset.clone()).filter(|subset| !subset.is_empty());
    if subset.as_deref().is_some_and(|subset| !is_name(subset)) {
        let message = format!("--subset \"{}\" is no name", written.subset);
        return Err(Failure::new(codes::INVALID_NAME, message));
    }
    if written.weight > 65_535 {
        return Err(invalid(
            format!("--weight {} is too large", written.weight),
            "a weight is 1 to 65535",
        ));
    }
    Ok(Registration {
        service,
        address: SocketAddr::new(address(&written.address)?, port),
        service_port: self::port("--service-port", written.service_port)?,
        protocol: protocol(&written.protocol)?,
        subset,
        weight: Some(written.weight).filter(|weight| *weight != 0),
        labels: written.labels.clone().into_iter().collect(),
        health: written.health.as_ref().map(check).transpose()?,
        compat: compat(&written.compat)?,
        bound: written.bound_to.clone().map(bound).transpose()?,
    })
}

fn bound(written: v1::Subject) -> Result<Bound, Failure> {
    match subject(Some(written))? {
        Subject::Pid(pid) => {
            let gone =
                || Failure::new(codes::NO_SUCH_PROCESSES, format!("there is no process {pid}"));
            let started = started_at(pid).ok_or_else(gone)?;
            Ok(Bound::Process { pid, started })
        }
        Subject::Unit(name) => Ok(Bound::Unit(name)),
        Subject::Container(name) => Ok(Bound::Container(name)),
        other @ (Subject::Netns(_) | Subject::Uid(_) | Subject::Cgroup(_)) => {
            let why = "an endpoint is bound to a process, unit or container";
            Err(invalid(format!("{other} is none of these"), why))
        }
    }
}

/// `None` for 0, which stands for "not given".
pub(super) fn port(flag: &str, written: u32) -> Result<Option<u16>, Failure> {
    let port = u16::try_from(written);
    let port = port.map_err(|_too_large| {
        invalid(format!("{flag} {written} is no port"), "a port is 1 to 65535")
    })?;
    Ok(Some(port).filter(|port| *port != 0))
}

/// The endpoint's address: loopback when not given.
pub(super) fn address(written: &str) -> Result<IpAddr, Failure> {
    let address = match written {
        "" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        written => written.parse(),
    };
    address
        .ok()
        .filter(|address: &IpAddr| !address.is_unspecified() && !address.is_multicast())
        .ok_or_else(|| {
            invalid(
                format!("--address \"{written}\" is no address of an endpoint"),
                "write an IP address, such as 127.0.0.1",
            )
        })
}

pub(super) fn protocol(written: &str) -> Result<Option<Declared>, Failure> {
    match written {
        "" => Ok(None),
        "tcp" => Ok(Some(Declared::Tcp)),
        "http" => Ok(Some(Declared::Http)),
        "grpc" => Ok(Some(Declared::Grpc)),
        "udp" => Ok(Some(Declared::Udp)),
        other => Err(invalid(
            format!("--port {other}:… names no protocol"),
            "the protocol is tcp, http, grpc or udp; without one it is detected",
        )),
    }
}

fn compat(written: &str) -> Result<Option<Compat>, Failure> {
    match written {
        "" => Ok(None),
        "strict" => Ok(Some(Compat::Strict)),
        "lenient" => Ok(Some(Compat::Lenient)),
        other => Err(invalid(format!("--compat {other}"), "it is strict or lenient")),
    }
}

fn check(written: &v1::HealthCheck) -> Result<CheckEdit, Failure> {
    let probe = match &written.probe {
        None => None,
        Some(v1::health_check::Probe::Tcp(_)) => Some(Probe::Tcp),
        Some(v1::health_check::Probe::Http(path)) => Some(http_probe(path)?),
    };
    let threshold = |written: u32| Some(written).filter(|threshold| *threshold != 0);
    Ok(CheckEdit {
        probe,
        interval: time("--interval", written.interval)?,
        timeout: time("health timeout", written.timeout)?,
        unhealthy_after: threshold(written.unhealthy_after),
        healthy_after: threshold(written.healthy_after),
    })
}

fn http_probe(path: &str) -> Result<Probe, Failure> {
    let sendable = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if !sendable {
        let why = "the path starts with / and has no spaces or control characters";
        return Err(invalid(format!("--health http:{}", path.escape_debug()), why));
    }
    Ok(Probe::Http { path: path.to_owned(), expect: Vec::new() })
}

fn time(flag: &str, written: Option<prost_types::Duration>) -> Result<Option<Duration>, Failure> {
    let Some(written) = written else { return Ok(None) };
    let time = Duration::try_from(written).ok();
    let time = time.filter(|time| (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(time));
    let invalid = || invalid(format!("{flag} {written} cannot be used"), "it is 10ms to 24h");
    time.map(Some).ok_or_else(invalid)
}

pub(super) fn invalid(message: impl Into<String>, why: &str) -> Failure {
    Failure::new(codes::INVALID_VALUE, message).why(why)
}

pub(super) fn egress(written: &str) -> Result<Egress, Failure> {
    written.parse().map_err(|error: InvalidEgress| {
        invalid(format!("--allow-egress {written}: {error}"), "it is any, mesh, or such a list")
    })
}

/// Paths are relative to the cgroup2 mount, without a slash at either end.
pub(super) fn subject(written: Option<v1::Subject>) -> Result<Subject, Failure> {
    use v1::subject::Who;
    let none = || Failure::new(codes::USAGE, "which processes? nothing says");
    let named = |name: String| {
        let plain = !name.is_empty() && !name.chars().any(char::is_control);
        plain.then_some(name).ok_or_else(|| invalid("an empty name", "a name has letters"))
    };
    let simple = |name: &String| !name.contains('/') && !name.starts_with('.');
    Ok(match written.and_then(|written| written.who).ok_or_else(none)? {
        Who::Pid(pid) if pid > 1 => Subject::Pid(pid),
        Who::Pid(pid) => return Err(invalid(format!("--pid {pid}"), "that is no process to move")),
        Who::Uid(uid) => Subject::Uid(uid),
        Who::Unit(name) => {
            let name = named(name)?;
            let name = if name.contains('.') { name } else { format!("{name}.service") };
            let wrong = || invalid(format!("--unit {name}"), "a unit's name has no slash");
            Subject::Unit(Some(name.clone()).filter(simple).ok_or_else(wrong)?)
        }
        Who::Container(name) => {
            let wrong = || invalid(format!("--container {name}"), "it is an id or a name");
            Subject::Container(container_name(&name).ok_or_else(wrong)?)
        }
        Who::Netns(name) => Subject::Netns(named(name)?),
        Who::Cgroup(path) => {
            let path = named(path)?.trim_matches('/').to_owned();
            let leaves = path.is_empty() || path.split('/').any(|part| part == "..");
            if leaves {
                let why = "it is a path below the cgroup2 mount, not the mount itself";
                return Err(invalid(format!("--cgroup {path}"), why));
            }
            Subject::Cgroup(path)
        }
    })
}

/// What container runtimes allow as a name or id.
fn container_name(name: &str) -> Option<String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(inside);
    plain.then(|| name.to_owned())
}

/// A line of the answer: what became of `key`.
pub(super) fn object_change(key: &Key, action: v1::Action, detail: String) -> v1::ObjectChange {
    v1::ObjectChange {
        kind: key.kind.short().to_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        action: action.into(),
        detail,
        diff: String::new(),
    }
}

pub(super) fn action(change: &Change) -> v1::Action {
    match change.action {
        Action::Created => v1::Action::Created,
        Action::Configured => v1::Action::Configured,
        Action::Deleted => v1::Action::Deleted,
    }
}

pub(super) fn live(live: Live) -> v1::Live {
    v1::Live { applied: live.applied, nodes: live.nodes, after: live.after.try_into().ok() }
}

pub(super) fn timestamp(unix_ms: u64) -> prost_types::Timestamp {
    (UNIX_EPOCH + Duration::from_millis(unix_ms)).into()
}

/// RFC 3339, UTC.
pub(super) fn time_text(unix_ms: u64) -> String {
    timestamp(unix_ms).to_string()
}

/// The same to the second.
pub(super) fn second_text(unix_ms: u64) -> String {
    time_text(unix_ms / 1000 * 1000)
}

/// How long ago that was: `40s`, `4m`, `3h`, `2d`.
pub(super) fn ago(unix_ms: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_millis(unix_ms);
    let seconds = then.elapsed().unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
