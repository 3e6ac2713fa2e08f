//! Where a captured connection wanted to go and who is calling, as the kernel knows it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use mesh_ebpf::{Clients, Wish, Wishes};
use nix::time::{ClockId, clock_gettime};

use super::callers::Callers;
use super::disguise::{Disguise, Way};
use super::gate::{self, Blueprint, Counts, Sockets};
use super::{Counters, GateId};
use crate::record::{self, padded};
use crate::state::Snapshot;

/// Everything the kernel says about one captured connection or question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// What the application asked for.
    pub(crate) destination: SocketAddr,
    /// The caller's key in `Snapshot::workloads`.
    pub(crate) workload: Option<u64>,
    /// 0 = not known.
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    /// `comm`, NUL-padded.
    pub(crate) process: [u8; 16],
    /// From the application's connect in the kernel to now; zero where it is not known.
    pub(crate) connecting: Duration,
}

impl Origin {
    /// The caller as records name it; `client` is its end of the connection.
    pub(crate) fn source(&self, snapshot: &Snapshot, client: SocketAddr) -> record::Source {
        let workload = self.workload.and_then(|key| snapshot.workloads.get(&key));
        record::Source {
            address: client,
            service: workload.map_or(0, |workload| workload.id),
            run: workload.map_or([0; 16], |workload| padded(workload.run.as_bytes())),
            pid: self.pid,
            uid: self.uid,
            process: self.process,
        }
    }
}

/// The connection is not one we captured: refuse it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginError {
    /// Somebody connected to meshd's port directly.
    #[error("not a captured connection")]
    Direct,
    #[error("the kernel does not say where it wanted to go")]
    Unknown(#[source] io::Error),
}

/// What the kernel does not know, nobody captured.
impl From<io::Error> for OriginError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Direct } else { Self::Unknown(error) }
    }
}

/// Answers for accepted connections; cheap to clone; at most two system calls per connection.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    known: Arc<ArcSwap<Known>>,
    /// Gates whose callers are not known the way those of meshd's own namespace are.
    gates: Arc<ArcSwap<HashMap<GateId, Inside>>>,
    counts: Arc<Counts>,
}

/// How callers at a gate are known.
#[derive(Clone, Debug)]
enum Inside {
    /// All of the namespace is captured, and one workload.
    Whole(Arc<gate::Callers>),
    /// The backend's rules are in force there too.
    Rules(Callers),
}

/// Who knows of captured traffic; several while one backend takes over from another.
#[derive(Clone, Debug, Default)]
struct Known {
    #[cfg(test)]
    fixed: Option<Origin>,
    wishes: Option<Wishes>,
    rules: Option<Callers>,
    /// How applications get to see their clients; `None`: not at all.
    disguise: Option<Way>,
}

impl Origins {
    /// Nothing is captured: every connection is [`OriginError::Direct`].
    pub(crate) fn none() -> Self {
        Self::from(Known::default())
    }

    /// Every connection wanted to go to `origin.destination`.
    #[cfg(test)]
    pub(crate) fn fixed(origin: Origin) -> Self {
        Self::from(Known { fixed: Some(origin), ..Known::default() })
    }

    pub(super) fn ebpf(wishes: Wishes, clients: Clients) -> Self {
        let (wishes, disguise) = (Some(wishes), Some(Way::Shown(clients)));
        Self::from(Known { wishes, disguise, ..Known::default() })
    }

    /// What rules of nft or iptables redirected.
    pub(super) fn rules(callers: Callers) -> Self {
        let (rules, disguise) = (Some(callers), Some(Way::Bound));
        Self::from(Known { rules, disguise, ..Known::default() })
    }

    /// Knows what `new` knows too: another backend is about to capture beside the present one.
    pub(super) fn learn(&self, new: &Self) {
        let new = new.known.load();
        self.known.rcu(|known| Known::clone(known).and(&new));
    }

    /// Knows what `all` know together and nothing else, from one moment to the next: a connection
    /// may be asked about in between. The last one says how clients are shown.
    pub(super) fn know_only(&self, all: impl Iterator<Item = Self>) {
        let known = all.fold(Known::default(), |known, one| known.and(&one.known.load()));
        self.known.store(Arc::new(known));
    }

