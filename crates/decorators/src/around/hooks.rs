//! What a decorator may do, and when it is asked.

use crate::injected::Injected;
use skep_api::{CloseReason, Code, Multiaddr, PeerId, security::Role};
use std::{
    fmt::{self, Debug, Display},
    future::{Future, ready},
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// Where a decorator stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The layer's word.
    pub(crate) layer: &'static str,
    /// What the profile calls the plugin.
    pub(crate) plugin: Arc<str>,
}

/// A step of a plugin that a decorator sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `Transport::dial`.
    Dial,
    /// `Transport::listen`.
    Listen,
    /// `Listener::accept`, and `MuxedConn::accept`. Waiting for it is no work, so it is neither held up nor timed.
    Accept,
    /// `Incoming::accept`.
    Take,
    /// `Incoming::refuse`.
    Refuse,
    /// `Upgrader::secure`.
    Secure,
    /// `MuxedConn::open`.
    Open,
    /// `MuxedConn::close`.
    Close,
    /// `Resolver::resolve`.
    Resolve,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    /// With what it is for.
    Done,
    /// With an error: its stable word, and the error.
    Failed(&'static str, &'a (dyn std::error::Error + 'static)),
    /// Its future was dropped.
    Cancelled,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// From the peer.
    Received,
    /// To the peer.
    Sent,
}

/// What is known of a connection when its first byte can pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'a> {
    /// This node's side.
    pub(crate) role: Role,
    /// This end and the peer's, where the layer knows them.
    pub(crate) addrs: Option<(&'a Multiaddr, &'a Multiaddr)>,
    /// The peer, where it is known.
    pub(crate) peer: Option<PeerId>,
}

/// A stream of a multiplexed connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    /// Its number on the connection.
    pub(crate) id: u64,
    /// This node's side: [`Role::Dialer`] of one that it opened.
    pub(crate) role: Role,
}

/// What becomes of the bytes that come next.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Up to so many pass, at least one.
    Pass(usize),
    /// One passes, and these bits of it are turned over.
    Flip(u8),
    /// They vanish, and so do all that come after them in this direction.
    Swallow,
    /// The stream breaks, in both directions.
    Cut(Injected),
}

/// What happens to a byte stream beside bytes. That it was dropped shows in the drop of its tap.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// The peer has ended its direction.
    EndOfFile,
    /// This node has ended its direction.
    Finished,
    /// This node has reset the stream.
    Reset(Code),
    /// This node wants to read no more.
    StoppedReading(Code),
    /// Reading or writing failed.
    Failed(&'a io::Error),
}

/// What a decorator does at one place. Every method but `connection` does nothing by default.
pub(crate) trait Hooks: Debug + Send + Sync + 'static {
    /// What it keeps for each connection.
    type Conn: Conn;

    /// Before an operation, which waits for it and is not done at all after an error. It is dropped with the operation.
    /// Not asked before [`Operation::Accept`] and [`Operation::Refuse`].
    fn before(&self, operation: Operation) -> impl Future<Output = Result<(), Injected>> + Send {
        let _ = operation;
        ready(Ok(()))
    }

    /// After an operation on `subject`, such as an address. `took` is `None` where its time says nothing.
    fn after(
        &self,
        operation: Operation,
        subject: &dyn Display,
        outcome: Outcome<'_>,
        took: Option<Duration>,
    ) {
        let _ = (operation, subject, outcome, took);
    }

    /// A new connection.
    fn connection(&self, ends: &Ends<'_>) -> Self::Conn;
}

/// What a decorator keeps for a connection.
pub(crate) trait Conn: Clone + Debug + Send + Sync + 'static {
    /// What it keeps for each byte stream.
    type Tap: Tap;

    /// The connection's only byte stream, or a new stream of a multiplexed one.
    fn tap(&self, stream: Option<Stream>) -> Self::Tap;

    /// A multiplexed connection has ended.
    fn ended(&self, reason: &CloseReason) {
        let _ = reason;
    }
}

/// What a decorator does to one byte stream. It is dropped with the stream.
pub(crate) trait Tap: Debug + Send + Unpin + 'static {
    /// What becomes of the next bytes, of which there may be `wanted`. Asked before each read and write, also again
    /// before anything has passed.
    fn poll_verdict(&mut self, cx: &mut Context<'_>, flow: Flow, wanted: usize) -> Poll<Verdict> {
        let _ = (cx, flow);
        Poll::Ready(Verdict::Pass(wanted))
    }

    /// These bytes have passed, never none. Together the calls of one read or write are all of it.
    fn passed(&mut self, flow: Flow, bytes: &[u8]) {
        let _ = (flow, bytes);
    }

    /// Something else has happened.
    fn happened(&mut self, event: Event<'_>) {
        let _ = event;
    }
}

impl Operation {
    pub(crate) const ALL: [Self; 9] = [
        Self::Dial,
        Self::Listen,
        Self::Accept,
        Self::Take,
        Self::Refuse,
        Self::Secure,
        Self::Open,
        Self::Close,
        Self::Resolve,
    ];

    /// The stable word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::Listen => "listen",
            Self::Accept => "accept",
            Self::Take => "take",
            Self::Refuse => "refuse",
            Self::Secure => "secure",
            Self::Open => "open",
            Self::Close => "close",
            Self::Resolve => "resolve",
        }
    }
}

impl Flow {
    pub(crate) const ALL: [Self; 2] = [Self::Received, Self::Sent];

    /// The stable word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Sent => "sent",
        }
    }
}

/// One of each direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerFlow<T> {
    pub(crate) received: T,
    pub(crate) sent: T,
}

impl<T> PerFlow<T> {
    pub(crate) fn of(&self, flow: Flow) -> &T {
        match flow {
            Flow::Received => &self.received,
            Flow::Sent => &self.sent,
        }
    }

    pub(crate) fn of_mut(&mut self, flow: Flow) -> &mut T {
        match flow {
            Flow::Received => &mut self.received,
            Flow::Sent => &mut self.sent,
        }
    }
}

impl Place {
    pub(crate) fn new(layer: &'static str, plugin: &str) -> Self {
        Self { layer, plugin: plugin.into() }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.layer, self.plugin)
    }
}
