//! One replacement: another connection first, then the old one goes, and only if the other is better.

use super::{State, config::Config, ping, ping::Pinged, plan::Plan, score::HealthState};
use skep_api::{
    Code, PeerId,
    random::Random,
    selector::ConnectionView,
    service::{DialManner, DialPriority, NodeControl},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// How often it is looked whether streams have ended.
const POLL: Duration = Duration::from_secs(1);

/// What became of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// A better connection stands, and the old one is closed.
    Done,
    /// A connection that stood already is better, and the bad one is closed.
    Surplus,
    /// The old one has ended by itself.
    Lost,
    /// The dial has failed: the old one stays.
    DialFailed,
    /// No address was tried: the old one stays.
    NotTried,
    /// The new one was no better, or did not live: the old one stays.
    NotBetter,
    /// A better one stands, and the old one too, for its streams.
    KeptBusy,
}

impl Replaced {
    pub(super) const ALL: [Self; 7] = [
        Self::Done,
        Self::Surplus,
        Self::Lost,
        Self::DialFailed,
        Self::NotTried,
        Self::NotBetter,
        Self::KeptBusy,
    ];

    /// The stable word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Done => "replaced",
            Self::Surplus => "surplus",
            Self::Lost => "lost",
            Self::DialFailed => "dial_failed",
            Self::NotTried => "not_tried",
            Self::NotBetter => "not_better",
            Self::KeptBusy => "kept_busy",
        }
    }
}

/// How the closing of a connection went.
enum Left {
    Closed,
    /// It was gone.
    Gone,
    /// It stands: the other one has gone, or streams are in use on it.
    Stays,
}

/// What a replacement works with.
#[derive(Clone)]
pub(super) struct Replacer {
    pub(super) node: Arc<dyn NodeControl>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) config: Arc<Config>,
    pub(super) random: Random,
}

impl Replacer {
    /// Does it. Dropping the future leaves what stands.
    pub(super) async fn replace(self, plan: Plan) -> (PeerId, Replaced) {
        (plan.peer, self.carry_out(plan).await)
    }

    async fn carry_out(&self, plan: Plan) -> Replaced {
        if let Some(better) = plan.better {
            return self.old_goes(plan.old, better, Replaced::Surplus).await;
        }
        let manner = DialManner::of(DialPriority::Reconnect).another();
        let new = match self.node.dial(&plan.peer, manner).await {
            Ok(new) if new != plan.old => new,
            Err(error) if error.tried => return Replaced::DialFailed,
            Ok(_) | Err(_) => return Replaced::NotTried,
        };
        let pinged =
            ping::ping(&*self.node, new, &self.config.protocol, self.config.min_timeout.0, &self.random)
                .await;
        let Some(view) = self.view(new) else { return Replaced::NotBetter };
        let better = {
            let mut state = self.lock();
            state.table.judge_now(&view, pinged, &self.config, Instant::now());
            pinged != Pinged::NotJudged && state.table.is_better(new, plan.old)
        };
        if self.view(plan.old).is_none() {
            return Replaced::Lost;
        }
        if better {
            return self.old_goes(plan.old, new, Replaced::Done).await;
        }
        self.leave(new, plan.old, |_| false).await;
        Replaced::NotBetter
    }

    async fn old_goes(&self, old: u64, new: u64, done: Replaced) -> Replaced {
        match self.leave(old, new, |state| state == HealthState::Critical).await {
            Left::Closed => done,
            Left::Gone => Replaced::Lost,
            Left::Stays => Replaced::KeptBusy,
        }
    }

    /// Closes a connection once no stream is in use on it, or when `drain` has passed and `force` says so; never while
    /// the other one does not stand.
    async fn leave(&self, goes: u64, stays: u64, force: fn(HealthState) -> bool) -> Left {
        self.set_leaving(goes, true);
        let deadline = Instant::now() + self.config.drain.0;
        loop {
            let views = self.node.connections();
            let Some(view) = views.iter().find(|view| view.id == goes) else { return Left::Gone };
            let now = Instant::now();
            let forced = || {
                let state = self.lock();
                state.table.connections.get(&goes).is_some_and(|watched| force(watched.health.state()))
            };
            if !views.iter().any(|view| view.id == stays) || (view.busy > 0 && now >= deadline && !forced()) {
                self.set_leaving(goes, false);
                return Left::Stays;
            }
            if view.busy == 0 || now >= deadline {
                let closed = self.node.close(goes, Code::SUPPLANTED, "another connection does better").await;
                return if closed { Left::Closed } else { Left::Gone };
            }
            sleep_until(deadline.min(now + POLL)).await;
        }
    }

    fn set_leaving(&self, connection: u64, leaving: bool) {
        if let Some(watched) = self.lock().table.connections.get_mut(&connection) {
            watched.leaving = leaving;
        }
    }

    fn view(&self, connection: u64) -> Option<ConnectionView> {
        self.node.connections().into_iter().find(|view| view.id == connection)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
