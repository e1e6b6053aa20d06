//! What the scripts are run on: a way to connect two ends, and what their muxer can say.

use crate::{
    duplex::{DuplexConfig, wiretap},
    harness::{self, Broken, Clock, During},
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use skep_api::{
    CloseReason, Code,
    muxer::{Muxed, MuxedConn, Muxer},
    protocol::NegotiatedStream,
    security::Role,
};
use std::{fmt, future::Future, sync::Arc};
use tokio::sync::watch;

/// A stream under test.
pub type Stream = Box<dyn NegotiatedStream>;

/// One end of a connection under test.
#[async_trait]
pub trait StreamEnd: Send + Sync {
    /// Opens a stream.
    ///
    /// # Errors
    /// [`Broken`] if that fails.
    async fn open(&self) -> Result<Stream, Broken>;
    /// The next stream that the other end opened.
    ///
    /// # Errors
    /// [`Broken`] if the connection ends before.
    async fn accept(&self) -> Result<Stream, Broken>;
    /// Closes the connection in order.
    async fn close(&self, code: Code);
    /// Waits for the end of the connection, and says why it came.
    async fn closed(&self) -> CloseReason;
    /// Streams of the connection that are open.
    fn num_streams(&self) -> usize;
}

/// A fresh connection.
pub struct Connected {
    /// The end that dialled.
    pub dialer: Arc<dyn StreamEnd>,
    /// The end that was dialled.
    pub listener: Arc<dyn StreamEnd>,
    /// Breaks the connection without a word: both ends find out by themselves.
    pub cut: Arc<dyn Fn() + Send + Sync>,
}

impl Connected {
    /// Two ends of a connection that came multiplexed, their drivers in tasks.
    #[must_use]
    pub fn muxed(dialer: Muxed, listener: Muxed, cut: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { dialer: BareEnd::drive(dialer), listener: BareEnd::drive(listener), cut }
    }

    /// Connects two bare muxers over an in-memory duplex, their drivers in tasks.
    #[must_use]
    pub fn over(duplex: DuplexConfig, dialer: &dyn Muxer, listener: &dyn Muxer) -> Self {
        let (a, b, wire) = wiretap(duplex);
        let (dialer, listener) = (dialer.mux(a, Role::Dialer), listener.mux(b, Role::Listener));
        Self::muxed(dialer, listener, Arc::new(move || wire.lose()))
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connected")
    }
}

/// Which codes arrive at the other end. Where one does not, [`Code::UNKNOWN`] is required in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carries {
    /// The code of a reset.
    pub resets: bool,
    /// That the reader has stopped, with its code. Without it the writer goes on, and its data is thrown away.
    pub stops: bool,
    /// The code of the connection's close.
    pub closes: bool,
    /// That a stream was opened, before anything is written to it.
    pub openings: bool,
}

impl Carries {
    /// What yamux carries: everything but that the reader has stopped.
    pub const RESETS_AND_CLOSES: Self = Self { resets: true, stops: false, closes: true, openings: true };
    /// All there is to carry.
    pub const ALL: Self = Self { resets: true, stops: true, closes: true, openings: true };
    /// What QUIC carries: its streams begin with their first data.
    pub const QUIC: Self = Self { openings: false, ..Self::ALL };
    /// What mplex carries.
    pub const NOTHING: Self = Self { resets: false, stops: false, closes: false, openings: true };

    pub(super) fn reset(self, code: Code) -> Code {
        if self.resets { code } else { Code::UNKNOWN }
    }

    pub(super) fn close(self, code: Code) -> Code {
        if self.closes { code } else { Code::UNKNOWN }
    }
}

type Connect = dyn Fn() -> BoxFuture<'static, Result<Connected, Broken>> + Send + Sync;

/// How to connect two ends, and which of them opens the streams.
#[derive(Clone)]
pub struct Fixture {
    connect: Arc<Connect>,
    clock: Clock,
    pub(super) carries: Carries,
    /// Most bytes to leave unread, where more may cost the stream.
    pub(super) most_unread: Option<usize>,
    opener: Role,
}

impl Fixture {
    /// For the macro of the suite: the fixture itself.
    #[must_use]
    pub fn of(fixture: Self) -> Self {
        fixture
    }

    /// Tests the connections that a function makes, a fresh one with each call.
    pub fn new<F>(clock: Clock, carries: Carries, connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Connected, Broken>> + Send + 'static,
    {
        let connect: Arc<Connect> = Arc::new(move || Box::pin(connect()));
        Self { connect, clock, carries, most_unread: None, opener: Role::Dialer }
    }

    /// Tests a bare muxer over an in-memory duplex, on a paused clock.
    pub fn muxer(
        carries: Carries,
        duplex: DuplexConfig,
        build: impl Fn() -> Arc<dyn Muxer> + Send + Sync + 'static,
    ) -> Self {
        Self::new(Clock::Paused, carries, move || {
            let connected = Connected::over(duplex, &*build(), &*build());
            async move { Ok(connected) }
        })
    }

    /// The same, with streams opened by this end. Without this the dialler opens them.
    #[must_use]
    pub fn opened_by(mut self, opener: Role) -> Self {
        self.opener = opener;
        self
    }

    /// The same for a muxer that cannot slow down one stream alone: it may reset a stream of which more than so many
    /// bytes are unread. The scripts leave no more unread than that, except where they test what happens then.
    #[must_use]
    pub fn without_flow_control(mut self, most_unread: usize) -> Self {
        self.most_unread = Some(most_unread);
        self
    }

    /// A fresh connection: the end that opens streams, the other one, and the cut.
    pub(super) async fn connect(&self) -> Result<(Arc<dyn StreamEnd>, Connected), Broken> {
        let connected = (self.connect)().await?;
        Ok(match self.opener {
            Role::Dialer => (Arc::clone(&connected.dialer), connected),
            Role::Listener => (
                Arc::clone(&connected.listener),
                Connected { dialer: connected.listener, listener: connected.dialer, cut: connected.cut },
            ),
        })
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("carries", &self.carries).field("opener", &self.opener).finish()
    }
}

impl harness::Fixture for Fixture {
    fn clock(&self) -> Clock {
        self.clock
    }
}

/// One end of a bare connection, its driver in a task.
struct BareEnd {
    conn: Arc<dyn MuxedConn>,
    reason: watch::Receiver<Option<CloseReason>>,
}

impl BareEnd {
    fn drive(Muxed { conn, driver }: Muxed) -> Arc<Self> {
        let (ended, reason) = watch::channel(None);
        tokio::spawn(async move { drop(ended.send(Some(driver.await))) });
        Arc::new(Self { conn, reason })
    }
}

#[async_trait]
impl StreamEnd for BareEnd {
    async fn open(&self) -> Result<Stream, Broken> {
        Ok(Box::new(self.conn.open().await.during("open a stream")?))
    }

    async fn accept(&self) -> Result<Stream, Broken> {
        Ok(Box::new(self.conn.accept().await.during("accept a stream")?))
    }

    async fn close(&self, code: Code) {
        self.conn.close(code).await;
    }

    async fn closed(&self) -> CloseReason {
        let mut reason = self.reason.clone();
        let known = reason.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        known.unwrap_or_else(|| CloseReason::Lost { what: "the driver went without a reason".into() })
    }

    fn num_streams(&self) -> usize {
        self.conn.num_streams()
    }
}
