//! From the addresses given to those that can be started, in order: resolve, filter, gate, rank.

use super::{
    Dialer,
    filter::{self, Rules, Together},
    flight::Flight,
    lines::{Line, LineState, MAX_LINES},
    race::Runner,
};
use crate::{
    error::{AddrOutcome, AttemptError, Cause, Stage},
    pipeline::{
        admit::{self, Approved},
        progress::Progress,
    },
    swarm::Inner,
};
use skep_api::{
    Multiaddr, NodeView, PeerId, address,
    multiaddr::Protocol,
    ranker::{DialCandidate, RankedAddr},
    resolver::{ResolveError, ResolveErrorKind},
};
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// Most names of one dial that are looked up at the same time; others are left out.
const MAX_NAMES: usize = 32;

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
    pub(super) by_caller: bool,
    pub(super) force_direct: bool,
    pub(super) ignore_backoff: bool,
}

/// An address with a name, looked up.
#[derive(Debug)]
pub(super) struct Resolved {
    line: usize,
    manner: Manner,
    result: Result<Vec<Multiaddr>, AttemptError>,
}

impl Flight {
    /// Takes addresses into the dial: new ones, and those passed over that this caller sees differently.
    pub(super) fn plan(&mut self, given: Vec<Given>, manner: Manner) {
        let mut fresh = Vec::new();
        for Given { addr, worked, resolved_from } in given {
            // The peer that is wanted goes without saying; another one is kept, to be told of.
            let addr = if address::peer(&addr) == self.peer { address::without_peer(&addr) } else { addr };
            let position = match self.lines.position(&addr) {
                Some(known) if self.lines.all.get(known).is_some_and(Line::is_skipped) => known,
                Some(_) => continue,
                None if self.lines.all.len() >= MAX_LINES => {
                    self.lines.omitted = self.lines.omitted.saturating_add(1);
                    continue;
                }
                None => {
                    let progress = Progress::watched(Arc::clone(&self.wake));
                    self.lines.all.push(Line::new(addr.clone(), resolved_from, progress));
                    self.lines.all.len().saturating_sub(1)
                }
            };
            if let Some(line) = self.lines.all.get_mut(position) {
                line.worked |= worked;
            }
            if address::has_name(&addr) {
                self.resolve(position, addr, manner);
            } else {
                fresh.push(position);
            }
        }
        self.judge(&fresh, manner);
        self.rank();
    }

    /// Starts looking a name up.
    fn resolve(&mut self, position: usize, addr: Multiaddr, manner: Manner) {
        let Some(line) = self.lines.all.get_mut(position) else { return };
        let fail = |kind, detail: &str| {
            AttemptError::new(Stage::Resolve, "", Cause::Resolve(ResolveError::new(kind, detail)))
        };
        let Some(resolver) = self.node.stack.resolver.clone() else {
            return line.skip(fail(ResolveErrorKind::Unsupported, &addr.to_string()));
        };
        if self.resolving.len() >= MAX_NAMES {
            return line.skip(fail(ResolveErrorKind::Limit, "too many names of one peer"));
        }
        line.state = LineState::Resolving;
        // Records that lead to several peers are chosen by the one that is wanted.
        let addr = match self.peer {
            Some(peer) if !address::is_relayed(&addr) => addr.with(Protocol::P2p(peer)),
            _ => addr,
        };
        self.resolving.push(Box::pin(async move {
            let result = resolver.object.resolve(&addr).await;
            let result =
                result.map_err(|e| AttemptError::new(Stage::Resolve, &resolver.name, Cause::Resolve(e)));
            Resolved { line: position, manner, result }
        }));
    }

