//! The task that writes a transcript.

use super::{
    Config,
    entry::Entry,
    file::{self, CaptureError},
    transcript::State,
};
use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{
    fs::File,
    io::{AsyncWriteExt, BufWriter},
    sync::mpsc::Receiver,
};
use tokio_util::sync::CancellationToken;

/// What the last note needs.
const ROOM_FOR_A_NOTE: u64 = 128;

/// Writes one transcript.
#[derive(Debug)]
pub(super) struct Writer {
    config: Config,
    state: Arc<State>,
}

/// A transcript whose file is open.
struct Open {
    file: BufWriter<File>,
    size: u64,
    max_size: u64,
}

impl Writer {
    pub(super) fn new(config: Config, state: Arc<State>) -> Self {
        Self { config, state }
    }

    async fn write(
        &self,
        queue: &mut Receiver<Entry>,
        cancelled: &CancellationToken,
    ) -> Result<(), CaptureError> {
        let (file, size) = file::open(&self.config.file, self.config.existing).await?;
        let mut open = Open { file: BufWriter::new(file), size, max_size: self.config.max_size.0 };
        self.write_all(&mut open, queue, cancelled)
            .await
            .map_err(|source| CaptureError::Write { path: self.config.file.clone().into(), source })
    }

    async fn write_all(
        &self,
        open: &mut Open,
        queue: &mut Receiver<Entry>,
        cancelled: &CancellationToken,
    ) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let head = format!(
            "# skep capture, begun {now} s after 1970; seconds since then, place, connection, stream, event\n"
        );
        let mut room = open.line(&head).await?;
        while room && let Some(entry) = next(open, queue, cancelled).await? {
            room = open.note_lost(entry.lost_before).await? && open.line(&entry.line()).await?;
        }
        if !room || !open.note_lost(self.state.lost.swap(0, Relaxed)).await? {
            self.state.over.store(true, Relaxed);
            let max = self.config.max_size;
            let note = format!("# the transcript ends: the file has reached max_size = {max}\n");
            open.file.write_all(note.as_bytes()).await?;
        }
        open.file.flush().await
    }
}

/// Writes until the file is full, the node shuts down, or nothing is left that could record.
pub(super) async fn run(writer: Writer, mut queue: Receiver<Entry>, cancelled: CancellationToken) {
    if let Err(error) = writer.write(&mut queue, &cancelled).await {
        tracing::error!("{}", skep_api::error::chain(&error));
    }
    writer.state.over.store(true, Relaxed);
}

/// The next event. What was written before is with the system when there is none at hand.
async fn next(
    open: &mut Open,
    queue: &mut Receiver<Entry>,
    cancelled: &CancellationToken,
) -> io::Result<Option<Entry>> {
    if cancelled.is_cancelled() {
        queue.close();
    }
    if let Ok(entry) = queue.try_recv() {
        return Ok(Some(entry));
    }
    open.file.flush().await?;
    tokio::select! {
        biased;
        entry = queue.recv() => Ok(entry),
        () = cancelled.cancelled() => {
            // What comes from now on is of connections that are being closed, and is left out.
            queue.close();
            Ok(queue.recv().await)
        }
    }
}

impl Open {
    /// Says how many events are missing here.
    async fn note_lost(&mut self, lost: u64) -> io::Result<bool> {
        match lost {
            0 => Ok(true),
            lost => self.line(&format!("# {lost} events are missing: the queue was full\n")).await,
        }
    }

    /// Writes a line if there is room for it.
    async fn line(&mut self, line: &str) -> io::Result<bool> {
        let size = self.size.saturating_add(line.len() as u64);
        if size.saturating_add(ROOM_FOR_A_NOTE) > self.max_size {
            return Ok(false);
        }
        self.size = size;
        self.file.write_all(line.as_bytes()).await?;
        Ok(true)
    }
}
