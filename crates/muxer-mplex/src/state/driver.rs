//! What the driver moves between the crate and a stream.

use super::{Due, Duties, State, grow, shrink};
use skep_api::{Code, Side, stream::StreamError};
use std::collections::VecDeque;

impl State {
    pub(crate) fn due(&self) -> Due {
        let inner = self.lock();
        if inner.passed > 0 {
            return Due::Bytes;
        }
        let told = inner.read_end.is_some();
        let reset_told = inner.torn.is_some();
        match (inner.fin_seen && !told) || (inner.reset_seen && !reset_told) {
            true => Due::End,
            false => Due::Nothing,
        }
    }

    /// Bytes have come out of the crate.
    pub(crate) fn arrive(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        inner.passed = inner.passed.saturating_sub(bytes.len());
        if inner.released || inner.stopped.is_some() {
            return;
        }
        grow(&mut inner.unread, bytes.len(), self.shared.limits.max_buffer);
        inner.unread.extend(bytes);
        inner.wake_reader();
    }

    /// The crate has nothing more of the stream: what was seen of its end is told now.
    pub(crate) fn end_reading(&self) {
        let mut inner = self.lock();
        if inner.fin_seen && inner.read_end.is_none() {
            inner.read_end = Some(Ok(()));
        }
        if inner.reset_seen {
            let error = StreamError::Reset { by: Side::Remote, code: Code::UNKNOWN };
            if inner.read_end.is_none() {
                // What is in flight when a stream is reset is dropped (mplex specification, "Resetting a stream").
                inner.unread = VecDeque::new();
                inner.read_end = Some(Err(error.clone()));
            }
            if inner.torn.is_none() {
                inner.torn = Some(error);
            }
            self.forget_unsent(&mut inner);
        }
        inner.wake();
    }

    /// The crate takes no more of the stream, so that nothing of it may wait to be sent. Where no reset is the reason, the
    /// stream is given up.
    pub(crate) fn end_sending(&self) {
        let mut inner = self.lock();
        if inner.torn.is_none() {
            self.abort(&mut inner, Code::UNKNOWN);
        }
        self.forget_unsent(&mut inner);
    }

    /// The reader is too slow: the stream is given up, so that the others can go on.
    pub(crate) fn give_up(&self) {
        let mut inner = self.lock();
        if inner.holds {
            self.abort(&mut inner, Code::RESOURCE_LIMIT);
        }
    }

    /// Whether the connection still waits for the stream's reader.
    pub(crate) fn holds(&self) -> bool {
        self.lock().holds
    }

    /// What is to be done. Whatever is noted from now on comes with a note.
    pub(crate) fn duties(&self) -> Duties {
        let mut inner = self.lock();
        inner.noted = false;
        let send = !inner.unsent.is_empty();
        let finish = inner.finished && inner.torn.is_none();
        Duties { send, finish, let_go: inner.released }
    }

    /// Copies the next bytes to send.
    pub(crate) fn peek_unsent(&self, most: usize, into: &mut Vec<u8>) {
        into.clear();
        into.extend(self.lock().unsent.iter().take(most));
    }

    /// The crate has taken bytes.
    pub(crate) fn sent(&self, bytes: usize) {
        let mut inner = self.lock();
        let bytes = bytes.min(inner.unsent.len());
        inner.unsent.drain(..bytes);
        inner.to_flush = inner.to_flush.map(|left| left.saturating_sub(bytes));
        shrink(&mut inner.unsent);
        if let Some(writer) = inner.writer.take() {
            writer.wake();
        }
    }

    /// Whether the peer waits to hear that the stream is reset, once the crate has said all that it says.
    pub(crate) fn owes_reset(&self, fin_sent: bool, reset_sent: bool) -> bool {
        let inner = self.lock();
        let ended = fin_sent && inner.fin_seen;
        inner.aborted && !reset_sent && !inner.reset_seen && !ended
    }

    /// The connection has ended or is about to.
    pub(crate) fn wake(&self) {
        self.lock().wake();
    }
}
