//! One worker: a thread with its own runtime, listeners, pool, counters and records.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::{Clock, Dice};
use super::gates::{Order, Orders};
use super::http1::Buffers;
use super::listener::{Doors, Listener, PAUSE, Way, is_exhausted};
use super::nap::{self, Due, Nap};
use super::scratch::Scratch;
use super::splice::Pipe;
use super::wheel::Wheel;
use super::{Parts, outbound, udp};
use crate::balance::Balancer;
use crate::capture::egress::Names;
use crate::capture::{GateId, Origins};
use crate::config;
use crate::record::Ring;
use crate::state::{Reader, Snapshot};
use crate::telemetry::{Refusal, Shard};
use crate::transport::Pool;

/// How often idle upstream connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// The snapshot a request or connection was decided with; counted without atomics.
pub(super) type Pinned = Rc<Arc<Snapshot>>;

/// What every connection of the worker uses; never leaves its thread.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) config: config::Proxy,
    pub(super) origins: Origins,
    pub(super) names: Names,
    pub(super) shard: Shard,
    pub(super) ring: Arc<Ring>,
    pub(super) pool: Pool,
    pub(super) wheel: Rc<Wheel>,
    pub(super) clock: Clock,
    pub(super) dice: Dice,
    pub(super) balancer: RefCell<Balancer>,
    pub(super) scratch: RefCell<Scratch>,
    /// The head being written; empty between polls.
    pub(super) out: RefCell<Vec<u8>>,
    /// Memory of exchanges that are over, so that a request allocates nothing.
    pub(super) spare: RefCell<Vec<Buffers>>,
    /// Pipes not in use.
    pub(super) pipes: RefCell<Vec<Pipe>>,
    reader: RefCell<Reader>,
    pinned: RefCell<Pinned>,
    /// Told once everything is to end.
    stop: CancellationToken,
    draining: Cell<bool>,
    /// Sessions of datagrams.
    pub(super) sessions: Cell<usize>,
    pub(super) nap: Nap,
    /// Open connections of this worker, and of all.
    open: Cell<usize>,
    everyones: Arc<AtomicUsize>,
    closed: Notify,
}

/// What stops a worker, and how many connections all have.
#[derive(Clone, Debug, Default)]
pub(super) struct Reins {
    /// Accept no more.
    pub(super) stop: CancellationToken,
    /// End what is still open.
    pub(super) cut: CancellationToken,
    pub(super) open: Arc<AtomicUsize>,
}

impl Worker {
    fn new(parts: &Parts, index: usize, reins: &Reins, nap: Nap) -> Option<Rc<Self>> {
        let mut reader = parts.published.reader(format!("worker-{index}"));
        let pinned = Rc::new(Arc::clone(reader.load()));
        Some(Rc::new(Self {
            pool: Pool::new(&parts.config),
            config: parts.config.clone(),
            origins: parts.origins.clone(),
            names: parts.names.clone(),
            shard: parts.telemetry.shard(),
            ring: Arc::clone(parts.rings.workers().get(index)?),
            wheel: Wheel::new(),
            clock: Clock::new(),
            dice: Dice::new(),
            balancer: RefCell::default(),
            scratch: RefCell::new(Scratch::new()),
            out: RefCell::default(),
            spare: RefCell::default(),
            pipes: RefCell::default(),
            reader: RefCell::new(reader),
            pinned: RefCell::new(pinned),
            stop: reins.stop.clone(),
            draining: Cell::new(false),
            sessions: Cell::new(0),
            nap,
            open: Cell::new(0),
            everyones: Arc::clone(&reins.open),
            closed: Notify::new(),
        }))
    }

    /// The newest snapshot, acknowledged as in use.
    pub(super) fn snapshot(&self) -> Pinned {
        let mut reader = self.reader.borrow_mut();
        let newest = reader.load();
        let mut pinned = self.pinned.borrow_mut();
        if !Arc::ptr_eq(newest, &pinned) {
            *pinned = Rc::new(Arc::clone(newest));
        }
        Rc::clone(&pinned)
    }

    /// No new request is taken; what is open ends as soon as it may.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Serves `doors`, and those that are ordered later, until told to stop; then waits for open
    /// connections until `cut`. Returns how many were cut.
    async fn serve(self: &Rc<Self>, doors: Doors, orders: Orders, reins: &Reins) -> usize {
        let upkeep = Rc::clone(self);
        let deadlines = Rc::clone(self);
        let news = Rc::clone(self);
        // These three live until the worker's runtime is dropped.
        spawn_local(async move { deadlines.wheel.drive(&deadlines.clock).await });
        spawn_local(async move { upkeep.sweep().await });
        spawn_local(async move { news.follow().await });
        let accepting = TaskTracker::new();
        self.open(doors, &reins.stop, &accepting);
        reins.stop.run_until_cancelled(self.obey(orders, &reins.stop, &accepting)).await;
        accepting.close();
        accepting.wait().await;
        self.draining.set(true);
        self.wheel.wake_all();
        let all_closed = async {
            while self.open.get() > 0 {
                self.closed.notified().await;
            }
        };
        reins.cut.run_until_cancelled(all_closed).await;
        self.open.get()
    }

