//! Streams that the application asks for.

use super::{OpenReply, Running};
use crate::{
    conn::closed,
    link::{Below, Key, lock},
    stream::MplexStream,
};
use libp2p_core::muxing::StreamMuxer;
use libp2p_mplex::Substream;
use skep_api::muxer::{MuxerError, MuxerErrorKind};
use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

impl Running {
    /// Opens the streams that were asked for. True if there was one.
    pub(super) fn serve_opens(&mut self, cx: &mut Context<'_>) -> bool {
        let mut opened = false;
        while let Some(reply) = self.next_request(cx) {
            let shared = &self.parts.shared;
            let max = shared.limits.max_outbound;
            if lock(&self.parts.link).end().is_some() {
                drop(reply.send(Err(closed(shared))));
            } else if shared.live_outbound.load(Ordering::Acquire) >= max {
                // Not made to wait: a wait that takes too long would be held against the connection.
                drop(reply.send(Err(MuxerError::new(MuxerErrorKind::TooManyStreams, format!("{max}")))));
            } else if let Some(inner) = self.open(cx) {
                opened = true;
                let key = Key { number: self.next_number, ours: true };
                self.next_number = self.next_number.wrapping_add(1);
                let state = lock(&self.parts.link).enter(key);
                self.streams.insert(inner, Arc::clone(&state));
                drop(reply.send(Ok(MplexStream::new(state))));
            } else {
                self.next_open = Some(reply);
                break;
            }
        }
        opened
    }

    /// A new stream, if there is room for one: room comes when streams that were let go of have left.
    fn open(&mut self, cx: &mut Context<'_>) -> Option<Substream<Below>> {
        if self.control.is_none() || lock(&self.parts.link).is_full() {
            return None;
        }
        match Pin::new(&mut self.parts.mux).poll_outbound(cx) {
            Poll::Ready(Ok(inner)) => Some(inner),
            // The crate reports its end when it is asked for streams of the peer.
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    /// The first in line that still waits.
    fn next_request(&mut self, cx: &mut Context<'_>) -> Option<OpenReply> {
        if let Some(reply) = self.next_open.take().filter(|reply| !reply.is_closed()) {
            return Some(reply);
        }
        loop {
            match self.parts.opens.poll_recv(cx) {
                Poll::Ready(Some(reply)) if reply.is_closed() => {}
                Poll::Ready(reply) => return reply,
                Poll::Pending => return None,
            }
        }
    }
}
