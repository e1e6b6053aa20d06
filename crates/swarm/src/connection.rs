//! A registered connection: the handle, and the one task that runs it.

use crate::{
    error::NewStreamError,
    meters::StreamMeter,
    muxed::Muxed,
    net_stream::NetStream,
    pipeline::{negotiate, upgrade::ConnectionInfo},
    swarm::Inner,
};
use async_trait::async_trait;
use skep_api::{
    CloseReason, Code, Multiaddr, NodeView, PeerId, PublicKey, address,
    muxer::{MuxedConn, MuxedStream, MuxerErrorKind},
    protocol::{InboundStream, NegotiatedStream, PeerInfo, ProtocolError, ProtocolErrorKind, Session},
    security::Role,
    selector::ConnectionView,
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// A handle to one connection, cheap to clone. Dropping it does not close the connection.
#[derive(Clone)]
pub struct SwarmConn(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) id: u64,
    pub(crate) info: ConnectionInfo,
    /// When its socket was dialled or accepted.
    pub(crate) begun: Instant,
    pub(crate) opened_at: Instant,
    pub(crate) conn: Arc<dyn MuxedConn>,
    /// Cuts the connection off when an orderly close takes too long.
    pub(crate) cut: CancellationToken,
    pub(crate) reason: watch::Sender<Option<CloseReason>>,
    /// What closing this side gave as its code, so that the end of the driver is told as ours.
    pub(crate) closing: Mutex<Option<Code>>,
    pub(crate) inbound_streams: Arc<Semaphore>,
    pub(crate) peer_info: watch::Sender<Option<PeerInfo>>,
    pub(crate) node: Weak<Inner>,
}

impl SwarmConn {
    /// Unique within the node's life, rising.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Who is at the other end, proven.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.0.info.peer
    }

    /// How the connection was made.
    #[must_use]
    pub fn info(&self) -> &ConnectionInfo {
        &self.0.info
    }

    /// When it was registered.
    #[must_use]
    pub fn opened_at(&self) -> Instant {
        self.0.opened_at
    }

    /// Streams that are open, both directions.
    #[must_use]
    pub fn num_streams(&self) -> usize {
        self.0.conn.num_streams()
    }

    /// What the peer said about itself, once identify has run.
    #[must_use]
    pub fn peer_info(&self) -> Option<PeerInfo> {
        self.0.peer_info.borrow().clone()
    }

    /// Waits until the peer has said about itself what [`SwarmConn::peer_info`] gives; `None` if the connection ends
    /// before. Without a protocol that asks, such as identify, this waits for the end.
    pub async fn identified(&self) -> Option<PeerInfo> {
        let mut info = self.0.peer_info.subscribe();
        tokio::select! {
            found = info.wait_for(Option::is_some) => found.ok()?.clone(),
            _ = self.closed() => None,
        }
    }

    /// Whether it leads through a relay, which limits its bytes and its time.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        address::is_relayed(&self.0.info.remote)
    }

    /// Whether it is open and nobody is closing it.
    pub(crate) fn is_live(&self) -> bool {
        self.is_open() && self.0.closing.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Whether it is still registered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.reason.borrow().is_none()
    }

    /// Waits for the end of the connection and says why it came.
    pub async fn closed(&self) -> CloseReason {
        let mut reason = self.0.reason.subscribe();
        match reason.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(|| CloseReason::local(Code::NONE)),
            Err(_) => CloseReason::local(Code::NONE),
        }
    }

    /// Closes the connection in order, and cuts it off after `[swarm] close_timeout`. Returns when it is gone;
    /// dropping the future cuts it off at once.
    pub async fn close(&self, code: Code) {
        self.0.closing.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(code);
        let limit = self.0.node.upgrade().map_or_else(Default::default, |node| node.settings.close_timeout.0);
        {
            // Also when the caller does not wait for it.
            let _cut = self.0.cut.clone().drop_guard();
            let _ = tokio::time::timeout(limit, self.0.conn.close(code)).await;
        }
        self.closed().await;
    }

    /// Opens a stream for the first of `protocols` that the peer takes. With one protocol, no answer is waited
    /// for: a refusal is told by the first read.
    ///
    /// # Errors
    /// [`NewStreamError`] if the connection has ended, a limit is reached or the peer takes none of them.
    pub async fn open_stream(&self, protocols: &[String]) -> Result<NetStream, NewStreamError> {
        let opened = self.0.open(protocols).await;
        opened.map_err(|source| NewStreamError::Failed { peer: self.0.info.peer, source })
    }

    /// The view that protocol handlers get.
    #[must_use]
    pub fn session(&self) -> Arc<dyn Session> {
        Arc::clone(&self.0) as Arc<dyn Session>
    }

    pub(crate) fn view(&self) -> ConnectionView {
        let info = &self.0.info;
        let mut view = ConnectionView::new(self.0.id, info.peer, info.role, info.remote.clone());
        view.streams = self.num_streams();
        view.limited = self.is_limited();
        view
    }
}

impl fmt::Debug for SwarmConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("peer", &self.info.peer)
            .field("role", &self.info.role)
            .field("remote", &self.info.remote)
            .finish_non_exhaustive()
    }
}

