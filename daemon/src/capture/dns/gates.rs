//! DNS sockets that come and go while the server runs.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Sockets;
use crate::capture::netns::Netns;
use crate::capture::{GateId, Raw};

/// Orders the server has not come to yet.
const BACKLOG: usize = 64;

#[derive(Debug)]
pub(crate) enum Order {
    Open { gate: GateId, sockets: Sockets, raw: Arc<Raw>, home: Option<Arc<Netns>> },
    Close(GateId),
}

pub(crate) type Orders = mpsc::Receiver<Order>;

/// Tells the running server what to serve; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gates(mpsc::Sender<Order>);

impl Gates {
    pub(crate) fn new() -> (Self, Orders) {
        let (sender, orders) = mpsc::channel(BACKLOG);
        (Self(sender), orders)
    }

    /// Serves `sockets` from now on; answers from addresses of others leave by `raw`. Questions
    /// for other resolvers are asked in `home`, where those are; `None`: from meshd's own
    /// namespace.
    pub(crate) async fn open(
        &self,
        gate: GateId,
        sockets: Sockets,
        raw: Arc<Raw>,
        home: Option<Arc<Netns>>,
    ) {
        // A server that has ended needs none.
        let _ended = self.0.send(Order::Open { gate, sockets, raw, home }).await;
    }

    pub(crate) async fn close(&self, gate: GateId) {
        let _ended = self.0.send(Order::Close(gate)).await;
    }
}
