//! Open doors and the links that come in through them.

use crate::{
    Config, MemoryHub, address::multiaddr_of, hub::Door, link::MemoryLink, node::Node, shape::Shapes,
};
use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    transport::{Incoming, Link, Listener, RawLink, TransportError, TransportErrorKind},
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A number of the hub that links come to.
#[derive(Debug)]
pub(crate) struct MemoryListener {
    hub: MemoryHub,
    number: u64,
    queue: mpsc::Receiver<MemoryIncoming>,
}

impl MemoryListener {
    /// Takes a number of the hub, a free one for 0.
    pub(crate) fn bind(
        hub: &MemoryHub,
        number: u64,
        config: &Config,
        node: &Arc<Node>,
    ) -> Result<Self, TransportError> {
        let (sender, queue) = mpsc::channel(config.backlog.max(1).into());
        let number = hub.open(number, Door::new(sender, Shapes::for_accepts(config), node))?;
        Ok(Self { hub: hub.clone(), number, queue })
    }
}

#[async_trait]
impl Listener for MemoryListener {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        vec![multiaddr_of(self.number)]
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        match self.queue.recv().await {
            Some(incoming) => Ok(Box::new(incoming)),
            None => {
                Err(TransportError::new(TransportErrorKind::Closed, multiaddr_of(self.number).to_string()))
            }
        }
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.hub.close(self.number);
    }
}

/// A link that waits for an answer. Dropping it resets the link.
#[derive(Debug)]
pub(crate) struct MemoryIncoming {
    link: MemoryLink,
    local: Multiaddr,
    remote: Multiaddr,
}

impl MemoryIncoming {
    pub(crate) fn new(link: MemoryLink, local: Multiaddr, remote: Multiaddr) -> Self {
        Self { link, local, remote }
    }
}

#[async_trait]
impl Incoming for MemoryIncoming {
    fn remote_addr(&self) -> &Multiaddr {
        &self.remote
    }

    fn local_addr(&self) -> &Multiaddr {
        &self.local
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        let Self { link, local, remote } = *self;
        Ok(Link::Raw(RawLink { io: Box::new(link), local, remote }))
    }

    fn refuse(self: Box<Self>) {}
}
