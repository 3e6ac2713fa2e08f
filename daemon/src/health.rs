//! Probes endpoints that declare a check, and writes what it finds into their `EndpointLive`.
//!
//! One task per endpoint, started and ended with the snapshots; the revision is acknowledged once
//! its checks run, so whoever registered an endpoint can ask for the first result ([`Board`]).
//! An unhealthy endpoint is probed on: nothing else brings it back.

mod board;
mod dial;
mod machine;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::{Health, HealthCheck};
use crate::state::{Endpoint, EndpointLive, Reader, Snapshot};

pub(crate) use board::{Board, Probed};
pub(crate) use dial::Dialer;
use machine::Machine;

/// An endpoint's health changed.
#[derive(Clone, Debug)]
pub(crate) struct Transition {
    /// "web 127.0.0.1:8080".
    pub(crate) endpoint: String,
    pub(crate) to: Health,
    /// What the probe that decided it met.
    pub(crate) last: String,
}

/// What every probing task shares.
pub(crate) struct Checker {
    pub(crate) board: Arc<Board>,
    pub(crate) dialer: Dialer,
    pub(crate) report: Box<dyn Fn(&Transition) + Send + Sync>,
}

/// Keeps one probing task per checked endpoint until `stop`, then waits for them to end.
pub(crate) async fn run(mut reader: Reader, checker: Checker, stop: CancellationToken) {
    let mut rounds =
        Rounds { checker: Arc::new(checker), tasks: TaskTracker::new(), running: HashMap::new() };
    loop {
        let snapshot = reader.peek();
        rounds.follow(&snapshot);
        reader.acknowledge(snapshot.revision);
        if stop.run_until_cancelled(reader.changed()).await.is_none() {
            break;
        }
    }
    rounds.running.values().for_each(|round| round.stop.cancel());
    rounds.tasks.close();
    rounds.tasks.wait().await;
}

/// The tasks that run, by endpoint id.
struct Rounds {
    checker: Arc<Checker>,
    tasks: TaskTracker,
    running: HashMap<u32, Round>,
}

struct Round {
    check: HealthCheck,
    stop: CancellationToken,
}

impl Rounds {
    fn follow(&mut self, snapshot: &Snapshot) {
        let checked: HashMap<u32, &Endpoint> = snapshot
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.check.is_some())
            .map(|endpoint| (endpoint.id, endpoint))
            .collect();
        self.running.retain(|id, round| {
            let stays = checked.get(id).is_some_and(|now| now.check.as_ref() == Some(&round.check));
            if !stays {
                round.stop.cancel();
            }
            if !checked.contains_key(id) {
                self.checker.board.forget(*id);
            }
            stays
        });
        for (id, endpoint) in checked {
            if let Some(check) = &endpoint.check
                && !self.running.contains_key(&id)
            {
                let name = snapshot.services.get(endpoint.service).map(|service| &service.name);
                let name = name.map(ToString::to_string).unwrap_or_default();
                self.start(endpoint, check.clone(), &name);
            }
        }
    }

    fn start(&mut self, endpoint: &Endpoint, check: HealthCheck, service: &str) {
        let stop = CancellationToken::new();
        let before = match endpoint.live.health() {
            Health::Unchecked | Health::Unknown => check.initial,
            probed @ (Health::Healthy | Health::Unhealthy) => probed,
        };
        endpoint.live.set_health(before);
        self.checker.board.expect(endpoint.id);
        let probing = Probing {
            id: endpoint.id,
            name: format!("{service} {}", endpoint.address),
            address: endpoint.address,
            live: Arc::clone(&endpoint.live),
            machine: Machine::new(before),
            check: check.clone(),
            checker: Arc::clone(&self.checker),
        };
        self.tasks.spawn(stop.clone().run_until_cancelled_owned(probing.run()));
        self.running.insert(endpoint.id, Round { check, stop });
    }
}

/// One endpoint's probing; ends when dropped, between probes or in one.
struct Probing {
    id: u32,
    name: String,
    address: SocketAddr,
    live: Arc<EndpointLive>,
    machine: Machine,
    check: HealthCheck,
    checker: Arc<Checker>,
}

impl Probing {
    async fn run(mut self) {
        let mut dice = u64::from(self.id) ^ 0x9e37_79b9_7f4a_7c15;
        loop {
            let started = Instant::now();
            let intercepted = self.live.intercepted.load(Relaxed);
            let dialer = self.checker.dialer.to(intercepted);
            let probe = dialer.probe(self.address, &self.check).await;
            self.observe(probe.passed, probe.text);
            if let Some(rest) = probe.rest {
                dial::finish(rest, self.check.timeout).await;
            }
            sleep_until(started + jittered(self.check.interval, &mut dice)).await;
        }
    }

    fn observe(&mut self, passed: bool, text: String) {
        let from = self.machine.health();
        let to = self.machine.observe(passed, &self.check);
        self.live.set_health(to);
        if from != to {
            let last = text.clone();
            (self.checker.report)(&Transition { endpoint: self.name.clone(), to, last });
        }
        self.checker.board.write(self.id, Probed { health: to, text, at: SystemTime::now() });
    }
}

/// `interval` ± 10 %, so that the probes of many endpoints do not march in step.
fn jittered(interval: Duration, dice: &mut u64) -> Duration {
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    let permille = u32::try_from(*dice % 201).unwrap_or(100) + 900;
    interval.saturating_mul(permille) / 1000
}