    /// Opens and closes gates as told.
    async fn obey(
        self: &Rc<Self>,
        mut orders: Orders,
        stop: &CancellationToken,
        accepting: &TaskTracker,
    ) {
        let mut open: HashMap<GateId, CancellationToken> = HashMap::new();
        while let Some(order) = orders.recv().await {
            match order {
                Order::Open(doors) => {
                    let gate = open.entry(doors.gate).or_insert_with(|| stop.child_token());
                    self.open(doors, gate, accepting);
                }
                Order::Close(gate) => {
                    if let Some(stop) = open.remove(&gate) {
                        stop.cancel();
                    }
                }
            }
        }
        pending().await
    }

    /// Accepts at `doors` until `stop`.
    fn open(self: &Rc<Self>, mut doors: Doors, stop: &CancellationToken, accepting: &TaskTracker) {
        let listeners = match doors.listeners() {
            Ok(listeners) => listeners,
            Err(error) => return tracing::error!(%error, "a socket cannot be served"),
        };
        for listener in listeners {
            let (worker, stop) = (Rc::clone(self), stop.clone());
            accepting.spawn_local(async move {
                stop.run_until_cancelled(worker.accept(&listener)).await;
                // What the kernel has already accepted for us is still served.
                worker.accept_waiting(&listener);
            });
        }
        let ways = [Way::Out(doors.gate), Way::In];
        for (way, sockets) in ways.into_iter().zip([doors.udp, doors.inbound_udp]) {
            let (worker, stop, raw) = (Rc::clone(self), stop.clone(), Arc::clone(&doors.raw));
            if !sockets.is_empty() {
                spawn_local(async move {
                    let served = udp::serve(&worker, way, sockets, raw);
                    worker.unless_closed(served, &stop).await;
                });
            }
        }
    }

    /// Drops `served` when its gate closes. While the worker drains it goes on: a session has no
    /// end that could be waited for.
    async fn unless_closed(
        &self,
        served: impl Future<Output = io::Result<()>>,
        stop: &CancellationToken,
    ) {
        let closed = async {
            stop.cancelled().await;
            if self.stop.is_cancelled() {
                pending().await
            }
        };
        tokio::select! {
            done = served => if let Err(error) = done {
                tracing::error!(%error, "datagrams cannot be served");
            },
            () = closed => {}
        }
    }

    async fn accept(self: &Rc<Self>, listener: &Listener) {
        loop {
            match poll_fn(|cx| listener.poll_accept(cx)).await {
                Ok((stream, peer)) => self.take(stream, peer, listener.way),
                Err(error) if is_exhausted(&error) => {
                    tracing::warn!(%error, "no descriptor for another connection");
                    self.shard.refused(0, Refusal::Overload);
                    sleep(PAUSE).await;
                }
                // The client is gone before we came to it.
                Err(error) => tracing::debug!(%error, "accept failed"),
            }
        }
    }

    fn accept_waiting(self: &Rc<Self>, listener: &Listener) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Ok((stream, peer))) = listener.poll_accept(&mut cx) {
            self.take(stream, peer, listener.way);
        }
    }

    fn take(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, way: Way) {
        if self.everyones.load(Relaxed) >= self.config.max_connections {
            self.shard.refused(0, Refusal::Overload);
            return;
        }
        let open = Open::new(Rc::clone(self));
        // Counted by `open`, told to end by the wheel, ended at last with the runtime.
        spawn_local(async move { outbound::carry(&open.worker, stream, peer, way).await });
    }

    async fn sweep(&self) {
        let mut ticks = interval(SWEEP);
        loop {
            ticks.tick().await;
            self.pool.sweep();
        }
    }

    /// Takes every new snapshot into use even when no request comes.
    async fn follow(&self) {
        let wake = self.reader.borrow().wake();
        loop {
            wake.changed().await;
            self.snapshot();
            self.pool.sweep();
        }
    }
}

/// One open connection, as long as its task lives.
#[derive(Debug)]
pub(super) struct Open {
    worker: Rc<Worker>,
}

impl Open {
    pub(super) fn new(worker: Rc<Worker>) -> Self {
        worker.open.set(worker.open.get() + 1);
        worker.everyones.fetch_add(1, Relaxed);
        Self { worker }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.open.set(self.worker.open.get().saturating_sub(1));
        self.worker.everyones.fetch_sub(1, Relaxed);
        self.worker.closed.notify_one();
    }
}

/// The worker's thread: runs until it has drained. Returns how many connections were cut.
pub(super) fn run(
    (doors, orders): (Doors, Orders),
    parts: &Parts,
    index: usize,
    reins: &Reins,
) -> io::Result<usize> {
    #[cfg(test)]
    super::stand::count_this_thread();
    // Not a `LocalSet`: waking one of its tasks from the I/O driver takes a lock.
    let mut builder = Builder::new_current_thread();
    let due = Arc::new(Due::default());
    let nap = Nap::new(Arc::clone(&due));
    builder.enable_all().on_thread_park(move || due.take());
    nap::sleep_exactly();
    let runtime = builder.build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let Some(worker) = Worker::new(parts, index, reins, nap) else { return Ok(0) };
        Ok(worker.serve(doors, orders, reins).await)
    })
}
