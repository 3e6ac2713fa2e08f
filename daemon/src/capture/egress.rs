//! Names by which each workload learnt an address: what a list of allowed names is held against.
//!
//! DNS writes what it passes on, workers read when a connection leads out of the mesh.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Programs go on using an address when its answer has expired.
const GRACE: Duration = Duration::from_secs(300);
/// Addresses remembered; beyond that, the expired go first, then all.
const MOST: usize = 65_536;
/// Names of one address; of more, the newest stay.
const MOST_NAMES: usize = 16;

/// Cheap to clone; clones share what they know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<Learnt, Vec<Name>>>>);

/// An address, and who learnt it: a key in `Snapshot::workloads`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Learnt {
    workload: u64,
    ip: IpAddr,
}

#[derive(Debug)]
struct Name {
    /// Lower case, without a final dot.
    name: Box<str>,
    until: Instant,
}

impl Names {
    /// The workload asked for `name` and was told `ip`, for `ttl`.
    pub(crate) fn learn(&self, workload: u64, name: &str, ip: IpAddr, ttl: Duration) {
        let now = Instant::now();
        let name = name.trim_end_matches('.').to_ascii_lowercase().into_boxed_str();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, names| names.iter().any(|name| name.until > now));
        }
        if all.len() >= MOST {
            all.clear();
        }
        let names = all.entry(Learnt { workload, ip: ip.to_canonical() }).or_default();
        names.retain(|known| known.name != name && known.until > now);
        if names.len() >= MOST_NAMES {
            names.remove(0);
        }
        names.push(Name { name, until: now + ttl + GRACE });
    }

    /// Whether the workload was told `ip` for a name that `allows`.
    pub(crate) fn any(&self, workload: u64, ip: IpAddr, allows: impl Fn(&str) -> bool) -> bool {
        let now = Instant::now();
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&Learnt { workload, ip: ip.to_canonical() })
            .is_some_and(|names| names.iter().any(|n| n.until > now && allows(&n.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_to_who_learnt_it_by_every_name_it_had() {
        let (names, ip) = (Names::default(), IpAddr::from([192, 0, 2, 7]));
        names.learn(1, "API.github.com.", ip, Duration::ZERO);
        names.learn(1, "pages.github.com", ip, Duration::ZERO);
        let knows = |workload, ip, wanted: &str| names.any(workload, ip, |name| name == wanted);
        assert!(knows(1, ip, "api.github.com") && knows(1, ip, "pages.github.com"));
        assert!(knows(1, "::ffff:192.0.2.7".parse().unwrap(), "api.github.com"));
        assert!(!knows(2, ip, "api.github.com"));
        assert!(!knows(1, IpAddr::from([192, 0, 2, 8]), "api.github.com"));
        for number in 0..MOST_NAMES {
            names.learn(1, &format!("{number}.example"), ip, Duration::ZERO);
        }
        assert!(!knows(1, ip, "api.github.com") && knows(1, ip, "0.example"));
    }
}
