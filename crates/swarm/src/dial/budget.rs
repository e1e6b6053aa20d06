//! The one budget of all dials: how many addresses are tried at once, in one public network, and in a second.
//!
//! Who does not fit waits, the more urgent before the less urgent and the earlier before the later. A try that waits
//! for its own network does not hold up those behind it. The queue is bounded: beyond, the least urgent is refused.

use super::{options::Priority, pace::Pace};
use crate::tasks::Tasks;
use skep_api::{
    Multiaddr,
    address::{self, Scope, Subnet},
    resources::LimitExceeded,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// What the budget allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Tries at once.
    pub(crate) outstanding: usize,
    /// Of these, in one public network.
    pub(crate) per_subnet: usize,
    /// Tries of public addresses in a second.
    pub(crate) per_second: u32,
    /// Tries that wait.
    pub(crate) queued: usize,
}

/// The budget of one node.
pub(crate) struct Budget {
    tasks: Tasks,
    state: Mutex<State>,
}

struct State {
    limits: Limits,
    pace: Pace,
    next: u64,
    running: usize,
    subnets: HashMap<Subnet, usize>,
    waiting: BTreeMap<Turn, Waiting>,
    /// A task waits for the next second's room.
    pacing: bool,
}

/// The urgent first, then the early.
type Turn = (Reverse<Priority>, u64);

struct Waiting {
    subnet: Option<Subnet>,
    granted: oneshot::Sender<Result<Slot, LimitExceeded>>,
}

/// The right to try one address. Dropping it lets the next one go.
pub(crate) struct Slot {
    budget: Arc<Budget>,
    subnet: Option<Subnet>,
}

impl Budget {
    pub(crate) fn new(limits: Limits, tasks: Tasks) -> Arc<Self> {
        Arc::new(Self { tasks, state: Mutex::new(State::new(limits)) })
    }

    /// Puts other limits in their place. What runs goes on; what waits goes by the new ones.
    pub(crate) fn set_limits(self: &Arc<Self>, limits: Limits) {
        {
            let mut state = self.lock();
            if state.limits.per_second != limits.per_second {
                state.pace = Pace::new(limits.per_second);
            }
            state.limits = limits;
        }
        self.settle();
        self.shorten();
    }

