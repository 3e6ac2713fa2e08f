//! Runs without root: noted here; the caller then brings the sockets of its own namespace.

use mesh_proto::v1;

use super::super::error::Failure;
use super::failed;
use crate::capture::{Rootless, Run, Wanted};

/// Notes the run; it begins when its sockets arrive at `gate`.
pub(super) fn announce(
    rootless: &Rootless,
    wanted: Wanted,
    pid: u32,
    identity: String,
) -> Result<v1::StartRunResponse, Failure> {
    let run = rootless.announce(wanted, pid)?;
    Ok(v1::StartRunResponse {
        identity,
        id: run.id,
        cgroup: String::new(),
        backend: "netns".to_owned(),
        gate: rootless.gate().display().to_string(),
    })
}

/// This daemon moves runs into cgroups of the host.
pub(super) fn refused() -> Failure {
    failed("this meshd captures on the host, for every user of it")
        .why("a run without root has a daemon of its own user")
        .fix("meshctl run -- CMD")
        .fix("or without MESHCTL_SOCKET and --socket: meshctl run --rootless -- CMD")
}

/// Nothing leads from outside into a namespace of a run's own.
pub(super) fn serves_nobody() -> Failure {
    failed("a run without root cannot serve: nobody reaches its network from outside")
        .why("--port makes the command an endpoint, and its network namespace has no way in")
        .fix("start the server outside, then: meshctl register NAME --port PORT")
}

/// The processes of a run that has no cgroup.
pub(super) fn shown(rootless: &Rootless, run: &Run) -> v1::Run {
    super::shown(run, rootless.pids(&run.id))
}