impl Shared {
    async fn open(&self, protocols: &[String]) -> Result<NetStream, ProtocolError> {
        let limit = self.node.upgrade().map_or_else(Default::default, |node| node.settings.stream_timeout.0);
        let open = async {
            let stream = self.conn.open().await.map_err(|e| {
                let limited = e.kind() == MuxerErrorKind::TooManyStreams;
                let kind = if limited { ProtocolErrorKind::Limit } else { ProtocolErrorKind::Io };
                ProtocolError::new(kind, "").with_source(e)
            })?;
            let muxed = Muxed::new(stream, self.meter(Role::Dialer));
            let (protocol, io) =
                negotiate::negotiate(muxed.clone(), Role::Dialer, protocols).await.map_err(not_agreed)?;
            Ok(self.stream(io, muxed, protocol.clone(), None))
        };
        match tokio::time::timeout(limit, open).await {
            Ok(result) => result,
            Err(_) => Err(ProtocolError::new(ProtocolErrorKind::TimedOut, format!("after {limit:?}"))),
        }
    }

    fn meter(&self, role: Role) -> Option<StreamMeter> {
        self.node.upgrade().map(|node| node.meters.stream(role))
    }

    fn stream(
        &self,
        io: negotiate::Agreed<Muxed>,
        muxed: Muxed,
        protocol: String,
        permit: Option<OwnedSemaphorePermit>,
    ) -> NetStream {
        muxed.lock().agreed(&protocol);
        NetStream::new(io, muxed, protocol, (self.info.peer, self.info.remote.clone()), permit)
    }

    /// Agrees on a protocol for an inbound stream and serves it. Both are bounded: the first by time.
    async fn serve(self: Arc<Self>, stream: Box<dyn MuxedStream>, permit: OwnedSemaphorePermit) {
        let Some(node) = self.node.upgrade() else { return };
        let handlers = node.handlers.snapshot();
        let muxed = Muxed::new(stream, Some(node.meters.stream(Role::Listener)));
        let agree = negotiate::negotiate(muxed.clone(), Role::Listener, handlers.protocols());
        let agreed = tokio::time::timeout(node.settings.stream_timeout.0, agree).await;
        let Ok(Ok((protocol, io))) = agreed else {
            return muxed.lock().reset(Code::PROTOCOL_NEGOTIATION_FAILED);
        };
        let Some(handler) = handlers.find(&protocol).map(Arc::clone) else { return };
        drop((node, handlers));
        let stream = self.stream(io, muxed, protocol.to_string(), Some(permit));
        let inbound = InboundStream::new(Box::new(stream), protocol.to_string(), Arc::clone(&self) as _);
        if let Err(error) = handler.serve(inbound).await {
            let error = skep_api::error::chain(&error);
            tracing::debug!(peer = %self.info.peer, %protocol, %error, "A stream ended with an error.");
        }
    }
}

/// Takes the peer's streams and gives each a task, up to the limit of open ones.
pub(crate) async fn accept_loop(shared: Arc<Shared>) {
    while let Ok(mut stream) = shared.conn.accept().await {
        let Some(node) = shared.node.upgrade() else { return };
        match Arc::clone(&shared.inbound_streams).try_acquire_owned() {
            Ok(permit) => node.tasks.spawn("stream", Arc::clone(&shared).serve(stream, permit)),
            Err(_) => {
                node.meters.stream_refused();
                stream.reset(Code::RESOURCE_LIMIT);
            }
        }
    }
}

fn not_agreed(error: multistream_select::NegotiationError) -> ProtocolError {
    match error {
        multistream_select::NegotiationError::Failed => {
            ProtocolError::new(ProtocolErrorKind::NotSupported, "")
        }
        multistream_select::NegotiationError::ProtocolError(e) => {
            let io: std::io::Error = e.into();
            ProtocolError::new(ProtocolErrorKind::Io, "while agreeing on the protocol").with_source(io)
        }
    }
}

#[async_trait]
impl Session for Shared {
    fn id(&self) -> u64 {
        self.id
    }

    fn peer(&self) -> PeerId {
        self.info.peer
    }

    fn peer_key(&self) -> PublicKey {
        self.info.peer_key.clone()
    }

    fn ends(&self) -> (Role, Multiaddr, Multiaddr) {
        (self.info.role, self.info.local.clone(), self.info.remote.clone())
    }

    fn node(&self) -> Arc<dyn NodeView> {
        match self.node.upgrade() {
            Some(node) => node,
            None => Arc::new(Gone(self.info.peer_key.clone())),
        }
    }

    fn set_peer_info(&self, info: PeerInfo) {
        if let Some(node) = self.node.upgrade() {
            node.remember_info(self, &info);
        }
        self.peer_info.send_replace(Some(info));
    }

    async fn open(&self, protocols: &[String]) -> Result<Box<dyn NegotiatedStream>, ProtocolError> {
        Ok(Box::new(Self::open(self, protocols).await?))
    }
}

/// Stands in for a node that was dropped while a handler still ran.
#[derive(Debug)]
struct Gone(PublicKey);

impl NodeView for Gone {
    fn public_key(&self) -> PublicKey {
        self.0.clone()
    }
    fn listen_addrs(&self) -> Vec<Multiaddr> {
        Vec::new()
    }
    fn protocols(&self) -> Vec<String> {
        Vec::new()
    }
}
