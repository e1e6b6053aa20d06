//! The transcript: where events go in, without waiting.

use super::{
    Config,
    entry::{Entry, What},
    writer::{self, Writer},
};
use skep_api::TaskScope;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc::{Sender, channel, error::TrySendError},
    time::Instant,
};

/// Most events that wait to be written. Each holds up to `bytes_per_event`.
const QUEUE: usize = 256;

/// A transcript that begins with the first event.
#[derive(Debug)]
pub(super) struct Transcript {
    config: Config,
    tasks: TaskScope,
    begun: OnceLock<Begun>,
    connections: AtomicU64,
    state: Arc<State>,
}

/// What the transcript and its writer share.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Events that found the queue full since one last found room.
    pub(super) lost: AtomicU64,
    /// Nothing is written any more.
    pub(super) over: AtomicBool,
}

#[derive(Debug)]
struct Begun {
    at: Instant,
    entries: Sender<Entry>,
}

impl Transcript {
    pub(super) fn new(config: Config, tasks: TaskScope) -> Self {
        let (begun, connections) = (OnceLock::new(), AtomicU64::new(0));
        Self { config, tasks, begun, connections, state: Arc::default() }
    }

    /// The number of the next connection.
    pub(super) fn number(&self) -> u64 {
        self.connections.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// Whether events still matter.
    pub(super) fn goes_on(&self) -> bool {
        !self.state.over.load(Relaxed)
    }

    /// How many bytes of an event are shown.
    pub(super) fn shown(&self) -> usize {
        usize::try_from(self.config.bytes_per_event.0).unwrap_or(usize::MAX)
    }

    /// Puts an event into the queue, or leaves it out if that is full.
    pub(super) fn record(&self, place: &Arc<str>, connection: Option<u64>, stream: Option<u64>, what: What) {
        if !self.goes_on() {
            return;
        }
        let begun = self.begun.get_or_init(|| self.begin());
        let at: Duration = begun.at.elapsed();
        let lost_before = self.state.lost.swap(0, Relaxed);
        let entry = Entry { lost_before, at, place: Arc::clone(place), connection, stream, what };
        // The queue is closed once the node shuts down; what comes then is not missed.
        if let Err(TrySendError::Full(_)) = begun.entries.try_send(entry) {
            self.state.lost.fetch_add(lost_before.saturating_add(1), Relaxed);
        }
    }

    fn begin(&self) -> Begun {
        let (entries, queue) = channel(QUEUE);
        let cancelled = self.tasks.cancelled().clone();
        let writer = Writer::new(self.config.clone(), Arc::clone(&self.state));
        self.tasks.spawn("decorator.capture", writer::run(writer, queue, cancelled));
        Begun { at: Instant::now(), entries }
    }
}
