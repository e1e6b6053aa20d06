//! From the addresses given to those that can be started, in order: names are looked up, the rest is filtered, shown to
//! the gates and ranked.

use super::{
    Dialer,
    filter::{self, Best, Rules, Together},
    flight::Flight,
    lines::{Line, LineState, MAX_LINES},
    race::Runner,
};
use crate::{
    error::{AttemptError, Cause, Stage},
    pipeline::{
        admit::{self, Approved},
        progress::Progress,
    },
    swarm::Inner,
};
use skep_api::{
    Multiaddr, NodeView, PeerId, address,
    ranker::{DialCandidate, RankedAddr},
};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// An address to dial, before anything is known of it.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) addr: Multiaddr,
    /// A connection to it has worked before.
    pub(super) worked: bool,
    pub(super) resolved_from: Option<Multiaddr>,
}

/// How the caller wants addresses to be judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The caller has named the addresses.
    pub(super) by_caller: bool,
    pub(super) force_direct: bool,
    /// There is a relayed connection already, and a direct one is wanted.
    pub(super) has_relayed: bool,
    pub(super) ignore_backoff: bool,
}

impl Flight {
    /// Takes addresses into the dial: new ones, and those passed over that this caller sees differently.
    pub(super) fn plan(&mut self, given: Vec<Given>, manner: Manner) {
        let mut fresh = Vec::new();
        for Given { addr, worked, resolved_from } in given {
            // The peer that is wanted goes without saying; another one is kept, to be told of.
            let addr = if address::peer(&addr) == self.peer { address::without_peer(&addr) } else { addr };
            let Some(position) = self.line_for(&addr, resolved_from) else { continue };
            if let Some(line) = self.lines.all.get_mut(position) {
                line.worked |= worked;
            }
            if address::has_name(&addr) {
                self.take_name(position, &addr, manner);
            } else {
                fresh.push(position);
            }
        }
        self.start_lookups();
        if self.judge(&fresh, manner) {
            self.rank();
        }
    }

    /// The line of an address that has to be judged; `None` if it has been, or if there are too many.
    fn line_for(&mut self, addr: &Multiaddr, resolved_from: Option<Multiaddr>) -> Option<usize> {
        match self.lines.position(addr) {
            Some(known) => self.lines.all.get(known).is_some_and(Line::is_skipped).then_some(known),
            None if self.lines.all.len() >= MAX_LINES => {
                self.lines.omitted = self.lines.omitted.saturating_add(1);
                None
            }
            None => {
                let progress = Progress::watched(Arc::clone(&self.wake));
                self.lines.all.push(Line::new(addr.clone(), resolved_from, progress));
                self.lines.all.len().checked_sub(1)
            }
        }
    }

    /// Passes over what is not worth a packet, and finds a transport for the others. Whether there are any.
    fn judge(&mut self, fresh: &[usize], manner: Manner) -> bool {
        if fresh.is_empty() {
            return false;
        }
        let node = Arc::clone(&self.node);
        let host = node.dialer.host(Instant::now());
        let own = NodeView::listen_addrs(&*node);
        let rules = Rules {
            peer: self.peer,
            force_direct: manner.force_direct,
            by_caller: manner.by_caller,
            private_addresses: node.dialer.settings().private_addresses,
            own: &own,
        };
        let together = Together::of(self.lines.all.iter().map(|line| &line.addr), &host);
        for position in fresh {
            let Some(line) = self.lines.all.get_mut(*position) else { continue };
            let expected = line.expected(self.peer);
            let judge = || judge_one(&node, &line.addr, expected, &together, &rules, manner);
            let panicked = |_| Err(AttemptError::new(Stage::Gate, "", Cause::Panicked));
            match catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(panicked) {
                Ok(target) => line.state = LineState::Waiting(target),
                Err(error) => line.skip(error),
            }
        }
        self.drop_duplicates(fresh);
        fresh.iter().any(|at| self.lines.all.get(*at).is_some_and(Line::is_fresh))
    }

    /// Of those that lead to the same place, only the best is tried.
    fn drop_duplicates(&mut self, fresh: &[usize]) {
        let hopeful = |line: &&Line| matches!(line.state, LineState::Waiting(_) | LineState::Running);
        let best = Best::of(self.lines.all.iter().filter(hopeful).map(|line| &line.addr));
        for position in fresh {
            let Some(line) = self.lines.all.get_mut(*position).filter(|line| line.is_fresh()) else {
                continue;
            };
            if let Some(better) = best.better(&line.addr) {
                line.skip(AttemptError::new(Stage::Filter, "", Cause::Duplicate(better)));
            }
        }
    }