    /// Waits for room to try `addr`. Dropping the future leaves the queue. Whoever becomes more urgent while waiting moves
    /// forward; the urgent come first, however long others wait.
    ///
    /// # Errors
    /// [`LimitExceeded`] if the queue is full of what is as urgent, or when something more urgent takes the place.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        mut priority: watch::Receiver<Priority>,
        addr: &Multiaddr,
    ) -> Result<Slot, LimitExceeded> {
        let subnet = public_subnet(addr);
        loop {
            let now = *priority.borrow_and_update();
            let (granted, turn) = self.enter(now, subnet);
            let _leave = Leave { budget: self, turn };
            self.settle();
            self.shorten();
            tokio::select! {
                // In this order: a place that was granted is not asked for again.
                biased;
                // The sender goes only with the queue, which is as old as the node.
                granted = granted => return granted.unwrap_or_else(|_| Err(full(self.lock().limits.queued))),
                Ok(_) = priority.wait_for(|priority| *priority > now) => {}
            }
        }
    }

    /// Tries that run, and that wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.waiting.len())
    }

    fn enter(
        &self,
        priority: Priority,
        subnet: Option<Subnet>,
    ) -> (oneshot::Receiver<Result<Slot, LimitExceeded>>, Turn) {
        let (granted, receiver) = oneshot::channel();
        let mut state = self.lock();
        let turn = (Reverse(priority), state.next);
        state.next = state.next.wrapping_add(1);
        state.waiting.insert(turn, Waiting { subnet, granted });
        (receiver, turn)
    }

    /// Refuses the last in the queue while there are too many. Whoever could go has gone.
    fn shorten(&self) {
        let mut state = self.lock();
        let mut refused = Vec::new();
        let full = full(state.limits.queued);
        while state.waiting.len() > state.limits.queued {
            refused.extend(state.waiting.pop_last());
        }
        drop(state);
        for (_, waiting) in refused {
            let _ = waiting.granted.send(Err(full.clone()));
        }
    }

    /// Lets go whoever may, and comes back when the pace lets others.
    fn settle(self: &Arc<Self>) {
        let Some(mut wait) = self.pump() else { return };
        // Outside of the runtime, where it has ended, nobody waits any more.
        if tokio::runtime::Handle::try_current().is_err() || std::mem::replace(&mut self.lock().pacing, true)
        {
            return;
        }
        let budget = Arc::clone(self);
        let stop = self.tasks.cancelled().clone();
        self.tasks.spawn("dial pace", async move {
            let pace = async {
                loop {
                    tokio::time::sleep(wait).await;
                    match budget.pump() {
                        Some(next) => wait = next,
                        None => break,
                    }
                }
            };
            stop.run_until_cancelled(pace).await;
            budget.lock().pacing = false;
            // Somebody may have come after the last look and found a task at work.
            if !stop.is_cancelled() {
                budget.settle();
            }
        });
    }

    /// Lets go whoever may. How long the pace holds up somebody who could go otherwise.
    fn pump(self: &Arc<Self>) -> Option<Duration> {
        let mut go = Vec::new();
        let mut held_up = None;
        let mut state = self.lock();
        if state.running >= state.limits.outstanding {
            return None;
        }
        let turns: Vec<_> = state.waiting.keys().copied().collect();
        for turn in turns {
            if state.running >= state.limits.outstanding {
                break;
            }
            let Some(subnet) = state.waiting.get(&turn).map(|waiting| waiting.subnet) else { continue };
            if let Some(subnet) = subnet {
                if held_up.is_some() || state.in_subnet(subnet) >= state.limits.per_subnet {
                    continue;
                }
                if let Err(wait) = state.pace.check() {
                    held_up = Some(wait);
                    continue;
                }
            }
            let Some(waiting) = state.waiting.remove(&turn) else { continue };
            state.take(subnet);
            go.push((waiting, Slot { budget: Arc::clone(self), subnet }));
        }
        drop(state);
        // Not under the lock: a slot that nobody takes any more comes back at once.
        for (waiting, slot) in go {
            let _ = waiting.granted.send(Ok(slot));
        }
        held_up
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue is as long as it may be.
fn full(queued: usize) -> LimitExceeded {
    LimitExceeded {
        scope: "dials that wait".into(),
        current: queued as u64,
        limit: queued as u64,
        key: "dial.max_queued".into(),
    }
}

impl State {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            pace: Pace::new(limits.per_second),
            next: 0,
            running: 0,
            subnets: HashMap::new(),
            waiting: BTreeMap::new(),
            pacing: false,
        }
    }

    fn in_subnet(&self, subnet: Subnet) -> usize {
        self.subnets.get(&subnet).copied().unwrap_or_default()
    }

    fn take(&mut self, subnet: Option<Subnet>) {
        self.running = self.running.saturating_add(1);
        if let Some(subnet) = subnet {
            let count = self.subnets.entry(subnet).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn give_back(&mut self, subnet: Option<Subnet>) {
        self.running = self.running.saturating_sub(1);
        let Some(subnet) = subnet else { return };
        let left = self.in_subnet(subnet).saturating_sub(1);
        if left == 0 {
            self.subnets.remove(&subnet);
        } else {
            self.subnets.insert(subnet, left);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.budget.lock().give_back(self.subnet);
        self.budget.settle();
    }
}

/// Takes whoever stops waiting out of the queue.
struct Leave<'a> {
    budget: &'a Budget,
    turn: Turn,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let left = self.budget.lock().waiting.remove(&self.turn);
        drop(left);
    }
}

/// The network that a public address lies in. Others are counted in total only.
fn public_subnet(addr: &Multiaddr) -> Option<Subnet> {
    (address::scope(addr) == Scope::Public).then(|| address::ip(addr).map(Subnet::of)).flatten()
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, waiting) = self.load();
        f.debug_struct("Budget").field("running", &running).field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({:?})", self.subnet)
    }
}

#[cfg(test)]
mod tests;
