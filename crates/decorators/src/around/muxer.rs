//! Around muxers: the connection, and each of its streams.

use super::{
    Around, Conn, Ends, Hooks, Operation, Stream,
    operation::{done, run},
    tapped::Tapped,
};
use async_trait::async_trait;
use skep_api::{
    BoxIo, Code, Multiaddr,
    muxer::{Muxed, MuxedConn, MuxedStream, Muxer, MuxerError, Pulse},
    security::Role,
};
use std::sync::Arc;

impl<H: Hooks> Muxer for Around<H, dyn Muxer> {
    fn protocol(&self) -> &str {
        self.inner.protocol()
    }

    fn mux(&self, io: BoxIo, role: Role) -> Muxed {
        let conn = self.hooks.connection(&Ends { role, addrs: None, peer: None });
        tapped(&self.hooks, conn, self.inner.mux(io, role))
    }
}

/// The connection with taps on its streams.
pub(super) fn tapped<H: Hooks>(hooks: &Arc<H>, kept: H::Conn, muxed: Muxed) -> Muxed {
    let Muxed { conn, driver } = muxed;
    let at_the_end = kept.clone();
    Muxed {
        conn: Arc::new(Carrying { hooks: Arc::clone(hooks), kept, inner: conn }),
        driver: Box::pin(async move {
            let reason = driver.await;
            at_the_end.ended(&reason);
            reason
        }),
    }
}

#[derive(Debug)]
struct Carrying<H: Hooks> {
    hooks: Arc<H>,
    kept: H::Conn,
    inner: Arc<dyn MuxedConn>,
}

impl<H: Hooks> Carrying<H> {
    fn tap(&self, stream: Box<dyn MuxedStream>, role: Role) -> Box<dyn MuxedStream> {
        let tap = self.kept.tap(Some(Stream { id: stream.id(), role }));
        Box::new(Tapped::new(stream, tap))
    }
}

#[async_trait]
impl<H: Hooks> MuxedConn for Carrying<H> {
    async fn open(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        let stream = run(&*self.hooks, Operation::Open, &"a stream", self.inner.open()).await?;
        Ok(self.tap(stream, Role::Dialer))
    }

    async fn accept(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        let result = self.inner.accept().await;
        done(&*self.hooks, Operation::Accept, &"a stream", &result);
        Ok(self.tap(result?, Role::Listener))
    }

    async fn close(&self, code: Code) {
        let close = async {
            self.inner.close(code).await;
            Ok::<_, MuxerError>(())
        };
        // There is nobody to be told of a fault, and a close that is not done leaves the connection.
        drop(run(&*self.hooks, Operation::Close, &code, close).await);
    }

    fn num_streams(&self) -> usize {
        self.inner.num_streams()
    }

    fn pulse(&self) -> Option<Pulse> {
        self.inner.pulse()
    }

    fn probe(&self) {
        self.inner.probe();
    }

    fn remote(&self) -> Option<Multiaddr> {
        self.inner.remote()
    }

    fn unsent(&self) -> u64 {
        self.inner.unsent()
    }
}
