//! Deadlines of a worker's connections: one hashed wheel, driven by one tokio timer.
//!
//! A connection moves its deadline with every request. Pushing it later costs a store: the old
//! entry fires, sees the new deadline and goes round again; only an earlier deadline makes a new
//! entry. So a busy connection touches the wheel every few seconds and not per request.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::clock::Clock;

const TICK: u64 = 32_000_000;
const SLOTS: u64 = 1024;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// See the module. Times are the worker clock's nanoseconds.
#[derive(Debug)]
pub(super) struct Wheel {
    state: RefCell<State>,
    /// An entry came that is due before the driver would wake.
    earlier: Notify,
}

#[derive(Debug)]
struct State {
    slots: Vec<Vec<Entry>>,
    timers: Vec<Slot>,
    free: Vec<usize>,
    /// Ticks before this one have been dealt with.
    tick: u64,
    /// When the driver wakes by itself.
    planned: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    timer: usize,
    generation: u32,
}

#[derive(Debug, Default)]
struct Slot {
    deadline: u64,
    /// The tick of its one valid entry, `NEVER` when it has none.
    entry: u64,
    generation: u32,
    expired: bool,
    waker: Option<Waker>,
}

impl Wheel {
    pub(super) fn new() -> Rc<Self> {
        let state = State {
            slots: (0..SLOTS).map(|_| Vec::with_capacity(4)).collect(),
            timers: Vec::new(),
            free: Vec::new(),
            tick: 0,
            planned: NEVER,
        };
        Rc::new(Self { state: RefCell::new(state), earlier: Notify::new() })
    }

    /// Wakes whoever's deadline has passed; runs as long as the worker.
    pub(super) async fn drive(&self, clock: &Clock) {
        loop {
            let planned = self.state.borrow_mut().advance(clock.now());
            if planned == NEVER {
                self.earlier.notified().await;
                continue;
            }
            let pause = Duration::from_nanos((planned * TICK).saturating_sub(clock.now()));
            tokio::select! {
                () = sleep(pause) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Wakes every connection, to look at what has changed around it.
    pub(super) fn wake_all(&self) {
        for timer in &self.state.borrow().timers {
            if let Some(waker) = &timer.waker {
                waker.wake_by_ref();
            }
        }
    }
}

impl State {
    /// Deals with every tick up to `now`; returns the next tick that has an entry.
    fn advance(&mut self, now: u64) -> u64 {
        let current = now / TICK;
        let from = self.tick.max(current.saturating_sub(SLOTS - 1));
        self.tick = current + 1;
        for tick in from..=current {
            let Some(slot) = self.slots.get_mut((tick % SLOTS) as usize) else { continue };
            let mut due = std::mem::take(slot);
            for entry in due.drain(..) {
                self.fire(entry, now);
            }
            // A timer may have gone round into the same slot meanwhile.
            if let Some(slot) = self.slots.get_mut((tick % SLOTS) as usize) {
                due.append(slot);
                *slot = due;
            }
        }
        let next = (self.tick..self.tick + SLOTS)
            .find(|tick| self.slots.get((tick % SLOTS) as usize).is_some_and(|s| !s.is_empty()));
        self.planned = next.unwrap_or(NEVER);
        self.planned
    }

    fn fire(&mut self, entry: Entry, now: u64) {
        let Some(timer) = self.timers.get_mut(entry.timer) else { return };
        if timer.generation != entry.generation {
            return;
        }
        timer.entry = NEVER;
        if timer.deadline > now {
            let deadline = timer.deadline;
            self.schedule(entry.timer, deadline);
            return;
        }
        timer.deadline = NEVER;
        timer.expired = true;
        if let Some(waker) = &timer.waker {
            waker.wake_by_ref();
        }
    }

    /// Returns whether the driver has to be woken earlier than it planned.
    fn schedule(&mut self, timer: usize, deadline: u64) -> bool {
        if deadline == NEVER {
            return false;
        }
        let tick = (deadline / TICK + 1).clamp(self.tick, self.tick + SLOTS - 1);
        let Some(slot) = self.timers.get_mut(timer) else { return false };
        if slot.entry <= tick {
            return false;
        }
        slot.entry = tick;
        slot.generation = slot.generation.wrapping_add(1);
        let entry = Entry { timer, generation: slot.generation };
        if let Some(slot) = self.slots.get_mut((tick % SLOTS) as usize) {
            slot.push(entry);
        }
        tick < self.planned
    }
}

/// One connection's deadline.
#[derive(Debug)]
pub(super) struct Timer {
    wheel: Rc<Wheel>,
    index: usize,
}

impl Timer {
    pub(super) fn new(wheel: &Rc<Wheel>) -> Self {
        let mut state = wheel.state.borrow_mut();
        let slot = Slot { deadline: NEVER, entry: NEVER, ..Slot::default() };
        let index = match state.free.pop() {
            Some(index) => {
                if let Some(place) = state.timers.get_mut(index) {
                    // The generation goes on, so that an old entry cannot fire the new timer.
                    let generation = place.generation.wrapping_add(1);
                    *place = Slot { generation, ..slot };
                }
                index
            }
            None => {
                state.timers.push(slot);
                state.timers.len() - 1
            }
        };
        drop(state);
        Self { wheel: Rc::clone(wheel), index }
    }

    /// Expires at `deadline` instead of whatever was set before.
    pub(super) fn set(&self, deadline: u64) {
        let mut state = self.wheel.state.borrow_mut();
        let Some(slot) = state.timers.get_mut(self.index) else { return };
        slot.deadline = deadline;
        slot.expired = false;
        if deadline / TICK < slot.entry && state.schedule(self.index, deadline) {
            drop(state);
            self.wheel.earlier.notify_one();
        }
    }

    /// Ready once the deadline has passed; also wakes the task on [`Wheel::wake_all`].
    pub(super) fn poll_expired(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.wheel.state.borrow_mut();
        let Some(slot) = state.timers.get_mut(self.index) else { return Poll::Pending };
        if slot.expired {
            return Poll::Ready(());
        }
        if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut state = self.wheel.state.borrow_mut();
        if let Some(slot) = state.timers.get_mut(self.index) {
            slot.waker = None;
            slot.deadline = NEVER;
        }
        state.free.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_deadline_moved_later_is_kept_and_an_earlier_one_comes_first() {
        let wheel = Wheel::new();
        let timer = Timer::new(&wheel);
        timer.set(10 * SECOND);
        timer.set(600 * SECOND);
        assert_eq!(expiry(&wheel, &timer), 600);
        timer.set(900 * SECOND);
        timer.set(700 * SECOND);
        assert_eq!(expiry(&wheel, &timer), 700);
    }

    #[test]
    fn a_new_timer_does_not_inherit_an_old_deadline() {
        let wheel = Wheel::new();
        Timer::new(&wheel).set(2 * SECOND);
        let timer = Timer::new(&wheel);
        timer.set(5 * SECOND);
        assert_eq!(expiry(&wheel, &timer), 5);
    }

    /// Second in which the timer expires.
    fn expiry(wheel: &Wheel, timer: &Timer) -> u64 {
        let cx = Context::from_waker(Waker::noop());
        let start = wheel.state.borrow().tick * TICK;
        let mut ticks = (start / TICK)..;
        ticks
            .find(|tick| {
                wheel.state.borrow_mut().advance(tick * TICK);
                timer.poll_expired(&cx).is_ready()
            })
            .map(|tick| tick * TICK / SECOND)
            .unwrap()
    }
}
