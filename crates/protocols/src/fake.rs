//! Streams, sessions and nodes for tests.

use async_trait::async_trait;
use skep_api::{
    BuildCx, Code, Keypair, Multiaddr, NodeView, PeerId, PublicKey, TaskScope,
    context::Spawn,
    protocol::{NegotiatedStream, PeerInfo, ProtocolError, ProtocolErrorKind, Session},
    security::Role,
};
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// One end of a pipe that remembers whether it was reset.
#[derive(Debug)]
pub(crate) struct TestStream {
    io: DuplexStream,
    pub(crate) reset: Arc<Mutex<Option<Code>>>,
}

impl TestStream {
    pub(crate) fn pair(capacity: usize) -> (Self, Self) {
        let (a, b) = tokio::io::duplex(capacity);
        let end = |io| Self { io, reset: Arc::default() };
        (end(a), end(b))
    }
}

impl AsyncRead for TestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for TestStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl NegotiatedStream for TestStream {
    fn reset(&mut self, code: Code) {
        *self.reset.lock().unwrap() = Some(code);
    }
    fn stop_reading(&mut self, _: Code) {}
}

#[derive(Debug)]
pub(crate) struct FakeNode {
    pub(crate) key: PublicKey,
    pub(crate) addrs: Vec<Multiaddr>,
    pub(crate) protocols: Vec<String>,
}

impl NodeView for FakeNode {
    fn public_key(&self) -> PublicKey {
        self.key.clone()
    }
    fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.addrs.clone()
    }
    fn protocols(&self) -> Vec<String> {
        self.protocols.clone()
    }
}

/// A session of the node `node` with the peer that has the key `peer`.
#[derive(Debug)]
pub(crate) struct FakeSession {
    pub(crate) peer: PublicKey,
    pub(crate) node: Arc<FakeNode>,
    pub(crate) remote: Multiaddr,
    /// Streams that `open` hands out.
    pub(crate) streams: Mutex<VecDeque<TestStream>>,
    /// Protocols that `open` was asked for.
    pub(crate) opened: Mutex<Vec<String>>,
    pub(crate) info: Mutex<Option<PeerInfo>>,
}

impl FakeSession {
    pub(crate) fn new(us: &Keypair, peer: &Keypair) -> Self {
        let node = FakeNode {
            key: us.public(),
            addrs: vec![
                "/ip4/192.0.2.1/tcp/4001".parse().unwrap(),
                "/ip6/2001:db8::1/tcp/4001".parse().unwrap(),
            ],
            protocols: vec!["/ipfs/ping/1.0.0".into(), "/ipfs/id/1.0.0".into()],
        };
        Self {
            peer: peer.public(),
            node: Arc::new(node),
            remote: "/ip4/198.51.100.7/tcp/50000".parse().unwrap(),
            streams: Mutex::default(),
            opened: Mutex::default(),
            info: Mutex::default(),
        }
    }

    pub(crate) fn with_stream(self, stream: TestStream) -> Self {
        self.streams.lock().unwrap().push_back(stream);
        self
    }
}

impl Default for FakeSession {
    fn default() -> Self {
        Self::new(&Keypair::generate_ed25519(), &Keypair::generate_ed25519())
    }
}

#[async_trait]
impl Session for FakeSession {
    fn id(&self) -> u64 {
        1
    }
    fn peer(&self) -> PeerId {
        self.peer.to_peer_id()
    }
    fn peer_key(&self) -> PublicKey {
        self.peer.clone()
    }
    fn ends(&self) -> (Role, Multiaddr, Multiaddr) {
        (Role::Listener, "/ip4/192.0.2.1/tcp/4001".parse().unwrap(), self.remote.clone())
    }
    fn node(&self) -> Arc<dyn NodeView> {
        self.node.clone()
    }
    fn set_peer_info(&self, info: PeerInfo) {
        *self.info.lock().unwrap() = Some(info);
    }
    async fn open(&self, protocols: &[String]) -> Result<Box<dyn NegotiatedStream>, ProtocolError> {
        self.opened.lock().unwrap().extend_from_slice(protocols);
        match self.streams.lock().unwrap().pop_front() {
            Some(stream) => Ok(Box::new(stream)),
            None => Err(ProtocolError::new(ProtocolErrorKind::NotSupported, "no stream left")),
        }
    }
}

/// A build context for a node with this key.
pub(crate) fn build_cx(key: Keypair) -> BuildCx {
    #[derive(Debug)]
    struct Tokio;
    impl Spawn for Tokio {
        fn spawn(&self, _: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
            drop(tokio::spawn(task));
        }
    }
    BuildCx::new(key, TaskScope::new(Arc::new(Tokio), Default::default()))
}
