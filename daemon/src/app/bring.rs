//! `meshd --gate`: the short-lived process that makes a fresh namespace one of meshd's, from
//! inside, and hands the sockets to the daemon outside.

use std::num::NonZeroUsize;
use std::path::Path;

use mesh_proto::codes;
use tokio::runtime::Builder;

use super::StartError;
use crate::capture::gate::{self, OpenError, Passage, PassageError};
use crate::capture::{Blueprint, Tag, dns};
use crate::proxy;

/// Prepares the network namespace this process is in and brings its sockets to the daemon that
/// listens at `path`, as those of `run`. Returns once traffic in the namespace is carried.
///
/// # Errors
/// The namespace could not be prepared, or the daemon did not take it.
pub fn bring(path: &Path, run: &str) -> Result<(), StartError> {
    let passage = Passage::connect(path).and_then(|passage| Ok((passage.blueprint()?, passage)));
    let (blueprint, passage) = passage.map_err(|error| refused(&PassageError::Broken(error)))?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StartError::caused(codes::INTERNAL, &error))?;
    let sockets = runtime.block_on(open(&blueprint))?;
    drop(runtime);
    passage.deliver(run, &sockets).map_err(|error| refused(&error))
}

type Tagged = Vec<(Tag, std::os::fd::OwnedFd)>;

async fn open(blueprint: &Blueprint) -> Result<Tagged, StartError> {
    let built = gate::build(blueprint).await.map_err(|error| unusable(&error))?;
    let workers = NonZeroUsize::new(blueprint.workers.into()).unwrap_or(NonZeroUsize::MIN);
    let doors = proxy::bind((blueprint.tcp_port, blueprint.udp_port), 0, workers)
        .map_err(|error| StartError::caused(codes::RUN_FAILED, &error))?;
    let dns = dns::Sockets::bind(blueprint.dns_port)
        .map_err(|error| StartError::caused(codes::RUN_FAILED, &error))?;
    let of = |worker| move |(role, socket)| (Tag { role, worker }, socket);
    let mut sockets: Tagged = built.into_iter().chain(dns.into_tagged()).map(of(0)).collect();
    for (worker, doors) in (0..=u8::MAX).zip(doors) {
        sockets.extend(doors.into_tagged().into_iter().map(of(worker)));
    }
    for (tag, socket) in &sockets {
        if tag.role.accepts() {
            gate::accept_for_others(socket)
                .map_err(|error| StartError::caused(codes::RUN_FAILED, &error))?;
        }
    }
    Ok(sockets)
}

fn unusable(error: &OpenError) -> StartError {
    match error {
        OpenError::NoNft => StartError::caused(codes::HOST_UNSUPPORTED, error)
            .fixed_by("sudo apt install nftables   (dnf, pacman, apk: the same name)"),
        OpenError::Step { .. } => StartError::caused(codes::HOST_UNSUPPORTED, error),
    }
}

fn refused(error: &PassageError) -> StartError {
    StartError::caused(codes::RUN_FAILED, error)
}
