//! Two nodes on one transport, and the streams between them.

use super::Fixture;
use crate::harness::{Broken, During, broken};
use futures::future::join;
use skep_api::{
    BoxIo, Multiaddr,
    muxer::MuxedConn,
    security::Role,
    transport::{Incoming, Link, Listener, Transport, TransportError},
};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

/// A transport that listens.
pub(super) struct Bound {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) listener: Box<dyn Listener>,
    pub(super) addr: Multiaddr,
}

impl Bound {
    pub(super) async fn new(fixture: &Fixture) -> Result<Self, Broken> {
        let transport = (fixture.build)();
        let listener = transport.listen(&fixture.listen).await.during("listen")?;
        let addr = listener.local_addrs().into_iter().next();
        let Some(addr) = addr else { return broken("`local_addrs` is empty") };
        Ok(Self { transport, listener, addr })
    }

    /// Starts a dial of the listener in a task, because some transports complete it only with the listener's help.
    pub(super) fn dial(&self) -> JoinHandle<Result<Link, TransportError>> {
        let (transport, addr) = (Arc::clone(&self.transport), self.addr.clone());
        tokio::spawn(async move { transport.dial(&addr).await })
    }

    /// One connection, accepted.
    pub(super) async fn connect(&mut self) -> Result<(Link, Link), Broken> {
        let dial = self.dial();
        let incoming = self.listener.accept().await.during("accept")?;
        let accepted = incoming.accept().await.during("take the connection")?;
        Ok((dial.await.during("dial")?.during("dial")?, accepted))
    }

    /// One connection that is not accepted yet. The dial of a raw transport ends by itself.
    pub(super) async fn knock(
        &mut self,
    ) -> Result<(JoinHandle<Result<Link, TransportError>>, Box<dyn Incoming>), Broken> {
        let dial = self.dial();
        Ok((dial, self.listener.accept().await.during("accept")?))
    }

    /// One connection, as a stream at each end.
    pub(super) async fn streams(&mut self) -> Result<(Stream, Stream), Broken> {
        let (dialed, accepted) = self.connect().await?;
        let mut dialed = Stream::open(dialed, Role::Dialer).await?;
        // A muxer may announce a stream only with its first byte.
        let (sent, accepted) = join(dialed.say(b"!"), Stream::open(accepted, Role::Listener)).await;
        sent?;
        let mut accepted = accepted?;
        accepted.hear(b"!").await?;
        Ok((dialed, accepted))
    }
}

/// A byte stream over a link: the link itself, or one stream of it if it comes multiplexed.
pub(super) struct Stream {
    pub(super) io: BoxIo,
    _conn: Option<(Arc<dyn MuxedConn>, Driver)>,
}

/// Drives a connection until it is dropped.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stream {
    pub(super) async fn open(link: Link, role: Role) -> Result<Self, Broken> {
        match link {
            Link::Raw(link) => Ok(Self { io: link.io, _conn: None }),
            Link::Muxed(link) => {
                let (muxed, ..) = link.muxed.into_parts();
                let driver = Driver(tokio::spawn(async move { drop(muxed.driver.await) }));
                let stream = match role {
                    Role::Dialer => muxed.conn.open().await,
                    Role::Listener => muxed.conn.accept().await,
                };
                let io = Box::new(stream.during("a stream of the link")?);
                Ok(Self { io, _conn: Some((muxed.conn, driver)) })
            }
            _ => broken("a kind of link that this suite does not know"),
        }
    }

    pub(super) async fn say(&mut self, text: &[u8]) -> Result<(), Broken> {
        self.io.write_all(text).await.during("write")?;
        self.io.flush().await.during("flush")
    }

    pub(super) async fn hear(&mut self, text: &[u8]) -> Result<(), Broken> {
        let mut heard = vec![0; text.len()];
        self.io.read_exact(&mut heard).await.during("read")?;
        if heard == text { Ok(()) } else { broken(format!("{} bytes arrived changed", text.len())) }
    }

    /// What comes until the end of file or an error.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        drop(self.io.read_to_end(&mut heard).await);
        heard
    }
}

/// What the dialler gets to read on a connection that was not accepted.
pub(super) async fn heard_by(dial: JoinHandle<Result<Link, TransportError>>) -> Result<Vec<u8>, Broken> {
    match dial.await.during("the task of the dial")? {
        Err(_) => Ok(Vec::new()),
        Ok(Link::Raw(mut link)) => {
            let mut heard = Vec::new();
            drop(link.io.read_to_end(&mut heard).await);
            Ok(heard)
        }
        // A link that comes secured needs the listener's answer, so it must not have been made.
        Ok(_) => broken("the dial succeeded although the connection was not accepted"),
    }
}
