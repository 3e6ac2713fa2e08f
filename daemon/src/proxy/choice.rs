//! The endpoint for a request or connection, and why it was this one.

use super::worker::{Pinned, Worker};
use crate::record::{Pick, Reason};
use crate::state::{Split, Target};

/// No endpoint is left to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NothingLeft;

/// The next endpoint (an index into the snapshot's) of `split`, or the one `target` asks for by
/// its own address; none of `failed`.
pub(super) fn choose(
    worker: &Worker,
    pinned: &Pinned,
    target: Target,
    split: Option<&Split>,
    failed: &[usize],
) -> Result<(usize, Pick), NothingLeft> {
    let (endpoint, reason, ready, of) = match (target, split) {
        // Who asks for one endpoint by its own address gets no other.
        (Target::Endpoint(own), _) if failed.is_empty() => (own, Reason::OwnAddress, 1, 1),
        (Target::Vip, Some(split)) => {
            let choice = worker.balancer.borrow_mut().pick(pinned, split, failed);
            let choice = choice.ok_or(NothingLeft)?;
            let reason = match choice.panic {
                _ if !failed.is_empty() => Reason::Retry,
                true => Reason::Panic,
                false => Reason::RoundRobin,
            };
            (choice.endpoint, reason, choice.ready, choice.of)
        }
        _ => return Err(NothingLeft),
    };
    let chosen = pinned.endpoints.get(endpoint).ok_or(NothingLeft)?;
    let service = pinned.services.get(chosen.service).ok_or(NothingLeft)?;
    let pick = Pick {
        service: service.id,
        subset: service.subsets.get(chosen.subset).map_or(0, |subset| subset.id),
        endpoint: chosen.id,
        address: chosen.address,
        reason,
        ready,
        of,
        reused: false,
    };
    Ok((endpoint, pick))
}
