//! Processes that already run, as `attach`, `detach` and `register` name them.

use mesh_proto::v1::Subject;
use mesh_proto::v1::subject::Who;

/// Exactly one of these.
#[derive(clap::Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// One process with its descendants, moved into a cgroup of their own
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(2..))]
    pid: Option<u32>,
    /// Systemd unit; stays so across its restarts
    #[arg(long, value_name = "NAME")]
    unit: Option<String>,
    /// Container, by id, the beginning of its id, or name
    #[arg(long, value_name = "ID|NAME")]
    container: Option<String>,
    /// Network namespace: a name below /run/netns, or a path
    #[arg(long, value_name = "NAME|PATH")]
    netns: Option<String>,
    /// Every process of this user in meshd's network namespace
    #[arg(long, value_name = "UID")]
    uid: Option<u32>,
    /// Cgroup, as a path below the cgroup2 mount
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,
}

impl Which {
    /// As the API wants it.
    pub(crate) fn subject(&self) -> Subject {
        let Self { pid, unit, container, netns, uid, cgroup } = self.clone();
        let who = (pid.map(Who::Pid))
            .or(unit.map(Who::Unit))
            .or(container.map(Who::Container))
            .or(netns.map(Who::Netns))
            .or(uid.map(Who::Uid))
            .or(cgroup.map(Who::Cgroup));
        Subject { who }
    }
}

/// Whose life an endpoint shares: at most one.
#[derive(clap::Args, Clone, Debug)]
#[group(required = false, multiple = false)]
#[command(next_help_heading = "Bound to what runs (what comes in for the port passes the mesh)")]
pub(crate) struct Bound {
    /// Gone for good when this process ends
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(2..))]
    pid: Option<u32>,
    /// There while this systemd unit runs
    #[arg(long, value_name = "NAME")]
    unit: Option<String>,
    /// There while this container runs
    #[arg(long, value_name = "ID|NAME")]
    container: Option<String>,
}

impl Bound {
    pub(crate) fn subject(&self) -> Option<Subject> {
        let Self { pid, unit, container } = self.clone();
        let who = pid.map(Who::Pid).or(unit.map(Who::Unit)).or(container.map(Who::Container));
        who.map(|who| Subject { who: Some(who) })
    }
}
