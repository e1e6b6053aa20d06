//! The transport: dials and listens on a hub.

use crate::{
    Config, MemoryHub,
    address::{multiaddr_of, number_of, unsupported},
    listen::MemoryListener,
    node::Node,
    rules::Rules,
    shape::Shapes,
    way::Way,
};
use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    transport::{
        Link, Listener, RawLink, Transport, TransportCapabilities, TransportError, TransportErrorKind,
    },
};
use std::sync::Arc;

/// Dials and listens on `/memory/…` addresses of one hub.
#[derive(Debug)]
pub struct MemoryTransport {
    hub: MemoryHub,
    config: Config,
    node: Arc<Node>,
    shapes: Shapes,
}

impl MemoryTransport {
    /// A transport on this hub; the hub that `config` names is not looked at.
    #[must_use]
    pub fn new(hub: MemoryHub, config: Config) -> Self {
        let shapes = Shapes::for_dials(&config);
        let node = Node::new(&config.name);
        Self { hub, config, node, shapes }
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn supports(&self, addr: &Multiaddr) -> bool {
        number_of(addr).is_some()
    }

    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities::raw_stream()
    }

    /// Takes one round trip: the request and the answer each have the latency of the node that sends them. It is
    /// done when the link is in the listener's queue, as TCP's is. In a partition it waits until that has ended.
    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let number = number_of(addr).ok_or_else(|| unsupported(addr))?;
        if number == 0 {
            let detail = format!("{addr}: number 0 is for listening and cannot be dialled");
            return Err(TransportError::new(TransportErrorKind::AddressUnavailable, detail));
        }
        let shape = self.shapes.next();
        let conditions = shape.conditions;
        let way = |rules: &Rules| rules.owner(number).map(|listener| Way::new(rules, &self.node, &listener));
        self.hub.cross(way, conditions).await;
        let knocked = self.hub.knock(number, &self.node, shape)?;
        let way = |rules: &Rules| Some(Way::new(rules, &knocked.listener, &self.node));
        self.hub.cross(way, knocked.answer).await;
        Ok(Link::Raw(RawLink {
            io: Box::new(knocked.link),
            local: multiaddr_of(knocked.local),
            remote: multiaddr_of(number),
        }))
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let number = number_of(addr).ok_or_else(|| unsupported(addr))?;
        Ok(Box::new(MemoryListener::bind(&self.hub, number, &self.config, &self.node)?))
    }
}
