//! Opening a stream on a connection.

use super::{
    Shared,
    streams::{NoStream, StreamGuard},
};
use crate::{
    handlers::possible,
    muxed::Muxed,
    net_stream::NetStream,
    permits::{per_connection_outbound, total_outbound},
    pipeline::negotiate,
    swarm::Inner,
};
use skep_api::{
    Code,
    muxer::{MuxerError, MuxerErrorKind},
    protocol::{ProtocolError, ProtocolErrorKind},
    resources::LimitExceeded,
    security::Role,
};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

impl Shared {
    /// Opens a stream before `deadline`. Waits for room in the order of asking.
    pub(crate) async fn open(
        self: &Arc<Self>,
        protocols: &[String],
        deadline: Instant,
    ) -> Result<NetStream, ProtocolError> {
        let Some(node) = self.node.upgrade() else { return Err(closed()) };
        check(protocols)?;
        let handlers = node.handlers.snapshot();
        let keeps_alive = protocols.iter().any(|protocol| handlers.keeps_alive(protocol));
        drop(handlers);
        let guard = tokio::select! {
            biased;
            // Whoever waits for room on a connection that is gone waits for nothing.
            () = self.known.wait(|known| known.end().map(|_| ())) => return Err(closed()),
            place = self.place(&node, keeps_alive, deadline) => place?,
        };
        let begun = Instant::now();
        let opened = match timeout_at(deadline, self.open_now(&node, protocols, guard)).await {
            Ok(opened) => opened,
            Err(_) => {
                let waited = begun.elapsed();
                Err(ProtocolError::new(ProtocolErrorKind::TimedOut, format!("after {waited:.1?}")))
            }
        };
        // What this node or the peer has refused says nothing of the connection.
        if matches!(&opened, Err(e) if matches!(e.kind(), ProtocolErrorKind::Io | ProtocolErrorKind::TimedOut))
        {
            self.streams.count_failed();
        }
        opened
    }

    /// Takes room for a stream: on this connection, then on the node. Who comes first is served first.
    async fn place(
        self: &Arc<Self>,
        node: &Inner,
        keeps_alive: bool,
        deadline: Instant,
    ) -> Result<StreamGuard, ProtocolError> {
        let waits_for =
            |limit| ProtocolError::new(ProtocolErrorKind::TimedOut, "waiting for room").with_source(limit);
        let (on_one, in_all) = {
            let settings = &node.live().settings;
            (settings.max_outbound_streams, settings.max_outbound_streams_total)
        };
        let here = match timeout_at(deadline, self.streams.room.acquire()).await {
            Ok(Ok(here)) => here,
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(waits_for(per_connection_outbound(&self.info.peer, on_one))),
        };
        let room = match timeout_at(deadline, Arc::clone(&node.stream_room).acquire_owned()).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(waits_for(total_outbound(in_all))),
        };
        let guard = self.enter(Role::Dialer, keeps_alive, Some(room)).map_err(refused)?;
        // From here on the guard gives it back.
        here.forget();
        Ok(guard)
    }

    async fn open_now(
        self: &Arc<Self>,
        node: &Inner,
        protocols: &[String],
        guard: StreamGuard,
    ) -> Result<NetStream, ProtocolError> {
        let stream = self.conn.open().await.map_err(not_opened)?;
        let muxed = Muxed::new(stream, Some(node.meters.stream(Role::Dialer)));
        let (protocol, io) = match negotiate::negotiate(muxed.clone(), Role::Dialer, protocols).await {
            Ok(agreed) => agreed,
            Err(error) => {
                muxed.lock().reset(Code::PROTOCOL_NEGOTIATION_FAILED);
                return Err(not_agreed(error));
            }
        };
        let protocol: Arc<str> = protocol.as_str().into();
        let keeps_alive = node.handlers.snapshot().keeps_alive(&protocol);
        if let Err(limit) = guard.agreed(&protocol, keeps_alive) {
            muxed.lock().reset(Code::RESOURCE_LIMIT);
            return Err(limited(limit));
        }
        muxed.lock().agreed(&protocol);
        Ok(NetStream::new(io, muxed, protocol, Role::Dialer, guard))
    }
}

/// Whether these can be proposed at all.
pub(crate) fn check(protocols: &[String]) -> Result<(), ProtocolError> {
    let detail = match protocols.iter().find(|id| !possible(id)) {
        Some(id) => format!("{id:?} is no protocol id"),
        None if protocols.is_empty() => "no protocol is proposed".into(),
        None => return Ok(()),
    };
    Err(ProtocolError::new(ProtocolErrorKind::BadProposal, detail))
}

fn refused(refused: NoStream) -> ProtocolError {
    match refused {
        NoStream::Closed => closed(),
        NoStream::Limit(limit) => limited(limit),
    }
}

fn closed() -> ProtocolError {
    not_opened(MuxerError::new(MuxerErrorKind::Closed, ""))
}

fn limited(limit: LimitExceeded) -> ProtocolError {
    ProtocolError::new(ProtocolErrorKind::Limit, "").with_source(limit)
}

fn not_opened(error: MuxerError) -> ProtocolError {
    let limited = error.kind() == MuxerErrorKind::TooManyStreams;
    let kind = if limited { ProtocolErrorKind::Limit } else { ProtocolErrorKind::Io };
    ProtocolError::new(kind, "").with_source(error)
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