    /// Takes the addresses that came of a name.
    pub(super) fn resolved(&mut self, resolved: Resolved) {
        let Some(line) = self.lines.all.get_mut(resolved.line) else { return };
        match resolved.result {
            Err(error) => line.end(AddrOutcome::Failed(Arc::new(error))),
            Ok(addrs) => {
                line.state = LineState::Resolved;
                let (from, worked) = (line.addr.clone(), line.worked);
                let given = |addr| Given { addr, worked, resolved_from: Some(from.clone()) };
                self.plan(addrs.into_iter().map(given).collect(), resolved.manner);
            }
        }
    }

    /// Passes over what is not worth a packet, and finds a transport for the others.
    fn judge(&mut self, fresh: &[usize], manner: Manner) {
        let node = Arc::clone(&self.node);
        let host = node.dialer.host(Instant::now());
        let own = NodeView::listen_addrs(&*node);
        let rules = Rules {
            peer: self.peer,
            force_direct: manner.force_direct,
            by_caller: manner.by_caller,
            private_addresses: node.dialer.settings.private_addresses,
            own: &own,
        };
        let together = Together::of(self.lines.all.iter().map(|line| &line.addr), &host);
        for position in fresh {
            let Some(line) = self.lines.all.get_mut(*position) else { continue };
            let expected = line.expected(self.peer);
            match judge_one(&node, &line.addr, expected, &together, &rules, manner) {
                Ok(target) => line.state = LineState::Waiting(target),
                Err(error) => line.skip(error),
            }
        }
    }

    /// Puts everything that waits into the ranker's order.
    fn rank(&mut self) {
        let waiting = self.lines.all.iter().filter(|line| matches!(line.state, LineState::Waiting(_)));
        let candidates = waiting.map(|line| {
            let candidate = DialCandidate::new(line.addr.clone());
            if line.worked { candidate.worked() } else { candidate }
        });
        let candidates: Vec<_> = candidates.collect();
        let ranked = match &self.node.stack.ranker {
            Some(ranker) => ranker.object.rank(candidates.clone()),
            None => Vec::new(),
        };
        let mut waiting: HashMap<Multiaddr, usize> = HashMap::new();
        for (position, line) in self.lines.all.iter().enumerate() {
            if matches!(line.state, LineState::Waiting(_)) {
                waiting.insert(line.addr.clone(), position);
            }
        }
        // What a ranker leaves out, or no ranker orders, comes one after the other at the end.
        let left_out = candidates.into_iter().map(|c| RankedAddr::new(c.addr, RankedAddr::AFTER_FAILURE));
        let mut runners = Vec::new();
        let max = self.node.dialer.settings.max_peer_addrs_to_dial as usize;
        let room = max.saturating_sub(self.lines.tried());
        for RankedAddr { addr, gap, head_start, .. } in ranked.into_iter().chain(left_out) {
            let Some(position) = waiting.remove(&addr) else { continue };
            let Some(line) = self.lines.all.get_mut(position) else { continue };
            if runners.len() >= room {
                line.skip(AttemptError::new(Stage::Filter, "", Cause::TooManyAddresses(max)));
                continue;
            }
            line.head_start = (!head_start.is_zero()).then_some(head_start);
            let gap = (gap != RankedAddr::AFTER_FAILURE).then_some(gap);
            runners.push(Runner { line: position, gap });
        }
        self.race.line_up(runners);
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
    if !manner.ignore_backoff
        && let Some(cause) = node.dialer.left_alone(expected, addr)
    {
        return Err(skip(cause));
    }
    admit::approve(&node.stack, expected.as_ref(), addr)
}

impl Dialer {
    /// Why an address should be left alone because of what happened before, if it should.
    fn left_alone(&self, peer: Option<PeerId>, addr: &Multiaddr) -> Option<Cause> {
        let now = Instant::now();
        if let Some(failures) = self.backoff.check(peer, &address::without_peer(addr), now) {
            let left = failures.until.saturating_duration_since(now);
            return Some(Cause::Backoff { left, failures: failures.count, last: failures.last });
        }
        let hole = self.black_holes.check(addr)?;
        Some(Cause::BlackHole { path: hole.path, successes: hole.successes, window: hole.window })
    }
}
