//! Listeners: one task each. What is accepted stays untouched until there is a permit for it.

use crate::{
    dial::later,
    error::{Cause, ListenError},
    events::Event,
    pipeline::inbound::{self, Listening},
    swarm::Inner,
};
use skep_api::{
    Multiaddr,
    transport::{Incoming, Listener, TransportError, TransportErrorKind},
};
use std::{
    net::IpAddr,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often a listener on all interfaces looks which addresses these have.
const LOOK: Duration = Duration::from_secs(30);

/// A bound listener, as the node remembers it.
#[derive(Debug)]
pub(crate) struct Bound {
    id: u64,
    asked: Multiaddr,
    transport: String,
    addrs: Vec<Multiaddr>,
    stop: CancellationToken,
    /// Fires when the socket is closed.
    gone: CancellationToken,
}

/// A listener, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerInfo {
    /// The address that was asked for.
    pub asked: Multiaddr,
    /// The plugin that serves it.
    pub transport: String,
    /// The addresses that can be dialled.
    pub addrs: Vec<Multiaddr>,
}

/// What became of one address of [`Swarm::listen_all`](crate::Swarm::listen_all).
#[derive(Debug)]
#[non_exhaustive]
pub struct ListenOutcome {
    /// The address that was asked for.
    pub asked: Multiaddr,
    /// The addresses that can be dialled, or why there are none.
    pub result: Result<Vec<Multiaddr>, ListenError>,
}

impl Inner {
    fn bound(&self) -> MutexGuard<'_, Vec<Bound>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds one address and starts its task.
    pub(crate) async fn listen(self: &Arc<Self>, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ListenError> {
        let fail = |cause| ListenError { addr: addr.clone(), cause };
        if self.is_draining() {
            return Err(fail(Cause::ShuttingDown));
        }
        let stack = Arc::clone(&self.live().stack);
        let Some(transport) = stack.transports.iter().find(|t| t.object.supports(addr)) else {
            let names: Vec<_> = stack.transports.iter().map(|t| t.name.as_str()).collect();
            return Err(fail(Cause::NoTransport(names.join(", "))));
        };
        let listener = transport.object.listen(addr).await.map_err(|e| fail(Cause::Transport(e)))?;
        let addrs = listener.local_addrs();
        let (id, name) = (self.new_id(), transport.name.clone());
        let transport = Listening { name: name.clone(), muxed: transport.object.capabilities().muxed };
        let (stop, gone) = (self.tasks.cancelled().child_token(), CancellationToken::new());
        let run = Run {
            node: Arc::clone(self),
            transport,
            id,
            stop: stop.clone(),
            gone: gone.clone(),
            error: None,
        };
        let bound = Bound { id, asked: addr.clone(), transport: name, addrs: addrs.clone(), stop, gone };
        {
            // A drain that has begun meanwhile does not know of it.
            let mut all = self.bound();
            if self.is_draining() {
                return Err(fail(Cause::ShuttingDown));
            }
            all.push(bound);
        }
        for addr in &addrs {
            self.emit(&Event::Listening(addr.clone()));
        }
        self.tasks.spawn("listener", run.accept(listener, is_wildcard(addr)));
        Ok(addrs)
    }

    /// Ends the listener that was asked for with, or is bound to, this address. Returns when its socket is closed.
    pub(crate) async fn unlisten(&self, addr: &Multiaddr) -> bool {
        let found = {
            let bound = self.bound();
            let found = bound.iter().find(|b| b.asked == *addr || b.addrs.contains(addr));
            found.map(|b| (b.stop.clone(), b.gone.clone()))
        };
        let Some((stop, gone)) = found else { return false };
        stop.cancel();
        gone.cancelled().await;
        true
    }

    /// Ends all listeners. Returns when their sockets are closed.
    pub(crate) async fn unlisten_all(&self) {
        let all: Vec<_> = self.bound().iter().map(|b| (b.stop.clone(), b.gone.clone())).collect();
        for (stop, _) in &all {
            stop.cancel();
        }
        for (_, gone) in &all {
            gone.cancelled().await;
        }
    }

    /// The listeners that there are.
    pub(crate) fn listener_infos(&self) -> Vec<ListenerInfo> {
        let info = |b: &Bound| ListenerInfo {
            asked: b.asked.clone(),
            transport: b.transport.clone(),
            addrs: b.addrs.clone(),
        };
        self.bound().iter().map(info).collect()
    }

    /// The host's addresses may have changed: what is new and what is gone of a listener's is told.
    fn refresh(&self, id: u64, now: &[Multiaddr]) {
        let before = {
            let mut bound = self.bound();
            let Some(bound) = bound.iter_mut().find(|b| b.id == id) else { return };
            std::mem::replace(&mut bound.addrs, now.to_vec())
        };
        for addr in now.iter().filter(|addr| !before.contains(addr)) {
            self.emit(&Event::Listening(addr.clone()));
        }
        for addr in before.iter().filter(|addr| !now.contains(addr)) {
            self.emit(&Event::AddressExpired(addr.clone()));
        }
    }

    /// A listener has ended.
    fn forget_listener(&self, id: u64, error: Option<Arc<TransportError>>) {
        let ended = {
            let mut bound = self.bound();
            let at = bound.iter().position(|b| b.id == id);
            at.map(|at| bound.swap_remove(at))
        };
        let addrs = ended.map(|bound| bound.addrs).unwrap_or_default();
        for addr in addrs {
            self.emit(&Event::ListenerClosed { addr, error: error.clone() });
        }
    }
}

/// Whether an address stands for all addresses of the host.
fn is_wildcard(addr: &Multiaddr) -> bool {
    skep_api::address::ip(addr).is_some_and(|ip: IpAddr| ip.is_unspecified())
}

struct Run {
    node: Arc<Inner>,
    transport: Listening,
    id: u64,
    stop: CancellationToken,
    gone: CancellationToken,
    /// Why it ended, if nobody asked for it.
    error: Option<Arc<TransportError>>,
}

impl Drop for Run {
    /// Also by a panic of the transport, or an abort: whoever waits for the end must not wait for ever.
    fn drop(&mut self) {
        self.node.forget_listener(self.id, self.error.take());
        self.gone.cancel();
    }
}

impl Run {
    async fn accept(mut self, mut listener: Box<dyn Listener>, wildcard: bool) {
        let stop = self.stop.clone();
        let ended = stop.run_until_cancelled(self.accept_all(&mut listener, wildcard)).await;
        drop(listener);
        if let Some(error) = ended {
            let text = skep_api::error::chain(&error);
            tracing::error!(listener = self.transport.name, error = %text, "A listener has ended.");
            self.error = Some(Arc::new(error));
        }
    }

