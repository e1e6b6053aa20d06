//! Serving the streams that the peer opens.

use super::{
    ConnSession, Shared, SwarmConn,
    shared::code_of,
    streams::{NoStream, StreamGuard},
};
use crate::{
    handlers::{Place, Served},
    muxed::Muxed,
    net_stream::NetStream,
    permits::total_inbound,
    pipeline::negotiate::{self, Agreed},
    swarm::Inner,
};
use skep_api::{
    CloseReason, Code, gate::Checkpoint, muxer::MuxedStream, protocol::InboundStream,
    resources::LimitExceeded, security::Role,
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

/// Streams beyond a limit that a peer may open in a row. One that was busy slows down when it is reset; one that goes on
/// floods.
const MAX_REFUSED: u32 = 4096;

/// Takes the peer's streams and gives each a task, up to the limit of open ones.
pub(super) async fn accept_loop(shared: Arc<Shared>) {
    let mut refused: u32 = 0;
    while let Ok(mut stream) = shared.conn.accept().await {
        let Some(node) = shared.node.upgrade() else { return };
        if node.is_draining() {
            stream.reset(Code::SHUTDOWN);
            continue;
        }
        match enter(&shared, &node) {
            Ok(guard) => {
                refused = 0;
                node.tasks.spawn("stream", serve(Arc::clone(&shared), stream, guard));
            }
            // It is being closed, for a reason that the stream shares.
            Err(NoStream::Closed) => stream.reset(shared.closing().as_ref().map_or(Code::NONE, code_of)),
            Err(NoStream::Limit(limit)) => {
                node.meters.stream_refused();
                log_refusal(&shared, &limit);
                stream.reset(Code::RESOURCE_LIMIT);
                refused = refused.saturating_add(1);
                if refused >= MAX_REFUSED {
                    return give_up(shared, &node);
                }
            }
        }
    }
}

/// Ends the connection of a peer that floods.
fn give_up(shared: Arc<Shared>, node: &Inner) {
    let what = format!("it opened {MAX_REFUSED} streams in a row beyond a limit");
    let conn = SwarmConn(shared);
    node.tasks.spawn("close", async move { conn.close_for(CloseReason::Violation { what }).await });
}

/// Room on the node, then on the connection.
fn enter(shared: &Arc<Shared>, node: &Inner) -> Result<StreamGuard, NoStream> {
    let room = Arc::clone(&node.inbound_room).try_acquire_owned();
    let room =
        room.map_err(|_| NoStream::Limit(total_inbound(node.live().settings.max_inbound_streams_total)))?;
    shared.enter(Role::Listener, false, Some(room))
}

fn log_refusal(shared: &Shared, limit: &LimitExceeded) {
    tracing::debug!(peer = %shared.info.peer, %limit, "A stream of the peer was refused.");
}

/// Agrees on a protocol for an inbound stream and serves it. Agreeing is bounded by time.
async fn serve(shared: Arc<Shared>, stream: Box<dyn MuxedStream>, guard: StreamGuard) {
    let Some(node) = shared.node.upgrade() else { return };
    // A boxed future, so that what agreeing needs is given back when serving begins.
    let agreed: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(agree(&node, stream));
    let Some((served, protocol, io, muxed)) = agreed.await else { return };
    let point =
        Checkpoint::Stream { peer: &shared.info.peer, remote: &shared.info.remote, protocol: &protocol };
    if let Err(denied) = node.ask(&point, shared.seat) {
        node.meters.stream_refused();
        return muxed.lock().reset(denied.close_code());
    }
    let place = match served.place(shared.id, shared.info.peer) {
        Ok(place) => place,
        Err(limit) => {
            node.meters.stream_refused();
            log_refusal(&shared, &limit);
            return muxed.lock().reset(Code::RESOURCE_LIMIT);
        }
    };
    if let Err(limit) = guard.agreed(&protocol, served.handler.keeps_alive()) {
        node.meters.stream_refused();
        log_refusal(&shared, &limit);
        return muxed.lock().reset(Code::RESOURCE_LIMIT);
    }
    muxed.lock().agreed(&protocol);
    let stream = NetStream::new(io, muxed, Arc::clone(&protocol), Role::Listener, guard);
    match node.runtime_of(&*served.handler).cloned() {
        Some(runtime) => {
            node.tasks.spawn_on(Some(&runtime), "handler", handle(shared, served, place, protocol, stream));
        }
        None => {
            drop(node);
            handle(shared, served, place, protocol, stream).await;
        }
    }
}

/// Lets a handler serve a stream. Its place is held until it has returned, whatever becomes of the stream meanwhile.
async fn handle(
    shared: Arc<Shared>,
    served: Served,
    _place: Option<Place>,
    protocol: Arc<str>,
    stream: NetStream,
) {
    let session = Arc::new(ConnSession(Arc::clone(&shared)));
    let inbound = InboundStream::new(Box::new(stream), protocol.to_string(), session);
    let serving = Watched { serving: served.handler.serve(inbound), served: &served, protocol: &protocol };
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
    let muxed = Muxed::new(stream, Some(node.meters.stream(Role::Listener)));
    let agree = negotiate::negotiate(muxed.clone(), Role::Listener, handlers.protocols());
    let Ok(Ok((protocol, io))) = tokio::time::timeout(node.live().settings.stream_timeout.0, agree).await
    else {
        muxed.lock().reset(Code::PROTOCOL_NEGOTIATION_FAILED);
        return None;
    };
    Some((handlers.find(&protocol)?.clone(), protocol, io, muxed))
}

/// Notices a handler that does not give its thread back: everything else on that thread waits meanwhile.
struct Watched<'a, F: ?Sized> {
    served: &'a Served,
    protocol: &'a str,
    serving: Pin<Box<F>>,
}

impl<F: Future + ?Sized> Future for Watched<'_, F> {
    type Output = F::Output;

    #[expect(clippy::disallowed_types, reason = "the runtime's clock can be paused, the thread cannot")]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let begun = std::time::Instant::now();
        let result = self.serving.as_mut().poll(cx);
        let took = begun.elapsed();
        if took > SLOW_POLL && self.served.first_warning() {
            tracing::warn!(
                protocol = self.protocol,
                ?took,
                "A handler blocked its thread; let it do such work in `tokio::task::spawn_blocking`. This is said once."
            );
        }
        result
    }
}
