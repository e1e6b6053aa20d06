//! Bound addresses, and the line of those who want to connect.

use crate::{
    address::{Address, multiaddr_at},
    endpoints::{Listening, Socket},
    error,
    incoming::{Knock, Load, QuicIncoming},
    transport::Node,
};
use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    transport::{Incoming, Listener, TransportError, TransportErrorKind},
};
use skep_ip_endpoint::Bound;
use std::sync::Arc;
use tokio::sync::mpsc::{self, error::TrySendError};

/// A listening socket.
#[derive(Debug)]
pub(crate) struct QuicListener {
    node: Arc<Node>,
    line: mpsc::Receiver<Knock>,
    bound: Bound,
    listening: Listening,
}

impl QuicListener {
    /// Binds an address.
    pub(crate) fn bind(node: &Arc<Node>, address: &Address) -> Result<Self, TransportError> {
        let addr = address.to_multiaddr();
        let from_io = |e| error::binding(&addr, e);
        let to = address.endpoint.to_socket_addr().map_err(from_io)?;
        let listening = node.endpoints.listen(to, node.server.clone()).map_err(from_io)?;
        let bound = Bound::new(&address.endpoint, listening.socket.addr).map_err(from_io)?;
        let line = form_line(node, Arc::clone(&listening.socket));
        Ok(Self { node: Arc::clone(node), line, bound, listening })
    }
}

/// Starts the task that puts newcomers in line, so that those who have to prove their address are told at once, whether
/// anybody accepts or not.
fn form_line(node: &Node, socket: Arc<Socket>) -> mpsc::Receiver<Knock> {
    let config = node.tuning.config();
    let size = usize::try_from(config.max_pending_incoming).unwrap_or(usize::MAX);
    let (sender, receiver) = mpsc::channel(size);
    let load = Load::new(config.retry_threshold);
    node.cx.tasks.spawn("quic listener", async move {
        tokio::select! {
            biased;
            () = sender.closed() => {}
            () = admit(&socket, &sender, &load) => {}
        }
    });
    receiver
}

/// Puts newcomers in line while there is room and their address is no doubt; ends with the endpoint.
async fn admit(socket: &Socket, line: &mpsc::Sender<Knock>, load: &Load) {
    while let Some(incoming) = socket.endpoint.accept().await {
        let Some(knock) = load.admit(incoming) else { continue };
        match line.try_send(knock) {
            Ok(()) => {}
            // An answer to each would cost more than there is; an honest peer sends again.
            Err(TrySendError::Full(knock)) => knock.ignore(),
            Err(TrySendError::Closed(_)) => return,
        }
    }
}

#[async_trait]
impl Listener for QuicListener {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.bound.endpoints().iter().map(multiaddr_at).collect()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        match self.line.recv().await {
            Some(knock) => {
                let socket = Arc::clone(&self.listening.socket);
                Ok(Box::new(QuicIncoming::new(knock, Arc::clone(&self.node), socket)))
            }
            None => Err(TransportError::new(
                TransportErrorKind::Closed,
                multiaddr_at(self.bound.endpoint()).to_string(),
            )),
        }
    }
}
