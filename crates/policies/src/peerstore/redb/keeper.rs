//! Keeps the index in a file: reads it once, and writes behind what changes.

use super::{
    Config, OnCorruption, aside,
    error::{Failure, Garbage},
    file,
    value::{self, Clocks, Row},
};
use crate::peerstore::{
    index::Pending,
    store::{Keeper, SharedIndex, locked},
};
use async_trait::async_trait;
use redb::{Database, StorageBackend};
use skep_api::{
    PeerId, TaskScope,
    error::chain,
    peerstore::{PeerStoreError, PeerStoreErrorKind},
};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Peers that are encoded while the index is held.
const AT_ONCE: usize = 64;

/// The longest pause after a write that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The keeper of the plugin.
#[derive(Debug)]
pub(super) struct Redb {
    writer: Arc<Writer>,
    tasks: TaskScope,
    write_every: Duration,
}

/// The file and the index that is written to it.
pub(super) struct Writer {
    index: SharedIndex,
    path: PathBuf,
    on_corruption: OnCorruption,
    backend: OpenBackend,
    file: Mutex<File>,
    changed: Arc<Notify>,
}

/// How the file at a path is opened.
pub(super) type OpenBackend = fn(&Path) -> io::Result<Box<dyn StorageBackend>>;

#[derive(Debug)]
enum File {
    /// Not opened yet.
    Closed,
    Open(Database),
    /// A write has failed, after which redb takes no others.
    Failed,
}

impl Redb {
    pub(super) fn new(writer: Writer, tasks: TaskScope, write_every: Duration) -> Self {
        Self { writer: Arc::new(writer), tasks, write_every }
    }
}

#[async_trait]
impl Keeper for Redb {
    fn open(&self) -> Result<(), PeerStoreError> {
        self.writer.open()?;
        let (writer, changed) = (Arc::downgrade(&self.writer), Arc::clone(&self.writer.changed));
        let task = write_behind(writer, changed, self.write_every, self.tasks.cancelled().clone());
        self.tasks.spawn("peerstore redb", task);
        Ok(())
    }

    fn changed(&self) {
        self.writer.changed.notify_one();
    }

    async fn flush(&self) -> Result<(), PeerStoreError> {
        write(Arc::clone(&self.writer)).await
    }
}

/// Writes what has changed a while ago, until the store is dropped or the node ends.
async fn write_behind(
    writer: Weak<Writer>,
    changed: Arc<Notify>,
    write_every: Duration,
    cancelled: CancellationToken,
) {
    let mut pause = write_every;
    loop {
        let waited = async {
            changed.notified().await;
            tokio::time::sleep(pause).await;
        };
        let ends = tokio::select! {
            () = cancelled.cancelled() => true,
            () = waited => false,
        };
        let Some(writer) = writer.upgrade() else { return };
        pause = match write(writer).await {
            Ok(()) => write_every,
            Err(e) => {
                tracing::warn!(error = chain(&e), "what is known of peers could not be written");
                changed.notify_one();
                pause.saturating_mul(2).min(LONGEST_PAUSE.max(write_every))
            }
        };
        if ends {
            return;
        }
    }
}

/// Writes where blocking is allowed. Dropping the future does not stop it.
async fn write(writer: Arc<Writer>) -> Result<(), PeerStoreError> {
    let path = writer.path.clone();
    tokio::task::spawn_blocking(move || writer.write()).await.unwrap_or_else(|e| {
        Err(PeerStoreError::new(PeerStoreErrorKind::Io, path.display().to_string()).with_source(e))
    })
}

impl Writer {
    pub(super) fn new(index: SharedIndex, config: &Config) -> Self {
        Self {
            index,
            path: PathBuf::from(&config.path),
            on_corruption: config.on_corruption,
            backend: file::backend,
            file: Mutex::new(File::Closed),
            changed: Arc::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn open_with(&mut self, backend: OpenBackend) {
        self.backend = backend;
    }

    fn open(&self) -> Result<(), PeerStoreError> {
        let (database, rows) = match self.read() {
            Err(e) if self.starts_afresh(&e) => {
                let aside = aside::move_aside(&self.path)?;
                tracing::warn!(
                    error = chain(&e),
                    moved_to = %aside.display(),
                    "the peer store's file is damaged and was moved aside; starting with an empty one"
                );
                self.read()?
            }
            other => other?,
        };
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = File::Open(database);
        let now = Instant::now();
        let mut index = locked(&self.index);
        for row in rows {
            index.restore(&row.peer, row.entry, row.as_stored, now);
        }
        drop(index);
        self.changed.notify_one();
        Ok(())
    }

    fn starts_afresh(&self, error: &PeerStoreError) -> bool {
        error.kind() == PeerStoreErrorKind::Corrupted && self.on_corruption == OnCorruption::StartAfresh
    }

    /// The database, and what is in it, the longest untouched first.
    fn read(&self) -> Result<(Database, Vec<Row>), PeerStoreError> {
        let (limits, clocks) = (*locked(&self.index).limits(), clocks());
        let mut rows = Vec::new();
        let database = self.database(|peer, value| {
            rows.push(value::decode(peer, value, &limits, clocks)?);
            Ok(())
        });
        let database = database.map_err(|e| e.at(&self.path))?;
        rows.sort_by_key(|row| row.entry.touched);
        Ok((database, rows))
    }

    fn database(&self, row: impl FnMut(&[u8], &[u8]) -> Result<(), Garbage>) -> Result<Database, Failure> {
        let backend = (self.backend)(&self.path).map_err(redb::StorageError::from)?;
        file::open(backend, row)
    }

    /// Writes everything that has changed before this call. May block.
    fn write(&self) -> Result<(), PeerStoreError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*file, File::Closed) {
            let detail = format!("{} has not been opened", self.path.display());
            return Err(PeerStoreError::new(PeerStoreErrorKind::Io, detail));
        }
        let pending = locked(&self.index).take_pending(Instant::now());
        if pending.peers.is_empty() && !pending.all {
            return Ok(());
        }
        self.write_to(&mut file, &pending).map_err(|e| {
            // Which of it got into the file is not known, so all of it is written the next time.
            *file = File::Failed;
            locked(&self.index).lost();
            e.at(&self.path)
        })
    }

    fn write_to(&self, file: &mut File, pending: &Pending) -> Result<(), Failure> {
        if matches!(file, File::Failed) {
            *file = File::Open(self.database(|_, _| Ok(()))?);
        }
        let File::Open(database) = file else { return Ok(()) };
        file::write(database, pending.all, |rows| {
            for peers in pending.peers.chunks(AT_ONCE) {
                for (peer, value) in self.encode(peers) {
                    match value {
                        Some(value) => drop(rows.insert(peer.as_slice(), value.as_slice())?),
                        None => drop(rows.remove(peer.as_slice())?),
                    }
                }
            }
            Ok(())
        })
    }

    fn encode(&self, peers: &[PeerId]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let clocks = clocks();
        let mut index = locked(&self.index);
        let row =
            |peer: &PeerId| (peer.to_bytes(), index.stored(peer).map(|entry| value::encode(entry, clocks)));
        peers.iter().map(row).collect()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Lets the task that writes behind see that there is nothing to write any more.
        self.changed.notify_one();
    }
}

fn clocks() -> Clocks {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clocks { now: Instant::now(), wall }
}
