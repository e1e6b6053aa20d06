//! The addresses of one dial, and how far each has come.

use super::{
    later,
    report::{AddrOutcome, AddrReport, DialReport},
};
use crate::{
    error::{AttemptError, Cause, Stage},
    pipeline::{admit::Approved, progress::Progress},
};
use skep_api::{Multiaddr, PeerId, address};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Most addresses of one dial; the others are counted only.
pub(super) const MAX_LINES: usize = 256;

/// The addresses of one dial.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) begun: Instant,
    pub(super) all: Vec<Line>,
    pub(super) omitted: usize,
}

/// One address.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) addr: Multiaddr,
    pub(super) resolved_from: Option<Multiaddr>,
    pub(super) worked: bool,
    pub(super) state: LineState,
    /// How far the present try has come, or the last one.
    pub(super) progress: Arc<Progress>,
    /// When the first try was sent.
    first: Option<Instant>,
    tries: u32,
    /// Tries after failures that another try could mend.
    pub(super) retries: u32,
    /// It has been cut off to make room for others, and is not again.
    pub(super) gave_way: bool,
    /// Cuts off the try that runs.
    pub(super) cut: CancellationToken,
    /// Why it has to be tried again.
    last: Option<Arc<AttemptError>>,
    pub(super) ended: Option<Instant>,
    /// How long those behind it wait once it has connected; taken when it has.
    pub(super) head_start: Option<Duration>,
}

/// How far an address has come.
#[derive(Debug)]
pub(super) enum LineState {
    /// It holds a name that is being looked up.
    Resolving,
    /// It has been looked up: the addresses that came of it have lines of their own.
    Resolved,
    /// It can be started.
    Waiting(Approved),
    /// It is being tried.
    Running,
    /// It is tried again then.
    Retrying(Approved, Instant),
    /// It has come to its end.
    Done(AddrOutcome),
}

/// Why a report is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is a connection, or nothing is left to try.
    Over,
    /// The time of the one who gets the report is over.
    Deadline,
}

impl Line {
    pub(super) fn new(addr: Multiaddr, resolved_from: Option<Multiaddr>, progress: Progress) -> Self {
        Self {
            addr,
            resolved_from,
            worked: false,
            state: LineState::Resolving,
            progress: Arc::new(progress),
            first: None,
            tries: 0,
            retries: 0,
            gave_way: false,
            cut: CancellationToken::new(),
            last: None,
            ended: None,
            head_start: None,
        }
    }

    /// The peer that has to be there: the one wanted, or the one that the address names.
    pub(super) fn expected(&self, wanted: Option<PeerId>) -> Option<PeerId> {
        wanted.or_else(|| address::peer(&self.addr))
    }

    pub(super) fn skip(&mut self, error: AttemptError) {
        self.state = LineState::Done(AddrOutcome::Skipped(Arc::new(error)));
    }

    pub(super) fn end(&mut self, outcome: AddrOutcome) {
        self.state = LineState::Done(outcome);
        self.ended = Some(Instant::now());
    }

    /// Takes what it takes to try it, if it can be tried.
    pub(super) fn run(&mut self) -> Option<Approved> {
        let (LineState::Waiting(target) | LineState::Retrying(target, _)) = &self.state else { return None };
        let target = target.clone();
        self.first = self.started();
        self.progress = Arc::new(self.progress.anew());
        self.tries = self.tries.saturating_add(1);
        self.state = LineState::Running;
        Some(target)
    }

    /// When something was sent first.
    pub(super) fn started(&self) -> Option<Instant> {
        self.first.or_else(|| self.progress.started())
    }

    /// Sets it back to wait for another try, as it has given way.
    pub(super) fn start_anew(&mut self, target: Approved, error: AttemptError) {
        self.last = Some(Arc::new(error));
        self.cut = CancellationToken::new();
        self.state = LineState::Waiting(target);
    }

    /// Whether it has been tried and has not connected yet.
    pub(super) fn is_silent(&self) -> bool {
        let tried = matches!(self.state, LineState::Running) || (self.gave_way && self.is_open());
        tried && self.progress.stage() == Stage::Connect
    }

    pub(super) fn retry(&mut self, target: Approved, at: Instant, error: AttemptError) {
        self.retries = self.retries.saturating_add(1);
        self.last = Some(Arc::new(error));
        self.state = LineState::Retrying(target, at);
    }