    /// Puts everything that waits into the ranker's order. What runs is ranked, too, so that what joins it keeps the pace.
    fn rank(&mut self) {
        let mut waiting = HashMap::new();
        let mut candidates = Vec::new();
        for (position, line) in self.lines.all.iter().enumerate() {
            match line.state {
                LineState::Waiting(_) => drop(waiting.insert(line.addr.clone(), position)),
                LineState::Running | LineState::Retrying(..) => {}
                _ => continue,
            }
            let candidate = DialCandidate::new(line.addr.clone());
            candidates.push(if line.worked { candidate.worked() } else { candidate });
        }
        // What a ranker leaves out, or no ranker orders, comes one after the other at the end.
        let left_out = candidates.iter().map(|c| RankedAddr::new(c.addr.clone(), RankedAddr::AFTER_FAILURE));
        let left_out: Vec<_> = left_out.collect();
        let live = self.node.live();
        let ranked = match &live.stack.ranker {
            Some(ranker) => {
                catch_unwind(AssertUnwindSafe(|| ranker.object.rank(candidates))).unwrap_or_default()
            }
            None => Vec::new(),
        };
        let max = self.node.dialer.settings().max_peer_addrs_to_dial as usize;
        let room = max.saturating_sub(self.lines.tried());
        // Those that had their chance come after those that had none, and take no place from them.
        let (mut runners, mut second_chances) = (Vec::new(), Vec::new());
        // The time that those between two waiting ones take from their distance.
        let mut passed = Duration::ZERO;
        for RankedAddr { addr, gap, head_start, .. } in ranked.into_iter().chain(left_out) {
            let waits = gap == RankedAddr::AFTER_FAILURE;
            let Some(position) = waiting.remove(&addr) else {
                passed =
                    if waits || runners.is_empty() { Duration::ZERO } else { passed.saturating_add(gap) };
                continue;
            };
            let Some(line) = self.lines.all.get_mut(position) else { continue };
            line.head_start = (!head_start.is_zero()).then_some(head_start);
            if line.gave_way {
                second_chances.push(Runner { line: position, gap: Some(Duration::ZERO) });
            } else if runners.len() >= room {
                line.skip(AttemptError::new(Stage::Filter, "", Cause::TooManyAddresses(max)));
            } else {
                let gap = (!waits).then(|| gap.saturating_add(std::mem::take(&mut passed)));
                runners.push(Runner { line: position, gap });
            }
        }
        self.race.line_up(runners.into_iter().chain(second_chances));
    }
}

/// What keeps one address from being dialled, cheapest first; otherwise the transport for it.
fn judge_one(
    node: &Inner,
    addr: &Multiaddr,
    expected: Option<PeerId>,
    together: &Together,
    rules: &Rules<'_>,
    manner: Manner,
) -> Result<Approved, AttemptError> {
    let skip = |cause| AttemptError::new(Stage::Filter, "", cause);
    if expected == Some(node.local_peer) {
        return Err(skip(Cause::OwnAddress));
    }
    if let Some(cause) = filter::judge(addr, together, rules) {
        return Err(skip(cause));
    }
    if manner.has_relayed && address::is_relayed(addr) {
        return Err(skip(Cause::RelayedAlready));
    }
    let target = admit::find(&node.live().stack, addr)?;
    if !manner.ignore_backoff
        && let Some(cause) = node.dialer.left_alone(expected, addr)
    {
        return Err(skip(cause));
    }
    target.approve(node, expected.as_ref())
}

impl Dialer {
    /// Why an address should be left alone because of what happened before, if it should.
    pub(super) fn left_alone(&self, peer: Option<PeerId>, addr: &Multiaddr) -> Option<Cause> {
        let now = Instant::now();
        if let Some(failures) = self.backoff.check(peer, &address::without_peer(addr), now) {
            let left = failures.until.saturating_duration_since(now);
            return Some(Cause::Backoff { left, failures: failures.count, last: failures.last });
        }
        let hole = self.black_holes.check(addr)?;
        Some(Cause::BlackHole { path: hole.path, successes: hole.successes, window: hole.window })
    }
}
