//! The handle of a connection.

use crate::{accepted::Accepted, shared::Shared, stream::MplexStream};
use async_trait::async_trait;
use skep_api::{
    Code,
    muxer::{MuxedConn, MuxedStream, MuxerError, MuxerErrorKind},
};
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::{mpsc, oneshot};

/// What becomes of a stream that was asked for.
pub(crate) type Opened = Result<MplexStream, MuxerError>;

/// Asks the driver for streams, and takes those that it accepted.
#[derive(Debug)]
pub(crate) struct MplexConn {
    pub(crate) shared: Arc<Shared>,
    pub(crate) opens: mpsc::Sender<oneshot::Sender<Opened>>,
    pub(crate) accepted: Arc<Accepted>,
}

impl Drop for MplexConn {
    fn drop(&mut self) {
        // Nobody accepts any more: the driver refuses what comes.
        self.accepted.clear();
    }
}

/// The error of a connection that has ended.
pub(crate) fn closed(shared: &Shared) -> MuxerError {
    let why = shared.outcome().map(ToString::to_string).unwrap_or_default();
    MuxerError::new(MuxerErrorKind::Closed, why)
}

#[async_trait]
impl MuxedConn for MplexConn {
    async fn open(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        let (reply, answer) = oneshot::channel();
        self.opens.send(reply).await.map_err(|_| closed(&self.shared))?;
        let stream = answer.await.map_err(|_| closed(&self.shared))??;
        Ok(Box::new(stream))
    }

    async fn accept(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        match self.accepted.pop().await {
            Some(stream) => Ok(Box::new(stream)),
            None => Err(closed(&self.shared)),
        }
    }

    async fn close(&self, code: Code) {
        self.shared.ask_close(code);
        self.shared.ended.cancelled().await;
    }

    fn num_streams(&self) -> usize {
        self.shared.live.load(Ordering::Acquire)
    }

    fn unsent(&self) -> u64 {
        self.shared.unsent()
    }
}
