//! Gates that come and go while the workers run: the sockets of other network namespaces.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::listener::Doors;
use crate::capture::GateId;

/// Orders a worker has not come to yet.
const BACKLOG: usize = 64;

/// What a running worker is told.
#[derive(Debug)]
pub(super) enum Order {
    Open(Doors),
    /// Listen there no more; what was accepted goes on.
    Close(GateId),
}

pub(super) type Orders = mpsc::Receiver<Order>;

/// Opens and closes gates of running workers; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gates(Arc<[mpsc::Sender<Order>]>);

impl Gates {
    pub(super) fn for_workers(count: usize) -> (Self, Vec<Orders>) {
        let (senders, orders) =
            (0..count).map(|_| mpsc::channel(BACKLOG)).unzip::<_, _, Vec<_>, _>();
        (Self(senders.into()), orders)
    }

    pub(crate) fn workers(&self) -> usize {
        self.0.len()
    }

    /// Gives each worker one of `doors`. A worker that has ended takes nothing, and needs nothing.
    pub(crate) async fn open(&self, doors: Vec<Doors>) {
        for (worker, doors) in self.0.iter().zip(doors) {
            let _ended = worker.send(Order::Open(doors)).await;
        }
    }

    pub(crate) async fn close(&self, gate: GateId) {
        for worker in self.0.iter() {
            let _ended = worker.send(Order::Close(gate)).await;
        }
    }
}
