//! The handle of a connection.

use crate::{shared::Shared, stream::YamuxStream};
use async_trait::async_trait;
use skep_api::{
    Code,
    muxer::{MuxedConn, MuxedStream, MuxerError, MuxerErrorKind},
};
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::{Mutex, mpsc, oneshot};

/// Where the driver puts a stream that was asked for.
pub(crate) type OpenReply = oneshot::Sender<Result<YamuxStream, MuxerError>>;

/// Asks the driver for streams, and takes those that it accepted.
#[derive(Debug)]
pub(crate) struct YamuxConn {
    pub(crate) shared: Arc<Shared>,
    pub(crate) opens: mpsc::Sender<OpenReply>,
    pub(crate) accepted: Mutex<mpsc::Receiver<YamuxStream>>,
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
        let (reply, answer) = oneshot::channel();
        self.opens.send(reply).await.map_err(|_| self.closed())?;
        let stream = answer.await.map_err(|_| self.closed())??;
        Ok(Box::new(stream))
    }

    async fn accept(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        let mut accepted = self.accepted.lock().await;
        let stream = accepted.recv().await.ok_or_else(|| self.closed())?;
        Ok(Box::new(stream))
    }

    async fn close(&self, code: Code) {
        self.shared.ask_close(code);
        self.shared.ended.cancelled().await;
    }

    fn num_streams(&self) -> usize {
        self.shared.live.load(Ordering::Acquire)
    }
}