    /// Whether its connection stands, and its handshake is under way.
    pub(super) fn is_in_handshake(&self) -> bool {
        matches!(self.state, LineState::Running) && self.progress.stage() > Stage::Connect
    }

    /// When it has to give way to others, if it is one that has to.
    pub(super) fn gives_way_at(&self, after: Duration) -> Option<Instant> {
        let silent = matches!(self.state, LineState::Running) && self.progress.stage() == Stage::Connect;
        self.progress.started().filter(|_| silent && !self.gave_way).map(|started| later(started, after))
    }

    /// Whether it waits for its first try.
    pub(super) fn is_fresh(&self) -> bool {
        matches!(self.state, LineState::Waiting(_)) && !self.gave_way
    }

    /// Whether it was passed over, which another request may see differently.
    pub(super) fn is_skipped(&self) -> bool {
        self.skipped().is_some()
    }

    /// Why it was passed over, if it was.
    pub(super) fn skipped(&self) -> Option<&AttemptError> {
        let LineState::Done(AddrOutcome::Skipped(why)) = &self.state else { return None };
        Some(why)
    }

    /// Whether it has not come to its end.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, LineState::Done(_) | LineState::Resolved)
    }

    fn outcome(&self, begun: Instant, end: End) -> AddrOutcome {
        let elapsed = begun.elapsed();
        match (&self.state, end) {
            (LineState::Done(outcome), _) => outcome.clone(),
            (LineState::Retrying(..) | LineState::Waiting(_), _) if self.last.is_some() => {
                self.last.clone().map_or(AddrOutcome::Cancelled { stage: Stage::Queue }, AddrOutcome::Failed)
            }
            (LineState::Running, End::Deadline) if self.progress.started().is_some() => {
                let after = self.progress.started().map_or(elapsed, |started| started.elapsed());
                AddrOutcome::Failed(Arc::new(self.progress.timed_out(after)))
            }
            (LineState::Resolving, End::Deadline) => {
                let error = AttemptError::new(Stage::Resolve, "", Cause::TimedOut(elapsed));
                AddrOutcome::Failed(Arc::new(error))
            }
            (_, End::Deadline) => {
                AddrOutcome::Skipped(Arc::new(AttemptError::new(Stage::Queue, "", Cause::TimedOut(elapsed))))
            }
            (LineState::Resolving, End::Over) => AddrOutcome::Cancelled { stage: Stage::Resolve },
            (_, End::Over) => AddrOutcome::Cancelled { stage: self.progress.stage() },
        }
    }

    /// Of a name, how long it was looked up.
    fn elapsed(&self, begun: Instant, started: Option<Instant>) -> Duration {
        match (started, self.ended) {
            (Some(started), ended) => ended.unwrap_or_else(Instant::now).saturating_duration_since(started),
            (None, Some(ended)) => ended.saturating_duration_since(begun),
            (None, None) => Duration::ZERO,
        }
    }

    fn report(&self, begun: Instant, end: End) -> AddrReport {
        let started = self.started();
        AddrReport {
            addr: self.addr.clone(),
            resolved_from: self.resolved_from.clone(),
            started: started.map(|started| started.saturating_duration_since(begun)),
            elapsed: self.elapsed(begun, started),
            retries: self.tries.saturating_sub(1),
            outcome: self.outcome(begun, end),
        }
    }
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), all: Vec::new(), omitted: 0 }
    }

    pub(super) fn position(&self, addr: &Multiaddr) -> Option<usize> {
        self.all.iter().position(|line| line.addr == *addr)
    }

    /// Lines that were tried, or are.
    pub(super) fn tried(&self) -> usize {
        let tried = |line: &&Line| {
            line.started().is_some() || matches!(line.state, LineState::Running | LineState::Retrying(..))
        };
        self.all.iter().filter(tried).count()
    }

    pub(super) fn report(&self, peer: Option<PeerId>, end: End) -> DialReport {
        let lines = self.all.iter().filter(|line| !matches!(line.state, LineState::Resolved));
        let mut addrs: Vec<_> = lines.map(|line| line.report(self.begun, end)).collect();
        addrs.sort_by_key(|addr| addr.started.unwrap_or(Duration::MAX));
        DialReport { peer, existing: false, addrs, omitted: self.omitted, elapsed: self.begun.elapsed() }
    }
}