    async fn accept_all(&self, listener: &mut Box<dyn Listener>, wildcard: bool) -> TransportError {
        let look = || later(Instant::now(), if wildcard { LOOK } else { Duration::MAX });
        let mut next_look = look();
        loop {
            // Dropping `accept` loses nothing, so that the listener can be asked for its addresses in between.
            let incoming = match tokio::time::timeout_at(next_look, listener.accept()).await {
                Ok(Ok(incoming)) => incoming,
                Ok(Err(error)) => return error,
                Err(_) => {
                    self.node.refresh(self.id, &listener.local_addrs());
                    next_look = look();
                    continue;
                }
            };
            // Until there is a permit the socket stays untouched, and the next ones wait in the system's queue.
            let Some(permit) = self.node.permits.inbound().await else { return closed() };
            self.upgrade(incoming, permit);
        }
    }

    fn upgrade(&self, incoming: Box<dyn Incoming>, permit: crate::permits::Permit) {
        let (node, transport) = (Arc::clone(&self.node), self.transport.clone());
        let remote = incoming.remote_addr().clone();
        self.node.tasks.spawn("inbound upgrade", async move {
            let upgrade = inbound::accept(&node, incoming, permit, &transport);
            let Some(upgraded) = node.tasks.cancelled().run_until_cancelled(upgrade).await else { return };
            let Err(error) = upgraded.and_then(|established| node.register(established)) else { return };
            node.meters.inbound_failed(&transport.name, &error);
            let text = skep_api::error::chain(&error);
            tracing::debug!(%remote, error = %text, "An inbound connection failed.");
            node.emit(&Event::InboundFailed { remote, error: Arc::new(error) });
        });
    }
}

fn closed() -> TransportError {
    TransportError::new(TransportErrorKind::Closed, "")
}
