//! A registration laid over the claim that is already there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::model::{Bound, Compat, Declared, HealthCheck, Place, Probe, ServiceName};

use super::{Claim, ClaimKey};

const HTTP_PORT: u16 = 80;

/// What one `register` call says; `None` and empty keep what is there.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) service: ServiceName,
    pub(crate) address: SocketAddr,
    pub(crate) service_port: Option<u16>,
    pub(crate) protocol: Option<Declared>,
    pub(crate) subset: Option<String>,
    pub(crate) weight: Option<u32>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) health: Option<CheckEdit>,
    pub(crate) compat: Option<Compat>,
    pub(crate) bound: Option<Bound>,
}

/// The named parts of a health check.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckEdit {
    pub(crate) probe: Option<Probe>,
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) unhealthy_after: Option<u32>,
    pub(crate) healthy_after: Option<u32>,
}

impl Registration {
    pub(crate) fn key(&self) -> ClaimKey {
        let transport = self.protocol.unwrap_or_default().transport();
        let place = Place { transport, address: self.address };
        ClaimKey { service: self.service.clone(), place }
    }

    /// Without a protocol it is about the endpoint that `is_there`, of connections or datagrams.
    pub(crate) fn mean_what_is_there(&mut self, is_there: impl Fn(&ClaimKey) -> bool) {
        if self.protocol.is_none() && !is_there(&self.key()) {
            self.protocol = Some(Declared::Udp);
            if !is_there(&self.key()) {
                self.protocol = None;
            }
        }
    }

    /// The claim as it will be. `owner` is used where nothing was claimed before.
    pub(crate) fn over(self, existing: Option<&Claim>, owner: u32) -> Claim {
        let old = existing.cloned().unwrap_or_else(|| self.fresh(owner));
        let mut labels = old.labels;
        labels.extend(self.labels);
        Claim {
            service: self.service,
            port: self.service_port.unwrap_or(old.port),
            protocol: self.protocol.unwrap_or(old.protocol),
            address: self.address,
            subset: self.subset.unwrap_or(old.subset),
            weight: self.weight.unwrap_or(old.weight),
            labels,
            health: match self.health {
                Some(edit) => Some(edit.over(old.health.as_ref())),
                None => old.health,
            },
            compat: self.compat.unwrap_or(old.compat),
            owner_uid: old.owner_uid,
            bound: self.bound.or(old.bound),
        }
    }

    fn fresh(&self, owner: u32) -> Claim {
        let port = match self.protocol {
            Some(Declared::Http) => HTTP_PORT,
            Some(Declared::Grpc | Declared::Tcp | Declared::Udp | Declared::Detect) | None => {
                self.address.port()
            }
        };
        Claim {
            service: self.service.clone(),
            port,
            protocol: Declared::default(),
            address: self.address,
            subset: String::new(),
            weight: 1,
            labels: BTreeMap::new(),
            health: None,
            compat: Compat::default(),
            owner_uid: owner,
            bound: None,
        }
    }
}

impl CheckEdit {
    fn over(self, existing: Option<&HealthCheck>) -> HealthCheck {
        let old = existing.cloned().unwrap_or_default();
        HealthCheck {
            probe: self.probe.unwrap_or(old.probe),
            interval: self.interval.unwrap_or(old.interval),
            timeout: self.timeout.unwrap_or(old.timeout),
            unhealthy_after: self.unhealthy_after.unwrap_or(old.unhealthy_after),
            healthy_after: self.healthy_after.unwrap_or(old.healthy_after),
            initial: old.initial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_keeps_its_value() {
        let mut first = register("127.0.0.1:8080");
        first.protocol = Some(Declared::Http);
        first.subset = Some("v1".to_owned());
        first.health = Some(CheckEdit { probe: Some(http("/healthz")), ..CheckEdit::default() });
        let claim = first.over(None, 1000);

        let mut second = register("127.0.0.1:8080");
        second.weight = Some(3);
        let merged = second.over(Some(&claim), 0);

        assert_eq!(merged, Claim { weight: 3, ..claim });
    }

    #[test]
    fn the_same_registration_again_is_equal() {
        let claim = register("127.0.0.1:8080").over(None, 1000);
        assert_eq!(register("127.0.0.1:8080").over(Some(&claim), 0), claim);
    }

    #[test]
    fn http_services_get_port_80_others_the_endpoints_own() {
        let mut web = register("127.0.0.1:8080");
        web.protocol = Some(Declared::Http);
        assert_eq!(web.over(None, 0).port, 80);
        assert_eq!(register("127.0.0.1:5432").over(None, 0).port, 5432);
    }

    fn register(address: &str) -> Registration {
        Registration {
            service: ServiceName::new("", "web"),
            address: address.parse().unwrap(),
            service_port: None,
            protocol: None,
            subset: None,
            weight: None,
            labels: BTreeMap::new(),
            health: None,
            compat: None,
            bound: None,
        }
    }

    fn http(path: &str) -> Probe {
        Probe::Http { path: path.to_owned(), expect: Vec::new() }
    }
}