    /// To be asked once per accepted connection, right after `accept`: it answers a second time
    /// with [`OriginError::Direct`].
    ///
    /// `peer` and `local` are the stream's two addresses, `gate` is where it came in.
    pub(crate) fn of(
        &self,
        stream: BorrowedFd<'_>,
        peer: SocketAddr,
        local: SocketAddr,
        gate: GateId,
    ) -> Result<Origin, OriginError> {
        let known = self.known.load();
        #[cfg(test)]
        if let Some(origin) = known.fixed {
            return Ok(origin);
        }
        if let Some(origin) = known.noted(|wishes| wishes.take_connect(local.ip())) {
            return origin;
        }
        match (self.inside(gate), &known.rules) {
            (Some(Inside::Whole(callers)), _) => callers.of_stream(peer, local),
            (Some(Inside::Rules(callers)), _) => callers.of_stream(stream, peer, local),
            (None, Some(callers)) => callers.of_stream(stream, peer, local),
            (None, None) => Err(OriginError::Direct),
        }
    }

    /// The same for a datagram that was sent to `local` as far as its receiver can tell.
    pub(crate) fn of_datagram(
        &self,
        peer: SocketAddr,
        local: SocketAddr,
        gate: GateId,
    ) -> Result<Origin, OriginError> {
        let known = self.known.load();
        #[cfg(test)]
        if let Some(origin) = known.fixed {
            return Ok(origin);
        }
        if let Some(origin) = known.noted(|wishes| wishes.flow(local.ip())) {
            // Noted when the process first asked this resolver, not when it asked this.
            return origin.map(|origin| Origin { connecting: Duration::ZERO, ..origin });
        }
        match (self.inside(gate), &known.rules) {
            (Some(Inside::Whole(callers)), _) => callers.of_datagram(peer, local),
            (Some(Inside::Rules(callers)), _) => callers.of_datagram(peer, local),
            (None, Some(callers)) => callers.of_datagram(peer, local),
            (None, None) => Err(OriginError::Direct),
        }
    }
}

impl Known {
    /// With what `new` knows, which is right where both know something.
    fn and(mut self, new: &Self) -> Self {
        self.wishes = new.wishes.clone().or(self.wishes);
        self.rules = new.rules.clone().or(self.rules);
        self.disguise.clone_from(&new.disguise);
        self
    }

    /// What the BPF programs noted; `None`: nothing, it did not come by them.
    fn noted(
        &self,
        look: impl FnOnce(&Wishes) -> io::Result<Wish>,
    ) -> Option<Result<Origin, OriginError>> {
        match look(self.wishes.as_ref()?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            wish => Some(noted(wish)),
        }
    }
}

impl Origins {
    /// What makes a connection of meshd's look like that of `client`, which went to `asked`.
    /// `None`: nothing here, or a client whose address leads nowhere but to itself.
    pub(crate) fn disguise(&self, client: SocketAddr, asked: SocketAddr) -> Option<Disguise> {
        let way = self.known.load().disguise.clone().filter(|_| !client.ip().is_loopback())?;
        Some(Disguise::new(way, client, asked))
    }

    /// Callers at `gate` are known from its sockets, and are all of the workload with this key.
    /// Returns the namespace's inode.
    ///
    /// # Errors
    /// The kernel does not say which namespace that is.
    pub(crate) fn open(
        &self,
        gate: GateId,
        sockets: &Sockets,
        workload: u64,
        blueprint: &Blueprint,
    ) -> io::Result<u64> {
        let counts = Arc::clone(&self.counts);
        let callers = gate::Callers::new(sockets, workload, blueprint, counts)?;
        let network = callers.network();
        self.know(gate, &Inside::Whole(Arc::new(callers)));
        Ok(network)
    }

    /// Callers at `gate` are known to its rules.
    pub(super) fn open_by_rules(&self, gate: GateId, callers: &Callers) {
        self.know(gate, &Inside::Rules(callers.clone()));
    }

    fn know(&self, gate: GateId, inside: &Inside) {
        self.gates.rcu(|gates| {
            let mut gates = HashMap::clone(gates);
            gates.insert(gate, inside.clone());
            gates
        });
    }

    pub(crate) fn close(&self, gate: GateId) {
        self.gates.rcu(|gates| {
            let mut gates = HashMap::clone(gates);
            gates.remove(&gate);
            gates
        });
    }

    /// What came through such gates.
    pub(super) fn counters(&self) -> Counters {
        self.counts.read()
    }

    fn inside(&self, gate: GateId) -> Option<Inside> {
        if gate == GateId::OWN { None } else { self.gates.load().get(&gate).cloned() }
    }
}

impl From<Known> for Origins {
    fn from(known: Known) -> Self {
        let known = Arc::new(ArcSwap::from_pointee(known));
        Self { known, gates: Arc::default(), counts: Arc::default() }
    }
}

fn noted(wish: io::Result<Wish>) -> Result<Origin, OriginError> {
    let wish = wish?;
    Ok(Origin {
        destination: wish.wanted,
        workload: Some(wish.workload),
        pid: wish.pid,
        uid: wish.uid,
        process: wish.process,
        connecting: monotonic().saturating_sub(wish.at),
    })
}

fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
