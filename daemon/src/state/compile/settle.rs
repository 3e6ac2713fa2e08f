//! What a new snapshot means for the live state it shares with the one before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::model::Health;
use crate::state::{Endpoint, EndpointLive, Snapshot};

/// Marks endpoints that left as gone, those whose port is taken as intercepted, and starts health
/// over where a check came or went.
///
/// Only for a snapshot that is published: a dry run must not disturb anything.
pub(crate) fn settle(previous: &Snapshot, next: &Snapshot) {
    let key = |endpoint: &Endpoint| Arc::as_ptr(&endpoint.live);
    let stay: HashMap<*const EndpointLive, &Endpoint> =
        next.endpoints.iter().map(|endpoint| (key(endpoint), endpoint)).collect();
    let own = next.inbound.values().find_map(|inbound| next.endpoints.get(inbound.endpoint));
    for endpoint in &next.endpoints {
        let port = (endpoint.transport, endpoint.address.port());
        let here = own.is_some_and(|own| own.node == endpoint.node);
        let intercepted = here && next.inbound.contains_key(&port);
        endpoint.live.intercepted.store(intercepted, Relaxed);
    }
    for old in &previous.endpoints {
        match stay.get(&key(old)) {
            None => old.live.gone.store(true, Relaxed),
            Some(new) => match (&old.check, &new.check) {
                (None, Some(check)) => new.live.set_health(check.initial),
                (Some(_), None) => new.live.set_health(Health::Unchecked),
                (Some(_), Some(_)) | (None, None) => {}
            },
        }
    }
}
