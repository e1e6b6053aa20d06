//! What the library keeps of streams that are gone.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most that are left behind on purpose, each of some hundred bytes.
const MOST: usize = 1_024;

/// Counts what is left of reset streams on one connection.
///
/// Who asks the library whether a peer has stopped a stream is noted down there, and the note goes when the peer stops
/// the stream or has all of it. A stream that is reset sees neither, so that its note stays as long as the connection. A
/// peer can bring that about as often as it likes. From a bound on nobody asks any more: a stop is then seen once the
/// connection has room for a write, and its close does not wait for what was finished.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(AtomicUsize);

impl Leftovers {
    /// One more stream with a note was reset.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn are_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= MOST
    }
}
