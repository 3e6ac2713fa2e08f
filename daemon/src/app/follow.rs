//! Small tasks that carry news from one module to another.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::capture::{AddressNews, own_addresses};
use crate::health::Transition;
use crate::model::Health;
use crate::state::Store;
use crate::telemetry::{Events, Severity};

/// Keeps the store's list of this host's addresses true, until `stop`.
pub(super) async fn addresses(store: Arc<Store>, stop: CancellationToken) {
    let news = match AddressNews::subscribe() {
        Ok(news) => Some(news),
        Err(error) => {
            warn!(%error, "address changes of this host go unnoticed");
            None
        }
    };
    let mut known = Vec::new();
    loop {
        let addresses = own_addresses();
        if addresses != known {
            known.clone_from(&addresses);
            if let Err(late) = store.set_addresses(addresses).await {
                warn!(?late, "this host's addresses are not known everywhere yet");
            }
        }
        let Some(news) = &news else { return };
        match stop.run_until_cancelled(news.changed()).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                warn!(%error, "address changes of this host go unnoticed from now on");
                return;
            }
        }
    }
}

/// Tells operators that an endpoint's health changed.
pub(super) fn health_changed(events: &Events, transition: &Transition) {
    let (kind, severity) = match transition.to {
        Health::Healthy => ("endpoint/healthy", Severity::Info),
        Health::Unhealthy => ("endpoint/unhealthy", Severity::Warning),
        Health::Unchecked | Health::Unknown => ("endpoint/unchecked", Severity::Info),
    };
    events.emit(kind, &transition.endpoint, &transition.last, severity);
}
