//! What becomes of a frame that arrives, and what is known of each stream.

use super::{
    header::{Header, Key, Kind},
    outbound::Outbound,
};
use crate::{accepted::Accepted, shared::Shared, state::State};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Openings that may be refused in a row. A peer that was busy slows down when it is reset; one that goes on floods.
pub(crate) const MAX_REFUSED: u32 = 4096;

/// How many streams are remembered as reset, so that data still on the way is not answered with a second reset.
const REMEMBERED_RESETS: usize = 64;

/// The streams of a connection, as its frames are read and written.
///
/// It never holds fewer streams than the crate: a stream is entered before the crate learns of it, and leaves after the
/// crate has let go of it and its last frame is handed down. So its length bounds the crate's, and a stream that it does
/// not know is one that is over.
#[derive(Debug)]
pub(super) struct Book {
    shared: Arc<Shared>,
    accepted: Arc<Accepted>,
    streams: HashMap<Key, Record>,
    /// How many of them this end opened.
    ours: usize,
    recently_reset: VecDeque<Key>,
    /// Streams of the peer that the crate has still to give out, in their order.
    pub(super) opened: VecDeque<Key>,
    /// Streams for which something has passed.
    pub(super) touched: Vec<Key>,
    /// Openings refused since the last one that was taken.
    refused: u32,
}

#[derive(Debug)]
struct Record {
    state: Arc<State>,
    fin_sent: bool,
    reset_sent: bool,
}

/// What becomes of a frame.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The header passes, without a body.
    Pass,
    /// The body passes as far as the stream admits it.
    Data(Arc<State>),
    Skip,
}

impl Book {
    pub(super) fn new(shared: Arc<Shared>, accepted: Arc<Accepted>) -> Self {
        Self {
            shared,
            accepted,
            streams: HashMap::new(),
            ours: 0,
            recently_reset: VecDeque::new(),
            opened: VecDeque::new(),
            touched: Vec::new(),
            refused: 0,
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<State>> {
        self.streams.get(&key).map(|record| Arc::clone(&record.state))
    }

    /// Every stream, in the order of their ids, so that what is done to all of them is done in the same order again.
    pub(super) fn states(&self) -> Vec<Arc<State>> {
        let mut states: Vec<_> = self.streams.values().map(|record| Arc::clone(&record.state)).collect();
        states.sort_unstable_by_key(|state| state.key.id());
        states
    }

    /// Whether this end, or the peer, has all the streams that it may have.
    pub(super) fn is_full(&self, ours: bool) -> bool {
        let limits = &self.shared.limits;
        match ours {
            true => self.ours >= limits.max_outbound,
            false => self.streams.len().saturating_sub(self.ours) >= limits.max_inbound,
        }
    }

    pub(super) fn enter(&mut self, key: Key) -> Arc<State> {
        let state = Arc::new(State::new(key, Arc::clone(&self.shared)));
        let record = Record { state: Arc::clone(&state), fin_sent: false, reset_sent: false };
        if self.streams.insert(key, record).is_none() && key.ours {
            self.ours = self.ours.saturating_add(1);
        }
        state
    }

    /// Forgets a stream. True if the peer has still to be told of its reset.
    pub(super) fn remove(&mut self, key: Key) -> bool {
        let Some(record) = self.streams.remove(&key) else { return false };
        self.ours = self.ours.saturating_sub(usize::from(key.ours));
        let owed = record.state.owes_reset(record.fin_sent, record.reset_sent);
        owed && self.remember_reset(key)
    }

    pub(super) fn touch(&mut self, key: Key) {
        if self.touched.last() != Some(&key) {
            self.touched.push(key);
        }
    }

    /// Bytes of a stream's body are with the link.
    pub(super) fn note_taken(&self, bytes: usize) {
        self.shared.note_taken(bytes);
    }

    /// Judges a frame of the peer. The error says how it breaks the protocol.
    pub(super) fn judge(&mut self, outbound: &mut Outbound, header: Header) -> Result<Verdict, String> {
        let known = self.get(header.key);
        match (header.kind, known) {
            (Kind::Open, Some(_)) => Err(format!("it opened stream {} twice", header.key.number)),
            (Kind::Open, None) => self.judge_opening(outbound, header.key),
            (_, None) => {
                self.answer_unknown(outbound, header);
                Ok(Verdict::Skip)
            }
            (Kind::Message, Some(_)) if header.len == 0 => Ok(Verdict::Skip),
            (Kind::Message, Some(state)) => Ok(Verdict::Data(state)),
            (Kind::Close, Some(state)) => Ok(self.judge_end(header.key, state.see_fin())),
            (Kind::Reset, Some(state)) => Ok(self.judge_end(header.key, state.see_reset())),
        }
    }

    fn judge_opening(&mut self, outbound: &mut Outbound, key: Key) -> Result<Verdict, String> {
        let line_is_full = self.accepted.is_full(self.opened.len());
        if !line_is_full && !self.is_full(key.ours) {
            self.refused = 0;
            self.enter(key);
            self.opened.push_back(key);
            return Ok(Verdict::Pass);
        }
        self.refused = self.refused.saturating_add(1);
        if self.refused > MAX_REFUSED {
            return Err(format!("it opened {MAX_REFUSED} streams in a row that were refused"));
        }
        self.remember_reset(key);
        outbound.inject(Header::new(Kind::Reset, key));
        Ok(Verdict::Skip)
    }

    fn judge_end(&mut self, key: Key, is_news: bool) -> Verdict {
        if !is_news {
            return Verdict::Skip;
        }
        self.touch(key);
        Verdict::Pass
    }

    /// A frame of a stream that is over, or never was.
    ///
    /// The peer may have sent it before it learned of the end, so it is no violation. The first data is answered with a
    /// reset, so that the peer does not go on for nobody.
    fn answer_unknown(&mut self, outbound: &mut Outbound, header: Header) {
        let wants_to_send = header.kind == Kind::Message && header.len > 0;
        if wants_to_send && self.remember_reset(header.key) {
            outbound.inject(Header::new(Kind::Reset, header.key));
        }
    }

    /// Notes that a reset of the stream is sent; false if one was sent not long ago.
    fn remember_reset(&mut self, key: Key) -> bool {
        if self.recently_reset.contains(&key) {
            return false;
        }
        if self.recently_reset.len() >= REMEMBERED_RESETS {
            self.recently_reset.pop_front();
        }
        self.recently_reset.push_back(key);
        true
    }

    /// What is sent in place of a frame of the crate, if anything.
    pub(super) fn rewrite(&mut self, header: Header) -> Option<Header> {
        if header.key == super::CONTROL {
            return None;
        }
        let Some(record) = self.streams.get_mut(&header.key) else { return Some(header) };
        let is_reset = match header.kind {
            Kind::Open | Kind::Message => return Some(header),
            // The crate closes a stream that is dropped after the peer has finished.
            Kind::Close => record.state.is_aborted(),
            Kind::Reset => true,
        };
        if record.state.is_reset_by_peer() {
            return None;
        }
        if !is_reset {
            record.fin_sent = true;
            return Some(header);
        }
        record.reset_sent = true;
        self.remember_reset(header.key);
        Some(Header::new(Kind::Reset, header.key))
    }
}
