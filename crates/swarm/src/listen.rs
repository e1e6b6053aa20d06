//! Listeners: one task each. What is accepted stays untouched until there is a permit for it.

use crate::{
    error::{Cause, ListenError},
    events::Event,
    pipeline::inbound,
    swarm::Inner,
};
use skep_api::{
    Multiaddr,
    transport::{Incoming, Listener},
};
use std::sync::{Arc, PoisonError};
use tokio_util::sync::CancellationToken;

/// A bound listener, as the node remembers it.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) asked: Multiaddr,
    pub(crate) addrs: Vec<Multiaddr>,
    pub(crate) stop: CancellationToken,
}

impl Inner {
    /// Binds one address and starts its task.
    pub(crate) async fn listen(self: &Arc<Self>, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ListenError> {
        let fail = |cause| ListenError { addr: addr.clone(), cause };
        if self.tasks.cancelled().is_cancelled() {
            return Err(fail(Cause::ShuttingDown));
        }
        let Some(transport) = self.stack.transports.iter().find(|t| t.object.supports(addr)) else {
            let names: Vec<_> = self.stack.transports.iter().map(|t| t.name.as_str()).collect();
            return Err(fail(Cause::NoTransport(names.join(", "))));
        };
        let listener = transport.object.listen(addr).await.map_err(|e| fail(Cause::Transport(e)))?;
        let addrs = listener.local_addrs();
        let stop = self.tasks.cancelled().child_token();
        let bound = Bound { asked: addr.clone(), addrs: addrs.clone(), stop: stop.clone() };
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(bound);
        for addr in &addrs {
            self.emit(Event::Listening(addr.clone()));
        }
        let run = Run { node: Arc::clone(self), name: transport.name.clone(), stop };
        self.tasks.spawn("listener", run.accept(listener, addrs.clone()));
        Ok(addrs)
    }

    /// Ends the listener that was asked for with, or is bound to, this address.
    pub(crate) fn unlisten(&self, addr: &Multiaddr) -> bool {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = listeners.iter().position(|b| b.asked == *addr || b.addrs.contains(addr)) else {
            return false;
        };
        listeners.swap_remove(at).stop.cancel();
        true
    }
}

struct Run {
    node: Arc<Inner>,
    name: String,
    stop: CancellationToken,
}

impl Run {
    async fn accept(self, mut listener: Box<dyn Listener>, addrs: Vec<Multiaddr>) {
        let stop = self.stop.clone();
        let ended = stop.run_until_cancelled(self.accept_all(&mut listener)).await;
        drop(listener);
        if let Some(error) = ended {
            let error = skep_api::error::chain(&error);
            tracing::error!(listener = ?addrs, %error, "A listener has ended.");
        }
        self.node.unlisten(addrs.first().unwrap_or(&Multiaddr::empty()));
        for addr in addrs {
            self.node.emit(Event::ListenerClosed(addr));
        }
    }

    async fn accept_all(&self, listener: &mut Box<dyn Listener>) -> skep_api::transport::TransportError {
        loop {
            let incoming = match listener.accept().await {
                Ok(incoming) => incoming,
                Err(error) => return error,
            };
            // Until there is a permit the socket stays untouched, and the next ones wait in the system's queue.
            let Some(permit) = self.node.permits.inbound().await else { return closed() };
            self.upgrade(incoming, permit);
        }
    }

    fn upgrade(&self, incoming: Box<dyn Incoming>, permit: crate::permits::Permit) {
        let (node, name) = (Arc::clone(&self.node), self.name.clone());
        let remote = incoming.remote_addr().clone();
        self.node.tasks.spawn("inbound upgrade", async move {
            let upgrade = inbound::accept(&node, incoming, permit, &name);
            match node.tasks.cancelled().run_until_cancelled(upgrade).await {
                Some(Ok(established)) => {
                    if let Err(error) = node.register(established) {
                        node.meters.inbound_failed(&name, &error);
                    }
                }
                Some(Err(error)) => {
                    node.meters.inbound_failed(&name, &error);
                    let text = skep_api::error::chain(&error);
                    tracing::debug!(%remote, error = %text, "An inbound connection failed.");
                    node.emit(Event::InboundFailed { remote, error: Arc::new(error) });
                }
                None => {}
            }
        });
    }
}

fn closed() -> skep_api::transport::TransportError {
    skep_api::transport::TransportError::new(skep_api::transport::TransportErrorKind::Closed, "")
}
