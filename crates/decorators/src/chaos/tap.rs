//! Chaos on one byte stream: its faults in turn, at the bytes where they are due.

use super::{
    Config,
    faults::{Fault, Schedule, draw, happens, some_of},
};
use crate::{
    around::{Flow, PerFlow, Tap, Verdict},
    injected::Injected,
    timer::Timer,
};
use skep_api::random::Random;
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::time::Instant;

/// A byte stream with faults.
#[derive(Debug)]
pub(super) struct Disturbing {
    config: Arc<Config>,
    error: Injected,
    flows: PerFlow<Course>,
}

/// One direction.
#[derive(Debug)]
struct Course {
    passed: u64,
    faults: Schedule,
    /// Of its delays. Directions have one each, as how reads and writes alternate is up to tasks.
    random: Random,
    /// Until when the next bytes wait, once that is drawn.
    until: Option<Option<Instant>>,
    timer: Timer,
}

impl Disturbing {
    pub(super) fn new(
        config: &Arc<Config>,
        faults: PerFlow<Schedule>,
        random: Random,
        error: Injected,
    ) -> Self {
        let course = |faults| Course {
            passed: 0,
            faults,
            random: Random::seeded(draw(&random)),
            until: None,
            timer: Timer::default(),
        };
        let flows = PerFlow { received: course(faults.received), sent: course(faults.sent) };
        Self { config: Arc::clone(config), error, flows }
    }
}

impl Course {
    fn poll_delay(&mut self, cx: &mut Context<'_>, config: &Config) -> Poll<()> {
        let random = &self.random;
        let until = *self.until.get_or_insert_with(|| {
            let delay = some_of(random, config.byte_delay.0);
            Some(delay).filter(|_| happens(random, config.byte_delay_percent)).map(|d| Instant::now() + d)
        });
        until.map_or(Poll::Ready(()), |until| self.timer.poll_until(cx, until))
    }
}

impl Tap for Disturbing {
    fn poll_verdict(&mut self, cx: &mut Context<'_>, flow: Flow, wanted: usize) -> Poll<Verdict> {
        let course = self.flows.of_mut(flow);
        ready!(course.poll_delay(cx, &self.config));
        let Some((at, fault)) = course.faults.last().copied() else {
            return Poll::Ready(Verdict::Pass(wanted));
        };
        let left = at.saturating_sub(course.passed);
        if left > 0 {
            return Poll::Ready(Verdict::Pass(usize::try_from(left).map_or(wanted, |left| left.min(wanted))));
        }
        tracing::debug!(?fault, flow = flow.name(), byte = course.passed, "{}", self.error);
        Poll::Ready(match fault {
            Fault::Reset => Verdict::Cut(self.error.clone()),
            Fault::Drop => Verdict::Swallow,
            Fault::Corrupt(bits) => Verdict::Flip(bits),
        })
    }

    fn passed(&mut self, flow: Flow, bytes: &[u8]) {
        let course = self.flows.of_mut(flow);
        // The byte of a change has passed; what breaks or loses bytes stays for ever.
        let due = course.faults.last().is_some_and(|(at, _)| *at <= course.passed);
        if due {
            course.faults.pop();
        }
        course.passed = course.passed.saturating_add(bytes.len() as u64);
        course.until = None;
    }
}
