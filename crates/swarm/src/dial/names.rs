//! Addresses with names in them: looked up a few at a time, and planned again as what they lead to.

use super::{
    flight::Flight,
    lines::LineState,
    plan::{Given, Manner},
};
use crate::error::{AddrOutcome, AttemptError, Cause, Stage};
use futures::FutureExt;
use skep_api::{
    Multiaddr, address,
    error::Fault,
    escape,
    multiaddr::Protocol,
    resolver::{ResolveError, ResolveErrorKind},
};
use std::{panic::AssertUnwindSafe, sync::Arc};

/// Most names of one dial that are looked up at the same time; others wait.
const MAX_NAMES: usize = 8;

/// An address with a name, looked up.
#[derive(Debug)]
pub(super) struct Resolved {
    line: usize,
    manner: Manner,
    result: Result<Vec<Multiaddr>, AttemptError>,
}

impl Flight {
    /// Lets a name wait to be looked up, if it is worth it.
    pub(super) fn take_name(&mut self, position: usize, addr: &Multiaddr, manner: Manner) {
        let (node, peer) = (Arc::clone(&self.node), self.peer);
        let Some(line) = self.lines.all.get_mut(position) else { return };
        if let Some(named) = address::peer(addr).filter(|_| peer.is_some()) {
            return line.skip(AttemptError::new(Stage::Filter, "", Cause::OtherPeer(named)));
        }
        let left_alone = node.dialer.left_alone(line.expected(peer), addr);
        if let Some(cause) = left_alone.filter(|_| !manner.ignore_backoff) {
            return line.skip(AttemptError::new(Stage::Filter, "", cause));
        }
        line.state = LineState::Resolving;
        self.names.push_back((position, manner));
    }

    /// Looks up the names that wait, a few at a time.
    pub(super) fn start_lookups(&mut self) {
        while self.resolving.len() < MAX_NAMES {
            let Some((position, manner)) = self.names.pop_front() else { return };
            let Some(line) = self.lines.all.get_mut(position) else { continue };
            let addr = line.addr.clone();
            let Some(resolver) = self.node.live().stack.resolver.clone() else {
                let detail = escape::remote(&addr.to_string());
                let error = ResolveError::new(ResolveErrorKind::Unsupported, detail);
                line.skip(AttemptError::new(Stage::Resolve, "", Cause::Resolve(error)));
                continue;
            };
            // Records that lead to several peers are chosen by the one that is wanted.
            let addr = match self.peer {
                Some(peer) if !address::is_relayed(&addr) => addr.with(Protocol::P2p(peer)),
                _ => addr,
            };
            let lookups = Arc::clone(&self.node.dialer.lookups);
            self.resolving.push(Box::pin(async move {
                // Never closed.
                let _room = lookups.acquire_owned().await;
                let fail = |cause| AttemptError::new(Stage::Resolve, &resolver.name, cause);
                let looked_up = AssertUnwindSafe(resolver.object.resolve(&addr)).catch_unwind().await;
                let result = match looked_up {
                    Ok(result) => result.map_err(|e| fail(Cause::Resolve(e))),
                    Err(_) => Err(fail(Cause::Panicked)),
                };
                Resolved { line: position, manner, result }
            }));
        }
    }

    /// Takes the addresses that came of a name.
    pub(super) fn resolved(&mut self, resolved: Resolved) {
        let Some(line) = self.lines.all.get_mut(resolved.line) else { return };
        match resolved.result {
            Err(error) => {
                if error.cause.fault() != Fault::Local {
                    self.node.dialer.failed(line.expected(self.peer), &line.addr, &error);
                }
                line.end(AddrOutcome::Failed(Arc::new(error)));
                self.start_lookups();
            }
            Ok(addrs) => {
                line.state = LineState::Resolved;
                let (from, worked) = (line.addr.clone(), line.worked);
                let given = |addr| Given { addr, worked, resolved_from: Some(from.clone()) };
                self.plan(addrs.into_iter().map(given).collect(), resolved.manner);
            }
        }
    }
}
