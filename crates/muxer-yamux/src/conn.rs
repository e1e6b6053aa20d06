//! The handle of a connection.

use crate::{
    queue::{Asks, Queue},
    shared::Shared,
    stream::YamuxStream,
};
use async_trait::async_trait;
use skep_api::{
    Code,
    muxer::{MuxedConn, MuxedStream, MuxerError, MuxerErrorKind, Pulse},
};
use std::sync::{Arc, atomic::Ordering};

/// What becomes of a stream that was asked for.
pub(crate) type Opened = Result<YamuxStream, MuxerError>;

/// Asks the driver for streams, and takes those that it accepted.
#[derive(Debug)]
pub(crate) struct YamuxConn {
    pub(crate) shared: Arc<Shared>,
    pub(crate) opens: Arc<Asks<Opened>>,
    pub(crate) accepted: Arc<Queue<Box<dyn MuxedStream>>>,
}

impl Drop for YamuxConn {
    fn drop(&mut self) {
        // Nobody accepts any more: the driver refuses what comes.
        self.accepted.clear();
    }
}

impl YamuxConn {
    fn closed(&self) -> MuxerError {
        closed(&self.shared)
    }
}

/// The error of a connection that has ended.
pub(crate) fn closed(shared: &Shared) -> MuxerError {
    let why = shared.outcome().map(ToString::to_string).unwrap_or_default();
    MuxerError::new(MuxerErrorKind::Closed, why)
}

#[async_trait]
impl MuxedConn for YamuxConn {
    async fn open(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        let (answer, _place) = self.opens.ask().await.ok_or_else(|| self.closed())?;
        self.shared.wake_driver();
        let stream = answer.await.map_err(|_| self.closed())??;
        Ok(Box::new(stream))
    }

    async fn accept(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        self.accepted.pop().await.ok_or_else(|| self.closed())
    }

    async fn close(&self, code: Code) {
        self.shared.ask_close(code);
        self.shared.ended.cancelled().await;
    }

    fn num_streams(&self) -> usize {
        self.shared.live.load(Ordering::Acquire)
    }

    fn pulse(&self) -> Option<Pulse> {
        Some(self.shared.signs.pulse())
    }

    fn probe(&self) {
        self.shared.probe();
    }

    fn unsent(&self) -> u64 {
        self.shared.unsent()
    }
}
