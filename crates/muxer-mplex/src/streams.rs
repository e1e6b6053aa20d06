//! The streams as the driver has them: each with its place in the crate.

use crate::{
    link::{Below, Key, Link, lock},
    shared::Shared,
    state::{Due, Duties, State},
};
use futures::{AsyncRead as _, AsyncWrite as _};
use libp2p_mplex::Substream;
use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

/// Bytes taken out of the crate at once.
const CHUNK: usize = 16 * 1024;

/// The streams of a connection.
pub(crate) struct Streams {
    shared: Arc<Shared>,
    entries: HashMap<Key, Entry>,
    /// Streams that have something to send, taking turns.
    sending: VecDeque<Key>,
    /// Streams that the crate was told to let go of, whose last frames are not handed down yet.
    leaving: Vec<Key>,
    chunk: Vec<u8>,
}

struct Entry {
    inner: Substream<Below>,
    state: Arc<State>,
    fin_sent: bool,
    /// It is in `sending`.
    sends: bool,
}

impl Streams {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            entries: HashMap::new(),
            sending: VecDeque::new(),
            leaving: Vec::new(),
            chunk: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, inner: Substream<Below>, state: Arc<State>) {
        self.entries.insert(state.key, Entry { inner, state, fin_sent: false, sends: false });
    }

    /// Sees what a stream needs.
    pub(crate) fn attend(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Duties { send, finish, let_go } = entry.state.duties();
        let finish = finish && !entry.fin_sent;
        if send || finish {
            if !std::mem::replace(&mut entry.sends, true) {
                self.sending.push_back(key);
            }
        } else if let_go && self.shared.outcome().is_none() {
            // Dropping it in the crate puts its last frame in line.
            self.entries.remove(&key);
            self.leaving.push(key);
        }
    }

    /// Takes what has arrived out of the crate. True if there was something.
    pub(crate) fn drain(&mut self, cx: &mut Context<'_>, link: &Mutex<Link>, touched: &mut Vec<Key>) -> bool {
        let mut moved = false;
        touched.retain(|key| match self.entries.get_mut(key) {
            Some(entry) => drain_one(cx, entry, &mut self.chunk, &mut moved),
            // The crate may have still to give it out.
            None => lock(link).knows(*key) && !self.leaving.contains(key),
        });
        moved
    }

    /// Sends a frame for each stream in turn, until all is sent or the link is full. True if something was sent.
    ///
    /// It comes to an end: each turn leaves less to send, or nothing of the stream.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some(key) = self.sending.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let sent = entry.poll_send(cx, self.shared.limits.frame_size, &mut self.chunk);
            if sent.is_pending() {
                self.sending.push_front(key);
                break;
            }
            moved = true;
            entry.sends = false;
            self.attend(key);
        }
        moved
    }

    /// Whether a stream waits to send.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.sending.is_empty()
    }

    /// Streams that have left the crate. Everything that it had to say of them must be handed down by now.
    pub(crate) fn take_left(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.leaving)
    }
}

impl Entry {
    /// Sends the next frame.
    fn poll_send(&mut self, cx: &mut Context<'_>, frame_size: usize, chunk: &mut Vec<u8>) -> Poll<()> {
        let duties = self.state.duties();
        if duties.send {
            self.state.peek_unsent(frame_size, chunk);
            return match Pin::new(&mut self.inner).poll_write(cx, chunk) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.state.sent(n);
                    Poll::Ready(())
                }
                // The peer has reset the stream.
                Poll::Ready(_) => {
                    self.state.end_reading();
                    self.state.end_sending();
                    Poll::Ready(())
                }
                Poll::Pending => Poll::Pending,
            };
        }
        if duties.finish && !self.fin_sent {
            if Pin::new(&mut self.inner).poll_close(cx).is_pending() {
                return Poll::Pending;
            }
            self.fin_sent = true;
        }
        Poll::Ready(())
    }
}

/// Takes what has arrived for one stream. True if something is still on its way through the crate.
fn drain_one(cx: &mut Context<'_>, entry: &mut Entry, chunk: &mut Vec<u8>, moved: &mut bool) -> bool {
    chunk.resize(CHUNK, 0);
    loop {
        let due = entry.state.due();
        if due == Due::Nothing {
            return false;
        }
        match Pin::new(&mut entry.inner).poll_read(cx, chunk) {
            Poll::Pending => return true,
            Poll::Ready(Ok(n)) if n > 0 => entry.state.arrive(chunk.get(..n).unwrap_or_default()),
            Poll::Ready(_) => {
                entry.state.end_reading();
                *moved = true;
                return false;
            }
        }
        *moved = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{accepted::Accepted, shared::Limits};
    use futures::FutureExt;
    use libp2p_core::{muxing::StreamMuxer, upgrade::InboundConnectionUpgrade};
    use skep_api::{Side, stream::StreamError};
    use std::task::Waker;

    const KEY: Key = Key { number: 1, ours: true };

    /// A stream whose place in the crate takes no more, though nothing of that was seen on the link.
    fn broken(cx: &mut Context<'_>) -> (Streams, Arc<State>, Arc<Mutex<Link>>) {
        let limits =
            Limits { max_inbound: 4, max_outbound: 4, max_buffer: 1024, max_unsent: 1024, frame_size: 1024 };
        let shared = Arc::new(Shared::new(limits));
        let (io, _) = tokio::io::duplex(1024);
        let link = Link::new(Box::new(io), Arc::clone(&shared), Arc::new(Accepted::new(4)));
        let link = Arc::new(Mutex::new(link));
        let upgrade = libp2p_mplex::Config::new().upgrade_inbound(Below::new(Arc::clone(&link)), "");
        let mut mux = upgrade.now_or_never().unwrap().unwrap();
        let Poll::Ready(Ok(mut inner)) = Pin::new(&mut mux).poll_outbound(cx) else {
            panic!("no stream was opened");
        };
        assert!(Pin::new(&mut inner).poll_close(cx).is_ready());
        let state = lock(&link).enter(KEY);
        let mut streams = Streams::new(shared);
        streams.insert(inner, Arc::clone(&state));
        (streams, state, link)
    }

    #[test]
    fn a_stream_that_the_crate_takes_no_more_of_is_given_up() {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut streams, state, _link) = broken(&mut cx);
        assert!(state.poll_write(&cx, b"data").is_ready());
        streams.attend(KEY);
        assert!(streams.write(&mut cx));
        assert!(!streams.has_unsent());
        let Poll::Ready(Err(error)) = state.poll_write(&cx, b"more") else {
            panic!("what nobody takes is taken");
        };
        assert!(
            matches!(StreamError::of(&error), Some(StreamError::Reset { by: Side::Local, .. })),
            "{error}"
        );
        assert_eq!(streams.take_left(), [KEY]);
    }
}
