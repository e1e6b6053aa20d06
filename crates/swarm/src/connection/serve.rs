//! Serving the streams that the peer opens.

use super::{
    ConnSession, Shared,
    streams::{NoStream, StreamGuard},
};
use crate::{
    handlers::Served,
    muxed::Muxed,
    net_stream::NetStream,
    pipeline::negotiate::{self, Agreed},
    swarm::Inner,
};
use skep_api::{
    Code,
    muxer::MuxedStream,
    protocol::{InboundStream, ProtocolHandler},
    resources::LimitExceeded,
    security::Role,
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// A handler that holds its thread for longer than this is named in the log.
const SLOW_POLL: Duration = Duration::from_millis(100);

/// Takes the peer's streams and gives each a task, up to the limit of open ones.
pub(super) async fn accept_loop(shared: Arc<Shared>) {
    while let Ok(mut stream) = shared.conn.accept().await {
        let Some(node) = shared.node.upgrade() else { return };
        if node.is_draining() {
            stream.reset(Code::SHUTDOWN);
            continue;
        }
        match shared.enter(Role::Listener, None) {
            Ok(guard) => node.tasks.spawn("stream", serve(Arc::clone(&shared), stream, guard)),
            Err(NoStream::Closed) => stream.reset(Code::NONE),
            Err(NoStream::Limit(limit)) => refuse(&shared, &mut *stream, &limit),
        }
    }
}

fn refuse(shared: &Shared, stream: &mut dyn MuxedStream, limit: &LimitExceeded) {
    tracing::debug!(peer = %shared.info.peer, %limit, "A stream of the peer was refused.");
    stream.reset(Code::RESOURCE_LIMIT);
}

/// Agrees on a protocol for an inbound stream and serves it. Agreeing is bounded by time.
async fn serve(shared: Arc<Shared>, stream: Box<dyn MuxedStream>, guard: StreamGuard) {
    let Some(node) = shared.node.upgrade() else { return };
    // A boxed future, so that what agreeing needs is given back when serving begins.
    let agreed: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(agree(&node, stream));
    let Some((served, protocol, io, muxed)) = agreed.await else { return };
    let place = match served.place(&shared, &protocol) {
        Ok(place) => place,
        Err(limit) => return refuse(&shared, &mut **muxed.lock(), &limit),
    };
    if let Err(limit) = guard.agreed(&protocol, served.handler.keeps_alive(), place) {
        return refuse(&shared, &mut **muxed.lock(), &limit);
    }
    let stream = NetStream::new(io, muxed, Arc::clone(&protocol), Role::Listener, guard);
    match node.runtime_of(&*served.handler).cloned() {
        Some(runtime) => {
            node.tasks.spawn_on(Some(&runtime), "handler", handle(shared, served.handler, protocol, stream));
        }
        None => {
            drop(node);
            handle(shared, served.handler, protocol, stream).await;
        }
    }
}

/// Lets a handler serve a stream.
async fn handle(
    shared: Arc<Shared>,
    handler: Arc<dyn ProtocolHandler>,
    protocol: Arc<str>,
    stream: NetStream,
) {
    let session = Arc::new(ConnSession(Arc::clone(&shared)));
    let inbound = InboundStream::new(Box::new(stream), protocol.to_string(), session);
    let serving = Watched { serving: handler.serve(inbound), protocol: &protocol };
    if let Err(error) = serving.await {
        let error = skep_api::error::chain(&error);
        tracing::debug!(peer = %shared.info.peer, %protocol, %error, "A stream ended with an error.");
    }
}

async fn agree(
    node: &Inner,
    stream: Box<dyn MuxedStream>,
) -> Option<(Served, Arc<str>, Agreed<Muxed>, Muxed)> {
    let handlers = node.handlers.snapshot();
    let muxed = Muxed::new(stream);
    let agree = negotiate::negotiate(muxed.clone(), Role::Listener, handlers.protocols());
    let Ok(Ok((protocol, io))) = tokio::time::timeout(node.settings.stream_timeout.0, agree).await else {
        muxed.lock().reset(Code::PROTOCOL_NEGOTIATION_FAILED);
        return None;
    };
    Some((handlers.find(&protocol)?.clone(), protocol, io, muxed))
}

/// Notices a handler that does not give its thread back: everything else on that thread waits meanwhile.
struct Watched<'a, F: ?Sized> {
    protocol: &'a str,
    serving: Pin<Box<F>>,
}

impl<F: Future + ?Sized> Future for Watched<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        #[expect(
            clippy::disallowed_types,
            reason = "the runtime's clock can be paused, and this is about threads"
        )]
        let begun = std::time::Instant::now();
        let result = self.serving.as_mut().poll(cx);
        let took = begun.elapsed();
        if took > SLOW_POLL {
            tracing::warn!(
                protocol = self.protocol,
                ?took,
                "A handler blocked its thread; let it do such work in `tokio::task::spawn_blocking`."
            );
        }
        result
    }
}

impl Served {
    /// Takes a place among the streams of the handler, if there is one.
    fn place(
        &self,
        shared: &Shared,
        protocol: &str,
    ) -> Result<Option<tokio::sync::OwnedSemaphorePermit>, LimitExceeded> {
        if let Some(max) = self.limits.per_connection {
            let open = shared.streams.inbound_of(protocol);
            if open >= max as usize {
                return Err(self.exceeded(protocol, "on one connection", open, max));
            }
        }
        let (Some(room), Some(max)) = (&self.room, self.limits.total) else { return Ok(None) };
        let place = Arc::clone(room).try_acquire_owned().map(Some);
        place.map_err(|_| self.exceeded(protocol, "in total", max as usize, max))
    }
}
